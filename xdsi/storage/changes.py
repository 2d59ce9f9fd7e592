"""What changes the registry: storing a submission, deprecating entries, touching folders.

ITI TF-2 3.42.4.1.3.3.5 (all or nothing), 3.42.4.1.3.5 (replacement); Metadata Update 4.1.5 (versions).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from sqlalchemy import and_, bindparam, update
from sqlalchemy.engine import Connection

from xdsi.domain.errors import Rejected
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import Association, DocumentEntry, Folder
from xdsi.domain.outcome import Problem
from xdsi.domain.submission import Submission
from xdsi.storage import consents, driver, removal
from xdsi.storage import tables as t
from xdsi.storage.packed import pack
from xdsi.storage.people import People
from xdsi.storage.prepared import PreparedInsert
from xdsi.storage.routes import IdKind, Routes, at_places, place_binds
from xdsi.storage.rows import INSERT_ORDER, Ends, Rows
from xdsi.storage.wording import letter_of

_INSERTS: Final = {table: PreparedInsert(table, table.c.keys()) for table in INSERT_ORDER}
_DEPRECATE: Final = (
    update(t.document_entry)
    .where(at_places(t.document_entry), t.document_entry.c.status == "Approved")
    .values(status="Deprecated")
    .returning(t.document_entry.c.patient_key, t.document_entry.c.id)
)
_PROGRAM_LIMIT_EXCEEDED: Final = "54000"
# A submission that began earlier may be stored later; the time of a Folder's latest change never goes back.
_TOUCH: Final = (
    update(t.folder)
    .where(at_places(t.folder), t.folder.c.last_update_time < bindparam("now"))
    .values(last_update_time=bindparam("now"))
)
_SUPERSEDE: Final = {
    letter: update(table)
    .where(and_(at_places(table), table.c.logical_id == bindparam("lid"), table.c.version < bindparam("newer")))
    .values(latest=False)
    for letter, table in (("D", t.document_entry), ("F", t.folder))
}


def save(connection: Connection, people: People, routes: Routes, submission: Submission) -> None:
    """Store objects with their final ids.

    Raises Rejected where another submission registered one of the ids in the meantime.
    """
    ends = _ends(connection, people, routes, submission)
    source_id = submission.submission_sets[0].source_id if submission.submission_sets else ""
    rows = Rows()
    for one in submission.objects:
        rows.add(one, ends[one.entry_uuid][1], source_id=source_id, ends=ends)
    try:
        with driver.together(connection):
            for table, values in rows.by_table.items():
                if values:
                    _INSERTS[table].many(connection, values)
    except (sqlite3.IntegrityError, psycopg.Error) as error:
        raise Rejected((_unacceptable(error, connection, rows.by_table[t.identifier]),)) from error
    for one in submission.objects:
        routes.note(one.entry_uuid, letter_of(one), ends[one.entry_uuid][1])
        if isinstance(one, DocumentEntry | Folder) and (one.version or 1) > 1:
            _supersede(connection, people, routes, one)


def deprecate(connection: Connection, people: People, routes: Routes, entry_uuids: Sequence[str]) -> list[str]:
    """Set DocumentEntries to Deprecated; returns the ids that were still Approved."""
    places = [route.place for route in routes.of_ids(entry_uuids).values() if route.letter == "D"]
    changed = [
        (row.patient_key, row.id) for binds in place_binds(places) for row in connection.execute(_DEPRECATE, binds)
    ]
    if changed:
        people.advance_epoch(consents.bearers(connection, changed))
    ids = {id_ for _, id_ in changed}
    return [id_ for id_ in dict.fromkeys(entry_uuids) if id_ in ids]


def touch_folders(connection: Connection, routes: Routes, entry_uuids: Sequence[str], last_update_time: str) -> None:
    """Set lastUpdateTime of Folders."""
    places = [route.place for route in routes.of_ids(entry_uuids).values() if route.letter == "F"]
    for binds in place_binds(places):
        connection.execute(_TOUCH, binds | {"now": last_update_time})


def _ends(connection: Connection, people: People, routes: Routes, submission: Submission) -> Ends:
    """Kind and patient of every object submitted or named; an association lies with its source.

    What is named but not submitted is held, so that nobody removes it meanwhile; Rejected where somebody has.
    """
    ends: Ends = {}
    keys: dict[str, int] = {}
    set_patient = next((one.patient_id for one in submission.submission_sets), "")
    for one in submission.objects:
        if not isinstance(one, Association):
            cx = one.patient_id or set_patient
            if cx not in keys:
                keys[cx] = people.key_to_write(PatientId.parse(cx))
            ends[one.entry_uuid] = (letter_of(one), keys[cx])
    own = {one.entry_uuid for one in submission.objects}
    named = [end for one in submission.associations for end in (one.source, one.target) if end not in own]
    known = routes.of_ids(named)
    gone = known.keys() - removal.hold(connection, routes, named) if named else ()
    if gone:
        raise Rejected(tuple(_removed(id_) for id_ in sorted(gone)))
    for id_, route in known.items():
        ends[id_] = (route.letter, route.patient_key)
    for one in submission.associations:
        if one.source not in ends:
            raise LookupError(f"association {one.entry_uuid} begins at {one.source}, which is not registered")
        ends[one.entry_uuid] = ("A", ends[one.source][1])
    for one in submission.associations:
        if one.target not in ends:
            raise LookupError(f"association {one.entry_uuid} points at {one.target}, which is not registered")
    return ends


def _removed(id_: str) -> Problem:
    text = f"{id_} was removed at the same moment"
    return Problem("UnresolvedReferenceException", text, location=id_, rule="SUBMISSION.reference.removed")


def _supersede(connection: Connection, people: People, routes: Routes, one: DocumentEntry | Folder) -> None:
    """Earlier versions of the same logical object are no longer the latest."""
    letter = letter_of(one)
    places = [
        route.place
        for route in routes.find([one.logical_id], IdKind.UUID, IdKind.LOGICAL)
        if route.letter == letter and route.id != one.entry_uuid
    ]
    for binds in place_binds(places):
        connection.execute(_SUPERSEDE[letter], binds | {"lid": one.logical_id, "newer": one.version})
    people.advance_epoch(consents.bearers(connection, places))


def _unacceptable(
    error: sqlite3.IntegrityError | psycopg.Error, connection: Connection, identifiers: Sequence[Mapping[str, Any]]
) -> Problem:
    """What a submission did that no check before could see; raises the error itself where it is not its fault."""
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError | psycopg.IntegrityError) and "identifier" in text:
        # A writer at the same moment was faster.
        if _is_unique_id(error, connection, identifiers):
            return Problem(
                "XDSDuplicateUniqueIdInRegistry",
                "the uniqueId of the SubmissionSet or of a Folder is registered already",
                rule="SUBMISSION.uniqueId.taken",
            )
        return Problem("XDSRegistryMetadataError", "an entryUUID is registered already", rule="SUBMISSION.id.taken")
    if getattr(error, "sqlstate", "") == _PROGRAM_LIMIT_EXCEEDED:
        return Problem("XDSRegistryMetadataError", f"a value is too long: {text}", rule="SUBMISSION.length")
    raise error


def _is_unique_id(cause: Any, connection: Connection, identifiers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether what was taken is a uniqueId rather than an entryUUID."""
    if connection.dialect.name == "postgresql":
        detail = str(getattr(getattr(cause, "diag", None), "message_detail", ""))
        return f", \\x{pack(IdKind.UNIQUE).hex()}, " in detail
    unique_ids = [row["value"] for row in identifiers if row["kind"] == IdKind.UNIQUE and not row["tie"]]
    own = {row["object_id"] for row in identifiers if row["kind"] == IdKind.UNIQUE}
    routes = Routes(connection).find(unique_ids, IdKind.UNIQUE)
    return any(route.letter in "SF" and route.id not in own for route in routes)
