"""ITI-42 Register Document Set-b: a repository tells the registry what it now holds.

ITI TF-2: 3.42.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from xdsi.domain.audit import ExchangeFacts
from xdsi.domain.codes import CodeSets
from xdsi.domain.errors import Rejected
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import Clock, ConsentIntake
from xdsi.domain.submission import Submission
from xdsi.exchange import Call, Codec, Transaction
from xdsi.rules import submission as rules
from xdsi.spec import uuids
from xdsi.wire.ebxml import response, submission


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPorts:
    """What registration works with."""

    clock: Clock
    consents: ConsentIntake | None
    accept_unknown_patients: bool
    codes: CodeSets | None = None
    strictness: str = "reject"
    new_uuid: Callable[[], str] = new_entry_uuid


def handle(call: Call[Submission]) -> Outcome:
    """Accept the whole submission or none of it (3.42.4.1.3.1)."""
    ports: RegisterPorts = call.ports
    problems = rules.check(
        call.request,
        call.session,
        column="DR",
        accept_unknown_patients=ports.accept_unknown_patients,
        codes=ports.codes,
        strictness=ports.strictness,
    )
    outcome = Outcome.of(problems)
    if not outcome.accepted:
        return outcome
    now = ports.clock().strftime("%Y%m%d%H%M%S")
    submitted = rules.assign(call.request, new_uuid=ports.new_uuid, now=now)
    effects = rules.effects(submitted, call.session, new_uuid=ports.new_uuid)
    deprecated = set(call.session.deprecate(effects.deprecate))
    too_late = [
        Problem(
            "XDSRegistryDeprecatedDocumentError",
            f"{association.target} was replaced by another submission",
            location=association.entry_uuid,
            rule="ASSOC.target.deprecated",
        )
        for association in submitted.associations
        if association.type in uuids.REPLACEMENTS and association.target not in deprecated
    ]
    if too_late:
        raise Rejected(tuple(too_late))
    call.session.save(replace(submitted, associations=(*submitted.associations, *effects.associations)))
    call.session.touch_folders(effects.touched_folders, now)
    if ports.consents is not None:
        refused, consents = ports.consents.examine(submitted, call.session)
        if refused:
            raise Rejected(tuple(refused))
        for consent in consents:
            call.session.save_consent(consent)
    return outcome


def refuse(request: Submission | None, problems: Sequence[Problem]) -> Outcome:
    """Nothing was stored."""
    return Outcome.of(problems)


def facts(request: Submission, answer: Outcome | None, base: ExchangeFacts) -> ExchangeFacts:
    """Patient and SubmissionSet (3.42.5.1)."""
    if len(request.submission_sets) != 1:
        return replace(base, outcome=8)
    submission_set = request.submission_set
    return replace(
        base,
        patients=(submission_set.patient_id,) if submission_set.patient_id else (),
        submission_set=submission_set.unique_id,
        outcome=0 if answer is not None and answer.accepted else 8,
    )


TRANSACTION = Transaction(
    number="ITI-42",
    name="Register Document Set-b",
    trigger="urn:ihe:iti:2007:RegisterDocumentSet-b",
    reply="urn:ihe:iti:2007:RegisterDocumentSet-bResponse",
    request=Codec(submission.decode, submission.encode),
    response=Codec(response.decode, response.encode),
    handle=handle,
    refuse=refuse,
    facts=facts,
    assertion_required=False,
    writes=True,
    malformed_code="XDSRegistryMetadataError",
    unavailable_code="XDSRegistryBusy",
)
