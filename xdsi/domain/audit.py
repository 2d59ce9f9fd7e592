"""Audit events as values, and the plain facts of an exchange that they are made from.

DICOM PS3.15 A.5 (the message); ITI TF-2 3.20.7 (what IHE puts in it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Protocol

from xdsi.domain.codes import Code
from xdsi.domain.consent import Decision
from xdsi.domain.subject import Node, Subject
from xdsi.spec.audit_events import APPLICATION, DESTINATION, IHE_TRANSACTIONS, LAUNCHER, SOURCE


class AuditAction(StrEnum):
    """EventActionCode."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class AuditOutcome(IntEnum):
    """EventOutcomeIndicator."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


_TECHNICAL_ROLES = frozenset(term.code for term in (APPLICATION, LAUNCHER, DESTINATION, SOURCE))


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveParticipant:
    """A person or a process that took part."""

    user_id: str
    requestor: bool
    alternative_user_id: str = ""
    user_name: str = ""
    roles: tuple[Code, ...] = ()
    network_id: str = ""
    network_type: str = ""
    """1 machine name, 2 IP address, 3 telephone number, 4 e-mail address, 5 URI"""
    media_type: Code | None = None

    @property
    def is_person(self) -> bool:
        """True for a requestor that is not a process (has none of the roles 110150 to 110153)."""
        return self.requestor and not any(role.code in _TECHNICAL_ROLES for role in self.roles)


@dataclass(frozen=True, slots=True)
class ObjectDetail:
    """One ParticipantObjectDetail: the bytes that its base64 value stands for."""

    type: str
    value: bytes

    @classmethod
    def of(cls, type_: str, text: str) -> ObjectDetail:
        """A detail whose value is text."""
        return cls(type_, text.encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class SopClassCount:
    """How many instances of a SOP class, and which ones where they are named."""

    uid: str
    number: int
    instances: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectDescription:
    """One ParticipantObjectDescription: the DICOM content of an object."""

    mpps: tuple[str, ...] = ()
    accessions: tuple[str, ...] = ()
    sop_classes: tuple[SopClassCount, ...] = ()
    studies: tuple[str, ...] = ()
    encrypted: bool | None = None
    anonymized: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantObject:
    """Something the event was about. `name` and `query` exclude each other."""

    id: str
    id_type: Code
    type_code: str = ""
    """1 person, 2 system object, 3 organisation, 4 other"""
    role: str = ""
    life_cycle: str = ""
    sensitivity: str = ""
    name: str = ""
    query: bytes | None = None
    details: tuple[ObjectDetail, ...] = ()
    descriptions: tuple[ObjectDescription, ...] = ()

    def __post_init__(self) -> None:
        if self.name and self.query is not None:
            raise ValueError("an audited object has a name or a query, not both")

    @property
    def is_patient(self) -> bool:
        """True for a person in the role of patient."""
        return self.type_code == "1" and self.role == "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSource:
    """AuditSourceIdentification: the system that reports."""

    source_id: str
    enterprise_site_id: str = ""
    types: tuple[Code, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One audit message."""

    event: Code
    action: AuditAction | None
    time: datetime
    outcome: AuditOutcome = AuditOutcome.SUCCESS
    outcome_description: str = ""
    types: tuple[Code, ...] = ()
    purposes: tuple[Code, ...] = ()
    participants: tuple[ActiveParticipant, ...]
    source: AuditSource
    objects: tuple[ParticipantObject, ...] = ()

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError("the time of an audit event names its zone")
        if not self.participants:
            raise ValueError("an audit event has at least one participant")

    @property
    def transaction(self) -> str:
        """The IHE transaction, else the first event type, else the event itself."""
        for code in self.types:
            if code.scheme == IHE_TRANSACTIONS:
                return code.code
        return self.types[0].code if self.types else self.event.code

    @property
    def patient(self) -> str:
        """The first patient's identifier, or empty text."""
        return next((thing.id for thing in self.objects if thing.is_patient), "")

    @property
    def user_id(self) -> str:
        """The person who asked, else the process that did, or empty text."""
        requestors = [who for who in self.participants if who.requestor]
        return next((who.user_id for who in [*(r for r in requestors if r.is_person), *requestors]), "")


class Side(StrEnum):
    """Which end of an exchange reports it."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSite:
    """What every record of one process has in common."""

    source_id: str
    """AuditSourceID"""
    enterprise_site_id: str = ""
    """AuditEnterpriseSiteID"""
    host: str
    """DNS name or address of this machine"""
    process_id: str
    base_url: str = ""
    """where this process is reached, scheme to port"""
    source_type: str = "4"
    """AuditSourceTypeCode: 4 application server, 3 web server, 6 security server, ..."""

    def endpoint(self, path: str) -> str:
        """The URL of a path of this process."""
        return self.base_url.rstrip("/") + path


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFacts:
    """A query as it was asked: its id and the encoded request (AdhocQueryRequest, HL7 message, query string)."""

    id: str
    request: bytes
    encoding: str = "UTF-8"
    home_community_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentFacts:
    """A document asked for, and whether it was given out."""

    unique_id: str
    repository_unique_id: str = ""
    home_community_id: str = ""
    patient: str = ""
    """CX where known; empty means the exchange's one patient"""
    outcome: int = AuditOutcome.SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """Images of one study asked for together, and whether they were given out; several may name the same study."""

    study_instance_uid: str
    instances: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """(SOP class UID, SOP instance UIDs); the class is empty where it is not known"""
    series: tuple[str, ...] = ()
    accessions: tuple[str, ...] = ()
    repository_unique_id: str = ""
    home_community_id: str = ""
    patient: str = ""
    """CX where known; empty means the exchange's one patient"""
    outcome: int = AuditOutcome.SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedObject:
    """A registry object that was removed or announced; `kind` is a key of `spec.audit_events.OBJECT_KINDS`."""

    entry_uuid: str
    kind: str = ""
    home_community_id: str = ""
    patient: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeFacts:
    """Two identifiers of one person: the first is no longer used (ITI-8 A40, ITI-44 merge)."""

    subsumed: str
    surviving: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeFacts:
    """What happened in one exchange, as far as the audit record asks; a transaction fills in what it knows.

    `reply_to` and `endpoint` are the UserIDs of requester and responder: wsa:ReplyTo and URL, or `facility|application`
    of sender and receiver for HL7 v2.
    """

    transaction: str
    side: Side
    time: datetime
    site: AuditSite
    endpoint: str = ""
    reply_to: str = ""
    peer_address: str = ""
    node: Node | None = None
    """the peer, as its client certificate names it"""
    subject: Subject | None = None
    patients: tuple[str, ...] = ()
    """CX; one message for each"""
    query: QueryFacts | None = None
    submission_set: str = ""
    """SubmissionSet.uniqueId"""
    documents: tuple[DocumentFacts, ...] = ()
    studies: tuple[StudyFacts, ...] = ()
    removed: tuple[RemovedObject, ...] = ()
    message_id: str = ""
    """MSH-10, or the II of an HL7 v3 message"""
    merge: MergeFacts | None = None
    results: tuple[tuple[str, str], ...] = ()
    """(resource, decision) as ITI-79 answered"""
    home_community_id: str = ""
    action: AuditAction | None = None
    """where the transaction leaves a choice (ITI-8, 44, 52); None takes the table's"""
    outcome: int = AuditOutcome.SUCCESS
    partial: bool = False
    """some results and some errors: gives one message of success and one of failure"""
    outcome_description: str = ""
    denied: tuple[tuple[str, Decision], ...] = ()
    """(uniqueId of the resource, what decided)"""
    emergency: bool = False
    """an override of consent in an emergency (break-glass) took effect"""
    overridden: tuple[str, ...] = ()
    """the patients (CX) whose consent it took the place of"""
    token_refused: str = ""
    """why the caller was not let in; the exchange itself then did not take place"""
    trace: str = ""


class AuditTrail(Protocol):
    """Where audit records are kept; nothing may leave before its record is there."""

    def append(self, events: Sequence[AuditEvent], *, trace: str, connection: Any = None) -> Sequence[int]:
        """Store records; raises Unavailable when they cannot be stored.

        With a `connection` they belong to its transaction; without one they are durable on return, and their numbers
        are returned.
        """
