"""Which processor each worker stays on, where the settings name some.

The threads of a worker take turns at the interpreter. Free to run anywhere, each that waits for its turn is woken on
another processor whenever the lock is let go for a moment, finds it taken again and goes back to sleep: with sixteen
clients some two hundred times for one small document.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from xdsi.domain.errors import ConfigurationError


def require_processors(named: Sequence[int]) -> None:
    """Raises ConfigurationError where this process may not run on one of them."""
    usable = os.sched_getaffinity(0)
    if missing := sorted(set(named) - usable):
        text = ", ".join(map(str, missing))
        raise ConfigurationError(f"server.processors: there is no {text}; valid: {', '.join(map(str, sorted(usable)))}")


def choose_processor(named: Sequence[int], arbiter: Any, worker: Any) -> None:
    """Before a worker begins: the first of those that fewest of the workers that run are on."""
    taken = [one.processor for one in arbiter.WORKERS.values()]
    worker.processor = min(named, key=taken.count)


def stay_on_processor(_arbiter: Any, worker: Any) -> None:
    """In the worker, before it has threads: they stay where it is."""
    os.sched_setaffinity(0, {worker.processor})
