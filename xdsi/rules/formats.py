"""The data types of Document Sharing metadata: each function says what is wrong with a text, or nothing.

ITI TF-3 table 4.2.3.1.7-2 (data types), 4.2.3.1.4 (author), 4.2.3.2.23 to .28, 4.2.3.3.7; HL7 v2.5 components count
from 1. Receivers do not enforce HL7 lengths (4.2.3.1.7); the sizes of rim.xsd are the matter of `attributes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from xdsi.domain.identifiers import is_entry_uuid
from xdsi.spec.namespaces import APPROVED, DEPRECATED

Check: TypeAlias = Callable[[str], str]
"""a complaint, or empty text when all is well"""

_OID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_CX = re.compile(r"[^^&~|]+\^\^\^&([0-9.]+)&ISO")
_HD = re.compile(r"[^&]*&([0-9.]+)&ISO")
_SHA1 = re.compile(r"[0-9a-fA-F]{40}")
_LANGUAGE = re.compile(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*")
_MIME_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(\s*;.*)?", re.DOTALL)
_URI = re.compile(r"[!-~\u00a0-\U0010ffff]+")
_PID = re.compile(r"PID-([1-9][0-9]?)\|(.*)", re.DOTALL)
_CODED_STRING = re.compile(r"[^^]+\^\^\^&([0-9.]+)&ISO")
# Control characters, and the signs that make text run the other way, which would let two ids look alike.
_UNFIT_IN_ID = re.compile("[\\s\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_OID_LENGTH = 64
_FIRST_MOMENT = "00010101000000"
_XON_COMPONENTS = frozenset({1, 6, 10})
_LAST_PID_FIELD = 39

AVAILABILITIES = ("urn:ihe:iti:2010:DocumentAvailability:Online", "urn:ihe:iti:2010:DocumentAvailability:Offline")

_STUDY_UID = "urn:ihe:iti:xds:2016:studyInstanceUID"
# CXi.5 values that need an assigning authority
_ASSIGNED_REFERENCES = frozenset({
    "urn:ihe:iti:xds:2013:referral",
    "urn:ihe:iti:xds:2013:order",
    "urn:ihe:iti:xds:2015:encounterId",
})  # fmt: skip


def dtm(text: str) -> str:
    """DTM: YYYY[MM[DD[hh[mm[ss]]]]], a time that exists."""
    if len(text) in {4, 6, 8, 10, 12, 14} and text.isascii() and text.isdigit():
        # What is left out is the first of its kind.
        full = text + _FIRST_MOMENT[len(text) :]
        try:
            datetime(int(full[:4]), int(full[4:6]), int(full[6:8]), int(full[8:10]), int(full[10:12]), int(full[12:]))
        except ValueError:
            return "not a date and time that exists"
        return ""
    return "expected digits YYYY[MM[DD[hh[mm[ss]]]]], in UTC"


def oid(text: str) -> str:
    """OID: arcs of digits without leading zeros, at most 64 characters."""
    if len(text) <= _OID_LENGTH and _OID.fullmatch(text):
        return ""
    return "expected an OID such as 2.999.1, of at most 64 characters"


def oid_urn(text: str) -> str:
    """OID URN: `urn:oid:` and an OID."""
    return "" if text.startswith("urn:oid:") and not oid(text[8:]) else "expected urn:oid: and an OID"


def entry_uuid(text: str) -> str:
    """entryUUID: a UUID URN in lower case, or any symbolic id that does not begin like one."""
    if text and (is_entry_uuid(text) or not text.lower().startswith("urn:uuid:")) and not _UNFIT_IN_ID.search(text):
        return ""
    return "expected urn:uuid: and a UUID in lower case, or a symbolic id without white space"


def identifier(text: str) -> str:
    """uniqueId of a DocumentEntry: any globally unique text; receivers do not look inside."""
    return "expected an identifier without white space or control characters" if _UNFIT_IN_ID.search(text) else ""


def sha1(text: str) -> str:
    """SHA1: 40 hexadecimal digits."""
    return "" if _SHA1.fullmatch(text) else "expected a SHA-1 of 40 hexadecimal digits"


def size(text: str) -> str:
    """Integer: a number of bytes."""
    return "" if text.isascii() and text.isdigit() and len(text) <= 19 else "expected a number of bytes, digits only"


def language(text: str) -> str:
    """Language tag (RFC 5646)."""
    return "" if _LANGUAGE.fullmatch(text) else "expected a language tag such as en-GB"


def mime_type(text: str) -> str:
    """Media type."""
    return "" if _MIME_TYPE.fullmatch(text) else "expected a media type such as application/dicom"


def uri(text: str) -> str:
    """URI, without white space."""
    return "" if _URI.fullmatch(text) else "expected a URI"


def status(text: str) -> str:
    """availabilityStatus."""
    return "" if text in {APPROVED, DEPRECATED} else f"expected {APPROVED} or {DEPRECATED}"


def availability(text: str) -> str:
    """documentAvailability."""
    return "" if text in AVAILABILITIES else f"expected {' or '.join(AVAILABILITIES)}"


def cx(text: str) -> str:
    """CX: `Id^^^&OID&ISO`, nothing else."""
    match = _CX.fullmatch(text)
    return "" if match and not oid(match[1]) else "expected ID^^^&OID&ISO"


def cxi(text: str) -> str:
    """CXi: identifier, assigning authority where needed, and the kind of identifier (4.2.3.2.28)."""
    parts = text.split("^")
    if len(parts) not in {5, 6} or parts[1] or parts[2]:
        return "expected ID^^^[authority]^kind"
    id_, authority, kind = parts[0], parts[3], parts[4]
    if not id_ or not kind:
        return "expected ID^^^[authority]^kind, with an ID and a kind"
    if kind == _STUDY_UID and (authority or oid(id_)):
        return f"expected a Study Instance UID without authority, UID^^^^{kind}"
    if kind in _ASSIGNED_REFERENCES and not authority:
        return f"{kind} expects an authority: ID^^^&OID&ISO^{kind}"
    if "&" in authority and not _assigns(authority):
        return "the fourth component is an authority &OID&ISO"
    return ""


def _assigns(authority: str) -> bool:
    match = _HD.fullmatch(authority)
    return match is not None and not oid(match[1])


def xcn(text: str) -> str:
    """XCN: a person with an id (component 1) or a family name (component 2)."""
    parts = text.split("^")
    if "~" in text:
        return "expected one person; ~ repeats"
    if not parts[0] and not (len(parts) > 1 and parts[1]):
        return "expected ID^family^given^... with an ID or a family name"
    if len(parts) > 8 and parts[8] and not _assigns(parts[8]):
        return "component 9 is an authority &OID&ISO"
    return ""


def xon(text: str) -> str:
    """XON: an organisation by name (component 1), its id in component 10; no other components but its authority."""
    parts = text.split("^") + [""] * 10
    if not parts[0]:
        return "expected name^^^^^authority^^^^id with a name"
    if any(part for number, part in enumerate(parts, 1) if number not in _XON_COMPONENTS):
        return "expected name^^^^^authority^^^^id and nothing else"
    if parts[9] and oid(parts[9]) and not parts[9].startswith("urn:") and not _assigns(parts[5]):
        return "an id (component 10) that is not an OID needs an authority &OID&ISO (component 6)"
    return ""


def xtn(text: str) -> str:
    """XTN: an e-mail address (component 4 after Internet) or a telephone number (component 7, 12 or 1)."""
    parts = text.split("^") + [""] * 12
    if parts[2] == "Internet":
        return "" if parts[3] else "expected ^^Internet^address"
    if not (parts[6] or parts[11] or parts[0]):
        return "expected ^^Internet^address or ^use^PH^^country^area^number"
    return ""


def recipient(text: str) -> str:
    """intendedRecipient: organisation|person|telecommunication, at least one of them."""
    parts = text.split("|")
    if len(parts) > 3 or not any(parts):
        return "expected organisation|person|telecommunication, at least one of them"
    for part, check in zip(parts, (xon, xcn, xtn), strict=False):
        complaint = check(part) if part else ""
        if complaint:
            return complaint
    return ""


def pid_field(text: str) -> str:
    """Field: `PID-n|value` of the HL7 v2.5 segment PID."""
    match = _PID.fullmatch(text)
    if match and int(match[1]) <= _LAST_PID_FIELD:
        return ""
    return f"expected PID-n|value with n from 1 to {_LAST_PID_FIELD}"


def coded_string(text: str) -> str:
    """authorRole, authorSpecialty: text, or a Coded String `Code^^^&OID&ISO`."""
    if "^" not in text:
        return ""
    match = _CODED_STRING.fullmatch(text)
    return "" if match and not oid(match[1]) else "expected text, or Code^^^&OID&ISO"


def extra_slot_name(text: str) -> str:
    """The name of a Slot beyond the profile: a URN that is not IHE's (4.2.3.1.6)."""
    lower = text.lower()
    if lower.startswith("urn:") and not lower.startswith("urn:ihe:") and not _UNFIT_IN_ID.search(text):
        return ""
    return "the name of extra metadata is a URN that does not begin with urn:ihe:"
