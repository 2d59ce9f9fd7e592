"""The product's answer to a case: its own reading of the same text, and its own decision."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from tests.differential.order import ID, Asker, Domain, Signed, Thing
from tests.differential.vocabulary import CONSENT_FORMATS
from tests.differential.worlds import Case
from xdsi.domain.codes import Code
from xdsi.domain.consent import (
    Action,
    Combine,
    Consent,
    ConsentFacts,
    Decision,
    DomainPolicy,
    Effect,
    Policy,
    Resource,
    ResourceKind,
    SignatureStatus,
)
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import PatientId, from_xcn, from_xon
from xdsi.domain.subject import Subject
from xdsi.rules.consent import decide
from xdsi.wire.consent import decode_consent
from xdsi.wire.xacml import decode_policy


def decision(case: Case) -> Decision:
    """What the product decides; MalformedMessage where a policy of the domain is refused."""
    person = {_patient(one) for one in case.person}
    (one,) = decide(
        subject(case.asker),
        Action(case.action),
        [resource(case.thing)],
        [consent for signed in case.consents if (consent := read(signed, case.domain)) is not None],
        domain(case.domain),
        case.now,
        linked=lambda patient: person if patient in person else {patient},
    )
    return one


def read(signed: Signed, of: Domain) -> Consent | None:
    """A consent as the registry keeps it; None where its document is refused."""
    found = _consent(signed.raw, of.zone)
    if found is None:
        return None
    policy, facts = found
    return Consent(
        unique_id=signed.unique_id,
        entry_uuid=f"urn:uuid:{signed.unique_id}",
        patient=_patient(signed.patient),
        policy=policy,
        status=SignatureStatus.VALID if signed.valid else SignatureStatus.FAILED,
        valid_from=facts.valid_from,
        valid_until=facts.valid_until,
        signed_at=signed.signed_at,
    )


@lru_cache(maxsize=64)
def _policy(raw: bytes) -> Policy | None:
    """A policy of the domain; None where it is refused. The same text is read once."""
    try:
        return decode_policy(raw)
    except MalformedMessage:
        return None


def _accepted(raw: bytes) -> Policy:
    found = _policy(raw)
    if found is None:
        raise MalformedMessage("a policy of the domain is refused")
    return found


@lru_cache(maxsize=64)
def _consent(raw: bytes, zone: str) -> tuple[Policy, ConsentFacts] | None:
    try:
        return decode_consent(raw, CONSENT_FORMATS[2][0], zone=ZoneInfo(zone))
    except MalformedMessage:
        return None


def domain(of: Domain) -> DomainPolicy:
    return DomainPolicy(
        id=of.id,
        default=Effect.PERMIT if of.default == "permit" else Effect.DENY,
        combine=Combine.NEWEST if of.newest else Combine.DENY_OVERRIDES,
        floor=tuple(map(_accepted, of.floor)),
        organizations=tuple(map(_accepted, of.organizations)),
        referable={name: _accepted(raw) for name, raw in of.referable.items()},
        exclusions=of.exclusions,
        emergency_purposes=frozenset(_codes(of.emergency_purposes)),
        emergency_roles=frozenset(_codes(of.emergency_roles)),
        emergency_hidden=frozenset(_codes(of.emergency_hidden)),
        emergency_overrides_patient=of.emergency_overrides_patient,
        patient_roles=frozenset(_codes(of.patient_roles)),
        emergency_reason_required=of.emergency_reason_required,
        representative_roles=frozenset(_codes(of.representative_roles)),
        representatives={_patient(one): frozenset(names) for one, names in of.representatives.items()},
        patient_sees_documents=of.patient_sees_documents,
        author_sees_documents=of.author_sees_documents,
        npi_root=of.npi_root,
        time_zone=of.zone,
    )


def subject(asker: Asker) -> Subject:
    organizations, ids = asker.organizations, asker.organization_ids
    return Subject(
        user_id=asker.name_id,
        issuer="https://idp.example",
        assertion_id="_1",
        user_qualifier=asker.qualifier,
        user_name=asker.name,
        organization=organizations[0] if organizations else "",
        further_organizations=organizations[1:],
        organization_id=ids[0] if ids else "",
        further_organization_ids=ids[1:],
        home_community_id=asker.home,
        npi=asker.npi,
        provider_identifiers=tuple(f"{extension}^^^&{root}&ISO" for root, extension in asker.providers),
        roles=_codes(asker.roles),
        purposes=_codes(asker.purposes),
        patient=_patient(asker.patient) if asker.patient else None,
        emergency_reason=asker.reason,
    )


def resource(thing: Thing) -> Resource:
    codes = {name: Code(*code) for name, code in thing.codes.items()}
    return Resource(
        kind=ResourceKind(thing.kind),
        unique_id=thing.unique_id,
        repository_unique_id=thing.repository,
        patient=_patient(thing.patient) if thing.patient else None,
        class_code=codes.get("class-code"),
        type_code=codes.get("type-code"),
        format_code=codes.get("format-code"),
        healthcare_facility_type_code=codes.get("healthcare-facility-type-code"),
        practice_setting_code=codes.get("practice-setting-code"),
        confidentiality_codes=_codes(thing.confidentiality),
        event_codes=_codes(thing.events),
        author_institutions=tuple(one for one in map(from_xon, thing.institutions) if one),
        author_persons=tuple(one for one in map(from_xcn, thing.persons) if one),
        legal_authenticator=from_xcn(thing.authenticator),
        reference_ids=thing.references,
        source_patient_id=thing.source_patient,
        folder_ids=thing.folders,
        folder_codes=_codes(thing.folder_codes),
        creation_time=thing.times.get("creation-time", ""),
        service_start_time=thing.times.get("service-start-time", ""),
        service_stop_time=thing.times.get("service-stop-time", ""),
        availability_status=thing.status,
        home_community_id=thing.home,
        source_id=thing.source,
    )


def _codes(values: tuple[ID, ...] | frozenset[ID]) -> tuple[Code, ...]:
    return tuple(Code(*one) for one in values)


def _patient(identifier: ID) -> PatientId:
    root, extension = identifier
    return PatientId(extension, root)
