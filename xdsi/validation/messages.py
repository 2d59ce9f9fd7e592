"""SOAP messages: envelope and addressing, packaging, the assertion in the header, the body.

ITI TF-2 Appendix V; SOAP 1.2 part 1; WS-Addressing 1.0; what a server would answer with a fault is an error here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage, SoapFault
from xdsi.domain.findings import Finding, Level
from xdsi.spec import namespaces as ns
from xdsi.spec.messages import MessageForm, forms_of
from xdsi.validation import assertions, bodies, interactions
from xdsi.validation.looks import first_element
from xdsi.validation.packaging import SOAP_TYPES, Packaged, looks_packaged, media_type, other_than_soap, unpack
from xdsi.validation.validator import Judged, Terms, Validator
from xdsi.validation.xml_file import XmlFile
from xdsi.wire import mtom, soap, xml
from xdsi.wire.xml import E

LIMIT: Final = 64 * 1024 * 1024
MAX_MARKUP: Final = 250_000
"""tags and attributes: schemas are slow judges"""
_ENVELOPES = frozenset({E(ns.SOAP, "Envelope"), E(ns.SOAP11, "Envelope")})
_HEADER, _BODY, _FAULT = E(ns.SOAP, "Header"), E(ns.SOAP, "Body"), E(ns.SOAP, "Fault")
_MUST_UNDERSTAND = E(ns.SOAP, "mustUnderstand")
_ADDRESSING = "ITI TF-2 V.3.2.2; WS-Addressing 1.0 core 3"
_FAULT_ACTIONS = frozenset({f"{ns.WSA}/fault", f"{ns.WSA}/soap/fault"})


def _knows(raw: bytes) -> bool:
    if looks_packaged(raw):
        return True
    return first_element(raw) == "Envelope"


def _check(raw: bytes, terms: Terms) -> Judged:
    line, held = other_than_soap(raw)
    if held:
        return Judged(findings=[_not_soap(held)], about=line)
    packaged = unpack(raw)
    root = xml.parse(packaged.root, limit=LIMIT, huge=True, max_markup=MAX_MARKUP)
    file = XmlFile(root, first=packaged.first)
    if root.tag not in _ENVELOPES:
        if root.tag in bodies.CHECKS and not packaged.multipart:
            around = bodies.Around(profile=terms.profile)
            return Judged(findings=bodies.check(file, root, around), about=etree.QName(root).localname)
        text, expected = f"{etree.QName(root).localname} where an Envelope belongs", "soap:Envelope"
        return Judged(findings=[file.finding("SOAP.envelope", root, text, expected, "SOAP 1.2 part 1, 5.1")])
    action = xml.content(found) if (found := root.find(f"{_HEADER}/{E(ns.WSA, 'Action')}")) is not None else ""
    body = root.find(_BODY)
    children = [] if body is None else list(body.iterchildren(etree.Element))
    form = _form(action, children)
    return Judged(findings=_findings(file, packaged, form, action, children, terms), about=_about(form, children))


def _not_soap(held: str) -> Finding:
    """Of other HTTP messages nothing is known; a page for people is no answer of any actor."""
    return Finding(
        rule="HTTP.content",
        level=Level.ERROR if held == "text/html" else Level.WARNING,
        place="HTTP headers",
        text=f"the HTTP message holds no SOAP ({held}); nothing else of it is judged",
        expected="application/soap+xml, or multipart/related with a root of application/xop+xml",
        clause="ITI TF-2 V.3 and V.8",
        line=1,
    )


def _form(action: str, children: list[etree._Element]) -> MessageForm | None:
    """Which message it is, by Action, and by the body where several share one."""
    forms = forms_of(action)
    tags = {child.tag for child in children}
    return next((one for one in forms if one.body in tags), forms[0] if forms else None)


def _about(form: MessageForm | None, children: list[etree._Element]) -> str:
    if form is None:
        return ", ".join(etree.QName(one).localname for one in children[:1])
    direction = "request" if form.is_request else "answer"
    if children and children[0].tag == _FAULT:
        direction = "fault"
    return f"{form.transaction} {form.name}, {direction}"


def _findings(
    file: XmlFile,
    packaged: Packaged,
    form: MessageForm | None,
    action: str,
    children: list[etree._Element],
    terms: Terms,
) -> Iterator[Finding]:
    yield from _envelope(file, packaged)
    yield from _addressing(file, form, action, children)
    yield from _packaging(file, packaged, form)
    for header in file.root.iterfind(f"{_HEADER}/{E(ns.WSSE, 'Security')}"):
        for assertion in header.iterchildren(E(ns.SAML, "Assertion")):
            yield from assertions.check(file, assertion, terms)
    for child in children:
        yield from _body(file, child, packaged, form, terms)
    yield from file.by_profile(terms.profile)


def _envelope(file: XmlFile, packaged: Packaged) -> Iterator[Finding]:
    """What the server's own reader says, as far as it reads."""
    try:
        soap.read_envelope(packaged.root, limit=LIMIT, huge=True)
    except SoapFault as fault:
        clause = "SOAP 1.2 part 1, 5"
        if fault.subcode is not None:
            clause = _ADDRESSING
        elif fault.code == "MustUnderstand":
            clause = "SOAP 1.2 part 1, 2.4"
        where, name = _where(file, fault)
        expected = _EXPECTED.get(
            fault.code if fault.subcode is None else fault.subcode[1], "an Envelope as SOAP has it"
        )
        text = fault.reason
        if fault.not_understood:
            text += ": " + ", ".join(f"{{{space}}}{local}" for space, local in fault.not_understood)
        yield file.finding(f"SOAP.{name}", where, text, expected, clause)


_EXPECTED = {
    "VersionMismatch": ns.SOAP,
    "MustUnderstand": "no mustUnderstand on headers that the transaction does not define",
    "MessageAddressingHeaderRequired": "<wsa:Action soap:mustUnderstand='1'>",
    "InvalidAddressingHeader": "the header once, with one URI",
    "OnlyAnonymousAddressSupported": ns.WSA_ANONYMOUS,
    "Sender": "a Header, which may be absent, and one Body with one element",
}


def _where(file: XmlFile, fault: SoapFault) -> tuple[etree._Element, str]:
    header = file.root.find(_HEADER)
    if fault.subcode is not None:
        local = next((one for one in ("Action", "ReplyTo", "FaultTo", "MessageID", "To") if one in fault.reason), "")
        found = file.root.find(f"{_HEADER}/{E(ns.WSA, local)}") if local else None
        return (found if found is not None else header if header is not None else file.root), f"wsa.{local}"
    if fault.not_understood and header is not None:
        space, name = fault.not_understood[0]
        block = header.find(E(space, name) if space else name)
        return (block if block is not None else header), "mustUnderstand"
    return file.root, fault.code


def _addressing(
    file: XmlFile, form: MessageForm | None, action: str, children: list[etree._Element]
) -> Iterator[Finding]:
    header = file.root.find(_HEADER)
    element = None if header is None else header.find(E(ns.WSA, "Action"))
    if header is None or element is None:
        return  # told with the envelope
    if element.get(_MUST_UNDERSTAND, "").strip() not in ("1", "true"):
        yield file.finding(
            "SOAP.wsa.Action.mustUnderstand",
            element,
            "wsa:Action is not marked mustUnderstand",
            "soap:mustUnderstand='1'",
            "ITI TF-2 V.3.2.2 (IHE-WSA100)",
            level=Level.WARNING,
        )
    fault = bool(children) and children[0].tag == _FAULT
    if form is None and not fault and action not in _FAULT_ACTIONS:
        if action:
            yield file.finding(
                "SOAP.wsa.Action",
                element,
                f"{action!r} is not the Action of a known transaction",
                "the Action that the transaction's clause gives",
                "ITI TF-2 V.3.2.2",
                level=Level.WARNING,
            )
    elif form is not None and children and not fault and children[0].tag != form.body:
        found, wanted = (etree.QName(one).localname for one in (children[0].tag, form.body))
        yield file.finding(
            "SOAP.body",
            children[0],
            f"{found} in a message whose Action is {action}",
            wanted,
            f"{form.transaction} {form.name}",
        )
    if form is None:
        return
    needed = ("MessageID", "ReplyTo") if form.is_request and not fault else ("RelatesTo",)
    for name in needed:
        if header.find(E(ns.WSA, name)) is None:
            yield file.finding(
                f"SOAP.wsa.{name}.missing", header, f"no wsa:{name}", f"wsa:{name}", _ADDRESSING, level=Level.WARNING
            )


def _packaging(file: XmlFile, packaged: Packaged, form: MessageForm | None) -> Iterator[Finding]:
    clause = "ITI TF-2 V.8; XOP 1.0"
    media = media_type(packaged.content_type)
    if media and media not in SOAP_TYPES and file.root.tag == E(ns.SOAP, "Envelope"):
        yield file.finding(
            "SOAP.content-type", file.root, f"the Content-Type of SOAP 1.2 is given as {media}",
            "application/soap+xml", "SOAP 1.2 part 2, 7.1.4; RFC 3902",
        )  # fmt: skip
    if packaged.multipart:
        try:
            mtom.find_includes(file.root, packaged.parts)
        except MalformedMessage as error:
            yield file.malformed("MTOM.parts", error, clause)
        if form is not None and not form.mtom:
            yield file.finding(
                "MTOM.simple",
                file.root,
                f"{form.transaction} travels as plain SOAP, not as MTOM",
                "application/soap+xml",
                "ITI TF-2 V.8",
                level=Level.WARNING,
            )
        return
    includes = file.root.find(f".//{mtom.INCLUDE}")
    if includes is not None:
        yield file.finding(
            "MTOM.parts.elsewhere",
            includes,
            "the content of this xop:Include is not in the file",
            "the whole multipart message, to have its documents judged",
            clause,
            level=Level.WARNING,
        )


def _body(
    file: XmlFile, child: etree._Element, packaged: Packaged, form: MessageForm | None, terms: Terms
) -> Iterator[Finding]:
    if child.tag in bodies.CHECKS:
        # Of parts that do not fit the packaging has told.
        parts = packaged.parts if _fitting(file.root, packaged) else {}
        transaction = form.transaction if form is not None else ""
        around = bodies.Around(profile=terms.profile, transaction=transaction, parts=parts)
        yield from bodies.check(file, child, around)
    elif interactions.knows(child):
        yield from interactions.check(file, child)


def _fitting(root: etree._Element, packaged: Packaged) -> bool:
    try:
        mtom.find_includes(root, packaged.parts)
    except MalformedMessage:
        return False
    return True


_FRAGMENTS = frozenset(etree.QName(tag).localname for tag in bodies.CHECKS)
_OLD = "urn:oasis:names:tc:ebxml-regrep:"


def _fragment_knows(raw: bytes) -> bool:
    return first_element(raw) in _FRAGMENTS


def _fragment(raw: bytes, terms: Terms) -> Judged:
    root = xml.parse(raw, limit=LIMIT, huge=True, max_markup=MAX_MARKUP)
    file = XmlFile(root)
    if root.tag not in bodies.CHECKS:
        name = etree.QName(root)
        if (name.namespace or "").startswith(_OLD):
            text, expected = f"{name.localname} is of another version of ebXML: {name.namespace}", "ebRS and ebRIM 3.0"
        else:
            known = ", ".join(sorted(_FRAGMENTS))
            text, expected = f"{name.text} is no message of Document Sharing", f"one of {known}, in its namespace"
        return Judged(findings=[file.finding("EBRIM.element", root, text, expected, "ITI TF-2 Appendix V")])

    def findings() -> Iterator[Finding]:
        yield from bodies.check(file, root, bodies.Around(profile=terms.profile))
        yield from file.by_profile(terms.profile)

    return Judged(findings=findings(), about=etree.QName(root).localname)


VALIDATORS = (
    Validator(
        key="soap", name="SOAP message", knows=_knows, check=_check, format_clause="ITI TF-2 Appendix V; XML 1.0"
    ),
    Validator(
        key="ebrim", name="ebRIM message", knows=_fragment_knows, check=_fragment, format_clause="ebRS 3.0; XML 1.0"
    ),
)
