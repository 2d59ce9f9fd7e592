"""Identifiers, codes and words in few bytes; lists in one column; one index less for each table of objects.

All tables of objects are made anew and their rows copied, a few patients at a time: the room of both is needed for that
time. Fragments stay as they are.
"""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.engine import Connection

from xdsi.storage.packed import FIRST_WORD, pack

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

PARTS = 16
PATIENTS_AT_ONCE = 200
ROWS_AT_ONCE = 5_000
text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

CODED = ("class", "type", "format", "practice_setting", "facility_type")
# By table: its columns (k: patient key, i: number, b: true or false, p: packed, t: text, f: fragment), its primary key.
TABLES: dict[str, tuple[str, str]] = {
    "document_entry": (
        "patient_key:k version:i latest:b on_demand:b id:p unique_id:p repository_unique_id:p logical_id:p status:p"
        " availability:p creation_time:t service_start_time:t service_stop_time:t "
        + " ".join(f"{name}_code:p {name}_scheme:p" for name in CODED)
        + " home_community_id:p confidentiality:t author_persons:t reference_ids:t facts:- fragment:f",
        "patient_key id",
    ),
    "submission_set": (
        "patient_key:k id:p unique_id:p source_id:p submission_time:t status:p content_type_code:p"
        " content_type_scheme:p home_community_id:p author_persons:t fragment:f",
        "patient_key id",
    ),
    "folder": (
        "patient_key:k version:i latest:b id:p unique_id:p logical_id:p status:p last_update_time:t"
        " home_community_id:p fragment:f",
        "patient_key id",
    ),
    "association": (
        "patient_key:k target_patient_key:k id:p type:p source:p target:p source_kind:t target_kind:t status:p"
        " home_community_id:p fragment:f",
        "patient_key id",
    ),
    "code": ("patient_key:k object_id:p kind:p code:p scheme:p", "patient_key object_id kind code scheme"),
    "identifier": ("patient_key:k value:p kind:p tie:p object_id:p object_kind:t", "value kind tie"),
    "consent": (
        "patient_key:k entry_uuid:p unique_id:- status:- valid_from:t valid_until:t signer:t signed_at:t reason:t"
        " policy:-",
        "patient_key entry_uuid",
    ),
}
WHOLE, OWNED, LISTS = "identifier", ("identifier", "code"), ("author_person", "reference_id")
WITHOUT_ROWID = ("identifier", "code")
INDEXES = {
    "document_entry": {
        "ix_document_entry_class_newest": ["class_code", "class_scheme", "creation_time"],
        "ix_document_entry_facility_newest": ["facility_type_code", "facility_type_scheme", "creation_time"],
    },
    "association": {
        "ix_association_source": ["patient_key", "source"],
        "ix_association_target": ["patient_key", "target"],
    },
    "code": {"ix_code_everywhere": ["code", "scheme", "kind", "patient_key", "object_id"]},
}
Row = dict[str, Any]


def upgrade() -> None:
    connection = op.get_bind()
    on_postgresql = connection.dialect.name == "postgresql"
    for table in (*TABLES, *LISTS):
        _set_aside(connection, table)
    for table in TABLES:
        _create(table, on_postgresql)
    former = sa.MetaData()
    former.reflect(connection, only=[f"{table}_former" for table in (*TABLES, *LISTS)])
    for keys in _patients(connection):
        for table, rows in _of_patients(connection, former, keys).items():
            _insert(connection, table, rows)
    for rows in _identifiers(connection, former):
        _insert(connection, WHOLE, rows)
    for table in (*TABLES, *LISTS):
        op.execute(f"DROP TABLE {table}_former")
    for table, (_, key) in TABLES.items():
        if on_postgresql:
            op.create_primary_key(f"pk_{table}", table, key.split())
        for name, columns in INDEXES.get(table, {}).items():
            op.create_index(name, table, columns)
        if on_postgresql and table not in OWNED:
            op.create_foreign_key(f"fk_{table}_patient_key", table, "patient", ["patient_key"], ["key"])


def _set_aside(connection: Connection, table: str) -> None:
    """Give the name of a table free, and those of its parts and indexes."""
    if connection.dialect.name == "sqlite":
        names = connection.execute(
            sa.text("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = :table AND sql IS NOT NULL"),
            {"table": table},
        ).scalars()
        for name in names.all():
            op.execute(f"DROP INDEX {name}")
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_former")
        return
    parts = connection.execute(
        sa.text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = to_regclass(:table)"),
        {"table": table},
    ).scalars()
    for name in parts.all():
        op.execute(f"ALTER TABLE {name} RENAME TO {name}_former")
    indexes = connection.execute(
        sa.text("SELECT indexname FROM pg_indexes WHERE tablename = :table AND schemaname = current_schema()"),
        {"table": table},
    ).scalars()
    for name in indexes.all():
        op.execute(f"ALTER INDEX {name} RENAME TO {name}_former")
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_former")


def _columns(table: str) -> list[tuple[str, str]]:
    return [(name, kind) for name, _, kind in (one.partition(":") for one in TABLES[table][0].split())]


def _create(table: str, on_postgresql: bool) -> None:  # noqa: FBT001 - one of two engines
    columns: list[Any] = [_column(name, kind) for name, kind in _columns(table)]
    if not on_postgresql:
        columns.append(sa.PrimaryKeyConstraint(*TABLES[table][1].split(), name=f"pk_{table}"))
        if table not in OWNED:
            columns.append(sa.ForeignKeyConstraint(["patient_key"], ["patient.key"], name=f"fk_{table}_patient_key"))
    divided: dict[str, Any] = {} if table == WHOLE else {"postgresql_partition_by": "HASH (patient_key)"}
    op.create_table(table, *columns, sqlite_with_rowid=table not in WITHOUT_ROWID, **divided)
    if on_postgresql and divided:
        for number in range(PARTS):
            part = f"FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {number})"
            op.execute(f"CREATE TABLE {table}_p{number:02} PARTITION OF {table} {part}")


def _column(name: str, kind: str) -> sa.Column[Any]:
    given: dict[str, Any] = {"nullable": False}
    if kind in "kib":
        type_: Any = sa.Boolean() if kind == "b" else sa.Integer()
        if name in ("version", "latest"):
            given["server_default"] = sa.text("true") if kind == "b" else "1"
    elif kind in "pf":
        type_ = sa.LargeBinary()
    else:
        type_ = text
        if kind == "t":
            given["server_default"] = ""
    return sa.Column(name, type_, **given)


def _patients(connection: Connection) -> Iterator[list[int]]:
    after = -1
    query = sa.text("SELECT key FROM patient WHERE key > :after ORDER BY key LIMIT :most")
    while keys := list(connection.execute(query, {"after": after, "most": PATIENTS_AT_ONCE}).scalars()):
        yield keys
        after = keys[-1]


def _of_patients(connection: Connection, former: sa.MetaData, keys: list[int]) -> dict[str, list[Row]]:
    """The rows of these patients as they are now."""

    def read(table: str) -> list[Row]:
        old = former.tables[f"{table}_former"]
        query = sa.select(old).where(old.c.patient_key.in_(keys))
        if "position" in old.c:
            query = query.order_by(old.c.position)
        return [dict(row) for row in connection.execute(query).mappings()]

    persons: dict[str, list[str]] = defaultdict(list)
    references: dict[str, list[str]] = defaultdict(list)
    for row in read("author_person"):
        persons[row["object_id"]].append(row["person"])
    for row in read("reference_id"):
        references[row["object_id"]].append(row["value"])
    rows = {table: read(table) for table in TABLES if table != WHOLE}
    for row in rows["document_entry"]:
        _entry(row, persons[row["id"]], references[row["id"]])
    for row in rows["submission_set"]:
        row["author_persons"] = _list(persons[row["id"]])
    rows["code"] = [row for row in rows["code"] if row["kind"] != "confidentiality"]
    return rows


def _entry(row: Row, persons: list[str], references: list[str]) -> None:
    facts = json.loads(row["facts"])
    # In the order of facts, which is another than that of the columns.
    names = ("class", "type", "format", "facility_type", "practice_setting")
    single = [[row[f"{name}_code"], row[f"{name}_scheme"]] for name in names]
    if [pair if any(pair) else None for pair in single] == facts[0]:
        facts[0] = 0
    listed = list(dict.fromkeys((_normal(code), _normal(scheme)) for code, scheme in facts[1]))
    if [list(pair) for pair in listed] == facts[1]:
        facts[1] = 0
    if facts[6] == references:
        facts[6] = 0
    row |= {
        "confidentiality": _list([_coded(*pair) for pair in listed]),
        "author_persons": _list(persons),
        "reference_ids": _list(references),
        "facts": write(facts),
    }


def _coded(code: str, scheme: str) -> str:
    word = pack(scheme)
    known = len(word) == 1 and word[0] >= FIRST_WORD
    return f"{code}\ufffe{word.decode('latin-1')}" if known else f"{code}\uffff{scheme}"


def _normal(value: str) -> str:
    return value if value.isascii() else unicodedata.normalize("NFC", value)


def _list(values: list[str]) -> str:
    return write(values) if values else ""


def _identifiers(connection: Connection, former: sa.MetaData) -> Iterator[list[Row]]:
    query = sa.select(former.tables["identifier_former"])
    rows = []
    for row in connection.execute(query, execution_options={"yield_per": ROWS_AT_ONCE}).mappings():
        sole = bool(row["sole"]) or row["kind"] == "uuid"
        tie = "" if sole else row["object_id"]
        named = row["object_id"] in (tie, row["value"])
        rows.append(dict(row) | {"tie": tie, "object_id": "" if named else row["object_id"]})
        if len(rows) == ROWS_AT_ONCE:
            yield rows
            rows = []
    yield rows


def _insert(connection: Connection, table: str, rows: Iterable[Row]) -> None:
    columns = _columns(table)
    values = [[pack(row[name]) if kind == "p" else row[name] for name, kind in columns] for row in rows]
    if not values:
        return
    names = ", ".join(name for name, _ in columns)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        driver.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)  # noqa: S608 - our own names
        return
    kinds = {"k": "int4", "i": "int4", "b": "bool", "p": "bytea", "f": "bytea"}
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types([kinds.get(kind, "text") for _, kind in columns])
        for row in values:
            copy.write_row(row)
