"""Compares the archive, the hospital's own record and the registry, and brings about what should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from xdsi.actors.manifest_publisher import Attempt, Result
from xdsi.actors.source_registry import SourceRegistry
from xdsi.actors.study_publisher import StudyPublisher
from xdsi.spec.namespaces import APPROVED


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference, and what is done about it; `repair` is empty where that is for people to decide."""

    study_instance_uid: str
    what: str
    repair: str = ""


class Records(Protocol):
    """The hospital's own record."""

    def newest(self, study_instance_uid: str, *, state: str = "published") -> Attempt | None:
        """The newest publication of a study in a state, or None."""

    def all(self) -> Sequence[Attempt]:
        """Every attempt, oldest first."""

    def keep(self, attempt: Attempt) -> None:
        """Store an attempt, or the new state of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Finds differences; `repair` puts the studies in the queue."""

    publisher: StudyPublisher
    records: Records
    registry: SourceRegistry | None
    """None: only archive and record are compared"""
    enqueue: Callable[[Sequence[str]], None]

    def findings(self) -> Iterator[Finding]:
        """Every difference there is now."""
        present = {state.study_instance_uid for state in self.publisher.pacs.states()}
        newest = {one.study_instance_uid: one for one in self.records.all() if one.state in ("published", "announced")}
        for uid in sorted(newest.keys() - present):
            yield Finding(uid, "published, but not in the archive", "withdraw")
        statuses = self.registry.statuses(newest.values()) if self.registry else None
        for uid in sorted(present):
            attempt = newest.get(uid)
            if attempt is not None and statuses is not None:
                finding = _judged(attempt, [statuses.get(one.entry_uuid) for one in attempt.current])
                if finding is not None:
                    if not self._is_at_work(attempt):
                        yield finding
                    continue
            yield from self._of_study(uid, attempt)

    def _is_at_work(self, attempt: Attempt) -> bool:
        """Whether a server publishes this study at the moment: it changes the registry first, and its record then."""
        uid = attempt.study_instance_uid
        return (
            bool(self.records.newest(uid, state="sending")) or self.records.newest(uid, state=attempt.state) != attempt
        )

    def _of_study(self, uid: str, attempt: Attempt | None) -> Iterator[Finding]:
        considered = self.publisher.plan(uid)
        planned = considered.published
        if considered.study is None:
            if attempt is not None:
                yield Finding(uid, "published, but nothing of it is shared any more", "withdraw")
        elif planned is None:
            return
        elif planned.result is Result.REFUSED:
            yield Finding(uid, "; ".join(one.context for one in planned.problems))
        elif attempt is None:
            yield Finding(uid, "chosen, but not published", "publish")
        elif planned.result is Result.REPLACED:
            yield Finding(uid, "its manifest is not what the archive has", "replace")
        elif self.publisher.owes_reports(uid):
            yield Finding(uid, "a report is gone from it, but stands", "withdraw")

    def repair(self, findings: Sequence[Finding]) -> None:
        """Queue what can be repaired. An attempt the registry does not show is sent again as it was: that is safe."""
        newest = {one.study_instance_uid: one for one in self.records.all() if one.state == "published"}
        for one in findings:
            attempt = newest.get(one.study_instance_uid)
            if one.repair == "send again" and attempt is not None:
                planned = self.publisher.plan(one.study_instance_uid).published
                if planned is not None and planned.result is Result.UNCHANGED:
                    # What it replaced is deprecated already, and may not be replaced again.
                    alone = tuple(replace(one, replaces=(), registered=False) for one in attempt.documents)
                    self.records.keep(replace(attempt, state="sending", replaces="", documents=alone, reason=""))
        self.enqueue([one.study_instance_uid for one in findings if one.repair])


def _judged(attempt: Attempt, found: Sequence[str | None]) -> Finding | None:
    """What is wrong with the documents of a study as the registry has them, if anything is."""
    uid, missing = attempt.study_instance_uid, list(found).count(None)
    if missing == len(found):
        return Finding(uid, "published, but the registry does not show it", "send again")
    # A submission cannot be sent again for a part of it: the rest is registered.
    if missing:
        return Finding(uid, f"published, but the registry shows {len(found) - missing} of {len(found)} documents")
    others = sorted({status.rpartition(":")[2] for status in found if status is not None and status != APPROVED})
    return Finding(uid, f"published, but the registry has it as {', '.join(others)}") if others else None
