"""Making a Document Digital Signature: a detached or enveloping XAdES signature with one reference per document.

ITI TF-3 5.5.2; XAdES-BES and XAdES-T (ETSI EN 319 132-1). Documents are referenced directly and not through a
ds:Manifest, so that every validator checks them.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from lxml import etree

from xdsi.spec.namespaces import DS, XADES
from xdsi.wire import xml
from xdsi.wire.canonical import C14N_11, C14N_11_COMMENTS, canonical
from xdsi.wire.signing_key import SigningKey, method_of
from xdsi.wire.time_stamp import Stamp
from xdsi.wire.xml import E
from xdsi.wire.xml_time import write_instant

COMMITMENT_SCHEME = "1.2.840.10065.1.12"
CONSENT = "1.2.840.10065.1.12.1.7"
CONSENT_WITNESS = "1.2.840.10065.1.12.1.11"
DETACHED = "urn:ihe:iti:dsg:detached:2014"
ENVELOPING = "urn:ihe:iti:dsg:enveloping:2014"
BASE64 = "http://www.w3.org/2000/09/xmldsig#base64"
SIGNED_PROPERTIES_TYPE = "http://uri.etsi.org/01903#SignedProperties"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
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
    key: SigningKey,
    now: datetime,
    commitment: str = CONSENT,
    media_type: str = "text/xml",
    enclosed: Mapping[str, bytes] | None = None,
    stamp: Stamp | None = None,
) -> bytes:
    """A signature document over `documents`, uniqueId to the SHA-256 of the document's bytes as they are stored.

    `enclosed` are documents, uniqueId to bytes, that travel inside the signature as well (enveloping form); they are
    referred to by their uniqueId too, so that both copies are known to be the same. `stamp` asks an authority for a
    time stamp of the signature (XAdES-T).
    """
    identifier = f"signature-{uuid.uuid4()}"
    root = etree.Element(E(DS, "Signature"), nsmap={"ds": DS}, Id=identifier)
    signed_info = _ds(root, "SignedInfo")
    _ds(signed_info, "CanonicalizationMethod", Algorithm=C14N_11_COMMENTS)
    _ds(signed_info, "SignatureMethod", Algorithm=method_of(key.certificate))
    for number, (unique_id, digest) in enumerate(documents.items(), start=1):
        reference = _ds(signed_info, "Reference", Id=f"document-{number}", URI=uri_of(unique_id))
        _digest(reference, digest)
    value = _ds(root, "SignatureValue")
    data = _ds(_ds(root, "KeyInfo"), "X509Data")
    for member in (key.certificate, *key.chain):
        _ds(data, "X509Certificate").text = _base64(member.public_bytes(serialization.Encoding.DER))
    policy = ENVELOPING if enclosed else DETACHED
    holder = etree.SubElement(
        _ds(root, "Object"), E(XADES, "QualifyingProperties"), nsmap={"xades": XADES}, Target=f"#{identifier}"
    )
    properties = _add_properties(
        holder, identifier, key.certificate, len(documents) + len(enclosed or ()), now, commitment, media_type, policy
    )
    for number, raw in enumerate((enclosed or {}).values(), start=len(documents) + 1):
        attributes = {"Id": f"{identifier}-content-{number}", "Encoding": BASE64, "MimeType": media_type}
        content = _ds(root, "Object", **attributes)
        content.text = _base64(raw)
        _refer(signed_info, content, Id=f"document-{number}")
    _refer(signed_info, properties, Type=SIGNED_PROPERTIES_TYPE)
    value.text = _base64(key.sign(canonical(signed_info, C14N_11_COMMENTS)))
    if stamp is not None:
        _add_time_stamp(holder, stamp(canonical(value, C14N_11)))
    return xml.serialize(root)


def _refer(signed_info: etree._Element, target: etree._Element, **attributes: str) -> None:
    """A reference to another part of the same signature."""
    reference = _ds(signed_info, "Reference", **attributes, URI=f"#{target.get('Id')}")
    _ds(_ds(reference, "Transforms"), "Transform", Algorithm=C14N_11_COMMENTS)
    _digest(reference, hashlib.sha256(canonical(target, C14N_11_COMMENTS)).digest())


def _add_time_stamp(holder: etree._Element, token: bytes) -> None:
    unsigned = _xades(_xades(holder, "UnsignedProperties"), "UnsignedSignatureProperties")
    time_stamp = _xades(unsigned, "SignatureTimeStamp")
    _ds(time_stamp, "CanonicalizationMethod", Algorithm=C14N_11)
    _xades(time_stamp, "EncapsulatedTimeStamp").text = _base64(token)


def _add_properties(
    holder: etree._Element,
    identifier: str,
    certificate: x509.Certificate,
    documents: int,
    now: datetime,
    commitment: str,
    media_type: str,
    form: str,
) -> etree._Element:
    properties = _xades(holder, "SignedProperties", Id=f"{identifier}-properties")
    signature = _xades(properties, "SignedSignatureProperties")
    _xades(signature, "SigningTime").text = write_instant(now)
    digest = _xades(_xades(_xades(signature, "SigningCertificateV2"), "Cert"), "CertDigest")
    _digest(digest, certificate.fingerprint(hashes.SHA256()))
    policy = _xades(_xades(signature, "SignaturePolicyIdentifier"), "SignaturePolicyId")
    _xades(_xades(policy, "SigPolicyId"), "Identifier").text = form
    # The policy is a name without a text behind it; its hash is of the name.
    _digest(_xades(policy, "SigPolicyHash"), hashlib.sha256(form.encode()).digest())
    objects = _xades(properties, "SignedDataObjectProperties")
    for number in range(1, documents + 1):
        described = _xades(objects, "DataObjectFormat", ObjectReference=f"#document-{number}")
        _xades(described, "MimeType").text = media_type
    indication = _xades(objects, "CommitmentTypeIndication")
    kind = _xades(_xades(indication, "CommitmentTypeId"), "Identifier", Qualifier="OIDAsURN")
    kind.text = f"urn:oid:{commitment}"
    _xades(indication, "AllSignedDataObjects")
    return properties


def _digest(parent: etree._Element, digest: bytes) -> None:
    _ds(parent, "DigestMethod", Algorithm=_SHA256)
    _ds(parent, "DigestValue").text = _base64(digest)


def _ds(parent: etree._Element, local: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, E(DS, local), attributes)


def _xades(parent: etree._Element, local: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, E(XADES, local), attributes)


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
