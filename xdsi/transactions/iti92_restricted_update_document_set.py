"""ITI-92 Restricted Update Document Set: an initiator changes what may be changed of DocumentEntries.

Restricted Metadata Update: 3.92.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    return Located(state=rules.Context.held(rules.prepared(request), session))


def weigh(located: Located, ports: RegisterPorts, session: RegistrySession) -> Located:
    """What is decided on: everything registered that would change or be connected."""
    context: rules.Context = located.state
    context = context.weighed(session.evidence)
    return Located(context.resources, context)


def handle(call: Call[Submission]) -> Outcome:
    """Give every DocumentEntry of the request its new version, or none (3.92.4.1.3)."""
    ports: RegisterPorts = call.ports
    context: rules.Context = call.located.state
    outcome, registration = rules.decide(context.within(call.permitted), call.session, ports, rules.RESTRICTED)
    if registration is not None:
        registration.carry_out(call.session, ports.consents)
    return outcome


def refuse(request: Submission | None, problems: Sequence[Problem]) -> Outcome:
    """Nothing was changed."""
    return Outcome.of(problems)


def facts(request: Submission, answer: Outcome | None, base: ExchangeFacts) -> ExchangeFacts:
    """Patient, SubmissionSet and the community of the entries (3.92.5)."""
    homes = [one.home_community_id for one in request.document_entries if one.home_community_id]
    described = submission_audit.describe(request, answer, base)
    return replace(described, home_community_id=homes[0] if homes else "")


TRANSACTION = Transaction(
    number="ITI-92",
    name="Restricted Update Document Set",
    trigger="urn:ihe:iti:2018:RestrictedUpdateDocumentSet",
    reply="urn:ihe:iti:2018:RestrictedUpdateDocumentSetResponse",
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
