"""TLS syslog to a real rsyslog: octet counting, mutual TLS, every record byte for byte, none lost when it is killed."""

from __future__ import annotations

import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.audit_samples import SUBJECT, facts, rich_facts
from tests.rsyslog import running
from tests.transport.audit_setting import QUICK, Pki, destination, free_port, until
from xdsi.domain.audit import AuditEvent
from xdsi.rules.audit import events_for
from xdsi.storage.audit_trail import DatabaseAuditTrail
from xdsi.storage.database import open_database
from xdsi.storage.tables import metadata
from xdsi.transport.syslog import Forwarder
from xdsi.wire import audit

NAMES = "Müller-Lüdenscheidt Ærøskøbing Ἀθῆναι 李小龍 🙂 \"quoted\" & <tag> 'line\nbreak' %d %"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[DatabaseAuditTrail]:
    engine = open_database(f"sqlite:///{tmp_path / 'hospital.sqlite3'}")
    metadata.create_all(engine)
    opened = DatabaseAuditTrail(engine, encode=audit.encode, decode=audit.decode, host="hospital")
    yield opened
    opened.close()
    engine.dispose()


@contextmanager
def forwarding(trail: DatabaseAuditTrail, port: int, context: ssl.SSLContext) -> Iterator[Forwarder]:
    forwarder = Forwarder(trail, destination(port, context), pace=QUICK)
    forwarder.start()
    try:
        yield forwarder
    finally:
        forwarder.stop()


def stored(trail: DatabaseAuditTrail, *events: AuditEvent) -> list[bytes]:
    """The messages as the trail keeps them."""
    trail.append(events, trace="t")
    return [record.xml for record in trail.search(limit=100_000)]


def test_records_of_all_kinds_and_scripts_arrive_as_they_are_kept(
    trail: DatabaseAuditTrail, certificates: Pki, tmp_path: Path
) -> None:
    kinds = [event for number in ("ITI-18", "ITI-43", "RAD-69", "ITI-62") for event in events_for(rich_facts(number))]
    named = events_for(facts("ITI-18", outcome=8, outcome_description=NAMES, subject=SUBJECT))
    kept = stored(trail, *kinds, *named)
    assert any("Müller-Lüdenscheidt".encode() in one for one in kept)
    with (
        running(tmp_path / "rsyslog", certificates.folder, free_port()) as rsyslog,
        forwarding(trail, rsyslog.port, certificates.client()),
    ):
        until(lambda: trail.backlog()[0] == 0)
        until(lambda: len(rsyslog.messages) == len(kept))
        assert sorted(rsyslog.messages) == sorted(kept)
        assert rsyslog.senders == {"a.example.org xdsi 1"}


def test_a_collector_that_is_killed_gets_what_it_lost(
    trail: DatabaseAuditTrail, certificates: Pki, tmp_path: Path
) -> None:
    """Killed in the middle and started again, with records made while it was away: all of them, in order at last."""
    folder, port = tmp_path / "rsyslog", free_port()
    events = [events_for(facts("ITI-18", patients=(f"P{n}^^^&2.999.1.1&ISO",)))[0] for n in range(300)]
    with forwarding(trail, port, certificates.client()) as forwarder:
        with running(folder, certificates.folder, port) as rsyslog:
            for event in events[:200]:
                trail.append([event], trace="t")
                forwarder.wake()
            until(lambda: len(rsyslog.messages) >= 20)
            rsyslog.process.send_signal(signal.SIGKILL)
            rsyslog.process.wait(30)
        # What it had not yet written when it died it took with it: syslog has no word for that.
        survived = rsyslog.messages
        until(lambda: forwarder.status.failures >= 1)
        for event in events[200:]:
            trail.append([event], trace="t")
        waiting = [entry.xml for entry in trail.pending(1000)]
        assert len(waiting) >= 100
        with running(folder, certificates.folder, port) as rsyslog:
            until(lambda: trail.backlog()[0] == 0)
            until(lambda: set(waiting) <= set(rsyslog.messages))
    assert rsyslog.messages[: len(survived)] == survived
    again = [one for one in rsyslog.messages[len(survived) :] if one in set(waiting)]
    assert list(dict.fromkeys(again)) == waiting


def test_without_a_trusted_certificate_nothing_is_taken(
    trail: DatabaseAuditTrail, certificates: Pki, tmp_path: Path
) -> None:
    stored(trail, *events_for(facts("ITI-18")))
    with running(tmp_path / "rsyslog", certificates.folder, free_port()) as rsyslog:
        for context in (certificates.nameless(), certificates.client("stranger")):
            with forwarding(trail, rsyslog.port, context) as forwarder:
                until(lambda: forwarder.status.failures >= 1)
        assert rsyslog.messages == []
        assert trail.backlog()[0] == 1
        with forwarding(trail, rsyslog.port, certificates.client()):
            until(lambda: len(rsyslog.messages) == 1)
