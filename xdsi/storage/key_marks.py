"""Which key an id of the settings stands for: a mark in the store, made with the first document that a key seals.

With another key under the same id every document would seem to be missing, its file to be nobody's, and what comes
would be sealed with a key that is gone when the right one is back. So nothing is read or written then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from xdsi.domain.errors import Unavailable
from xdsi.storage.sealing import Keys


class KeyMarks:
    """The marks of one store; they are looked at once, unless something is wrong."""

    def __init__(
        self, what: str, keys: Keys | None, read: Callable[[str], bytes], write: Callable[[str, bytes], None]
    ) -> None:
        """`read` gives a mark, empty where there is none; `write` makes one durable."""
        self._what = what
        self._keys = keys
        self._read = read
        self._write = write
        self._right = self._made = keys is None

    def require(self) -> None:
        """Nothing was sealed here with another key under an id of these; raises Unavailable."""
        if self._right:
            return
        assert self._keys is not None
        for id_ in self._keys.ids:
            if self._read(_name(id_)) not in (b"", self._keys.mark(id_)):
                raise Unavailable(
                    f"{self._what}: repository.encryption_keys.{id_} is not the key that documents are encrypted with "
                    f"under this id; give the right one, and a new key an id of its own"
                )
        self._right = True

    def make(self) -> None:
        """Mark the current key, which something is about to be sealed with; raises Unavailable as `require` does."""
        if self._made:
            return
        assert self._keys is not None
        self.require()
        name = _name(self._keys.current)
        if not self._read(name):
            self._write(name, self._keys.mark(self._keys.current))
        self._made = True


def _name(id_: str) -> str:
    """An id may have any signs; this is the name of a file."""
    return hashlib.sha256(id_.encode()).hexdigest()
