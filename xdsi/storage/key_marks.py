"""Which key an id of the settings stands for: a mark in the store, made with the first document that a key seals.

With another key under the same id every document would seem to be missing, its file to be nobody's, and what comes
would be sealed with a key that is gone when the right one is back. So nothing is read or written then. Where there is
no mark, because the store was sealed before there were any, the key has to open what is sealed with its id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Final

from xdsi.domain.errors import IntegrityLost, Unavailable
from xdsi.storage.forms import Form, Source, key_id

TRIED: Final = 100
"""files of a store that are looked at where there is no mark: their names are hashes, so any are as good as others"""


class KeyMarks:
    """The marks of one store; they are looked at once, unless something is wrong."""

    def __init__(
        self,
        what: str,
        form: Form,
        *,
        read: Callable[[str], bytes],
        write: Callable[[str, bytes], None],
        stored: Callable[[], Iterable[tuple[Source, int]]],
    ) -> None:
        """`read` gives a mark, empty where there is none; `write` makes one durable; `stored` opens what there is."""
        self._what = what
        self._form = form
        self._keys = form.keys
        self._read = read
        self._write = write
        self._stored = stored
        self._right = self._made = form.keys is None
        self._refused = ""

    def require(self) -> None:
        """Nothing was sealed here with another key under an id of these; raises Unavailable."""
        if self._right:
            return
        assert self._keys is not None
        unknown = set[str]()
        for id_ in self._keys.ids:
            mark = self._read(_name(id_))
            if mark not in (b"", self._keys.mark(id_)):
                raise self._refusal(id_)
            if not mark:
                unknown.add(id_)
        if unknown:
            self._try(unknown)
        self._right = True

    def make(self) -> None:
        """Mark the current key, which something is about to be sealed with; raises Unavailable as `require` does."""
        if self._made:
            return
        assert self._keys is not None
        self.require()
        self._mark(self._keys.current)
        self._made = True

    def _try(self, unknown: set[str]) -> None:
        """Open what is sealed with these ids, and mark those whose key it was."""
        if self._refused:
            # Not with each document that is asked for: files that did not open are not opened by the same key later.
            raise self._refusal(self._refused)
        opened, failed = set[str](), set[str]()
        for source, size in islice(self._stored(), TRIED):
            id_ = key_id(source)
            if id_ not in unknown or id_ in opened:
                continue
            try:
                self._form.described(source, size)
            except IntegrityLost:
                failed.add(id_)
            else:
                # One is enough: another may have rotted.
                opened.add(id_)
                if opened == unknown:
                    break
        for id_ in sorted(failed - opened):
            self._refused = id_
            raise self._refusal(id_)
        for id_ in opened:
            # Who only reads may be unable to; then it is tried again by the next process.
            with suppress(Unavailable):
                self._mark(id_)

    def _mark(self, id_: str) -> None:
        assert self._keys is not None
        name = _name(id_)
        if not self._read(name):
            self._write(name, self._keys.mark(id_))

    def _refusal(self, id_: str) -> Unavailable:
        return Unavailable(
            f"{self._what}: repository.encryption_keys.{id_} is not the key that documents are encrypted with "
            f"under this id; give the right one, and a new key an id of its own"
        )


def _name(id_: str) -> str:
    """An id may have any signs; this is the name of a file."""
    return hashlib.sha256(id_.encode()).hexdigest()
