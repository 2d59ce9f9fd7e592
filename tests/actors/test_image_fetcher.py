"""Fetching all that a manifest names: each instance once, again where it failed, and nothing that was not asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.imaging import CT_CLASS
from tests.test_exchange import SITE
from tests.transactions.ports import clock
from xdsi.actors.image_fetcher import ImageFetcher, wanted_of
from xdsi.domain.audit import AuditEvent
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import ImagingRequest, Manifest, Reference, ReferencedSeries, ReferencedStudy
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.retrieval import RetrieveAnswer, RetrievedDocument
from xdsi.domain.submission import Document
from xdsi.exchange import Client

HERE, THERE = "2.999.1.3", "2.999.1.4"


def manifest(*series: tuple[str, str, int]) -> Manifest:
    """Series as (location, UID, number of instances)."""
    referenced = tuple(
        ReferencedSeries(
            series_instance_uid=uid,
            instances=tuple(Reference(CT_CLASS, f"{uid}.{n}") for n in range(1, count + 1)),
            retrieve_location_uid=location,
        )
        for location, uid, count in series
    )
    return Manifest(
        sop_instance_uid="1", series_instance_uid="2", study_instance_uid="1.2", sop_class_uid="3",
        studies=(ReferencedStudy(study_instance_uid="1.2", series=referenced),),
    )  # fmt: skip


class Shelf:
    def __init__(self, *held: str, wrong: Sequence[str] = ()) -> None:
        self.kept = dict.fromkeys(held, b"earlier")
        self.wrong = set(wrong)
        self.lock = threading.Lock()

    def held(self, study_uid: str, series_uid: str, uid: str) -> int:
        return len(self.kept.get(uid, b""))

    def put(self, study_uid: str, series_uid: str, uid: str, chunks: Iterator[bytes]) -> int:
        content = b"".join(chunks)
        with self.lock:
            if uid in self.wrong:
                raise MalformedMessage("another instance")
            self.kept[uid] = content
        return len(content)


@dataclass
class Answer:
    answer: RetrieveAnswer
    closed: int = 0

    def close(self) -> None:
        self.closed += 1


@dataclass
class Consumer:
    """A source by RAD-69 that fails as it is told: `away` requests, `lost` instances, `extra` ones nobody asked for."""

    client: Client
    sources: dict[str, Any] = field(default_factory=lambda: {HERE: None})
    away: int = 0
    lost: set[str] = field(default_factory=set)
    extra: bool = False
    asked: list[list[str]] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def fetch(self, request: ImagingRequest, location: str) -> Answer:
        documents = [one for study in request.studies for series in study.series for one in series.documents]
        assert {one.repository_unique_id for one in documents} == {location}
        if location not in self.sources:
            raise LookupError(f"imaging source {location} is not configured")
        with self.lock:
            self.asked.append([one.document_unique_id for one in documents])
            if self.away:
                self.away -= 1
                raise Unavailable("away")
        problems = [
            Problem("XDSDocumentUniqueIdError", "not there", one.document_unique_id)
            for one in documents
            if one.document_unique_id in self.lost
        ]
        given = [one for one in documents if one.document_unique_id not in self.lost]
        sent = [RetrievedDocument(one, "application/dicom", document(one.document_unique_id)) for one in given]
        if self.extra and sent:
            other = type(given[0])("", location, "9.9.9")
            sent.append(RetrievedDocument(other, "application/dicom", document("9.9.9")))
        return Answer(RetrieveAnswer(Outcome.of(problems, delivered=len(sent)), tuple(sent)))


def document(uid: str) -> Document:
    return Document(lambda: iter((uid.encode(),)), len(uid))


@dataclass
class Wado:
    url: str = "https://there.example/dicom-web"
    lost: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def instance(self, study_uid: str, series_uid: str, uid: str) -> Iterator[bytes]:
        self.asked.append(uid)
        if uid in self.lost:
            raise Unavailable(f"{uid} is not there")
        yield f"wado {uid}".encode()


class Trail:
    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def append(self, events: Sequence[AuditEvent], *, trace: str, connection: Any = None) -> Sequence[int]:
        self.events += events
        return ()


@pytest.fixture
def trail() -> Trail:
    return Trail()


def fetcher(trail: Trail, wado: dict[str, Wado] | None = None, **changes: Any) -> tuple[ImageFetcher, Consumer]:
    consumer = Consumer(Client(site=SITE, trail=trail, clock=clock), **changes)
    made = ImageFetcher(consumer=consumer, wado=wado or {}, workers=3)  # type: ignore[arg-type]
    return made, consumer


def test_everything_arrives_in_batches_of_one_series(trail: Trail) -> None:
    made, consumer = fetcher(trail)
    shelf, seen = Shelf(), []
    wanted = manifest((HERE, "1.2.1", 95), (HERE, "1.2.2", 3))
    arrived = made.fetch(wanted, shelf, seen.append)
    assert [one.wanted for one in arrived] == wanted_of(wanted)
    assert {one.problem for one in arrived} == {""}
    assert len(shelf.kept) == sum(seen) == 98
    assert sorted(map(len, consumer.asked)) == [3, 15, 40, 40]


def test_what_is_there_is_not_fetched_again(trail: Trail) -> None:
    made, consumer = fetcher(trail)
    shelf = Shelf("1.2.1.1", "1.2.1.3")
    arrived = made.fetch(manifest((HERE, "1.2.1", 3)), shelf, lambda more: None)
    assert consumer.asked == [["1.2.1.2"]]
    assert [one.size for one in arrived] == [7, 7, 7]


def test_an_interruption_is_tried_again(trail: Trail) -> None:
    made, consumer = fetcher(trail, away=1)
    arrived = made.fetch(manifest((HERE, "1.2.1", 2), (HERE, "1.2.2", 2)), Shelf(), lambda more: None)
    assert {one.problem for one in arrived} == {""}
    assert len(consumer.asked) == 3


def test_what_does_not_arrive_is_told_with_the_reason(trail: Trail) -> None:
    made, consumer = fetcher(trail, lost={"1.2.1.2"})
    shelf = Shelf(wrong=["1.2.1.3"])
    arrived = made.fetch(manifest((HERE, "1.2.1", 3), (THERE, "1.2.2", 1)), shelf, lambda more: None)
    assert [one.problem for one in arrived] == [
        "", "XDSDocumentUniqueIdError: not there", "what came cannot be used: another instance",
        f"imaging source {THERE} is not configured",
    ]  # fmt: skip
    assert len(consumer.asked) == 2, "another try that brings nothing is the last"


def test_what_was_not_asked_for_is_not_kept(trail: Trail) -> None:
    made, _ = fetcher(trail, extra=True)
    shelf = Shelf()
    made.fetch(manifest((HERE, "1.2.1", 2)), shelf, lambda more: None)
    assert set(shelf.kept) == {"1.2.1.1", "1.2.1.2"}


def test_a_source_of_wado_only_and_one_of_both(trail: Trail) -> None:
    wado = {HERE: Wado(), THERE: Wado(lost={"1.2.2.2"})}
    made, consumer = fetcher(trail, wado)
    shelf = Shelf()
    arrived = made.fetch(manifest((HERE, "1.2.1", 2), (THERE, "1.2.2", 2)), shelf, lambda more: None)
    assert [one.problem for one in arrived] == ["", "", "", "1.2.2.2 is not there"]
    assert (wado[HERE].asked, consumer.asked) == ([], [["1.2.1.1", "1.2.1.2"]])
    outcomes = [(event.transaction, int(event.outcome)) for event in trail.events]
    assert outcomes[:2] == [("RAD-107", 0), ("RAD-107", 8)]


def test_wado_where_it_is_preferred(trail: Trail) -> None:
    wado = {HERE: Wado()}
    made, consumer = fetcher(trail, wado)
    from dataclasses import replace

    replace(made, prefer_wado=True).fetch(manifest((HERE, "1.2.1", 2)), Shelf(), lambda more: None)
    assert (sorted(wado[HERE].asked), consumer.asked) == (["1.2.1.1", "1.2.1.2"], [])
