"""Messages about orders and reports as reasons to look at studies: the order filler and the report manager tell.

IHE RAD TF-2: 4.2 to 4.4, 4.28. A message that says nothing of a study that is here is acknowledged, too: the study may
come later, and is looked at then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from xdsi.actors.publication_queue import Queue
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.identity import FeedAnswer, FeedProblem
from xdsi.domain.ports import Clock
from xdsi.domain.subject import Peer
from xdsi.exchange import Trace, TraceLog
from xdsi.spec.hl7 import INTERNAL_ERROR
from xdsi.wire import hl7v2, hl7v2_orders

log = logging.getLogger("xdsi.source")

PERMITS = {"ORM": "RAD-4", "OMG": "RAD-4", "OMI": "RAD-4", "ORU": "RAD-28"}
"""what a node must be permitted to send which"""


class Orders(Queue, Protocol):
    """Keeps what messages say, beside the queue."""

    def studies_of(self, accessions: Sequence[str]) -> Sequence[str]:
        """Studies known to be of one of these orders."""

    def report_is_final(self, *, accessions: Sequence[str], studies: Sequence[str], now: float) -> None:
        """Remember that the report of orders or studies is final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMessages:
    """Takes one message and acknowledges it once its effect is durable."""

    orders: Orders
    clock: Clock
    traces: TraceLog
    nodes_required: bool
    settle: float
    """seconds after which a study of an order that changed is looked at; one whose report is final is at once"""

    def __call__(self, raw: bytes, peer: Peer) -> bytes:
        """Answer one message."""
        trace = Trace()
        now = self.clock()
        try:
            answer = self._take(hl7v2_orders.decode(raw), peer, trace)
        except MalformedMessage as error:
            answer = hl7v2.refusal(error)
        except Unavailable:
            answer = hl7v2.UNAVAILABLE
        trace.note("answered", accepted=answer.accepted, problems=[one.text for one in answer.problems])
        self.traces.append(
            trace.id,
            {
                "transaction": PERMITS.get(hl7v2_orders.kind_of(raw), "HL7"),
                "peer": peer.address,
                "node": peer.node.name if peer.node else "",
                "user": "",
                "steps": trace.steps,
            },
        )
        return hl7v2.acknowledge(raw, answer, now)

    def _take(self, message: hl7v2_orders.OrderMessage, peer: Peer, trace: Trace) -> FeedAnswer:
        needed = PERMITS[message.kind]
        if self.nodes_required and not peer.may(needed):
            trace.note("refused", detail=peer.why_not(needed))
            log.warning("trace %s: %s: %s", trace.id, peer.address, peer.why_not(needed))
            text = f"not permitted [trace {trace.id}]"
            return FeedAnswer(accepted=False, problems=(FeedProblem(INTERNAL_ERROR, text, rule="node"),))
        now = self.clock().timestamp()
        if message.final:
            self.orders.report_is_final(accessions=message.accessions, studies=message.studies, now=now)
        studies = [*message.studies, *self.orders.studies_of(message.accessions)]
        due = now if message.final else now + self.settle
        self.orders.add(studies, origin=message.kind, due=due, now=now)
        trace.note("queued", studies=len(set(studies)), final=message.final)
        return FeedAnswer(accepted=True)


_Handler = Callable[[bytes, Peer], bytes]


def by_type(orders: _Handler, others: _Handler) -> _Handler:
    """One port for both: messages about orders to the one, all others to the other."""
    return lambda raw, peer: (orders if hl7v2_orders.kind_of(raw) else others)(raw, peer)
