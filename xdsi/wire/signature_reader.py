"""The form of a signature document: what is accepted, and what it says before anything is verified.

ITI TF-3 5.5 (DSG), XML Signature 1.1, XAdES (ETSI EN 319 132).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.spec.namespaces import DS, XADES
from xdsi.wire import xml
from xdsi.wire.canonical import ALGORITHMS, C14N_10
from xdsi.wire.signature_writer import BASE64, unique_id_of
from xdsi.wire.xml import E, content
from xdsi.wire.xml_time import read_instant

LIMIT = 5 * 1024 * 1024
MAX_REFERENCES = 1000
MAX_CERTIFICATES = 10
MAX_TIME_STAMPS = 10
_DER = "http://uri.etsi.org/01903/v1.2.2#DER"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
DIGESTS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    _MORE + "sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}
METHODS: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    _MORE + "rsa-sha256": ("RSA", hashes.SHA256()),
    _MORE + "rsa-sha384": ("RSA", hashes.SHA384()),
    _MORE + "rsa-sha512": ("RSA", hashes.SHA512()),
    _MORE + "ecdsa-sha256": ("EC", hashes.SHA256()),
    _MORE + "ecdsa-sha384": ("EC", hashes.SHA384()),
    _MORE + "ecdsa-sha512": ("EC", hashes.SHA512()),
}
_SIGNATURE, _SIGNED_INFO, _REFERENCE = E(DS, "Signature"), E(DS, "SignedInfo"), E(DS, "Reference")
OBJECT, _MANIFEST = E(DS, "Object"), E(DS, "Manifest")
_SIGNED_PROPERTIES = E(XADES, "SignedProperties")
_FORBIDDEN = etree.XPath(
    "boolean(//comment() | //processing-instruction() | //@*[namespace-uri() = 'http://www.w3.org/XML/1998/namespace'])"
)
_IDS = etree.XPath("//@*[translate(local-name(), 'ID', 'id') = 'id']", smart_strings=False)


@dataclass(frozen=True, slots=True)
class Reference:
    """One ds:Reference; `target` is the element of the same document it points to, None for another document."""

    uri: str
    digest_method: str
    digest_value: bytes
    transform: str
    target: etree._Element | None

    @property
    def submission_set(self) -> bool:
        """True for the entry of a submission set, which carries the value `0` instead of a digest."""
        return self.target is None and not self.digest_value


@dataclass(frozen=True, slots=True)
class SignedProperties:
    """What the signer says about his signature."""

    signing_time: datetime
    certificate_digests: tuple[tuple[str, bytes], ...]
    policy: str
    commitments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TimeStampElement:
    """A SignatureTimeStamp: the token, and how the value it covers is written."""

    canonicalization: str
    token: bytes


@dataclass(frozen=True, slots=True)
class SignatureDocument:
    """A signature document of acceptable form, nothing verified."""

    root: etree._Element
    canonicalization: str
    method: str
    value: bytes
    references: tuple[Reference, ...]
    manifest: tuple[Reference, ...]
    """references of the ds:Manifest elements that are themselves signed"""
    properties: SignedProperties | None
    """None where they are not signed: then they say nothing"""
    certificates: tuple[x509.Certificate, ...]
    """of KeyInfo, then those that XAdES keeps for later (levels LT and LTA): none is trusted for being there"""
    time_stamps: tuple[TimeStampElement, ...] = ()
    """of the signature's value (level T); archive time stamps and kept revocation data are not read"""

    @property
    def documents(self) -> tuple[str, ...]:
        """uniqueIds of the documents it signs, and `#id` of those it encloses."""
        return tuple(unique_id_of(reference.uri) for reference in self._of_documents())

    def enclosed(self) -> Iterator[bytes]:
        """The documents inside the signature that it refers to (enveloping form), as they were before base64."""
        for reference in self._of_documents():
            if reference.target is not None and reference.target.get("Encoding") == BASE64:
                yield _octets(reference.target)

    def _of_documents(self) -> tuple[Reference, ...]:
        direct = (r for r in self.references if r.target is None or r.target.tag == OBJECT)
        return tuple(r for r in (*direct, *self.manifest) if not r.submission_set)


def read(raw: bytes) -> SignatureDocument:
    """Read a signature document; MalformedMessage for any form that is not accepted."""
    root = xml.parse(raw, limit=LIMIT)
    if root.tag != _SIGNATURE:
        raise MalformedMessage("not a signature document", location=str(root.tag), expected="ds:Signature")
    if _FORBIDDEN(root):
        raise MalformedMessage("comment, processing instruction or xml: attribute in a signature", expected="none")
    found: list[str] = _IDS(root)  # type: ignore[assignment]
    if len(found) != len(set(found)):
        raise MalformedMessage("an Id occurs twice", expected="each Id once")
    names = [child.tag for child in root]
    if names[:2] != [_SIGNED_INFO, E(DS, "SignatureValue")] or set(names[2:]) - {E(DS, "KeyInfo"), OBJECT}:
        raise MalformedMessage(
            "unexpected children of ds:Signature", expected="SignedInfo, SignatureValue, KeyInfo, Object"
        )
    if sum(1 for _ in root.iter(_SIGNATURE)) != 1 or sum(1 for _ in root.iter(_SIGNED_INFO)) != 1:
        raise MalformedMessage("a signature inside the signature", expected="one ds:Signature")
    signed_info = root[0]
    signed = list(signed_info)[2:]
    if not signed or any(child.tag != _REFERENCE for child in signed):
        raise MalformedMessage("unexpected children of ds:SignedInfo", expected="its two methods, then references")
    if sum(1 for _ in root.iter(_REFERENCE)) > MAX_REFERENCES:
        raise MalformedMessage("too many references", expected=f"at most {MAX_REFERENCES}")
    references = tuple(_reference(child, root) for child in signed)
    targets = [r.target for r in references if r.target is not None]
    manifests = [t for t in targets if t.tag == _MANIFEST and _path(t) == [OBJECT, _SIGNATURE]]
    properties = [
        t
        for t in targets
        if t.tag == _SIGNED_PROPERTIES and _path(t) == [E(XADES, "QualifyingProperties"), OBJECT, _SIGNATURE]
    ]
    if len(properties) > 1:
        raise MalformedMessage("two sets of signed properties", expected="one")
    return SignatureDocument(
        root=root,
        canonicalization=_algorithm(signed_info, "CanonicalizationMethod", ALGORITHMS),
        method=_algorithm(signed_info, "SignatureMethod", METHODS),
        value=_octets(root[1]),
        references=references,
        manifest=tuple(
            _reference(child, root) for manifest in manifests for child in manifest.iterchildren(_REFERENCE)
        ),
        properties=_properties(properties[0]) if properties else None,
        certificates=_certificates(root),
        time_stamps=_time_stamps(properties[0]) if properties else (),
    )


def _reference(element: etree._Element, root: etree._Element) -> Reference:
    uri = element.get("URI")
    if not uri or uri == "#" or uri.startswith("#xpointer"):
        raise MalformedMessage("a reference without a usable URI", expected="#id or the uniqueId of a document")
    transforms = [t.get("Algorithm", "") for t in element.findall(f"{E(DS, 'Transforms')}/{E(DS, 'Transform')}")]
    if len(transforms) > 1 or any(transform not in ALGORITHMS for transform in transforms):
        raise MalformedMessage("transforms not accepted", location=uri, expected="at most one, a canonicalization")
    if element.find(f"{E(DS, 'Transforms')}/{E(DS, 'Transform')}/*") is not None:
        raise MalformedMessage("parameters of a transform", location=uri, expected="none")
    digest_values = element.findall(E(DS, "DigestValue"))
    if len(digest_values) != 1 or len(digest_values[0]):
        raise MalformedMessage("a reference needs one DigestValue", location=uri, expected="ds:DigestValue, once")
    text = content(digest_values[0])
    if not uri.startswith("#"):
        if transforms:
            raise MalformedMessage(
                "a transform of another document", location=uri, expected="none: its bytes as they are"
            )
        method = _algorithm(element, "DigestMethod", DIGESTS)
        return Reference(uri, method, b"" if text == "0" else _octets(digest_values[0]), "", None)
    hits = [node for node in root.iter() if node.get("Id") == uri[1:]]
    if len(hits) != 1:
        raise MalformedMessage(
            "the reference is to no element", location=uri, expected=f"one element with the Id {uri[1:]}"
        )
    method = _algorithm(element, "DigestMethod", DIGESTS)
    return Reference(uri, method, _octets(digest_values[0]), transforms[0] if transforms else "", hits[0])


def _properties(element: etree._Element) -> SignedProperties:
    signature = element.find(E(XADES, "SignedSignatureProperties"))
    if signature is None:
        raise MalformedMessage("no SignedSignatureProperties", expected="xades:SignedSignatureProperties")
    time = (signature.findtext(E(XADES, "SigningTime")) or "").strip()
    signing_time = read_instant(time)
    if signing_time is None:
        raise MalformedMessage(
            f"SigningTime is not a time with its offset: {time!r}", expected="a time with Z or its offset"
        )
    digests = [
        (
            _algorithm(digest, "DigestMethod", DIGESTS),
            b"" if (value := digest.find(E(DS, "DigestValue"))) is None else _octets(value),
        )
        for name in ("SigningCertificateV2", "SigningCertificate")
        for digest in signature.findall("/".join(E(XADES, part) for part in (name, "Cert", "CertDigest")))
    ]
    policy = "/".join(
        E(XADES, part) for part in ("SignaturePolicyIdentifier", "SignaturePolicyId", "SigPolicyId", "Identifier")
    )
    commitment = "/".join(
        E(XADES, part)
        for part in ("SignedDataObjectProperties", "CommitmentTypeIndication", "CommitmentTypeId", "Identifier")
    )
    return SignedProperties(
        signing_time=signing_time,
        certificate_digests=tuple(digests[:1]),
        policy=(signature.findtext(policy) or "").strip(),
        commitments=tuple(
            oid for found in element.findall(commitment) if (oid := content(found).removeprefix("urn:oid:"))
        ),
    )


def _certificates(root: etree._Element) -> tuple[x509.Certificate, ...]:
    path = "/".join(E(DS, name) for name in ("KeyInfo", "X509Data", "X509Certificate"))
    kept = f".//{E(XADES, 'UnsignedSignatureProperties')}/{E(XADES, 'CertificateValues')}"
    kept += f"/{E(XADES, 'EncapsulatedX509Certificate')}"
    found = [*root.findall(path)[:MAX_CERTIFICATES], *root.findall(kept)[:MAX_CERTIFICATES]]
    try:
        return tuple(x509.load_der_x509_certificate(_octets(one)) for one in found)
    except ValueError as error:
        raise MalformedMessage("not a certificate", location="KeyInfo", expected="X.509 in DER, as base64") from error


def _time_stamps(properties: etree._Element) -> tuple[TimeStampElement, ...]:
    """The time stamps beside these signed properties, which are of this signature."""
    path = "/".join(
        E(XADES, one) for one in ("UnsignedProperties", "UnsignedSignatureProperties", "SignatureTimeStamp")
    )
    holder = properties.getparent()
    found = [] if holder is None else holder.findall(path)
    if len(found) > MAX_TIME_STAMPS:
        raise MalformedMessage("too many time stamps", expected=f"at most {MAX_TIME_STAMPS}")
    return tuple(_time_stamp(one) for one in found)


def _time_stamp(element: etree._Element) -> TimeStampElement:
    tokens = element.findall(E(XADES, "EncapsulatedTimeStamp"))
    known = {E(DS, "CanonicalizationMethod"), E(XADES, "EncapsulatedTimeStamp")}
    if len(tokens) != 1 or any(child.tag not in known for child in element):
        raise MalformedMessage("a time stamp in another form", expected="one EncapsulatedTimeStamp of the whole value")
    encoding = tokens[0].get("Encoding", _DER)
    if encoding != _DER:
        raise MalformedMessage(f"a time stamp in the encoding {encoding!r}", expected=_DER)
    named = element.find(E(DS, "CanonicalizationMethod")) is not None
    method = _algorithm(element, "CanonicalizationMethod", ALGORITHMS) if named else C14N_10
    return TimeStampElement(method, _octets(tokens[0]))


def _path(element: etree._Element) -> list[str]:
    return [str(parent.tag) for parent in element.iterancestors()]


def _algorithm(parent: etree._Element, local: str, allowed: Mapping[str, object]) -> str:
    children = parent.findall(E(DS, local))
    algorithm = children[0].get("Algorithm", "") if len(children) == 1 else ""
    if algorithm not in allowed or len(children[0]):
        where = _place(children[0] if children else parent)
        raise MalformedMessage(f"{local} {algorithm!r} is not accepted", location=where, expected=", ".join(allowed))
    return algorithm


def _octets(element: etree._Element) -> bytes:
    try:
        return base64.b64decode("".join(content(element).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        name = etree.QName(element).localname
        raise MalformedMessage(f"{name} is not base64", location=_place(element), expected="base64") from error


def _place(element: etree._Element) -> str:
    return str(element.getroottree().getpath(element))
