"""Assertions whose signature was verified, remembered by their exact bytes (docs/decisions/0016).

What is remembered is what follows from the bytes and the list of trust alone. Whatever depends on the time or on the
connection is no part of it and is checked at each use.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from lxml import etree

from xdsi.domain.subject import Subject
from xdsi.wire.xmldsig import TrustedKey

MOST, LARGEST = 1024, 16 * 1024
"""assertions that are remembered, and bytes of the largest among them"""


@dataclass(frozen=True, slots=True, eq=False)
class Proved:
    """An assertion that was accepted once: alone in its document, with the key that verified it and what it says."""

    element: etree._Element
    key: TrustedKey
    subject: Subject
    one_time_use: bool


class ProvedAssertions:
    """The last assertions that one list of trust accepted; a changed list begins with none."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Proved] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, raw: bytes) -> Proved | None:
        """What was proved of exactly these bytes."""
        with self._lock:
            found = self._known.get(raw)
            if found is not None:
                self._known.move_to_end(raw)
            return found

    def keep(self, raw: bytes, proved: Proved) -> None:
        """Remember it instead of the one that was not used for longest."""
        if len(raw) > LARGEST:
            return
        with self._lock:
            self._known[raw] = proved
            while len(self._known) > MOST:
                self._known.popitem(last=False)
