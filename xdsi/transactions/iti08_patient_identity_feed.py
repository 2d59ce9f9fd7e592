"""ITI-8 Patient Identity Feed: an identity source tells the registry of patients and of merges, in HL7 v2.3.1.

ITI TF-2: 3.8.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.identity import FeedAnswer, PatientIdentities, PatientIdentityFeed
from xdsi.rules.identity import IdentityDomain, decide
from xdsi.wire import hl7v2


def handle(
    feed: PatientIdentityFeed, identities: PatientIdentities, domain_authority: str, *, namespace: str = ""
) -> FeedAnswer:
    """Register the domain's identifiers, or record a merge; A08 never makes an identifier known (3.8.4.1.4)."""
    domain = IdentityDomain(domain_authority, namespace)
    return decide(feed, identities.status, domain, update_registers=False).carry_out(feed, identities)


def respond(raw: bytes, serve: Callable[[PatientIdentityFeed], FeedAnswer], now: datetime) -> bytes:
    """The receiving end: one message in, its acknowledgement out, whatever the message is like."""
    try:
        feed = hl7v2.decode(raw)
    except MalformedMessage as error:
        return hl7v2.acknowledge(raw, hl7v2.refusal(error), now)
    try:
        answer = serve(feed)
    except Unavailable:
        answer = hl7v2.UNAVAILABLE
    return hl7v2.acknowledge(raw, answer, now)


def feed(event: PatientIdentityFeed, deliver: Callable[[bytes], bytes]) -> FeedAnswer:
    """The sending end: deliver one event and read its acknowledgement.

    Raises MalformedMessage when the answer is none, or is one to another message.
    """
    message = hl7v2.encode(event)
    return hl7v2.decode_acknowledgement(deliver(message), to=event.message_id)
