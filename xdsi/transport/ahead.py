"""Makes the next piece of an answer while this one is sent.

Reading and hashing a document, and sending it through TLS, each take a processor; beside each other they take the time
of one. At most two pieces are held.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor, wait
from typing import Final

GATHERED: Final = 128 * 1024
"""small pieces are sent together up to here; of each answer that is on its way three such pieces are held"""


def ahead(pieces: Iterator[bytes], executor: Executor) -> Generator[bytes, None, None]:
    """The same bytes; the next ones are got in a thread of the executor.

    What goes wrong is raised after the bytes before it. `pieces` is closed when this is left.
    """
    source = _gathered(pieces)
    coming = executor.submit(next, source, b"")
    try:
        while piece := coming.result():
            coming = executor.submit(next, source, b"")
            yield piece
    finally:
        # A generator cannot be closed while it runs.
        wait((coming,))
        source.close()


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
