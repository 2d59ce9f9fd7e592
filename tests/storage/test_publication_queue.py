"""storage/publication_queue: a study waits once, nothing that came meanwhile is lost, and deletions are noticed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import Engine

from tests import imaging
from xdsi.actors.publication_queue import Job
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Accession
from xdsi.domain.pacs import StudyState
from xdsi.storage.publication_queue import SqlPublicationQueue


@pytest.fixture
def queue(engine: Engine) -> SqlPublicationQueue:
    return SqlPublicationQueue(engine, archive="folder:/a")


def only(queue: SqlPublicationQueue) -> Job:
    (job,) = queue.jobs()
    return job


def test_a_study_waits_once_and_until_its_latest_trigger_has_settled(queue: SqlPublicationQueue) -> None:
    queue.add(["1.2", "1.2"], origin="a", due=10.0, now=1.0)
    queue.add(["1.2"], origin="b", due=20.0, now=5.0)
    assert queue.due(19.9, 10) == []
    assert queue.next_due() == 20.0
    (job,) = queue.due(20.0, 10)
    assert (job.study_instance_uid, job.origin, job.since, job.attempts) == ("1.2", "b", 1.0, 0)


def test_what_comes_while_a_study_is_looked_at_is_not_lost(queue: SqlPublicationQueue) -> None:
    queue.add(["1.2"], origin="a", due=1.0, now=1.0)
    (job,) = queue.due(1.0, 10)
    queue.add(["1.2"], origin="b", due=9.0, now=2.0)
    queue.done(job)
    assert only(queue).due == 9.0
    queue.later(job, due=50.0, reason="no")
    queue.set_aside(job, "no")
    assert (only(queue).state, only(queue).due, only(queue).reason) == ("waiting", 9.0, "")
    queue.done(only(queue))
    assert queue.jobs() == []
    assert queue.next_due() is None


def test_attempts_are_counted_and_what_is_set_aside_is_tried_when_somebody_says_so(
    queue: SqlPublicationQueue,
) -> None:
    queue.add(["1.2", "1.3"], origin="a", due=1.0, now=1.0)
    first, second = queue.due(1.0, 10)
    queue.later(first, due=7.0, reason="away")
    queue.set_aside(second, "refused")
    waiting, dead = queue.jobs()
    assert (waiting.attempts, waiting.due, waiting.reason) == (1, 7.0, "away")
    assert (dead.state, dead.attempts, dead.reason) == ("dead", 1, "refused")
    assert queue.due(100.0, 10) == [waiting]
    assert queue.retry(["1.9"], now=8.0) == []
    assert queue.retry([], now=8.0) == [dead.study_instance_uid]
    assert [job.state for job in queue.jobs()] == ["waiting", "waiting"]


def test_another_trigger_revives_what_was_set_aside(queue: SqlPublicationQueue) -> None:
    queue.add(["1.2"], origin="a", due=1.0, now=1.0)
    queue.set_aside(only(queue), "refused")
    queue.add(["1.2"], origin="b", due=3.0, now=2.0)
    assert (only(queue).state, only(queue).attempts, only(queue).reason) == ("waiting", 0, "")


def compared(queue: SqlPublicationQueue, *, whole: bool = True, **states: str) -> list[str]:
    for job in queue.jobs():
        queue.done(job)
    found = [StudyState(f"1.{name}", state) for name, state in states.items()]
    count = queue.compare(iter(found), whole=whole, due=5.0, now=1.0)
    uids = sorted(job.study_instance_uid for job in queue.jobs())
    assert len(uids) == count
    return uids


def test_studies_that_came_changed_or_went_are_queued(queue: SqlPublicationQueue) -> None:
    assert compared(queue, a="1", b="1") == ["1.a", "1.b"]
    assert compared(queue, a="1", b="1") == []
    assert compared(queue, a="2", b="1") == ["1.a"]
    assert compared(queue, whole=False, c="1") == ["1.c"], "others are not asked for"
    assert compared(queue, a="2", c="1") == ["1.b"]
    assert compared(queue, a="2", c="1") == []


def test_an_archive_that_breaks_off_has_told_nothing(queue: SqlPublicationQueue) -> None:
    compared(queue, a="1", b="1")

    def broken() -> Iterator[StudyState]:
        yield StudyState("1.a", "2")
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        queue.compare(broken(), whole=True, due=5.0, now=1.0)
    assert compared(queue, a="1", b="1") == []


def test_a_cursor_is_kept_with_what_it_brought(queue: SqlPublicationQueue, engine: Engine) -> None:
    assert queue.cursor() == ""
    queue.follow("7", [("1.2", 3.0)], now=1.0)
    queue.follow("9", [], now=2.0)
    assert (queue.cursor(), only(queue).due) == ("9", 3.0)
    assert SqlPublicationQueue(engine, archive="folder:/other").cursor() == "", "another archive, another record"


def test_a_message_about_an_order_leads_to_its_studies(queue: SqlPublicationQueue) -> None:
    study = imaging.study(accessions=(Accession(number="A1"), Accession(number="A2")))
    queue.looked_at(study)
    assert queue.studies_of(["A2", "A9"]) == ["1.2.3"]
    queue.looked_at(imaging.study(accessions=(Accession(number="A3"),)))
    assert queue.studies_of(["A1", "A2"]) == []
    assert queue.studies_of(["A3"]) == ["1.2.3"]


def test_a_report_is_final_for_an_order_or_a_study(queue: SqlPublicationQueue) -> None:
    study = imaging.study(accessions=(Accession(number="A1"),))
    assert not queue.is_reported(study)
    queue.report_is_final(accessions=["A7"], studies=["1.2.9"], now=1.0)
    assert not queue.is_reported(study)
    queue.report_is_final(accessions=["A1", "A1"], studies=[], now=1.0)
    queue.report_is_final(accessions=["A1"], studies=[], now=2.0)
    assert queue.is_reported(study)
    queue.report_is_final(accessions=[], studies=["1.2.4"], now=1.0)
    assert queue.is_reported(imaging.study(accessions=())) is False
