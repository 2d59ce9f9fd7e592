"""Notices of modalities and archives as reasons to look at studies: a step has ended, instances are available.

IHE RAD TF-2: 4.6 and 4.7 (Modality Procedure Step), 4.49 (Instance Availability Notification); DICOM PS3.4 F and R.
What is confirmed is durable: the study is in the queue, or the step is known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from xdsi.actors.publication_queue import Queue
from xdsi.domain.errors import Unavailable
from xdsi.domain.performed_step import PerformedStep
from xdsi.domain.ports import Clock
from xdsi.domain.subject import Peer
from xdsi.exchange import Trace, TraceLog
from xdsi.spec import dimse
from xdsi.wire.dicom_text import is_uid

log = logging.getLogger("xdsi.source")

STEP, AVAILABILITY = "RAD-7", "RAD-49"
"""what a node must be permitted to tell of performed steps, and of available instances"""
IN_PROGRESS, ENDED = "IN PROGRESS", ("COMPLETED", "DISCONTINUED")
"""Performed Procedure Step Status (0040,0252)"""


class PerformedSteps(Protocol):
    """Keeps which studies a step is of."""

    def find(self, uid: str) -> PerformedStep | None:
        """A step that somebody told of."""

    def begin(self, uid: str, studies: Sequence[str], *, now: float) -> None:
        """Remember which studies a step is of."""

    def end(self, uid: str, *, now: float) -> None:
        """Remember that nothing more comes of it."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The status of a notice's answer; `error_id` says more of a processing failure."""

    status: int = dimse.SUCCESS
    error_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveNotices:
    """Takes one notice and confirms it once its effect is durable."""

    queue: Queue
    steps: PerformedSteps
    clock: Clock
    traces: TraceLog
    nodes_required: bool
    settle: float
    """seconds after which a study is looked at: images may still be on their way"""

    def step_began(self, uid: str, status: str, studies: Sequence[str], peer: Peer) -> Confirmed:
        """N-CREATE of a Modality Performed Procedure Step; one that has ended already is taken, too."""

        def take() -> Confirmed:
            if not is_uid(uid):
                return Confirmed(dimse.INVALID_SOP_INSTANCE)
            if not studies or not status:
                return Confirmed(dimse.MISSING_ATTRIBUTE)
            if status not in (IN_PROGRESS, *ENDED) or not all(map(is_uid, studies)):
                return Confirmed(dimse.INVALID_ATTRIBUTE_VALUE)
            known = self.steps.find(uid)
            # Whoever got no answer asks again: the same once more is no other step.
            if known is not None and (known.ended or set(known.studies) != set(studies)):
                return Confirmed(dimse.DUPLICATE_SOP_INSTANCE)
            now = self.clock().timestamp()
            self.steps.begin(uid, studies, now=now)
            return self._ended(uid, studies, now) if status in ENDED else Confirmed()

        return self._answered(STEP, peer, take)

    def step_changed(self, uid: str, status: str, peer: Peer) -> Confirmed:
        """N-SET of a Modality Performed Procedure Step; an empty status says that it goes on."""

        def take() -> Confirmed:
            known = self.steps.find(uid)
            if known is None:
                return Confirmed(dimse.NO_SUCH_SOP_INSTANCE)
            if known.ended:
                return Confirmed(dimse.PROCESSING_FAILURE, dimse.STEP_MAY_NO_LONGER_BE_UPDATED)
            if status not in ("", IN_PROGRESS, *ENDED):
                return Confirmed(dimse.INVALID_ATTRIBUTE_VALUE)
            return self._ended(uid, known.studies, self.clock().timestamp()) if status in ENDED else Confirmed()

        return self._answered(STEP, peer, take)

    def available(self, study_uid: str, peer: Peer) -> Confirmed:
        """N-CREATE of an Instance Availability Notification: what of it there is, the archive is asked."""

        def take() -> Confirmed:
            if not study_uid:
                return Confirmed(dimse.MISSING_ATTRIBUTE)
            if not is_uid(study_uid):
                return Confirmed(dimse.INVALID_ATTRIBUTE_VALUE)
            now = self.clock().timestamp()
            self.queue.add([study_uid], origin="IAN", due=now + self.settle, now=now)
            return Confirmed()

        return self._answered(AVAILABILITY, peer, take)

    def _ended(self, uid: str, studies: Sequence[str], now: float) -> Confirmed:
        # First the queue: who is interrupted between the two is told of the end once more.
        self.queue.add(studies, origin="MPPS", due=now + self.settle, now=now)
        self.steps.end(uid, now=now)
        return Confirmed()

    def _answered(self, needed: str, peer: Peer, take: Callable[[], Confirmed]) -> Confirmed:
        trace = Trace()
        node = peer.node
        if self.nodes_required and not peer.may(needed):
            trace.note("refused", detail=peer.why_not(needed))
            log.warning("trace %s: %s: %s", trace.id, peer.address, peer.why_not(needed))
            answer = Confirmed(dimse.NOT_AUTHORIZED)
        else:
            try:
                answer = take()
            except Unavailable as error:
                log.warning("a notice is not taken: %s", error)
                answer = Confirmed(dimse.PROCESSING_FAILURE)
        trace.note("answered", status=f"{answer.status:04X}")
        self.traces.append(
            trace.id,
            {
                "transaction": needed,
                "peer": peer.address,
                "node": node.name if node else "",
                "user": "",
                "steps": trace.steps,
            },
        )
        return answer
