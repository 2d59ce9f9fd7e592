"""Runs cases against an endpoint and says what is not as expected; a black box that knows messages, not servers.

`load()` gives the cases, `run(case, endpoint)` the findings; no findings is a pass. README.md describes the format.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests

from . import answers, checks, messages, tokens
from .answers import Answer, BadAnswer
from .cases import FOLDER, kinds, known_values, load, load_case, shared
from .messages import HttpRequest
from .model import Case, Expectation, Step
from .templates import TemplateError, Values
from .tokens import Issuer

__all__ = ["FOLDER", "Case", "Endpoint", "Exchange", "Finding", "Issuer", "TemplateError", "load", "load_case", "run"]

PATHS = {
    "registry": "/services/registry",
    "repository": "/services/repository",
    "imaging-source": "/services/imaging-source",
    "identity": "/services/identity",
}
FEATURES = {
    "explains": "errors name the attribute or parameter that is wrong in their codeContext",
    "identity": "ITI-44 is served",
    "images": "the files of dicom/ are loaded in the imaging source",
    "open": "no assertion is asked for, and a security header is ignored",
    "reference-id": "the Reference ID option",
    "removal": "ITI-86 is served, and whoever sends the messages may remove documents",
    "repeats": "a message that is sent again, with the same MessageID and body, gets the answer of the first",
    "secured": "an identity assertion is asked for, and the runner can make such (--pki, or --issuer with its key)",
    "strict-patients": "only patients that a feed announced are accepted",
    "trace": "every answer carries the header Xdsi-Trace, and faults end with it",
}
USUAL = frozenset({"identity", "images", "reference-id"})
"""what a server has where nothing else is said"""
PRESETS = {"xdsi": frozenset(FEATURES) - {"secured", "strict-patients"}}
"""all that a product has, by its name; xdsi as its open profile is"""


@dataclass(frozen=True)
class Endpoint:
    """The server under test."""

    base_url: str
    paths: Mapping[str, str] = field(default_factory=dict)
    """actor -> path, or a whole URL, where it is not the usual one"""
    values: Mapping[str, str] = field(default_factory=dict)
    features: frozenset[str] = USUAL
    feed: bool = False
    """announce each patient by ITI-44 before it is first used"""
    security: str = ""
    """a wsse:Security header block for every message"""
    issuer: Issuer | None = None
    """who makes a fresh assertion for every message, where `security` is none"""
    certificate: tuple[str, str] | None = None
    """own certificate and key (PEM), for mutual TLS"""
    authorities: str | bool = True
    """file of the certificate authorities to trust, as requests has it"""
    timeout: float = 60.0

    def url(self, actor: str) -> str:
        """Where an actor answers."""
        path = {**PATHS, **self.paths}[actor]
        return path if "://" in path else self.base_url.rstrip("/") + path

    def unreachable(self) -> str:
        """Why nobody listens where the actors are; empty where one does."""
        why = ""
        for place in sorted({urlsplit(self.url(actor))[:2] for actor in PATHS}):
            parts = urlsplit("://".join(place))
            port = parts.port or (443 if parts.scheme == "https" else 80)
            try:
                socket.create_connection((parts.hostname or "", port), timeout=self.timeout).close()
            except OSError as error:
                why = f"{parts.geturl()} cannot be reached: {error.strerror or error}"
            else:
                return ""
        return why

    def lacks(self, case: Case) -> frozenset[str]:
        """What the case needs and this endpoint has not."""
        return case.needs - self.features

    def header(self, step: Step, values: Values) -> str:
        """The security header of a step's message."""
        if self.security or self.issuer is None:
            return self.security
        return tokens.header(step.token, self.issuer, shared("assertion.xml"), values)


@dataclass(frozen=True)
class Finding:
    """Something that is not as a case expects it."""

    step: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.step}: expected {self.expected}; found {self.found}"


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, for whoever observes a run."""

    case: Case
    step: Step
    request: HttpRequest
    answer: Answer


def run(case: Case, endpoint: Endpoint, *, observe: Callable[[Exchange], None] | None = None) -> tuple[Finding, ...]:
    """Play the steps of a case in order; ids are fresh each time, so that it can be repeated on a living system."""
    documents = {name: document.content for name, document in case.documents.items()}
    values = Values({**known_values(), **endpoint.values}, documents)
    values.given.update({name: text for name, text in case.values.items() if name not in endpoint.values})
    findings: list[Finding] = []
    fed: set[str] = set()
    with requests.Session() as session:
        session.trust_env = False
        session.cert = endpoint.certificate
        session.verify = endpoint.authorities
        for step in case.steps:
            before = dict(values.given)
            values.given.update(step.values)
            try:
                values.given["security"] = endpoint.header(step, values)
                request = messages.build(case, step, endpoint.url(step.actor), values)
                if endpoint.feed and case.feed:
                    findings.extend(_announce(case, endpoint, session, values, fed))
                findings.extend(_play(case, step, request, endpoint, session, values, observe))
            except TemplateError as error:
                if not findings:
                    raise
                findings.append(Finding(step.name, "the values of earlier steps", str(error)))
            made = {name: values.given[name] for name in step.expect.capture if name in values.given}
            values.given = {**before, **made}
    return tuple(findings)


def _play(
    case: Case,
    step: Step,
    request: HttpRequest,
    endpoint: Endpoint,
    session: requests.Session,
    values: Values,
    observe: Callable[[Exchange], None] | None,
) -> Iterator[Finding]:
    try:
        answer = _send(session, request, endpoint.timeout)
    except (requests.RequestException, BadAnswer) as error:
        yield Finding(step.name, "an answer", f"{type(error).__name__}: {error}")
        return
    if observe is not None:
        observe(Exchange(case, step, request, answer))
    # A server cannot relate a fault to a message that it could not read.
    readable = not (step.expect.fault or step.expect.refused)
    complaints = [
        *checks.every_answer(
            answer, step.kind, request.message_id, readable=readable, traced="trace" in endpoint.features
        ),
        *checks.expectation(answer, step.expect, values, explains="explains" in endpoint.features),
        *checks.captures(answer, step.expect, values, values.given.__setitem__),
    ]
    yield from (Finding(step.name, expected, found) for expected, found in complaints)


def _send(session: requests.Session, request: HttpRequest, timeout: float) -> Answer:
    body = iter([request.body]) if request.chunked else request.body
    with session.post(
        request.url, data=body, headers=request.headers, timeout=timeout, allow_redirects=False
    ) as response:
        return answers.read(response.status_code, response.headers, response.content)


def _announce(
    case: Case, endpoint: Endpoint, session: requests.Session, values: Values, fed: set[str]
) -> Iterator[Finding]:
    """Announce the patients that the coming request is the first to name."""
    kind = kinds()["ITI-44-add"]
    for name in values.patients():
        if name in fed:
            continue
        fed.add(name)
        step = Step(
            name=f"announce patient {name or 'one'}",
            kind=kind,
            actor=kind.actor,
            packaging=kind.packaging,
            request="patient-add.xml",
            action=kind.action,
            expect=Expectation(acknowledgement="CA"),
        )
        before = dict(values.given)
        values.given["patient_name"] = name
        request = messages.build(case, step, endpoint.url(step.actor), values)
        yield from _play(case, step, request, endpoint, session, values, None)
        values.given = before
