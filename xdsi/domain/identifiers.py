"""Identifiers: OIDs, UUIDs, patient identifiers (CX) and how HL7 v2 components give an instance identifier.

ITI TF-3 table 4.2.3.1.7-2 (data types).
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_VARIANT = {digit: "89ab"[int(digit, 16) & 0b11] for digit in "0123456789abcdef"}
"""the digit of a UUID that begins with the variant 10 (RFC 9562, 4.1), by the random one in its place"""
_DRAWN_AT_ONCE = 64
_CX = re.compile(r"([^^&~|]+)\^\^\^&([0-9.]+)&ISO")


def is_oid(text: str) -> bool:
    """True for an ISO object identifier of at most 64 characters."""
    return len(text) <= 64 and _OID.fullmatch(text) is not None


def is_entry_uuid(text: str) -> bool:
    """True for `urn:uuid:` and a lower-case RFC 4122 UUID, the form of every registered entryUUID."""
    return _UUID.fullmatch(text) is not None


def new_entry_uuid() -> str:
    """A fresh entryUUID."""
    # A registration takes several, and an object for each takes several times as long as its text.
    try:
        text = _drawn.pop()
    except IndexError:
        text, *more = _draw()
        _drawn.extend(more)
    # Version 4 (RFC 9562, 5.4): all digits are random but that of the version and half of that of the variant.
    return f"urn:uuid:{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"


# To ask the system lets other threads go first, each time.
def _draw() -> list[str]:
    """Random digits for many UUIDs."""
    digits = os.urandom(16 * _DRAWN_AT_ONCE).hex()
    return [digits[start : start + 32] for start in range(0, len(digits), 32)]


_drawn: list[str] = []
"""nobody else's: what one process has drawn no other may use"""
os.register_at_fork(after_in_child=_drawn.clear)


def new_oid() -> str:
    """A fresh OID under 2.25 (ITU-T X.667: a UUID as one arc), as DICOM UIDs and uniqueIds use it."""
    return f"2.25.{uuid.uuid4().int}"


def derived_oid(uid: str, name: str) -> str:
    """The OID under 2.25 that `name` has beside a UID: always the same, and nobody else's."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{uid}/{name}').int}"


class Oid(str):
    """An OID that was checked when it was made, so that a constant with a typing error fails on import."""

    __slots__ = ()

    def __new__(cls, text: str) -> Oid:
        if not is_oid(text):
            raise ValueError(f"not an OID: {text!r}")
        return super().__new__(cls, text)

    @property
    def urn(self) -> str:
        """The `urn:oid:` form."""
        return f"urn:oid:{self}"


@dataclass(frozen=True, slots=True)
class PatientId:
    """A patient identifier: `id` within the assigning authority `authority` (an OID)."""

    id: str
    authority: str

    @classmethod
    def parse(cls, cx: str) -> PatientId:
        """Read `ID^^^&OID&ISO`; raises ValueError for any other form (CX of ITI TF-3 table 4.2.3.1.7-2)."""
        match = _CX.fullmatch(cx)
        if match is None or not is_oid(match[2]):
            raise ValueError(f"not a patient identifier of the form ID^^^&OID&ISO: {cx!r}")
        return cls(match[1], match[2])

    @property
    def cx(self) -> str:
        """`ID^^^&OID&ISO`."""
        return f"{self.id}^^^&{self.authority}&ISO"

    def __str__(self) -> str:
        return self.cx


@dataclass(frozen=True, slots=True)
class InstanceIdentifier:
    """An HL7 v3 II: `root` (OID or UUID) and `extension` (may be empty). The form consent rules compare."""

    root: str
    extension: str = ""


def from_xon(xon: str) -> InstanceIdentifier | None:
    """The organisation: XON.10 where it is an OID, else XON.6.2 with XON.10; None without one (APPC 5.6)."""
    parts = xon.split("^")
    identifier = parts[9] if len(parts) > 9 else ""
    return _identifier(identifier, parts[5] if len(parts) > 5 else "")


def from_xcn(xcn: str) -> InstanceIdentifier | None:
    """The person: XCN.1 where it is an OID, else XCN.9.2 with XCN.1; None without one (APPC 5.6)."""
    parts = xcn.split("^")
    return _identifier(parts[0], parts[8] if len(parts) > 8 else "")


def from_cx(cx: str) -> InstanceIdentifier | None:
    """The identifier of a CX or CXi: CX.1 where it is an OID, else CX.4.2 with CX.1; None without one."""
    parts = cx.split("^")
    return _identifier(parts[0], parts[3] if len(parts) > 3 else "")


def _identifier(value: str, authority: str) -> InstanceIdentifier | None:
    if not value:
        return None
    if is_oid(value):
        return InstanceIdentifier(value)
    components = authority.split("&")
    root = components[1] if len(components) > 1 else ""
    return InstanceIdentifier(root, value) if root else None
