"""Enveloped XML signatures over one element: sign; verify or raise.

XML Signature 1.1 in the narrow profile of SAML assertions (SAML core 5.4; ITI TF-2 3.40): one reference to the element
that carries the signature, exclusive canonicalization, SHA-2, keys from the configuration only.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree

from xdsi.domain.errors import ConfigurationError, MalformedMessage, SecurityFault
from xdsi.spec.namespaces import DS
from xdsi.wire import xml
from xdsi.wire.xml import E

# Otherwise xmlsec itself opens file: and http: references.
xmlsec.cleanup_callbacks()

LIMIT = 64 * 1024
"""bytes of a signed element"""
EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = DS + "enveloped-signature"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_C = xmlsec.constants
SIGNATURE_METHODS: dict[str, tuple[str, Any]] = {
    _MORE + "rsa-sha256": ("RSA", _C.TransformRsaSha256),
    _MORE + "rsa-sha384": ("RSA", _C.TransformRsaSha384),
    _MORE + "rsa-sha512": ("RSA", _C.TransformRsaSha512),
    _MORE + "ecdsa-sha256": ("EC", _C.TransformEcdsaSha256),
    _MORE + "ecdsa-sha384": ("EC", _C.TransformEcdsaSha384),
}
DIGEST_METHODS: dict[str, Any] = {
    "http://www.w3.org/2001/04/xmlenc#sha256": _C.TransformSha256,
    _MORE + "sha384": _C.TransformSha384,
    "http://www.w3.org/2001/04/xmlenc#sha512": _C.TransformSha512,
}
SIGNATURE = E(DS, "Signature")
_INCLUSIVE_NAMESPACES = E(EXCLUSIVE_C14N, "InclusiveNamespaces")
_NOT_ELEMENTS = etree.XPath("boolean(//comment() | //processing-instruction())")
_IDS = etree.XPath("//@*[translate(local-name(), 'ID', 'id') = 'id']", smart_strings=False)
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True, eq=False)
class TrustedKey:
    """A certificate from the configuration, parsed once, whose key may sign."""

    certificate: x509.Certificate
    sha256: str
    """of the certificate, lower-case hexadecimal"""
    kind: str
    """RSA or EC"""
    text: str = field(repr=False)
    """base64 of the certificate, as a signature may quote it"""
    key: Any = field(repr=False)
    since: datetime
    until: datetime
    """from when until when the certificate is valid"""

    @classmethod
    def of(cls, pem: str | bytes) -> TrustedKey:
        """Read a PEM certificate; ConfigurationError where it is not one, or its key is weak or of another kind."""
        return _trusted_key(pem.encode() if isinstance(pem, str) else pem)

    def valid_at(self, now: datetime) -> bool:
        """True within the certificate's validity."""
        return self.since <= now <= self.until


@lru_cache(maxsize=256)
def _trusted_key(pem: bytes) -> TrustedKey:
    try:
        certificate, *others = x509.load_pem_x509_certificates(pem)
        if others:
            # Which of them would be trusted, and whether for what it signs or for what it issues, nobody can tell.
            raise ValueError(f"{1 + len(others)} certificates in one file; valid: one, others in files of their own")
        kind = kind_of(certificate)
        # The bare key: with its certificate it would be copied, certificate and all, for each verification.
        public = certificate.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        key = xmlsec.Key.from_memory(public, _C.KeyDataFormatPem)
    except (ValueError, xmlsec.Error) as error:
        raise ConfigurationError(f"not a certificate that can be trusted for signatures: {error}") from error
    text = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    return TrustedKey(
        certificate,
        certificate.fingerprint(hashes.SHA256()).hex(),
        kind,
        text,
        key,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def kind_of(certificate: x509.Certificate) -> str:
    """RSA or EC; ValueError for a key that is too weak or of another kind."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return "RSA"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
        return "EC"
    raise ValueError("the key must be RSA of at least 2048 bits or on the curve P-256, P-384 or P-521")


@dataclass(frozen=True, slots=True)
class Isolated:
    """A signed element alone in a document of its own, of acceptable form; its signature is not checked yet."""

    element: etree._Element
    raw: bytes
    signature: etree._Element
    method: str
    digest: str


def isolate(element: etree._Element, *, limit: int = LIMIT) -> Isolated:
    """Copy a signed element out of its message and check the form of its signature.

    Outside elements become unreachable, so nothing but what is signed can be read afterwards. SecurityFault
    `InvalidSecurityToken` for a form that is not ours, `UnsupportedAlgorithm` for an algorithm that is not.
    """
    return isolate_bytes(xml.serialize(element), limit=limit)


def isolate_bytes(raw: bytes, *, limit: int = LIMIT) -> Isolated:
    """The same for an element that was written out already."""
    try:
        root = xml.parse(raw, limit=limit)
    except MalformedMessage as error:
        raise _malformed(str(error)) from error
    identifier = root.get("ID", "")
    if _ID.fullmatch(identifier) is None:
        raise _malformed("the signed element has no usable ID")
    if _NOT_ELEMENTS(root):
        raise _malformed("comment or processing instruction inside the signed element")
    ids: Any = _IDS(root)
    if len(ids) != len(set(ids)):
        raise _malformed("an ID occurs twice")
    signatures = list(root.iter(SIGNATURE))
    if len(signatures) != 1 or signatures[0].getparent() is not root:
        raise _malformed("exactly one signature, as a child of what it signs, is accepted")
    return Isolated(root, raw, signatures[0], *_check_form(signatures[0], "#" + identifier))


def verify_isolated(isolated: Isolated, keys: Sequence[TrustedKey]) -> TrustedKey:
    """The key that verifies the signature; SecurityFault `FailedCheck` where none does."""
    kind, transform = SIGNATURE_METHODS[isolated.method]
    xmlsec.tree.add_ids(isolated.element, ["ID"])
    hint = _hint(isolated.signature)
    for key in sorted(keys, key=lambda key: key.text != hint):
        if key.kind != kind:
            continue
        context = xmlsec.SignatureContext()
        context.enable_signature_transform(_C.TransformExclC14N)
        context.enable_signature_transform(transform)
        context.enable_reference_transform(_C.TransformEnveloped)
        context.enable_reference_transform(_C.TransformExclC14N)
        context.enable_reference_transform(DIGEST_METHODS[isolated.digest])
        context.key = key.key
        try:
            context.verify(isolated.signature)
        except xmlsec.Error:
            continue
        return key
    raise SecurityFault("FailedCheck", "no trusted key verifies the signature")


def verify_enveloped(
    element: etree._Element, keys: Sequence[TrustedKey], *, limit: int = LIMIT
) -> tuple[etree._Element, TrustedKey]:
    """The signed element alone in a document of its own, to be read instead of `element`, and the key that verified."""
    isolated = isolate(element, limit=limit)
    return isolated.element, verify_isolated(isolated, keys)


def sign_enveloped(element: etree._Element, key_pem: bytes, cert_pem: bytes) -> etree._Element:
    """A copy of `element` (which has an ID) with a signature after its Issuer, or first without one."""
    key, method = _signing_key(key_pem, cert_pem)
    root = xml.standalone(element)
    signature = xmlsec.template.create(root, _C.TransformExclC14N, SIGNATURE_METHODS[method][1], ns="ds")
    reference = xmlsec.template.add_reference(signature, _C.TransformSha256, uri="#" + (root.get("ID") or ""))
    xmlsec.template.add_transform(reference, _C.TransformEnveloped)
    xmlsec.template.add_transform(reference, _C.TransformExclC14N)
    data = xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    xmlsec.template.x509_data_add_certificate(data)
    first = root[0] if len(root) else None
    after_issuer = first is not None and isinstance(first.tag, str) and etree.QName(first).localname == "Issuer"
    root.insert(1 if after_issuer else 0, signature)
    xmlsec.tree.add_ids(root, ["ID"])
    context = xmlsec.SignatureContext()
    context.key = key
    context.sign(signature)
    # lxml does not find all elements that xmlsec made; it finds what it parsed.
    return xml.standalone(root)


@lru_cache(maxsize=16)
def _signing_key(key_pem: bytes, cert_pem: bytes) -> tuple[Any, str]:
    try:
        private = serialization.load_pem_private_key(key_pem, None)
        certificate = x509.load_pem_x509_certificate(cert_pem)
        kind = kind_of(certificate)
        if private.public_key() != certificate.public_key():
            raise ValueError("the certificate is not of this key")
        key = xmlsec.Key.from_memory(key_pem, _C.KeyDataFormatPem)
        key.load_cert_from_memory(cert_pem, _C.KeyDataFormatPem)
    except (ValueError, TypeError, xmlsec.Error) as error:
        raise ConfigurationError(f"cannot sign with this key and certificate: {error}") from error
    if kind == "RSA":
        return key, _MORE + "rsa-sha256"
    large = isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.key_size > 256
    return key, _MORE + ("ecdsa-sha384" if large else "ecdsa-sha256")


# The form of a signature


def _hint(signature: etree._Element) -> str:
    """The certificate that KeyInfo quotes: it says which trusted key to try first, never what to trust."""
    found = signature.find("/".join(E(DS, name) for name in ("KeyInfo", "X509Data", "X509Certificate")))
    return "" if found is None or found.text is None else "".join(found.text.split())


def _check_form(signature: etree._Element, uri: str) -> tuple[str, str]:
    """The signature and digest methods of a ds:Signature that is formed and referenced as it must be."""
    children = [child.tag for child in signature]
    if children[:2] != [E(DS, "SignedInfo"), E(DS, "SignatureValue")] or children[2:] not in ([], [E(DS, "KeyInfo")]):
        raise _malformed("unexpected children of ds:Signature")
    signed_info = signature[0]
    names = [E(DS, name) for name in ("CanonicalizationMethod", "SignatureMethod", "Reference")]
    if [child.tag for child in signed_info] != names:
        raise _malformed("ds:SignedInfo must hold one reference")
    canonicalization, method, reference = signed_info
    _allowed(canonicalization, {EXCLUSIVE_C14N})
    algorithm = _allowed(method, SIGNATURE_METHODS)
    if reference.get("URI") != uri:
        raise _malformed("the reference is not to the signed element")
    if [child.tag for child in reference] != [E(DS, name) for name in ("Transforms", "DigestMethod", "DigestValue")]:
        raise _malformed("unexpected children of ds:Reference")
    transforms, digest, value = reference
    if [child.get("Algorithm") for child in transforms] != [ENVELOPED, EXCLUSIVE_C14N]:
        raise SecurityFault("UnsupportedAlgorithm", "the transforms must be enveloped-signature and exclusive C14N")
    _allowed(transforms[0], {ENVELOPED})
    _allowed(transforms[1], {EXCLUSIVE_C14N})
    digest_algorithm = _allowed(digest, DIGEST_METHODS)
    if len(value) or len(signature[1]):
        raise _malformed("element inside a digest or signature value")
    return algorithm, digest_algorithm


def _allowed(element: etree._Element, algorithms: Any) -> str:
    algorithm = element.get("Algorithm") or ""
    if algorithm not in algorithms:
        raise SecurityFault("UnsupportedAlgorithm", f"{etree.QName(element).localname} {algorithm!r} is not accepted")
    parameters = [child.tag for child in element]
    if parameters and (algorithm != EXCLUSIVE_C14N or parameters != [_INCLUSIVE_NAMESPACES] or len(element[0])):
        raise _malformed(f"parameters of {etree.QName(element).localname} are not accepted")
    return algorithm


def _malformed(detail: str) -> SecurityFault:
    return SecurityFault("InvalidSecurityToken", detail)
