"""Enveloped signatures: what is accepted, and every way of cheating that is known to us."""

import base64
import hashlib
import hmac
from copy import deepcopy

import pytest
from lxml import etree

from tests.certificates import identity
from xdsi.domain.errors import ConfigurationError, SecurityFault
from xdsi.spec.namespaces import DS
from xdsi.wire import xml
from xdsi.wire.xml import E
from xdsi.wire.xmldsig import EXCLUSIVE_C14N, TrustedKey, sign_enveloped, verify_enveloped

SIGNER = identity("signer", "2048")
KEYS = [TrustedKey.of(SIGNER.cert_pem)]
SAMPLE = b'<t:thing xmlns:t="urn:t" ID="_1"><t:Issuer>us</t:Issuer><t:who>alice</t:who><t:note/></t:thing>'
MORE = "http://www.w3.org/2001/04/xmldsig-more#"


def signed(raw=SAMPLE, signer=SIGNER):
    return sign_enveloped(xml.parse(raw), signer.key_pem, signer.cert_pem)


def part(root, *names):
    found = root.find("/".join((E(DS, "Signature"), *(E(DS, name) for name in names))))
    assert found is not None
    return found


def refused(element, keys=KEYS):
    with pytest.raises(SecurityFault) as caught:
        verify_enveloped(element, keys)
    return caught.value.wsse_code


@pytest.mark.parametrize("kind", ["2048", "3072", "P-256", "P-384"])
def test_sign_and_verify(kind):
    signer = identity(f"signer-{kind}", kind)
    verified, key = verify_enveloped(signed(signer=signer), [TrustedKey.of(signer.cert_pem)])
    assert verified.findtext("{urn:t}who") == "alice"
    assert key.sha256 == signer.sha256


def test_signature_stands_after_the_issuer():
    assert [etree.QName(child).localname for child in signed()][:2] == ["Issuer", "Signature"]
    assert etree.QName(signed(b'<a ID="_1"><b/></a>')[0]).localname == "Signature"
    assert etree.QName(signed(b'<a ID="_1"/>')[0]).localname == "Signature"


def test_second_of_two_keys_verifies():
    other = TrustedKey.of(identity("other", "2048").cert_pem)
    elliptic = TrustedKey.of(identity("elliptic", "P-256").cert_pem)
    assert verify_enveloped(signed(), [other, elliptic, *KEYS])[1] is KEYS[0]


def test_prefix_declared_outside_survives():
    element = signed()
    envelope = etree.Element("envelope", nsmap={"t": "urn:t", "xs": "urn:xs"})
    envelope.append(element)
    message = xml.parse(etree.tostring(envelope))
    assert verify_enveloped(message[0], KEYS)[0].findtext("{urn:t}who") == "alice"


def test_inclusive_namespaces_are_understood():
    import xmlsec

    element = xml.parse(SAMPLE.replace(b"<t:who>", b'<t:who xmlns:xs="urn:xs" type="xs:string">'))
    c = xmlsec.constants
    signature = xmlsec.template.create(element, c.TransformExclC14N, c.TransformRsaSha512, ns="ds")
    reference = xmlsec.template.add_reference(signature, c.TransformSha384, uri="#_1")
    xmlsec.template.add_transform(reference, c.TransformEnveloped)
    transform = xmlsec.template.add_transform(reference, c.TransformExclC14N)
    etree.SubElement(transform, E(EXCLUSIVE_C14N, "InclusiveNamespaces"), PrefixList="xs")
    element.append(signature)
    xmlsec.tree.add_ids(element, ["ID"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(SIGNER.key_pem, c.KeyDataFormatPem)
    context.sign(signature)
    assert verify_enveloped(element, KEYS)[1] is KEYS[0]


# One change each


def _set(name, value, *path):
    def change(root):
        part(root, *path).set(name, value)

    return change


def _text(value):
    def change(root):
        root.find("{urn:t}who").text = value

    return change


def _insert(node_of, *path):
    def change(root):
        (part(root, *path) if path else root.find("{urn:t}who")).append(node_of())

    return change


def _transform(algorithm, content=None):
    def change(root):
        transforms = part(root, "SignedInfo", "Reference", "Transforms")
        transform = etree.SubElement(transforms, E(DS, "Transform"), Algorithm=algorithm)
        if content:
            transform.append(xml.parse(content))

    return change


def _replace_transform(algorithm):
    def change(root):
        part(root, "SignedInfo", "Reference", "Transforms")[1].set("Algorithm", algorithm)

    return change


def _duplicate(*path):
    def change(root):
        found = part(root, *path)
        found.getparent().insert(found.getparent().index(found), deepcopy(found))

    return change


def _remove(*path):
    def change(root):
        found = part(root, *path)
        found.getparent().remove(found)

    return change


def _twin_id(root):
    root.find("{urn:t}note").set("Id", "_1")


def _object(root):
    part(root).append(etree.Element(E(DS, "Object")))


def _second_signature(root):
    root.append(deepcopy(part(root)))


def _signature_deeper(root):
    root.find("{urn:t}note").append(part(root))


def _no_signature(root):
    root.remove(part(root))


def _digest_comment(root):
    value = part(root, "SignedInfo", "Reference", "DigestValue")
    text = value.text
    value.text = text[:4]
    value.append(etree.Comment("x"))
    value[0].tail = text[4:]


def _digest_element(root):
    etree.SubElement(part(root, "SignedInfo", "Reference", "DigestValue"), "x")


def _entity_like(root):
    root.find("{urn:t}who").append(etree.ProcessingInstruction("xml-stylesheet", "x"))


def _retrieval_method(root):
    key_info = part(root, "KeyInfo")
    key_info.clear()
    etree.SubElement(key_info, E(DS, "RetrievalMethod"), URI="file:///etc/hostname")
    _text("mallory")(root)


def _long_id(root):
    root.set("ID", "_" * 129)


XSLT = (
    b'<x:stylesheet xmlns:x="http://www.w3.org/1999/XSL/Transform" version="1.0">'
    b'<x:template match="/"><x:value-of select="document(\'file:///etc/hostname\')"/></x:template></x:stylesheet>'
)
REFERENCE = ("SignedInfo", "Reference")
ATTACKS = {
    "text altered": (_text("mallory"), "FailedCheck"),
    "attribute added": (lambda root: root.set("more", "1"), "FailedCheck"),
    "element added": (lambda root: etree.SubElement(root, "{urn:t}who"), "FailedCheck"),
    "digest altered": (lambda r: setattr(part(r, *REFERENCE, "DigestValue"), "text", "AAAA"), "FailedCheck"),
    "signature value altered": (lambda r: setattr(part(r, "SignatureValue"), "text", "AAAA"), "FailedCheck"),
    "comment in text": (_insert(lambda: etree.Comment("x")), "InvalidSecurityToken"),
    "comment in the digest": (_digest_comment, "InvalidSecurityToken"),
    "comment in SignedInfo": (_insert(lambda: etree.Comment("x"), "SignedInfo"), "InvalidSecurityToken"),
    "element in the digest": (_digest_element, "InvalidSecurityToken"),
    "processing instruction": (_entity_like, "InvalidSecurityToken"),
    "no signature": (_no_signature, "InvalidSecurityToken"),
    "second signature": (_second_signature, "InvalidSecurityToken"),
    "signature not a child": (_signature_deeper, "InvalidSecurityToken"),
    "twin id": (_twin_id, "InvalidSecurityToken"),
    "no id": (lambda root: root.attrib.pop("ID"), "InvalidSecurityToken"),
    "id too long": (_long_id, "InvalidSecurityToken"),
    "ds:Object": (_object, "InvalidSecurityToken"),
    "two SignedInfo": (_duplicate("SignedInfo"), "InvalidSecurityToken"),
    "two references": (_duplicate("SignedInfo", "Reference"), "InvalidSecurityToken"),
    "no reference": (_remove("SignedInfo", "Reference"), "InvalidSecurityToken"),
    "two digests": (_duplicate(*REFERENCE, "DigestValue"), "InvalidSecurityToken"),
    "empty URI": (_set("URI", "", *REFERENCE), "InvalidSecurityToken"),
    "URI of another id": (_set("URI", "#_2", *REFERENCE), "InvalidSecurityToken"),
    "xpointer URI": (_set("URI", "#xpointer(id('_1'))", *REFERENCE), "InvalidSecurityToken"),
    "xpointer root": (_set("URI", "#xpointer(/)", *REFERENCE), "InvalidSecurityToken"),
    "file URI": (_set("URI", "file:///etc/hostname", *REFERENCE), "InvalidSecurityToken"),
    "http URI": (_set("URI", "http://127.0.0.1:9/", *REFERENCE), "InvalidSecurityToken"),
    "RSA-SHA1": (_set("Algorithm", DS + "rsa-sha1", "SignedInfo", "SignatureMethod"), "UnsupportedAlgorithm"),
    "RSA-MD5": (_set("Algorithm", MORE + "rsa-md5", "SignedInfo", "SignatureMethod"), "UnsupportedAlgorithm"),
    "SHA-1 digest": (_set("Algorithm", DS + "sha1", *REFERENCE, "DigestMethod"), "UnsupportedAlgorithm"),
    "inclusive C14N": (
        _set("Algorithm", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "SignedInfo", "CanonicalizationMethod"),
        "UnsupportedAlgorithm",
    ),
    "C14N with comments": (_replace_transform(EXCLUSIVE_C14N + "WithComments"), "UnsupportedAlgorithm"),
    "XSLT": (_transform("http://www.w3.org/TR/1999/REC-xslt-19991116", XSLT), "UnsupportedAlgorithm"),
    "XSLT instead of C14N": (
        _replace_transform("http://www.w3.org/TR/1999/REC-xslt-19991116"),
        "UnsupportedAlgorithm",
    ),
    "XPath": (_replace_transform("http://www.w3.org/TR/1999/REC-xpath-19991116"), "UnsupportedAlgorithm"),
    "XPath filter 2": (_replace_transform("http://www.w3.org/2002/06/xmldsig-filter2"), "UnsupportedAlgorithm"),
    "base64": (_replace_transform(DS + "base64"), "UnsupportedAlgorithm"),
    "third transform": (_transform(EXCLUSIVE_C14N), "UnsupportedAlgorithm"),
    "HMAC output length": (
        _insert(lambda: etree.Element(E(DS, "HMACOutputLength")), "SignedInfo", "SignatureMethod"),
        "InvalidSecurityToken",
    ),
    "key by retrieval from a file": (_retrieval_method, "FailedCheck"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack(attack):
    change, code = ATTACKS[attack]
    element = signed()
    change(element)
    assert refused(element) == code


def test_wrong_key():
    assert refused(signed(), [TrustedKey.of(identity("other", "2048").cert_pem)]) == "FailedCheck"
    assert refused(signed(), [TrustedKey.of(identity("elliptic", "P-256").cert_pem)]) == "FailedCheck"
    assert refused(signed(), []) == "FailedCheck"


def test_key_info_cannot_bring_its_own_key():
    """Signed by a stranger who encloses his certificate: a naive verifier takes it."""
    assert refused(signed(signer=identity("stranger", "2048"))) == "FailedCheck"


def test_key_info_is_not_even_needed():
    element = signed()
    key_info = part(element, "KeyInfo")
    part(element).remove(key_info)
    assert verify_enveloped(element, KEYS)[1] is KEYS[0]


@pytest.mark.parametrize("name", ["hmac-sha256", "hmac-sha512"])
def test_hmac_with_the_public_key(name):
    """The public key used as the secret of an HMAC: only an allow list of methods stops it."""
    element = signed()
    part(element, "SignedInfo", "SignatureMethod").set("Algorithm", MORE + name)
    canonical = etree.tostring(part(element, "SignedInfo"), method="c14n", exclusive=True)
    digest = hmac.new(SIGNER.cert_pem, canonical, getattr(hashlib, name.removeprefix("hmac-"))).digest()
    part(element, "SignatureValue").text = base64.b64encode(digest).decode()
    assert refused(element) == "UnsupportedAlgorithm"


def test_size_is_limited():
    assert refused(signed(SAMPLE.replace(b"alice", b"a" * 70_000))) == "InvalidSecurityToken"


def test_result_is_alone_in_its_document():
    holder = etree.Element("holder")
    holder.append(signed())
    verified, _ = verify_enveloped(holder[0], KEYS)
    assert verified.getparent() is None
    assert verified.getroottree().getroot() is verified


@pytest.mark.parametrize("kind", ["1024"])
def test_weak_key_is_not_trusted(kind):
    with pytest.raises(ConfigurationError, match="2048"):
        TrustedKey.of(identity("weak", kind).cert_pem)


@pytest.mark.parametrize(
    ("key", "certificate"),
    [
        (SIGNER.key_pem, identity("other", "2048").cert_pem),
        (b"no key", SIGNER.cert_pem),
        (SIGNER.key_pem, b"no certificate"),
        (identity("weak", "1024").key_pem, identity("weak", "1024").cert_pem),
    ],
)
def test_cannot_sign_with(key, certificate):
    with pytest.raises(ConfigurationError):
        sign_enveloped(xml.parse(SAMPLE), key, certificate)


def test_not_a_certificate():
    with pytest.raises(ConfigurationError):
        TrustedKey.of("nothing")


def test_of_several_certificates_none_is_overlooked():
    """A second one in the file would not be trusted, without a word."""
    with pytest.raises(ConfigurationError, match="2 certificates in one file"):
        TrustedKey.of(SIGNER.cert_pem + identity("other", "2048").cert_pem)
