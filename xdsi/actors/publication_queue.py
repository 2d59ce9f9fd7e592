"""Works off the queue of studies to be published: what is due, again later what failed, aside what cannot be.

A study is in the queue once, however many triggers it had; it is looked at when its latest has settled, and as the
archive has it then. What is half done when the process ends is done again, which does no harm: an attempt that was
sent before is sent again as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from xdsi.actors.manifest_publisher import Published, Result
from xdsi.actors.study_publisher import Considered
from xdsi.domain.errors import Unavailable, XdsiError
from xdsi.domain.imaging import Study
from xdsi.domain.pacs import StudyState

log = logging.getLogger("xdsi.source")

LONGEST_WAIT = 3600.0
_TRANSIENT = frozenset(
    {
        "XDSRegistryBusy", "XDSRepositoryBusy", "XDSRegistryNotAvailable", "XDSRegistryOutOfResources",
        "XDSRepositoryOutOfResources",
    }
)  # fmt: skip
"""errors that another attempt may not get (ITI TF-3 table 4.2.4.1-2)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A study that waits, or was set aside (`dead`); times in seconds of the Unix epoch."""

    study_instance_uid: str
    state: str
    due: float
    since: float
    generation: int
    attempts: int
    origin: str
    """what the latest trigger was"""
    reason: str = ""
    """why it was not done the last time"""


class Queue(Protocol):
    """Keeps the queue; each call is durable when it returns."""

    def add(self, uids: Iterable[str], *, origin: str, due: float, now: float) -> None:
        """Put studies in the queue, or put off those that wait; what was set aside waits again."""

    def due(self, now: float, limit: int) -> Sequence[Job]:
        """Those that wait and are due, the longest due first."""

    def next_due(self) -> float | None:
        """When the next is due; None where none waits."""

    def done(self, job: Job) -> None:
        """Take a study out of the queue unless another trigger came meanwhile."""

    def later(self, job: Job, *, due: float, reason: str) -> None:
        """Try again then, unless another trigger came meanwhile."""

    def set_aside(self, job: Job, reason: str) -> None:
        """Try no more until somebody says so or another trigger comes."""

    def looked_at(self, study: Study) -> None:
        """Remember the accession numbers of a study."""


class Archives(Protocol):
    """Keeps what was told by an archive, so that differences are noticed."""

    def cursor(self) -> str:
        """How far its record of changes was followed."""

    def follow(self, cursor: str, due: Iterable[tuple[str, float]], *, now: float) -> None:
        """Queue studies that changed, with the time each is due, and keep the cursor, in one unit of work."""

    def compare(self, states: Iterable[StudyState], *, whole: bool, due: float, now: float) -> int:
        """Queue studies that are not what they were, and with `whole` those that are gone; how many these are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Takes studies from the queue. `gone` is asked to withdraw what was published of a study that is no more."""

    queue: Queue
    publish: Callable[[str], Considered]
    gone: Callable[[str], str]
    """withdraws what was published of a study; returns what is left to say, empty when all is well"""
    time: Callable[[], float]
    retry_seconds: float
    attempts: int

    def work(self, executor: Executor, *, limit: int = 32) -> int:
        """Do what is due, several at once; how many were looked at."""
        jobs = self.queue.due(self.time(), limit)
        for done in [executor.submit(self.do, job) for job in jobs]:
            done.result()
        return len(jobs)

    def do(self, job: Job) -> None:
        """One study, to an end or to be tried again."""
        uid = job.study_instance_uid
        try:
            considered = self.publish(uid)
            if considered.study is not None:
                self.queue.looked_at(considered.study)
            elif left := "; ".join(filter(None, (considered.withheld, self.gone(uid)))):
                self.queue.set_aside(job, left)
                return
        except Unavailable as error:
            self._later(job, str(error))
            return
        except (XdsiError, ValueError, LookupError) as error:
            self.queue.set_aside(job, str(error))
            return
        published = considered.published
        if published is None or published.result in (
            Result.PUBLISHED, Result.ANNOUNCED, Result.REPLACED, Result.UNCHANGED,
        ):  # fmt: skip
            self.queue.done(job)
            return
        reason = reasons_of(published)
        if published.result is Result.UNAVAILABLE or any(one.code in _TRANSIENT for one in published.problems):
            self._later(job, reason)
        else:
            self.queue.set_aside(job, reason)
            log.warning("study %s is set aside: %s", uid, reason)

    def _later(self, job: Job, reason: str) -> None:
        if job.attempts + 1 >= self.attempts:
            self.queue.set_aside(job, f"{reason} (after {job.attempts + 1} attempts)")
            log.warning("study %s is set aside after %d attempts: %s", job.study_instance_uid, job.attempts + 1, reason)
            return
        wait = min(self.retry_seconds * 2 ** min(job.attempts, 20), LONGEST_WAIT)
        self.queue.later(job, due=self.time() + wait, reason=reason)


def reasons_of(published: Published) -> str:
    """What was wrong, in a line."""
    return "; ".join(f"{one.code}: {one.context}" for one in published.problems) or str(published.result)
