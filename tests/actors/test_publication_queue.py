"""What becomes of a study that was looked at, and when an archive is asked for what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from tests import imaging
from xdsi.actors.archive_watch import ArchiveWatch
from xdsi.actors.manifest_publisher import Published, Result
from xdsi.actors.publication_queue import LONGEST_WAIT, Job, Worker
from xdsi.actors.study_publisher import Considered
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Study
from xdsi.domain.outcome import Problem
from xdsi.domain.pacs import Change, Changes, StudyState
from xdsi.rules.publication import Verdict

UID = "1.2.3"


@dataclass
class Queue:
    """Remembers what was said of a job."""

    said: list[tuple[Any, ...]] = field(default_factory=list)

    def done(self, job: Job) -> None:
        self.said.append(("done",))

    def later(self, job: Job, *, due: float, reason: str) -> None:
        self.said.append(("later", due, reason))

    def set_aside(self, job: Job, reason: str) -> None:
        self.said.append(("dead", reason))

    def looked_at(self, study: Study) -> None:
        pass


def job(attempts: int = 0) -> Job:
    return Job(
        study_instance_uid=UID, state="waiting", due=0.0, since=0.0, generation=1, attempts=attempts, origin="test"
    )


def done(
    publish: Callable[[str], Considered], *, attempts: int = 0, gone: Callable[[str], str] = lambda uid: ""
) -> tuple[Any, ...]:
    queue = Queue()
    worker = Worker(
        queue=queue, publish=publish, gone=gone, time=lambda: 100.0, retry_seconds=5.0, attempts=3,  # type: ignore[arg-type]
    )  # fmt: skip
    worker.do(job(attempts))
    (said,) = queue.said
    return said


def considered(result: Result | None, *codes: str) -> Callable[[str], Considered]:
    problems = tuple(Problem(code, "why") for code in codes)
    published = Published(result=result, study_instance_uid=UID, problems=problems) if result else None
    return lambda uid: Considered(uid, imaging.study(), Verdict(publish=bool(result), reasons=()), published)


def failing(error: Exception) -> Callable[[str], Considered]:
    def publish(uid: str) -> Considered:
        raise error

    return publish


@pytest.mark.parametrize(
    ("publish", "said"),
    [
        (considered(Result.PUBLISHED), ("done",)),
        (considered(Result.REPLACED), ("done",)),
        (considered(Result.UNCHANGED), ("done",)),
        (considered(Result.ANNOUNCED), ("done",)),
        (considered(None), ("done",)),
        (considered(Result.UNAVAILABLE, "XDSRegistryNotAvailable"), ("later", 105.0, "XDSRegistryNotAvailable: why")),
        (considered(Result.REFUSED, "XDSRegistryBusy"), ("later", 105.0, "XDSRegistryBusy: why")),
        (considered(Result.REFUSED, "XDSUnknownPatientId"), ("dead", "XDSUnknownPatientId: why")),
        (failing(Unavailable("archive away")), ("later", 105.0, "archive away")),
        (failing(MalformedMessage("wrong")), ("dead", "wrong")),
        (failing(ValueError("wrong")), ("dead", "wrong")),
    ],
)
def test_what_becomes_of_a_study(publish: Callable[[str], Considered], said: tuple[Any, ...]) -> None:
    assert done(publish) == said


def test_each_further_attempt_waits_longer_and_the_last_is_the_last() -> None:
    away = failing(Unavailable("away"))
    assert done(away, attempts=1) == ("later", 110.0, "away")
    assert done(away, attempts=2) == ("dead", "away (after 3 attempts)")
    queue = Queue()
    patient = Worker(
        queue=queue, publish=away, gone=lambda uid: "", time=lambda: 0.0, retry_seconds=5.0, attempts=10**6,  # type: ignore[arg-type]
    )  # fmt: skip
    patient.do(job(5000))
    assert queue.said == [("later", LONGEST_WAIT, "away")]


def test_a_study_that_is_gone_is_withdrawn() -> None:
    gone: list[str] = []

    def withdraw(uid: str) -> str:
        gone.append(uid)
        return ""

    assert done(Considered, gone=withdraw) == ("done",)
    assert gone == [UID]
    assert done(Considered, gone=lambda uid: "it stands") == ("dead", "it stands")


def test_a_study_that_cannot_be_served_is_withdrawn_and_set_aside_with_the_reason() -> None:
    """Else an operator would be told that it was deleted, or nothing."""
    gone: list[str] = []

    def withdraw(uid: str) -> str:
        gone.append(uid)
        return ""

    def publish(uid: str) -> Considered:
        return Considered(uid, withheld="of two patients")

    assert done(publish, gone=withdraw) == ("dead", "of two patients")
    assert gone == [UID]
    assert done(publish, gone=lambda uid: "it stands") == ("dead", "of two patients; it stands")


@dataclass
class Archive:
    """An archive with or without a record of changes, and what its differences led to."""

    record: bool = True
    pages: list[Changes] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)
    queued: list[Any] = field(default_factory=list)
    away: bool = False
    now: float = 1000.0
    at: str = ""

    def changes(self, since: str) -> Changes | None:
        if self.away:
            raise Unavailable("away")
        self.asked.append(("changes", since))
        return (self.pages.pop(0) if self.pages else Changes(since)) if self.record else None

    def states(self, since: date | None = None) -> Iterable[StudyState]:
        if self.away:
            raise Unavailable("away")
        self.asked.append(("states", since))
        return iter(())

    def cursor(self) -> str:
        return self.at

    def follow(self, cursor: str, due: Iterable[tuple[str, float]], *, now: float) -> None:
        self.at = cursor
        self.queued.extend(due)

    def compare(self, states: Iterable[StudyState], *, whole: bool, due: float, now: float) -> int:
        self.queued.append(("compared", whole, due))
        return 0

    def watch(self) -> ArchiveWatch:
        return ArchiveWatch(
            pacs=self, archives=self, time=lambda: self.now, today=lambda: date(2026, 3, 10),  # type: ignore[arg-type]
            settle=60.0, changes_every=1.0, poll_every=30.0, compare_every=3600.0, recent_days=2,
        )  # fmt: skip


def test_a_record_of_changes_is_followed_to_its_end() -> None:
    """What the archive says is stable is due at once; what is not has to settle."""
    pages = [
        Changes("3", (Change("1.1"), Change("1.2", stable=True)), done=False),
        Changes("5", (Change("1.3", stable=True),)),
    ]
    archive = Archive(pages=pages)
    watch = archive.watch()
    assert watch.look() == 1001.0
    assert archive.asked == [("changes", ""), ("changes", "3"), ("states", None)]
    assert archive.queued == [("1.1", 1060.0), ("1.2", 1000.0), ("1.3", 1000.0), ("compared", True, 1060.0)]
    archive.now, archive.asked = 1001.0, []
    assert watch.look() == 1002.0
    assert archive.asked == [("changes", "5")]
    archive.now, archive.asked = 4600.0, []
    watch.look()
    assert ("states", None) in archive.asked, "deletions are in no record"


def test_an_archive_without_a_record_is_asked_for_recent_studies() -> None:
    archive = Archive(record=False)
    watch = archive.watch()
    assert watch.look() == 1030.0
    assert [one for one in archive.asked if one[0] == "states"] == [("states", None)]
    archive.now, archive.asked = 1030.0, []
    watch.look()
    assert ("states", date(2026, 3, 8)) in archive.asked
    assert archive.queued[-1] == ("compared", False, 1090.0)


def test_an_archive_that_is_away_is_asked_less_often() -> None:
    archive = Archive(away=True)
    watch = archive.watch()
    waits = []
    for _ in range(8):
        due = watch.look()
        waits.append(due - archive.now)
        archive.now = due
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    archive.away = False
    watch.look()
    assert ("states", None) in archive.asked, "what it did meanwhile is found"
