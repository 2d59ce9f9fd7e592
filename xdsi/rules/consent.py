"""The decision: may this subject perform this action on these documents, now.

docs/policy.md section 2 is the normative text; ITI TF-1 chapters on BPPC and APPC, ITI TF-2 3.79.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

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
from xdsi.rules.remembered_questions import RememberedQuestions
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
    # Most are of one patient, and to look one up is to hash two texts.
    patients = set({id(resource.patient): resource.patient for resource in resources}.values())
    people = {patient: _identifiers(patient, linked) for patient in patients}
    asked_for = patient_asked_for(who)
    ask = _remembered_question if len(people) <= _FEW else _question
    theirs = _by_person(people, consents)
    questions = {
        patient: ask(who, action, person, theirs[patient], domain, now)
        for patient, person in people.items()
        if asked_for is None or asked_for in person
    }
    other = Decision(permit=False, policy=domain.id, rule=OTHER_PATIENT)
    decisions: list[Decision] = []
    patient, question = None, questions.get(None)
    for resource in resources:
        if resource.patient is not patient:
            patient, question = resource.patient, questions.get(resource.patient)
        decisions.append(other if question is None else question.about(resource))
    return decisions


_FEW = 16
"""patients of one request; what is asked about more of them is not remembered, lest others are forgotten for it"""


def _by_person(
    people: Mapping[PatientId | None, Collection[PatientId]], consents: Sequence[Consent]
) -> Mapping[PatientId | None, Sequence[Consent]]:
    """For each patient the consents that can be his, in their order."""
    if len(people) <= 1:
        return dict.fromkeys(people, consents)
    given: dict[PatientId, list[tuple[int, Consent]]] = {}
    for numbered in enumerate(consents):
        given.setdefault(numbered[1].patient, []).append(numbered)
    theirs = {patient: [one for id_ in person for one in given.get(id_, ())] for patient, person in people.items()}
    return {patient: [one for _, one in sorted(his, key=itemgetter(0))] for patient, his in theirs.items()}


def _question(
    who: Attributes,
    action: Action,
    person: Collection[PatientId],
    consents: Sequence[Consent],
    domain: DomainPolicy,
    now: datetime,
) -> _Question:
    who = _with_npi(who, domain)
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
    policies = (*floor, *organizations, *[voice.policy for voice in voices])
    reading = action in READING
    return _Question(
        request=request,
        action=action,
        domain=domain,
        own=reading and patient_asked_for(who) is not None and _is_patient(who, person, domain),
        author=_author_identifiers(who) if domain.author_sees_documents and reading else frozenset(),
        emergency=reading and _is_emergency(who, domain),
        floor=floor,
        organizations=organizations,
        consents=voices,
        settled=_said(floor, organizations, voices, request)
        if all(isinstance(policy, Evaluation) for policy in policies)
        else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is the same for all documents of one patient, and as long as no consent of his begins or ends."""

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
    settled: _Said | None
    """what all policies say where none says different things of different documents, so that none has to look at one"""

    def about(self, resource: Resource) -> Decision:
        """The order of docs/policy.md section 2."""
        domain = self.domain
        said = self.settled
        if said is None:
            said = _said(self.floor, self.organizations, self.consents, self.request.about(resource))
        if said.refusal is not None:
            return said.refusal
        if self.action is Action.PUBLISH:
            return Decision(permit=True, policy=domain.id, rule=PUBLISHING)
        if self.own and (domain.patient_sees_documents or _is_consent(resource)):
            return Decision(permit=True, policy=domain.id, rule=OWN_CONSENT if _is_consent(resource) else OWN_RECORD)
        opens = self.emergency and domain.emergency_hidden.isdisjoint(resource.confidentiality_codes)
        if said.patient is not None:
            if said.liftable and opens and domain.emergency_overrides_patient:
                return Decision(permit=True, policy=domain.id, rule=BREAK_GLASS)
            return said.patient
        if said.organization is not None:
            return said.organization
        if not self.author.isdisjoint(resource.author_persons):
            return Decision(permit=True, policy=domain.id, rule=OWN_DOCUMENT)
        by_default = domain.default is Effect.PERMIT and self.action in READING
        if by_default or not opens:
            return Decision(permit=by_default, policy=domain.id, rule=DEFAULT)
        return Decision(permit=True, policy=domain.id, rule=BREAK_GLASS)


_remembered_question = RememberedQuestions[_Question](_question)


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
    """What the policies say of a document; of what comes after a final refusal nothing is worked out."""

    refusal: Decision | None
    """the first Deny or error of the floor or an organisation, which is final"""
    organization: Decision | None = None
    """the organisations' Permit"""
    patient: Decision | None = None
    """what the patient's consents add up to"""
    liftable: bool = False
    """that is an explicit Deny which is not an exclusion"""


def _said(
    floor: Sequence[Reduced], organizations: Sequence[Reduced], consents: Sequence[_Voice], request: Request
) -> _Said:
    permit: Decision | None = None
    for policy in floor:
        evaluation = outcome(policy, request)
        if evaluation.verdict in _REFUSALS:
            return _Said(_decision(evaluation))
    for policy in organizations:
        evaluation = outcome(policy, request)
        if evaluation.verdict in _REFUSALS:
            return _Said(_decision(evaluation))
        if evaluation.verdict is Verdict.PERMIT and permit is None:
            permit = _decision(evaluation)
    return _Said(None, permit, *_patient_says(consents, request))


def _patient_says(consents: Sequence[_Voice], request: Request) -> tuple[Decision | None, bool]:
    """What the consents add up to, None where none applies, and whether that is liftable; what stands goes first."""
    permit: Decision | None = None
    deny: Decision | None = None
    liftable = False
    for voice in consents:
        if not voice.counts and not voice.exclusion:
            continue
        evaluation = outcome(voice.policy, request)
        if evaluation.verdict in _REFUSALS:
            explicit = evaluation.verdict is Verdict.DENY and evaluation.rule != INDETERMINATE_RULE
            may_be_lifted = explicit and not voice.exclusion
            if deny is None or (liftable and not may_be_lifted):
                deny, liftable = _decision(evaluation, voice.document), may_be_lifted
        elif evaluation.verdict is Verdict.PERMIT and permit is None and voice.counts:
            permit = _decision(evaluation, voice.document)
    return deny or permit, liftable


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
