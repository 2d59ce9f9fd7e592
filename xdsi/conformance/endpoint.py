"""The system under test: where its actors answer, what it calls itself, what it has, how one speaks to it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from . import secrets, tokens
from .cases import shared
from .dimse import Entities
from .model import Case, Step
from .sending import MEBIBYTE, Limits, Session
from .templates import Values
from .tokens import Issuer
from .vocabulary import FEATURES, PATHS

MLLP_FEED = "identity-mllp"
"""the feed by HL7 v2, which has no path"""
MOVER = "image-mover"
"""the imaging source as DIMSE has it, which has no path, either"""
ANNOUNCING: Mapping[str, tuple[str, str]] = {
    "ITI-44": ("ITI-44-add", "patient-add.xml"),
    "ITI-8": ("ITI-8", "patient-a04.hl7"),
}
"""how a patient is announced: transaction and request"""
USUAL = frozenset({"identity", "images", "reference-id"})
"""what a server has where nothing else is said"""
PRESETS: Mapping[str, frozenset[str]] = {
    "xdsi": frozenset(FEATURES) - {"nodes", "permits", "published", "secured", "strict-patients", "tokens"}
}
"""all that a product has, by its name; xdsi as its open profile is"""


def features_of(names: Iterable[str]) -> frozenset[str]:
    """Features by name, a product's name standing for all that it has."""
    return frozenset().union(*(PRESETS.get(name, frozenset({name})) for name in names))


@dataclass(frozen=True)
class Endpoint:
    """The system under test."""

    base_url: str
    paths: Mapping[str, str] = field(default_factory=dict)
    """actor -> path, or a whole URL, where it is not the usual one"""
    values: Mapping[str, str] = field(default_factory=dict)
    features: frozenset[str] = USUAL
    feed: bool = False
    """announce each patient before it is first used"""
    feed_by: str = "ITI-44"
    """or ITI-8"""
    security: str = ""
    """a wsse:Security header block for every message"""
    issuer: Issuer | None = None
    """who makes a fresh assertion for every message, where `security` is none"""
    certificate: tuple[str, str] | None = None
    """own certificate and key (PEM), for mutual TLS"""
    node: tuple[str, str] | None = None
    """those of a node that may feed, submit and ask for decisions, where they are others than `certificate`"""
    authorities: str | bool = True
    """file of the certificate authorities to trust, as requests has it"""
    patients: list[str] | None = None
    """patients that the system knows (CX): each case takes fresh ones away from these, instead of making them up"""
    timeout: float = 60.0
    """seconds to wait for a connection, and for each further byte"""
    deadline: float = 300.0
    """seconds for a whole exchange"""
    largest_answer: int = 256 * MEBIBYTE
    """bytes of an answer, unpacked; a larger one is not read to its end"""
    mllp: str = ""
    """mllp://HOST:PORT or, with TLS, mllps://HOST:PORT of the feed by HL7 v2"""
    dimse: Entities | None = None
    """the imaging source as DIMSE has it, and the runner's own entity"""
    absent: Mapping[str, str] = field(default_factory=dict)
    """actors that do not answer, each with what was seen instead"""

    def __post_init__(self) -> None:
        for url in (self.base_url, *self.paths.values()):
            if "@" in urlsplit(url).netloc:
                raise ValueError(
                    f"{secrets.without_credentials(url)}: no user and password in a URL; they are not sent, and would "
                    "stand in reports"
                )

    def url(self, actor: str) -> str:
        """Where an actor answers."""
        if actor == MLLP_FEED:
            return self.mllp
        if actor == MOVER:
            return self.entities.url
        path = {**PATHS, **self.paths}[actor]
        return path if "://" in path else self.base_url.rstrip("/") + path

    @property
    def entities(self) -> Entities:
        """Who speaks to whom by DIMSE; ValueError where that is not known."""
        if self.dimse is None:
            raise ValueError("no address is known of the imaging source by DIMSE (--dimse)")
        return self.dimse

    @property
    def limits(self) -> Limits:
        """What an exchange may take."""
        return Limits(self.timeout, self.deadline, self.largest_answer)

    def session(self) -> Session:
        """A connection with the endpoint's certificates."""
        session = Session()
        session.cert = self.certificate
        session.verify = self.authorities
        return session

    def lacks(self, case: Case) -> frozenset[str]:
        """The features that the case needs and this endpoint has not."""
        return case.needs - self.features

    def obstacles(self, case: Case) -> tuple[str, ...]:
        """Why the case cannot be played here; empty where it can."""
        lacking = [f"needs {name}: {FEATURES.get(name, 'a feature')}" for name in sorted(self.lacks(case))]
        absent = dict(self.absent)
        if not self.mllp:
            absent[MLLP_FEED] = "no address is known of it (--mllp)"
        if self.dimse is None:
            absent[MOVER] = "no address is known of it (--dimse)"
        actors = [f"needs the actor {name}: {absent[name]}" for name in sorted(case.actors) if name in absent]
        announcing = MLLP_FEED if self.feed_by == "ITI-8" else "identity"
        if self.feed and case.feed and announcing in absent:
            actors.append(f"needs the actor {announcing}, to announce its patients")
        return (*lacking, *actors)

    def header(self, step: Step, values: Values) -> str:
        """The security header of a step's message."""
        if self.security or self.issuer is None:
            return self.security
        return tokens.header(step.token, self.issuer, shared("assertion.xml"), values)

    def shown_by(self, step: Step) -> tuple[str, str] | None:
        """The certificate that a step's connection shows: a node's own for what a node says of itself."""
        as_node = step.kind.node if step.node is None else step.node
        return self.node if self.node is not None and as_node else self.certificate

    def authorization(self, step: Step, values: Values) -> str:
        """The Authorization header of a step that is a GET; empty where it has none."""
        if self.issuer is None or not step.token.copies:
            return ""
        if step.token.form == "jwt":
            return "Bearer " + tokens.access_token(step.token, self.issuer, values)
        assertion = tokens.alone(step.token, self.issuer, shared("assertion.xml"), values)
        return "IHE-SAML " + base64.b64encode(assertion.encode()).decode()


def at(url: str, actor: str = "") -> tuple[str, dict[str, str], dict[str, str]]:
    """What one URL says of an endpoint: base URL, paths, and actors nobody gave a place to.

    A URL without a path is that of a whole system, with the usual paths. One with a path is that of the one actor.
    """
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    if not actor or (parts.path in ("", "/") and not parts.query):
        return url, {}, {}
    unknown = {name: f"no URL is known of it (--path {name}=URL)" for name in PATHS if name != actor}
    return base, {actor: url}, unknown
