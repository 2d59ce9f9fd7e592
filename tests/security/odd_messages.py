"""SOAP messages whose bytes are odd: paths, headers given twice, several messages in one, assertions in other places.

Each asks for a manifest by ITI-43, and says whether somebody who may see it gets it that way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.security.asking import REPOSITORY, SOAP12
from tests.security.targets import Target
from xdsi.domain.retrieval import DocumentRequest, RetrieveRequest
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.wire import soap
from xdsi.wire.message import Packaging

ACTION = iti43.TRANSACTION.trigger
PATH = "/services/repository"
SOAP12_NS = b"http://www.w3.org/2003/05/soap-envelope"


@dataclass(frozen=True)
class Credentials:
    """Who asks: a wsse:Security header, and a token."""

    security: bytes
    token: str


Build = Callable[[Target, Credentials], bytes]


def wanted(*unique_ids: str) -> bytes:
    """The element of ITI-43."""
    asked = tuple(DocumentRequest("", REPOSITORY, one) for one in unique_ids)
    return b"".join(iti43.TRANSACTION.request.encode(RetrieveRequest(asked), Packaging.SIMPLE).body)


def http(
    body: bytes, *, path: str = PATH, method: str = "POST", kind: str = SOAP12, more: str = "", length: bool = True
) -> bytes:
    """The bytes around a message."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += f"Content-Type: {kind}\r\n" if kind else ""
    head += f"Content-Length: {len(body)}\r\n" if length else ""
    return f"{head}{more}Connection: close\r\n\r\n".encode() + body


def message(it: Target, by: Credentials, *, action: str = ACTION, body: bytes = b"") -> bytes:
    return b"".join(soap.write_envelope(action, body or wanted(it.unique_id), security=by.security))


def over(**odd: str) -> Build:
    """The message as it is, with something odd around it."""
    return lambda it, by: http(message(it, by), **odd)  # type: ignore[arg-type]


def chunked(*, extension: str = "", trailer: str = "", header: str = "") -> Build:
    def build(it: Target, by: Credentials) -> bytes:
        body = message(it, by)
        head = http(b"", more=f"Transfer-Encoding: chunked\r\n{header}", length=False)
        end = trailer.replace("{t}", by.token)
        return head + f"{len(body):x}{extension}\r\n".encode() + body + f"\r\n0\r\n{end}\r\n".encode()

    return build


def without_assertion(more: str) -> Build:
    """The token of a REST path in the place of an assertion."""

    def build(it: Target, by: Credentials) -> bytes:
        return http(message(it, Credentials(b"", "")), more=more.replace("{t}", by.token))

    return build


def changed(old: bytes, new: bytes) -> Build:
    """Other bytes within the message."""

    def build(it: Target, by: Credentials) -> bytes:
        whole = message(it, by)
        assert old in whole
        return http(whole.replace(old, new))

    return build


def _two_messages(it: Target, by: Credentials) -> bytes:
    return http(message(it, by, body=wanted("1.2.3")) + message(it, by))


def _two_bodies(it: Target, by: Credentials) -> bytes:
    whole = message(it, by, body=wanted("1.2.3"))
    start = whole.rindex(b"<", 0, whole.index(b":Body") + 1)
    prefix = whole[start + 1 : whole.index(b":Body")]
    second = b"<" + prefix + b":Body>" + wanted(it.unique_id) + b"</" + prefix + b":Body>"
    return http(whole[:start] + second + whole[start:])


def _request_in_the_header(it: Target, by: Credentials) -> bytes:
    whole = message(it, by, body=wanted("1.2.3"))
    end = whole.index(b":Header>", whole.index(b"</", whole.index(b":Header")))
    end = whole.rindex(b"</", 0, end)
    return http(whole[:end] + wanted(it.unique_id) + whole[end:])


def _several_requests(it: Target, by: Credentials) -> bytes:
    return http(message(it, by, body=wanted("1.2.3") + wanted(it.unique_id)))


def _pipelined(it: Target, by: Credentials) -> bytes:
    """The assertion of the first message is not that of the second."""
    first = http(message(it, by, body=wanted("1.2.3"))).replace(b"Connection: close\r\n", b"")
    return first + http(message(it, Credentials(b"", "")))


def _two_security_headers(it: Target, by: Credentials) -> bytes:
    return http(message(it, Credentials(by.security + by.security, "")))


def _parts(it: Target, by: Credentials, *, start: str) -> bytes:
    """Two messages in a multipart; which of them counts is said by `start`."""
    other, own = message(it, by, body=wanted("1.2.3")), message(it, by)
    parts = b"".join(
        b'--b\r\nContent-Type: application/xop+xml; type="application/soap+xml"\r\nContent-ID: <%s>\r\n\r\n%s\r\n'
        % (name, part)
        for name, part in ((b"one", other), (b"two", own))
    )
    kind = f'multipart/related; type="application/xop+xml"; boundary=b; {start}start-info="application/soap+xml"'
    return http(parts + b"--b--\r\n", kind=kind)


SOAP: dict[str, tuple[Build, bool]] = {
    "as it is meant": (over(), True),
    "a slash behind the path": (over(path=PATH + "/"), True),
    "two slashes behind the path": (over(path=PATH + "//"), True),
    "two slashes before the path": (over(path="/" + PATH), False),
    "two slashes within the path": (over(path="/services//repository"), False),
    "upper case": (over(path="/services/Repository"), False),
    "matrix parameters": (over(path=PATH + ";a=b"), False),
    "a letter in percent": (over(path="/services/%72epository"), True),
    "a question for the WSDL": (over(path=PATH + "?wsdl"), True),
    "another actor's path": (over(path="/services/registry"), False),
    "an actor that is not served": (over(path="/services/responding-gateway"), False),
    "an address of its own": (over(path="https://127.0.0.1" + PATH), True),
    "PUT": (over(method="PUT"), False),
    "GET with a body": (over(method="GET"), False),
    "an unknown method": (over(method="RETRIEVE"), False),
    "two SOAPActions": (over(more='SOAPAction: "urn:a"\r\nSOAPAction: "urn:b"\r\n'), True),
    "two kinds of content": (over(more="Content-Type: text/plain\r\n"), False),
    "two kinds of content, the right one last": (over(kind="text/plain", more=f"Content-Type: {SOAP12}\r\n"), False),
    "another action beside it": (over(kind=f'{SOAP12}; action="urn:ihe:iti:2007:RegistryStoredQuery"'), True),
    "no kind of content": (over(kind=""), False),
    "UTF-7": (over(kind="application/soap+xml; charset=UTF-7"), True),
    "UTF-16 that is none": (over(kind="application/soap+xml; charset=UTF-16"), True),
    "compressed by name": (over(more="Content-Encoding: gzip\r\n"), False),
    "identity": (over(more="Content-Encoding: identity\r\n"), True),
    "awaited": (over(more="Expect: 100-continue\r\n"), True),
    "awaited otherwise": (over(more="Expect: 200-ok\r\n"), False),
    "chunks": (chunked(), True),
    "chunks with extensions": (chunked(extension=";a=b;c"), True),
    "chunks with a trailer": (chunked(trailer="Authorization: Bearer {t}\r\n"), False),
    "chunks with a line end in an extension": (chunked(extension=";\nGET /health/live HTTP/1.1"), False),
    "a token instead of an assertion": (without_assertion("Authorization: Bearer {t}\r\n"), False),
    "a token in a cookie": (without_assertion("Cookie: token={t}\r\n"), False),
    "no assertion": (without_assertion(""), False),
    "a token beside the assertion": (over(more="Authorization: Bearer x\r\n"), True),
    "two messages in one": (_two_messages, False),
    "two bodies": (_two_bodies, False),
    "the request in the header": (_request_in_the_header, False),
    "several requests, one of nothing": (_several_requests, True),
    "the assertion of the message before": (_pipelined, False),
    "two headers of security": (_two_security_headers, False),
    "parts that start with the other": (lambda it, by: _parts(it, by, start='start="<one>"; '), False),
    "parts that start with this": (lambda it, by: _parts(it, by, start='start="<two>"; '), False),
    "parts without a start": (lambda it, by: _parts(it, by, start=""), False),
    "parts with two starts": (lambda it, by: _parts(it, by, start='start="<one>"; start="<two>"; '), False),
    "SOAP 1.1": (changed(SOAP12_NS, b"http://schemas.xmlsoap.org/soap/envelope/"), False),
    "an action in capitals": (changed(ACTION.encode(), ACTION.upper().encode()), False),
    "an action with a space": (changed(ACTION.encode(), b" " + ACTION.encode() + b" "), True),
    "a repository in other digits": (changed(REPOSITORY.encode(), "٢.999.1.2".encode()), False),
}  # fmt: skip
"""name -> the message, and whether it arrives where the document may be seen"""
