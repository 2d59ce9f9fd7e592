"""What a case consists of; docs/conformance.md describes each part as it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REST = "rest"
"""packaging of what is a GET and no SOAP message"""
MLLP = "mllp"
"""packaging of an HL7 v2 message"""
DIMSE = "dimse"
"""packaging of C-ECHO and C-MOVE"""


@dataclass(frozen=True)
class Kind:
    """A transaction as the Technical Framework names it: who speaks it, its actions, how it is packed."""

    name: str
    actor: str
    action: str
    reply: str
    packaging: str
    symmetric: bool = True
    """the answer comes in the packaging of the request"""
    node: bool = False
    """a system speaks it for itself: it shows a node's certificate where the endpoint has one"""


@dataclass(frozen=True)
class Document:
    """Bytes that a case sends, or expects to get."""

    content: bytes
    type: str


@dataclass(frozen=True)
class Http:
    """What is unusual about the HTTP request."""

    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False
    gzip: bool = False
    truncate: int = 0
    """bytes to leave out at the end"""
    encoding: str = "utf-8"
    """of the envelope"""
    body: str = ""
    """a file that is the whole HTTP body, its line ends sent as CRLF; ${raw:message} in it is the envelope"""
    path: str = ""
    """of a GET: what follows the actor's URL, query and all"""


@dataclass(frozen=True)
class Part:
    """An attachment: which document, and what its part headers say."""

    document: str
    content_id: str = ""
    """the header as it is, else <${cid:document}>"""
    type: str = ""
    encoding: str = "binary"


@dataclass(frozen=True)
class Mtom:
    """How the parts of a multipart message are laid out."""

    root: str = "first"
    start: str = ""
    """the parameter `start`, else the Content-ID of the root part"""


@dataclass(frozen=True)
class Mllp:
    """What is unusual about the way of an HL7 v2 message."""

    pieces: int = 0
    """bytes that are sent at once; 0: all"""


@dataclass(frozen=True)
class Dimse:
    """What is asked of an imaging source by DIMSE."""

    verb: str = "move"
    """or `echo`"""
    called: str = ""
    """AE titles, where they are not those of the endpoint"""
    calling: str = ""
    destination: str = ""
    """AE title that images are to be sent to, else the own"""
    level: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    """of the identifier, by keyword"""
    stores: Sequence[str] = ()
    """statuses that the own storage SCP answers with, in turn; the last for all that follow"""


@dataclass(frozen=True)
class Token:
    """The identity assertion that goes along; as it stands here it is in order."""

    copies: int = 1
    """how many go along: 0 is none"""
    age: int = 0
    """seconds since it was issued"""
    lifetime: int = 300
    issuer: str = ""
    """the name of another issuer"""
    audience: str = ""
    """another audience than the server's home community"""
    signed: bool = True
    key: str = ""
    """`stranger`: signed with a key that nobody knows"""
    before: Sequence[Mapping[str, Any]] = ()
    """changes before it is signed"""
    after: Sequence[Mapping[str, Any]] = ()
    """changes afterwards"""
    form: str = "saml"
    """of a GET: `jwt` is an access token instead (IUA)"""
    wrap: str = ""
    """`advice` or `beside`: it lies there, and another assertion, of another user, is in front"""


@dataclass(frozen=True)
class Assertion:
    """One XPath on the envelope of the answer."""

    path: str
    equals: str | tuple[str, ...] | None = None
    matches: str | None = None
    count: int | None = None


@dataclass(frozen=True)
class Delivered:
    """A document that the answer must hold."""

    id: str
    document: str = ""
    """the case's document with the same bytes"""
    type: str = ""
    transfer_syntax: str = ""
    """of a DICOM file, as its file meta information says"""


@dataclass(frozen=True)
class Decided:
    """What an answer of ITI-79 must say of a resource."""

    resource: str
    decision: str


@dataclass(frozen=True)
class DimseOutcome:
    """What is to become of a C-ECHO or C-MOVE."""

    rejected: str = ""
    """`calling` or `called`: there is no association, this AE title not being recognized"""
    status: str = ""
    """pattern for the four hexadecimal digits of the last response"""
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None


@dataclass(frozen=True)
class Expectation:
    """What the answer must be; what is not said is not looked at, but for the form of every answer."""

    http: tuple[int, ...] = ()
    status: str = ""
    fault: str = ""
    subcode: str = ""
    refused: bool = False
    """a fault or the status Failure, which of the two is left open"""
    errors: Mapping[str, int | str] | None = None
    warnings: Mapping[str, int | str] | None = None
    contexts: Mapping[str, str] = field(default_factory=dict)
    """error code -> a pattern that the codeContext of each such error matches, as the profile demands"""
    explains: Mapping[str, str] = field(default_factory=dict)
    """error code -> a pattern that the codeContext of such an error matches where a server explains (feature)"""
    acknowledgement: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    """field of an HL7 v2 acknowledgement -> a pattern that it holds"""
    dimse: DimseOutcome = field(default_factory=DimseOutcome)
    packaging: str = ""
    media_type: str = ""
    """of the answer to a GET"""
    part_type: str = ""
    """media type of each part of it"""
    text: tuple[str, ...] = ()
    """patterns that its body holds"""
    headers: Mapping[str, str] = field(default_factory=dict)
    """HTTP header -> a pattern that it holds"""
    documents: int | None = None
    delivered: tuple[Delivered, ...] = ()
    decisions: tuple[Decided, ...] = ()
    """all of an answer of ITI-79, which is then looked at as such"""
    xpath: tuple[Assertion, ...] = ()
    capture: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One exchange."""

    name: str
    kind: Kind
    actor: str
    packaging: str
    request: str
    action: str
    expect: Expectation
    envelope: str = "envelope.xml"
    message_id: str = ""
    """empty: a fresh one"""
    values: Mapping[str, str] = field(default_factory=dict)
    slots: Sequence[Sequence[str]] = ()
    change: Sequence[Mapping[str, Any]] = ()
    parts: tuple[Part, ...] = ()
    mtom: Mtom = field(default_factory=Mtom)
    http: Http = field(default_factory=Http)
    mllp: Mllp = field(default_factory=Mllp)
    dimse: Dimse = field(default_factory=Dimse)
    wait: float = 0.0
    """seconds to wait before it, where times are to differ"""
    token: Token = field(default_factory=Token)
    node: bool | None = None
    """shows a node's certificate, or does not; None: as is usual of the transaction"""


@dataclass(frozen=True)
class Case:
    """A numbered case."""

    name: str
    title: str
    clause: str
    scope: str
    needs: frozenset[str]
    feed: bool
    folder: Path
    documents: Mapping[str, Document]
    values: Mapping[str, str]
    steps: tuple[Step, ...]
    plan: bool = False
    """a test plan of the public toolkit, played as plans are"""
    unmapped: tuple[str, ...] = ()
    """what a plan asks for and nothing here can do"""

    @property
    def number(self) -> str:
        """Its four digits."""
        return self.name[:4]

    @property
    def actors(self) -> frozenset[str]:
        """Whom its steps speak to."""
        return frozenset(step.actor for step in self.steps)

    @property
    def transactions(self) -> tuple[str, ...]:
        """The transactions of its steps, each once, in order."""
        return tuple(dict.fromkeys(step.kind.name for step in self.steps))
