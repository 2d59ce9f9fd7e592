"""The repository's way to its registry: ITI-42 over the wire, or handed over inside one process (ITI TF-2: 3.42)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from xdsi.domain.audit import AuditTrail
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.outcome import Outcome
from xdsi.domain.ports import Spool
from xdsi.domain.subject import Caller, Node, Peer
from xdsi.domain.submission import Document, Submission
from xdsi.exchange import Actor, Channel, Client, Reply, Trace, Transaction, admit, call, run
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.wire import soap
from xdsi.wire.message import Message, Packaging, Payload
from xdsi.wire.mtom import Attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistersBy42:
    """Registers by ITI-42; the outcome is the registry's own, word for word."""

    client: Client
    channel: Channel

    def register(self, submission: Submission, caller: Caller, trail: AuditTrail) -> Outcome:
        """Register; raises Unavailable when the registry cannot be reached or does not answer as one.

        The audit record is left in `trail`.
        """
        try:
            called = call(replace(self.client, trail=trail), iti42.TRANSACTION, submission, self.channel)
        except (MalformedMessage, SoapFault) as error:
            refused = isinstance(error, SoapFault) and error.code != "Receiver"
            text = f"the registry did not register: {error}"
            raise Unavailable(text, uncertain=not refused, answered=True) from error
        called.close()
        return called.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcess:
    """A channel to an actor of this process: the same encoded messages and the same exchange, without a socket.

    The message is encoded and decoded as on the wire, so that nothing is accepted here that would be refused there.
    """

    actor: Actor
    node: Node
    make_spool: Callable[[], Spool]
    url: str

    def send(
        self, transaction: Transaction[Any, Any], payload: Payload, packaging: Packaging, security: bytes = b""
    ) -> Reply:
        """Send one request and return its answer."""
        row = self.actor.find(transaction.trigger)
        if row is None:
            raise SoapFault("Sender", f"{transaction.number} is not served here")
        request = soap.read_envelope(
            b"".join(soap.write_envelope(transaction.trigger, payload.body, to=self.url, security=security)),
            limit=_LIMIT,
            huge=True,
        )
        trace = Trace()
        caller = admit(self.actor, row, request, Peer(address="127.0.0.1", node=self.node), trace)
        spool = self.make_spool()
        try:
            message = Message(request.body, {one.content_id: _taken(one, spool) for one in payload.attachments})
            answer = self._run(row, message, caller, packaging, trace)
        finally:
            spool.close()
        reply = soap.read_reply(b"".join(soap.write_envelope(row.reply, answer)), limit=_LIMIT, huge=True)
        return Reply(Message(reply.body), self.make_spool(), trace.id)

    def _run(
        self, row: Transaction[Any, Any], message: Message, caller: Caller, packaging: Packaging, trace: Trace
    ) -> bytes:
        answer = run(self.actor, row, message, caller, packaging=packaging, trace=trace)
        return b"".join(answer.body)


def _taken(attachment: Attachment, spool: Spool) -> Document:
    """An attachment as it would have arrived."""
    part = spool.part()
    for chunk in attachment.open():
        part.write(chunk)
    return part.finish()


_LIMIT = 256 * 1024 * 1024
