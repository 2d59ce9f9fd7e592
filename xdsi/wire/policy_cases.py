"""Tests of a domain's policy from files `NAME.test.toml`.

[[case]]
name = "a doctor reads an ordinary report"
expect = "permit"                         # or deny
rule = "doctors"                          # which rule has to decide; may be left out
action = "query"
acknowledges = ["2.999.1.7.1"]            # policies that the patient accepted
consents = ["consent.xml"]                # consent documents beside this file
at = 2026-01-31T12:00:00Z                 # else now
[case.subject]
role = ["112247003^^2.16.840.1.113883.6.96"]
purpose = ["TREAT^^2.16.840.1.113883.5.8"]
organization = ["urn:oid:2.999.5"]
[case.document]
patient = "P1^^^&2.999.1.1&ISO"
confidentiality = ["N^^2.16.840.1.113883.5.25"]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from xdsi.domain.consent import Resource, ResourceKind
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import InstanceIdentifier, PatientId, from_cx
from xdsi.domain.policy_case import PolicyCase
from xdsi.domain.subject import Subject
from xdsi.wire.policy_file import action_of, codes_of, known_keys, read_toml, tables_of, text_of, texts_of

_HEAD = re.compile(rb"\s*\[\[\s*[\"']?case[\"']?\s*\]\]")
_CASE = {"name", "expect", "rule", "action", "acknowledges", "consents", "at", "subject", "document"}
_SUBJECT = {"user", "role", "purpose", "organization", "npi", "provider", "patient", "reason"}
_SINGLE = {
    "class": "class_code",
    "type": "type_code",
    "format": "format_code",
    "facility": "healthcare_facility_type_code",
    "practice": "practice_setting_code",
}
_MANY = {"confidentiality": "confidentiality_codes", "modality": "event_codes", "folder": "folder_codes"}
_DOCUMENT = {"kind", "id", "patient", "institution", "author", "reference", "repository", *_SINGLE, *_MANY}


def decode_cases(raw: bytes) -> tuple[PolicyCase, ...]:
    """The cases of a file; MalformedMessage for one that cannot be understood."""
    document = read_toml(raw)
    known_keys(document, {"case"}, "")
    cases = tables_of(document, "case")
    if not cases:
        raise MalformedMessage("no test in it", location="case", expected="[[case]]")
    lines = [number for number, line in enumerate(raw.splitlines(), start=1) if _HEAD.match(line)]
    if len(lines) != len(cases):
        lines = [0] * len(cases)  # written in another way, or in a text: then the number has to do
    return tuple(
        _case(one, f"case {number}" + (f" (line {line})" if line else ""), line)
        for number, (one, line) in enumerate(zip(cases, lines, strict=True), start=1)
    )


def _case(case: Mapping[str, Any], place: str, line: int) -> PolicyCase:
    known_keys(case, _CASE, place)
    expect = text_of(case, "expect", place)
    if expect not in ("permit", "deny"):
        raise MalformedMessage("expects nothing", location=place, expected='expect = "permit" or "deny"')
    at = case.get("at")
    if at is not None and not isinstance(at, datetime):
        raise MalformedMessage("at is no point in time", location=place, expected="2026-01-31T12:00:00Z")
    return PolicyCase(
        name=text_of(case, "name", place, place),
        subject=_subject(_table(case, "subject", place), f"{place}, subject"),
        action=action_of(text_of(case, "action", place, "query"), place),
        resource=_resource(_table(case, "document", place), f"{place}, document"),
        permit=expect == "permit",
        rule=text_of(case, "rule", place),
        acknowledges=texts_of(case, "acknowledges", place),
        consents=texts_of(case, "consents", place),
        at=at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC),
        line=line,
    )


def _table(case: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
    found = case.get(key, {})
    if not isinstance(found, dict):
        raise MalformedMessage(f"{key} is no table", location=place)
    return found


def _subject(table: Mapping[str, Any], place: str) -> Subject:
    known_keys(table, _SUBJECT, place)
    organizations = texts_of(table, "organization", place)
    return Subject(
        user_id=text_of(table, "user", place, "somebody"),
        issuer="test",
        assertion_id="_test",
        organization_id=organizations[0] if organizations else "",
        further_organization_ids=organizations[1:],
        npi=text_of(table, "npi", place),
        provider_identifiers=texts_of(table, "provider", place),
        roles=codes_of(table, "role", place),
        purposes=codes_of(table, "purpose", place),
        patient=_patient(table, place),
        emergency_reason=text_of(table, "reason", place),
    )


def _resource(table: Mapping[str, Any], place: str) -> Resource:
    known_keys(table, _DOCUMENT, place)
    kind = text_of(table, "kind", place, ResourceKind.DOCUMENT_ENTRY.value)
    if kind not in tuple(ResourceKind):
        raise MalformedMessage(f"unknown kind {kind!r}", location=place, expected=", ".join(ResourceKind))
    single: dict[str, Any] = {}
    for key, field in _SINGLE.items():
        codes = codes_of(table, key, place)
        if len(codes) > 1:
            raise MalformedMessage(f"{key} has one code", location=place)
        single[field] = codes[0] if codes else None
    many: dict[str, Any] = {field: codes_of(table, key, place) for key, field in _MANY.items()}
    return Resource(
        kind=ResourceKind(kind),
        unique_id=text_of(table, "id", place, "2.999.10.1"),
        patient=_patient(table, place),
        repository_unique_id=text_of(table, "repository", place),
        author_institutions=tuple(_identifier(one, place) for one in texts_of(table, "institution", place)),
        author_persons=tuple(_identifier(one, place) for one in texts_of(table, "author", place)),
        reference_ids=texts_of(table, "reference", place),
        **single,
        **many,
    )


def _patient(table: Mapping[str, Any], place: str) -> PatientId | None:
    text = text_of(table, "patient", place)
    try:
        return PatientId.parse(text) if text else None
    except ValueError as error:
        raise MalformedMessage(str(error), location=place) from None


def _identifier(text: str, place: str) -> InstanceIdentifier:
    found = from_cx(text.removeprefix("urn:oid:"))
    if found is None:
        raise MalformedMessage(f"{text!r} is no identifier", location=place, expected="OID, or ID^^^&OID&ISO")
    return found
