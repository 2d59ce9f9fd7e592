"""Notices what changes in an archive: by its own record of changes where it keeps one, else by looking at all of it.

Deletions are in no record: everything is compared from time to time whatever the archive offers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from xdsi.actors.publication_queue import Archives
from xdsi.domain.errors import Unavailable
from xdsi.domain.ports import Pacs

log = logging.getLogger("xdsi.source")

_LONGEST_WAIT = 60.0


@dataclass(slots=True, kw_only=True)
class ArchiveWatch:
    """Asks an archive in intervals (seconds): its record often, its list of recent studies, all of its studies."""

    pacs: Pacs
    archives: Archives
    time: Callable[[], float]
    today: Callable[[], date]
    settle: float
    """how long a study must have been as it is, where the archive does not say that it is stable"""
    changes_every: float
    poll_every: float
    compare_every: float
    recent_days: int
    """how far back the list of recent studies reaches, by Study Date; 0: all studies"""
    _follow_at: float = 0.0
    _poll_at: float = 0.0
    _compare_at: float = 0.0
    _failures: int = field(default=0)

    def look(self) -> float:
        """Do what is due; the time at which there is something to do again."""
        now = self.time()
        try:
            has_record = True
            if now >= self._follow_at:
                has_record = self._follow()
                self._follow_at = now + (self.changes_every if has_record else self.poll_every)
                if not has_record and now >= self._poll_at and now < self._compare_at:
                    since = self.today() - timedelta(days=self.recent_days) if self.recent_days else None
                    self._compare(since)
                    self._poll_at = now + self.poll_every
            if now >= self._compare_at:
                self._compare(None)
                self._compare_at = now + self.compare_every
        except Unavailable as error:
            self._failures += 1
            wait = min(self.changes_every * 2 ** min(self._failures, 16), _LONGEST_WAIT)
            level = logging.WARNING if self._failures == 1 else logging.INFO
            log.log(level, "the archive cannot be asked for changes: %s", error)
            self._follow_at = self.time() + wait
            self._compare_at = max(self._compare_at, self._follow_at)
        else:
            if self._failures:
                log.warning("the archive answers again")
            self._failures = 0
        return min(self._follow_at, self._compare_at)

    def _follow(self) -> bool:
        """Go through the record of changes to its end; False where there is none."""
        while True:
            found = self.pacs.changes(self.archives.cursor())
            if found is None:
                return False
            now = self.time()
            due = [(one.study_instance_uid, now if one.stable else now + self.settle) for one in found.changes]
            self.archives.follow(found.cursor, due, now=now)
            if found.done:
                return True

    def _compare(self, since: date | None) -> None:
        now = self.time()
        count = self.archives.compare(self.pacs.states(since), whole=since is None, due=now + self.settle, now=now)
        if count:
            log.info("%d studies of the archive are not what they were", count)
