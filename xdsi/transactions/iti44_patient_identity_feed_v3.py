"""ITI-44 Patient Identity Feed HL7 V3: an identity source tells the registry of patients and of merges, over SOAP.

ITI TF-2: 3.44.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from xdsi.domain.audit import ExchangeFacts
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identity import (
    FeedAnswer,
    FeedEvent,
    FeedProblem,
    PatientIdentities,
    PatientIdentityFeed,
)
from xdsi.domain.outcome import Problem
from xdsi.domain.ports import Clock
from xdsi.exchange import Call, Codec, Transaction
from xdsi.rules import identity_audit
from xdsi.rules.identity import IdentityDomain, decide
from xdsi.spec import hl7
from xdsi.spec.namespaces import HL7V3
from xdsi.wire import hl7v3
from xdsi.wire.message import Message, Packaging, Payload
from xdsi.wire.xml import E


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPorts:
    """What identity feeds work with."""

    identities: PatientIdentities
    domain: IdentityDomain
    clock: Clock


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The answer to a feed message; `feed` is None where the message could not be read."""

    answer: FeedAnswer
    at: datetime
    feed: PatientIdentityFeed | None = None


def handle(
    feed: PatientIdentityFeed, identities: PatientIdentities, domain_authority: str, *, namespace: str = ""
) -> FeedAnswer:
    """Register the domain's identifiers, from an added and a revised record alike, or record a merge (3.44.4.1.4)."""
    domain = IdentityDomain(domain_authority, namespace)
    return decide(feed, identities.status, domain, update_registers=True).carry_out(feed, identities)


def serve(call: Call[PatientIdentityFeed]) -> Acknowledgement:
    """The receiving end."""
    ports: FeedPorts = call.ports
    answer = handle(call.request, ports.identities, ports.domain.authority, namespace=ports.domain.namespace)
    return Acknowledgement(answer, ports.clock(), call.request)


def refuse(request: PatientIdentityFeed | None, problems: Sequence[Problem]) -> Acknowledgement:
    """Nothing was recorded; a message that cannot be read is an error of the sender, anything else is ours."""
    code = hl7.DATA_TYPE_ERROR if request is None else hl7.INTERNAL_ERROR
    found = tuple(FeedProblem(code, p.context, p.location, p.rule) for p in problems)
    return Acknowledgement(FeedAnswer(accepted=False, problems=found), datetime.now(UTC), request)


def facts(feed: PatientIdentityFeed, answer: Acknowledgement | None, base: ExchangeFacts) -> ExchangeFacts:
    """The patient, and for a merge both identifiers (3.44.5.1)."""
    return identity_audit.describe(feed, answer.answer if answer is not None else None, base)


def _encode(feed: PatientIdentityFeed, packaging: Packaging) -> Payload:
    return Payload((hl7v3.encode(feed),))


def _decode_answer(message: Message) -> Acknowledgement:
    return Acknowledgement(hl7v3.decode_acknowledgement(message.body), datetime.now(UTC))


def _encode_answer(answer: Acknowledgement, packaging: Packaging) -> Payload:
    return Payload((hl7v3.encode_acknowledgement(answer.feed, answer.answer, now=answer.at),))


def _interaction(name: str) -> Transaction[PatientIdentityFeed, Acknowledgement]:
    def decode(message: Message) -> PatientIdentityFeed:
        # A merge under the action of an added record would be permitted and recorded as one.
        if message.body.tag != E(HL7V3, name):
            raise MalformedMessage(f"{message.body.tag} under the action of {name}", location="Body", expected=name)
        return hl7v3.decode(message.body)

    return Transaction(
        number="ITI-44",
        name="Patient Identity Feed HL7 V3",
        trigger=f"urn:hl7-org:v3:{name}",
        reply="urn:hl7-org:v3:MCCI_IN000002UV01",
        request=Codec(decode, _encode),
        response=Codec(_decode_answer, _encode_answer),
        handle=serve,
        refuse=refuse,
        facts=facts,
        assertion_required=False,
        changes=True,
    )


ADD = _interaction("PRPA_IN201301UV02")
REVISE = _interaction("PRPA_IN201302UV02")
MERGE = _interaction("PRPA_IN201304UV02")
TRANSACTIONS = (ADD, REVISE, MERGE)
"""One transaction, three interactions, each with an action of its own."""

BY_EVENT = {FeedEvent.ADD: ADD, FeedEvent.UPDATE: REVISE, FeedEvent.MERGE: MERGE}
