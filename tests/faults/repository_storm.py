"""A storm of documents provided while repository, registry and database are killed, and the count afterwards.

`python -m tests.faults.repository_storm --submissions 1000` is the long form: every acknowledged document is found and
comes back with its bytes, nothing that was refused is found, and what a crash left in the store is collected.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from tests import builders
from tests.faults.postgresql import postgresql
from tests.faults.storm import Hub, asked
from tests.servers import PATIENCE, Server, envelope, exchange, http, wait_until
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
    return SUCCESS in answer.text


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
def sending(hub: Hub, ledger: Ledger) -> Iterator[None]:
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


def count(server: Server, ledger: Ledger) -> list[str]:
    """What is missing, changed, or there without having been acknowledged by anybody."""
    wrong: list[str] = []
    for number in range(SENDERS):
        known = found(server, number)
        wrong += [f"acknowledged and not found: {id_}" for id_ in ledger.acknowledged[number] - known]
        wrong += [f"found and never sent: {id_}" for id_ in known - ledger.sent[number]]
        wrong += [f"found and refused: {id_}" for id_ in known & ledger.refused]
        # What was registered before its answer could leave is found, and then it is there, too.
        wrong += [f"found and not what was sent: {id_}" for id_ in known if fetched(server, id_) != content_of(id_)]
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
    hub: Hub, submissions: int, kills: int, seed: int, say: Callable[[str], None] = lambda _: None
) -> tuple[Ledger, list[str]]:
    """Senders at work while something is killed, again and again; what was acknowledged, and what is wrong."""
    chance = random.Random(seed)
    ways = [hub.kill_worker, hub.kill_all, *([hub.kill_database] if hub.database is not None else [])]
    ledger = Ledger()
    with sending(hub, ledger):
        for number in range(kills):
            goal = submissions * (number + 1) // (kills + 1) - chance.randrange(submissions // (kills + 1) // 2 + 1)
            wait_until(lambda goal=goal: ledger.count >= goal, PATIENCE * 10)
            chance.choice(ways)()
            say(f"{number + 1}/{kills}: {ledger.count} acknowledged, {len(ledger.refused)} refused")
        wait_until(lambda: ledger.count >= submissions, PATIENCE * 10)
    return ledger, count(hub.server, ledger)


def main(arguments: list[str] | None = None) -> int:
    """Storms on SQLite and PostgreSQL; 1 when anything was lost, changed or left behind."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.repository_storm", description=__doc__)
    options.add_argument("--submissions", type=int, default=1000, help="acknowledged on each database")
    options.add_argument("--kills", type=int, default=30, help="on each database")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args(arguments)
    failed = False
    for kind in ("sqlite", "postgresql"):
        with (
            tempfile.TemporaryDirectory() as folder,
            postgresql() if kind == "postgresql" else nullcontext() as database,
        ):
            hub = Hub(Path(folder), database)
            try:
                ledger, wrong = storm(
                    hub, given.submissions, given.kills, given.seed, say=lambda line: sys.stdout.write(f"  {line}\n")
                )
            finally:
                hub.stop()
            wrong += orphans(Path(folder) / "data", database.url if database is not None else "")
        sys.stdout.write(f"{kind}: {given.kills} kills, {ledger.count} documents acknowledged, {len(wrong)} wrong\n")
        sys.stdout.writelines(f"  {one}\n" for one in wrong)
        failed = failed or bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
