"""Makes the pieces of an answer, and makes them while others are sent where that is what they wait for.

What comes from a disk of this machine is made in less time than it is sent in: then one thread does both, for a second
one would only wait for the first. What takes longer (another hash, deciphering, a store or an archive that is far away)
is got by a thread of its own meanwhile. At most two pieces are held.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, wait
from typing import Final

GATHERED: Final = 128 * 1024
"""small pieces are sent together up to here; of each answer that is on its way three such pieces are held"""
_PATIENCE: Final = 0.05
"""Making may take so many seconds more than sending; as much and no more is to its credit after slow sending."""


def ahead(
    pieces: Iterator[bytes], executor: Executor, *, clock: Callable[[], float] = time.perf_counter
) -> Generator[bytes, None, None]:
    """The same bytes; the next ones are got in a thread of the executor once that takes longer than sending.

    What goes wrong is raised after the bytes before it. `pieces` is closed when this is left.
    """
    source = _gathered(pieces)
    try:
        waited = 0.0
        began = clock()
        while waited < _PATIENCE:
            piece = next(source, b"")
            if not piece:
                return
            made = clock()
            yield piece
            sent = clock()
            waited = max(-_PATIENCE, waited + (made - began) - (sent - made))
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
