"""Who the patients are: feed events, what came of them, and the port to the store of identities.

ITI TF-2: 3.8, 3.44.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from xdsi.domain.errors import Refused
from xdsi.domain.identifiers import PatientId
from xdsi.spec.hl7 import UNKNOWN_KEY_IDENTIFIER

ANY_AUTHORITY = "*"
"""As the domain's authority: identifiers of every assigning authority are taken (never a default)."""


class FeedEvent(StrEnum):
    """What a feed message reports."""

    ADD = "add"
    UPDATE = "update"
    MERGE = "merge"


class PatientStatus(StrEnum):
    """What the store knows of an identifier."""

    ACTIVE = "active"
    SUBSUMED = "subsumed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Application:
    """The sending or receiving application and its facility: MSH-3/4 and MSH-5/6, or the OIDs of an HL7 v3 device."""

    name: str = ""
    facility: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonName:
    """The parts of a name that PID-5 and `patientPerson/name` share."""

    family: str = ""
    given: str = ""
    further: str = ""
    suffix: str = ""
    prefix: str = ""

    @classmethod
    def parse(cls, xpn: str) -> PersonName:
        """Read `family^given^further^suffix^prefix`; what follows is not kept."""
        parts = [*xpn.split("^"), "", "", "", "", ""]
        return cls(family=parts[0], given=parts[1], further=parts[2], suffix=parts[3], prefix=parts[4])

    @property
    def parts(self) -> tuple[str, str, str, str, str]:
        """In the order of XPN."""
        return (self.family, self.given, self.further, self.suffix, self.prefix)

    @property
    def xpn(self) -> str:
        """`family^given^further^suffix^prefix` without trailing delimiters; a delimiter in a part becomes a space."""
        return "^".join(part.replace("^", " ") for part in self.parts).rstrip("^")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demographics:
    """What a feed says of the person. None: not said, leaves what is known; empty: deletes it (HL7 v2 `""`)."""

    name: PersonName | None = None
    birth_date: str | None = None
    """YYYY[MM[DD]]"""
    sex: str | None = None
    """HL7 table 0001: F, M, O, U, A, N"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientIdentityFeed:
    """One event of a Patient Identity Source.

    `patients` are the identifiers of the person (PID-3, `patient/id`), in a MERGE those that survive; `prior` those
    that a MERGE ends (MRG-1, `priorRegisteredRole/id`). Identifiers of other domains are still among them, and the
    authority of one that was sent without an OID is its namespace, or empty.
    """

    kind: FeedEvent
    patients: tuple[PatientId, ...]
    prior: tuple[PatientId, ...] = ()
    demographics: Demographics = field(default_factory=Demographics)
    message_id: str
    sender: Application = field(default_factory=Application)
    receiver: Application = field(default_factory=Application)
    created: datetime | None = None
    trigger: str = ""
    """A01, A04, A05, A08, A40 or PRPA_TE20130nUV02; empty: the usual one of the kind"""

    @property
    def survivor(self) -> PatientId | None:
        """In a MERGE the identifier that remains, as far as one was sent."""
        return self.patients[0] if self.kind is FeedEvent.MERGE and self.patients else None

    @property
    def subsumed(self) -> PatientId | None:
        """In a MERGE the identifier whose use ends, as far as one was sent."""
        return self.prior[0] if self.kind is FeedEvent.MERGE and self.prior else None


@dataclass(frozen=True, slots=True)
class FeedProblem:
    """Why an event was not accepted: `code` of HL7 table 0357, text for a person, the place, our stable rule name.

    `location` is `patients` or `prior` where a rule found it, else a place of the wire form (`PID-3`, an XPath).
    """

    code: str
    text: str
    location: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedAnswer:
    """What came of an event; `ignored` are identifiers that are not of the domain and were left aside."""

    accepted: bool
    problems: tuple[FeedProblem, ...] = ()
    ignored: tuple[PatientId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPatient:
    """One identifier as the store keeps it."""

    patient: PatientId
    status: PatientStatus
    survivor: PatientId | None
    """what it was merged into, one step"""
    demographics: Demographics
    source: str
    """the application that told of it last; empty where no feed did"""
    created: datetime | None
    updated: datetime | None


class PatientIdentities(Protocol):
    """The store of patient identifiers of the domain; nothing in it is ever deleted."""

    def known(self, patient: PatientId) -> bool:
        """True for an active identifier: one that documents may be registered for."""

    def status(self, patient: PatientId) -> PatientStatus:
        """Active, subsumed or unknown."""

    def add(self, patient: PatientId, demographics: Demographics, source: str = "") -> None:
        """Make an identifier known; one that is known already keeps its status and takes the new demographics."""

    def merge(self, subsumed: PatientId, survivor: PatientId) -> None:
        """End one identifier in favour of another, for good; raises Refused unless both are active at this moment."""

    def survivor_of(self, patient: PatientId) -> PatientId:
        """The identifier at the end of the chain of merges; the identifier itself where it was never merged."""

    def aliases(self, patient: PatientId) -> tuple[PatientId, ...]:
        """All identifiers of the same person, the survivor first; empty for an unknown one."""

    def list(self, *, limit: int = 1000, after: PatientId | None = None) -> Sequence[KnownPatient]:
        """Known identifiers in the order they became known, those after `after`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChange:
    """What an event is to do to the store, as the rules decided; with a problem it does nothing."""

    register: tuple[PatientId, ...] = ()
    merge: tuple[PatientId, PatientId] | None = None
    """subsumed, survivor"""
    problems: tuple[FeedProblem, ...] = ()
    ignored: tuple[PatientId, ...] = ()

    def carry_out(self, feed: PatientIdentityFeed, identities: PatientIdentities) -> FeedAnswer:
        """Do what was decided and give the answer; a merge that another one forestalled is refused."""
        if self.problems:
            return FeedAnswer(accepted=False, problems=self.problems, ignored=self.ignored)
        for patient in self.register:
            identities.add(patient, feed.demographics, feed.sender.name)
        if self.merge is not None:
            try:
                identities.merge(*self.merge)
            except Refused as refusal:
                problem = FeedProblem(UNKNOWN_KEY_IDENTIFIER, refusal.reason, "prior", "merge.overtaken")
                return FeedAnswer(accepted=False, problems=(problem,), ignored=self.ignored)
        return FeedAnswer(accepted=True, ignored=self.ignored)
