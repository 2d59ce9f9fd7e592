"""Notices lie with the audit record that makes them necessary, in its transaction, and are sent at least once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy.engine import Engine

from tests import audit_samples
from xdsi.domain.errors import ConfigurationError, Unavailable
from xdsi.domain.notification import Recipient
from xdsi.rules import notification
from xdsi.rules.audit import events_for
from xdsi.storage.audit_trail import DatabaseAuditTrail
from xdsi.storage.database import open_database, upgrade, writing
from xdsi.storage.notices import SqlNotices
from xdsi.transport.notice_sender import Destination, FolderDestination, UrlDestination, destination, send
from xdsi.wire import audit as audit_codec

ASKED = replace(audit_samples.SUBJECT, emergency_reason="unconscious")
NOW = datetime.now(UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{tmp_path / 'xdsi.db'}")
    upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def trail(engine: Engine) -> Iterator[DatabaseAuditTrail]:
    made = DatabaseAuditTrail(
        engine, encode=audit_codec.encode, decode=audit_codec.decode, host="hub", notices=notification.of_event
    )
    yield made
    made.close()


def events(*, emergency: bool = True):  # type: ignore[no-untyped-def]
    return events_for(audit_samples.facts("ITI-18", emergency=emergency, subject=ASKED))


def test_an_emergency_leaves_a_notice_for_each_recipient(engine: Engine, trail: DatabaseAuditTrail) -> None:
    trail.append(events(), trace="t1")
    trail.append(events(emergency=False), trace="t2")
    found = SqlNotices(engine).find()
    assert [one.recipient for one in found] == [Recipient.PATIENT, Recipient.OFFICER]
    assert {one.patient for one in found} == {audit_samples.PATIENT}
    content = found[0].content
    assert (content["user"], content["trace"]) == (ASKED.user_id, "t1")
    assert "unconscious" in str(content["told"])
    assert SqlNotices(engine).find(patient="nobody") == []


def test_what_is_rolled_back_is_not_told(engine: Engine, trail: DatabaseAuditTrail) -> None:
    class Undone(Exception):
        pass

    def write() -> None:
        with writing(engine) as connection:
            trail.append(events(), trace="t1", connection=connection)
            raise Undone

    with pytest.raises(Undone):
        write()
    assert SqlNotices(engine).find() == []
    with writing(engine) as connection:
        trail.append(events(), trace="t2", connection=connection)
    assert [one.content["trace"] for one in SqlNotices(engine).find()] == ["t2", "t2"]
    assert trail.verify().intact


class Somewhere:
    """Takes notices, or fails."""

    def __init__(self, *, failing: bool = False) -> None:
        self.got: list[int] = []
        self.failing = failing

    def deliver(self, notice) -> None:  # type: ignore[no-untyped-def]
        if self.failing:
            raise Unavailable("away")
        self.got.append(notice.id)


def both(patient: Destination, officer: Destination) -> dict[Recipient, Destination]:
    return {Recipient.PATIENT: patient, Recipient.OFFICER: officer}


def test_what_does_not_arrive_waits_and_holds_up_nobody_else(engine: Engine, trail: DatabaseAuditTrail) -> None:
    for number in range(3):
        trail.append(events(), trace=f"t{number}")
    notices, away, there = SqlNotices(engine), Somewhere(failing=True), Somewhere()
    assert send(notices, both(away, there)) == (3, 1)
    waiting = notices.find(waiting=True)
    assert [one.recipient for one in waiting] == [Recipient.PATIENT] * 3
    assert [(one.attempts, one.reason) for one in waiting] == [(1, "away"), (0, ""), (0, "")]
    away.failing = False
    assert send(notices, both(away, there)) == (3, 0)
    assert away.got == [one.id for one in waiting]
    assert len(there.got) == 3
    assert notices.find(waiting=True) == []
    assert all(one.sent_at for one in notices.find())


def test_a_crash_after_sending_sends_again_under_the_same_number(engine: Engine, trail: DatabaseAuditTrail) -> None:
    trail.append(events(), trace="t1")
    notices, there = SqlNotices(engine), Somewhere()

    class Crash(BaseException):
        pass

    class Crashing(SqlNotices):
        def sent(self, number: int, at: datetime) -> None:
            raise Crash

    with pytest.raises(Crash):
        send(Crashing(engine), {Recipient.PATIENT: there})
    assert send(notices, {Recipient.PATIENT: there}) == (1, 0)
    assert len(there.got) == 2
    assert len(set(there.got)) == 1


def test_a_folder_holds_each_notice_once(engine: Engine, trail: DatabaseAuditTrail, tmp_path: Path) -> None:
    trail.append(events(), trace="t1")
    (first, _) = SqlNotices(engine).find()
    folder = FolderDestination(tmp_path / "spool")
    folder.deliver(first)
    folder.deliver(first)
    (file,) = (tmp_path / "spool").iterdir()
    assert file.name == f"{first.id:012}-patient.json"
    assert json.loads(file.read_bytes())["trace"] == "t1"
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable):
        FolderDestination(tmp_path / "file").deliver(first)


@pytest.mark.parametrize(("status", "arrived"), [(200, True), (204, True), (302, False), (404, False), (500, False)])
def test_a_url_is_told_by_post(engine: Engine, trail: DatabaseAuditTrail, status: int, *, arrived: bool) -> None:
    trail.append(events(), trace="t1")
    got: list[tuple[str | None, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        to = UrlDestination(f"http://127.0.0.1:{server.server_address[1]}/notices")
        assert send(SqlNotices(engine), {Recipient.OFFICER: to}) == (int(arrived), int(not arrived))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    ((content_type, body),) = got
    assert content_type == "application/json"
    assert json.loads(body)["recipient"] == "officer"


@pytest.mark.parametrize("setting", ["", "folder:/spool", "https://mail.example/notices", "http://127.0.0.1:1/x"])
def test_where_notices_go(setting: str) -> None:
    assert (destination(setting, "notification.patient") is None) == (setting == "")


@pytest.mark.parametrize(
    "setting", ["/spool", "folder:spool", "http://mail.example/", "ftp://x", "http://127.0.0.1.x/"]
)
def test_where_notices_do_not_go(setting: str) -> None:
    with pytest.raises(ConfigurationError, match=r"notification\.patient"):
        destination(setting, "notification.patient")
