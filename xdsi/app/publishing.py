"""The publisher that runs beside the imaging source: watches the archive and works off the queue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from xdsi.actors.archive_notices import ArchiveNotices
from xdsi.actors.archive_watch import ArchiveWatch
from xdsi.actors.order_messages import OrderMessages
from xdsi.actors.publication_queue import Worker
from xdsi.actors.reconciliation import Reconciliation
from xdsi.app.actors import ActorParts
from xdsi.app.storage import utc_now
from xdsi.domain.errors import Unavailable
from xdsi.storage.performed_steps import SqlPerformedSteps
from xdsi.storage.sole_publisher import SolePublisher

log = logging.getLogger("xdsi.source")
_T = TypeVar("_T")


@dataclass(slots=True)
class PublishingService:
    """Two threads: one asks the archive, the other publishes; an archive that answers slowly delays no publishing."""

    watch: ArchiveWatch
    worker: Worker
    parallel: int
    sole: SolePublisher
    """of processes that share a database only one follows the archive and publishes"""
    skipped: Callable[[], Sequence[tuple[str, str]]] = lambda: ()
    """what was met in the archive and cannot be served: where it is, and why"""
    idle_seconds: float = 0.25
    """how soon what another process has put in the queue is noticed"""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _told: frozenset[tuple[str, str]] = frozenset()

    def start(self) -> None:
        """Begin."""
        for name, run in (("archive", self._watch), ("publishing", self._work)):
            thread = threading.Thread(target=run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End; what is being sent is sent to its end."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=30)
        self.sole.release()

    def _alone(self) -> bool:
        """Whether it is this process that publishes; waits a moment where it is not."""
        alone = self._guarded(self.sole.held, otherwise=False)
        if not alone:
            self._stopping.wait(1.0)
        return alone

    def _watch(self) -> None:
        while not self._stopping.is_set():
            if not self._alone():
                continue
            due = self._guarded(self.watch.look, otherwise=time.time() + 5)
            self._stopping.wait(max(0.05, min(due - time.time(), 5.0)))

    def _work(self) -> None:
        with ThreadPoolExecutor(self.parallel, thread_name_prefix="publish") as executor:
            while not self._stopping.is_set():
                if not self._alone():
                    continue
                done = self._guarded(lambda: self.worker.work(executor, limit=self.parallel * 4), otherwise=0)
                if done:
                    self._guarded(self._tell, otherwise=None)
                else:
                    self._stopping.wait(self.idle_seconds)

    def _tell(self) -> None:
        """Say once of each thing that it is left out, and why."""
        found = frozenset(self.skipped())
        for place, reason in sorted(found - self._told):
            log.warning("skipped %s: %s", place, reason)
        self._told = found

    def _guarded(self, do: Callable[[], _T], *, otherwise: _T) -> _T:
        try:
            return do()
        except Unavailable as error:
            log.warning("publishing waits: %s", error)
        except Exception:
            log.exception("publishing failed; it goes on")
        self._stopping.wait(1.0)
        return otherwise


class PublishingParts(ActorParts):
    """Adds what publishes by itself."""

    def publishing(self) -> PublishingService:
        """Publishes by itself what comes into the archive."""
        chosen = self.settings.publishing
        watch = ArchiveWatch(
            pacs=self.pacs,
            archives=self.publication_queue,
            time=time.time,
            today=lambda: utc_now().date(),
            settle=chosen.stable_seconds,
            changes_every=chosen.changes_seconds,
            poll_every=chosen.poll_seconds,
            compare_every=chosen.compare_seconds,
            recent_days=chosen.poll_days,
        )
        sole = SolePublisher(self.engine)
        return PublishingService(watch, self.publication_worker, chosen.parallel, sole, self.pacs.skipped)

    @cached_property
    def publication_worker(self) -> Worker:
        """Works off the queue."""
        chosen = self.settings.publishing

        def gone(uid: str) -> str:
            with self.study_locks(uid):
                return self.withdrawal(uid)

        return Worker(
            queue=self.publication_queue,
            publish=self.study_publisher.publish,
            gone=gone,
            time=time.time,
            retry_seconds=chosen.retry_seconds,
            attempts=chosen.attempts,
        )

    def reconciliation(self) -> Reconciliation:
        """Compares archive, record and registry."""
        queue = self.publication_queue

        def enqueue(uids: Sequence[str]) -> None:
            queue.add(uids, origin="reconciliation", due=time.time(), now=time.time())

        return Reconciliation(
            publisher=self.study_publisher,
            records=self.publications,
            registry=self.source_registry if self.settings.imaging_source.registry_url else None,
            enqueue=enqueue,
        )

    @cached_property
    def archive_notices(self) -> ArchiveNotices:
        """Takes notices of performed steps and available instances."""
        return ArchiveNotices(
            queue=self.publication_queue,
            steps=SqlPerformedSteps(self.engine),
            clock=utc_now,
            traces=self.traces,
            nodes_required=not self.open_profile,
            settle=self.settings.publishing.stable_seconds,
        )

    @cached_property
    def order_messages(self) -> OrderMessages:
        """Takes messages about orders and reports."""
        return OrderMessages(
            orders=self.publication_queue,
            clock=utc_now,
            traces=self.traces,
            nodes_required=not self.open_profile,
            settle=self.settings.publishing.stable_seconds,
        )
