"""Which exchange this thread answers: for the log of rules, which have no other part in it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from xdsi.domain.subject import Peer

EXCHANGE: Final[ContextVar[tuple[str, str, str]]] = ContextVar("exchange", default=("", "", ""))
"""trace, transaction and who sent the request; empty outside of any"""


def sender_of(peer: Peer) -> str:
    """Who sent a request, for the log; of what this process asks itself it is who asked for the whole."""
    if EXCHANGE.get()[2]:
        return EXCHANGE.get()[2]
    if peer.node is not None:
        return f"node {peer.node.name!r}"
    return f"SHA-256 {peer.certificate_sha256}" if peer.certificate_sha256 else peer.address


def prefix() -> str:
    """`trace TRACE: ITI-NN from node 'NAME': `, as a line of a log begins; empty outside of an exchange."""
    trace, transaction, sender = EXCHANGE.get()
    return f"trace {trace}: {transaction} from {sender}: " if trace else ""
