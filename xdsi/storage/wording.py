"""How the domain's values are written in columns: normal form C, short statuses, letters for kinds, LIKE patterns.

ITI TF-2 3.18.4.1.2.3.5: text is compared in Unicode normal form C, byte by byte; `%` and `_` are wildcards in some
parameters and nothing escapes them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, TypeVar

from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.domain.stored_query import ObjectKind
from xdsi.spec.namespaces import APPROVED

T = TypeVar("T")

ESCAPE: Final = "!"
BATCH: Final = 400
"""How many values go into one IN list; three columns of them stay below every engine's limit of parameters."""

_STATUS_PREFIX: Final = APPROVED[: APPROVED.rindex(":") + 1]
_AVAILABILITY_PREFIX: Final = "urn:ihe:iti:2010:DocumentAvailability:"
ONLINE: Final = "Online"
OFFLINE: Final = "Offline"

LETTERS: Final = {
    ObjectKind.DOCUMENT_ENTRY: "D",
    ObjectKind.SUBMISSION_SET: "S",
    ObjectKind.FOLDER: "F",
    ObjectKind.ASSOCIATION: "A",
}
KINDS: Final = {letter: kind for kind, letter in LETTERS.items()}
_TYPES: Final = {DocumentEntry: "D", SubmissionSet: "S", Folder: "F", Association: "A"}


def letter_of(registry_object: RegistryObject) -> str:
    """The letter of an object's kind."""
    return _TYPES[type(registry_object)]


def normal(text: str) -> str:
    """Normal form C."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def pattern(text: str) -> str:
    """A LIKE pattern for `LIKE ... ESCAPE '!'`: wildcards stay, our escape character means itself."""
    return normal(text).replace(ESCAPE, ESCAPE * 2)


def short_status(urn: str) -> str:
    """`Approved` for `urn:oasis:names:tc:ebxml-regrep:StatusType:Approved`; another URN as it is."""
    return urn.removeprefix(_STATUS_PREFIX)


@lru_cache(maxsize=100)
def long_status(status: str) -> str:
    """The URN of a status."""
    return status if ":" in status else _STATUS_PREFIX + status


def short_availability(urn: str) -> str:
    """`Online` or `Offline`; absent means Online (Metadata Update 4.2.3.2.30)."""
    return urn.removeprefix(_AVAILABILITY_PREFIX) or ONLINE


def in_batches(values: Iterable[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    """The values in lists of at most `size`."""
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch
