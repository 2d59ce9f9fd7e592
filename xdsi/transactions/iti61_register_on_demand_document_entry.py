"""ITI-61 Register On-Demand Document Entry: a source tells the registry what it can make when asked.

ITI TF-2: 3.61. The action of the answer lacks "Entry" (3.61.4.2).
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


def handle(call: Call[Submission]) -> Outcome:
    """Accept the whole submission or none of it (3.61.4.1.3)."""
    ports: RegisterPorts = call.ports
    hold_related(call.request, call.session)
    outcome, registration = rules.decide(call.request, call.session, ports, column=Column.ON_DEMAND)
    if registration is not None:
        registration.carry_out(call.session, ports.consents)
    return outcome


def refuse(request: Submission | None, problems: Sequence[Problem]) -> Outcome:
    """Nothing was stored."""
    return Outcome.of(problems)


def facts(request: Submission, answer: Outcome | None, base: ExchangeFacts) -> ExchangeFacts:
    """Patient and SubmissionSet (3.61.5.1)."""
    return submission_audit.describe(request, answer, base)


TRANSACTION = Transaction(
    number="ITI-61",
    name="Register On-Demand Document Entry",
    trigger="urn:ihe:iti:2010:RegisterOnDemandDocumentEntry",
    reply="urn:ihe:iti:2010:RegisterOnDemandDocumentResponse",
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
