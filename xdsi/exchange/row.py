"""What a transaction, an actor and one exchange between two of them are made of."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from xdsi.domain.audit import AuditEvent, AuditSite, AuditTrail, ExchangeFacts
from xdsi.domain.consent import Action, Decision, Resource
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.outcome import Problem, Status
from xdsi.domain.ports import Clock, Decisions, RegistrySession
from xdsi.domain.repetition import FirstAnswers
from xdsi.domain.subject import Caller
from xdsi.wire import saml
from xdsi.wire.jwt_token import JwtTrust
from xdsi.wire.message import Message, Packaging, Payload

NO_TOKENS = JwtTrust(issuers={}, audiences=frozenset())

Req = TypeVar("Req")
Resp = TypeVar("Resp")


@dataclass(frozen=True, slots=True)
class Codec(Generic[Req]):
    """Both directions of one message form."""

    decode: Callable[[Message], Req]
    encode: Callable[[Req, Packaging], Payload]


@dataclass(slots=True)
class Trace:
    """What happened in one exchange, for the operator: steps with their durations, under one id."""

    id: str = field(default_factory=lambda: secrets.token_hex(16))
    started: float = field(default_factory=time.perf_counter)
    steps: list[dict[str, Any]] = field(default_factory=list)
    kept: bool = False
    """its record is with the actor's traces"""
    recorded: ExchangeFacts | None = None
    """what the audit record says of it, once there is one"""
    status: Status = Status.FAILURE
    """what its answer reports; as long as there is none, and where the request was refused, Failure"""

    def note(self, step: str, **detail: Any) -> None:
        """Remember a step; `ms` is the time since the exchange began."""
        self.steps.append({"step": step, "ms": round((time.perf_counter() - self.started) * 1000, 2), **detail})


ANSWERING: ContextVar[Trace | None] = ContextVar("answering", default=None)
"""the exchange that this thread answers: what is asked of others on the way is a step of it"""


@dataclass(frozen=True, slots=True)
class Located:
    """What a request would reveal or change; `state` is the transaction's own, handed back to `handle`."""

    resources: tuple[Resource, ...] = ()
    state: Any = None


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of work that a transaction has opened by itself."""

    connection: Any


@dataclass(slots=True)
class Beside:
    """A trail for what an exchange asks of others on its way: kept with the exchange's own record, in one commit."""

    records: list[tuple[tuple[AuditEvent, ...], str]] = field(default_factory=list)

    def append(self, events: Sequence[AuditEvent], *, trace: str, connection: Any = None) -> Sequence[int]:
        """Hold records until the exchange's own one is stored; they have no numbers yet."""
        self.records.append((tuple(events), trace))
        return ()


@dataclass(frozen=True, slots=True)
class Call(Generic[Req]):
    """Everything `handle` may use."""

    request: Req
    caller: Caller
    ports: Any
    session: RegistrySession
    located: Located
    decisions: tuple[Decision, ...]
    trace: Trace
    unrestricted: bool = False
    """everybody may see everything: nothing was weighed, and nothing need be hidden"""
    beside: Beside = field(default_factory=Beside)
    """takes the audit records of what is asked of others"""

    @property
    def permitted(self) -> frozenset[str] | None:
        """The entryUUIDs of what was decided on and permitted; None where everybody may see everything."""
        if self.unrestricted:
            return None
        decided = zip(self.located.resources, self.decisions, strict=True)
        return frozenset([resource.entry_uuid for resource, decision in decided if decision.permit])


def _nothing(request: Any, ports: Any, session: RegistrySession) -> Located:
    return Located()


def _no_soap(*message: Any) -> Any:
    raise MalformedMessage("this transaction is not one of SOAP")


NO_SOAP: Codec[Any] = Codec(_no_soap, _no_soap)
"""of a transaction whose messages are read and written where they come and go (HTTP, DIMSE)"""


def _nothing_first(request: Any, ports: Any) -> Any:
    return request


def _as_located(located: Located, ports: Any, session: RegistrySession) -> Located:
    return located


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction(Generic[Req, Resp]):
    """One IHE transaction: its names, its codecs, its rules.

    `writes` opens a unit of work that `handle` and the audit record share. `changes` says of one without it that it
    changes something, too: either is answered as the first time when the same message comes again. `action` None means
    that the node's permit is the whole decision (publishing, feeds; contract of docs/policy.md). `weigh` adds what the
    decision on the located rests on, and is skipped where everybody may see everything. `refuse` turns problems found
    before `handle` into an answer of this transaction. `settle` carries out what `handle` decided on, together with
    what it is given: the audit record and the answer to remember. `several` says that `request` reads all elements of a
    Body; of others there may be one only, so that nothing is answered for that was not looked at.
    """

    number: str
    name: str
    trigger: str = ""
    """the wsa:Action of a request, where it is one of SOAP"""
    reply: str = ""
    request: Codec[Req] = NO_SOAP
    response: Codec[Resp] = NO_SOAP
    handle: Callable[[Call[Req]], Resp]
    refuse: Callable[[Req | None, Sequence[Problem]], Resp]
    facts: Callable[[Req, Resp | None, ExchangeFacts], ExchangeFacts]
    prepare: Callable[[Req, Any], Req] = _nothing_first
    """the request with what can be known of it before a unit of work begins, from other nodes if need be"""
    locate: Callable[[Req, Any, RegistrySession], Located] = _nothing
    weigh: Callable[[Located, Any, RegistrySession], Located] = _as_located
    several: bool = False
    settle: Callable[[Resp, Any, Callable[[Any], None]], None] | None = None
    action: Action | None = None
    assertion_required: bool = True
    writes: bool = False
    changes: bool = False
    malformed_code: str = "XDSRegistryError"
    unavailable_code: str = "XDSRegistryError"


class TraceLog(Protocol):
    """Keeps traces for `xdsi explain`."""

    def append(self, trace: str, record: dict[str, Any]) -> None:
        """Remember what happened in one exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may come in, for all transactions of a server."""

    trust: saml.SamlTrust | None
    """None in the open profile: a wsse:Security header is understood and ignored"""
    tokens: JwtTrust = NO_TOKENS
    """whose access tokens count on REST paths"""
    renewed: Callable[[], tuple[saml.SamlTrust | None, JwtTrust]] | None = None
    """both as they are now, where the lists of trust may change while the process runs"""
    nodes_required: bool = True
    """a known node must permit what needs no assertion"""
    clock: Clock
    replay: Callable[[str, str, datetime], bool] | None = None
    """remembers (issuer, assertion id, end); True when seen before. None: assertions may be used again"""

    def lists(self) -> tuple[saml.SamlTrust | None, JwtTrust]:
        """Whose assertions and whose access tokens count for a request that begins now."""
        return (self.trust, self.tokens) if self.renewed is None else self.renewed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """An actor of the profiles: its name, the path it answers at, its description in wsdl/, what it speaks.

    Without a description it is one of REST or DIMSE; the latter has the path under which audit records name it.
    """

    name: str
    path: str
    wsdl: str = ""
    transactions: tuple[Transaction[Any, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One actor as it runs: what it speaks and what it works with."""

    role: Role
    ports: Mapping[str, Any]
    """what each transaction works with, by its number"""
    access: Access
    decisions: Decisions
    unit_of_work: Callable[[bool], AbstractContextManager[Any]]
    trail: AuditTrail
    traces: TraceLog
    site: AuditSite
    first_answers: FirstAnswers | None = None
    """remembers what messages were answered; None: a message that comes again is handled again"""
    recording: Callable[[], AbstractContextManager[Any]] | None = None
    """opens a unit of work, the connection of which takes the audit record and the answer of what changed something"""

    def find(self, action: str) -> Transaction[Any, Any] | None:
        """The transaction that this wsa:Action starts at this actor."""
        for transaction in self.role.transactions:
            if transaction.trigger == action:
                return transaction
        return None


def no_unit_of_work(writes: bool) -> AbstractContextManager[None]:  # noqa: FBT001 - the shape of Actor.unit_of_work
    """For actors whose ports need no shared unit of work."""
    return nullcontext()
