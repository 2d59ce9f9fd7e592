"""Provides documents to a server and retrieves them, as a peer does over the network."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests import builders
from tests.servers import Server
from xdsi.domain.audit import AuditSite
from xdsi.domain.outcome import Outcome
from xdsi.domain.retrieval import DocumentRequest, RetrieveAnswer, RetrieveRequest
from xdsi.domain.submission import Document, Provision
from xdsi.exchange import Client, call
from xdsi.storage.spool import SpoolFolder
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.transport.soap_client import SoapClient
from xdsi.wire.message import Packaging

REPOSITORY = "2.999.1.2"


class _NoTrail:
    """The client's own audit is not what is tested."""

    def append(self, events: object, *, trace: str, connection: object = None) -> list[int]:
        return []


class RepositoryClient:
    """A source and a consumer of documents."""

    def __init__(self, server: Server, folder: Path) -> None:
        site = AuditSite(source_id="test", host="localhost", process_id="1")
        self._client = Client(site=site, trail=_NoTrail(), clock=lambda: datetime.now(UTC))
        self._channel = SoapClient(server.url("repository"), make_spool=SpoolFolder(folder / "client-spool").open)
        self._numbers = itertools.count(1)

    def provide(self, unique_id: str, data: bytes) -> Outcome:
        """ITI-41 of one document."""
        entry = builders.document_entry(
            "doc1", unique_id=unique_id, mime_type="text/plain", hash="", size="", repository_unique_id=""
        )
        number = next(self._numbers)
        submission_set = builders.submission_set("set", unique_id=f"2.999.8.{number}.{unique_id.rpartition('.')[2]}")
        pieces = [data[at : at + 100_000] for at in range(0, len(data), 100_000)]
        document = Document(lambda: iter(pieces), len(data), hashlib.sha1(data).hexdigest())
        request = Provision(builders.submission(entry, sets=[submission_set]), {"doc1": document})
        called = call(self._client, iti41.TRANSACTION, request, self._channel, packaging=Packaging.MTOM)
        called.close()
        return called.answer

    @contextmanager
    def retrieved(self, *unique_ids: str) -> Iterator[RetrieveAnswer]:
        """ITI-43; the documents can be read inside."""
        request = RetrieveRequest(tuple(DocumentRequest("", REPOSITORY, unique_id) for unique_id in unique_ids))
        called = call(self._client, iti43.TRANSACTION, request, self._channel, packaging=Packaging.MTOM)
        try:
            yield called.answer
        finally:
            called.close()

    def retrieve(self, unique_id: str) -> bytes:
        """The bytes of one document."""
        with self.retrieved(unique_id) as answer:
            assert not answer.outcome.problems, answer.outcome.problems
            (document,) = answer.documents
            return b"".join(document.document.open())
