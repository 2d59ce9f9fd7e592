"""A message that is sent again because its answer was lost (WS-Addressing 1.0 Core 3.1: wsa:MessageID is unique)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Sending:
    """What makes two messages the same one: who sends, wsa:MessageID, and a digest of the transaction and the Body."""

    sender: str
    message_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """The body that was answered before, and the trace of that exchange."""

    body: bytes
    trace: str


class FirstAnswers(Protocol):
    """Remembers for some minutes what messages were answered, for all workers.

    `session` is the unit of work that the answer belongs to; with None each call is a unit of work of its own.
    """

    def recall(self, sending: Sending, session: Any) -> FirstAnswer | None:
        """The answer given before, or None; in a unit of work nobody else handles the same message until its end."""

    def alone(self, sending: Sending) -> AbstractContextManager[None]:
        """Nobody else of this machine is in such a block with the same message; for what has no unit of work."""

    def keep(self, sending: Sending, answer: FirstAnswer, session: Any) -> None:
        """Remember an answer; in a unit of work it lasts if that does."""
