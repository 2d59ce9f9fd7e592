"""The transport of a plan's messages: SOAP 1.2 with WS-Addressing, MTOM where documents go out or come back."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from lxml import etree

from ..messages import HttpRequest
from ..model import Kind
from ..templates import NAMESPACES
from ..xml import parse

_SOAP, _WSA, _XDS, _XOP = (NAMESPACES[name] for name in ("soap", "wsa", "xds", "xop"))
_ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"


def provide(submission: etree._Element, documents: Mapping[str, bytes]) -> tuple[etree._Element, dict[str, bytes]]:
    """A ProvideAndRegisterDocumentSetRequest of a submission: the element, and the parts it includes by Content-ID."""
    root = etree.Element(f"{{{_XDS}}}ProvideAndRegisterDocumentSetRequest", nsmap={"xds": _XDS})
    root.append(submission)
    parts = {}
    for id_, content in documents.items():
        content_id = f"{uuid.uuid4().hex}@plan.example"
        parts[content_id] = content
        document = etree.SubElement(root, f"{{{_XDS}}}Document", {"id": id_})
        etree.SubElement(document, f"{{{_XOP}}}Include", {"href": f"cid:{content_id}"})
    return root, parts


def message(kind: Kind, url: str, body: etree._Element, parts: Mapping[str, bytes], security: str) -> HttpRequest:
    """The message of a transaction, with this security header."""
    message_id = uuid.uuid4().urn
    envelope = message = _envelope(url, kind.action, message_id, body, security)
    content_type = f'application/soap+xml; charset=UTF-8; action="{kind.action}"'
    if kind.packaging == "mtom":
        content_type, message = _multipart(message, parts, kind.action)
    headers = {"Content-Type": content_type}
    return HttpRequest(url, headers, message, chunked=False, message_id=message_id, envelope=envelope)


def _envelope(url: str, action: str, message_id: str, body: etree._Element, security: str) -> bytes:
    envelope = etree.Element(f"{{{_SOAP}}}Envelope", nsmap={"soap": _SOAP, "wsa": _WSA})
    header = etree.SubElement(envelope, f"{{{_SOAP}}}Header")
    for name, text in (("To", url), ("MessageID", message_id), ("Action", action)):
        etree.SubElement(header, f"{{{_WSA}}}{name}").text = text
    etree.SubElement(etree.SubElement(header, f"{{{_WSA}}}ReplyTo"), f"{{{_WSA}}}Address").text = _ANONYMOUS
    if security:
        header.append(parse(security))
    etree.SubElement(envelope, f"{{{_SOAP}}}Body").append(body)
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def _multipart(message: bytes, parts: Mapping[str, bytes], action: str) -> tuple[str, bytes]:
    boundary, root_id = f"plan_{uuid.uuid4().hex}", f"root.{uuid.uuid4().hex}@plan.example"
    line = f"--{boundary}\r\n".encode()

    def part(content_type: str, content_id: str, content: bytes) -> bytes:
        head = (
            f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{content_id}>\r\n\r\n"
        )
        return line + head.encode() + content + b"\r\n"

    body = part('application/xop+xml; charset=UTF-8; type="application/soap+xml"', root_id, message)
    body += b"".join(part("application/octet-stream", id_, content) for id_, content in parts.items())
    content_type = (
        f'multipart/related; type="application/xop+xml"; start="<{root_id}>"; '
        f'start-info="application/soap+xml"; boundary="{boundary}"; action="{action}"'
    )
    return content_type, body + f"--{boundary}--\r\n".encode()
