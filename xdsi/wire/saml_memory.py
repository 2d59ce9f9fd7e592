"""Assertions that were accepted once, remembered by their exact characters (docs/decisions/0016).

What is remembered is what follows from the characters and the list of trust alone. Whatever depends on the time or on
the connection is remembered as what it has to be compared with, and checked at each use.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from xdsi.domain.subject import Subject
from xdsi.wire.saml_terms import Confirmation, Window
from xdsi.wire.xmldsig import TrustedKey

MOST, LARGEST = 1024, 16 * 1024
"""assertions that are remembered, and bytes of the largest among them"""


@dataclass(frozen=True, slots=True, eq=False)
class Proved:
    """An assertion that was accepted once: the key that verified it, what it says, and until when and for whom."""

    raw: bytes
    key: TrustedKey
    subject: Subject
    one_time_use: bool
    window: Window
    confirmations: tuple[Confirmation, ...]
    sessions: tuple[datetime, ...]
    """the ends of sessions at the issuer"""


class ProvedAssertions:
    """The last assertions that one list of trust accepted; a changed list begins with none."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Proved] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, text: str) -> Proved | None:
        """What was proved of exactly these characters."""
        with self._lock:
            found = self._known.get(text)
            if found is not None:
                self._known.move_to_end(text)
            return found

    def keep(self, text: str, proved: Proved) -> None:
        """Remember it instead of the one that was not used for longest."""
        if len(proved.raw) > LARGEST:
            return
        with self._lock:
            self._known[text] = proved
            while len(self._known) > MOST:
                self._known.popitem(last=False)
