"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "author_person",
        sa.Column("patient_key", key, autoincrement=False, nullable=False),
        sa.Column("object_id", exact, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("person", exact, nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "object_id", "position", name="pk_author_person"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "code",
        sa.Column("patient_key", key, autoincrement=False, nullable=False),
        sa.Column("object_id", exact, nullable=False),
        sa.Column("kind", exact, nullable=False),
        sa.Column("code", exact, nullable=False),
        sa.Column("scheme", exact, nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "object_id", "kind", "code", "scheme", name="pk_code"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_code_everywhere",
        "code",
        ["code", "scheme", "kind", "patient_key", "object_id"],
        sqlite_where=sa.text("kind <> 'confidentiality'"),
        postgresql_where=sa.text("kind <> 'confidentiality'"),
    )
    op.create_table(
        "document",
        sa.Column("unique_id", exact, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("sha1", sa.String(40), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mime_type", exact, nullable=False),
        sa.Column("verified", exact, nullable=False, server_default=""),
        sa.Column("quarantined", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.PrimaryKeyConstraint("unique_id", name="pk_document"),
    )
    op.create_index("ix_document_sha256", "document", ["sha256"])
    op.create_table(
        "identifier",
        sa.Column("value", exact, nullable=False),
        sa.Column("kind", exact, nullable=False),
        sa.Column("object_id", exact, nullable=False),
        sa.Column("object_kind", sa.String(1), nullable=False),
        sa.Column("patient_key", key, nullable=False),
        sa.Column("sole", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.PrimaryKeyConstraint("value", "kind", "object_id", name="pk_identifier"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_identifier_sole",
        "identifier",
        ["value"],
        unique=True,
        sqlite_where=sa.text("sole"),
        postgresql_where=sa.text("sole"),
    )
    op.create_table(
        "patient",
        sa.Column("key", key, autoincrement=True, nullable=False),
        sa.Column("authority", exact, nullable=False),
        sa.Column("id", exact, nullable=False),
        sa.Column("status", exact, nullable=False, server_default="active"),
        sa.Column("survivor_key", key, nullable=True),
        sa.Column("consent_epoch", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("key", name="pk_patient"),
        sa.ForeignKeyConstraint(["survivor_key"], ["patient.key"], name="fk_patient_survivor_key"),
        sa.UniqueConstraint("authority", "id", name="uq_patient_authority_id"),
    )
    op.create_index(
        "ix_patient_survivor_key",
        "patient",
        ["survivor_key"],
        sqlite_where=sa.text("survivor_key IS NOT NULL"),
        postgresql_where=sa.text("survivor_key IS NOT NULL"),
    )
    op.create_table(
        "reference_id",
        sa.Column("patient_key", key, autoincrement=False, nullable=False),
        sa.Column("object_id", exact, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", exact, nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "object_id", "position", name="pk_reference_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "association",
        sa.Column("patient_key", key, autoincrement=False, nullable=False),
        sa.Column("id", exact, nullable=False),
        sa.Column("type", exact, nullable=False),
        sa.Column("source", exact, nullable=False),
        sa.Column("target", exact, nullable=False),
        sa.Column("source_kind", sa.String(1), nullable=False),
        sa.Column("target_kind", sa.String(1), nullable=False),
        sa.Column("target_patient_key", key, nullable=False),
        sa.Column("status", exact, nullable=False),
        sa.Column("home_community_id", exact, nullable=False, server_default=""),
        sa.Column("fragment", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "id", name="pk_association"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_association_patient_key"),
    )
    op.create_index("ix_association_source", "association", ["patient_key", "source"])
    op.create_index("ix_association_target", "association", ["patient_key", "target"])
    op.create_table(
        "consent",
        sa.Column("patient_key", key, autoincrement=False, nullable=False),
        sa.Column("entry_uuid", exact, nullable=False),
        sa.Column("unique_id", exact, nullable=False),
        sa.Column("status", exact, nullable=False),
        sa.Column("valid_from", exact, nullable=False, server_default=""),
        sa.Column("valid_until", exact, nullable=False, server_default=""),
        sa.Column("signer", exact, nullable=False, server_default=""),
        sa.Column("signed_at", exact, nullable=False, server_default=""),
        sa.Column("reason", exact, nullable=False, server_default=""),
        sa.Column("policy", exact, nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "entry_uuid", name="pk_consent"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_consent_patient_key"),
    )
    op.create_table(
        "document_entry",
        sa.Column("patient_key", key, autoincrement=False, nullable=False),
        sa.Column("id", exact, nullable=False),
        sa.Column("unique_id", exact, nullable=False, server_default=""),
        sa.Column("repository_unique_id", exact, nullable=False, server_default=""),
        sa.Column("logical_id", exact, nullable=False, server_default=""),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("latest", sa.Boolean(), nullable=False, server_default=sa.text("true")),
        sa.Column("status", exact, nullable=False),
        sa.Column("on_demand", sa.Boolean(), nullable=False),
        sa.Column("availability", exact, nullable=False),
        sa.Column("creation_time", exact, nullable=False, server_default=""),
        sa.Column("service_start_time", exact, nullable=False, server_default=""),
        sa.Column("service_stop_time", exact, nullable=False, server_default=""),
        sa.Column("class_code", exact, nullable=False, server_default=""),
        sa.Column("class_scheme", exact, nullable=False, server_default=""),
        sa.Column("type_code", exact, nullable=False, server_default=""),
        sa.Column("type_scheme", exact, nullable=False, server_default=""),
        sa.Column("format_code", exact, nullable=False, server_default=""),
        sa.Column("format_scheme", exact, nullable=False, server_default=""),
        sa.Column("practice_setting_code", exact, nullable=False, server_default=""),
        sa.Column("practice_setting_scheme", exact, nullable=False, server_default=""),
        sa.Column("facility_type_code", exact, nullable=False, server_default=""),
        sa.Column("facility_type_scheme", exact, nullable=False, server_default=""),
        sa.Column("home_community_id", exact, nullable=False, server_default=""),
        sa.Column("facts", exact, nullable=False),
        sa.Column("fragment", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "id", name="pk_document_entry"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_document_entry_patient_key"),
    )
    op.create_index(
        "ix_document_entry_class_newest", "document_entry", ["class_code", "class_scheme", "creation_time", "id"]
    )
    op.create_index(
        "ix_document_entry_facility_newest",
        "document_entry",
        ["facility_type_code", "facility_type_scheme", "creation_time", "id"],
    )
    op.create_index("ix_document_entry_patient_newest", "document_entry", ["patient_key", "creation_time", "id"])
    op.create_table(
        "folder",
        sa.Column("patient_key", key, autoincrement=False, nullable=False),
        sa.Column("id", exact, nullable=False),
        sa.Column("unique_id", exact, nullable=False, server_default=""),
        sa.Column("logical_id", exact, nullable=False, server_default=""),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("latest", sa.Boolean(), nullable=False, server_default=sa.text("true")),
        sa.Column("status", exact, nullable=False),
        sa.Column("last_update_time", exact, nullable=False, server_default=""),
        sa.Column("home_community_id", exact, nullable=False, server_default=""),
        sa.Column("fragment", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "id", name="pk_folder"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_folder_patient_key"),
    )
    op.create_index("ix_folder_patient_newest", "folder", ["patient_key", "last_update_time", "id"])
    op.create_table(
        "submission_set",
        sa.Column("patient_key", key, autoincrement=False, nullable=False),
        sa.Column("id", exact, nullable=False),
        sa.Column("unique_id", exact, nullable=False, server_default=""),
        sa.Column("source_id", exact, nullable=False, server_default=""),
        sa.Column("submission_time", exact, nullable=False, server_default=""),
        sa.Column("status", exact, nullable=False),
        sa.Column("content_type_code", exact, nullable=False, server_default=""),
        sa.Column("content_type_scheme", exact, nullable=False, server_default=""),
        sa.Column("home_community_id", exact, nullable=False, server_default=""),
        sa.Column("fragment", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "id", name="pk_submission_set"),
        sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name="fk_submission_set_patient_key"),
    )
    op.create_index("ix_submission_set_patient_newest", "submission_set", ["patient_key", "submission_time", "id"])


def downgrade() -> None:
    op.drop_table("submission_set")
    op.drop_table("folder")
    op.drop_table("document_entry")
    op.drop_table("consent")
    op.drop_table("association")
    op.drop_table("reference_id")
    op.drop_table("patient")
    op.drop_table("identifier")
    op.drop_table("document")
    op.drop_table("code")
    op.drop_table("author_person")
