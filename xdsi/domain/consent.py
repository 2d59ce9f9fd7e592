"""What is decided on, by what policy, with what result.

ITI SeR (ITI-79), APPC 5.6 (attributes), and this product's docs/policy.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.spec import xacml

Value: TypeAlias = Code | InstanceIdentifier | str
"""A value that policies compare: Code for CV, InstanceIdentifier for II, text for everything else"""
Attributes: TypeAlias = Mapping[str, tuple[Value, ...]]
"""Attribute id to its values, for one section of a request"""


class Action(StrEnum):
    """What the caller wants to do with a resource; transactions map onto these."""

    QUERY = "query"
    RETRIEVE = "retrieve"
    RETRIEVE_IMAGING = "retrieve-imaging"
    PUBLISH = "publish"
    UPDATE = "update"
    DELETE = "delete"

    @classmethod
    def of(cls, action_id: str) -> Action | None:
        """The action that a transaction's action id stands for, with or without `Response`; None for an unknown one."""
        name = action_id.strip().removesuffix("Response")
        return next((action for action in cls if name in xacml.ACTION_NAMES[action]), None)

    @property
    def action_id(self) -> str:
        """The action id by which policies and questions name it: for reading, that of the answer (APPC 5.6)."""
        return xacml.ACTION_NAMES[self][0] + ("Response" if self in READING else "")


class ResourceKind(StrEnum):
    """What kind of object is decided on; the value ends the APPC resource-type."""

    DOCUMENT_ENTRY = "document-entry"
    FOLDER = "folder"
    SUBMISSION_SET = "submission-set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A DocumentEntry (or its images) as policies see it (APPC table of resource attributes).

    A Folder or a SubmissionSet is one where no DocumentEntry of its stands for it (docs/policy.md section 6).
    """

    unique_id: str
    kind: ResourceKind = ResourceKind.DOCUMENT_ENTRY
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
    folder_ids: tuple[str, ...] = ()
    """uniqueIds of the Approved folders that hold the document"""
    folder_codes: tuple[Code, ...] = ()
    """codeList of those folders, or of the folder itself"""
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


class Verdict(StrEnum):
    """What evaluating a policy gives (XACML 2.0 section 6.11)."""

    PERMIT = "Permit"
    DENY = "Deny"
    NOT_APPLICABLE = "NotApplicable"
    INDETERMINATE = "Indeterminate"


class Section(StrEnum):
    """The four groups of attributes of a request."""

    SUBJECT = "Subject"
    RESOURCE = "Resource"
    ACTION = "Action"
    ENVIRONMENT = "Environment"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one resource; names what decided. Only `permit` discloses."""

    permit: bool
    policy: str
    rule: str
    document: str = ""
    """uniqueId of the consent document that decided, empty where a domain policy did"""
    overridden: PatientId | None = None
    """whose consent an emergency took the place of, where it did"""
    patient: PatientId | None = field(default=None, compare=False)
    """whose document it is, where only who decided found that out"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One comparison of a rule: `function(value, v)` holds for any value `v` of `attribute` in the request.

    `attribute` is the APPC attribute id; `value` is a Code for CV, an InstanceIdentifier for II, text otherwise;
    `function` is the XACML function id. Without a value in the request the match fails, or is an error when
    `must_be_present`.
    """

    attribute: str
    value: Value
    function: str
    must_be_present: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An XACML Target: for each section, alternatives (OR) of conjunctions (AND) of matches; no alternative = all."""

    subjects: tuple[tuple[Match, ...], ...] = ()
    resources: tuple[tuple[Match, ...], ...] = ()
    actions: tuple[tuple[Match, ...], ...] = ()
    environments: tuple[tuple[Match, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A value written in a condition."""

    value: Value | bool
    data_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Designator:
    """The bag of values of one attribute of the request, in a condition."""

    section: Section
    attribute: str
    data_type: str
    must_be_present: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """A function call in a condition."""

    function: str
    arguments: tuple[Apply | Designator | Literal, ...] = ()


Expression: TypeAlias = Apply | Designator | Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An XACML Rule: its effect where the target matches and the condition, if any, is true."""

    id: str
    effect: Effect
    target: Target = field(default_factory=Target)
    condition: Expression | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A policy of the domain's library that takes part as a child, by its id."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An XACML Policy (children are rules) or PolicySet (children are policies and references)."""

    id: str
    combining: str
    children: tuple[Policy | Rule | Reference, ...] = ()
    target: Target = field(default_factory=Target)

    @property
    def references(self) -> tuple[str, ...]:
        """Ids of the library's policies that this one refers to, at any depth, in document order."""
        return tuple(dict.fromkeys(self._references()))

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What its own rules say at any depth, each effect once; what it refers to is not looked into."""
        found = {one for child in self.children if isinstance(child, Policy) for one in child.effects}
        found |= {child.effect for child in self.children if isinstance(child, Rule)}
        return tuple(effect for effect in Effect if effect in found)

    def _references(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, Reference):
                yield child.id
            elif isinstance(child, Policy):
                yield from child._references()


class SignatureStatus(StrEnum):
    """Result of verifying a consent's signature; only VALID ever grants (contract of the product, docs/policy.md)."""

    VALID = "valid"
    FAILED = "failed"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureResult:
    """What verifying a signature document found, kept with the consent it signs."""

    status: SignatureStatus
    reason: str = ""
    """why it failed or is pending: a sub-indication of ETSI EN 319 102-1 or one of ours, then words"""
    signer: str = ""
    """subject of the signer's certificate (RFC 4514)"""
    serial_number: str = ""
    """serialNumber of that subject: who the person is"""
    certificate_sha256: str = ""
    on_behalf: bool = False
    """a hospital's seal or a guardian's certificate instead of the patient's own"""
    signing_time: datetime | None = None
    commitments: tuple[str, ...] = ()
    """OIDs of ASTM E1762: why it was signed"""
    documents: Mapping[str, bool | None] = field(default_factory=dict)
    """uniqueId of each signed document: unchanged, changed, or None where it is not at hand"""
    stamped_at: datetime | None = None
    """when a trusted authority of time stamps saw the signature; None without one"""


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
class ConsentFacts:
    """What a consent document says about itself; compared with its metadata before it counts."""

    document_id: str
    """PolicySetId, or the CDA's id as `root^extension`; must be the DocumentEntry's uniqueId"""
    description: str
    patients: tuple[PatientId, ...]
    """ids of the one patient it is about"""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    references: tuple[str, ...] = ()
    """ids of the library's policies it refers to, as eventCodeList repeats them"""


READING = (Action.QUERY, Action.RETRIEVE, Action.RETRIEVE_IMAGING)
CHANGING = (Action.UPDATE, Action.DELETE)
"""only a permit that names its actions permits these"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One plain sentence of a consent: permit or deny, to whom, what, why.

    Values of one field are alternatives, fields add up; an empty field says nothing.
    """

    effect: Effect
    roles: tuple[Code, ...] = ()
    organizations: tuple[str, ...] = ()
    """organization-id as the assertions carry it, `urn:oid:...`"""
    persons: tuple[str, ...] = ()
    """user ids (NameID)"""
    purposes: tuple[Code, ...] = ()
    class_codes: tuple[Code, ...] = ()
    type_codes: tuple[Code, ...] = ()
    confidentiality_codes: tuple[Code, ...] = ()
    author_institutions: tuple[InstanceIdentifier, ...] = ()
    modalities: tuple[Code, ...] = ()
    """event codes"""
    studies: tuple[str, ...] = ()
    """Study Instance UIDs"""
    documents: tuple[str, ...] = ()
    """uniqueIds"""
    actions: tuple[Action, ...] = READING


class Combine(StrEnum):
    """How several active consents of a patient add up."""

    DENY_OVERRIDES = "deny-overrides"
    NEWEST = "newest"


def _emergency_purposes() -> frozenset[Code]:
    return frozenset(Code(code, scheme) for code, scheme in xacml.EMERGENCY_PURPOSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPolicy:
    """What the affinity domain decides where the patient does not, and what no patient can change (docs/policy.md)."""

    id: str = "domain"
    default: Effect = Effect.DENY
    combine: Combine = Combine.DENY_OVERRIDES
    floor: tuple[Policy, ...] = ()
    """their Deny is final, their Permit says nothing"""
    organizations: tuple[Policy, ...] = ()
    """their Deny is final, their Permit counts where no consent applies"""
    referable: Mapping[str, Policy] = field(default_factory=dict)
    """policies that consents refer to, by id"""
    exclusions: frozenset[str] = frozenset()
    """ids of library policies that are exclusion lists: the Deny of a consent that refers to one is final"""
    emergency_purposes: frozenset[Code] = field(default_factory=_emergency_purposes)
    emergency_roles: frozenset[Code] = frozenset()
    """who may break the glass; nobody by default"""
    emergency_hidden: frozenset[Code] = frozenset()
    """confidentiality codes that an emergency does not open"""
    emergency_overrides_patient: bool = False
    """an emergency also sets aside a patient's explicit Deny (never an exclusion, never the floor)"""
    emergency_reason_required: bool = True
    """an emergency needs a reason in the assertion"""
    patient_roles: frozenset[Code] = frozenset()
    """roles of a person acting for himself as the patient"""
    representative_roles: frozenset[Code] = frozenset()
    """roles of a person acting for a patient, as a guardian does"""
    representatives: Mapping[PatientId, frozenset[str]] = field(default_factory=dict)
    """who may act for a patient, by NameID"""
    patient_sees_documents: bool = False
    """patients and who acts for them read all documents of theirs, not only their consents"""
    author_sees_documents: bool = False
    """an author reads his own documents where no consent speaks against it"""
    npi_root: str = ""
    """OID under which a national provider identifier becomes an instance identifier"""
    time_zone: str = "UTC"
    """IANA name; days begin and end here"""


def engine_of(home_community_id: str) -> str:
    """The NameID under which the decision engine of a community asks other repositories for consents."""
    return f"urn:xdsi:2026:decision-engine:{home_community_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRequest:
    """An ITI-79 question: may this subject perform this action on these resources, for this purpose, now."""

    subject_attributes: Attributes
    action: Action
    resources: tuple[Resource, ...]
    patient: PatientId | None = None
    """the patient the asker's assertion is for"""
    query_id: str = ""
    protocol: str = ""
    """namespace of the query as it came; the answer keeps to it"""


@dataclass(frozen=True, slots=True)
class DecisionAnswer:
    """One decision per asked resource, keyed by its unique_id."""

    decisions: Mapping[str, Decision]
