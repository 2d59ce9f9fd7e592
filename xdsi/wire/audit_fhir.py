"""Audit events as FHIR AuditEvent resources (R4), for collectors that take the RESTful feed of ITI-20.

IHE supplement Add RESTful ATNA, 3.20.4.2.2 (what becomes of each field of the DICOM message); IHE BasicAudit (BALP):
how persons, patients and processes are named.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from datetime import UTC
from typing import Any

from xdsi.domain.audit import ActiveParticipant, AuditEvent, ObjectDescription, ParticipantObject
from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId
from xdsi.spec import fhir_audit as table
from xdsi.spec.audit_events import DCM

CONTENT_TYPE = "application/fhir+json; charset=UTF-8"

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_PERSON = re.compile(r"(?P<alias>[^<]*)<(?P<user>.*)@(?P<issuer>[^@]*)>", re.DOTALL)
_PERSON_TYPE = Code(table.PERSON.code, table.PERSON.system, table.PERSON.text)
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def encode(event: AuditEvent) -> bytes:
    """One AuditEvent resource as JSON."""
    resource = {
        "resourceType": "AuditEvent",
        "type": _coding(event.event),
        "subtype": [_coding(one) for one in event.types],
        "action": event.action.value if event.action else "",
        "recorded": event.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": str(event.outcome.value),
        "outcomeDesc": _text(event.outcome_description),
        "purposeOfEvent": [_concept(one) for one in event.purposes],
        "agent": [_agent(who, event) for who in event.participants],
        "source": {
            "site": _text(event.source.enterprise_site_id),
            "observer": _known_as(event.source.source_id),
            "type": [_coding(one, table.SOURCE_TYPE) for one in event.source.types],
        },
        "entity": [_entity(thing) for thing in event.objects],
    }
    return json.dumps(_without_empty(resource), ensure_ascii=False, separators=(",", ":")).encode()


def _agent(who: ActiveParticipant, event: AuditEvent) -> dict[str, Any]:
    technical = [role for role in who.roles if role.scheme == DCM]
    roles = [_concept(role) for role in who.roles if role not in technical]
    return {
        "type": _concept(technical[0]) if technical else _concept(_PERSON_TYPE) if who.is_person else None,
        "role": [*(_concept(role) for role in technical[1:]), *roles],
        "who": _person(who) if who.is_person else _known_as(who.user_id),
        "altId": _text(who.alternative_user_id),
        "name": _text(who.user_name),
        "requestor": who.requestor,
        "media": _coding(who.media_type) if who.media_type else None,
        "network": {"address": _text(who.network_id), "type": who.network_type},
        "purposeOfUse": [_concept(one) for one in event.purposes] if who.is_person else [],
    }


def _person(who: ActiveParticipant) -> dict[str, Any]:
    """Issuer and NameID of the assertion, apart (BALP, SAML mapping)."""
    found = _PERSON.fullmatch(who.user_name)
    issuer = found["issuer"] if found and found["user"] == who.user_id else ""
    return {"identifier": {"system": _uri(issuer), "value": _text(who.user_id)}, "display": _text(who.user_name)}


def _entity(thing: ParticipantObject) -> dict[str, Any]:
    details = [{"type": _text(one.type) or "detail", "valueBase64Binary": _base64(one.value)} for one in thing.details]
    details += [
        {"type": kind, "valueString": _text(value)} for one in thing.descriptions for kind, value in _described(one)
    ]
    return {
        "what": _patient(thing.id) if thing.is_patient else _known_as(thing.id, thing.id_type),
        "type": _numbered(table.ENTITY_TYPE, thing.type_code),
        "role": _numbered(table.OBJECT_ROLE, thing.role),
        "lifecycle": _numbered(table.LIFE_CYCLE, thing.life_cycle),
        "securityLabel": [{"display": _text(thing.sensitivity)}] if thing.sensitivity else [],
        "name": _text(thing.name),
        "query": _base64(thing.query) if thing.query is not None else "",
        "detail": [one for one in details if len(one) == 2 and all(one.values())],
    }


def _described(one: ObjectDescription) -> Iterable[tuple[str, str]]:
    yield from (("MPPS", uid) for uid in one.mpps)
    yield from (("AccessionNumber", number) for number in one.accessions)
    yield from (("StudyInstanceUID", uid) for uid in one.studies)
    for count in one.sop_classes:
        yield "SOPClass", f"{count.uid} {count.number}".strip()
        yield from (("SOPInstanceUID", uid) for uid in count.instances)
    for name, flag in (("Encrypted", one.encrypted), ("Anonymized", one.anonymized)):
        if flag is not None:
            yield name, str(flag).lower()


def _patient(cx: str) -> dict[str, Any]:
    try:
        patient = PatientId.parse(cx)
    except ValueError:
        return _known_as(cx)
    return {
        "type": "Patient",
        "identifier": {"system": _uri(patient.authority), "value": _text(patient.id)},
    }


def _known_as(identifier: str, kind: Code | None = None) -> dict[str, Any]:
    """A reference by identifier: what is audited is no resource."""
    value = _text(identifier)
    if not value:
        return {"display": "unknown"}
    return {"identifier": {"type": _concept(kind) if kind is not None and kind.code else None, "value": value}}


def _numbered(system: str, code: str) -> dict[str, Any] | None:
    return {"system": system, "code": code} if code.isdecimal() else None


def _coding(code: Code, system: str = "") -> dict[str, Any]:
    return {"system": system or _uri(code.scheme), "code": _token(code.code), "display": _text(code.display)}


def _concept(code: Code) -> dict[str, Any]:
    system = _uri(code.scheme)
    # A code system that has a name and no URI is told in words.
    text = "" if system else _text(f"{code.display or code.code} ({code.scheme})")
    return {"coding": [_coding(code)], "text": text}


def _uri(scheme: str) -> str:
    known = table.SYSTEMS.get(scheme)
    if known is not None:
        return known
    if _OID.fullmatch(scheme):
        return f"urn:oid:{scheme}"
    return scheme if ":" in scheme and not re.search(r"\s", scheme) else ""


def _token(text: str) -> str:
    """A FHIR code: single spaces inside, none around."""
    return " ".join(_UNFIT.sub(" ", text).split())


def _text(text: str) -> str:
    return _UNFIT.sub("\ufffd", text).strip()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _without_empty(value: Any) -> Any:
    """FHIR has no empty text, list or object."""
    if isinstance(value, dict):
        kept = {name: _without_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item is not None and item not in ("", [], {})}
    if isinstance(value, list):
        return [item for item in map(_without_empty, value) if item not in (None, "", [], {})]
    return value
