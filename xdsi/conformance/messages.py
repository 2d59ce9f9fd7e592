"""From a step to the HTTP request: envelope, MTOM packaging (XOP 1.0, RFC 2387), and what is unusual about it."""

from __future__ import annotations

import base64
import gzip
import uuid
from dataclasses import dataclass

from .cases import request_of, shared
from .model import REST, Case, Part, Step
from .templates import Values, change, render, slots

SOAP_TYPE = "application/soap+xml; charset=UTF-8"


@dataclass(frozen=True)
class HttpRequest:
    """What goes over the wire."""

    url: str
    headers: dict[str, str]
    body: bytes
    chunked: bool
    message_id: str
    envelope: bytes
    """what the body carries, before anything was done to it"""
    method: str = "POST"


def build(case: Case, step: Step, url: str, values: Values) -> HttpRequest:
    """The request of one step; fresh MessageID and boundary each time."""
    if step.packaging == REST:
        headers = {name: values.expand(text, xml=False) for name, text in step.http.headers.items()}
        address = url + values.expand(step.http.path, xml=False)
        return HttpRequest(address, headers, b"", chunked=False, message_id="", envelope=b"", method="GET")
    message_id = values.expand(step.message_id, xml=False) or uuid.uuid4().urn
    boundary = f"MIMEBoundary_{uuid.uuid4().hex}"
    root_id = f"root.{uuid.uuid4().hex}@conformance.example"
    values.given.update(
        {"to": url, "action": step.action, "message_id": message_id, "boundary": boundary, "root_id": root_id}
    )
    values.given["slots"] = slots(step.slots, values)
    message = _envelope(case, step, values) if step.request else b""
    if step.http.body:
        content_type = SOAP_TYPE
        values.given["message"] = message.decode()
        text = render(request_of(case, step.http.body), shared, values)
        body = text.replace("\r\n", "\n").replace("\n", "\r\n").encode()
    elif step.packaging == "mtom":
        content_type = (
            f'multipart/related; type="application/xop+xml"; start="{step.mtom.start or f"<{root_id}>"}"; '
            f'start-info="application/soap+xml"; boundary="{boundary}"; action="{step.action}"'
        )
        body = _multipart(step, message, boundary, root_id, values)
    else:
        content_type, body = SOAP_TYPE, message
    headers = {"Content-Type": content_type}
    if step.http.content_type:
        headers["Content-Type"] = values.expand(step.http.content_type, xml=False)
    headers.update({name: values.expand(text, xml=False) for name, text in step.http.headers.items()})
    if step.http.gzip:
        body = gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
    if step.http.truncate:
        body = body[: -step.http.truncate]
    return HttpRequest(url, headers, body, chunked=step.http.chunked, message_id=message_id, envelope=message)


def _envelope(case: Case, step: Step, values: Values) -> bytes:
    body = render(request_of(case, step.request), shared, values)
    if step.change:
        body = change(body, step.change, values)
    if step.envelope == "none":
        return body.encode(step.http.encoding)
    values.given["body"] = body
    return render(request_of(case, step.envelope), shared, values).encode(step.http.encoding)


def _multipart(step: Step, message: bytes, boundary: str, root_id: str, values: Values) -> bytes:
    root = (
        'Content-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\n'
        f"Content-Transfer-Encoding: binary\r\nContent-ID: <{root_id}>\r\n\r\n"
    ).encode() + message
    parts = [_part(part, values) for part in step.parts]
    ordered = [*parts, root] if step.mtom.root == "last" else [root, *parts]
    line = f"--{boundary}\r\n".encode()
    return b"".join(line + part + b"\r\n" for part in ordered) + f"--{boundary}--\r\n".encode()


def _part(part: Part, values: Values) -> bytes:
    content = values.document(part.document)
    if part.encoding == "base64":
        content = base64.encodebytes(content).replace(b"\n", b"\r\n")
    content_id = values.expand(part.content_id or f"<${{cid:{part.document}}}>", xml=False)
    head = (
        f"Content-Type: {part.type or 'application/octet-stream'}\r\n"
        f"Content-Transfer-Encoding: {part.encoding}\r\nContent-ID: {content_id}\r\n\r\n"
    )
    return head.encode() + content
