"""transport/audit_fhir: nothing is lost and nobody is held up, whatever the FHIR server does."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent as Model

from tests.audit_samples import facts
from tests.transport.audit_setting import QUICK, MemoryOutbox, Pki, free_port, until
from xdsi.rules.audit import events_for
from xdsi.storage.audit_trail import DatabaseAuditTrail
from xdsi.storage.database import open_database
from xdsi.storage.tables import metadata
from xdsi.transport.audit_fhir import FhirDestination, FhirForwarder
from xdsi.transport.syslog import Pace
from xdsi.wire import audit, audit_fhir


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@dataclass
class FhirServer:
    """Takes AuditEvents over mutual TLS; `answers` are statuses of the next ones (0: the connection breaks)."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    refuses: bytes = b"nothing"
    """a record with these bytes is 422"""
    bodies: list[bytes] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def collecting(server: FhirServer, context: ssl.SSLContext) -> Iterator[FhirServer]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.requests.append((self.path, self.headers["Content-Type"]))
            status = server.answers.pop(0) if server.answers else 422 if server.refuses in body else 201
            if status == 0:
                self.close_connection = True
                return
            if status == 201:
                server.bodies.append(body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", server.port), Handler) as listening:
        listening.daemon_threads = True
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        server.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


@contextmanager
def forwarding(
    outbox: MemoryOutbox | DatabaseAuditTrail, port: int, context: ssl.SSLContext, pace: Pace = QUICK, **options: Any
) -> Iterator[FhirForwarder]:
    destination = FhirDestination(base_url=f"https://127.0.0.1:{port}/fhir/", context=context)
    forwarder = FhirForwarder(outbox, destination, options.get("encode", lambda xml: xml), pace=pace)
    forwarder.start()
    try:
        yield forwarder
    finally:
        forwarder.stop()


def messages(first: int, last: int) -> list[bytes]:
    return [b"<AuditMessage n='%d'/>" % number for number in range(first, last + 1)]


def test_records_arrive_in_order_and_are_then_marked(certificates: Pki) -> None:
    outbox = MemoryOutbox(150)
    with (
        collecting(FhirServer(), certificates.server()) as server,
        forwarding(outbox, server.port, certificates.client()) as forwarder,
    ):
        until(lambda: len(outbox.sent) == 150)
        outbox.add()
        forwarder.wake()
        until(lambda: len(outbox.sent) == 151)
        assert (forwarder.status.arrived, forwarder.status.failures) == (151, 0)
    assert server.bodies == messages(1, 151)
    assert set(server.requests) == {("/fhir/AuditEvent", "application/fhir+json; charset=UTF-8")}
    assert outbox.failed == []


def test_a_server_that_is_away_holds_nobody_up_and_loses_nothing(certificates: Pki) -> None:
    outbox, port = MemoryOutbox(3), free_port()
    with forwarding(outbox, port, certificates.client()) as forwarder:
        until(lambda: forwarder.status.failures >= 3)
        assert "refused" in forwarder.status.last_error
        outbox.add()
        with collecting(FhirServer(port), certificates.server()) as server:
            until(lambda: len(outbox.sent) == 4)
    assert server.bodies == messages(1, 4)


@pytest.mark.parametrize("trouble", [0, 401, 403, 404, 429, 500, 503])
def test_nothing_counts_as_arrived_that_was_not_acknowledged(certificates: Pki, trouble: int) -> None:
    """The server's trouble, not the record's: the same record again until it is taken, and none before it."""
    outbox = MemoryOutbox(5)
    with (
        collecting(FhirServer(answers=[201, trouble, trouble]), certificates.server()) as server,
        forwarding(outbox, server.port, certificates.client()),
    ):
        until(lambda: len(outbox.sent) == 5)
    assert server.bodies == messages(1, 5)
    assert outbox.failed == [2, 2]


def test_a_record_that_is_refused_holds_up_none_behind_it_and_is_not_lost(certificates: Pki) -> None:
    outbox = MemoryOutbox(4)
    server = FhirServer(refuses=b"n='2'")
    with (
        collecting(server, certificates.server()),
        forwarding(outbox, server.port, certificates.client(), replace(QUICK, last_retry=0.2)) as forwarder,
    ):
        until(lambda: outbox.sent == [1, 3, 4])
        assert "record 2: 422" in forwarder.status.last_error
        assert list(outbox.waiting) == [2]
        server.refuses = b"nothing"
        until(lambda: outbox.sent == [1, 3, 4, 2])


def test_what_cannot_be_read_is_set_aside(certificates: Pki) -> None:
    outbox = MemoryOutbox(2)
    with (
        collecting(FhirServer(), certificates.server()) as server,
        forwarding(outbox, server.port, certificates.client(), encode=lambda xml: audit.encode(audit.decode(xml))),
    ):
        until(lambda: len(outbox.failed) == 2)
    assert server.bodies == []
    assert len(outbox.waiting) == 2


def test_a_server_of_another_authority_is_told_nothing(certificates: Pki) -> None:
    outbox = MemoryOutbox(1)
    with (
        collecting(FhirServer(), certificates.server("stranger", "stranger-ca")) as server,
        forwarding(outbox, server.port, certificates.client()) as forwarder,
    ):
        until(lambda: forwarder.status.failures >= 1)
    assert server.requests == []
    assert len(outbox.waiting) == 1


def test_a_process_that_ends_sends_what_waits(certificates: Pki) -> None:
    outbox = MemoryOutbox(120)
    with collecting(FhirServer(), certificates.server()) as server:
        destination = FhirDestination(base_url=f"https://127.0.0.1:{server.port}/fhir", context=certificates.client())
        assert FhirForwarder(outbox, destination, lambda xml: xml, pace=QUICK).deliver(30) == 120
    assert len(server.bodies) == 120
    outbox.add()
    assert FhirForwarder(outbox, destination, lambda xml: xml, pace=QUICK).deliver(1) == 0
    assert len(outbox.waiting) == 1


def test_the_trail_arrives_as_audit_events(certificates: Pki, tmp_path: Path) -> None:
    """From the database to the server: the spool is the trail itself, which a kill leaves as it was committed."""
    engine = open_database(f"sqlite:///{tmp_path / 'hospital.sqlite3'}")
    metadata.create_all(engine)
    name = "Müller-Lüdenscheidt 李"
    trail = DatabaseAuditTrail(engine, encode=audit.encode, decode=audit.decode, host="hospital")
    for number in range(3):
        described = {"outcome": 8, "outcome_description": f"{name} {number}"}
        trail.append(events_for(facts("ITI-43", patients=(f"P{number}^^^&2.999.1.1&ISO",), **described)), trace="t")
    with (
        collecting(FhirServer(), certificates.server()) as server,
        forwarding(trail, server.port, certificates.client(), encode=lambda xml: audit_fhir.encode(audit.decode(xml))),
    ):
        until(lambda: trail.backlog()[0] == 0)
    read = [json.loads(body) for body in server.bodies]
    for body in server.bodies:
        Model.model_validate_json(body)
    assert [one["outcomeDesc"].partition(" [trace")[0] for one in read] == [f"{name} {number}" for number in range(3)]
    assert trail.verify().intact
    trail.close()
    engine.dispose()
