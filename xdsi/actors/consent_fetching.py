"""Brings consents and their signatures that lie in other repositories: ITI-43, as the decision engine, within seconds.

The bytes are kept, so that what was read once is there whenever a consent is looked at again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from xdsi.domain.errors import XdsiError
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.ports import DocumentCopies
from xdsi.domain.retrieval import DocumentRequest, RetrieveRequest
from xdsi.exchange import Channel, Client, call
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.wire.message import Packaging

log = logging.getLogger("xdsi.consent")

AT_ONCE = 4
"""documents on their way from one repository; who is slow keeps nobody from asking another one"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentFetching:
    """The repositories that may hold consents, and what was brought from them."""

    client: Client
    repositories: Mapping[str, Channel]
    """by repositoryUniqueId, as configured: no address is taken from a message"""
    copies: DocumentCopies
    assertion: Callable[[], bytes]
    """who the decision engine is, fresh for each request"""
    limit: int
    """bytes"""
    seconds: float
    """for all documents of one call together"""
    _threads: dict[str, ThreadPoolExecutor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Threads begin when they are needed."""
        for uid in self.repositories:
            self._threads[uid] = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="consents")

    def knows(self, repository_unique_id: str) -> bool:
        """True where this repository can be asked."""
        return repository_unique_id in self.repositories

    def find(self, entry: DocumentEntry) -> bytes | None:
        """What was brought before."""
        return self.copies.find(entry.repository_unique_id, entry.unique_id)

    def bring(self, entries: Sequence[DocumentEntry]) -> None:
        """Ask for those that are not here yet; what does not come in time or is not what was registered stays away."""
        wanted = [one for one in entries if self.knows(one.repository_unique_id) and self.find(one) is None]
        until = time.monotonic() + self.seconds
        running: list[Future[None]] = [
            self._threads[one.repository_unique_id].submit(self._bring, one, until) for one in wanted
        ]
        done, late = wait(running, timeout=self.seconds)
        for one in done:
            one.result()
        for one in late:
            one.cancel()

    def close(self) -> None:
        """Begin nothing more."""
        for one in self._threads.values():
            one.shutdown(wait=False, cancel_futures=True)

    def _bring(self, entry: DocumentEntry, until: float) -> None:
        if time.monotonic() >= until:
            return
        try:
            raw = self._ask(entry)
        except (XdsiError, OSError) as error:
            log.warning("document %s is not to be had from %s: %s", entry.unique_id, entry.repository_unique_id, error)
            return
        if raw is not None:
            self.copies.keep(entry.repository_unique_id, entry.unique_id, raw)

    def _ask(self, entry: DocumentEntry) -> bytes | None:
        request = RetrieveRequest(
            (DocumentRequest(entry.home_community_id, entry.repository_unique_id, entry.unique_id),)
        )
        called = call(
            replace(self.client, assertion=self.assertion()),
            iti43.TRANSACTION,
            request,
            self.repositories[entry.repository_unique_id],
            packaging=Packaging.MTOM,
        )
        try:
            found = [one for one in called.answer.documents if one.request.document_unique_id == entry.unique_id]
            if not found:
                reasons = "; ".join(problem.code for problem in called.answer.outcome.errors)
                log.warning("document %s was not given out: %s", entry.unique_id, reasons or "no reason given")
                return None
            raw = _up_to(self.limit, found[0].document.open())
        finally:
            called.close()
        if raw is None:
            log.warning("document %s has more than %d bytes", entry.unique_id, self.limit)
        elif entry.hash and hashlib.sha1(raw, usedforsecurity=False).hexdigest() != entry.hash.lower():
            log.warning("document %s is not the one that was registered", entry.unique_id)
            return None
        return raw


def _up_to(limit: int, chunks: Iterable[bytes]) -> bytes | None:
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        if len(gathered) > limit:
            return None
    return bytes(gathered)
