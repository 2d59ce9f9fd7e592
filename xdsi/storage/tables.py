"""The schema on one page; same tables on SQLite and PostgreSQL.

Rows belong to an internal patient key that never changes: merges are resolved when reading. Primary keys begin with
it, and PostgreSQL divides the tables of objects by it (`PARTITIONED`; docs/scaling.md). `patient` and `identifier` stay
whole, and `identifier` routes every query by id to the patient whose rows hold the answer.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.sql.type_api import TypeEngine

from xdsi.storage.packed import Packed

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Compared byte by byte on both engines, whatever the locale of the server.
Exact: TypeEngine[str] = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite numbers rows by itself only for a column of the type INTEGER.
Key: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
# Two thousand million patients; four bytes less in every row and in every index.
PatientKey: TypeEngine[int] = Integer()


# What belongs to a patient lies in one of sixteen parts, by hash of the patient key; SQLite has no such thing.
PARTITIONS = 16
_BY_PATIENT = "HASH (patient_key)"


def _text(name: str) -> Column[str]:
    """Text that is never NULL; absent is empty, as in the domain."""
    return Column(name, Exact, nullable=False, server_default="")


def _packed(name: str, *, primary_key: bool = False) -> Column[str]:
    """Text in few bytes; absent is empty."""
    return Column(name, Packed, nullable=False, primary_key=primary_key, default=None if primary_key else "")


def _list(name: str) -> Column[str]:
    """Several texts as a JSON array; none is empty (`lists`)."""
    return Column(name, Exact, nullable=False, server_default="")


def _owner() -> Column[int]:
    return Column("patient_key", PatientKey, ForeignKey("patient.key"), primary_key=True, autoincrement=False)


def _fragment() -> Column[bytes]:
    """The object's canonical ebRIM text with gaps; the last column, so that what lies before it is read without it."""
    return Column("fragment", LargeBinary, nullable=False)


# --- identities ------------------------------------------------------------------------------------------------------

patient = Table(
    "patient",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=True),
    Column("authority", Exact, nullable=False),
    Column("id", Exact, nullable=False),
    Column("status", Exact, nullable=False, server_default="active"),
    Column("survivor_key", Key, ForeignKey("patient.key")),
    Column("consent_epoch", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("authority", "id"),
    Index("ix_patient_survivor_key", "survivor_key", sqlite_where=text("survivor_key IS NOT NULL"),
          postgresql_where=text("survivor_key IS NOT NULL")),
)  # fmt: skip
"""Identifiers of patients; `survivor_key` is what it was merged into, one step."""

patient_demographics = Table(
    "patient_demographics",
    metadata,
    Column("patient_key", Key, ForeignKey("patient.key"), primary_key=True, autoincrement=False),
    _text("name"),
    _text("birth_date"),
    _text("sex"),
    _text("source"),
    Column("created", Exact, nullable=False),
    Column("updated", Exact, nullable=False),
)
"""What feeds say of the person, beside the narrow table that every query reads; `name` as XPN, times ISO 8601."""

# --- registry --------------------------------------------------------------------------------------------------------

document_entry = Table(
    "document_entry",
    metadata,
    _owner(),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("latest", Boolean, nullable=False, server_default=text("true")),
    Column("on_demand", Boolean, nullable=False),
    _packed("id", primary_key=True),
    _packed("unique_id"),
    _packed("repository_unique_id"),
    _packed("logical_id"),
    _packed("status"),
    _packed("availability"),
    _text("creation_time"),
    _text("service_start_time"),
    _text("service_stop_time"),
    _packed("class_code"),
    _packed("class_scheme"),
    _packed("type_code"),
    _packed("type_scheme"),
    _packed("format_code"),
    _packed("format_scheme"),
    _packed("practice_setting_code"),
    _packed("practice_setting_scheme"),
    _packed("facility_type_code"),
    _packed("facility_type_scheme"),
    _packed("home_community_id"),
    _list("confidentiality"),
    _list("author_persons"),
    _list("reference_ids"),
    Column("facts", Exact, nullable=False),
    _fragment(),
    Index("ix_document_entry_class_newest", "class_code", "class_scheme", "creation_time"),
    Index("ix_document_entry_facility_newest", "facility_type_code", "facility_type_scheme", "creation_time"),
    postgresql_partition_by=_BY_PATIENT,
)
"""`facts` is compact JSON: what consent decides on and no column holds."""

submission_set = Table(
    "submission_set",
    metadata,
    _owner(),
    _packed("id", primary_key=True),
    _packed("unique_id"),
    _packed("source_id"),
    _text("submission_time"),
    _packed("status"),
    _packed("content_type_code"),
    _packed("content_type_scheme"),
    _packed("home_community_id"),
    _list("author_persons"),
    _fragment(),
    postgresql_partition_by=_BY_PATIENT,
)

folder = Table(
    "folder",
    metadata,
    _owner(),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("latest", Boolean, nullable=False, server_default=text("true")),
    _packed("id", primary_key=True),
    _packed("unique_id"),
    _packed("logical_id"),
    _packed("status"),
    _text("last_update_time"),
    _packed("home_community_id"),
    _fragment(),
    postgresql_partition_by=_BY_PATIENT,
)

association = Table(
    "association",
    metadata,
    _owner(),
    Column("target_patient_key", PatientKey, nullable=False),
    _packed("id", primary_key=True),
    _packed("type"),
    _packed("source"),
    _packed("target"),
    _text("source_kind"),
    _text("target_kind"),
    _packed("status"),
    _packed("home_community_id"),
    _fragment(),
    Index("ix_association_source", "patient_key", "source"),
    Index("ix_association_target", "patient_key", "target"),
    postgresql_partition_by=_BY_PATIENT,
)
"""Lies with the patient of its source; the kinds of its ends are letters as in `identifier.object_kind`."""

code = Table(
    "code",
    metadata,
    Column("patient_key", PatientKey, primary_key=True, autoincrement=False),
    _packed("object_id", primary_key=True),
    _packed("kind", primary_key=True),
    _packed("code", primary_key=True),
    _packed("scheme", primary_key=True),
    Index("ix_code_everywhere", "code", "scheme", "kind", "patient_key", "object_id"),
    sqlite_with_rowid=False,
    postgresql_partition_by=_BY_PATIENT,
)
"""Codes of an attribute with several values that registrywide queries begin at; kind is `event` or `folder`."""

identifier = Table(
    "identifier",
    metadata,
    Column("patient_key", PatientKey, nullable=False),
    _packed("value", primary_key=True),
    _packed("kind", primary_key=True),
    _packed("tie", primary_key=True),
    _packed("object_id"),
    _text("object_kind"),
    sqlite_with_rowid=False,
)
"""Where to look for what has this id. Kinds: `uuid`; `unique` (uniqueId); `lid` (of later versions); `study` (Study
Instance UID of a manifest); `target` (an object that an association of another patient points at).

A value may lead to several objects; then `tie` is the object's id. Where it may be taken once in the whole registry
(entryUUID, uniqueId of a SubmissionSet or of a new Folder) `tie` is empty, and the primary key sees to it. `object_id`
is empty where `tie`, or else `value`, says it already.
"""

consent = Table(
    "consent",
    metadata,
    _owner(),
    _packed("entry_uuid", primary_key=True),
    Column("unique_id", Exact, nullable=False),
    Column("status", Exact, nullable=False),
    _text("valid_from"),
    _text("valid_until"),
    _text("signer"),
    _text("signed_at"),
    _text("reason"),
    Column("policy", Exact, nullable=False),
    postgresql_partition_by=_BY_PATIENT,
)
"""Consent documents in verified form; times are ISO 8601, `policy` is the policy tree as JSON."""

# --- documents -------------------------------------------------------------------------------------------------------

document = Table(
    "document",
    metadata,
    Column("unique_id", Exact, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("sha1", String(40), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mime_type", Exact, nullable=False),
    Column("verified", Exact, nullable=False, server_default=""),
    Column("quarantined", Boolean, nullable=False, server_default=text("false")),
    Column("claims", Integer, nullable=False, server_default=text("1")),
    _text("stored"),
    Column("confirmed", Integer, nullable=False, server_default=text("0")),
    _text("claimed"),
    Column("blake3", String(64), nullable=False, server_default=""),
    Index("ix_document_sha256", "sha256"),
    Index(
        "ix_document_claimed",
        "claimed",
        sqlite_where=text("claims > confirmed"),
        postgresql_where=text("claims > confirmed"),
    ),
)
"""What the store of documents holds; `verified` is the state of the file when its hash was last found right, `claims`
how many submissions published it, `confirmed` how many of them are known to be registered, `claimed` when the newest
came and `stored` the first (ISO 8601, UTC); `blake3` is empty where only `sha256` is known."""

hold = Table(
    "hold",
    metadata,
    Column("number", Key, primary_key=True, autoincrement=True),
    Column("kind", Exact, nullable=False),
    Column("target", Exact, nullable=False, index=True),
    Column("patient_key", Key, index=True),
    Column("reason", Exact, nullable=False),
    Column("placed_by", Exact, nullable=False),
    Column("placed_at", Exact, nullable=False),
    _text("until"),
    _text("ended"),
)
"""Legal holds: `kind` is `document` (target is a uniqueId) or `patient` (a CX, with its key); times ISO 8601, UTC.

`ended` is when somebody ended one, and empty until then. The row stays, so that its number is never another hold's."""

copy_in_doubt = Table(
    "copy_in_doubt",
    metadata,
    Column("copy", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("since", Double, nullable=False),
    Column("superseded", Boolean, nullable=False),
    Column("store", Exact, nullable=False, server_default=""),
    Index("ix_copy_in_doubt_since", "since"),
)
"""Copies of documents in a store without a journal of its own that are not confirmed, or that fresh ones superseded;
`sha256` is empty while a copy arrives, `since` in seconds of the Unix epoch."""

# --- hospital --------------------------------------------------------------------------------------------------------

publication = Table(
    "publication",
    metadata,
    Column("number", Key, primary_key=True, autoincrement=True),
    Column("study_instance_uid", Exact, nullable=False),
    Column("content", Exact, nullable=False),
    Column("state", Exact, nullable=False),
    Column("unique_id", Exact, nullable=False),
    Column("entry_uuid", Exact, nullable=False),
    Column("submission_set", Exact, nullable=False),
    Column("repository_unique_id", Exact, nullable=False),
    Column("patient", Exact, nullable=False),
    Column("source_patient", Exact, nullable=False),
    Column("replaces", Exact, nullable=False, server_default=""),
    Column("at", Exact, nullable=False),
    Column("reason", Exact, nullable=False, server_default=""),
    Column("series", Exact, nullable=False, server_default=""),
    Column("created", Exact, nullable=False, server_default=""),
    Column("confidentiality_codes", Exact, nullable=False, server_default="[]"),
    Column("documents", Exact, nullable=False, server_default="[]"),
    Index("ix_publication_study", "study_instance_uid", "number"),
)
"""Manifests that this hospital sent: `state` is `sending`, `published`, `refused` or `abandoned`; `content` is a digest
of what the manifest says, so that a study that did not change is not published again. With `series` and `created` a
manifest whose answer was lost is made again, to the byte. `confidentiality_codes` and `documents` are JSON."""

publication_job = Table(
    "publication_job",
    metadata,
    Column("study_instance_uid", Exact, primary_key=True),
    Column("state", Exact, nullable=False),
    Column("due", Double, nullable=False),
    Column("since", Double, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("origin", Exact, nullable=False),
    _text("reason"),
    Index("ix_publication_job_due", "state", "due"),
)
"""Studies to be looked at and published: `state` is `waiting` or `dead`, times in seconds of the Unix epoch; each new
trigger adds one to `generation`, so that what came while a study was looked at is not lost."""

notice = Table(
    "notice",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    Column("recipient", Exact, nullable=False),
    Column("patient", Exact, nullable=False, index=True),
    Column("at", Exact, nullable=False),
    Column("content", Exact, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("sent_at", Exact, nullable=False, server_default=""),
    Column("reason", Exact, nullable=False, server_default=""),
    Index("ix_notice_waiting", "recipient", "id", sqlite_where=text("sent_at = ''"),
          postgresql_where=text("sent_at = ''")),
)  # fmt: skip
"""What persons are to be told, such as emergencies that overrode consent; `content` is JSON, times are ISO 8601."""

archive_study = Table(
    "archive_study",
    metadata,
    Column("study_instance_uid", Exact, primary_key=True),
    Column("state", Exact, nullable=False),
)
"""What the archive told of each study when it was last compared."""

archive_cursor = Table(
    "archive_cursor",
    metadata,
    Column("archive", Exact, primary_key=True),
    Column("cursor", Exact, nullable=False),
)
"""How far the archive's record of changes was followed."""

study_accession = Table(
    "study_accession",
    metadata,
    Column("accession", Exact, primary_key=True),
    Column("study_instance_uid", Exact, primary_key=True),
)
"""Accession numbers of studies that were looked at, so that a message about an order leads to its studies."""

final_report = Table(
    "final_report",
    metadata,
    Column("reference", Exact, primary_key=True),
    Column("at", Double, nullable=False),
)
"""Studies whose report is final as a message said: an accession number, or a Study Instance UID after `study:`."""

performed_step = Table(
    "performed_step",
    metadata,
    Column("uid", Exact, primary_key=True),
    Column("study_instance_uid", Exact, primary_key=True),
    Column("ended", Boolean, nullable=False),
    Column("at", Double, nullable=False),
)
"""Performed procedure steps that a modality told of when it began, with the studies they are of: when it ends, it does
not say them again."""

# --- traces ----------------------------------------------------------------------------------------------------------

trace = Table(
    "trace",
    metadata,
    Column("number", Key, primary_key=True, autoincrement=True),
    Column("id", Exact, nullable=False, index=True),
    Column("at", Exact, nullable=False),
    Column("record", Exact, nullable=False),
)
"""What happened in an exchange, as JSON, for operators."""

# --- audit -----------------------------------------------------------------------------------------------------------

audit_record = Table(
    "audit_record",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=True),
    Column("chain", Exact, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("time", String(27), nullable=False),
    _text("trace"),
    Column("transaction", Exact, nullable=False),
    _text("patient"),
    _text("user_id"),
    Column("outcome", SmallInteger, nullable=False),
    Column("direction", Exact, nullable=False),
    _text("peer"),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("digest", String(64)),
    Column("forwarded_at", String(27)),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("xml", LargeBinary, nullable=False),
    UniqueConstraint("chain", "sequence"),
    Index("ix_audit_record_patient_time", "patient", "time"),
    Index("ix_audit_record_user_id_time", "user_id", "time"),
    Index("ix_audit_record_time", "time"),
    Index("ix_audit_record_trace", "trace"),
    Index("ix_audit_record_digest", "digest", sqlite_where=text("digest IS NOT NULL"),
          postgresql_where=text("digest IS NOT NULL")),
    Index("ix_audit_record_pending", "id", sqlite_where=text("forwarded_at IS NULL AND direction = 'sent'"),
          postgresql_where=text("forwarded_at IS NULL AND direction = 'sent'")),
)  # fmt: skip
"""Append-only but for `forwarded_at` and `attempts`, which the hash does not cover. Times are ISO 8601, UTC; `digest`
(SHA-256 of `xml`) is set where a record was received, to know it when it comes again."""

audit_chain_head = Table(
    "audit_chain_head",
    metadata,
    Column("chain", Exact, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("time", String(27), nullable=False),
    Column("linked", Boolean, nullable=False, server_default=text("false")),
    Column("closed", Boolean, nullable=False, server_default=text("false")),
)
"""Every chain of audit records, and its head when last looked at; `linked` when a record of another chain names it."""

# --- assertions ------------------------------------------------------------------------------------------------------

assertion_use = Table(
    "assertion_use",
    metadata,
    Column("issuer", Exact, primary_key=True),
    Column("id", Exact, primary_key=True),
    Column("until", Exact, nullable=False, index=True),
    sqlite_with_rowid=False,
)
"""Assertions that were used, until they end."""

# --- messages --------------------------------------------------------------------------------------------------------

answered_message = Table(
    "answered_message",
    metadata,
    Column("sender", Exact, primary_key=True),
    Column("message_id", Exact, primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("trace", Exact, nullable=False),
    Column("answer", LargeBinary, nullable=False),
)
"""Messages that changed something and what they were answered, for some minutes; `at` in seconds since 1970."""

PARTITIONED = (document_entry, submission_set, folder, association, code, consent)
"""The tables that PostgreSQL divides by patient."""


def partitions(table: Table) -> tuple[str, ...]:
    """The names of the parts of a table on PostgreSQL."""
    return tuple(f"{table.name}_p{number:02}" for number in range(PARTITIONS)) if table in PARTITIONED else ()
