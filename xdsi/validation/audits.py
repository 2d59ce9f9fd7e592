"""Audit messages: DICOM's XML, alone or in a syslog message of RFC 5424, with or without its frame.

DICOM PS3.15 A.5; ITI TF-2 3.20; RFC 5424, 5425, 5426.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.findings import Finding, Level
from xdsi.rules.validation import audit as rules
from xdsi.spec.audit_events import TRANSACTIONS
from xdsi.validation.looks import first_element
from xdsi.validation.validator import Judged, Terms, Validator
from xdsi.validation.xml_file import XmlFile
from xdsi.wire import audit, syslog, xml

LIMIT: Final = 1024 * 1024
_FORM = "DICOM PS3.15 A.5.1"
_TRANSPORT = "ITI TF-2 3.20.4.1.2"
_FRAMED = re.compile(rb"(?:([1-9]\d{0,8}) )?<\d{1,3}>")


def _knows(raw: bytes) -> bool:
    return first_element(raw) == "AuditMessage" or _FRAMED.match(raw) is not None


def _check(raw: bytes, terms: Terms) -> Judged:
    before: list[Finding] = []
    content, first = raw, 1
    if (match := _FRAMED.match(raw)) is not None:
        content, before = _unpacked(raw, match)
        first = raw.count(b"\n", 0, max(raw.find(content), 0)) + 1 if content else 1
    try:
        file = XmlFile(xml.parse(content, limit=LIMIT, max_markup=50_000), first=first)
    except MalformedMessage as error:
        place = error.location or "MSG"
        before.append(
            Finding(
                rule="AUDIT.xml",
                level=Level.ERROR,
                place=place,
                text=error.message,
                expected=error.expected or "an AuditMessage in XML",
                clause=_FORM,
            )
        )
        return Judged(findings=before, about="syslog message")
    return Judged(findings=[*before, *_findings(file, content, terms)], about=_about(file))


def _unpacked(raw: bytes, match: re.Match[bytes]) -> tuple[bytes, list[Finding]]:
    """What a syslog message carries, and what is to be said of the message."""
    found: list[Finding] = []
    message = raw
    if match[1] is not None:
        start = match.end(1) + 1
        counted, there = int(match[1]), len(raw) - start
        message = raw[start : start + counted]
        # Editors put a line end behind what they save.
        if there < counted or raw[start + counted :].strip():
            found.append(
                _flaw(
                    "frame",
                    "the octet count",
                    f"MSG-LEN is {counted}, there are {there} octets",
                    str(there),
                    "RFC 5425 4.3",
                )
            )
            message = raw[start:]
    read = syslog.decode(message)
    if read.message_id not in (syslog.MSGID, "DICOM+RFC3881", "IHE+DICOM"):
        found.append(_flaw("MSGID", "header, MSGID", f"MSGID is {read.message_id or '-'}", syslog.MSGID, _TRANSPORT))
    if read.time is None:
        found.append(_flaw("TIMESTAMP", "header, TIMESTAMP", "no time", "a time of RFC 3339", "RFC 5424 6.2.3"))
    return read.message, found


def _flaw(rule: str, place: str, text: str, expected: str, clause: str) -> Finding:
    return Finding(
        rule=f"SYSLOG.{rule}", level=Level.ERROR, place=place, text=text, expected=expected, clause=clause, line=1
    )


def _findings(file: XmlFile, content: bytes, terms: Terms) -> Iterator[Finding]:
    flawed = list(file.by_schema(file.root, _FORM, schema="audit.xsd"))
    yield from flawed
    try:
        event = audit.decode(content)
    except MalformedMessage as error:
        if not flawed:
            yield file.malformed("AUDIT.form", error, _FORM)
        return
    if not flawed:
        yield from _values(file)
        for flaw in rules.check(event):
            where = next((one for one in file.root.iter(flaw.element)), file.root)
            yield file.finding(flaw.rule, where, flaw.text, flaw.expected, flaw.clause)
    yield from file.by_profile(terms.profile)


def _values(file: XmlFile) -> Iterator[Finding]:
    """Schemas let white space and other signs pass in base64; those who read it may not."""
    for detail in file.root.iter("ParticipantObjectDetail"):
        try:
            base64.b64decode("".join(detail.get("value", "").split()), validate=True)
        except (binascii.Error, ValueError):
            text, expected = "the value is not base64", "base64 of the text"
            yield file.finding("AUDIT.detail", detail, text, expected, rules.GENERAL, attribute="value")


def _about(file: XmlFile) -> str:
    code = next((one.get("csd-code", "") for one in file.root.iter("EventTypeCode")), "")
    known = TRANSACTIONS.get(code)
    return f"{code} {known.name}" if known is not None else code


VALIDATORS = (
    Validator(
        key="audit", name="audit message", knows=_knows, check=_check, format_clause=f"{_FORM}; {_TRANSPORT}; RFC 5424"
    ),
)
