"""Fetches everything that a manifest names: in parallel, by RAD-69 or WADO-RS, and again where it did not arrive.

RAD TF-1: 18.1.1 (Imaging Document Consumer); RAD TF-2 4.69, 4.107. The addresses are those of the settings: what a
manifest says of them is not followed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from xdsi.actors.imaging_document_consumer import TRANSFER_SYNTAXES, ImagingDocumentConsumer
from xdsi.domain.audit import ExchangeFacts, Side, StudyFacts
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.imaging import ImagingRequest, Manifest, SeriesRequest, StudyRequest
from xdsi.domain.retrieval import DocumentRequest
from xdsi.rules import audit as audit_rules

_BATCH = 40
"""instances of one RAD-69: large enough for few exchanges, small enough that an interruption costs little"""
_ATTEMPTS = 3


class Shelf(Protocol):
    """Where images are put; whatever interrupts it, one is there whole or not at all."""

    def held(self, study_uid: str, series_uid: str, uid: str) -> int:
        """The size of an instance that is there; 0 for one that has to be fetched."""

    def put(self, study_uid: str, series_uid: str, uid: str, chunks: Iterator[bytes]) -> int:
        """Keep an instance; its size. MalformedMessage for what is another."""


class WadoSource(Protocol):
    """A source that gives instances out by WADO-RS."""

    @property
    def url(self) -> str:
        """Where it is, for the audit record."""

    def instance(self, study_uid: str, series_uid: str, uid: str) -> Iterator[bytes]:
        """The Part-10 file in the transfer syntax in which it is kept; raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An instance that a manifest names, and where it is to be had."""

    study_uid: str
    series_uid: str
    uid: str
    location: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """What became of one: its size, or the reason why it is not there."""

    wanted: Wanted
    size: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFetcher:
    """Fetches by the channels of a consumer; `wado` are sources by their Retrieve Location UID."""

    consumer: ImagingDocumentConsumer
    wado: Mapping[str, WadoSource] = field(default_factory=dict)
    prefer_wado: bool = False
    workers: int = 4

    def fetch(self, manifest: Manifest, shelf: Shelf, progress: Callable[[int], None]) -> list[Arrived]:
        """Everything that the manifest names, in its order; `progress` is told how many more are there."""
        wanted = wanted_of(manifest)
        arrived: dict[str, Arrived] = {}
        lock = threading.Lock()

        def note(one: Arrived) -> None:
            with lock:
                known = one.wanted.uid in arrived and not arrived[one.wanted.uid].problem
                if not known:
                    arrived[one.wanted.uid] = one
            if not one.problem and not known:
                progress(1)

        for one in wanted:
            if size := shelf.held(one.study_uid, one.series_uid, one.uid):
                note(Arrived(one, size))
        for _ in range(_ATTEMPTS):
            missing = [one for one in wanted if one.uid not in arrived or arrived[one.uid].problem]
            if not missing:
                break
            before = len(missing)
            self._attempt(missing, shelf, note)
            left = sum(1 for one in wanted if arrived[one.uid].problem)
            if left == before:
                break  # another try would bring no more
        return [arrived[one.uid] for one in wanted]

    def _attempt(self, missing: Sequence[Wanted], shelf: Shelf, note: Callable[[Arrived], None]) -> None:
        with ThreadPoolExecutor(self.workers) as pool:
            running: list[Future[None]] = []
            for batch in _batches(missing):
                by_wado = self._by_wado(batch[0].location)
                running.append(pool.submit(self._wado if by_wado else self._rad69, batch, shelf, note))
            try:
                for future in running:
                    future.result()
            except BaseException:
                for future in running:
                    future.cancel()
                raise

    def _by_wado(self, location: str) -> bool:
        return location in self.wado and (self.prefer_wado or location not in self.consumer.sources)

    def _rad69(self, batch: Sequence[Wanted], shelf: Shelf, note: Callable[[Arrived], None]) -> None:
        first = batch[0]
        documents = tuple(DocumentRequest("", one.location, one.uid) for one in batch)
        series = (SeriesRequest(first.series_uid, documents),)
        request = ImagingRequest((StudyRequest(first.study_uid, series),), TRANSFER_SYNTAXES)
        waiting = {one.uid: one for one in batch}
        try:
            called = self.consumer.fetch(request, first.location)
        except (Unavailable, SoapFault, MalformedMessage, LookupError) as error:
            for one in batch:
                note(Arrived(one, problem=str(error.args[0] if isinstance(error, LookupError) else error)))
            return
        try:
            for retrieved in called.answer.documents:
                found = waiting.pop(retrieved.request.document_unique_id, None)
                if found is not None:
                    note(_put(found, shelf, retrieved.document.open()))
            reasons = {p.location: f"{p.code}: {p.context}" for p in called.answer.outcome.errors}
            general = next(iter(reasons.values()), "it was not in the answer")
            for uid, one in waiting.items():
                note(Arrived(one, problem=reasons.get(uid, general)))
        finally:
            called.close()

    def _wado(self, batch: Sequence[Wanted], shelf: Shelf, note: Callable[[Arrived], None]) -> None:
        source = self.wado[batch[0].location]
        results: list[Arrived] = []
        for one in batch:
            try:
                results.append(_put(one, shelf, source.instance(one.study_uid, one.series_uid, one.uid)))
            except Unavailable as error:
                results.append(Arrived(one, problem=str(error)))
        self._record(source, batch[0], results)
        for result in results:
            note(result)

    def _record(self, source: WadoSource, first: Wanted, results: Sequence[Arrived]) -> None:
        """Put our side of these retrievals on record (ITI-20)."""
        client = self.consumer.client
        studies = [
            StudyFacts(
                study_instance_uid=first.study_uid,
                instances=(("", tuple(one.wanted.uid for one in results if bool(one.problem) is failed)),),
                series=(first.series_uid,),
                repository_unique_id=first.location,
                outcome=8 if failed else 0,
            )
            for failed in (False, True)
            if any(bool(one.problem) is failed for one in results)
        ]
        facts = ExchangeFacts(
            transaction="RAD-107",
            side=Side.CLIENT,
            endpoint=source.url,
            site=client.site,
            subject=client.subject,
            time=client.clock(),
            studies=tuple(studies),
            outcome_description=next((one.problem for one in results if one.problem), ""),
            partial=True,
        )
        client.trail.append(audit_rules.events_for(facts), trace="")


def _put(wanted: Wanted, shelf: Shelf, chunks: Iterator[bytes]) -> Arrived:
    try:
        return Arrived(wanted, shelf.put(wanted.study_uid, wanted.series_uid, wanted.uid, chunks))
    except MalformedMessage as error:
        return Arrived(wanted, problem=f"what came cannot be used: {error}")


def wanted_of(manifest: Manifest) -> list[Wanted]:
    """Every instance that a manifest names, once, in its order."""
    found: dict[str, Wanted] = {}
    for study in manifest.studies:
        for series in study.series:
            for reference in series.instances:
                found.setdefault(
                    reference.sop_instance_uid,
                    Wanted(
                        study.study_instance_uid, series.series_instance_uid, reference.sop_instance_uid,
                        series.retrieve_location_uid,
                    ),
                )  # fmt: skip
    return list(found.values())


def _batches(missing: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """Instances of one series at one location, at most so many together."""
    groups: dict[tuple[str, str, str], list[Wanted]] = {}
    for one in missing:
        groups.setdefault((one.study_uid, one.series_uid, one.location), []).append(one)
    for group in groups.values():
        for start in range(0, len(group), _BATCH):
            yield group[start : start + _BATCH]
