"""The decision: may this subject perform this action on these documents, now.

docs/policy.md section 2 is the normative text; ITI TF-1 chapters on BPPC and APPC, ITI TF-2 3.79.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from xdsi.domain.codes import Code
from xdsi.domain.consent import (
    READING,
    Action,
    Attributes,
    Combine,
    Consent,
    Decision,
    DomainPolicy,
    Effect,
    Policy,
    Resource,
    Value,
    Verdict,
)
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.domain.subject import Subject
from xdsi.rules.policy_attributes import attributes_of, attributes_of_resource, patient_asked_for
from xdsi.rules.policy_conditions import Request, zone_of
from xdsi.rules.policy_evaluation import (
    INDETERMINATE_RULE,
    NOT_APPLICABLE,
    Evaluation,
    Reduced,
    evaluate,
    outcome,
    reduce,
)
from xdsi.spec import xacml

__all__ = ["attributes_of", "attributes_of_resource", "decide", "evaluate"]

OTHER_PATIENT = "other-patient"
OWN_CONSENT = "own-consent"
OWN_RECORD = "own-record"
OWN_DOCUMENT = "own-document"
PUBLISHING = "publishing"
BREAK_GLASS = "break-glass"
DEFAULT = "default"
"""names of the rules that are not in any policy: docs/policy.md section 2"""


def overridden(decisions: Iterable[Decision]) -> tuple[str, ...]:
    """The patients (CX) whose consents an emergency took the place of, each once."""
    return tuple(dict.fromkeys(one.overridden.cx for one in decisions if one.permit and one.overridden is not None))


def decide(
    subject: Subject | Attributes,
    action: Action,
    resources: Sequence[Resource],
    consents: Sequence[Consent],
    domain: DomainPolicy,
    now: datetime,
    *,
    linked: Callable[[PatientId], Collection[PatientId]] | None = None,
) -> list[Decision]:
    """One decision per resource, in order.

    `subject` is a verified assertion, or its attributes as another system verified them. `linked` gives all identifiers
    of the person whom a patient identifier stands for (merges and cross-references); without it only equal identifiers
    mean the same person. `consents` may be of several patients; each counts for its own only.
    """
    who = attributes_of(subject) if isinstance(subject, Subject) else subject
    patients = {resource.patient for resource in resources}
    people = {patient: _identifiers(patient, linked) for patient in patients}
    asked_for = patient_asked_for(who)
    who = _with_npi(who, domain)
    questions = {
        patient: _question(who, action, person, consents, domain, now)
        for patient, person in people.items()
        if asked_for is None or asked_for in person
    }
    other = Decision(permit=False, policy=domain.id, rule=OTHER_PATIENT)
    return [
        questions[resource.patient].about(resource) if resource.patient in questions else other
        for resource in resources
    ]


def _question(
    who: Attributes,
    action: Action,
    person: Collection[PatientId],
    consents: Sequence[Consent],
    domain: DomainPolicy,
    now: datetime,
) -> _Question:
    request = Request.of(who, action, person, now, zone=zone_of(domain.time_zone))
    active = [consent for consent in consents if consent.patient in person and consent.active_at(now)]
    newest = max((_time(consent) for consent in active), default=None)
    floor = _reduce_all(domain.floor, request, domain)
    organizations = _reduce_all(domain.organizations, request, domain)
    voices = [
        _Voice(
            consent.unique_id,
            policy,
            counts=domain.combine is Combine.DENY_OVERRIDES or _time(consent) == newest,
            exclusion=_refers_to(consent.policy, domain),
        )
        for consent in active
        if (policy := reduce(consent.policy, request, domain.referable)) is not NOT_APPLICABLE
    ]
    policies = (*floor, *organizations, *(voice.policy for voice in voices))
    return _Question(
        request=request,
        action=action,
        domain=domain,
        own=action in READING and patient_asked_for(who) is not None and _is_patient(who, person, domain),
        author=_author_identifiers(who) if domain.author_sees_documents and action in READING else frozenset(),
        emergency=action in READING and _is_emergency(who, domain),
        floor=floor,
        organizations=organizations,
        consents=voices,
        settled=all(isinstance(policy, Evaluation) for policy in policies),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is the same for all documents of one patient."""

    request: Request
    action: Action
    domain: DomainPolicy
    own: bool
    """the patient asks, or who acts for him"""
    author: frozenset[Value]
    """by which identifiers the subject would be the author"""
    emergency: bool
    floor: list[Reduced]
    organizations: list[Reduced]
    consents: list[_Voice]
    settled: bool
    """no policy says different things of different documents, so that none has to look at one"""

    def about(self, resource: Resource) -> Decision:
        """The order of docs/policy.md section 2."""
        domain = self.domain
        request = self.request if self.settled else self.request.about(resource)
        refusal, organization = self._domain_says(request)
        if refusal is not None:
            return _decision(refusal)
        if self.action is Action.PUBLISH:
            return Decision(permit=True, policy=domain.id, rule=PUBLISHING)
        if self.own and (domain.patient_sees_documents or _is_consent(resource)):
            return Decision(permit=True, policy=domain.id, rule=OWN_CONSENT if _is_consent(resource) else OWN_RECORD)
        opens = self.emergency and domain.emergency_hidden.isdisjoint(resource.confidentiality_codes)
        patient = self._patient_says(request)
        if patient is not None:
            if patient.liftable and opens and domain.emergency_overrides_patient:
                return Decision(permit=True, policy=domain.id, rule=BREAK_GLASS)
            return patient.decision
        if organization is not None:
            return _decision(organization)
        if not self.author.isdisjoint(resource.author_persons):
            return Decision(permit=True, policy=domain.id, rule=OWN_DOCUMENT)
        by_default = domain.default is Effect.PERMIT and self.action in READING
        if by_default or not opens:
            return Decision(permit=by_default, policy=domain.id, rule=DEFAULT)
        return Decision(permit=True, policy=domain.id, rule=BREAK_GLASS)

    def _domain_says(self, request: Request) -> tuple[Evaluation | None, Evaluation | None]:
        """The final refusal (a Deny or an error of the floor or an organisation), and the organisations' Permit."""
        permit: Evaluation | None = None
        for policy in self.floor:
            evaluation = outcome(policy, request)
            if evaluation.verdict in _REFUSALS:
                return evaluation, None
        for policy in self.organizations:
            evaluation = outcome(policy, request)
            if evaluation.verdict in _REFUSALS:
                return evaluation, None
            if evaluation.verdict is Verdict.PERMIT and permit is None:
                permit = evaluation
        return None, permit

    def _patient_says(self, request: Request) -> _Said | None:
        """What the patient's consents add up to, None where none applies; a refusal that stands goes first."""
        permit: _Said | None = None
        deny: _Said | None = None
        for voice in self.consents:
            if not voice.counts and not voice.exclusion:
                continue
            evaluation = outcome(voice.policy, request)
            if evaluation.verdict in _REFUSALS:
                explicit = evaluation.verdict is Verdict.DENY and evaluation.rule != INDETERMINATE_RULE
                decision = _decision(evaluation, voice.document)
                said = _Said(decision, liftable=explicit and not voice.exclusion)
                if deny is None or (deny.liftable and not said.liftable):
                    deny = said
            elif evaluation.verdict is Verdict.PERMIT and permit is None and voice.counts:
                permit = _Said(_decision(evaluation, voice.document), liftable=False)
        return deny or permit


@dataclass(frozen=True, slots=True)
class _Voice:
    """An active consent, reduced to the question."""

    document: str
    policy: Reduced
    counts: bool
    exclusion: bool
    """refers to an exclusion list of the domain: refuses even where it does not count"""


@dataclass(frozen=True, slots=True)
class _Said:
    decision: Decision
    liftable: bool
    """an explicit Deny that is not an exclusion"""


_REFUSALS = frozenset({Verdict.DENY, Verdict.INDETERMINATE})


def _decision(evaluation: Evaluation, document: str = "") -> Decision:
    permit = evaluation.verdict is Verdict.PERMIT
    return Decision(permit=permit, policy=evaluation.policy, rule=evaluation.rule, document=document)


def _identifiers(
    patient: PatientId | None, linked: Callable[[PatientId], Collection[PatientId]] | None
) -> Collection[PatientId]:
    if patient is None:
        return ()
    return (patient,) if linked is None else {patient, *linked(patient)}


def _holds_any(who: Attributes, attribute: str, wanted: frozenset[Code]) -> bool:
    return bool(wanted) and not wanted.isdisjoint(who.get(attribute, ()))


def _is_patient(who: Attributes, person: Collection[PatientId], domain: DomainPolicy) -> bool:
    if _holds_any(who, xacml.ROLE, domain.patient_roles):
        return True
    names = {name for patient in person for name in domain.representatives.get(patient, ())}
    return _holds_any(who, xacml.ROLE, domain.representative_roles) and not names.isdisjoint(
        who.get(xacml.SUBJECT_ID, ())
    )


def _author_identifiers(who: Attributes) -> frozenset[Value]:
    values = (*who.get(xacml.PROVIDER_IDENTIFIER, ()), *who.get(xacml.NPI, ()))
    return frozenset(value for value in values if isinstance(value, InstanceIdentifier))


def _is_emergency(who: Attributes, domain: DomainPolicy) -> bool:
    stated = any(isinstance(one, str) and one.strip() for one in who.get(xacml.EMERGENCY_REASON, ()))
    return (
        _holds_any(who, xacml.PURPOSE_OF_USE, domain.emergency_purposes)
        and _holds_any(who, xacml.ROLE, domain.emergency_roles)
        and (stated or not domain.emergency_reason_required)
    )


def _is_consent(resource: Resource) -> bool:
    code = resource.format_code
    return code is not None and code.scheme == xacml.FORMAT_SCHEME and code.code in xacml.CONSENT_FORMATS


def _time(consent: Consent) -> datetime:
    return consent.signed_at or datetime.min.replace(tzinfo=UTC)


def _refers_to(policy: Policy, domain: DomainPolicy) -> bool:
    """Whether a consent refers to an exclusion, by itself or by way of the library."""
    followed: set[str] = set()
    ahead = list(policy.references) if domain.exclusions else []
    while ahead:
        reference = ahead.pop()
        if reference in domain.exclusions:
            return True
        if reference not in followed and reference in domain.referable:
            ahead.extend(domain.referable[reference].references)
        followed.add(reference)
    return False


def _reduce_all(policies: Sequence[Policy], request: Request, domain: DomainPolicy) -> list[Reduced]:
    reduced = (reduce(policy, request, domain.referable) for policy in policies)
    return [policy for policy in reduced if policy is not NOT_APPLICABLE]


def _with_npi(who: Attributes, domain: DomainPolicy) -> Attributes:
    """The national provider identifier also as an instance identifier, where the domain says under which root."""
    if not domain.npi_root or xacml.NPI not in who:
        return who
    numbers: tuple[Value, ...] = who[xacml.NPI]
    return {
        **who,
        xacml.NPI: (*numbers, *(InstanceIdentifier(domain.npi_root, n) for n in numbers if isinstance(n, str))),
    }
