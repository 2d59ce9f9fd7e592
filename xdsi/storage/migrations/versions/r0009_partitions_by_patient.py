"""PostgreSQL: the tables of objects, divided by hash of the patient key.

What is there is copied, so the largest table needs its room twice for that time. SQLite has no partitions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

PARTS = 16
NOT_CONFIDENTIALITY = "kind <> 'confidentiality'"
# By table: its primary key, whether it refers to the patient, its indexes.
TABLES: dict[str, tuple[list[str], bool, list[tuple[str, list[str], str | None]]]] = {
    "document_entry": (
        ["patient_key", "id"],
        True,
        [
            ("ix_document_entry_patient_newest", ["patient_key", "creation_time", "id"], None),
            ("ix_document_entry_class_newest", ["class_code", "class_scheme", "creation_time", "id"], None),
            (
                "ix_document_entry_facility_newest",
                ["facility_type_code", "facility_type_scheme", "creation_time", "id"],
                None,
            ),
        ],
    ),
    "submission_set": (
        ["patient_key", "id"],
        True,
        [("ix_submission_set_patient_newest", ["patient_key", "submission_time", "id"], None)],
    ),
    "folder": (
        ["patient_key", "id"],
        True,
        [("ix_folder_patient_newest", ["patient_key", "last_update_time", "id"], None)],
    ),
    "association": (
        ["patient_key", "id"],
        True,
        [
            ("ix_association_source", ["patient_key", "source"], None),
            ("ix_association_target", ["patient_key", "target"], None),
        ],
    ),
    "code": (
        ["patient_key", "object_id", "kind", "code", "scheme"],
        False,
        [("ix_code_everywhere", ["code", "scheme", "kind", "patient_key", "object_id"], NOT_CONFIDENTIALITY)],
    ),
    "author_person": (["patient_key", "object_id", "position"], False, []),
    "reference_id": (["patient_key", "object_id", "position"], False, []),
    "consent": (["patient_key", "entry_uuid"], True, []),
}


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    for table in TABLES:
        _divide(connection, table)


def _divide(connection: sa.Connection, table: str) -> None:
    """Make the table anew, with the rows that it has; indexes last, which is quickest."""
    primary_key, refers, indexes = TABLES[table]
    former = f"{table}_former"
    op.execute(f"ALTER TABLE {table} RENAME TO {former}")
    names = connection.execute(
        sa.text("SELECT indexname FROM pg_indexes WHERE tablename = :table AND schemaname = current_schema()"),
        {"table": former},
    ).scalars()
    for name in names.all():
        op.execute(f"ALTER INDEX {name} RENAME TO {name}_former")
    op.execute(f"CREATE TABLE {table} (LIKE {former} INCLUDING DEFAULTS) PARTITION BY HASH (patient_key)")
    for number in range(PARTS):
        part = f"FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {number})"
        op.execute(f"CREATE TABLE {table}_p{number:02} PARTITION OF {table} {part}")
    op.execute(f"INSERT INTO {table} SELECT * FROM {former}")  # noqa: S608 - names from above
    op.execute(f"DROP TABLE {former}")
    op.create_primary_key(f"pk_{table}", table, primary_key)
    for name, columns, where in indexes:
        op.create_index(name, table, columns, postgresql_where=sa.text(where) if where else None)
    if refers:
        op.create_foreign_key(f"fk_{table}_patient_key", table, "patient", ["patient_key"], ["key"])
