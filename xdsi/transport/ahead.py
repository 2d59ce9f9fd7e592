"""Makes the pieces of an answer, and makes them while others are sent where making them waits.

What comes from a disk of this machine is computing: one thread does it and sends, for a second one would take turns
with it at the interpreter lock. What waits for something else (a store or an archive that is far away, a disk that is
slow) is got by a thread of its own meanwhile. At most three pieces are held.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, wait
from typing import Final

GATHERED: Final = 192 * 1024
"""small pieces are sent together up to here, larger ones as they are"""
_PATIENCE: Final = 0.05
"""Waiting may take so many seconds more than sending; as much and no more is to its credit after slow sending."""
_COMPUTING: Final = 3.0
"""Making that takes less than so many times its own computing waits for a processor at most."""


def ahead(
    pieces: Iterator[bytes],
    executor: Executor,
    *,
    clock: Callable[[], float] = time.perf_counter,
    computed: Callable[[], float] = time.thread_time,
) -> Generator[bytes, None, None]:
    """The same bytes; the next ones are got in a thread of the executor once they are waited for longer than sent.

    What goes wrong is raised after the bytes before it. `pieces` is closed when this is left.
    """
    source = _gathered(pieces)
    try:
        waited = 0.0
        began, spent = clock(), computed()
        while waited < _PATIENCE:
            piece = next(source, b"")
            if not piece:
                return
            made, computing = clock(), computed() - spent
            yield piece
            sent, spent = clock(), computed()
            waited = max(-_PATIENCE, waited + (made - began) - _COMPUTING * computing - (sent - made))
            began = sent
        yield from _beside(source, executor)
    finally:
        source.close()


def _beside(source: Iterator[bytes], executor: Executor) -> Generator[bytes, None, None]:
    coming = executor.submit(next, source, b"")
    try:
        while piece := coming.result():
            coming = executor.submit(next, source, b"")
            yield piece
    finally:
        # A generator cannot be closed while it runs.
        wait((coming,))


def _gathered(pieces: Iterable[bytes]) -> Generator[bytes, None, None]:
    held: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            if not piece:
                continue
            if len(piece) >= GATHERED:
                # What came before leaves by itself: to copy what is large costs more.
                if held:
                    yield _joined(held)
                    held.clear()
                    size = 0
                yield piece
                continue
            held.append(piece)
            size += len(piece)
            if size >= GATHERED:
                whole = _joined(held)
                # While it is sent, what it was made of is not needed.
                held.clear()
                size = 0
                yield whole
    except Exception:
        if held:
            yield _joined(held)
        raise
    finally:
        if isinstance(pieces, Generator):
            pieces.close()
    if held:
        yield _joined(held)


def _joined(held: list[bytes]) -> bytes:
    return held[0] if len(held) == 1 else b"".join(held)
