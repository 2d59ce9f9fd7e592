"""The SOAP 1.2 client: zeep, boxed.

WSDL, operation, addressing headers and connections are zeep's; bodies are encoded by our codecs and handed through as
bytes, and answers are taken apart while they arrive, because zeep can neither write MTOM nor stream. Nothing else
imports zeep.
"""

from __future__ import annotations

import functools
import secrets
import ssl
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import certifi
import urllib3
from lxml import etree
from urllib3 import exceptions as http
from urllib3.util import parse_url
from zeep import Client, Settings
from zeep.plugins import apply_egress
from zeep.transports import Transport
from zeep.wsa import WsAddressingPlugin

from xdsi.domain.computing import give_turn_back
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.packaged import resources
from xdsi.domain.ports import Spool
from xdsi.domain.submission import Document
from xdsi.exchange import Reply, Transaction
from xdsi.spec import namespaces as ns
from xdsi.transport.http_kept import Connections, TlsConnections
from xdsi.transport.pace import Pace, in_pieces
from xdsi.transport.soap_request import whole
from xdsi.wire import mtom, soap
from xdsi.wire.message import Message, Packaging, Payload
from xdsi.wire.xml import E

READ_SIZE = 256 * 1024
_KEPT = 32
"""connections: as many as there may be threads"""
REPLY_LIMIT = 256 * 1024 * 1024
"""bytes of an answer's envelope: 10,000 DocumentEntries stay below it"""
_NEVER_CONNECTED = (http.ConnectTimeoutError, http.NewConnectionError, http.SSLError)
"""by which nothing of the request can have reached the other end"""


class _NoNetwork(Transport):
    """WSDL and schemas are files of the package; nothing is fetched."""

    def load(self, url: str) -> bytes:
        """Read a local file."""
        if url.startswith(("http://", "https://", "ftp://")):
            raise OSError(f"{url}: descriptions are not fetched")
        content: bytes = super().load(url)
        return content


@functools.cache
def _described(wsdl: str) -> Client:
    """zeep's client of one WSDL file; it takes 50 ms to make, so one serves all."""
    settings = Settings(strict=False, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    path = resources("wsdl") / f"{wsdl}.wsdl"
    return Client(str(path), transport=_NoNetwork(), settings=settings, plugins=[WsAddressingPlugin()])


def _operation(client: Client, action: str) -> tuple[Any, Any]:
    for binding in client.wsdl.bindings.values():
        for operation in binding.all().values():
            if operation.abstract.wsa_action == action or operation.soapaction == action:
                return binding, operation
    raise LookupError(f"no operation with action {action}")


@functools.lru_cache(maxsize=256)
def _around(action: str, wsdl: str, url: str) -> tuple[bytes, bytes, bytes]:
    """What zeep writes around a message of this operation: before its id, after it in the header, after its body."""
    client = _described(wsdl)
    _, operation = _operation(client, action)
    envelope = etree.Element(E(ns.SOAP, "Envelope"), nsmap={"soap": ns.SOAP, "wsa": ns.WSA})
    etree.SubElement(envelope, E(ns.SOAP, "Header"))
    envelope, _ = apply_egress(client, envelope, {}, operation, {"address": url})
    header = envelope[0]
    mark = secrets.token_hex(16)
    for block in header:
        if block.tag == E(ns.WSA, "Action"):
            block.set(E(ns.SOAP, "mustUnderstand"), "1")
        elif block.tag == E(ns.WSA, "MessageID"):
            block.text = mark
    reply_to = etree.SubElement(header, E(ns.WSA, "ReplyTo"))
    etree.SubElement(reply_to, E(ns.WSA, "Address")).text = ns.WSA_ANONYMOUS
    opening, _, closing = etree.tostring(envelope, encoding="UTF-8").partition(b"</soap:Header>")
    before, _, after = opening.partition(mark.encode())
    return before, after, closing


_OF_CERTIFICATE_OR_LIST = ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "TLSV1_ALERT_UNKNOWN_CA")


class SoapClient:
    """Calls transactions at one endpoint. Threads may share it; connections are kept, redirects are not followed."""

    def __init__(
        self,
        url: str,
        *,
        make_spool: Callable[[], Spool],
        tls: ssl.SSLContext | None = None,
        tls_files: str = "",
        connect_seconds: float = 5.0,
        read_seconds: float = 60.0,
        minimum_rate: float = 1000.0,
    ) -> None:
        """`minimum_rate`: bytes a second that an answer has to come at, `read_seconds` apart."""
        self.url = url
        self._tls_files = tls_files or "trusted are the authorities of the public web, for want of settings"
        self._make_spool = make_spool
        self._timeout = urllib3.Timeout(connect=connect_seconds, read=read_seconds)
        self._read_seconds = read_seconds
        self._minimum_rate = minimum_rate
        self._tls = tls

    @functools.cached_property
    def _connections(self) -> tuple[urllib3.HTTPConnectionPool, str]:
        """The connections to the endpoint, and the path that is asked for.

        Neither proxies nor authorities of the environment have a say: they are for the world, not for nodes.
        """
        url = parse_url(self.url)
        host = (url.host or "").strip("[]")
        if url.scheme != "https":
            return Connections(host, url.port, maxsize=_KEPT), url.request_uri
        tls = self._tls or ssl.create_default_context(cafile=certifi.where())
        return TlsConnections(host, url.port, maxsize=_KEPT, ssl_context=tls), url.request_uri

    def send(
        self, transaction: Transaction[Any, Any], payload: Payload, packaging: Packaging, security: bytes = b""
    ) -> Reply:
        """Send one request and return its answer.

        A question whose connection ended unanswered is asked once more; what may change something never is. Raises
        Unavailable when the endpoint cannot be reached or is too slow, SoapFault for a fault, MalformedMessage for an
        answer that is not one. The caller closes the reply's spool.
        """
        message_id = f"urn:uuid:{uuid.uuid4()}"
        pieces = self._envelope(transaction, payload.body, message_id, security)
        headers = {"Accept": "multipart/related, application/soap+xml"}
        data: Iterable[bytes] | bytes
        if (payload.packaging or packaging) is Packaging.MTOM:
            writer = mtom.MultipartWriter(action=transaction.trigger)
            headers["Content-Type"] = writer.content_type
            data = writer.message(pieces, payload.attachments)
            if not payload.attachments:
                data = b"".join(data)
        else:
            headers["Content-Type"] = f'{soap.CONTENT_TYPE}; action="{transaction.trigger}"'
            data = b"".join(pieces)
        try:
            try:
                response = self._ask(data, headers)
            except http.ProtocolError:
                # A kept connection may have ended at the other end, where its certificates are others now. Who only
                # asks does so once more.
                if transaction.writes or transaction.changes or not isinstance(data, bytes):
                    raise
                response = self._ask(data, headers)
        except http.HTTPError as error:
            raise Unavailable(self._unanswered(error), uncertain=not isinstance(error, _NEVER_CONNECTED)) from error
        spool = self._make_spool()
        try:
            with response:
                reply = self._read(response, spool)
        except (http.HTTPError, OSError) as error:
            spool.close()
            raise Unavailable(f"{self.url} broke off its answer: {_reason(error)}", uncertain=True) from error
        except BaseException:
            spool.close()
            raise
        return reply

    def _ask(self, data: Iterable[bytes] | bytes, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        connections, path = self._connections
        give_turn_back()
        return connections.urlopen(
            "POST", path, body=data, headers=headers, timeout=self._timeout, retries=False, redirect=False,
            preload_content=False, decode_content=False,
        )  # fmt: skip

    def _unanswered(self, error: http.HTTPError) -> str:
        """Why there is no answer; where TLS is why, with the files that it was tried with."""
        failure = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
        if failure is None:
            return f"{self.url} cannot be reached: {_reason(error)}"
        if isinstance(failure, ssl.SSLCertVerificationError):
            return f"{self.url}: its certificate is not trusted: {failure.verify_message}; {self._tls_files}"
        if failure.reason == "WRONG_VERSION_NUMBER":
            return f"{self.url}: what answers there does not speak TLS: {failure}"
        # The other end says of its own lists what it says of our certificate.
        ours = failure.reason in _OF_CERTIFICATE_OR_LIST
        hint = "; the revocation list that is kept there of its authority may have ended or be missing" if ours else ""
        return f"{self.url}: TLS failed, a certificate may not be welcome there: {failure}{hint}; {self._tls_files}"

    def _envelope(
        self, transaction: Transaction[Any, Any], body: Iterable[bytes], message_id: str, security: bytes
    ) -> Iterator[bytes]:
        """zeep makes the header from the WSDL; the security header and the body go in as bytes, untouched."""
        before, after, closing = _around(transaction.trigger, _wsdl_name(transaction), self.url)
        yield before + message_id.encode() + after + security + b"</soap:Header><soap:Body>"
        yield from body
        yield b"</soap:Body>" + closing

    def _read(self, response: urllib3.BaseHTTPResponse, spool: Spool) -> Reply:
        content_type = response.headers.get("Content-Type", "")
        media_type, _ = mtom.parse_content_type(content_type)
        trace = response.headers.get("Xdsi-Trace", "")
        pace = Pace(self._read_seconds, self._minimum_rate)
        chunks = in_pieces(lambda size: response.read1(size, decode_content=False), pace, READ_SIZE)
        if 300 <= response.status < 400:
            # What was meant for this endpoint may not be for another one.
            raise MalformedMessage(f"HTTP status {response.status}, a redirect, is not followed", location=self.url)
        if media_type == "multipart/related":
            raw, parts = _multipart(content_type, chunks, spool)
        elif media_type in ("application/soap+xml", "text/xml"):
            raw, parts = whole(chunks, REPLY_LIMIT), {}
        else:
            raise MalformedMessage(
                f"answer with HTTP status {response.status} and Content-Type {media_type!r}",
                location=self.url,
                expected="application/soap+xml or multipart/related",
            )
        envelope = soap.read_reply(raw, limit=REPLY_LIMIT, huge=True)
        if response.status >= 400:
            raise SoapFault("Receiver", f"HTTP status {response.status} without a fault")
        return Reply(Message(envelope.body, parts), spool, trace)


def _multipart(content_type: str, chunks: Iterable[bytes], spool: Spool) -> tuple[bytes, dict[str, Document]]:
    limits = mtom.MultipartLimits(parts=20_000, root=64 * 1024 * 1024, part=16 * 1024**3, message=64 * 1024**3)
    reader = mtom.MultipartReader(content_type, limits)
    root = bytearray()
    parts: dict[str, Document] = {}
    part: Any = None
    name = ""

    def take(events: Iterable[Any]) -> None:
        nonlocal part, name
        for event in events:
            if isinstance(event, mtom.PartStart):
                name = event.content_id
                part = root if event.is_root else spool.part()
            elif isinstance(event, mtom.PartData):
                if part is root:
                    root.extend(event.data)
                else:
                    part.write(event.data)
            elif part is not root:
                parts[name] = part.finish()

    for chunk in chunks:
        take(reader.feed(chunk))
    take(reader.close())
    return bytes(root), parts


def _wsdl_name(transaction: Transaction[Any, Any]) -> str:
    number = {"RAD-68": "ITI-41"}.get(transaction.number, transaction.number)
    return number.replace("-", "").lower()


def _reason(error: BaseException) -> str:
    """The innermost cause, without the library's nesting."""
    *_, cause = _causes(error)
    return str(cause) or type(cause).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came of, innermost last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        # urllib3 wraps some errors as arguments.
        wrapped = next((one for one in cause.args if isinstance(one, BaseException)), None)
        cause = cause.__cause__ or cause.__context__ or wrapped
