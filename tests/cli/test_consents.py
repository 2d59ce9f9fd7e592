"""cli/consents: what a patient says in plain options is what is decided, dimension by dimension (APPC 5.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from xdsi.cli.consents import statement
from xdsi.domain.codes import Code
from xdsi.domain.consent import Action, Consent, Decision, DomainPolicy, Effect, Resource, SignatureStatus
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.domain.subject import Subject
from xdsi.rules.consent import DEFAULT, decide
from xdsi.wire.consent import decode_appc, encode_appc

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
PATIENT = PatientId("P1", "2.999.1.1")
WHO = Subject(
    user_id="dr.jekyll",
    issuer="idp",
    assertion_id="_1",
    organization_id="urn:oid:2.999.5",
    roles=(Code("HCP", "2.999.40"),),
    purposes=(Code("TREAT", "2.16.840.1.113883.5.8"),),
)
WHAT = Resource(
    unique_id="2.999.7.1",
    entry_uuid="urn:uuid:1",
    patient=PATIENT,
    class_code=Code("IMAGES", "2.999.20"),
    type_code=Code("34133-9", "2.16.840.1.113883.6.1"),
    confidentiality_codes=(Code("N", "2.16.840.1.113883.5.25"),),
    event_codes=(Code("CT", "1.2.840.10008.2.16.4"),),
    author_institutions=(InstanceIdentifier("2.999.6"),),
    reference_ids=("1.2.3.4^^^^urn:ihe:iti:xds:2016:studyInstanceUID",),
)
# What is said, and a person or a document that differs from the above in nothing else.
DIMENSIONS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "role=HCP^^2.999.40": ({"roles": (Code("ASS", "2.999.40"),)}, {}),
    "organization=urn:oid:2.999.5": ({"organization_id": "urn:oid:2.999.55"}, {}),
    "person=dr.jekyll": ({"user_id": "mr.hyde"}, {}),
    "purpose=TREAT^^2.16.840.1.113883.5.8": ({"purposes": (Code("HRESCH", "2.16.840.1.113883.5.8"),)}, {}),
    "class=IMAGES^^2.999.20": ({}, {"class_code": Code("IMAGES", "2.999.21")}),
    "type=34133-9^^2.16.840.1.113883.6.1": ({}, {"type_code": None}),
    "confidentiality=N^^2.16.840.1.113883.5.25": (
        {}, {"confidentiality_codes": (Code("R", "2.16.840.1.113883.5.25"),)},
    ),
    "modality=CT^^1.2.840.10008.2.16.4": ({}, {"event_codes": (Code("MR", "1.2.840.10008.2.16.4"),)}),
    "institution=2.999.6": ({}, {"author_institutions": (InstanceIdentifier("2.999.66"),)}),
    "study=1.2.3.4": ({}, {"reference_ids": ("1.2.3.40^^^^urn:ihe:iti:xds:2016:studyInstanceUID",)}),
    "document=2.999.7.1": ({}, {"unique_id": "2.999.7.11"}),
}  # fmt: skip


def decided(
    *statements: tuple[Effect, str], who: Subject = WHO, what: Resource = WHAT, now: datetime = NOW, **window: Any
) -> Decision:
    """What a consent with these statements leads to, written and read as the document that is signed."""
    written = encode_appc(
        patient=PATIENT, policy_set_id="2.999.30.1", description="as agreed", references=[],
        statements=[statement(effect, text) for effect, text in statements],
        **{"valid_from": None, "valid_until": None} | window,
    )  # fmt: skip
    policy, facts = decode_appc(written)
    consent = Consent(
        unique_id="2.999.30.1", entry_uuid="urn:uuid:2", patient=PATIENT, policy=policy, status=SignatureStatus.VALID,
        valid_from=facts.valid_from, valid_until=facts.valid_until, signed_at=NOW,
    )  # fmt: skip
    (decision,) = decide(who, Action.QUERY, [what], [consent], DomainPolicy(), now)
    return decision


def test_every_dimension_is_tried() -> None:
    """As many as a statement has, but for the actions, which the options leave at reading."""
    assert len(DIMENSIONS) == len(statement(Effect.PERMIT, "").__dataclass_fields__) - len(("effect", "actions"))


@pytest.mark.parametrize("said", DIMENSIONS)
def test_a_permit_is_for_what_it_says_alone(said: str) -> None:
    who, what = DIMENSIONS[said]
    assert decided((Effect.PERMIT, said)).permit
    other = decided((Effect.PERMIT, said), who=replace(WHO, **who), what=replace(WHAT, **what))
    assert (other.permit, other.rule) == (False, DEFAULT)


@pytest.mark.parametrize("said", DIMENSIONS)
def test_a_deny_is_for_what_it_says_alone(said: str) -> None:
    who, what = DIMENSIONS[said]
    said_both = ((Effect.PERMIT, ""), (Effect.DENY, said))
    denied = decided(*said_both)
    assert (denied.permit, denied.rule, denied.document) == (False, "deny-2", "2.999.30.1")
    assert decided(*said_both, who=replace(WHO, **who), what=replace(WHAT, **what)).permit


@pytest.mark.parametrize("added", DIMENSIONS)
def test_dimensions_add_up(added: str) -> None:
    who, what = DIMENSIONS[added]
    everything = ",".join(DIMENSIONS)
    assert decided((Effect.PERMIT, everything)).permit
    assert not decided((Effect.PERMIT, everything), who=replace(WHO, **who), what=replace(WHAT, **what)).permit


@pytest.mark.parametrize(
    ("after", "permit"), [(-1, False), (0, True), (3599, True), (3600, False)], ids=["before", "at", "within", "over"]
)
def test_a_consent_counts_within_its_time(after: int, permit: bool) -> None:
    given = {"valid_from": NOW, "valid_until": NOW + timedelta(hours=1)}
    assert decided((Effect.PERMIT, ""), now=NOW + timedelta(seconds=after), **given).permit is permit
