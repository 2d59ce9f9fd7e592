"""The lines of a stream of metadata: JSON objects, a header, then one patient after the other, then the end.

    {"xdsi": "metadata", "version": 2, "patients": 2, "entries": 9}
    {"patient": {...}}            who; all that follows up to the next is this patient's
    {"document_entry": {...}}     also submission_set, folder, association: the columns of the row, without the patient
    {"consent": {...}}            the verified form of a consent among the entries
    {"end": {"patients": 2, "objects": 30}}

Internal patient keys do not leave a database; where another patient is meant, its identifier stands. A fragment is
base64 of what is kept. Rows that follow from others (the table of identifiers) are not in the stream.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Boolean, Column, Integer, Table

from xdsi.domain.errors import MalformedMessage
from xdsi.storage import tables as t

VERSION: Final = 2
OBJECTS: Final = {"S": t.submission_set, "D": t.document_entry, "F": t.folder, "A": t.association}
"""in this order: an association follows what it begins at"""
LETTERS: Final = {table.name: letter for letter, table in OBJECTS.items()}
PARTS: Final[dict[str, tuple[Table, ...]]] = {
    "S": (), "D": (t.code,), "F": (t.code,), "A": (),
}  # fmt: skip
"""the rows that an object has beside its own"""
PART_COLUMNS: Final = {
    table.name: tuple(column for column in table.c if column.name not in ("patient_key", "object_id"))
    for table in (t.code,)
}
DEMOGRAPHICS: Final = tuple(column for column in t.patient_demographics.c if column.name != "patient_key")
CONSENT: Final = tuple(column for column in t.consent.c if column.name != "patient_key")
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def write(kind: str, content: Mapping[str, Any]) -> str:
    """One line."""
    return _write({kind: content}) + "\n"


def columns_of(letter: str) -> tuple[Column[Any], ...]:
    """The columns of an object that stand in its line as they are."""
    apart = ("patient_key", "target_patient_key", "fragment")
    return tuple(column for column in OBJECTS[letter].c if column.name not in apart)


def read(line: str, number: int) -> tuple[str, dict[str, Any]]:
    """The kind of a line and what it says; MalformedMessage names the line."""
    try:
        found = json.loads(line)
    except ValueError as error:
        raise MalformedMessage(f"not JSON: {error}", location=f"line {number}") from error
    if not isinstance(found, dict):
        raise MalformedMessage("not a line of metadata", location=f"line {number}")
    if "xdsi" in found:
        return "header", found
    if len(found) != 1:
        raise MalformedMessage("not a line of metadata", location=f"line {number}")
    ((kind, content),) = found.items()
    if not isinstance(content, dict):
        raise MalformedMessage(f"{kind} is not an object", location=f"line {number}")
    return kind, content


def value(content: Mapping[str, Any], column: Column[Any], number: int) -> Any:
    """What a line says of a column; its default where it says nothing."""
    if column.name not in content:
        if column.server_default is None and column.default is None and not column.nullable:
            raise MalformedMessage(f"{column.name} is missing", location=f"line {number}")
        return _default(column)
    found = content[column.name]
    if isinstance(column.type, Boolean):
        right = isinstance(found, bool)
    elif isinstance(column.type, Integer):
        right = isinstance(found, int) and not isinstance(found, bool)
    else:
        right = isinstance(found, str) and "\0" not in found
    if not right:
        raise MalformedMessage(f"{column.name} cannot be {found!r:.60}", location=f"line {number}")
    return found


def fragment(content: Mapping[str, Any], number: int) -> bytes:
    """The fragment in a line."""
    try:
        return base64.b64decode(content["fragment"], validate=True)
    except (KeyError, TypeError, binascii.Error) as error:
        raise MalformedMessage("fragment is missing or not base64", location=f"line {number}") from error


def parts(content: Mapping[str, Any], table: Table, number: int) -> list[tuple[Any, ...]]:
    """The rows of a list of an object, without the patient and the object."""
    found = content.get(table.name, [])
    columns = PART_COLUMNS[table.name]
    if not isinstance(found, list) or not all(isinstance(row, list) and len(row) == len(columns) for row in found):
        raise MalformedMessage(f"{table.name} is not a list of rows", location=f"line {number}")
    names = [column.name for column in columns]
    return [tuple(value(dict(zip(names, row, strict=True)), column, number) for column in columns) for row in found]


def _default(column: Column[Any]) -> Any:
    if isinstance(column.type, Boolean):
        return True
    return 1 if isinstance(column.type, Integer) else ""
