"""Messages about orders and reports put studies in the queue, from who may send them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.transactions.ports import NOW, clock
from tests.wire.test_hl7v2_orders import message, obr
from xdsi.actors.order_messages import OrderMessages, by_type
from xdsi.domain.errors import Unavailable
from xdsi.domain.subject import Node, Peer

RIS = Peer(address="192.0.2.9", node=Node(name="ris", permits=frozenset({"RAD-28"})))
FINAL = message("ORU^R01", obr(accession="A1", status="F"))
NOW_SECONDS = NOW.timestamp()


@dataclass
class Orders:
    """Remembers; the order A1 has study 1.2.3."""

    said: list[Any] = field(default_factory=list)
    away: bool = False

    def add(self, uids: Iterable[str], *, origin: str, due: float, now: float) -> None:
        self.said.append((sorted(uids), origin, due - now))

    def studies_of(self, accessions: Sequence[str]) -> Sequence[str]:
        return ["1.2.3"] if "A1" in accessions else []

    def report_is_final(self, *, accessions: Sequence[str], studies: Sequence[str], now: float) -> None:
        if self.away:
            raise Unavailable("away")
        self.said.append(("final", *accessions, *studies))


@dataclass
class Traces:
    records: list[Any] = field(default_factory=list)

    def append(self, trace: str, record: Any) -> None:
        self.records.append(record)


def taken(raw: bytes, peer: Peer = RIS, **changes: Any) -> tuple[str, list[Any]]:
    """The code of the acknowledgement, and what came of the message."""
    orders = changes.pop("orders", Orders())
    given: dict[str, Any] = {
        "orders": orders,
        "clock": clock,
        "traces": Traces(),
        "nodes_required": True,
        "settle": 60.0,
    }
    answer = OrderMessages(**given | changes)(raw, peer).decode()
    (code,) = (line.split("|")[1] for line in answer.split("\r") if line.startswith("MSA"))
    return code, orders.said


def test_a_final_report_is_remembered_and_its_study_looked_at_at_once() -> None:
    assert taken(FINAL) == ("AA", [("final", "A1"), (["1.2.3"], "ORU", 0.0)])


def test_a_report_that_is_not_final_lets_its_study_settle() -> None:
    raw = message("ORU^R01", obr(accession="A1", status="P"))
    assert taken(raw) == ("AA", [(["1.2.3"], "ORU", 60.0)])


def test_a_report_of_a_study_that_is_not_here_yet_is_remembered() -> None:
    raw = message("ORU^R01", obr(accession="A9", status="F"))
    assert taken(raw) == ("AA", [("final", "A9"), ([], "ORU", 0.0)])


def test_who_may_not_send_is_refused() -> None:
    for peer in (Peer(address="192.0.2.9"), replace(RIS, node=Node(name="x", permits=frozenset({"ITI-8"})))):
        assert taken(FINAL, peer) == ("AR", [])
    assert taken(message("ORM^O01", obr(accession="A1"))) == ("AR", []), "a report manager sends no orders"
    assert taken(FINAL, Peer(address="127.0.0.1"), nodes_required=False)[0] == "AA"


@pytest.mark.parametrize("raw", [message("ORU^R01", obr(status="F")), message("ORU^R01")])
def test_what_speaks_of_nothing_is_refused(raw: bytes) -> None:
    assert taken(raw) == ("AE", [])


def test_a_message_that_could_not_be_kept_is_not_acknowledged() -> None:
    assert taken(FINAL, orders=Orders(away=True)) == ("AR", [])


def test_both_kinds_of_messages_come_by_one_port() -> None:
    take = by_type(lambda raw, peer: b"orders", lambda raw, peer: b"feed")
    assert take(FINAL, RIS) == b"orders"
    assert take(message("ADT^A04"), RIS) == take(b"", RIS) == b"feed"
