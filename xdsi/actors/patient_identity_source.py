"""Patient Identity Source: announces patients and merges to the hub (ITI-44 over SOAP, ITI-8 over MLLP)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from xdsi.domain.audit import ExchangeFacts, Side
from xdsi.domain.identity import FeedAnswer, PatientIdentityFeed
from xdsi.exchange import Channel, Client, call
from xdsi.rules import audit as audit_rules
from xdsi.rules import identity_audit
from xdsi.transactions import iti08_patient_identity_feed as iti08
from xdsi.transactions import iti44_patient_identity_feed_v3 as iti44


def feed_v3(client: Client, event: PatientIdentityFeed, channel: Channel) -> tuple[FeedAnswer, str]:
    """Send one event by ITI-44; the answer and the hub's trace."""
    called = call(client, iti44.BY_EVENT[event.kind], event, channel)
    called.close()
    return called.answer.answer, called.reply.trace


def feed_v2(client: Client, event: PatientIdentityFeed, deliver: Callable[[bytes], bytes]) -> FeedAnswer:
    """Send one event by ITI-8; `deliver` carries a message over MLLP and brings its acknowledgement."""
    facts = ExchangeFacts(
        transaction="ITI-8",
        side=Side.CLIENT,
        time=client.clock(),
        site=client.site,
        endpoint=f"{event.receiver.facility}|{event.receiver.name}",
        reply_to=f"{event.sender.facility}|{event.sender.name}",
    )
    try:
        answer = iti08.feed(event, deliver)
    except Exception as error:
        failed = identity_audit.describe(event, None, replace(facts, outcome_description=str(error)))
        client.trail.append(audit_rules.events_for(failed), trace="")
        raise
    client.trail.append(audit_rules.events_for(identity_audit.describe(event, answer, facts)), trace="")
    return answer
