"""storage/audit_trail: what is promised to exchanges, to the forwarder and to those who search."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import event as sql_event

from tests.audit_samples import DENIED, NOW, OTHER_PATIENT, PATIENT, SUBJECT, facts, rich_facts
from tests.storage.audit_setting import all_rows, event, found, heads, opened, rows, written
from xdsi.domain.audit import AuditEvent
from xdsi.domain.audit_records import Direction
from xdsi.domain.errors import Unavailable
from xdsi.domain.subject import Node, Peer
from xdsi.rules.audit import events_for
from xdsi.storage.audit_trail import DatabaseAuditTrail
from xdsi.storage.database import writing
from xdsi.wire import audit


class Undo(Exception):
    """Rolls back."""


SENDER = Peer(address="192.0.2.9", certificate_subject="commonName=pacs", node=Node(name="hospital-b"))


@pytest.fixture
def trail(engine: sa.Engine) -> Iterator[DatabaseAuditTrail]:
    with opened(engine) as trail:
        yield trail


def test_a_record_is_durable_when_append_returns(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    (number,) = trail.append([event()], trace="t1")
    (row,) = rows(engine)
    assert row.id == number
    assert audit.decode(row.xml) == event()
    assert (row.chain, row.sequence, row.direction) == (f"{trail.chain}/0", 1, "sent")
    assert (row.trace, row.transaction, row.patient) == ("t1", "ITI-18", PATIENT)
    assert (row.user_id, row.outcome) == ("jdupont", 0)
    assert row.time == "2026-02-03T10:11:12.345000Z"


def test_the_events_of_one_exchange_are_stored_together(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    events = events_for(rich_facts("ITI-43", denied=(("2.999.5.2", DENIED),)))
    assert trail.append(events, trace="t1") == [row.id for row in rows(engine)]
    assert [audit.decode(row.xml) for row in rows(engine)] == list(events)
    assert trail.append([], trace="t2") == []


def test_the_chain_is_named_after_its_process(trail: DatabaseAuditTrail) -> None:
    host, process, chance = trail.chain.split("-")
    assert (host, process) == ("hub", str(os.getpid()))
    assert len(chance) == 12


def test_a_record_in_a_transaction_is_there_when_it_commits(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    with writing(engine) as connection:
        trail.append([event()], trace="t", connection=connection)
        assert rows(engine) == []
    assert [row.trace for row in rows(engine)] == ["t"]


def test_a_record_in_a_transaction_goes_when_it_is_rolled_back(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    for _ in range(2):
        with suppress(Undo), writing(engine) as connection:
            trail.append([event()], trace="t", connection=connection)
            raise Undo
    with writing(engine) as connection:
        trail.append([event(1), event(2)], trace="t", connection=connection)
    assert [(row.chain, row.sequence) for row in rows(engine)] == [(f"{trail.chain}/1", 1), (f"{trail.chain}/1", 2)]
    assert found(engine) == []


def test_a_record_needs_an_open_transaction(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    with engine.connect() as connection, pytest.raises(ValueError, match="open"):
        trail.append([event()], trace="t", connection=connection)


def test_a_savepoint_takes_back_only_its_own_records(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    with writing(engine) as connection:
        with suppress(Undo), connection.begin_nested():
            trail.append([event(0)], trace="lost before anything", connection=connection)
            raise Undo
        with connection.begin_nested():
            trail.append([event(1)], trace="kept", connection=connection)
        with suppress(Undo), connection.begin_nested():
            trail.append([event(2)], trace="lost", connection=connection)
            raise Undo
        trail.append([event(3)], trace="kept", connection=connection)
    with writing(engine) as connection:
        trail.append([event(4)], trace="kept", connection=connection)
    assert [(row.sequence, row.trace) for row in rows(engine)] == [(1, "kept"), (2, "kept"), (3, "kept")]
    assert found(engine) == []


def test_a_lane_whose_commit_failed_is_not_used_again(
    engine: sa.Engine, trail: DatabaseAuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: Any) -> None:
        raise engine.dialect.loaded_dbapi.OperationalError("disk I/O error")

    def write() -> None:
        with writing(engine) as connection:
            trail.append([event()], trace="t", connection=connection)

    write()
    with monkeypatch.context() as patched:
        patched.setattr(engine.dialect, "do_commit", fail)
        with pytest.raises(Unavailable):
            write()
    write()
    assert [row.chain for row in rows(engine)] == [f"{trail.chain}/1", f"{trail.chain}/2"]
    assert found(engine) == []


def test_a_trail_that_cannot_be_written_raises(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE audit_record RENAME TO elsewhere"))
    with pytest.raises(Unavailable):
        trail.append([event()], trace="t")
    with writing(engine) as connection, pytest.raises((sa.exc.DBAPIError, sqlite3.Error, psycopg.Error)):
        trail.append([event()], trace="t", connection=connection)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO audit_record"))
    trail.append([event()], trace="t")
    assert found(engine) == []


def test_an_event_that_cannot_be_encoded_raises(engine: sa.Engine) -> None:
    def encode(event: AuditEvent) -> bytes:
        raise ZeroDivisionError

    with opened(engine, encode=encode) as trail, pytest.raises(ZeroDivisionError):
        trail.append([event()], trace="t")
    assert rows(engine) == []


def test_a_closed_trail_takes_nothing(engine: sa.Engine) -> None:
    with opened(engine) as trail:
        trail.close()
        with pytest.raises(Unavailable, match="closed"):
            trail.append([event()], trace="t")


def test_a_trail_of_another_process_takes_nothing(trail: DatabaseAuditTrail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: -1)
    for attempt in (lambda: trail.append([event()], trace="t"), lambda: trail.receive(b"", SENDER)):
        with pytest.raises(RuntimeError, match="another process"):
            attempt()


def test_text_that_no_database_holds_does_not_stop_a_record(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    trail.append([event(patients=("a\x00b\ud800",))], trace="t\x00")
    (row,) = rows(engine)
    assert (row.patient, row.trace) == ("a\ufffdb?", "t\ufffd")
    assert found(engine) == []


def in_threads(work: Callable[[int], object], number: int) -> None:
    threads = [threading.Thread(target=work, args=(one,)) for one in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def commits(engine: sa.Engine, work: Callable[[], None]) -> int:
    count = 0

    def on_commit(connection: sa.Connection) -> None:
        nonlocal count
        count += 1

    sql_event.listen(engine, "commit", on_commit)
    try:
        work()
    finally:
        sql_event.remove(engine, "commit", on_commit)
    return count


def test_records_that_come_during_a_commit_share_the_next_one(engine: sa.Engine) -> None:
    """Twenty threads that arrive while the first record is being committed are served by one commit."""
    release, committing, prepared = threading.Event(), threading.Event(), threading.Semaphore(0)

    def encode(made: AuditEvent) -> bytes:
        prepared.release()
        return audit.encode(made)

    def slow(connection: sa.Connection) -> None:
        committing.set()
        assert release.wait(30)

    def append(number: int) -> None:
        if number:
            assert committing.wait(30)
        trail.append([event(number)], trace=str(number))

    def let_go() -> None:
        for _ in range(21):
            assert prepared.acquire(timeout=30)
        release.set()

    with opened(engine, encode=encode) as trail:
        # The second one returns after the links that follow the first.
        for _ in range(2):
            trail.append([event()], trace="warm up")
            assert prepared.acquire(timeout=30)
        sql_event.listen(engine, "commit", slow)
        threading.Thread(target=let_go).start()
        assert commits(engine, lambda: in_threads(append, 21)) == 2
        sql_event.remove(engine, "commit", slow)
    assert len(rows(engine)) == 23
    assert found(engine) == []


def test_one_bad_record_does_not_take_the_group_with_it(engine: sa.Engine) -> None:
    def encode(made: AuditEvent) -> Any:
        return audit.encode(made) if made.time == NOW else None

    results: list[object] = []
    with opened(engine, encode=encode) as trail:

        def append(number: int) -> None:
            try:
                results.append(trail.append([event(number % 2)], trace="t"))
            except Unavailable as error:
                results.append(error)

        in_threads(append, 8)
    assert sum(isinstance(result, list) for result in results) == 4
    assert len(rows(engine)) == 4
    assert found(engine) == []


def test_many_threads_of_both_kinds_leave_whole_chains(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    def work(seed: int) -> None:
        for number in range(5):
            if (seed + number) % 2:
                trail.append([event(number)], trace="read")
            else:
                with writing(engine) as connection:
                    trail.append([event(number)], trace="write", connection=connection)

    in_threads(work, 6)
    assert len(rows(engine)) == 30
    assert found(engine) == []


def test_units_that_share_a_commit_share_a_lane(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    def write(number: int) -> None:
        with suppress(Undo), writing(engine) as connection:
            trail.append([event(number)], trace=str(number), connection=connection)
            if number % 3 == 0:
                raise Undo

    in_threads(write, 12)
    assert sorted(row.trace for row in rows(engine)) == ["1", "10", "11", "2", "4", "5", "7", "8"]
    if engine.dialect.name == "sqlite":
        assert {row.chain for row in rows(engine)} == {f"{trail.chain}/1"}
    assert found(engine) == []


def test_a_received_record_is_kept_as_it_came(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    raw = audit.encode(event(7, "ITI-43")) + b"\n"
    number = trail.receive(raw, SENDER)
    (row,) = rows(engine)
    assert (row.id, row.xml, row.direction, row.peer) == (number, raw, "received", "hospital-b")
    assert (row.transaction, row.patient, row.user_id) == ("ITI-43", PATIENT, "jdupont")
    assert trail.pending(10) == []


def test_a_record_that_comes_twice_is_stored_once(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    raw = audit.encode(event())
    own = trail.append([event()], trace="t")
    assert trail.receive(raw, SENDER) == trail.receive(raw, SENDER) != own[0]
    in_threads(lambda _: trail.receive(raw + b" ", SENDER), 5)
    assert [row.direction for row in rows(engine)] == ["sent", "received", "received"]


def test_what_cannot_be_read_is_kept_all_the_same(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    trail.receive(b"\xff not XML", Peer(address="192.0.2.9"))
    (row,) = rows(engine)
    assert (row.xml, row.transaction, row.peer) == (b"\xff not XML", "", "192.0.2.9")


def test_search_takes_every_criterion(trail: DatabaseAuditTrail) -> None:
    other = facts("ITI-43", patients=(OTHER_PATIENT,), subject=None, outcome=8)
    trail.append([event(0)], trace="a")
    trail.append([event(10)], trace="b")
    trail.append(events_for(other), trace="c")
    trail.receive(audit.encode(event(20, "ITI-42")), SENDER)

    def hits(**criteria: Any) -> list[str]:
        return [record.trace or record.peer for record in trail.search(**criteria)]

    assert hits() == ["a", "c", "b", "hospital-b"]
    assert hits(patient=OTHER_PATIENT) == ["c"]
    assert hits(user=SUBJECT.user_id) == ["a", "b", "hospital-b"]
    assert hits(outcome=8) == ["c"]
    assert hits(outcome=0, transaction="ITI-18") == ["a", "b"]
    assert hits(trace="b") == ["b"]
    assert hits(since=NOW + timedelta(seconds=10)) == ["b", "hospital-b"]
    assert hits(until=NOW + timedelta(seconds=10)) == ["a", "c"]
    assert hits(limit=2) == ["b", "hospital-b"]
    assert hits(patient="nobody") == []
    (record,) = trail.search(trace="b")
    assert (record.direction, record.time, record.forwarded_at) == (Direction.SENT, NOW + timedelta(seconds=10), None)


def test_search_leaves_links_out(engine: sa.Engine) -> None:
    written(engine, 2)
    assert len(all_rows(engine)) > 2
    with opened(engine, "other") as trail:
        assert len(trail.search()) == 2


def test_the_outbox_gives_each_record_until_it_arrived(trail: DatabaseAuditTrail) -> None:
    ids = [trail.append([event(number)], trace="t")[0] for number in range(4)]
    assert [entry.id for entry in trail.pending(3)] == ids[:3]
    assert [entry.id for entry in trail.pending(3, excluding={ids[0]: 1.0})] == ids[1:]
    assert audit.decode(trail.pending(1)[0].xml) == event(0)
    assert trail.backlog() == (4, NOW)
    trail.mark_failed(ids[:2])
    trail.mark_sent(ids[:2])
    assert [entry.id for entry in trail.pending(10)] == ids[2:]
    assert trail.backlog() == (2, NOW + timedelta(seconds=2))
    trail.mark_sent(ids[2:])
    assert trail.backlog() == (0, None)
    assert all(record.forwarded_at for record in trail.search())


def test_forwarding_does_not_touch_the_chain(engine: sa.Engine, trail: DatabaseAuditTrail) -> None:
    trail.mark_sent(trail.append([event()], trace="t"))
    assert rows(engine)[0].attempts == 1
    assert trail.verify().intact


def test_every_chain_is_linked_and_closed_at_the_end(engine: sa.Engine) -> None:
    chain = written(engine, 3)
    listed = heads(engine)
    assert set(listed) == {f"{chain}/0", f"{chain}/links"}
    assert listed[f"{chain}/0"].sequence == 3
    assert all(row.closed for row in listed.values())
    assert listed[f"{chain}/0"].linked
    assert not listed[f"{chain}/links"].linked
    written(engine, 1, "next")
    assert heads(engine)[f"{chain}/links"].linked
