"""A Submission Request: one SubmissionSet with what it submits (ITI TF-3 4.1.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.domain.outcome import Problem


@dataclass(frozen=True, slots=True)
class Submission:
    """The objects of a SubmitObjectsRequest.

    `submission_sets` holds whatever number was sent, so that a rule can refuse none or two; `findings` are problems
    that only the decoder could see (a classification of an unknown object, a package without a marker).
    `own_problems` are those of each object by itself, where they were looked for before the registry is asked.
    """

    submission_sets: tuple[SubmissionSet, ...] = ()
    document_entries: tuple[DocumentEntry, ...] = ()
    folders: tuple[Folder, ...] = ()
    associations: tuple[Association, ...] = ()
    findings: tuple[Problem, ...] = ()
    own_problems: tuple[Problem, ...] | None = None

    @property
    def submission_set(self) -> SubmissionSet:
        """The one SubmissionSet; raises ValueError when there is not exactly one."""
        (only,) = self.submission_sets
        return only

    @property
    def objects(self) -> tuple[RegistryObject, ...]:
        """All objects, in the order SubmissionSet, DocumentEntry, Folder, Association."""
        return (*self.submission_sets, *self.document_entries, *self.folders, *self.associations)


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes that lie somewhere (a spool file, the store, a PACS): never a whole document in memory.

    `open` gives the bytes anew at each call, in chunks. `size` in bytes, -1 where that is not known before they are
    read; `sha1`, `sha256` and `blake3` in lower-case hexadecimal where known.
    """

    open: Callable[[], Iterator[bytes]]
    size: int
    sha1: str = ""
    sha256: str = ""
    blake3: str = ""


@dataclass(frozen=True, slots=True)
class Provision:
    """A ProvideAndRegisterDocumentSetRequest: metadata and the bytes of each document by its entry's id (ITI-41)."""

    submission: Submission
    documents: Mapping[str, Document] = field(default_factory=dict)
    findings: tuple[Problem, ...] = ()
