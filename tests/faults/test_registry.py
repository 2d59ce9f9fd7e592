"""A running registry while its processes are killed, its database is away and its disk is full."""

from __future__ import annotations

import resource
import urllib.error
import urllib.request
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.faults.postgresql import postgresql
from tests.faults.storm import Hub, asked, contents_of, patient, register, sets_of, storm
from tests.servers import Server, serving, wait_until
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, FAILURE, SUCCESS


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_was_acknowledged_survives_kills(tmp_path: Path, database: str) -> None:
    """Given senders at work, when workers, the server and the database are killed, then nothing acknowledged is lost.

    Nothing is there in part, and all go on by themselves. `make long` does the same many times.
    """
    with postgresql() if database == "postgresql" else nullcontext() as server:
        hub = Hub(tmp_path, server)
        try:
            ledger, wrong = storm(hub, kills=3 if server else 2, seed=7, most=12)
        finally:
            hub.stop()
    assert wrong == []
    assert ledger.count > 10


def ready(server: Server) -> int:
    try:
        with urllib.request.urlopen(f"{server.base_url}/health/ready", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def find(server: Server) -> str:
    """What a FindDocuments comes to."""
    slots = (("$XDSDocumentEntryPatientId", (f"'{patient(0)}'",)), ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",)))
    try:
        asked(server, uuids.FIND_DOCUMENTS, slots, "LeafClass")
    except AssertionError as error:
        return str(error)
    return SUCCESS


def test_a_database_that_is_away_and_comes_back(tmp_path: Path) -> None:
    """3.18.4.1.3, 3.42.4.1.3: XDSRegistryBusy while it is away; readiness says so; no restart is needed after it."""
    with postgresql() as database:
        hub = Hub(tmp_path, database)
        try:
            first, second = new_entry_uuid(), new_entry_uuid()
            assert register(hub.server, 0, first) == SUCCESS
            database.stop()
            assert find(hub.server) == f"{FAILURE} XDSRegistryBusy"
            assert register(hub.server, 0, second) == f"{FAILURE} XDSRegistryBusy"
            assert ready(hub.server) == 503
            database.start()
            wait_until(lambda: ready(hub.server) == 200, 30)
            assert find(hub.server) == SUCCESS
            assert register(hub.server, 0, second) == SUCCESS
            assert sets_of(hub.server, 0) == {first, second}
        finally:
            hub.stop()


def test_a_disk_that_is_full_refuses_and_keeps_nothing_in_part(tmp_path: Path) -> None:
    """Given files that may not grow any more, when a submission comes, then it is refused, and later ones succeed."""
    with serving(tmp_path / "data", "--profile", "open") as server:
        kept = {new_entry_uuid() for _ in range(3)}
        assert {register(server, 0, one) for one in kept} == {SUCCESS}
        (worker,) = server.workers
        largest = max(path.stat().st_size for path in (tmp_path / "data").rglob("*") if path.is_file())
        unlimited = resource.prlimit(worker, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        refused = ""
        for _ in range(200):
            one = new_entry_uuid()
            refused = register(server, 0, one)
            if refused != SUCCESS:
                break
            kept.add(one)
        assert refused.startswith(FAILURE), refused
        assert refused.split()[1] in {"XDSRegistryBusy", "XDSRegistryError", "XDSRegistryOutOfResources"}
        resource.prlimit(worker, resource.RLIMIT_FSIZE, unlimited)
        more = new_entry_uuid()
        assert register(server, 0, more) == SUCCESS
        assert sets_of(server, 0) == kept | {more}
        assert all(contents_of(server, one)["DocumentEntry"] == 2 for one in kept)
