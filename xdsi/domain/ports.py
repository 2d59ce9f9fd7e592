"""What transactions need of the world, as Protocols; `app` chooses who implements them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

from xdsi.domain.audit import AuditEvent, AuditTrail
from xdsi.domain.consent import Action, Consent, Decision, Resource
from xdsi.domain.holds import Held
from xdsi.domain.identifiers import PatientId
from xdsi.domain.imaging import Instance, Study
from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject
from xdsi.domain.notification import Recipient, StoredNotice
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.pacs import Changes, StudyState
from xdsi.domain.retrieval import MadeDocument, Soundness
from xdsi.domain.stored_query import Evidence, FoundObject, StoredQuery
from xdsi.domain.subject import Caller
from xdsi.domain.submission import Document, Submission


class RegistrySession(Protocol):
    """One unit of work on the registry: everything inside is one snapshot, and a write is all or nothing.

    Patient ids given and returned are those of the survivor after merges.
    """

    def patient_status(self, patient: PatientId) -> str:
        """`active`, `subsumed` or `unknown`."""

    def patient_key(self, patient: PatientId) -> int | None:
        """The internal key of the surviving person, or None when unknown."""

    def aliases(self, patient: PatientId) -> tuple[PatientId, ...]:
        """All identifiers of the same person, the survivor first; empty for an unknown one."""

    def consent_epoch(self, patient: PatientId) -> int:
        """A number that grows with every change to the patient's consents."""

    def objects(self, ids: Sequence[str]) -> Mapping[str, RegistryObject]:
        """Registered objects by entryUUID, whatever their status; unknown ids are absent."""

    def entries_by_unique_id(self, unique_ids: Sequence[str]) -> Sequence[DocumentEntry]:
        """All DocumentEntries (any version, any status) with one of these uniqueIds."""

    def kinds_by_unique_id(self, unique_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """For each registered uniqueId, the kinds of object that carry it."""

    def folders_of(self, entry_uuid: str) -> Sequence[Folder]:
        """The Approved Folders that contain a DocumentEntry."""

    def related_to(self, entry_uuids: Sequence[str], types: Sequence[str]) -> Sequence[Association]:
        """Associations of the given types whose target is among the ids."""

    def associations_of(self, ids: Sequence[str]) -> Sequence[Association]:
        """All Associations, whatever their status, with an end among the ids."""

    def relationships_from(self, ids: Sequence[str], most: int) -> Sequence[FoundObject]:
        """The Approved relationships that lead on from these documents, to any depth; no more than `most`."""

    def versions(self, logical_ids: Sequence[str]) -> Mapping[str, Sequence[DocumentEntry | Folder]]:
        """All versions of logical objects, the oldest first; unknown ids are absent."""

    def save(self, submission: Submission) -> None:
        """Store objects with their final ids."""

    def deprecate(self, entry_uuids: Sequence[str]) -> Sequence[str]:
        """Set DocumentEntries to Deprecated; returns the ids that were still Approved (the others were too late)."""

    def touch_folders(self, entry_uuids: Sequence[str], last_update_time: str) -> None:
        """Set lastUpdateTime of Folders."""

    def supersede(self, ids: Sequence[str]) -> Sequence[str]:
        """Deprecate versions that have a next one; returns the ids of those that were still the latest."""

    def set_status(self, ids: Sequence[str], original: str, new: str) -> Sequence[str]:
        """Change the status of DocumentEntries, Folders and Associations; returns the ids that had the original one."""

    def lock(self, ids: Sequence[str]) -> None:
        """Let nobody else change or name these objects until the end of the unit of work."""

    def remove(self, ids: Sequence[str]) -> None:
        """Delete objects for good; consents among them end at once."""

    def held(self, unique_ids: Sequence[str], patients: Sequence[PatientId]) -> Held:
        """What of these is under a legal hold now."""

    def find(self, query: StoredQuery) -> Sequence[FoundObject]:
        """The objects a stored query selects, in the order of the answer."""

    def evidence(self, found: Sequence[FoundObject]) -> Evidence:
        """What must be known to decide which of the found objects may be shown; a few statements for all of them."""

    def fragments(self, ids: Sequence[str]) -> Iterable[bytes]:
        """The stored ebRIM fragments of objects, filled with their present status, in the order given.

        Small answers are read at once; large ones in batches on a connection of their own, as they are consumed,
        which may be after this unit of work has ended.
        """

    def resources_by_unique_id(self, requests: Sequence[tuple[str, str]]) -> Sequence[Resource]:
        """For (repositoryUniqueId, uniqueId) pairs, the latest version of every DocumentEntry (any status)."""

    def manifests_of_study(self, study_instance_uid: str) -> Sequence[Resource]:
        """DocumentEntries (any status, newest first) whose referenceIdList names this Study Instance UID."""

    def consents(self, patient: PatientId) -> Sequence[Consent]:
        """All stored consents of the person (every alias), whose DocumentEntry is Approved."""

    def pending_consents(self) -> Sequence[str]:
        """The entries of consents whose status is pending, while they are Approved."""

    def save_consent(self, consent: Consent) -> None:
        """Add or replace the verified form of a consent document; the patient's epoch grows."""

    def append_audit(self, events: Sequence[AuditEvent], trace: str) -> None:
        """Store audit records in this unit of work."""


class SpoolPart(Protocol):
    """One incoming part on its way to a private temporary place; hashed and counted while it arrives."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""

    def finish(self) -> Document:
        """No more bytes: where they lie, with size and hashes."""


class Spool(Protocol):
    """Keeps the parts of one request until it is answered."""

    def part(self) -> SpoolPart:
        """Begin a part."""

    def close(self) -> None:
        """Remove whatever nobody took over."""


class Registry(Protocol):
    """The registry's storage."""

    def reading(self) -> AbstractContextManager[RegistrySession]:
        """A read-only snapshot."""

    def writing(self) -> AbstractContextManager[RegistrySession]:
        """A unit of work; leaving it normally commits durably, an exception rolls back."""


class Blob(Protocol):
    """Bytes in a store, as they are now."""

    @property
    def key_id(self) -> str:
        """The id of the key that it is encrypted with, empty where it is not."""

    @property
    def state(self) -> str:
        """What changes when anybody touches them (size, times, inode or version), as text."""

    @property
    def size(self) -> int:
        """How many bytes `open` gives when they are whole."""

    @property
    def current(self) -> bool:
        """True where they are written as the settings now ask for: not with an older key."""

    def open(self, start: int = 0) -> Iterator[bytes]:
        """Them from an offset on, in chunks; Unavailable when they cannot be read now, IntegrityLost when rotten."""

    def whole(self, size: int) -> bytes:
        """All of them in one piece, for those that should be few: `size`. Where there are more, some of those, too."""

    def set_aside(self) -> bool:
        """Keep them where nobody is served from; False where they are no longer what they were."""


class BlobStore(Protocol):
    """Bytes found by the SHA-256 of what was put: durable once put, in doubt until somebody confirms them.

    Every call raises Unavailable when the store cannot be reached.
    """

    def put(self, document: Document) -> str:
        """Make bytes durable under their SHA-256 and return it; a fresh copy takes the place of one that is there."""

    def find(self, sha256: str) -> Blob | None:
        """The bytes with this hash, or None."""

    def confirm(self, sha256: str) -> None:
        """Somebody's now: no longer in doubt."""

    def doubt(self, sha256: str) -> None:
        """Perhaps nobody's any more; durable on return."""

    def collect(self, is_used: Callable[[str], bool], *, grace: float) -> Sequence[str]:
        """Remove what has been in doubt for `grace` seconds and is not used; returns the hashes removed."""

    def names(self, sha256: str) -> Sequence[str]:
        """What a document may be called in the store."""

    def settled(self) -> Iterator[str]:
        """The names of everything that lies here and is not in doubt."""

    def doubted(self, name: str) -> bool:
        """True for what is in doubt."""

    def has_key(self, key_id: str) -> bool:
        """True where what is encrypted with this key can be read; an empty id stands for no encryption."""

    def close(self) -> None:
        """Let go of whatever is held."""


class DocumentStore(Protocol):
    """Where a repository keeps bytes (content-addressed, durable)."""

    def stage(self, document: Document) -> str:
        """Make bytes durable under their SHA-256 and return it; not yet retrievable by a uniqueId."""

    def publish(self, unique_id: str, mime_type: str, sha256: str, size: int, sha1: str, blake3: str = "") -> None:
        """Make a staged document retrievable by its uniqueId; the same bytes again are one more claim to it.

        Raises ValueError when other bytes are already published under the uniqueId.
        """

    def withdraw(self, unique_id: str) -> None:
        """Undo one `publish` of a submission that was refused; others of the same document stand."""

    def erase(self, unique_ids: Sequence[str], also: Callable[[Any], None]) -> None:
        """Forget documents for good, whoever submitted them, and do `also` in the same unit of work.

        Bytes that no other uniqueId names go soon after.
        """

    def find(self, unique_id: str) -> StoredDocument | None:
        """The published document, or None."""

    def find_all(self, unique_ids: Sequence[str]) -> Mapping[str, StoredDocument]:
        """The published documents among these, by uniqueId."""

    def examine(self, documents: Sequence[Any]) -> Sequence[Soundness]:
        """What is found of each, its whole content hashed where that is due (small, or changed since last verified)."""


class OnDemandDocuments(Protocol):
    """Makes documents at the moment they are asked for (On-Demand DocumentEntries)."""

    def knows(self, unique_id: str) -> bool:
        """Whether something can be made under this uniqueId."""

    def make(self, unique_id: str) -> MadeDocument:
        """Make it; raises Unavailable when that cannot be done."""


class StoredDocument(Protocol):
    """A document in the store."""

    @property
    def unique_id(self) -> str:
        """DocumentEntry.uniqueId."""

    @property
    def mime_type(self) -> str:
        """As submitted."""

    @property
    def stored_at(self) -> datetime:
        """When it was first stored here."""

    @property
    def document(self) -> Document:
        """Its bytes; reading them verifies the hash while they stream and raises IntegrityLost before the last part."""


class ConsentIntake(Protocol):
    """Reads and verifies consents and signatures as they are registered."""

    def examine(self, submission: Submission, session: RegistrySession) -> tuple[Sequence[Problem], Sequence[Consent]]:
        """Problems that refuse the submission, and the verified consents that its acceptance brings."""

    def prepare(self, entries: Sequence[DocumentEntry]) -> None:
        """Bring what lies in other repositories, before a unit of work begins that would keep others waiting."""


class DocumentCopies(Protocol):
    """Copies of documents that lie in other repositories."""

    def find(self, repository_unique_id: str, unique_id: str) -> bytes | None:
        """The bytes of a copy; None where there is none."""

    def keep(self, repository_unique_id: str, unique_id: str, raw: bytes) -> None:
        """Keep a copy; raises Unavailable where that cannot be done."""


class RegistryClient(Protocol):
    """The repository's way to its registry (ITI-42)."""

    def register(self, submission: Submission, caller: Caller, trail: AuditTrail) -> Outcome:
        """Register, leaving the audit record of it in a trail; raises Unavailable when no registry can be reached."""


class Decisions(Protocol):
    """Who decides: the hub's own consent store, or the hub asked by ITI-79."""

    @property
    def reveals_everything(self) -> bool:
        """True where everybody may see everything, so that nothing need be read for a decision."""

    def decide(
        self,
        caller: Caller,
        action: Action,
        resources: Sequence[Resource],
        now: datetime,
        session: RegistrySession | None,
    ) -> Sequence[Decision]:
        """One decision per resource, in order; `session` is the snapshot in which the resources were found."""


class InstanceSource(Protocol):
    """A PACS (or a folder) that holds studies."""

    def studies(self) -> Iterable[Study]:
        """All studies now present."""

    def study(self, study_instance_uid: str) -> Study | None:
        """One study with its series and instances; sizes and transfer syntaxes as far as the source knows them."""

    def locate(self, study_uid: str, series_uid: str, sop_uid: str) -> Instance | None:
        """The instance, only if it lies in that series of that study, with its transfer syntax."""

    def open(self, instance: Instance) -> Iterator[bytes]:
        """The Part-10 file in chunks, opened when read; raises Unavailable at once where it cannot be had."""

    def ahead(self, instances: Sequence[Instance]) -> Iterator[Iterator[bytes]] | None:
        """The files of these instances one after the other, asked for before their turn; closed when left early.

        None where that would gain nothing, and each is better opened by itself.
        """


class Pacs(InstanceSource, Protocol):
    """A PACS as a publisher sees it: what there is, what has changed, and each study as it is now.

    All of it raises Unavailable where the PACS cannot be reached or contradicts itself; an answer is never cut short.
    """

    def states(self, since: date | None = None) -> Iterator[StudyState]:
        """Every study now present, or those of a study date not before `since`; a study may be told twice.

        With `since` it depends on the archive whether studies without a date are told.
        """

    def changes(self, since: str) -> Changes | None:
        """What has changed after a cursor (empty: from the beginning); None where the PACS keeps no such record."""

    def reread(self, study_instance_uid: str) -> Study | None:
        """The study as it is now, whatever was remembered of it."""

    def skipped(self) -> Sequence[tuple[str, str]]:
        """What was met and cannot be served: where it is, and why."""

    def file(self, instance: Instance) -> AbstractContextManager[Path]:
        """The instance as a file, for as long as the block lasts."""


class PublishedManifests(Protocol):
    """What an imaging source has published: its study -> the manifest's entry."""

    def manifest_of(self, study_instance_uid: str) -> Resource | None:
        """The newest published manifest of a study, or None when it was never published."""


class Notices(Protocol):
    """Notices that wait to be sent."""

    def waiting(self, recipient: Recipient, limit: int) -> Sequence[StoredNotice]:
        """The oldest for a recipient that were not sent."""

    def sent(self, number: int, at: datetime) -> None:
        """Remember that one arrived."""

    def failed(self, number: int, reason: str) -> None:
        """Remember an attempt that did not succeed."""


class Clock(Protocol):
    """The time, so that tests can set it."""

    def __call__(self) -> datetime:
        """Now, aware, UTC."""
