"""The order of decision of docs/policy.md section 2, with the attributes of section 3 and the consents of section 5.1.

What is asked comes as plain values: the wire's text for organisations and persons, tuples for codes and identifiers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.differential import language
from tests.differential import vocabulary as v

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
PATIENT = (v.SER + "patient-id", "urn:e-health-suisse:2015:epr-spid")

ID = tuple[str, str]
"""a code and its system, or a root and an extension"""


@dataclass(frozen=True)
class Asker:
    """A verified assertion."""

    name_id: str = ""
    qualifier: str = ""
    name: str = ""
    organizations: tuple[str, ...] = ()
    organization_ids: tuple[str, ...] = ()
    home: str = ""
    npi: str = ""
    providers: tuple[ID, ...] = ()
    roles: tuple[ID, ...] = ()
    purposes: tuple[ID, ...] = ()
    patient: ID | None = None
    """(root, extension)"""
    reason: str = ""


@dataclass(frozen=True)
class Thing:
    """A resource by its metadata."""

    kind: str = "document-entry"
    unique_id: str = ""
    repository: str = ""
    patient: ID | None = None
    codes: dict[str, ID] = field(default_factory=dict)
    """class-code, type-code, format-code, healthcare-facility-type-code, practice-setting-code"""
    confidentiality: tuple[ID, ...] = ()
    events: tuple[ID, ...] = ()
    times: dict[str, str] = field(default_factory=dict)
    """creation-time, service-start-time, service-stop-time: DTM"""
    institutions: tuple[str, ...] = ()
    """XON"""
    persons: tuple[str, ...] = ()
    """XCN"""
    authenticator: str = ""
    references: tuple[str, ...] = ()
    """CXi"""
    source_patient: str = ""
    folders: tuple[str, ...] = ()
    folder_codes: tuple[ID, ...] = ()
    status: str = ""
    home: str = ""
    source: str = ""


@dataclass(frozen=True)
class Signed:
    """A consent document as registered."""

    unique_id: str
    raw: bytes
    patient: ID
    valid: bool = True
    """the status of its signature"""
    signed_at: datetime | None = None


@dataclass(frozen=True)
class Domain:
    id: str = "domain"
    default: str = "deny"
    newest: bool = False
    floor: tuple[bytes, ...] = ()
    organizations: tuple[bytes, ...] = ()
    referable: dict[str, bytes] = field(default_factory=dict)
    exclusions: frozenset[str] = frozenset()
    emergency_purposes: frozenset[ID] = frozenset()
    emergency_roles: frozenset[ID] = frozenset()
    emergency_hidden: frozenset[ID] = frozenset()
    emergency_overrides_patient: bool = False
    emergency_reason_required: bool = True
    patient_roles: frozenset[ID] = frozenset()
    representative_roles: frozenset[ID] = frozenset()
    representatives: dict[ID, tuple[str, ...]] = field(default_factory=dict)
    patient_sees_documents: bool = False
    author_sees_documents: bool = False
    npi_root: str = ""
    zone: str = "UTC"


def decide(
    asker: Asker,
    action: str,
    thing: Thing,
    person: frozenset[ID],
    consents: tuple[Signed, ...],
    domain: Domain,
    now: datetime,
) -> tuple[bool, str, str]:
    """Permit or not, the rule, and the consent document that decided (empty if none)."""
    zone = ZoneInfo(domain.zone)
    referable = {identifier: language.read(raw) for identifier, raw in domain.referable.items()}
    configured = [[language.read(raw) for raw in place] for place in (domain.floor, domain.organizations)]

    def attributes(section: str, attribute: str) -> list[Any]:
        return bag(section, attribute, asker, action, thing, person, domain, now)

    def evaluated(root: Any) -> language.Result:
        return language.Evaluation(attributes, referable, zone).policy(root)

    if asker.patient is not None and asker.patient not in person:
        return False, "other-patient", ""
    organizations = []
    for place in configured:
        for root in place:
            result = evaluated(root)
            if result.verdict in (language.DENY, language.INDETERMINATE):
                return False, result.rule, ""
            if place is configured[1]:
                organizations.append(result)
    if action == "publish":
        return True, "publishing", ""
    reading = action in v.READING
    is_consent = thing.codes.get("format-code") in v.CONSENT_FORMATS
    if reading and asker.patient is not None and speaks_for(asker, person, domain):
        if is_consent:
            return True, "own-consent", ""
        if domain.patient_sees_documents:
            return True, "own-record", ""

    emergency = (
        reading
        and bool(set(asker.purposes) & domain.emergency_purposes)
        and bool(set(asker.roles) & domain.emergency_roles)
        and (bool(asker.reason.strip()) or not domain.emergency_reason_required)
        and not set(thing.confidentiality) & domain.emergency_hidden
    )
    refusals, permits = [], []
    for consent, root, counts in speaking(consents, person, domain, referable, now):
        result = evaluated(root)
        excluding = excludes(root, domain, referable)
        if result.verdict in (language.DENY, language.INDETERMINATE) and (counts or excluding):
            liftable = result.verdict == language.DENY and result.clean and not excluding
            refusals.append((liftable, result.rule, consent.unique_id))
        elif result.verdict == language.PERMIT and counts:
            permits.append((result.rule, consent.unique_id))
    if refusals:
        if all(liftable for liftable, _, _ in refusals) and emergency and domain.emergency_overrides_patient:
            return True, "break-glass", ""
        _, rule, document = min(refusals, key=lambda refusal: refusal[0])
        return False, rule, document
    if permits:
        return (True, *permits[0])
    for result in organizations:
        if result.verdict == language.PERMIT:
            return True, result.rule, ""
    if reading and domain.author_sees_documents and is_author(asker, thing, domain):
        return True, "own-document", ""
    if domain.default == "permit" and reading:
        return True, "default", ""
    if emergency:
        return True, "break-glass", ""
    return False, "default", ""


def speaks_for(asker: Asker, person: frozenset[ID], domain: Domain) -> bool:
    if set(asker.roles) & domain.patient_roles:
        return True
    listed = any(asker.name_id in domain.representatives.get(one, ()) for one in person)
    return bool(set(asker.roles) & domain.representative_roles) and listed


def is_author(asker: Asker, thing: Thing, domain: Domain) -> bool:
    known = [(v.IDENTIFIER, one) for one in asker.providers]
    if domain.npi_root and asker.npi:
        known.append((v.IDENTIFIER, (domain.npi_root, asker.npi)))
    authors = _of_thing(v.APPC + "author-person:id", thing, frozenset())
    return any(one in authors for one in known)


# Consents


def speaking(
    consents: Any, person: frozenset[ID], domain: Domain, referable: Any, now: datetime
) -> list[tuple[Signed, Any, bool]]:
    """The active consents of the person, each with its root and whether it is among those that count."""
    active = []
    for consent in consents:
        try:
            root = read_consent(consent)
        except language.Refused:
            continue
        if consent.valid and consent.patient in person and in_window(root, now, ZoneInfo(domain.zone)):
            active.append((consent, root))
    if not domain.newest or not active:
        return [(consent, root, True) for consent, root in active]
    times = [consent.signed_at for consent, _ in active if consent.signed_at is not None]
    latest = max(times) if times else None
    return [(consent, root, consent.signed_at == latest) for consent, root in active]


def read_consent(consent: Signed) -> Any:
    """The root of an APPC document that has the form of section 5.1."""
    root = language.read(consent.raw)
    if language.name(root) != "PolicySet" or not language.children(root, "Description"):
        raise language.Refused("no PolicySet with a Description")
    alternatives = root.findall("./{*}Target/{*}Resources/{*}Resource")
    if not alternatives:
        raise language.Refused("about nobody")
    for alternative in alternatives:
        about = [match[0][0] for match in alternative if match[1].get("AttributeId") in PATIENT]
        if not about or not all(one.get("extension") and _OID.fullmatch(one.get("root")) for one in about):
            raise language.Refused("an alternative about nobody")
    return root


def in_window(root: Any, now: datetime, zone: Any) -> bool:
    """Whether the moment is within what the Environment of the root's Target allows, if it has one alternative only."""
    alternatives = root.findall("./{*}Target/{*}Environments/{*}Environment")
    if len(alternatives) != 1:
        return True
    evaluation = language.Evaluation(lambda _, attribute: [environment(attribute, now, zone)], {}, zone)
    return all(evaluation.match(match) is not False for match in alternatives[0])


def excludes(root: Any, domain: Domain, referable: Any, seen: tuple[str, ...] = ()) -> bool:
    """Whether it refers, at any depth, to a policy that is an exclusion."""
    for reference in (*root.iter(f"{{{v.XACML}}}PolicySetIdReference"), *root.iter(f"{{{v.XACML}}}PolicyIdReference")):
        identifier = (reference.text or "").strip()
        if identifier in domain.exclusions:
            return True
        followed = identifier not in referable or identifier in seen
        if not followed and excludes(referable[identifier], domain, referable, (*seen, identifier)):
            return True
    return False


# Attributes (3)


def environment(attribute: str, now: datetime, zone: Any) -> tuple[str, Any]:
    if attribute.endswith("current-date"):
        here = now.astimezone(zone)
        return v.DATE, datetime(here.year, here.month, here.day, tzinfo=zone)
    return v.DATE_TIME, now


def bag(
    section: str,
    attribute: str,
    asker: Asker,
    action: str,
    thing: Thing,
    person: frozenset[ID],
    domain: Domain,
    now: datetime,
) -> list[Any]:
    if section == "Action":
        return [(v.TEXT, action)]
    if section == "Environment":
        return [environment(attribute, now, ZoneInfo(domain.zone))]
    found: list[Any] = (
        _of_asker(attribute, asker, domain) if section == "Subject" else _of_thing(attribute, thing, person)
    )
    return [(kind, v.text(value)) if kind == v.TEXT else (kind, value) for kind, value in found if value]


def _of_asker(attribute: str, asker: Asker, domain: Domain) -> list[Any]:
    def texts(*values: str) -> list[Any]:
        return [(v.TEXT, value) for value in values]

    return {
        v.CORE + "subject:subject-id": lambda: texts(asker.name_id),
        v.CORE + "subject:subject-id-qualifier": lambda: texts(asker.qualifier),
        v.XSPA + "subject-id": lambda: texts(asker.name),
        v.XSPA + "organization": lambda: texts(*asker.organizations),
        v.XSPA + "organization-id": lambda: texts(*asker.organization_ids),
        "urn:ihe:iti:xca:2010:homeCommunityId": lambda: texts(asker.home),
        v.XSPA + "npi": lambda: (
            texts(asker.npi) + ([(v.IDENTIFIER, (domain.npi_root, asker.npi))] if domain.npi_root and asker.npi else [])
        ),
        "urn:ihe:iti:xua:2017:subject:provider-identifier": lambda: [(v.IDENTIFIER, one) for one in asker.providers],
        "urn:oasis:names:tc:xacml:2.0:subject:role": lambda: [(v.CODE, one) for one in asker.roles],
        v.XSPA + "purposeofuse": lambda: [(v.CODE, one) for one in asker.purposes],
        "urn:oasis:names:tc:xacml:2.0:resource:resource-id": lambda: [(v.IDENTIFIER, asker.patient)],
        "urn:xdsi:2026:subject:emergency-reason": lambda: texts(asker.reason),
        "urn:ihe:iti:bppc:2007:docid": list,
        "urn:ihe:iti:xua:2012:acp": list,
    }[attribute]()


def _identifier(value: str, authority: str) -> list[Any]:
    """An OID is a root of its own; anything else is an extension of the authority (`name&OID&ISO`)."""
    if not value:
        return []
    if _OID.fullmatch(value) and len(value) <= 64:
        return [(v.IDENTIFIER, (value, "")), (v.TEXT, value)]
    root = [*authority.split("&"), ""][1]
    return [(v.IDENTIFIER, (root, value))] if root else []


def _component(written: str, number: int) -> str:
    parts = written.split("^")
    return parts[number - 1] if len(parts) >= number else ""


def _of_thing(attribute: str, thing: Thing, person: frozenset[ID]) -> list[Any]:
    name = attribute.removeprefix(v.ENTRY)
    if name in ("class-code", "type-code", "format-code", "healthcare-facility-type-code", "practice-setting-code"):
        return [(v.CODE, thing.codes.get(name))]
    if name in ("creation-time", "service-start-time", "service-stop-time"):
        written = thing.times.get(name, "")
        return [(v.DATE_TIME, _dtm(written))] if written else []
    if attribute in (v.SER + "patient-id", "urn:e-health-suisse:2015:epr-spid"):
        return [(v.IDENTIFIER, one) for one in sorted(person)]
    if attribute.endswith("confidentiality-code"):
        return [(v.CODE, one) for one in thing.confidentiality]
    if attribute.endswith("repository-unique-id"):
        return [(v.TEXT, thing.repository)]
    if attribute == v.APPC + "source-system-id":
        return [(v.TEXT, thing.source)] + ([(v.IDENTIFIER, (thing.source, ""))] if thing.source else [])
    if attribute == v.APPC + "folder:code":
        return [(v.CODE, one) for one in thing.folder_codes] if thing.kind == "folder" else []
    return {
        v.CORE + "resource:resource-id": lambda: [(v.TEXT, thing.unique_id)],
        v.APPC + "resource-type": lambda: [(v.TEXT, v.APPC + thing.kind)],
        v.ENTRY + "event-code": lambda: [(v.CODE, one) for one in thing.events],
        v.APPC + "author-institution:id": lambda: [
            found for one in thing.institutions for found in _identifier(_component(one, 10), _component(one, 6))
        ],
        v.APPC + "author-person:id": lambda: [
            found for one in thing.persons for found in _identifier(_component(one, 1), _component(one, 9))
        ],
        v.ENTRY + "legal-authenticator:id": lambda: _identifier(
            _component(thing.authenticator, 1), _component(thing.authenticator, 9)
        ),
        v.ENTRY + "reference-id": lambda: [
            found for one in thing.references for found in _identifier(_component(one, 1), _component(one, 4))
        ],
        v.ENTRY + "source-patient-id": lambda: _identifier(
            _component(thing.source_patient, 1), _component(thing.source_patient, 4)
        ),
        v.ENTRY + "related-folder:id": lambda: [(v.TEXT, one) for one in thing.folders],
        v.ENTRY + "related-folder:code": lambda: (
            [(v.CODE, one) for one in thing.folder_codes] if thing.kind == "document-entry" else []
        ),
        v.APPC + "availability-status": lambda: [(v.TEXT, thing.status)],
        v.APPC + "community-id": lambda: [(v.TEXT, thing.home)],
    }[attribute]()


def _dtm(written: str) -> datetime:
    """A DTM in UTC; the first instant of what it says."""
    rest = written.ljust(14, "#")
    year, month, day = int(rest[:4]), rest[4:6], rest[6:8]
    first = datetime(year, 1 if "#" in month else int(month), 1 if "#" in day else int(day), tzinfo=ZoneInfo("UTC"))
    hours, minutes, seconds = (0 if "#" in rest[at : at + 2] else int(rest[at : at + 2]) for at in (8, 10, 12))
    return first + timedelta(hours=hours, minutes=minutes, seconds=seconds)
