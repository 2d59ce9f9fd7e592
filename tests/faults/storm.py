"""A storm of registrations in which processes are killed, and the count afterwards.

`python -m tests.faults.storm --rounds 30` is the long form: nothing that was acknowledged may be missing, nothing that
was refused or that is there in part may be found, and the registry comes back by itself.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from tests import builders
from tests.faults.postgresql import PostgreSQL, postgresql
from tests.servers import PATIENCE, Server, envelope, exchange, http, start
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, RIM, RS, SUCCESS
from xdsi.wire.ebxml import query, submission
from xdsi.wire.message import Packaging

REGISTER = "urn:ihe:iti:2007:RegisterDocumentSet-b"
QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
ENGINES = ("sqlite", "postgresql")
SENDERS = 4
OBJECTS = {"SubmissionSet": 1, "DocumentEntry": 2, "Association": 2}
"""what each submission brings"""


def patient(number: int) -> str:
    """The patient of one sender."""
    return f"STORM{number}^^^&2.999.1.1&ISO"


def register(server: Server, number: int, set_uuid: str) -> str:
    """Send one submission; the status of its answer, `codes` after it."""
    entries = [
        builders.document_entry(new_entry_uuid(), unique_id=new_oid(), patient_id=patient(number)) for _ in range(2)
    ]
    own = builders.submission_set(set_uuid, unique_id=new_oid(), patient_id=patient(number))
    body = b"".join(submission.encode(builders.submission(*entries, sets=[own]), Packaging.SIMPLE).body)
    return _said(exchange(server, http(envelope(REGISTER, body))).body)


def sets_of(server: Server, number: int) -> set[str]:
    """The SubmissionSets of a sender's patient."""
    slots = (
        ("$XDSSubmissionSetPatientId", (f"'{patient(number)}'",)),
        ("$XDSSubmissionSetStatus", (f"('{APPROVED}')",)),
    )
    root = asked(server, uuids.FIND_SUBMISSION_SETS, slots, "ObjectRef")
    return {one.get("id", "") for one in root.iter(f"{{{RIM}}}ObjectRef")}


def contents_of(server: Server, set_uuid: str) -> dict[str, int]:
    """How much of a submission is there."""
    root = asked(
        server,
        uuids.GET_SUBMISSION_SET_AND_CONTENTS,
        (("$XDSSubmissionSetEntryUUID", (f"'{set_uuid}'",)),),
        "LeafClass",
    )
    tags = {"SubmissionSet": "RegistryPackage", "DocumentEntry": "ExtrinsicObject", "Association": "Association"}
    return {name: len(list(root.iter(f"{{{RIM}}}{tag}"))) for name, tag in tags.items()}


def asked(server: Server, query_id: str, slots: tuple[tuple[str, tuple[str, ...]], ...], kind: str) -> etree._Element:
    """The answer of a stored query."""
    request = query.AdhocQuery(query_id, kind, slots)
    body = b"".join(query.encode_request(request, Packaging.SIMPLE).body)
    answer = exchange(server, http(envelope(QUERY, body)))
    if (said := _said(answer.body)) != SUCCESS:
        raise AssertionError(said)
    return etree.fromstring(answer.body)


def _said(body: bytes) -> str:
    root = etree.fromstring(body)
    status = str(root.xpath("string(//@status)")) or f"fault: {''.join(map(str, root.itertext()))}"
    return " ".join([status, *(one.get("errorCode", "") for one in root.iter(f"{{{RS}}}RegistryError"))])


@dataclass
class Ledger:
    """What the senders sent, and what they were told."""

    sent: dict[int, set[str]] = field(default_factory=lambda: {number: set() for number in range(SENDERS)})
    acknowledged: dict[int, set[str]] = field(default_factory=lambda: {number: set() for number in range(SENDERS)})
    refused: list[str] = field(default_factory=list)
    denied: dict[int, set[str]] = field(default_factory=lambda: {number: set() for number in range(SENDERS)})
    """what the refusals were about"""

    @property
    def count(self) -> int:
        """Submissions that were acknowledged."""
        return sum(map(len, self.acknowledged.values()))


@contextmanager
def sending(server: Callable[[], Server], ledger: Ledger) -> Iterator[None]:
    """Senders at work for as long as the block lasts; connections that break are no answer."""
    over = threading.Event()

    def send(number: int) -> None:
        while not over.is_set():
            set_uuid = new_entry_uuid()
            ledger.sent[number].add(set_uuid)
            try:
                said = register(server(), number, set_uuid)
            except (OSError, etree.XMLSyntaxError, ValueError):
                over.wait(0.02)
                continue
            if said == SUCCESS:
                ledger.acknowledged[number].add(set_uuid)
            elif not said.startswith("fault"):
                # A fault says nothing of what was done before it: a database that ends may have committed.
                ledger.refused.append(said)
                ledger.denied[number].add(set_uuid)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    try:
        yield
    finally:
        over.set()
        for sender in senders:
            sender.join(PATIENCE)


def wait_for(ledger: Ledger, more: int) -> None:
    """Until so many more were acknowledged: it works again, by itself."""
    wanted, until = ledger.count + more, time.monotonic() + PATIENCE
    while ledger.count < wanted:
        if time.monotonic() > until:
            raise AssertionError(f"no more acknowledged after {ledger.count}; refused: {ledger.refused[-3:]}")
        time.sleep(0.01)


def count(server: Server, ledger: Ledger) -> list[str]:
    """What is missing, or there in part."""
    wrong: list[str] = []
    for number in range(SENDERS):
        found = sets_of(server, number)
        wrong += [f"acknowledged and not found: {one}" for one in ledger.acknowledged[number] - found]
        wrong += [f"found and never sent: {one}" for one in found - ledger.sent[number]]
        wrong += [f"refused and found: {one}" for one in found & ledger.denied[number]]
        for one in found:
            contents = contents_of(server, one)
            if contents != OBJECTS:
                wrong.append(f"{one} has {contents}")
    return wrong


class Hub:
    """A registry of so many processes and its database, each of which may be killed."""

    def __init__(self, folder: Path, database: PostgreSQL | None, workers: int = 1) -> None:
        self.database = database
        self._folder = folder
        self._config = folder / "hub.toml"
        used = f"[registry]\ndatabase = '{database.url}'\n" if database is not None else ""
        self._config.write_text(f"[server]\nworkers = {workers}\n{used}", "utf-8")
        self.server = self._start(0)

    def _start(self, port: int) -> Server:
        return start(self._folder / "data", "--profile", "open", port=port, config=self._config)

    def kill_worker(self) -> None:
        """A process that serves; its parent makes another."""
        for worker in self.server.workers[:1]:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def kill_all(self) -> None:
        """Every process of the server; it is started again, as an init system would."""
        self.server.kill()
        self.server = self._start(self.server.port)

    def kill_database(self) -> None:
        """The database, which is started again; the server is left alone."""
        if self.database is not None:
            self.database.kill()
            self.database.start()

    def stop(self) -> None:
        """End it."""
        if self.server.process.poll() is None:
            self.server.stop()


def storm(
    hub: Hub, kills: int, seed: int, most: int = 40, say: Callable[[str], None] = lambda _: None
) -> tuple[Ledger, list[str]]:
    """Senders at work while something is killed, again and again; what was acknowledged, and what is wrong."""
    chance = random.Random(seed)
    ways = [hub.kill_worker, hub.kill_all, *([hub.kill_database] if hub.database is not None else [])]
    ledger = Ledger()
    with sending(lambda: hub.server, ledger):
        for number in range(kills):
            wait_for(ledger, chance.randrange(3, most))
            way = ways[number % len(ways)]
            way()
            say(f"{number + 1}/{kills} {way.__name__}: {ledger.count} acknowledged, {len(ledger.refused)} refused")
        wait_for(ledger, SENDERS)
    return ledger, count(hub.server, ledger)


def main(arguments: list[str] | None = None) -> int:
    """Storms on SQLite and PostgreSQL; 1 when anything was lost or is there in part."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.storm", description=__doc__)
    options.add_argument("--rounds", type=int, default=30, help="kills on each database")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--workers", type=int, default=1, help="processes that serve")
    options.add_argument("--engine", choices=ENGINES, help="one database only")
    given = options.parse_args(arguments)
    failed = False
    for kind in [given.engine] if given.engine else ENGINES:
        with (
            tempfile.TemporaryDirectory() as folder,
            postgresql() if kind == "postgresql" else nullcontext() as database,
        ):
            hub = Hub(Path(folder), database, given.workers)
            try:
                ledger, wrong = storm(hub, given.rounds, given.seed, say=lambda line: sys.stdout.write(f"  {line}\n"))
            finally:
                hub.stop()
        said = f"{ledger.count} acknowledged, {len(ledger.refused)} refused, {len(wrong)} wrong"
        sys.stdout.write(f"{kind}, workers {given.workers}: {given.rounds} kills, {said}\n")
        sys.stdout.writelines(f"  {one}\n" for one in wrong)
        failed = failed or bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
