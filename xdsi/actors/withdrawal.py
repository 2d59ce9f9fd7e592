"""Takes back what a hospital published: of studies that are gone, and reports that are gone from a study that is not.

ITI TF-2: Metadata Update 3.57 (Update DocumentEntry Status), Remove Metadata 3.62.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from xdsi.actors.manifest_documents import SentDocument
from xdsi.actors.manifest_publisher import Attempt
from xdsi.actors.source_registry import UNSEEN, SourceRegistry
from xdsi.domain.outcome import Outcome

_BEING_REMOVED = "being removed"
"""reason of an attempt that the registry showed and was asked to forget: if it then shows nothing, that is done"""


class Published(Protocol):
    """The hospital's own record."""

    def standing(self, study_instance_uid: str) -> Sequence[Attempt]:
        """What was published of a study and then what was announced of it, each the newest first; nothing withdrawn."""

    def keep(self, attempt: Attempt) -> None:
        """Store an attempt, or the new state of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What becomes of documents of what is gone: `keep`, `deprecate` or `remove`."""

    way: str
    registry: Callable[[], SourceRegistry]
    published: Published

    def __call__(self, uid: str) -> str:
        """Withdraw what was published of a study; what is left to say, empty when all is well."""
        attempts = self.published.standing(uid)
        if not attempts:
            return ""
        if self.way == "keep":
            return "the study is gone from the archive, or nothing of it is shared any more; its manifest stands"
        outcome = self._remove(attempts) if self.way == "remove" else self._deprecate(attempts)
        if left := _left(outcome):
            return f"its manifest could not be withdrawn: {left}"
        # Those that it replaced do not speak for the study either.
        for one in attempts:
            self.published.keep(replace(one, state="withdrawn", reason=""))
        return ""

    def owes(self, uid: str) -> bool:
        """Whether reports are gone from a study and have to be withdrawn."""
        return self.way != "keep" and any(one.gone for one in self._newest(uid))

    def reports(self, uid: str) -> str:
        """Withdraw the reports that are gone from a study; what is left to say, empty when all is well."""
        attempts = self.published.standing(uid)
        if not self.owes(uid):
            return ""
        newest = attempts[0]
        gone = replace(newest, documents=tuple(one for one in newest.current if one.gone))
        # The SubmissionSet that brought a report brought a manifest, too: it stays.
        alone = replace(gone, submission_set="")
        outcome = self._remove([alone], of=newest) if self.way == "remove" else self.registry().deprecate(alone)
        if left := _left(outcome):
            return f"a report that is gone from the study could not be withdrawn: {left}"
        left_over = tuple(one for one in newest.current if not one.gone)
        self.published.keep(replace(newest, documents=left_over, reason=""))
        return ""

    def _deprecate(self, attempts: Sequence[Attempt]) -> Outcome:
        """The newest manifest and the newest announcement; those before them are deprecated."""
        newest = {one.state: one for one in reversed(attempts)}.values()
        return Outcome.of(problem for one in newest for problem in self.registry().deprecate(one).problems)

    def _newest(self, uid: str) -> Sequence[SentDocument]:
        attempts = self.published.standing(uid)
        return attempts[0].current if attempts else ()

    def _remove(self, attempts: Sequence[Attempt], of: Attempt | None = None) -> Outcome:
        newest = of or attempts[0]

        def seen() -> None:
            self.published.keep(replace(newest, reason=_BEING_REMOVED))

        outcome = self.registry().remove(attempts, seen)
        # A process that ended in between asks again, and is shown nothing.
        unseen = [one for one in outcome.errors if one.rule == UNSEEN]
        if newest.reason == _BEING_REMOVED:
            return Outcome.of(one for one in outcome.problems if one not in unseen)
        return outcome


def _left(outcome: Outcome) -> str:
    return "; ".join(f"{one.code}: {one.context}" for one in outcome.errors)
