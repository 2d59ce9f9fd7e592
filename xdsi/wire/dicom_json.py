"""Data sets of the DICOM JSON model, and those of Orthanc's own form, as if they had been read from a file.

DICOM PS3.18 annex F. Text is UTF-8 in both, so that whatever character set a file had no longer matters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from xdsi.domain.errors import MalformedMessage
from xdsi.spec import tags
from xdsi.wire.dicom_header import INDEXED
from xdsi.wire.dicom_text import DataSet, Items

_DEPTH = 16
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_ORTHANC_TAG = re.compile(r"[0-9A-Fa-f]{4},[0-9A-Fa-f]{4}")
_PERSON = ("Alphabetic", "Ideographic", "Phonetic")


def dataset(record: object) -> DataSet:
    """The elements of a DICOM JSON object that manifests are made of; MalformedMessage for what is none."""
    return _read(record, _element, _DEPTH)


def orthanc_dataset(record: object) -> DataSet:
    """The same of the answer of Orthanc to `/instances/{id}/tags`."""
    return _read(record, _orthanc_element, _DEPTH)


def _read(record: object, element: Callable[[str, Any, int], tuple[int, Any] | None], depth: int) -> DataSet:
    if not isinstance(record, Mapping):
        raise MalformedMessage("not a DICOM JSON object", expected="an object with a member for each element")
    if depth == 0:
        raise MalformedMessage("sequences are nested too deep", expected=f"at most {_DEPTH} levels")
    found = DataSet()
    for name, value in record.items():
        read = element(name, value, depth)
        if read is not None:
            found[read[0]] = read[1]
    found[tags.SPECIFIC_CHARACTER_SET] = b"ISO_IR 192"
    return found


def _element(name: str, member: Any, depth: int) -> tuple[int, Any] | None:
    if not _TAG.fullmatch(name) or int(name, 16) not in INDEXED or not isinstance(member, Mapping):
        return None
    values = member.get("Value") or []
    if not isinstance(values, list):
        if not isinstance(values, str | Mapping):
            raise MalformedMessage("the values of an element are no array", location=name)
        # Some archives write a single value so.
        values = [values]
    if member.get("vr") == "SQ":
        return int(name, 16), Items(_read(item, _element, depth - 1) for item in values if isinstance(item, Mapping))
    return int(name, 16), _encoded("\\".join(map(_text, values)))


def _encoded(text: str) -> bytes:
    """In UTF-8, half characters that JSON can hold replaced."""
    return text.encode("utf-8", "replace")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "=".join(str(value.get(part) or "") for part in _PERSON).rstrip("=")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _orthanc_element(name: str, member: Any, depth: int) -> tuple[int, Any] | None:
    if not _ORTHANC_TAG.fullmatch(name) or not isinstance(member, Mapping):
        return None
    tag = int(name.replace(",", ""), 16)
    if tag not in INDEXED:
        return None
    value = member.get("Value")
    if member.get("Type") == "Sequence":
        items = value if isinstance(value, list) else []
        return tag, Items(_read(item, _orthanc_element, depth - 1) for item in items if isinstance(item, Mapping))
    return tag, _encoded(str(value or ""))


def records(answer: object) -> Iterator[DataSet]:
    """Each data set of the answer to a search."""
    if not isinstance(answer, list):
        raise MalformedMessage("not the answer to a search", expected="an array of DICOM JSON objects")
    return map(dataset, answer)
