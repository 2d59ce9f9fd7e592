"""Making a Document Digital Signature: a detached XAdES signature with one reference per document.

ITI TF-3 5.5.2; XAdES-BES (ETSI EN 319 132-1). Documents are referenced directly and not through a ds:Manifest, so that
every validator checks them.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from xdsi.domain.errors import ConfigurationError
from xdsi.spec.namespaces import DS, XADES
from xdsi.wire import xml
from xdsi.wire.canonical import C14N_11_COMMENTS, canonical
from xdsi.wire.xml import E
from xdsi.wire.xml_time import write_instant
from xdsi.wire.xmldsig import kind_of

COMMITMENT_SCHEME = "1.2.840.10065.1.12"
CONSENT = "1.2.840.10065.1.12.1.7"
CONSENT_WITNESS = "1.2.840.10065.1.12.1.11"
DETACHED = "urn:ihe:iti:dsg:detached:2014"
SIGNED_PROPERTIES_TYPE = "http://uri.etsi.org/01903#SignedProperties"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+")


def uri_of(unique_id: str) -> str:
    """How a signature refers to a document: its uniqueId where that is a URI, else `urn:oid:` and the uniqueId."""
    return unique_id if _URI.fullmatch(unique_id) else "urn:oid:" + quote(unique_id, safe=".")


def unique_id_of(uri: str) -> str:
    """The uniqueId that a signature's reference means."""
    return unquote(uri[8:]) if uri.startswith("urn:oid:") else uri


def sign(
    documents: Mapping[str, bytes],
    *,
    key_pem: bytes,
    cert_pem: bytes,
    chain_pems: Sequence[bytes] = (),
    now: datetime,
    commitment: str = CONSENT,
    media_type: str = "text/xml",
) -> bytes:
    """A signature document over `documents`, uniqueId to the SHA-256 of the document's bytes as they are stored.

    `chain_pems` are the authorities between the certificate and the anchor, sent along.
    """
    try:
        key = serialization.load_pem_private_key(key_pem, None)
        certificate = x509.load_pem_x509_certificate(cert_pem)
        chain = [certificate, *(x509.load_pem_x509_certificate(pem) for pem in chain_pems)]
        kind_of(certificate)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"cannot sign documents with this key and certificate: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) or (
        key.public_key() != certificate.public_key()
    ):
        raise ConfigurationError("the certificate is not of this key")
    large = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256
    method = "rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa-sha384" if large else "ecdsa-sha256"

    identifier = f"signature-{uuid.uuid4()}"
    root = etree.Element(E(DS, "Signature"), nsmap={"ds": DS}, Id=identifier)
    signed_info = _ds(root, "SignedInfo")
    _ds(signed_info, "CanonicalizationMethod", Algorithm=C14N_11_COMMENTS)
    _ds(signed_info, "SignatureMethod", Algorithm=_MORE + method)
    for number, (unique_id, digest) in enumerate(documents.items(), start=1):
        reference = _ds(signed_info, "Reference", Id=f"document-{number}", URI=uri_of(unique_id))
        _digest(reference, digest)
    value = _ds(root, "SignatureValue")
    data = _ds(_ds(root, "KeyInfo"), "X509Data")
    for member in chain:
        _ds(data, "X509Certificate").text = _base64(member.public_bytes(serialization.Encoding.DER))
    properties = _add_properties(root, identifier, certificate, len(documents), now, commitment, media_type)
    reference = _ds(signed_info, "Reference", Type=SIGNED_PROPERTIES_TYPE, URI=f"#{properties.get('Id')}")
    _ds(_ds(reference, "Transforms"), "Transform", Algorithm=C14N_11_COMMENTS)
    _digest(reference, hashlib.sha256(canonical(properties, C14N_11_COMMENTS)).digest())
    value.text = _base64(_signature_value(key, canonical(signed_info, C14N_11_COMMENTS)))
    return xml.serialize(root)


def _add_properties(
    root: etree._Element,
    identifier: str,
    certificate: x509.Certificate,
    documents: int,
    now: datetime,
    commitment: str,
    media_type: str,
) -> etree._Element:
    holder = etree.SubElement(
        _ds(root, "Object"), E(XADES, "QualifyingProperties"), nsmap={"xades": XADES}, Target=f"#{identifier}"
    )
    properties = _xades(holder, "SignedProperties", Id=f"{identifier}-properties")
    signature = _xades(properties, "SignedSignatureProperties")
    _xades(signature, "SigningTime").text = write_instant(now)
    digest = _xades(_xades(_xades(signature, "SigningCertificateV2"), "Cert"), "CertDigest")
    _digest(digest, certificate.fingerprint(hashes.SHA256()))
    policy = _xades(_xades(signature, "SignaturePolicyIdentifier"), "SignaturePolicyId")
    _xades(_xades(policy, "SigPolicyId"), "Identifier").text = DETACHED
    # The policy is a name without a text behind it; its hash is of the name.
    _digest(_xades(policy, "SigPolicyHash"), hashlib.sha256(DETACHED.encode()).digest())
    objects = _xades(properties, "SignedDataObjectProperties")
    for number in range(1, documents + 1):
        form = _xades(objects, "DataObjectFormat", ObjectReference=f"#document-{number}")
        _xades(form, "MimeType").text = media_type
    indication = _xades(objects, "CommitmentTypeIndication")
    kind = _xades(_xades(indication, "CommitmentTypeId"), "Identifier", Qualifier="OIDAsURN")
    kind.text = f"urn:oid:{commitment}"
    _xades(indication, "AllSignedDataObjects")
    return properties


def _signature_value(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, octets: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(octets, padding.PKCS1v15(), hashes.SHA256())
    large = key.curve.key_size > 256
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(hashes.SHA384() if large else hashes.SHA256())))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _digest(parent: etree._Element, digest: bytes) -> None:
    _ds(parent, "DigestMethod", Algorithm=_SHA256)
    _ds(parent, "DigestValue").text = _base64(digest)


def _ds(parent: etree._Element, local: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, E(DS, local), attributes)


def _xades(parent: etree._Element, local: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, E(XADES, local), attributes)


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
