"""Which exchange this thread answers: for the log of rules, which have no other part in it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

EXCHANGE: Final[ContextVar[tuple[str, str]]] = ContextVar("exchange", default=("", ""))
"""trace and transaction; empty outside of any"""


def prefix() -> str:
    """`trace TRACE: ITI-NN: `, as a line of a log begins; empty outside of an exchange."""
    trace, transaction = EXCHANGE.get()
    return f"trace {trace}: {transaction}: " if trace else ""
