"""Submissions that are in flight at the same time: the same message, the same document, and documents that compete."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests import builders
from tests.app.repository_client import RepositoryClient
from tests.faults.storm import asked
from tests.servers import Server, envelope, exchange, http, serving
from tests.transactions.ports import document
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.domain.outcome import Outcome
from xdsi.domain.submission import Provision
from xdsi.spec import uuids
from xdsi.spec.namespaces import RIM
from xdsi.wire import xml
from xdsi.wire.ebxml import provision, response
from xdsi.wire.message import Message, Packaging

PROVIDE = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
SENDERS = 6
CONTENT = b"the same bytes" * 20_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("at-once")
    config = folder / "workers.toml"
    config.write_text("[server]\nworkers = 2\n", "utf-8")
    with serving(folder / "data", "--profile", "open", config=config) as one:
        yield one


def submitted(unique_id: str, content: bytes = CONTENT, *, submission_set: str = "", message_id: str = "") -> bytes:
    """An ITI-41 request; SubmissionSet and message are new unless given."""
    entry = builders.document_entry("doc1", unique_id=unique_id, hash="", size="", repository_unique_id="")
    own = builders.submission_set("set", unique_id=submission_set or new_oid())
    request = Provision(builders.submission(entry, sets=[own]), {"doc1": document(content)})
    body = b"".join(provision.encode(request, Packaging.SIMPLE).body)
    return envelope(PROVIDE, body, message_id=message_id or new_entry_uuid())


def at_once(server: Server, messages: Sequence[bytes]) -> list[Outcome]:
    """The answers to messages that are sent together."""
    together = threading.Barrier(len(messages))

    def send(message: bytes) -> Outcome:
        raw = http(message, path="/services/repository")
        together.wait(timeout=60)
        answer = exchange(server, raw)
        assert answer.status == 200, answer.text
        body = xml.parse(answer.body).find("{*}Body")
        assert body is not None
        return response.decode(Message((body[0],)))

    with ThreadPoolExecutor(len(messages)) as pool:
        return list(pool.map(send, messages))


def kept(server: Server, unique_id: str) -> tuple[int, int]:
    """How many entries of a uniqueId the registry has, and how many submissions the repository counts for it."""
    root = asked(server, uuids.GET_DOCUMENTS, (("$XDSDocumentEntryUniqueId", (f"('{unique_id}')",)),), "ObjectRef")
    entries = sum(1 for _ in root.iter(f"{{{RIM}}}ObjectRef"))
    with closing(sqlite3.connect(f"file:{server.data / 'xdsi.sqlite3'}?mode=ro", uri=True, timeout=60)) as database:
        claims = database.execute("SELECT claims FROM document WHERE unique_id = ?", (unique_id,)).fetchone()
    return entries, claims[0] if claims else 0


def test_one_message_many_times_is_done_once_and_all_are_told_so(server: Server, tmp_path: Path) -> None:
    """Given a message whose sender does not wait, when it comes again meanwhile, all get the first answer."""
    unique_id = new_oid()
    outcomes = at_once(server, [submitted(unique_id, message_id=new_entry_uuid())] * SENDERS)
    assert [outcome.accepted for outcome in outcomes] == [True] * SENDERS
    assert kept(server, unique_id) == (1, 1)
    assert RepositoryClient(server, tmp_path).retrieve(unique_id) == CONTENT


def test_one_document_in_several_submissions_is_accepted_in_each(server: Server, tmp_path: Path) -> None:
    """Given the same uniqueId and the same bytes, when they come in submissions of their own, each makes an entry."""
    unique_id = new_oid()
    outcomes = at_once(server, [submitted(unique_id) for _ in range(SENDERS)])
    assert [outcome.accepted for outcome in outcomes] == [True] * SENDERS
    assert kept(server, unique_id) == (SENDERS, SENDERS)
    assert RepositoryClient(server, tmp_path).retrieve(unique_id) == CONTENT


def test_one_submission_in_several_messages_is_accepted_once(server: Server, tmp_path: Path) -> None:
    """Given one SubmissionSet.uniqueId, when messages with it compete, one is accepted and its document stays."""
    unique_id, own = new_oid(), new_oid()
    outcomes = at_once(server, [submitted(unique_id, submission_set=own) for _ in range(SENDERS)])
    refused = [[one.code for one in outcome.errors] for outcome in outcomes if not outcome.accepted]
    assert refused == [["XDSDuplicateUniqueIdInRegistry"]] * (SENDERS - 1)
    assert kept(server, unique_id) == (1, 1)
    assert RepositoryClient(server, tmp_path).retrieve(unique_id) == CONTENT


def test_of_different_bytes_under_one_unique_id_the_accepted_ones_stay(server: Server, tmp_path: Path) -> None:
    unique_id = new_oid()
    contents = [b"%d" % number * 90_000 for number in range(SENDERS)]
    outcomes = at_once(server, [submitted(unique_id, content) for content in contents])
    refused = [[one.code for one in outcome.errors] for outcome in outcomes if not outcome.accepted]
    assert refused == [["XDSNonIdenticalHash"]] * (SENDERS - 1)
    (accepted,) = [content for content, outcome in zip(contents, outcomes, strict=True) if outcome.accepted]
    assert kept(server, unique_id) == (1, 1)
    assert RepositoryClient(server, tmp_path).retrieve(unique_id) == accepted
