"""A storm of documents provided while repository, registry and database are killed, and the count afterwards.

`python -m tests.faults.repository_storm --submissions 1000` is the long form: every acknowledged document is found and
comes back with its bytes, nothing that was refused is found, and what a crash left in the store is collected.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from tests import builders
from tests.faults.postgresql import PostgreSQL, postgresql
from tests.faults.storm import Hub, asked
from tests.servers import PATIENCE, Server, envelope, exchange, http, start, wait_until
from tests.transactions.ports import document
from xdsi.app import Parts
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.domain.retrieval import DocumentRequest, RetrieveRequest
from xdsi.domain.submission import Provision
from xdsi.settings import Registry, Settings
from xdsi.settings import Server as ServerSettings
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, RIM, SUCCESS
from xdsi.wire.ebxml import provision, retrieve
from xdsi.wire.message import Message, Packaging

PROVIDE = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
RETRIEVE = "urn:ihe:iti:2007:RetrieveDocumentSet"
HERE = "2.999.1.2"
SENDERS = 4
_UNIQUE_ID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"


_OPEN = """[domain]
profile = "open"
accept_unknown_patients = true
[consent]
enforce = false
[server]
actors = ["{actor}"]
"""


class Apart:
    """A registry and a repository that are processes of their own, and the registry's database; each may be killed."""

    def __init__(self, folder: Path, database: PostgreSQL | None) -> None:
        self.database = database
        self._folder = folder
        kept = f"[registry]\ndatabase = '{database.url}'\n" if database is not None else ""
        self.registry = self._start("registry", kept)
        self.server = self._start("repository", f'[repository]\nregistry_url = "{self.registry.url("registry")}"\n')

    def _start(self, actor: str, more: str = "", port: int = 0) -> Server:
        config = self._folder / f"{actor}.toml"
        if more:
            config.write_text(_OPEN.format(actor=actor) + more, "utf-8")
        elif not config.exists():
            config.write_text(_OPEN.format(actor=actor), "utf-8")
        # The data of the repository lie where those of a hub do.
        return start(self._folder / ("data" if actor == "repository" else actor), port=port, config=config)

    def kill_registry(self) -> None:
        """Every process of the registry; it is started again."""
        self.registry.kill()
        self.registry = self._start("registry", port=self.registry.port)

    def kill_repository(self) -> None:
        """Every process of the repository; it is started again."""
        self.server.kill()
        self.server = self._start("repository", port=self.server.port)

    def kill_workers(self) -> None:
        """What serves, of both at once; their parents make others."""
        for worker in (*self.registry.workers, *self.server.workers):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def kill_database(self) -> None:
        """The registry's database, which is started again; who uses it is left alone."""
        if self.database is not None:
            self.database.kill()
            self.database.start()

    @property
    def ways(self) -> list[Callable[[], None]]:
        """What can be killed."""
        some = [self.kill_registry, self.kill_repository, self.kill_workers]
        return [*some, self.kill_database] if self.database is not None else some

    def stop(self) -> None:
        """End both."""
        for one in (self.server, self.registry):
            if one.process.poll() is None:
                one.stop()


class Together(Hub):
    """A registry and a repository in one process."""

    @property
    def registry(self) -> Server:
        """The same server."""
        return self.server

    @property
    def ways(self) -> list[Callable[[], None]]:
        """What can be killed."""
        return [self.kill_worker, self.kill_all, *([self.kill_database] if self.database is not None else [])]


def patient(number: int) -> str:
    """The patient of one sender."""
    return f"FLOOD{number}^^^&2.999.1.1&ISO"


def provide(server: Server, number: int, unique_id: str, content: bytes) -> bool | None:
    """Provide one document; whether it was acknowledged, None where nobody can know what became of it."""
    entry = builders.document_entry(
        new_entry_uuid(), unique_id=unique_id, patient_id=patient(number), hash="", size="", repository_unique_id=""
    )
    own = builders.submission_set(new_entry_uuid(), unique_id=new_oid(), patient_id=patient(number))
    request = Provision(builders.submission(entry, sets=[own]), {entry.entry_uuid: document(content)})
    body = b"".join(provision.encode(request, Packaging.SIMPLE).body)
    message = envelope(PROVIDE, body, message_id=f"urn:uuid:{new_oid()}")
    answer = exchange(server, http(message, path="/services/repository"))
    # A registry that fell silent may have registered, and a fault says nothing of what was done before it.
    if answer.status != 200 or "XDSRegistryNotAvailable" in answer.text:
        return None
    # An answer that breaks off behind its headers, because who sent it was killed, says nothing.
    with suppress(etree.XMLSyntaxError):
        return etree.fromstring(answer.body).xpath("string(//@status)") == SUCCESS
    return None


def content_of(unique_id: str) -> bytes:
    """What a document holds: of many sizes, some of which go through a file of the spool."""
    chance = random.Random(unique_id)
    return chance.randbytes(chance.choice((10, 5_000, 90_000, 400_000)))


def fetched(server: Server, unique_id: str) -> bytes | None:
    """The bytes of a document, or None."""
    request = RetrieveRequest((DocumentRequest("", HERE, unique_id),))
    body = b"".join(retrieve.encode_request(request, Packaging.SIMPLE).body)
    root = etree.fromstring(exchange(server, http(envelope(RETRIEVE, body), path="/services/repository")).body)
    answer = retrieve.decode_answer(Message((root[-1][0],)))
    return b"".join(answer.documents[0].document.open()) if answer.documents else None


def found(server: Server, number: int) -> set[str]:
    """The uniqueIds registered for a sender's patient."""
    slots = (
        ("$XDSDocumentEntryPatientId", (f"'{patient(number)}'",)),
        ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",)),
    )
    root = asked(server, uuids.FIND_DOCUMENTS, slots, "LeafClass")
    return {
        one.get("value", "")
        for one in root.iter(f"{{{RIM}}}ExternalIdentifier")
        if one.get("identificationScheme") == _UNIQUE_ID
    }


@dataclass
class Ledger:
    """What each sender sent, and what it was told."""

    sent: dict[int, set[str]] = field(default_factory=lambda: {number: set() for number in range(SENDERS)})
    acknowledged: dict[int, set[str]] = field(default_factory=lambda: {number: set() for number in range(SENDERS)})
    refused: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        """Documents that were acknowledged."""
        return sum(map(len, self.acknowledged.values()))


@contextmanager
def sending(hub: Apart | Together, ledger: Ledger) -> Iterator[None]:
    """Senders at work for as long as the block lasts; a connection that breaks is no answer."""
    over = threading.Event()

    def send(number: int) -> None:
        for step in itertools.count():
            if over.is_set():
                return
            unique_id = f"2.999.40.{number}.{step}"
            ledger.sent[number].add(unique_id)
            try:
                accepted = provide(hub.server, number, unique_id, content_of(unique_id))
            except (OSError, ValueError):
                over.wait(0.02)
                continue
            if accepted:
                ledger.acknowledged[number].add(unique_id)
            elif accepted is False:
                ledger.refused.add(unique_id)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    try:
        yield
    finally:
        over.set()
        for sender in senders:
            sender.join(PATIENCE)


def count(hub: Apart | Together, ledger: Ledger) -> list[str]:
    """What is missing, changed, or there without having been acknowledged by anybody."""
    wrong: list[str] = []
    for number in range(SENDERS):
        known = found(hub.registry, number)
        wrong += [f"acknowledged and not found: {id_}" for id_ in ledger.acknowledged[number] - known]
        wrong += [f"found and never sent: {id_}" for id_ in known - ledger.sent[number]]
        wrong += [f"found and refused: {id_}" for id_ in known & ledger.refused]
        # What was registered before its answer could leave is found, and then it is there, too.
        wrong += [f"found and not what was sent: {id_}" for id_ in known if fetched(hub.server, id_) != content_of(id_)]
    return wrong


def orphans(data: Path, database: str) -> list[str]:
    """What lies in the store, after the clean-up, that no document of the index is made of; the server has ended."""
    settings = Settings(server=ServerSettings(data_dir=data), registry=Registry(database=database))
    with Parts(settings) as parts:
        parts.documents.collect(grace=-1)
        used = {one.document.sha256 for one in parts.documents.all()}
    blobs = data / "documents"
    there = {path.name.partition(".")[0]: path for path in (blobs / "blobs").rglob("*") if path.is_file()}
    left = [path for folder in ("incoming", "journal") for path in (blobs / folder).iterdir()]
    return [
        *(f"orphan: {name}" for name in there.keys() - used),
        *(f"missing: {name}" for name in used - there.keys()),
        *(f"left behind: {path.name}" for path in left),
    ]


def storm(
    hub: Apart | Together, submissions: int, kills: int, seed: int, say: Callable[[str], None] = lambda _: None
) -> tuple[Ledger, list[str]]:
    """Senders at work while something is killed, again and again; what was acknowledged, and what is wrong."""
    chance = random.Random(seed)
    ways = hub.ways
    chance.shuffle(ways)
    ledger = Ledger()
    with sending(hub, ledger):
        for number in range(kills):
            goal = submissions * (number + 1) // (kills + 1) - chance.randrange(submissions // (kills + 1) // 2 + 1)
            wait_until(lambda goal=goal: ledger.count >= goal, PATIENCE * 10)
            way = ways[number % len(ways)]
            way()
            say(f"{number + 1}/{kills} {way.__name__}: {ledger.count} acknowledged, {len(ledger.refused)} refused")
        wait_until(lambda: ledger.count >= submissions, PATIENCE * 10)
    return ledger, count(hub, ledger)


def main(arguments: list[str] | None = None) -> int:
    """Storms on each database, in one process and in several; 1 when anything was lost, changed or left behind."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.repository_storm", description=__doc__)
    options.add_argument("--submissions", type=int, default=1000, help="acknowledged in each storm")
    options.add_argument("--kills", type=int, default=30, help="in each storm")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args(arguments)
    failed = False
    for made, kind in itertools.product((Together, Apart), ("sqlite", "postgresql")):
        with (
            tempfile.TemporaryDirectory() as folder,
            postgresql() if kind == "postgresql" else nullcontext() as database,
        ):
            hub = made(Path(folder), database)
            try:
                ledger, wrong = storm(
                    hub, given.submissions, given.kills, given.seed, say=lambda line: sys.stdout.write(f"  {line}\n")
                )
            finally:
                hub.stop()
            wrong += orphans(Path(folder) / "data", database.url if database is not None and made is Together else "")
        where = "in one process" if made is Together else "in processes of their own"
        sys.stdout.write(
            f"{kind}, {where}: {given.kills} kills, {ledger.count} documents acknowledged, {len(wrong)} wrong\n"
        )
        sys.stdout.writelines(f"  {one}\n" for one in wrong)
        failed = failed or bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
