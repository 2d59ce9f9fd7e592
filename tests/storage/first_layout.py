"""Rows as the first migration's tables took them, from objects and from the rows that a registry has today."""

from __future__ import annotations

import json
import unicodedata
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.storage.worlds import World
from xdsi.domain.codes import Code
from xdsi.domain.identifiers import from_xcn, from_xon
from xdsi.domain.metadata import DocumentEntry, Folder, RegistryObject
from xdsi.storage.database import reading
from xdsi.storage.tables import metadata
from xdsi.wire.ebxml import fragment_dictionary, markup

OF_THE_FIRST = (
    "patient", "identifier", "submission_set", "document_entry", "folder", "association", "code", "author_person",
    "reference_id", "consent", "document",
)  # fmt: skip
Row = dict[str, Any]


def rows(engine: Engine, world: World, first: sa.MetaData) -> dict[str, list[Row]]:
    """What a registry with these objects would have had in the first tables."""
    objects: dict[str, RegistryObject] = {one.entry_uuid: one for one in world.submission.objects}
    found: dict[str, list[Row]] = {"author_person": [], "reference_id": []}
    with reading(engine) as connection:
        for name in OF_THE_FIRST:
            if name not in found:
                table = metadata.tables[name]
                found[name] = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
    source_id = world.sets[0].source_id
    for name in ("document_entry", "submission_set", "folder", "association"):
        for row in found[name]:
            one = objects[row["id"]]
            row["fragment"] = _fragment(one)
            if isinstance(one, DocumentEntry):
                row["facts"] = _facts(one, source_id)
                found["code"] += [
                    _part(row, kind="confidentiality", code=_normal(code.code), scheme=_normal(code.scheme))
                    for code in dict.fromkeys(one.confidentiality_codes)
                ]
                found["reference_id"] += [
                    _part(row, position=position, value=_normal(value))
                    for position, value in enumerate(one.reference_ids)
                ]
            persons = [author.person for author in getattr(one, "authors", ()) if author.person]
            found["author_person"] += [
                _part(row, position=position, person=_normal(person)) for position, person in enumerate(persons)
            ]
    for row in found["identifier"]:
        tie = row.pop("tie")
        row["sole"] = row["kind"] == "unique" and not tie
        row["object_id"] = row["object_id"] or tie or row["value"]
    return {name: [_only(row, first.tables[name].c.keys()) for row in some] for name, some in found.items()}


def _only(row: Mapping[str, Any], names: Iterable[str]) -> Row:
    return {name: row[name] for name in names}


def _part(row: Mapping[str, Any], **values: Any) -> Row:
    return {"patient_key": row["patient_key"], "object_id": row["id"], **values}


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _fragment(one: RegistryObject) -> bytes:
    """With the ids in the text, packed with the first dictionary."""
    versioned = isinstance(one, DocumentEntry | Folder)
    given = {"availability_status": ""}
    if versioned:
        given |= {"logical_id": "", "version": "\0v"}
    if isinstance(one, Folder):
        given["last_update_time"] = "\0t"
    if getattr(one, "patient_id", ""):
        given["patient_id"] = "\0p"
    gap = {(True, True): "a", (True, False): "l", (False, True): "h", (False, False): "s"}
    text = markup.write(one, given=given, standalone=True)
    text = text.replace(' id="', f'\0{gap[versioned, not one.home_community_id]} id="', 1)
    packer = zlib.compressobj(3, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=fragment_dictionary.FIRST)
    return b"\x01" + packer.compress(text.encode()) + packer.flush()


def _facts(entry: DocumentEntry, source_id: str) -> str:
    single = (
        entry.class_code, entry.type_code, entry.format_code, entry.healthcare_facility_type_code,
        entry.practice_setting_code,
    )  # fmt: skip

    def pair(code: Code | None) -> list[str] | None:
        return [code.code, code.scheme] if code is not None else None

    def instances(read: Any, values: Iterable[str]) -> list[list[str]]:
        return [[one.root, one.extension] for one in map(read, filter(None, values)) if one is not None]

    facts = [
        [pair(code) for code in single],
        [pair(code) for code in entry.confidentiality_codes],
        [pair(code) for code in entry.event_codes],
        instances(from_xon, (xon for author in entry.authors for xon in author.institutions)),
        instances(from_xcn, (author.person for author in entry.authors)),
        instances(from_xcn, (entry.legal_authenticator,)),
        entry.reference_ids,
        entry.source_patient_id,
        source_id,
    ]
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
