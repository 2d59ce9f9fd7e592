"""ITI-57 Update Document Set: an administrator changes the metadata that the registry holds.

Metadata Update: 3.57.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsi.domain.audit import ExchangeFacts
from xdsi.domain.consent import Action
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import RegistrySession
from xdsi.domain.registration import RegisterPorts
from xdsi.domain.submission import Submission
from xdsi.exchange import Call, Codec, Located, Transaction
from xdsi.rules import submission_audit
from xdsi.rules import update as rules
from xdsi.wire.ebxml import response, submission


def locate(request: Submission, ports: RegisterPorts, session: RegistrySession) -> Located:
    """What the request names, and every version of it."""
    return Located(state=rules.Context.held(request, session))


def weigh(located: Located, ports: RegisterPorts, session: RegistrySession) -> Located:
    """What is decided on: everything registered that would change or be connected."""
    context: rules.Context = located.state
    context = context.weighed(session.evidence)
    return Located(context.resources, context)


def handle(call: Call[Submission]) -> Outcome:
    """Carry out every operation of the request or none (3.57.4.1.3.1)."""
    ports: RegisterPorts = call.ports
    context: rules.Context = call.located.state
    outcome, registration = rules.decide(context.within(call.permitted), call.session, ports, rules.UPDATE)
    if registration is not None:
        registration.carry_out(call.session, ports.consents)
    return outcome


def refuse(request: Submission | None, problems: Sequence[Problem]) -> Outcome:
    """Nothing was changed."""
    return Outcome.of(problems)


def facts(request: Submission, answer: Outcome | None, base: ExchangeFacts) -> ExchangeFacts:
    """Patient and SubmissionSet (3.57.7.1)."""
    return submission_audit.describe(request, answer, base)


TRANSACTION = Transaction(
    number="ITI-57",
    name="Update Document Set",
    trigger="urn:ihe:iti:2010:UpdateDocumentSet",
    reply="urn:ihe:iti:2010:UpdateDocumentSetResponse",
    request=Codec(submission.decode, submission.encode),
    response=Codec(response.decode, response.encode),
    locate=locate,
    weigh=weigh,
    handle=handle,
    refuse=refuse,
    facts=facts,
    action=Action.UPDATE,
    writes=True,
    malformed_code="XDSMetadataUpdateError",
)
