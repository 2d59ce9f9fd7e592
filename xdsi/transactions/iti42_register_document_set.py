"""ITI-42 Register Document Set-b: a repository tells the registry what it now holds.

ITI TF-2: 3.42.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsi.domain.audit import ExchangeFacts
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.registration import RegisterPorts, hold_related
from xdsi.domain.submission import Submission
from xdsi.exchange import Call, Codec, Transaction
from xdsi.rules import submission as rules
from xdsi.rules import submission_audit
from xdsi.spec.optionality import Column
from xdsi.wire.ebxml import response, submission


def prepare(request: Submission, ports: RegisterPorts) -> Submission:
    """Bring consents that lie in other repositories: none is accepted without being looked at.

    What can be said of the objects by themselves is found here as well, where nobody waits for the database.
    """
    if ports.consents is not None:
        ports.consents.prepare(request.document_entries)
    return rules.looked_at(request, ports, column=Column.REPOSITORY)


def handle(call: Call[Submission]) -> Outcome:
    """Accept the whole submission or none of it (3.42.4.1.3.1)."""
    ports: RegisterPorts = call.ports
    hold_related(call.request, call.session)
    outcome, registration = rules.decide(call.request, call.session, ports, column=Column.REPOSITORY)
    if registration is not None:
        registration.carry_out(call.session, ports.consents)
    return outcome


def refuse(request: Submission | None, problems: Sequence[Problem]) -> Outcome:
    """Nothing was stored."""
    return Outcome.of(problems)


def facts(request: Submission, answer: Outcome | None, base: ExchangeFacts) -> ExchangeFacts:
    """Patient and SubmissionSet (3.42.5.1)."""
    return submission_audit.describe(request, answer, base)


TRANSACTION = Transaction(
    number="ITI-42",
    name="Register Document Set-b",
    trigger="urn:ihe:iti:2007:RegisterDocumentSet-b",
    reply="urn:ihe:iti:2007:RegisterDocumentSet-bResponse",
    request=Codec(submission.decode, submission.encode),
    response=Codec(response.decode, response.encode),
    prepare=prepare,
    handle=handle,
    refuse=refuse,
    facts=facts,
    assertion_required=False,
    writes=True,
    malformed_code="XDSRegistryMetadataError",
    unavailable_code="XDSRegistryBusy",
)
