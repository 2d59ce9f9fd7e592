"""Simulated peers: our own actors behind a layer of faults, a provider of assertions, a collector of audit records."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

import requests

from xdsi import app, validation
from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.findings import Report
from xdsi.domain.subject import Subject
from xdsi.settings import Settings, replaced
from xdsi.storage.exchange_recorder import ExchangeRecorder
from xdsi.transport.simulator import FaultLayer, LocalServer, Switches
from xdsi.transport.syslog_sink import SyslogSink
from xdsi.transport.wsgi import WsgiApp
from xdsi.validation.packaging import unpack
from xdsi.wire import simulated_faults as faults
from xdsi.wire import xml
from xdsi.wire.jwt_issue import issue_token, key_set
from xdsi.wire.saml_issue import issue_assertion
from xdsi.wire.simulated_faults import Fault, HttpMessage

SERVERS: Final = {
    "registry": ("registry", "identity"),
    "repository": ("registry", "repository", "identity"),
    "imaging-source": ("imaging-source",),
}
"""simulated actor -> the actors that run; a repository has a registry beside it"""
CLIENTS: Final = ("document-source", "document-consumer", "imaging-consumer")
ACTORS: Final = (*SERVERS, *CLIENTS, "assertion-provider", "audit-collector")


class Running(Protocol):
    """A simulated server."""

    port: int

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


def faults_of(actor: str) -> Mapping[str, Fault]:
    """The faults that an actor can commit."""
    if actor in SERVERS:
        return faults.ANSWERS
    if actor in CLIENTS:
        return faults.REQUESTS
    return faults.ASSERTIONS if actor == "assertion-provider" else faults.AUDIT


def open_settings(settings: Settings, actor: str, data: Path, port: int, dicom: Path | None) -> Settings:
    """The open profile, on loopback, of one actor; what else the settings say stays."""
    settings = replaced(settings, "domain", profile="open", accept_unknown_patients=True)
    settings = replaced(settings, "consent", enforce=False)
    settings = replaced(
        settings, "server", actors=SERVERS[actor], address="127.0.0.1", port=port, data_dir=data, mllp_port=0
    )
    if dicom is not None:
        settings = replaced(settings, "imaging_source", pacs=f"folder:{dicom.resolve()}")
    return settings


class SimulatedServer:
    """One of our own actors, with faults."""

    def __init__(self, settings: Settings, switches: Switches, recorder: ExchangeRecorder, *, delay: float) -> None:
        self._claim = app.prepare(settings)
        self._application = app.build(settings)
        layer = FaultLayer(self._application.wsgi, switches, recorder, delay=delay)
        self._server = LocalServer(layer, address=settings.server.address, port=settings.server.port)
        self.port = self._server.port

    def start(self) -> None:
        """Begin."""
        self._application.start_services()
        self._server.start()

    def stop(self) -> None:
        """End."""
        self._server.stop()
        self._application.close()


class AssertionProvider:
    """`GET /assertion?user=...&role=CODE^^OID&purpose=CODE^^OID&audience=...` gives an assertion, `/token` a JWT."""

    def __init__(self, switches: Switches, *, issuer: str, key: bytes, certificate: bytes, stranger: bytes) -> None:
        self._switches, self._issuer = switches, issuer
        self._key, self._certificate = key, certificate
        self._stranger_key, _, self._stranger_certificate = stranger.partition(b"\0")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO") == "/certificate":
            return _say(start_response, "200 OK", "application/x-pem-file", self._certificate)
        if environ.get("PATH_INFO") == "/keys":
            return _say(start_response, "200 OK", "application/jwk-set+json", key_set(self._certificate))
        if environ.get("PATH_INFO") not in ("/assertion", "/token"):
            return _say(
                start_response, "404 Not Found", "text/plain", b"there are /assertion, /token, /certificate, /keys\n"
            )
        as_token = environ["PATH_INFO"] == "/token"
        asked = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        try:
            issued = self._issue(asked, as_token=as_token)
        except ValueError as error:
            return _say(start_response, "400 Bad Request", "text/plain", f"{error}\n".encode())
        return _say(
            start_response, "200 OK", "application/jwt" if as_token else "application/samlassertion+xml", issued
        )

    def _issue(self, asked: Mapping[str, str], *, as_token: bool) -> bytes:
        on = self._switches.on
        user = asked.get("user", "simulated")
        subject = Subject(
            user_id=user,
            issuer="urn:simulated:unknown" if "wrong-issuer" in on else self._issuer,
            assertion_id="",
            user_name=asked.get("name", user),
            organization=asked.get("organization", "Simulated hospital"),
            organization_id=asked.get("organization_id", "urn:oid:2.999.5"),
            roles=() if "no-role" in on else (_code(asked.get("role", "112247003^^2.16.840.1.113883.6.96")),),
            purposes=(_code(asked.get("purpose", "TREAT^^2.16.840.1.113883.5.8")),),
        )
        moment = next((shift for name, shift in faults.MOMENTS.items() if name in on), timedelta())
        wrong = "wrong-key" in on
        audience = "urn:simulated:elsewhere" if "wrong-audience" in on else asked.get("audience", "urn:oid:2.999.1")
        key, certificate = self._key, self._certificate
        if wrong:
            key, certificate = self._stranger_key, self._stranger_certificate
        now = datetime.now(UTC) + moment
        lifetime = timedelta(days=1) if "long" in on else timedelta(minutes=5)
        if as_token:
            raw = issue_token(subject, audience=audience, key_pem=key, cert_pem=certificate, now=now, lifetime=lifetime)
        else:
            raw = issue_assertion(
                subject, audiences=[audience], key_pem=key, cert_pem=certificate, now=now, lifetime=lifetime
            )
        message = HttpMessage(200, (), raw)
        for name in ("altered", "unsigned"):
            apply = (faults.TOKENS if as_token else faults.ASSERTIONS)[name].apply
            message = apply(message) if name in on and apply is not None else message
        return message.body


def _code(text: str) -> Code:
    code, _, scheme = text.partition("^^")
    if not code or not scheme:
        raise ValueError(f"{text!r} is not CODE^^SCHEME")
    return Code(code, scheme)


def _say(start_response: Callable[..., Any], status: str, content_type: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


def assertion_provider(
    application: WsgiApp, switches: Switches, recorder: ExchangeRecorder, *, port: int, delay: float
) -> LocalServer:
    """The provider, behind the layer that records; of its faults that layer knows the slow one only."""
    return LocalServer(FaultLayer(application, switches, recorder, delay=delay), address="127.0.0.1", port=port)


def audit_collector(
    switches: Switches, recorder: ExchangeRecorder, told: Callable[[str, Report], None], *, port: int,
    tls: ssl.SSLContext | None, delay: float,
) -> SyslogSink:  # fmt: skip
    """Takes records, keeps and judges each, and tells what was found."""

    def take(raw: bytes, by: str) -> None:
        report = validation.validate(raw, key="audit")
        found = [f"{one.level} {one.rule}: {one.text}" for one in report.findings]
        recorder.record(raw, came=datetime.now(UTC), by=by, findings=found, faults=switches.on)
        told(by, report)

    return SyslogSink(take, switches, address="127.0.0.1", port=port, tls=tls, delay=delay)


def reported(answer: bytes) -> tuple[str, list[str]]:
    """The last word of the ebXML status that the body of an answer reports, such as Failure, empty without one; and
    its errors and warnings, or the reason of a SOAP fault.
    """
    try:
        root = xml.parse(unpack(answer).root)
    except MalformedMessage:
        return "", []
    errors = root.iterfind("{*}Body//{*}RegistryError")
    told = [f"{one.get('errorCode', '')}: {one.get('codeContext', '')}" for one in errors]
    told += [xml.content(one) for one in root.iterfind("{*}Body/{*}Fault/{*}Reason/{*}Text")]
    told = [" ".join(one.split()) for one in told]
    # The status is on the message itself, or in the rs:RegistryResponse of a retrieval's answer.
    for element in root.iterfind("{*}Body//*[@status]"):
        if element.tag.endswith(("RegistryResponse", "}AdhocQueryResponse")):
            return str(element.get("status")).rpartition(":")[2], told
    return "", told


class SimulatedClient:
    """Sends messages, with faults, and records what comes back."""

    def __init__(
        self, endpoint: str, switches: Switches, recorder: ExchangeRecorder, *, delay: float,
        verify: str | bool = True, certificate: tuple[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._endpoint, self._switches, self._recorder, self._delay = endpoint, switches, recorder, delay
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = verify
        self._session.cert = certificate

    def send(self, message: HttpMessage) -> tuple[str, bytes]:
        """Send one message: the status line and the body of the answer, or why there is none."""
        began = datetime.now(UTC)
        on = self._switches.on
        for name in on:
            apply = self._switches.known[name].apply
            message = apply(message) if apply is not None else message
        headers = dict(message.headers)
        data = self._slowly(message.body) if "slow" in on else message.body
        line = f"POST {urlsplit(self._endpoint).path or '/'} HTTP/1.1"
        try:
            answer = self._session.post(self._endpoint, data=data, headers=headers, timeout=120)
        except requests.RequestException as error:
            self._recorder.exchange(line, headers.items(), message.body, "", (), b"", began=began, faults=on)
            return f"no answer: {error}", b""
        status = f"HTTP/1.1 {answer.status_code} {answer.reason}"
        self._recorder.exchange(
            line, headers.items(), message.body, status, answer.headers.items(), answer.content, began=began, faults=on
        )
        return status, answer.content

    def _slowly(self, body: bytes) -> Iterable[bytes]:
        size = max(1, len(body) // 5)
        for at in range(0, len(body), size):
            time.sleep(self._delay / 5)
            yield body[at : at + size]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
