"""SOAP 1.2 envelopes with WS-Addressing headers, and faults.

SOAP 1.2 part 1 sections 2 and 5, WS-Addressing 1.0 SOAP binding; ITI TF-2 Appendix V.3. Only the synchronous exchange
is spoken: an answer goes nowhere but back on the connection of its request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from lxml import etree

from xdsi.domain.errors import MalformedMessage, SoapFault
from xdsi.spec.namespaces import SOAP, WSA, WSA_ANONYMOUS, WSSE
from xdsi.wire import xml
from xdsi.wire.xml import E

CONTENT_TYPE = "application/soap+xml; charset=UTF-8"

_ENVELOPE, _HEADER, _BODY, _FAULT = (E(SOAP, name) for name in ("Envelope", "Header", "Body", "Fault"))
_MUST_UNDERSTAND, _ROLE = E(SOAP, "mustUnderstand"), E(SOAP, "role")
_SECURITY = E(WSSE, "Security")
_LANG = E("http://www.w3.org/XML/1998/namespace", "lang")
_OPTIONAL, _MANDATORY = frozenset({"0", "false"}), frozenset({"1", "true"})
_OF_WSA, _ADDRESS = E(WSA, ""), E(WSA, "Address")
_BACK = frozenset({"", WSA_ANONYMOUS, WSA + "/none"})
_OUR_ROLES = frozenset({"", SOAP + "/role/next", SOAP + "/role/ultimateReceiver"})
_REPLY = frozenset({"", WSA + "/reply"})
_CODES = frozenset({"Sender", "Receiver", "MustUnderstand", "VersionMismatch", "DataEncodingUnknown"})
_PREFIXES = {SOAP: "soap", WSA: "wsa"}
_CLOSING = b"</soap:Body></soap:Envelope>"
_INSTRUCTION = re.compile(rb"<\?(?!xml\s)")
_INSTRUCTIONS = etree.XPath("boolean(//processing-instruction())")

_Blocks: TypeAlias = dict[str, list[etree._Element]]
"""header blocks by their name"""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A received message: addressing as text (empty where absent), the rest as elements."""

    action: str
    message_id: str
    to: str
    reply_to: str
    relates_to: str
    security: tuple[etree._Element, ...]
    """wsse:Security headers meant for us"""
    headers: tuple[etree._Element, ...]
    """all header blocks, in order"""
    body: tuple[etree._Element, ...]
    """the child elements of the Body"""
    root: etree._Element


def read_envelope(
    raw: bytes,
    *,
    limit: int = xml.LIMIT,
    huge: bool = False,
    shape: xml.Shape = xml.SHAPE,
    max_markup: int = xml.MAX_MARKUP,
) -> Envelope:
    """A request. MalformedMessage when it is not XML we take; SoapFault when SOAP or WS-Addressing forbid it."""
    envelope, ours = _read(xml.parse(raw, limit=limit, huge=huge, shape=shape, max_markup=max_markup), raw)
    _check_anonymous("ReplyTo", envelope.reply_to)
    _check_anonymous("FaultTo", _endpoint(ours, "FaultTo"))
    if not envelope.action:
        raise _addressing("MessageAddressingHeaderRequired", "a wsa:Action header is required")
    if not envelope.body:
        raise SoapFault("Sender", "the SOAP Body is empty")
    return envelope


def read_reply(raw: bytes, *, limit: int = xml.LIMIT, huge: bool = False) -> Envelope:
    """A peer's answer. A fault in it is raised as SoapFault; what is no SOAP 1.2 answer, as MalformedMessage."""
    # An answer may list ten thousand entries; who was asked is trusted to that extent.
    root = xml.parse(raw, limit=limit, huge=huge, max_markup=limit)
    try:
        envelope, _ = _read(root, raw)
    except SoapFault as wrong:
        raise MalformedMessage(f"not an acceptable answer: {wrong.reason}", location="SOAP envelope") from None
    for child in envelope.body:
        if child.tag == _FAULT:
            raise _received(child)
    return envelope


def message_id_of(raw: bytes, *, limit: int = xml.LIMIT, huge: bool = False) -> str:
    """The wsa:MessageID of a message that `read_envelope` refused, for RelatesTo of the fault; empty without one."""
    try:
        found = xml.parse(raw, limit=limit, huge=huge).find(f"{_HEADER}/{E(WSA, 'MessageID')}")
    except MalformedMessage:
        return ""
    return "" if found is None else xml.content(found)


def _read(root: etree._Element, raw: bytes) -> tuple[Envelope, _Blocks]:
    """The envelope, and those of its header blocks that are meant for us; `raw` is what it was parsed from."""
    if root.tag != _ENVELOPE:
        if etree.QName(root).localname == "Envelope":
            raise SoapFault("VersionMismatch", "only SOAP 1.2 is spoken here")
        raise SoapFault("Sender", "not a SOAP envelope")
    # Threads that evaluate an expression wait for each other: only where there may be one, or in UTF-16.
    # One sign is found twenty times faster than two.
    if ((b"?" in raw and _INSTRUCTION.search(raw)) or xml.is_utf_16(raw)) and _INSTRUCTIONS(root):
        raise SoapFault("Sender", "processing instructions are not allowed in SOAP")
    parts = _elements(root)
    if [part.tag for part in parts] not in ([_HEADER, _BODY], [_BODY]):
        raise SoapFault("Sender", "an Envelope holds a Header, which may be absent, and one Body")
    headers = _elements(parts[0]) if len(parts) == 2 else []
    ours: _Blocks = {}
    for block in headers:
        if block.get(_ROLE, "").strip() in _OUR_ROLES:
            ours.setdefault(block.tag, []).append(block)
    _check_understood(ours)
    envelope = Envelope(
        action=_uri(ours, "Action"),
        message_id=_uri(ours, "MessageID"),
        to=_uri(ours, "To"),
        reply_to=_endpoint(ours, "ReplyTo"),
        relates_to=_relates_to(ours),
        security=tuple(ours.get(_SECURITY, ())),
        headers=tuple(headers),
        body=tuple(_elements(parts[-1])),
        root=root,
    )
    return envelope, ours


def _elements(parent: etree._Element) -> list[etree._Element]:
    # White space, comments and, in Bodies of some senders, stray text between them mean nothing.
    return [child for child in parent if isinstance(child.tag, str)]


def _check_understood(ours: _Blocks) -> None:
    """Every block marked mustUnderstand is one that is processed here (SOAP 1.2 part 1, section 2.4)."""
    unknown = []
    for name, blocks in ours.items():
        for block in blocks:
            mark = block.get(_MUST_UNDERSTAND)
            if mark is None or (mark := mark.strip()) in _OPTIONAL:
                continue
            if mark not in _MANDATORY:
                raise SoapFault("Sender", "mustUnderstand is neither true nor false")
            if not name.startswith(_OF_WSA) and name != _SECURITY:
                found = etree.QName(block)
                unknown.append((found.namespace or "", found.localname))
    if unknown:
        raise SoapFault("MustUnderstand", "a mandatory header is not understood", not_understood=tuple(unknown))


def _check_anonymous(name: str, address: str) -> None:
    if address not in _BACK:
        raise _addressing("OnlyAnonymousAddressSupported", f"wsa:{name} must be the anonymous address")


def _addressing(subcode: str, reason: str) -> SoapFault:
    return SoapFault("Sender", reason, subcode=(WSA, subcode))


def _one(blocks: _Blocks, name: str) -> etree._Element | None:
    found = blocks.get(E(WSA, name), [])
    if len(found) > 1:
        raise _addressing("InvalidAddressingHeader", f"wsa:{name} more than once")
    return found[0] if found else None


def _text(element: etree._Element, name: str) -> str:
    value = xml.content(element)
    if (len(element) and _elements(element)) or len(value.split()) > 1:
        raise _addressing("InvalidAddressingHeader", f"wsa:{name} is not a URI")
    return value


def _uri(blocks: _Blocks, name: str) -> str:
    element = _one(blocks, name)
    return "" if element is None else _text(element, name)


def _endpoint(blocks: _Blocks, name: str) -> str:
    element = _one(blocks, name)
    if element is None:
        return ""
    addresses = [child for child in element if child.tag == _ADDRESS]
    address = _text(addresses[0], name) if len(addresses) == 1 else ""
    if not address:
        raise _addressing("InvalidAddressingHeader", f"wsa:{name} without one wsa:Address")
    return address


def _relates_to(blocks: _Blocks) -> str:
    for block in blocks.get(E(WSA, "RelatesTo"), ()):
        if block.get("RelationshipType", "").strip() in _REPLY:
            return _text(block, "RelatesTo")
    return ""


def _received(fault: etree._Element) -> SoapFault:
    """A peer's fault as an exception (SOAP 1.2 part 1, section 5.4)."""
    value = fault.find(f"{E(SOAP, 'Code')}/{E(SOAP, 'Value')}")
    code = "" if value is None else _qname(value)[1]
    if code not in _CODES:
        raise MalformedMessage("SOAP fault without a known code", location="soap:Fault/soap:Code")
    subcode = fault.find(f"{E(SOAP, 'Code')}/{E(SOAP, 'Subcode')}/{E(SOAP, 'Value')}")
    texts = fault.findall(f"{E(SOAP, 'Reason')}/{E(SOAP, 'Text')}")
    texts.sort(key=lambda text: not text.get(_LANG, "").startswith("en"))
    detail = fault.find(E(SOAP, "Detail"))
    return SoapFault(
        code,
        xml.content(texts[0]) if texts else "",
        subcode=None if subcode is None else _qname(subcode),
        detail="" if detail is None else xml.content(detail),
    )


def _qname(element: etree._Element) -> tuple[str, str]:
    prefix, _, local = xml.content(element).rpartition(":")
    return element.nsmap.get(prefix or None, ""), local


def write_envelope(
    action: str,
    body: Iterable[bytes] | bytes,
    *,
    relates_to: str | None = None,
    message_id: str | None = None,
    to: str | None = None,
    reply_to_anonymous: bool = False,
    security: bytes = b"",
) -> Iterator[bytes]:
    """A message around a body that is already encoded, in pieces as the body comes.

    `body` and `security`, a whole wsse:Security header, bring the namespace declarations they need.
    """
    headers = _addressing_headers(action, MessageID=message_id, RelatesTo=relates_to, To=to)
    if reply_to_anonymous:
        headers += f"<wsa:ReplyTo><wsa:Address>{WSA_ANONYMOUS}</wsa:Address></wsa:ReplyTo>"
    head = _opening(_PREFIXES, headers.encode() + security)
    if isinstance(body, bytes):
        yield head + body + _CLOSING
        return
    yield head
    yield from body
    yield _CLOSING


def write_fault(fault: SoapFault, *, relates_to: str | None = None, trace: str) -> bytes:
    """A fault message. Of what went wrong the caller gets the codes, the reason and the trace, never `detail`."""
    prefixes = dict(_PREFIXES)  # QNames stand in text and attribute values, so their prefixes are bound at the top

    def qname(namespace: str, local: str) -> str:
        if not namespace:
            return xml.attribute(local)
        prefix = prefixes.setdefault(namespace, "wsse" if namespace == WSSE else f"n{len(prefixes)}")
        return xml.attribute(f"{prefix}:{local}")

    about_addressing = fault.subcode is not None and fault.subcode[0] == WSA
    headers = _addressing_headers(WSA + ("/fault" if about_addressing else "/soap/fault"), RelatesTo=relates_to)
    for name in fault.not_understood:
        headers += f'<soap:NotUnderstood qname="{qname(*name)}"/>'
    if fault.code == "VersionMismatch":
        headers += '<soap:Upgrade><soap:SupportedEnvelope qname="soap:Envelope"/></soap:Upgrade>'
    code = f"<soap:Value>{qname(SOAP, fault.code)}</soap:Value>"
    if fault.subcode is not None:
        code += f"<soap:Subcode><soap:Value>{qname(*fault.subcode)}</soap:Value></soap:Subcode>"
    reason = f'<soap:Text xml:lang="en">{xml.text(f"{fault.reason} [trace {trace}]")}</soap:Text>'
    body = f"<soap:Fault><soap:Code>{code}</soap:Code><soap:Reason>{reason}</soap:Reason></soap:Fault>"
    return _opening(prefixes, headers.encode()) + body.encode() + _CLOSING


def _addressing_headers(action: str, **optional: str | None) -> str:
    headers = f'<wsa:Action soap:mustUnderstand="1">{xml.text(action)}</wsa:Action>'
    return headers + "".join(f"<wsa:{name}>{xml.text(value)}</wsa:{name}>" for name, value in optional.items() if value)


def _opening(prefixes: Mapping[str, str], headers: bytes) -> bytes:
    declared = "".join(f' xmlns:{prefix}="{xml.attribute(uri)}"' for uri, prefix in prefixes.items())
    return f"<soap:Envelope{declared}><soap:Header>".encode() + headers + b"</soap:Header><soap:Body>"
