"""ITI-62 Remove Metadata: an administrator makes the registry forget objects, for good.

Remove Metadata and Documents: 3.62. Its action still has the former name, Delete Document Set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from xdsi.domain.audit import ExchangeFacts, RemovedObject
from xdsi.domain.consent import Action
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import DocumentEntry, RegistryObject
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import RegistrySession
from xdsi.domain.registration import RegisterPorts, review
from xdsi.domain.removal import RemovalAnswer, RemovalRequest
from xdsi.domain.stored_query import Evidence
from xdsi.exchange import Call, Codec, Located, Transaction
from xdsi.rules import removal as rules
from xdsi.rules.visibility import seen
from xdsi.wire.ebxml import removal


@dataclass(frozen=True, slots=True)
class _State:
    removal: rules.Removal
    ends: dict[str, RegistryObject] = field(default_factory=dict)
    """what the Associations among the objects join"""
    evidence: Evidence = field(default_factory=Evidence)


def locate(request: RemovalRequest, ports: RegisterPorts, session: RegistrySession) -> Located:
    """The objects, and what their removal could leave alone; none of it changes until the end."""
    session.lock(request.ids)
    found = rules.Removal(request.ids, session.objects(request.ids))
    session.lock(found.ends)
    return Located(state=_State(found, dict(session.objects(found.ends))))


def weigh(located: Located, ports: RegisterPorts, session: RegistrySession) -> Located:
    """What is decided on: DocumentEntries, and those that stand for SubmissionSets, Folders and Associations."""
    state: _State = located.state
    evidence = session.evidence(state.removal.found)
    return Located(tuple(evidence.resources.values()), replace(state, evidence=evidence))


def handle(call: Call[RemovalRequest]) -> RemovalAnswer:
    """Remove everything or nothing (3.62.4.1.3); consents among it, or signatures of consents, count at once."""
    state: _State = call.located.state
    ports: RegisterPorts = call.ports
    described = state.removal.described(state.ends)
    hidden: set[str] = set()
    if call.permitted is not None:
        hidden = state.removal.objects.keys() - seen(state.evidence, call.permitted)
    held = _held(state.removal, described, call.session)
    outcome = Outcome.of(rules.check(state.removal, call.session, hidden, held))
    if outcome.accepted:
        call.session.remove(call.request.ids)
        review(state.removal.unsigned, call.session, ports.consents)
    return RemovalAnswer(outcome, described)


def _held(removal: rules.Removal, described: Sequence[RemovedObject], session: RegistrySession) -> set[str]:
    """What a legal hold keeps here."""
    patients = {one.entry_uuid: PatientId.parse(one.patient) for one in described if one.patient}
    entries = {id_: one.unique_id for id_, one in removal.objects.items() if isinstance(one, DocumentEntry)}
    held = session.held(list(entries.values()), list(set(patients.values())))
    return {id_ for id_ in removal.objects if held.covers(entries.get(id_, ""), patients.get(id_))}


def refuse(request: RemovalRequest | None, problems: Sequence[Problem]) -> RemovalAnswer:
    """Nothing was removed."""
    return RemovalAnswer(Outcome.of(problems))


def facts(request: RemovalRequest, answer: RemovalAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """Each object with its kind, and whose it was (3.62.5.1)."""
    unknown = tuple(RemovedObject(entry_uuid=id_) for id_ in request.ids)
    return replace(
        base,
        removed=answer.removed if answer is not None and answer.removed else unknown,
        outcome=0 if answer is not None and answer.outcome.accepted else 8,
    )


TRANSACTION = Transaction(
    number="ITI-62",
    name="Remove Metadata",
    trigger="urn:ihe:iti:2010:DeleteDocumentSet",
    reply="urn:ihe:iti:2010:DeleteDocumentSetResponse",
    request=Codec(removal.decode, removal.encode),
    response=Codec(removal.decode_answer, removal.encode_answer),
    locate=locate,
    weigh=weigh,
    handle=handle,
    refuse=refuse,
    facts=facts,
    action=Action.DELETE,
    writes=True,
)
