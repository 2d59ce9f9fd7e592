"""transport/syslog: nothing is lost and nobody is held up, whatever the other end does."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.audit_samples import facts
from tests.transport.audit_setting import (
    QUICK,
    MemoryOutbox,
    MemoryStore,
    Pki,
    destination,
    free_port,
    messages,
    until,
)
from xdsi.rules.audit import events_for
from xdsi.storage.audit_trail import DatabaseAuditTrail
from xdsi.storage.database import open_database
from xdsi.storage.tables import metadata
from xdsi.transport.syslog import Forwarder, Pace
from xdsi.transport.syslog_collector import Collector
from xdsi.wire import audit, syslog


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@contextmanager
def forwarding(
    outbox: MemoryOutbox | DatabaseAuditTrail, port: int, context: ssl.SSLContext, pace: Pace = QUICK
) -> Iterator[Forwarder]:
    forwarder = Forwarder(outbox, destination(port, context), pace=pace)
    forwarder.start()
    try:
        yield forwarder
    finally:
        forwarder.stop()


@contextmanager
def collecting(store: MemoryStore, context: ssl.SSLContext, port: int = 0) -> Iterator[Collector]:
    collector = Collector("127.0.0.1", port, context, store.store, refused=store.refused)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


def test_records_arrive_in_order_and_are_then_marked(certificates: Pki) -> None:
    outbox, store = MemoryOutbox(450), MemoryStore()
    with (
        collecting(store, certificates.server()) as collector,
        forwarding(outbox, collector.port, certificates.client()) as forwarder,
    ):
        until(lambda: len(outbox.sent) == 450)
        outbox.add()
        forwarder.wake()
        until(lambda: len(outbox.sent) == 451)
        assert forwarder.status.connected
        assert (forwarder.status.arrived, forwarder.status.failures) == (451, 0)
    assert store.messages == messages(1, 451)
    assert outbox.failed == []


def test_a_dead_collector_holds_nobody_up_and_loses_nothing(certificates: Pki) -> None:
    outbox, store, port = MemoryOutbox(3), MemoryStore(), free_port()
    with forwarding(outbox, port, certificates.client()) as forwarder:
        until(lambda: forwarder.status.failures >= 3)
        assert not forwarder.status.connected
        assert "refused" in forwarder.status.last_error
        outbox.add()
        forwarder.wake()
        with collecting(store, certificates.server(), port):
            until(lambda: len(outbox.sent) == 4)
    assert store.messages == messages(1, 4)


def test_a_collector_that_fails_midway_gets_everything_again(certificates: Pki) -> None:
    outbox, store = MemoryOutbox(50), MemoryStore(breaks_at=20)
    with collecting(store, certificates.server()) as collector:
        with forwarding(outbox, collector.port, certificates.client(), replace(QUICK, settle=3600)):
            until(lambda: len(store.distinct) == 50)
        assert len(outbox.sent) == 50
    assert store.distinct == messages(1, 50)
    assert len(store.messages) == 70
    assert outbox.failed[0] == 1


def test_a_collector_that_is_replaced_gets_what_had_not_settled(certificates: Pki) -> None:
    """The first took ten records and died with them; its successor has to get them all."""
    outbox, lost, store, port = MemoryOutbox(10), MemoryStore(), MemoryStore(), free_port()
    slow = replace(QUICK, settle=3600)
    with forwarding(outbox, port, certificates.client(), slow) as forwarder:
        with collecting(lost, certificates.server(), port):
            until(lambda: len(lost.messages) == 10)
        assert outbox.sent == []
        outbox.add()
        with collecting(store, certificates.server(), port):
            until(lambda: len(store.messages) == 11)
            forwarder.stop()
    assert store.messages == messages(1, 11)
    assert outbox.sent == list(range(1, 12))
    assert outbox.failed == list(range(1, 11))


def test_a_close_in_good_order_settles_at_once(certificates: Pki) -> None:
    outbox, store = MemoryOutbox(5), MemoryStore()
    with collecting(store, certificates.server()) as collector:
        with forwarding(outbox, collector.port, certificates.client(), replace(QUICK, settle=3600)) as forwarder:
            until(lambda: len(store.messages) == 5)
            assert outbox.sent == []
        assert outbox.sent == [1, 2, 3, 4, 5]
        assert not forwarder.status.connected


def test_a_process_that_ends_sends_what_waits(certificates: Pki) -> None:
    outbox, store = MemoryOutbox(450), MemoryStore()
    with collecting(store, certificates.server()) as collector:
        forwarder = Forwarder(outbox, destination(collector.port, certificates.client()), pace=QUICK)
        assert forwarder.deliver(30) == 450
        until(lambda: len(store.messages) == 450)
    assert len(outbox.sent) == 450
    # With nobody there it ends all the same, and what waits goes on waiting.
    outbox.add()
    assert Forwarder(outbox, destination(collector.port, certificates.client()), pace=QUICK).deliver(30) == 0
    assert len(outbox.sent) == 450


def test_what_a_peer_never_reads_does_not_count_as_arrived(certificates: Pki) -> None:
    """The peer completes the handshake and reads no more: its buffers fill, and the rest stays in the outbox."""
    context = certificates.server()
    accepted: list[ssl.SSLSocket] = []
    outbox = MemoryOutbox()
    outbox.waiting = dict.fromkeys(range(1, 200), b"x" * 900_000)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake_hands() -> None:
            accepted.append(context.wrap_socket(listener.accept()[0], server_side=True))

        thread = threading.Thread(target=shake_hands)
        thread.start()
        pace = replace(QUICK, settle=0, operation=0.5, first_retry=60, last_retry=60)
        with forwarding(outbox, listener.getsockname()[1], certificates.client(), pace) as forwarder:
            until(lambda: forwarder.status.failures)
        thread.join()
        accepted[0].close()
    assert outbox.sent == []
    assert outbox.failed


def test_no_more_records_are_under_way_than_allowed(certificates: Pki) -> None:
    outbox, store = MemoryOutbox(10), MemoryStore()
    pace = replace(QUICK, settle=3600, in_flight=4)
    with collecting(store, certificates.server()) as collector:
        with forwarding(outbox, collector.port, certificates.client(), pace):
            until(lambda: len(store.messages) == 4)
        assert outbox.sent == [1, 2, 3, 4]
    assert len(store.messages) == 4


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_a_client_certificate_is_required(certificates: Pki, who: str, version: ssl.TLSVersion) -> None:
    outbox, store = MemoryOutbox(1), MemoryStore()
    context = certificates.nameless() if who == "nobody" else certificates.client("stranger")
    context.maximum_version = version
    with (
        collecting(store, certificates.server()) as collector,
        forwarding(outbox, collector.port, context, replace(QUICK, settle=3600)) as forwarder,
    ):
        # The count goes on although the TLS 1.3 handshake looks complete from here.
        until(lambda: forwarder.status.failures >= 3 and len(store.refusals) >= 3)
    assert (outbox.sent, store.messages) == ([], [])
    assert all(peer.address == "127.0.0.1" and reason for peer, reason in store.refusals)


def test_a_collector_of_another_authority_is_not_trusted(certificates: Pki) -> None:
    outbox, store = MemoryOutbox(1), MemoryStore()
    with (
        collecting(store, certificates.server("stranger")) as collector,
        forwarding(outbox, collector.port, certificates.client()) as forwarder,
    ):
        until(lambda: forwarder.status.failures >= 2)
        assert "CERTIFICATE_VERIFY_FAILED" in forwarder.status.last_error
    assert (outbox.sent, store.messages) == ([], [])


def test_a_database_that_is_away_for_a_while_is_survived(certificates: Pki) -> None:
    outbox, store = MemoryOutbox(2), MemoryStore()
    outbox.broken = True
    with (
        collecting(store, certificates.server()) as collector,
        forwarding(outbox, collector.port, certificates.client()) as forwarder,
    ):
        until(lambda: "database away" in forwarder.status.last_error)
        outbox.broken = False
        until(lambda: len(outbox.sent) == 2)


def test_waiting_times_grow_to_their_limit(certificates: Pki) -> None:
    pace = Pace(first_retry=1, last_retry=300)
    forwarder = Forwarder(MemoryOutbox(), destination(1, certificates.client()), pace=pace)
    longest = []
    for failures in (1, 2, 3, 9, 10, 5000):
        forwarder._failures = failures
        delays = [forwarder._delay() for _ in range(200)]
        assert min(delays) < max(delays)
        longest.append(max(delays))
        assert max(delays) <= min(300, 2.0 ** min(failures - 1, 30))
        assert min(delays) >= min(300, 2.0 ** min(failures - 1, 30)) / 2
    assert longest == sorted(longest[:4]) + longest[4:]


def test_stopping_does_not_wait_for_the_next_attempt(certificates: Pki) -> None:
    pace = replace(QUICK, first_retry=3600, last_retry=3600)
    with forwarding(MemoryOutbox(1), free_port(), certificates.client(), pace) as forwarder:
        until(lambda: forwarder.status.failures == 1)
    assert not forwarder._thread.is_alive()


def test_a_forwarder_that_never_began_can_be_stopped(certificates: Pki) -> None:
    Forwarder(MemoryOutbox(), destination(1, certificates.client())).stop()


def test_a_frame_says_who_sends(certificates: Pki) -> None:
    forwarder = Forwarder(MemoryOutbox(1), destination(1, certificates.client()))
    (entry,) = MemoryOutbox(1).pending(1)
    (message,) = syslog.FrameReader().feed(forwarder._framed(entry))
    read = syslog.decode(message)
    assert (read.hostname, read.app_name, read.process_id) == ("a.example.org", "xdsi", "1")
    assert (read.message_id, read.facility, read.severity) == ("IHE+RFC-3881", 10, 5)
    assert read.message == entry.xml


def test_what_waited_for_days_arrives_as_it_was_when_the_collector_is_back(certificates: Pki, tmp_path: Path) -> None:
    """Through restarts of the node, in the order of what happened, with the times at which it happened."""
    long_ago = (datetime.now(UTC) - timedelta(days=6)).replace(microsecond=0)
    engine, store, port = open_database(f"sqlite:///{tmp_path / 'hospital'}.db"), MemoryStore(), free_port()
    metadata.create_all(engine)

    def trail(now: datetime) -> DatabaseAuditTrail:
        return DatabaseAuditTrail(engine, encode=audit.encode, decode=audit.decode, host="hospital", clock=lambda: now)

    for day in range(6):
        now = long_ago + timedelta(days=day)
        of_that_day = trail(now)
        with forwarding(of_that_day, port, certificates.client()) as forwarder:
            of_that_day.append(events_for(facts("ITI-18", time=now, patients=(f"P{day}^^^&2.999.1.1&ISO",))), trace="t")
            forwarder.wake()
            until(lambda sending=forwarder: sending.status.failures >= 2)  # type: ignore[misc]
        assert of_that_day.backlog() == (day + 1, long_ago)
        of_that_day.close()
    today = trail(datetime.now(UTC))
    with collecting(store, certificates.server(), port), forwarding(today, port, certificates.client()):
        until(lambda: today.backlog()[0] == 0)
    arrived = [audit.decode(raw) for raw in store.messages]
    assert [event.patient for event in arrived] == [f"P{day}^^^&2.999.1.1&ISO" for day in range(6)]
    assert [event.time for event in arrived] == [long_ago + timedelta(days=day) for day in range(6)]
    assert today.verify().intact
    today.close()
    engine.dispose()


def test_from_one_trail_to_another_each_record_arrives_once(certificates: Pki, tmp_path: Path) -> None:
    """The collector breaks on the way; what is sent twice is stored once, and both trails verify."""
    trails = []
    for name in ("hospital", "hub"):
        engine = open_database(f"sqlite:///{tmp_path / name}.db")
        metadata.create_all(engine)
        trails.append(DatabaseAuditTrail(engine, encode=audit.encode, decode=audit.decode, host=name))
    hospital, hub = trails
    broken: list[object] = []

    def receive(raw: bytes, peer: object) -> None:
        hub.receive(raw, peer)  # type: ignore[arg-type]
        if not broken:
            broken.append(peer)
            raise OSError("stored, and then broken")

    collector = Collector("127.0.0.1", 0, certificates.server(), receive)
    collector.start()
    with forwarding(hospital, collector.port, certificates.client()) as forwarder:
        for number in range(5):
            hospital.append(events_for(facts("ITI-18", patients=(f"P{number}^^^&2.999.1.1&ISO",))), trace="t")
            forwarder.wake()
        until(lambda: hospital.backlog()[0] == 0)
    collector.stop()
    received = hub.search()
    assert sorted(record.patient for record in received) == [f"P{number}^^^&2.999.1.1&ISO" for number in range(5)]
    assert {record.peer for record in received} == {"organizationName=xdsi demonstration, commonName=hospital-a"}
    assert broken
    for trail in trails:
        assert trail.verify().intact
        trail.close()
        trail._engine.dispose()
