"""ITI-79 Authorization Decisions Query: another node asks the hub whether a subject may see a document or its images.

ITI SeR: 3.79. `PolicyDecisions` is the deciding itself, used by the hub's own actors as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lxml import etree

from xdsi.domain.audit import ExchangeFacts, QueryFacts
from xdsi.domain.consent import (
    Action,
    Attributes,
    Decision,
    DecisionAnswer,
    DecisionRequest,
    DomainPolicy,
    Resource,
    ResourceKind,
    engine_of,
)
from xdsi.domain.errors import SoapFault
from xdsi.domain.identifiers import PatientId
from xdsi.domain.outcome import Problem
from xdsi.domain.ports import Clock, Registry, RegistrySession
from xdsi.domain.subject import Caller, Subject
from xdsi.exchange import Call, Codec, Transaction
from xdsi.rules import consent as rules
from xdsi.rules.policy_needs import needs_of, needs_of_domain
from xdsi.spec.xacml import CONSENT_FORMATS, FORMAT_SCHEME, SIGNATURE_FORMATS, SUBJECT_ID
from xdsi.wire import authorization, authorization_answer
from xdsi.wire.message import Message, Packaging, Payload

STUDY_REFERENCE = "^^^^urn:ihe:iti:xds:2016:studyInstanceUID"

_ENGINE_READS = CONSENT_FORMATS | SIGNATURE_FORMATS
_NOT_REGISTERED = Decision(permit=False, policy="registry", rule="not-registered")
_NO_SUBJECT = Decision(permit=False, policy="access", rule="no-assertion")
_OTHER_PATIENT = Decision(permit=False, policy="registry", rule="patient-differs")
_OTHER_STUDY = Decision(permit=False, policy="registry", rule="study-differs")


class PolicyDecisions:
    """Decides by the consents in the registry and the domain's policy (docs/policy.md)."""

    reveals_everything = False

    def __init__(self, policy: DomainPolicy, registry: Registry) -> None:
        self._policy = policy
        self._registry = registry

    def decide(
        self,
        caller: Caller,
        action: Action,
        resources: Sequence[Resource],
        now: datetime,
        session: RegistrySession | None,
    ) -> Sequence[Decision]:
        """One decision per resource, in order."""
        if caller.subject is None:
            return [_NO_SUBJECT] * len(resources)
        return self.decide_for(caller.subject, action, resources, now, session)

    def decide_for(
        self,
        subject: Subject | Attributes,
        action: Action,
        resources: Sequence[Resource],
        now: datetime,
        session: RegistrySession | None,
    ) -> Sequence[Decision]:
        """The same for a subject whose attributes another node verified."""
        if not resources:
            return []
        if session is None:
            with self._registry.reading() as reading:
                return self._decide(subject, action, resources, now, reading)
        return self._decide(subject, action, resources, now, session)

    def _decide(
        self,
        subject: Subject | Attributes,
        action: Action,
        resources: Sequence[Resource],
        now: datetime,
        session: RegistrySession,
    ) -> Sequence[Decision]:
        naming = _Naming()
        if action is Action.RETRIEVE and self._is_engine(subject):
            return [naming.of(found, self._for_engine(found)) for found in _entries(resources, session)]
        if all(one.entry_uuid for one in resources):
            return self._of_entries(subject, action, resources, now, session)
        entries: list[Resource] = []
        owners: list[int] = []
        decisions: list[Decision] = [_NOT_REGISTERED] * len(resources)
        found_of = _entries(resources, session)
        for index, (resource, found) in enumerate(zip(resources, found_of, strict=True)):
            for entry in found:
                refusal = _contradiction(resource, entry, session)
                if refusal is None:
                    entries.append(entry)
                    owners.append(index)
                else:
                    decisions[index] = refusal
        for index, answer in zip(owners, self._of_entries(subject, action, entries, now, session), strict=True):
            # One uniqueId may have several entries: what any of them hides is hidden.
            if decisions[index] is _NOT_REGISTERED or (decisions[index].permit and not answer.permit):
                decisions[index] = naming.of(found_of[index], answer)
        return decisions

    def _of_entries(
        self,
        subject: Subject | Attributes,
        action: Action,
        entries: Sequence[Resource],
        now: datetime,
        session: RegistrySession,
    ) -> list[Decision]:
        """One decision per registered object."""
        patients = set({id(entry.patient): entry.patient for entry in entries}.values())
        consents = [consent for patient in patients if patient is not None for consent in session.consents(patient)]
        if needs_of_domain(self._policy).folders or any(needs_of(consent.policy).folders for consent in consents):
            entries = [_with_folders(entry, session) for entry in entries]
        answers = rules.decide(subject, action, entries, consents, self._policy, now, linked=session.aliases)
        return [
            replace(given, overridden=entry.patient) if given.permit and given.rule == rules.BREAK_GLASS else given
            for entry, given in zip(entries, answers, strict=True)
        ]

    def _is_engine(self, subject: Subject | Attributes) -> bool:
        names = (subject.user_id,) if isinstance(subject, Subject) else subject.get(SUBJECT_ID, ())
        return engine_of(self._policy.id) in names

    def _for_engine(self, entries: Sequence[Resource]) -> Decision:
        """The engine itself reads consents without asking, and what is not registered yet, which may be one."""
        codes = [entry.format_code for entry in entries]
        mine = all(code is not None and code.scheme == FORMAT_SCHEME and code.code in _ENGINE_READS for code in codes)
        return Decision(permit=mine, policy=self._policy.id, rule="decision-engine")


def _with_folders(entry: Resource, session: RegistrySession) -> Resource:
    """A DocumentEntry with the Approved Folders that hold it."""
    if entry.kind is not ResourceKind.DOCUMENT_ENTRY or not entry.entry_uuid:
        return entry
    folders = session.folders_of(entry.entry_uuid)
    return replace(
        entry,
        folder_ids=tuple(identifier for folder in folders for identifier in (folder.unique_id, folder.entry_uuid)),
        folder_codes=tuple(code for folder in folders for code in folder.codes),
    )


def _entries(resources: Sequence[Resource], session: RegistrySession) -> list[Sequence[Resource]]:
    """The entries of each resource; all that have to be looked up are looked up together."""
    asked = dict.fromkeys((one.repository_unique_id, one.unique_id) for one in resources if not one.entry_uuid)
    known: dict[tuple[str, str], list[Resource]] = {key: [] for key in asked}
    for entry in session.resources_by_unique_id(list(asked)) if asked else ():
        known[entry.repository_unique_id, entry.unique_id].append(entry)
    return [(one,) if one.entry_uuid else known[one.repository_unique_id, one.unique_id] for one in resources]


class _Naming:
    """Decisions that name the one patient whose entries they are about; who asked may have known the uniqueId alone.

    Of thousands of documents most are decided alike and are of one patient: those share one decision.
    """

    def __init__(self) -> None:
        self._named: dict[tuple[int, PatientId], tuple[Decision, Decision]] = {}

    def of(self, entries: Sequence[Resource], decision: Decision) -> Decision:
        """The decision, with the patient of these entries where they are of one."""
        patient = entries[0].patient if entries else None
        if patient is None or any(entry.patient != patient for entry in entries[1:]):
            return decision
        # Its id stands for a decision while that is kept here, too.
        known = self._named.get((id(decision), patient))
        if known is None:
            known = self._named[id(decision), patient] = decision, replace(decision, patient=patient)
        return known[1]


def _contradiction(asked: Resource, entry: Resource, session: RegistrySession) -> Decision | None:
    """What the asker says of the document must be true of its entry."""
    if asked is entry:
        return None
    if asked.patient is not None and entry.patient is not None:
        asked_key, entry_key = session.patient_key(asked.patient), session.patient_key(entry.patient)
        if asked_key is None or asked_key != entry_key:
            return _OTHER_PATIENT
    studies = {value for value in asked.reference_ids if value.endswith(STUDY_REFERENCE)}
    if not studies <= set(entry.reference_ids):
        return _OTHER_STUDY
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSigner:
    """Whose signature an answer bears; key and certificate in PEM."""

    issuer: str
    key_pem: bytes
    cert_pem: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPorts:
    """What the Authorization Decisions Manager works with."""

    decisions: PolicyDecisions
    clock: Clock
    signer: AnswerSigner


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    """An answer on its way out, with the question it belongs to and who signs it."""

    answer: DecisionAnswer
    request: DecisionRequest | None = None
    signer: AnswerSigner | None = None
    at: datetime | None = None


def handle(call: Call[DecisionRequest]) -> SignedAnswer:
    """Decide on each resource; what is not known is denied."""
    ports: DecisionPorts = call.ports
    request = call.request
    now = ports.clock()
    decisions = ports.decisions.decide_for(
        request.subject_attributes, request.action, request.resources, now, call.session
    )
    for resource, decision in zip(request.resources, decisions, strict=True):
        call.trace.note(
            "decide",
            resource=resource.unique_id,
            permit=decision.permit,
            policy=decision.policy,
            rule=decision.rule,
            document=decision.document,
        )
    answered: dict[str, Decision] = {}
    for resource, decision in zip(request.resources, decisions, strict=True):
        # The answer names a resource by its uniqueId alone: where two of them share it, a denial stands for both.
        former = answered.get(resource.unique_id)
        if former is None or former.permit:
            answered[resource.unique_id] = decision
    return SignedAnswer(DecisionAnswer(answered), request, ports.signer, now)


def refuse(request: DecisionRequest | None, problems: Sequence[Problem]) -> SignedAnswer:
    """A question that cannot be read or decided is a fault: there is no answer that could be mistaken for one."""
    raise SoapFault("Sender" if request is None else "Receiver", problems[0].context)


def facts(request: DecisionRequest, answer: SignedAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """Who was asked about, what, and the decisions (SeR 3.79.5)."""
    patients = {r.patient.cx for r in request.resources if r.patient is not None}
    results: tuple[tuple[str, str], ...] = ()
    if answer is not None:
        results = tuple(
            (unique_id, "Permit" if decision.permit else "Deny")
            for unique_id, decision in answer.answer.decisions.items()
        )
    return replace(
        base,
        patients=tuple(sorted(patients)) if len(patients) == 1 else (),
        query=QueryFacts(id=request.query_id, request=authorization.encode_query(request, now=base.time)),
        results=results,
        emergency=answer is not None
        and any(one.permit and one.rule == rules.BREAK_GLASS for one in answer.answer.decisions.values()),
        overridden=() if answer is None else rules.overridden(answer.answer.decisions.values()),
        outcome=0 if answer is not None else 8,
    )


def _decode_query(message: Message) -> DecisionRequest:
    return authorization.decode_query(message.body)


def _encode_query(request: DecisionRequest, packaging: Packaging) -> Payload:
    return Payload((authorization.encode_query(request, now=datetime.now(UTC)),))


def _encode_answer(answer: SignedAnswer, packaging: Packaging) -> Payload:
    if answer.request is None or answer.signer is None or answer.at is None:
        raise SoapFault("Receiver", "no decision")
    signer = answer.signer
    encoded = authorization_answer.encode_answer(
        answer.answer,
        answer.request,
        issuer=signer.issuer,
        key_pem=signer.key_pem,
        cert_pem=signer.cert_pem,
        now=answer.at,
    )
    return Payload((encoded,))


ReadAnswer = Callable[[etree._Element], DecisionAnswer]


def transaction(read_answer: ReadAnswer | None = None) -> Transaction[DecisionRequest, SignedAnswer]:
    """The row; a client brings its own reader of answers, which knows the question and whose signature it believes."""

    def decode(message: Message) -> SignedAnswer:
        if read_answer is None:
            raise SoapFault("Receiver", "this end does not read answers")
        return SignedAnswer(read_answer(message.body))

    return Transaction(
        number="ITI-79",
        name="Authorization Decisions Query",
        trigger="urn:ihe:iti:2014:ser:XACMLAuthorizationDecisionQueryRequest",
        reply="urn:ihe:iti:2014:ser:XACMLAuthorizationDecisionQueryResponse",
        request=Codec(_decode_query, _encode_query),
        response=Codec(decode, _encode_answer),
        handle=handle,
        refuse=refuse,
        facts=facts,
        assertion_required=False,
    )


TRANSACTION = transaction()
