"""What is decided on, by what policy, with what result.

ITI SeR (ITI-79), APPC 5.6 (attributes), and this product's docs/policy.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import InstanceIdentifier, PatientId


class Action(StrEnum):
    """What the caller wants to do with a resource; transactions map onto these."""

    QUERY = "query"
    RETRIEVE = "retrieve"
    RETRIEVE_IMAGING = "retrieve-imaging"
    PUBLISH = "publish"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A DocumentEntry (or its images) as policies see it (APPC table of resource attributes)."""

    unique_id: str
    repository_unique_id: str = ""
    entry_uuid: str = ""
    patient: PatientId | None = None
    class_code: Code | None = None
    type_code: Code | None = None
    format_code: Code | None = None
    confidentiality_codes: tuple[Code, ...] = ()
    event_codes: tuple[Code, ...] = ()
    healthcare_facility_type_code: Code | None = None
    practice_setting_code: Code | None = None
    author_institutions: tuple[InstanceIdentifier, ...] = ()
    author_persons: tuple[InstanceIdentifier, ...] = ()
    legal_authenticator: InstanceIdentifier | None = None
    reference_ids: tuple[str, ...] = ()
    """CXi, e.g. the accession number and the Study Instance UID"""
    source_patient_id: str = ""
    creation_time: str = ""
    service_start_time: str = ""
    service_stop_time: str = ""
    home_community_id: str = ""
    source_id: str = ""
    availability_status: str = ""


class Effect(StrEnum):
    """What a rule says."""

    PERMIT = "Permit"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one resource; names what decided. Only `permit` discloses."""

    permit: bool
    policy: str
    rule: str
    document: str = ""
    """uniqueId of the consent document that decided, empty where a domain policy did"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One comparison of a rule: any value of `attribute` in the request equals `value`.

    `attribute` is the APPC attribute id; `value` is a Code for CV, an InstanceIdentifier for II, text otherwise;
    `function` is the XACML function id.
    """

    attribute: str
    value: Code | InstanceIdentifier | str
    function: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An XACML Target: for each section, alternatives (OR) of conjunctions (AND) of matches; no alternative = all."""

    subjects: tuple[tuple[Match, ...], ...] = ()
    resources: tuple[tuple[Match, ...], ...] = ()
    actions: tuple[tuple[Match, ...], ...] = ()
    environments: tuple[tuple[Match, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An XACML Rule without a condition."""

    id: str
    effect: Effect
    target: Target = field(default_factory=Target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An XACML Policy or PolicySet: children are rules or policies, combined by `combining`."""

    id: str
    combining: str
    children: tuple[Policy | Rule, ...] = ()
    target: Target = field(default_factory=Target)
    references: tuple[str, ...] = ()
    """ids of policies of the domain that take part as children"""


class SignatureStatus(StrEnum):
    """Result of verifying a consent's signature; only VALID ever grants (contract of the product, docs/policy.md)."""

    VALID = "valid"
    FAILED = "failed"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A consent document of a patient as the decision uses it."""

    unique_id: str
    entry_uuid: str
    patient: PatientId
    policy: Policy
    status: SignatureStatus
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    signer: str = ""
    signed_at: datetime | None = None
    reason: str = ""
    """why the signature failed or is pending, for the operator"""

    def active_at(self, now: datetime) -> bool:
        """True when the signature holds and `now` is within the consent's window."""
        return (
            self.status is SignatureStatus.VALID
            and (self.valid_from is None or self.valid_from <= now)
            and (self.valid_until is None or now < self.valid_until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRequest:
    """An ITI-79 question: may this subject perform this action on these resources, for this purpose, now."""

    subject_attributes: dict[str, tuple[Code | InstanceIdentifier | str, ...]]
    action: Action
    resources: tuple[Resource, ...]
    patient: PatientId | None = None


@dataclass(frozen=True, slots=True)
class DecisionAnswer:
    """One decision per asked resource, keyed by its unique_id."""

    decisions: dict[str, Decision]
