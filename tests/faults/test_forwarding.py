"""A hub killed outright while the audit collector is away, and again while it forwards: ITI-20 loses nothing.

The collector is a real rsyslog. What counts is what it has in its file, and that each answer that somebody got has its
record there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.rsyslog import running
from tests.security.asking import Asker, of_patient
from tests.servers import PATIENCE, free_port, start, wait_until
from tests.trusted import DOE, Trusted, settings
from xdsi.app.storage import database_file
from xdsi.domain.audit_records import Direction
from xdsi.settings import load
from xdsi.spec import uuids
from xdsi.storage.audit_trail import DatabaseAuditTrail
from xdsi.storage.database import open_database
from xdsi.wire import audit

pytestmark = [
    pytest.mark.component,
    pytest.mark.timeout(300),
    # What the client held when the hub was killed is closed when it is forgotten.
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
]


@dataclass
class Hub:
    """A hub that is killed and started again on the same data."""

    folder: Path
    port: int
    traces: list[str] = field(default_factory=list)
    """of the answers that arrived"""

    @contextmanager
    def run(self) -> Iterator[Trusted]:
        """Running; killed with all of its processes at the end of the block."""
        server = start(self.folder / "data", config=self.folder / "hub.toml", port=self.port)
        hub = Trusted(server, self.folder)
        try:
            yield hub
        finally:
            server.kill()
            hub.session.close()

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Running, with somebody who asks until it is killed."""
        with self.run() as hub:
            asking = threading.Thread(target=self._ask, args=(Asker(hub),))
            asking.start()
            yield
        asking.join()
        hub.session.close()

    def _ask(self, asker: Asker) -> None:
        with suppress(requests.RequestException):
            while True:
                self.traces.append(asker.query(uuids.FIND_DOCUMENTS, *of_patient(DOE)).headers["Xdsi-Trace"])

    @contextmanager
    def trail(self) -> Iterator[DatabaseAuditTrail]:
        """What it keeps."""
        engine = open_database(f"sqlite:///{database_file(load(self.folder / 'hub.toml', {}))}")
        opened = DatabaseAuditTrail(engine, encode=audit.encode, decode=audit.decode)
        try:
            yield opened
        finally:
            opened.close()
            engine.dispose()

    def records(self) -> dict[bytes, str]:
        """The trace of each record."""
        with self.trail() as trail:
            found = trail.search(limit=100_000)
        return {one.xml: one.trace for one in found if one.direction is Direction.SENT}

    def waiting(self) -> list[bytes]:
        """What no collector is known to have, in order."""
        with self.trail() as trail:
            return [one.xml for one in trail.pending(100_000)]


def test_every_record_arrives_although_the_hub_is_killed(tmp_path: Path) -> None:
    hub, collector = Hub(tmp_path, free_port()), free_port()
    forwarded = ("[audit]", f"send = 'tls://127.0.0.1:{collector}'")
    (tmp_path / "hub.toml").write_text(settings(tmp_path, hub.port, *forwarded))

    with hub.asked():
        wait_until(lambda: len(hub.traces) >= 20, PATIENCE)
    assert len(hub.waiting()) >= 20, "with the collector away all of them wait"

    with running(tmp_path / "rsyslog", tmp_path / "pki", collector) as rsyslog:
        with hub.asked():
            wait_until(lambda: len(rsyslog.messages) >= 10, PATIENCE)
        before, waiting, records = len(rsyslog.messages), hub.waiting(), hub.records()
        assert waiting, "killed with records on their way"
        with hub.run() as third:
            wait_until(lambda: set(waiting) <= set(rsyslog.messages[before:]), PATIENCE)
            assert third.command("audit", "verify") == [], "nothing is missing, nothing changed"
        kept = rsyslog.messages

    again = [one for one in kept[before:] if one in set(waiting)]
    assert list(dict.fromkeys(again)) == waiting, "in their order"
    assert set(records) <= set(kept), "each at least once"
    assert set(hub.traces) <= set(records.values()), "an answer has its record"
