"""How the C library hands out memory to the threads of a worker."""

from __future__ import annotations

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8
"""of mallopt(3), glibc"""
_ARENAS: Final = 2


def share_arenas() -> None:
    """Let all threads have memory from the same few places; meant for the start of a process.

    Otherwise each thread gets one of its own, up to eight for each processor, and what it gave back stays there: eight
    answers at once cost eight times what one does. Threads that take turns at the interpreter seldom want memory at the
    same moment. C libraries without arenas are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
