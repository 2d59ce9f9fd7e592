"""A message that changes something and comes again gets the answer of the first, and changes nothing again."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from xdsi.domain.errors import Unavailable
from xdsi.domain.outcome import outcome_of
from xdsi.domain.repetition import FirstAnswer, Sending
from xdsi.domain.subject import Caller
from xdsi.exchange.row import Actor, Trace, Transaction
from xdsi.wire import xml
from xdsi.wire.fingerprint import fingerprint
from xdsi.wire.message import Message, Packaging, Payload

log = logging.getLogger("xdsi.exchange")

TRANSIENT = frozenset(
    {
        "XDSRegistryBusy",
        "XDSRegistryNotAvailable",
        "XDSRegistryOutOfResources",
        "XDSRepositoryBusy",
        "XDSRepositoryOutOfResources",
    }
)
"""what is worth another try: such an answer is none that lasts"""


def sending_of(
    actor: Actor, transaction: Transaction[Any, Any], message: Message, caller: Caller, message_id: str
) -> Sending | None:
    """How to know this message again; None where that does not matter."""
    if actor.first_answers is None or not message_id or not (transaction.writes or transaction.changes):
        return None
    subject = caller.subject
    user = f"{subject.issuer} {subject.user_id}" if subject is not None else ""
    sender = f"{caller.peer.certificate_sha256 or caller.peer.address} {user}".rstrip()
    return Sending(sender, message_id, fingerprint(message, transaction.number))


def alone(actor: Actor, transaction: Transaction[Any, Any], sending: Sending | None) -> AbstractContextManager[None]:
    """The same message waits until the one before it was answered; what writes waits in its unit of work."""
    if sending is None or actor.first_answers is None or transaction.writes:
        return nullcontext()
    return actor.first_answers.alone(sending)


def recall(actor: Actor, sending: Sending | None, session: Any, trace: Trace) -> FirstAnswer | None:
    """What the message was answered before."""
    if sending is None or actor.first_answers is None:
        return None
    first = actor.first_answers.recall(sending, session)
    if first is not None:
        trace.note("repeated", message_id=sending.message_id, first=first.trace)
    return first


def read(transaction: Transaction[Any, Any], first: FirstAnswer) -> Any:
    """The first answer as its sender sees it, for the audit record of this exchange."""
    return transaction.response.decode(Message((xml.parse(first.body),)))


def keep(
    actor: Actor,
    transaction: Transaction[Any, Any],
    response: Any,
    sending: Sending | None,
    session: Any,
    packaging: Packaging,
    trace: Trace,
) -> Payload | None:
    """Remember an answer that lasts and return it encoded; None where nothing is remembered."""
    if sending is None or actor.first_answers is None:
        return None
    outcome = outcome_of(response)
    if outcome is not None and any(problem.code in TRANSIENT for problem in outcome.errors):
        return None
    body = b"".join(transaction.response.encode(response, packaging).body)
    try:
        actor.first_answers.keep(sending, FirstAnswer(body, trace.id), session)
    except Unavailable as error:
        if session is not None:
            raise
        # What it says was done all the same.
        log.error("trace %s: the answer is not remembered: %s", trace.id, error)
    return Payload((body,))
