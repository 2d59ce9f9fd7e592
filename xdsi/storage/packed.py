"""Identifiers, codes and the words of the standard in few bytes: columns that are only ever compared for equality.

    16 bytes          a UUID as entryUUIDs are written (`urn:uuid:` and lower case)
    one byte >= 128   a word of `_WORDS`
    1, then bytes     an OID, its arcs in base 128 (ITU-T X.690 8.19 without the join of the first two)
    2, then 16 bytes  an OID of one large arc under 2.25 (ITU-T X.667)
    3, then bytes     a decimal number, big-endian
    0 or 4            text that would look like one of these
    anything else     UTF-8 text

Every text has one form and every form one text. What is stored depends on all of this: words may be added at the end,
nothing else may change.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import LargeBinary
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_UUID: Final = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_OID: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+", re.ASCII)
_NUMBER: Final = re.compile(r"[1-9][0-9]*", re.ASCII)
_ESCAPED, _ARCS, _ONE_ARC, _DECIMAL, _PADDED = range(5)
_FIRST_TEXT: Final = 0x20
FIRST_WORD: Final = 0x80
_UUID_BYTES: Final = 16
_UUID_LENGTH: Final = 45
_LONGEST: Final = 200
"""digits and arcs are not looked at in longer text"""

_LEAST: Final = 1 << 112
_MOST: Final = (1 << 128) - 1
"""arcs under 2.25 that take 16 bytes; smaller ones are arcs like others"""

_ASSOCIATION: Final = "urn:ihe:iti:2007:AssociationType:"
_ON_DEMAND: Final = "urn:ihe:iti:2010:AssociationType:"
_WORDS: Final = (
    "uuid", "unique", "lid", "study", "target", "Approved", "Deprecated", "Submitted", "Withdrawn", "Online", "Offline",
    "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember",
    *(_ASSOCIATION + name for name in ("RPLC", "XFRM", "APND", "XFRM_RPLC", "signs")),
    *(_ON_DEMAND + name for name in ("IsSnapshotOf", "UpdateAvailabilityStatus", "SubmitAssociation")),
    "event", "confidentiality", "folder",
    # SNOMED CT, LOINC, UCUM, ISO 3166-1, RFC 5646; HL7: confidentiality, act codes, role codes; ICD-10, ATC
    "2.16.840.1.113883.6.96", "2.16.840.1.113883.6.1", "2.16.840.1.113883.6.8", "1.0.3166.1", "2.16.840.1.113883.6.316",
    "2.16.840.1.113883.5.25", "2.16.840.1.113883.5.4", "2.16.840.1.113883.5.111", "2.16.840.1.113883.6.3",
    "2.16.840.1.113883.6.73",
    # IHE formats; DICOM: controlled terminology, UIDs, key object selection, the modalities that are seen most
    "1.3.6.1.4.1.19376.1.2.3", "1.3.6.1.4.1.19376.1.2.7.1", "1.2.840.10008.2.16.4", "1.2.840.10008.2.6.1",
    "1.2.840.10008.5.1.4.1.1.88.59", "urn:ihe:iti:xds:2017:mimeTypeSufficient", "urn:ihe:iti:xds-sd:pdf:2008",
    "urn:ihe:iti:xds-sd:text:2008", "urn:ihe:iti:bppc:2007", "urn:ihe:rad:TEXT", "urn:ihe:rad:PDF",
)  # fmt: skip
_BY_WORD: Final = {word: bytes([FIRST_WORD + number]) for number, word in enumerate(_WORDS)}
if len(_BY_WORD) != len(_WORDS) or len(_WORDS) > FIRST_WORD:
    raise ValueError("a word stands twice in the table, or there are too many")


# An id stands in several columns of a row and in the statements of one request; codes and words come all the time.
def pack(text: str) -> bytes:
    """The text in few bytes."""
    return _remembered(text) if len(text) <= _LONGEST else _pack(text)


def _pack(text: str) -> bytes:
    if len(text) == _UUID_LENGTH and _UUID.fullmatch(text):
        return bytes.fromhex(text[9:].replace("-", ""))
    word = _BY_WORD.get(text)
    if word is not None:
        return word
    short = _short(text) if len(text) <= _LONGEST else None
    if short is not None and len(short) != _UUID_BYTES:
        return short
    plain = text.encode()
    if plain and plain[0] >= _FIRST_TEXT and len(plain) != _UUID_BYTES:
        return plain
    if not plain:
        return b""
    escaped = bytes([_ESCAPED]) + plain
    return escaped if len(escaped) != _UUID_BYTES else bytes([_PADDED]) + plain + b"\0"


_remembered = lru_cache(maxsize=20_000)(_pack)
"""nothing long, for anybody may send it"""


def _short(text: str) -> bytes | None:
    if text.startswith("2.25.") and _NUMBER.fullmatch(text, 5) and _LEAST <= (number := int(text[5:])) <= _MOST:
        return bytes([_ONE_ARC]) + number.to_bytes(16, "big")
    if _OID.fullmatch(text):
        return bytes([_ARCS]) + b"".join([_arc(int(arc)) for arc in text.split(".")])
    if _NUMBER.fullmatch(text):
        number = int(text)
        return bytes([_DECIMAL]) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    return None


def _arc(number: int) -> bytes:
    out = [number & 0x7F]
    while number := number >> 7:
        out.append(number & 0x7F | 0x80)
    return bytes(reversed(out))


@lru_cache(maxsize=20_000)
def unpack(packed: bytes) -> str:
    """The text that `pack` was given; ValueError for what it cannot have made."""
    if len(packed) == _UUID_BYTES:
        found = packed.hex()
        return f"urn:uuid:{found[:8]}-{found[8:12]}-{found[12:16]}-{found[16:20]}-{found[20:]}"
    if not packed:
        return ""
    first = packed[0]
    if first >= _FIRST_TEXT:
        if len(packed) == 1 and first >= FIRST_WORD:
            if first - FIRST_WORD >= len(_WORDS):
                raise ValueError(f"no word has the number {first}")
            return _WORDS[first - FIRST_WORD]
        return packed.decode()
    if first == _ESCAPED:
        return packed[1:].decode()
    if first == _ARCS:
        return ".".join(map(str, _arcs(packed)))
    if first == _ONE_ARC:
        return f"2.25.{int.from_bytes(packed[1:], 'big')}"
    if first == _DECIMAL:
        return str(int.from_bytes(packed[1:], "big"))
    if first == _PADDED:
        return packed[1:-1].decode()
    raise ValueError(f"nothing begins with {first}")


def _arcs(packed: bytes) -> list[int]:
    arcs = []
    number = 0
    for byte in packed[1:]:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            arcs.append(number)
            number = 0
    return arcs


class Packed(TypeDecorator[str]):
    """Text that is kept packed; compared for equality only, and never NULL."""

    impl = LargeBinary
    cache_ok = True

    @property
    def python_type(self) -> type[Any]:
        """What a program sees."""
        return str

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        """To the database."""
        return None if value is None else pack(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """From the database."""
        return None if value is None else unpack(bytes(value))


def to_database(type_: Any) -> Callable[[Any], Any] | None:
    """What turns a value into what a driver takes for a column of this type; None where nothing does."""
    return pack if isinstance(type_, Packed) else None
