"""Answers of an Authorization Decisions Manager (ITI SeR 3.79.4.2; SAML 2.0 profile of XACML 2.0)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from .answers import Answer
from .checks import Complaint
from .model import Decided
from .templates import NAMESPACES, Values
from .xml import parse

_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_RESPONSE = "/soap:Envelope/soap:Body/samlp:Response"
_ASSERTION = f"{_RESPONSE}/saml:Assertion"
_RESULTS = f"{_ASSERTION}/saml:Statement/xacml:Response/xacml:Result"
_SAML = "SAML 2.0 Core 3.2.2"
_SIGNED = "ITI SeR 3.79.4.2; SAML 2.0 Core 5.4"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_TRANSFORMS = frozenset(
    {"http://www.w3.org/2000/09/xmldsig#enveloped-signature", _EXCLUSIVE, f"{_EXCLUSIVE}WithComments"}
)
"""of a signature (SAML 2.0 Core 5.4.4); any other could leave out what was decided, or never end"""


def complaints(answer: Answer, expected: tuple[Decided, ...], request: bytes, values: Values) -> Iterator[Complaint]:
    """What is not as the case expects it: the decisions, what they answer, and the signature that they bear."""
    status = answer.text(f"{_RESPONSE}/samlp:Status/samlp:StatusCode/@Value")
    if status != _SUCCESS:
        yield Complaint(f"samlp:StatusCode {_SUCCESS}", status or "none", _SAML)
    asked = str(parse(request).xpath("string(//soap:Body/*/@ID)", namespaces=NAMESPACES))
    related = answer.text(f"{_RESPONSE}/@InResponseTo")
    if related != asked:
        yield Complaint(f"InResponseTo {asked}", related or "none", _SAML)
    wanted = Counter((values.expand(one.resource, xml=False), one.decision) for one in expected)
    found = Counter(
        (one.get("ResourceId", ""), (one.findtext(f"{{{NAMESPACES['xacml']}}}Decision") or "").strip())
        for one in answer.all(_RESULTS)
    )
    if found != wanted:
        yield Complaint(f"decisions {dict(wanted)}", f"{dict(found)}")
    assertions = answer.all(_ASSERTION)
    if len(assertions) != 1:
        yield Complaint("one saml:Assertion", str(len(assertions)), _SAML)
    for one in assertions:
        yield from _signature(one)


def _signature(assertion: etree._Element) -> Iterator[Complaint]:
    """The assertion is signed, whole, by the certificate that stands in its signature."""
    alone = parse(etree.tostring(assertion, with_tail=False))
    signature = alone.find("ds:Signature", NAMESPACES)
    if signature is None:
        yield Complaint("a signed assertion", "no ds:Signature", _SIGNED)
        return
    covered = [one.get("URI") for one in signature.findall("ds:SignedInfo/ds:Reference", NAMESPACES)]
    if covered != [f"#{alone.get('ID')}"]:
        yield Complaint(f"a signature over #{alone.get('ID')}", f"{covered}", _SIGNED)
        return
    found = {one.get("Algorithm", "") for one in signature.iterfind("ds:SignedInfo//ds:Transform", NAMESPACES)}
    if not found <= _TRANSFORMS:
        yield Complaint("no transforms but enveloped signature and exclusive form", f"{sorted(found)}", _SIGNED)
        return
    text = "".join((signature.findtext("ds:KeyInfo/ds:X509Data/ds:X509Certificate", "", NAMESPACES)).split())
    try:
        pem = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n".encode()
        certificate = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.PEM)
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(certificate, xmlsec.constants.KeyDataFormatCertPem)
        context.register_id(alone, "ID")
        context.verify(signature)
    except (ValueError, xmlsec.Error) as error:
        yield Complaint("a signature that holds", f"{type(error).__name__}: {error}", _SIGNED)
