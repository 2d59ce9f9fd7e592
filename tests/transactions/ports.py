"""The world that transactions work with, in memory: each class behaves as its port says and remembers what was done."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tests.rules.registered import Registered
from xdsi.domain.audit import AuditEvent, AuditTrail
from xdsi.domain.consent import Action, Consent, Decision, Resource
from xdsi.domain.errors import IntegrityLost, Unavailable
from xdsi.domain.holds import Held
from xdsi.domain.identifiers import PatientId
from xdsi.domain.imaging import Instance, Study
from xdsi.domain.metadata import DocumentEntry, RegistryObject
from xdsi.domain.outcome import Outcome
from xdsi.domain.retrieval import Soundness
from xdsi.domain.stored_query import Evidence, FoundObject, ObjectKind, StoredQuery
from xdsi.domain.subject import Caller, Peer, Subject
from xdsi.domain.submission import Document, Submission
from xdsi.exchange import Call, Trace, Transaction
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED

NOW = datetime(2026, 2, 3, 10, 11, 12, tzinfo=UTC)
PERMIT = Decision(permit=True, policy="p", rule="r")
DENY = Decision(permit=False, policy="p", rule="no")
SUBJECT = Subject(user_id="dr", issuer="idp", assertion_id="_1")
CALLER = Caller(peer=Peer(address="192.0.2.7"), subject=SUBJECT)


def clock() -> datetime:
    return NOW


class Session(Registered):
    """A registry in memory, as far as transactions ask it; `overtaken` are entries that somebody else replaces."""

    def __init__(self, *objects: RegistryObject, found: Sequence[FoundObject] = (), **patients: Any) -> None:
        super().__init__(*objects, **patients)
        self.found = {item.id: item for item in found}
        self.answers: dict[str, Sequence[str]] = {}
        self.queries: list[StoredQuery] = []
        self.saved: list[Submission] = []
        self.touched: list[tuple[tuple[str, ...], str]] = []
        self.overtaken: set[str] = set()
        self.locked: set[str] = set()
        self.kept_consents: list[Consent] = []
        self.under_hold = Held()
        self.resources: list[Resource] = []
        self.audited: list[AuditEvent] = []
        self.complete = True

    def save(self, submission: Submission) -> None:
        self.saved.append(submission)
        self.known |= {one.entry_uuid: one for one in submission.objects}

    def deprecate(self, entry_uuids: Sequence[str]) -> Sequence[str]:
        done = [
            id_ for id_ in entry_uuids if id_ not in self.overtaken and self.known[id_].availability_status == APPROVED
        ]
        for id_ in done:
            self.known[id_] = replace(self.known[id_], availability_status=DEPRECATED)
        return done

    def touch_folders(self, entry_uuids: Sequence[str], last_update_time: str) -> None:
        self.touched.append((tuple(entry_uuids), last_update_time))

    def supersede(self, ids: Sequence[str]) -> Sequence[str]:
        return [id_ for id_ in ids if self.set_status([id_], self.known[id_].availability_status, DEPRECATED)]

    def set_status(self, ids: Sequence[str], original: str, new: str) -> Sequence[str]:
        done = [id_ for id_ in ids if id_ not in self.overtaken and self.known[id_].availability_status == original]
        for id_ in done:
            self.known[id_] = replace(self.known[id_], availability_status=new)
        return done

    def lock(self, ids: Sequence[str]) -> None:
        self.locked.update(ids)

    def remove(self, ids: Sequence[str]) -> None:
        assert self.locked >= set(ids)
        for id_ in ids:
            del self.known[id_]

    def held(self, unique_ids: Sequence[str], patients: Sequence[PatientId]) -> Held:
        return self.under_hold

    def find(self, query: StoredQuery) -> Sequence[FoundObject]:
        """What `answers` names for the query; GetDocuments by its ids."""
        if query.query_id == uuids.GET_ASSOCIATIONS and query.query_id not in self.answers:
            return super().find(query)
        self.queries.append(query)
        if query.query_id in self.answers:
            return [self.found[id_] for id_ in self.answers[query.query_id]]
        wanted = query.values("$XDSDocumentEntryEntryUUID")
        return [
            item
            for item in self.found.values()
            if item.kind is ObjectKind.DOCUMENT_ENTRY
            and (item.id in wanted or (item.resource and item.resource.unique_id in query.values(
                "$XDSDocumentEntryUniqueId")))
        ]  # fmt: skip

    def evidence(self, found: Sequence[FoundObject]) -> Evidence:
        """From the objects found and known; whatever leads from a container to a DocumentEntry makes it a member."""
        everything = {id_: found_of(one) for id_, one in self.known.items()} | self.found
        everything |= {one.id: one for one in found if one.id not in everything}
        wanted = {one.id for one in found}
        links = [one for one in everything.values() if one.kind is ObjectKind.ASSOCIATION]
        while more := {end for one in links if one.id in wanted for end in (one.source, one.target)} - wanted:
            wanted |= more
        members: dict[str, list[str]] = {}
        for one in links:
            if one.source in wanted and one.target in everything and everything[one.target].resource is not None:
                members.setdefault(one.source, []).append(one.target)
                wanted.add(one.target)
        resources = {}
        for id_ in wanted & everything.keys():
            one = everything[id_]
            if one.resource is not None:
                resources[id_] = one.resource
                members.pop(id_, None)
            elif one.kind is not ObjectKind.ASSOCIATION and id_ not in members:
                resources[id_] = Resource(unique_id=id_, entry_uuid=id_)
        ends = {one.id: (one.source, one.target) for one in links if one.id in wanted}
        return Evidence(resources=resources, members=members, ends=ends, complete=self.complete)

    def fragments(self, ids: Sequence[str]) -> Iterable[bytes]:
        return tuple(id_.encode() for id_ in ids)

    def patient_key(self, patient: PatientId) -> int | None:
        return hash(patient) if self.patient_status(patient) != "unknown" else None

    def aliases(self, patient: PatientId) -> tuple[PatientId, ...]:
        return (patient,) if self.patient_status(patient) != "unknown" else ()

    def resources_by_unique_id(self, requests: Sequence[tuple[str, str]]) -> Sequence[Resource]:
        return [one for one in self.resources if (one.repository_unique_id, one.unique_id) in set(requests)]

    def consents(self, patient: PatientId) -> Sequence[Consent]:
        return [one for one in self.kept_consents if one.patient == patient]

    def save_consent(self, consent: Consent) -> None:
        self.kept_consents.append(consent)

    def append_audit(self, events: Sequence[AuditEvent], trace: str) -> None:
        self.audited.extend(events)


@dataclass
class StoredBytes:
    """A document in the store."""

    unique_id: str
    mime_type: str
    content: bytes
    rotten: bool = False
    soundness: Soundness = Soundness.SOUND
    stored_at: datetime = NOW

    @property
    def document(self) -> Document:
        def chunks() -> Iterator[bytes]:
            if self.rotten:
                raise IntegrityLost("rotten")
            yield self.content

        return Document(chunks, len(self.content))


class Documents:
    """A document store; `published` says what is retrievable."""

    def __init__(self, **content: bytes) -> None:
        self.staged: dict[str, bytes] = {}
        self.published = {id_.replace("_", "."): self._stored(id_.replace("_", "."), c) for id_, c in content.items()}
        self.submissions: dict[str, int] = dict.fromkeys(self.published, 1)

    @staticmethod
    def _stored(unique_id: str, content: bytes, mime_type: str = "text/plain") -> StoredBytes:
        return StoredBytes(unique_id, mime_type, content)

    def stage(self, document: Document) -> str:
        content = b"".join(document.open())
        sha256 = hashlib.sha256(content).hexdigest()
        self.staged[sha256] = content
        return sha256

    def publish(self, unique_id: str, mime_type: str, sha256: str, size: int, sha1: str, blake3: str = "") -> None:
        content = self.staged[sha256]
        former = self.published.setdefault(unique_id, self._stored(unique_id, content, mime_type))
        if former.content != content:
            raise ValueError(unique_id)
        self.submissions[unique_id] = self.submissions.get(unique_id, 0) + 1

    def withdraw(self, unique_id: str) -> None:
        self.submissions[unique_id] -= 1
        if not self.submissions[unique_id]:
            del self.published[unique_id]

    def erase(self, unique_ids: Sequence[str], also: Any) -> None:
        for unique_id in unique_ids:
            del self.published[unique_id]
        also(None)

    def find(self, unique_id: str) -> StoredBytes | None:
        return self.published.get(unique_id)

    def find_all(self, unique_ids: Sequence[str]) -> Mapping[str, StoredBytes]:
        return {one: self.published[one] for one in unique_ids if one in self.published}

    def examine(self, documents: Sequence[StoredBytes]) -> Sequence[Soundness]:
        return [Soundness.LOST if one.rotten else one.soundness for one in documents]


@dataclass
class RegistryOf42:
    """The way to a registry: gives `outcome` or raises it, after `meanwhile`."""

    outcome: Outcome | Exception = field(default_factory=Outcome)
    meanwhile: Any = None
    registered: list[Submission] = field(default_factory=list)

    def register(self, submission: Submission, caller: Caller, trail: AuditTrail) -> Outcome:
        self.registered.append(submission)
        if self.meanwhile is not None:
            self.meanwhile(submission)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Pacs:
    """Studies with content, an instance's UID; the `unreadable` cannot be opened, of the `lost` nothing is known."""

    def __init__(self, *studies: Study, unreadable: Iterable[str] = (), lost: Iterable[str] = ()) -> None:
        self._studies = {one.study_instance_uid: one for one in studies}
        self._unreadable, self._lost = frozenset(unreadable), frozenset(lost)

    def studies(self) -> Iterable[Study]:
        return self._studies.values()

    def study(self, study_instance_uid: str) -> Study | None:
        return self._studies.get(study_instance_uid)

    def locate(self, study_uid: str, series_uid: str, sop_uid: str) -> Instance | None:
        if sop_uid in self._lost:
            raise Unavailable(sop_uid)
        study = self._studies.get(study_uid)
        for series in study.series if study else ():
            for instance in series.instances:
                if (series.series_instance_uid, instance.sop_instance_uid) == (series_uid, sop_uid):
                    return instance
        return None

    def open(self, instance: Instance) -> Iterator[bytes]:
        if instance.sop_instance_uid in self._unreadable:
            raise Unavailable(instance.sop_instance_uid)
        return iter((instance.sop_instance_uid.encode(),))

    def ahead(self, instances: Sequence[Instance]) -> Iterator[Iterator[bytes]] | None:
        return None


@dataclass
class Transcoder:
    """Gives the wanted syntax as content, or raises."""

    error: Exception | None = None

    def transcode(self, instance: Instance, transfer_syntaxes: Sequence[str]) -> Document:
        if self.error is not None:
            raise self.error
        content = f"{instance.sop_instance_uid} in {transfer_syntaxes[0]}".encode()
        return Document(lambda: iter((content,)), len(content))


@dataclass
class Manifests:
    """What was published, by study."""

    published: dict[str, Resource] = field(default_factory=dict)

    def manifest_of(self, study_instance_uid: str) -> Resource | None:
        return self.published.get(study_instance_uid)


@dataclass
class Decider:
    """Decides by uniqueId: everything but `denied` is permitted. Remembers each question."""

    reveals_everything = False
    denied: frozenset[str] = frozenset()
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def decide(
        self, caller: Caller, action: Action, resources: Sequence[Resource], now: datetime, session: Any
    ) -> Sequence[Decision]:
        self.asked.append(tuple(one.unique_id for one in resources))
        return [DENY if one.unique_id in self.denied else PERMIT for one in resources]


class OneRegistry:
    """A registry whose only session is given."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        yield self.session

    writing = reading


def served(
    transaction: Transaction[Any, Any],
    request: Any,
    ports: Any,
    session: Any = None,
    *,
    denied: Iterable[str] = (),
    caller: Caller = CALLER,
) -> Any:
    """What a transaction answers: locate, weigh, one decision per resource, handle."""
    located = transaction.weigh(transaction.locate(request, ports, session), ports, session)
    gone = set(denied)
    decisions = tuple(DENY if one.unique_id in gone else PERMIT for one in located.resources)
    return transaction.handle(Call(request, caller, ports, session, located, decisions, Trace()))


def document(content: bytes) -> Document:
    """Bytes as a spool gives them."""
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return Document(lambda: iter((content,)), len(content), sha1, hashlib.sha256(content).hexdigest())


def content_of(one: Document) -> bytes:
    return b"".join(one.open())


def codes(outcome: Outcome) -> list[tuple[str, str]]:
    """(error code, rule) of each problem."""
    return [(problem.code, problem.rule) for problem in outcome.problems]


def found_of(one: RegistryObject) -> FoundObject:
    """A registered object as a query finds it."""
    return entry_found(one) if isinstance(one, DocumentEntry) else FoundObject.of(one)


def entry_found(entry: DocumentEntry, key: int = 1) -> FoundObject:
    """A DocumentEntry as a query finds it."""
    resource = Resource(
        unique_id=entry.unique_id, entry_uuid=entry.entry_uuid, repository_unique_id=entry.repository_unique_id
    )
    return FoundObject(id=entry.entry_uuid, kind=ObjectKind.DOCUMENT_ENTRY, patient_key=key, resource=resource)
