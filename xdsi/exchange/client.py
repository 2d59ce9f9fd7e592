"""The client's half of an exchange: encode, send, decode, and audit our side of it."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from xdsi.domain.audit import AuditSite, AuditTrail, ExchangeFacts, Side
from xdsi.domain.errors import Unavailable
from xdsi.domain.ports import Clock, Spool
from xdsi.domain.subject import Subject
from xdsi.exchange.record import with_reason
from xdsi.exchange.row import ANSWERING, Transaction
from xdsi.rules import audit as audit_rules
from xdsi.wire import saml_issue
from xdsi.wire.message import Message, Packaging, Payload

log = logging.getLogger("xdsi.exchange")

_TRACE = re.compile(r"\[trace ([0-9a-f]{32})\]$")

Req = TypeVar("Req")
Resp = TypeVar("Resp")


@dataclass(slots=True)
class Reply:
    """A peer's answer; its parts lie in `spool` until that is closed."""

    message: Message
    spool: Spool
    trace: str = ""


class Channel(Protocol):
    """A way to one endpoint of a peer."""

    @property
    def url(self) -> str:
        """Where it leads, for the audit record."""

    def send(
        self, transaction: Transaction[Any, Any], payload: Payload, packaging: Packaging, security: bytes = b""
    ) -> Reply:
        """Send one request and return its answer; raises Unavailable, SoapFault or MalformedMessage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who we are when we ask: for the security header and for the audit record of our side."""

    site: AuditSite
    trail: AuditTrail
    clock: Clock
    subject: Subject | None = None
    assertion: bytes = b""
    """a SAML assertion to send, as it came from its issuer"""


@dataclass(slots=True)
class Called(Generic[Resp]):
    """What a call brought; documents of the answer are readable until `close`."""

    answer: Resp
    reply: Reply

    def close(self) -> None:
        """Remove the spooled parts."""
        self.reply.spool.close()


def call(
    client: Client,
    transaction: Transaction[Req, Resp],
    request: Req,
    channel: Channel,
    *,
    packaging: Packaging = Packaging.SIMPLE,
    number: str = "",
) -> Called[Resp]:
    """Start a transaction as its client, and audit our side of it (ITI-20).

    Where it is asked for the sake of an exchange that is being answered, it is a step of that one's trace.
    `number` names the transaction in the audit record where it is sent under another name (RAD-68 as ITI-41).
    Raises what the channel raises, after the failure was audited.
    """
    name, asked = number or transaction.number, client.clock()

    def facts(trace: str) -> ExchangeFacts:
        return ExchangeFacts(
            transaction=name,
            side=Side.CLIENT,
            endpoint=channel.url,
            site=client.site,
            subject=client.subject,
            time=asked,
            trace=trace,
        )

    security = saml_issue.security_header(client.assertion) if client.assertion else b""
    payload = transaction.request.encode(request, packaging)
    reply: Reply | None = None
    began = time.perf_counter()
    try:
        reply = channel.send(transaction, payload, packaging, security)
        answer = transaction.response.decode(reply.message)
    except Exception as error:
        if reply is not None:
            reply.spool.close()
        failed = replace(transaction.facts(request, None, facts("")), outcome=8, outcome_description=str(error))
        # A fault names the trace under which the other end keeps its reasons.
        found = _TRACE.search(str(error))
        there = found[1] if found else ""
        _note(name, channel.url, there, began, error=str(error))
        try:
            client.trail.append(audit_rules.events_for(failed), trace=there)
        except Unavailable as unavailable:
            # What the caller has to act on is how the exchange failed, not that this could not be written down.
            log.error("a failed %s could not be audited: %s", name, unavailable)
        raise
    _note(name, channel.url, reply.trace, began)
    described = with_reason(transaction.facts(request, answer, facts(reply.trace)), answer)
    try:
        client.trail.append(audit_rules.events_for(described), trace=reply.trace)
    except Unavailable as unavailable:
        reply.spool.close()
        # The other end has done what it was asked: nobody may undo his own half of it.
        raise Unavailable(f"the answer could not be audited: {unavailable}", uncertain=True) from unavailable
    return Called(answer, reply)


def _note(transaction: str, to: str, trace: str, began: float, **more: str) -> None:
    """Tell the operator of the exchange that is being answered what was sent on, and under which trace it is there."""
    answering = ANSWERING.get()
    if answering is not None:
        took = round((time.perf_counter() - began) * 1000, 2)
        answering.note("sent on", transaction=transaction, to=to, trace=trace, took=took, **more)
