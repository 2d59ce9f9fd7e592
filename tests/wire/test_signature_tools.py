"""Signatures and independent tools: xmlsec1 and signxml verify ours, and ours verifies what signxml signs.

Neither knows what a uniqueId is: xmlsec1 is given a file for each address, signxml a resolver.
"""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree
from signxml import (
    CanonicalizationMethod,
    DigestAlgorithm,
    SignatureConfiguration,
    SignatureConstructionMethod,
    SignatureMethod,
)
from signxml.exceptions import InvalidDigest, InvalidSignature
from signxml.xades import XAdESDataObjectFormat, XAdESSigner, XAdESVerifier

from tests.certificates import authority, identity
from tests.imaging import program
from tests.time_stamping import prepare
from tests.wire.test_signature_document import ANN, CONSENT, PATIENT, STORE, checked, indication, signed
from xdsi.domain.consent import SignatureStatus
from xdsi.spec.namespaces import XADES
from xdsi.wire import time_stamp
from xdsi.wire.signature_writer import uri_of

pytestmark = pytest.mark.component
ABOUT = next(iter(STORE))
EC = identity("Ann P-384", "P-384", issuer="citizens", serial_number=PATIENT.id)
FORMS = {
    "detached": lambda: signed(),
    "enveloping": lambda: signed(documents={}, enclosed={ABOUT: CONSENT}),
    "both": lambda: signed(enclosed={ABOUT: CONSENT}),
    "ecdsa": lambda: signed(EC),
}


# xmlsec1


def xmlsec1(folder, raw, store=STORE):
    """Whether xmlsec1 takes the signature, each document coming from a file."""
    (folder / "signature.xml").write_bytes(raw)
    (folder / "ca.pem").write_bytes(authority("citizens").cert_pem)
    maps = []
    for number, (unique_id, content) in enumerate(store.items()):
        (folder / f"{number}.bin").write_bytes(content)
        maps += [f"--url-map:{uri_of(unique_id)}", str(folder / f"{number}.bin")]
    done = subprocess.run(
        [program("xmlsec1"), "--verify", "--enabled-key-data", "x509", "--trusted-pem", folder / "ca.pem",
         "--id-attr:Id", "SignedProperties", "--id-attr:Id", "Object", *maps, folder / "signature.xml"],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("form", FORMS)
def test_xmlsec1_verifies_ours(tmp_path, form):
    raw = FORMS[form]()
    assert checked(raw, about=ABOUT).status is SignatureStatus.VALID
    assert xmlsec1(tmp_path, raw)


def test_xmlsec1_verifies_a_stamped_one(tmp_path):
    own = prepare(tmp_path / "tsa")
    assert xmlsec1(tmp_path, signed(stamp=lambda octets: time_stamp.stamp(octets, own.stamp)))


def test_xmlsec1_sees_a_changed_document(tmp_path):
    assert not xmlsec1(tmp_path, signed(), {**STORE, ABOUT: CONSENT + b"\n"})


# signxml


def resolver(store=STORE):
    known = {uri_of(unique_id): content for unique_id, content in store.items()}
    return lambda uri: known[uri]


@pytest.mark.parametrize("form", ["detached", "enveloping", "both", "ecdsa"])
def test_signxml_verifies_ours(form):
    signer = EC if form == "ecdsa" else ANN
    count = {"enveloping": 2, "both": 4}.get(form, 3)
    config = SignatureConfiguration(expect_references=count, require_x509=True)
    done = XAdESVerifier().verify(
        FORMS[form](), x509_cert=signer.certificate, uri_resolver=resolver(), expect_config=config
    )
    assert len(done) == count


def test_signxml_sees_a_changed_document():
    with pytest.raises((InvalidDigest, InvalidSignature)):
        XAdESVerifier().verify(
            signed(),
            x509_cert=ANN.certificate,
            uri_resolver=resolver({**STORE, ABOUT: CONSENT + b"\n"}),
            expect_config=SignatureConfiguration(expect_references=3),
        )


def signed_by_signxml(signer=ANN, *, method=SignatureMethod.RSA_SHA256, commitment="1.2.840.10065.1.12.1.7"):
    """A XAdES signature of CANONICAL as signxml makes it: its digest is of canonical XML."""
    xades = XAdESSigner(
        method=SignatureConstructionMethod.detached,
        signature_algorithm=method,
        digest_algorithm=DigestAlgorithm.SHA256,
        c14n_algorithm=CanonicalizationMethod.CANONICAL_XML_1_1,
        data_object_format=XAdESDataObjectFormat(Description="consent", MimeType="text/xml"),
    )
    xades.signed_data_object_properties_annotators.append(lambda holder, **_: commit(holder, commitment))
    root = xades.sign(
        etree.fromstring(CANONICAL, etree.XMLParser()),
        key=signer.key,
        cert=[signer.certificate],
        reference_uri=uri_of(ABOUT),
        always_add_key_value=False,
        exclude_c14n_transform_element=True,
    )
    return etree.tostring(root)


CANONICAL = b'<consent of="Ann"><permit></permit></consent>'
HELD = {ABOUT: CANONICAL}


def commit(holder, commitment):
    kind = etree.SubElement(holder, f"{{{XADES}}}CommitmentTypeIndication")
    name = etree.SubElement(etree.SubElement(kind, f"{{{XADES}}}CommitmentTypeId"), f"{{{XADES}}}Identifier")
    name.text = f"urn:oid:{commitment}"
    etree.SubElement(kind, f"{{{XADES}}}AllSignedDataObjects")


def judged(raw, **arguments):
    return checked(raw, now=datetime.now(UTC) + timedelta(minutes=1), about=ABOUT, **{"store": HELD} | arguments)


@pytest.mark.parametrize(
    ("signer", "method"),
    [
        (ANN, SignatureMethod.RSA_SHA256),
        (ANN, SignatureMethod.RSA_SHA512),
        (EC, SignatureMethod.ECDSA_SHA384),
    ],
    ids=["RSA", "RSA, SHA-512", "ECDSA"],
)
def test_ours_verifies_what_signxml_signs(signer, method):
    result = judged(signed_by_signxml(signer, method=method))
    assert result.status is SignatureStatus.VALID, result.reason
    assert result.documents[ABOUT] is True


def test_ours_refuses_what_signxml_would():
    raw = signed_by_signxml()
    assert indication(judged(raw, store={ABOUT: CANONICAL + b"\n"})) == ("failed", "HASH_FAILURE")
    author = signed_by_signxml(commitment="1.2.840.10065.1.12.1.1")
    assert indication(judged(author)) == ("failed", "SIG_CONSTRAINTS_FAILURE")
    other = SignatureMethod.SHA256_RSA_MGF1
    assert indication(judged(signed_by_signxml(method=other))) == ("failed", "FORMAT_FAILURE")
