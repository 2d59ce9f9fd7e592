"""Signature documents: ours are valid for us and for xmlsec; every alteration is seen; the signer must be the one."""

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from lxml import etree

from tests.certificates import END, START, authority, identity, revocation_list
from tests.oracles import corpus
from xdsi.domain.consent import SignatureStatus
from xdsi.domain.errors import ConfigurationError, MalformedMessage
from xdsi.domain.identifiers import PatientId
from xdsi.spec.namespaces import DS, XADES
from xdsi.wire import xml
from xdsi.wire.canonical import ALGORITHMS, C14N_11_COMMENTS, canonical
from xdsi.wire.signature_document import ConsentTrust, read, sign, verify
from xdsi.wire.signature_writer import COMMITMENT_SCHEME, unique_id_of, uri_of
from xdsi.wire.signer import Enrolment
from xdsi.wire.signing_key import pem_key
from xdsi.wire.xml import E

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
PATIENT = PatientId("85010112345", "2.999.1.1")
ANN = identity("Ann", "2048", issuer="citizens", serial_number=PATIENT.id)
SEAL = identity("hospital seal", issuer="companies", content_commitment=False)
SOMEBODY = PatientId("90020254321", "2.999.1.1")
STRANGER = identity("stranger", issuer="nobody's", serial_number=PATIENT.id)
TRUST = ConsentTrust.of([authority("citizens").cert_pem], seals=[SEAL.cert_pem])
CONSENT = b"<consent/>"
TWIN = b"%PDF consent in words"
STORE = {"2.999.30.1": CONSENT, "urn:uuid:6d1e6f1e-0000-4000-8000-000000000001": TWIN}
WITNESS = f"{COMMITMENT_SCHEME}.1.11"


def fetcher(store=STORE):
    return lambda unique_id, algorithm: (
        hashlib.new(algorithm, store[unique_id]).digest() if unique_id in store else None
    )


def signed(signer=ANN, documents=STORE, **changes):
    digests = {unique_id: hashlib.sha256(raw).digest() for unique_id, raw in documents.items()}
    return sign(digests, **{"key": signer.signing_key, "now": NOW} | changes)


def checked(raw, *, store=STORE, trust=TRUST, now=NOW, patients=(PATIENT,), **arguments):
    return verify(raw, fetcher(store), trust, now, patients=patients, **arguments)


def indication(result):
    return result.status.value, result.reason.partition(":")[0]


@pytest.mark.parametrize("kind", ["2048", "P-256", "P-384"])
def test_signed_by_the_patient(kind):
    signer = identity(f"Ann {kind}", kind, issuer="citizens", serial_number=PATIENT.id)
    result = checked(signed(signer))
    assert result.status is SignatureStatus.VALID, result.reason
    assert result.documents == dict.fromkeys(STORE, True)
    assert result.serial_number == PATIENT.id
    assert "Ann" in result.signer
    assert result.signing_time == NOW
    assert result.commitments == (f"{COMMITMENT_SCHEME}.1.7",)
    assert result.certificate_sha256 == signer.sha256
    assert not result.on_behalf


def test_signed_by_a_hospital_on_behalf():
    for commitment in (WITNESS, f"{COMMITMENT_SCHEME}.1.7"):
        result = checked(signed(SEAL, commitment=commitment))
        assert result.status is SignatureStatus.VALID, result.reason
        assert result.on_behalf


def city_signer():
    """Ann with a certificate of an authority that an anchor made, and that authority."""
    middle = identity("city", issuer="citizens", ca=True, content_commitment=False, digital_signature=False)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(ANN.certificate.subject)
        .issuer_name(middle.certificate.subject)
        .public_key(ANN.key.public_key())
        .serial_number(5)
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(ANN.certificate.extensions.get_extension_for_class(x509.KeyUsage).value, critical=True)
        .sign(middle.key, hashes.SHA256())
    )
    return replace(ANN, certificate=leaf), middle


def test_intermediate_authority_sent_along():
    signer, middle = city_signer()
    assert indication(checked(signed(signer))) == ("failed", "NO_CERTIFICATE_CHAIN_FOUND")
    assert checked(signed(key=replace(signer.signing_key, chain=(middle.certificate,)))).status is SignatureStatus.VALID
    configured = ConsentTrust.of([authority("citizens").cert_pem], intermediates=[middle.cert_pem])
    assert checked(signed(signer), trust=configured).status is SignatureStatus.VALID


def test_valid_for_xmlsec_too():
    by_uri = {uri_of(unique_id).encode(): raw for unique_id, raw in STORE.items()}
    opened = {}

    def open_(uri):
        opened[1] = by_uri[bytes(uri)]
        return 1

    def read_(handle, buffer):
        part, opened[handle] = opened[handle][: len(buffer)], opened[handle][len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    root = xml.parse(signed())
    xmlsec.tree.add_ids(root, ["Id"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(ANN.cert_pem, xmlsec.constants.KeyDataFormatCertPem)
    xmlsec.register_callbacks(lambda uri: bytes(uri) in by_uri, open_, read_, lambda handle: None)
    try:
        context.verify(root)
    finally:
        xmlsec.cleanup_callbacks()


def test_read_says_what_is_signed():
    document = read(signed())
    assert document.documents == tuple(STORE)
    assert document.properties is not None
    assert document.properties.policy == "urn:ihe:iti:dsg:detached:2014"


@pytest.mark.parametrize(
    ("unique_id", "uri"),
    [
        ("2.999.30.1", "urn:oid:2.999.30.1"),
        ("2.999.30^a b", "urn:oid:2.999.30%5Ea%20b"),
        ("urn:uuid:1", "urn:uuid:1"),
        ("https://x.example/1", "https://x.example/1"),
    ],
)
def test_references(unique_id, uri):
    assert uri_of(unique_id) == uri
    assert unique_id_of(uri) == unique_id


# Documents


def test_consent_altered():
    result = checked(signed(), store=STORE | {"2.999.30.1": b"<consent />"})
    assert indication(result) == ("failed", "HASH_FAILURE")
    assert result.documents["2.999.30.1"] is False


def test_line_ends_matter():
    raw = signed(documents={"1.2": b"a\r\nb"})
    assert checked(raw, store={"1.2": b"a\nb"}).status is SignatureStatus.FAILED
    assert checked(raw, store={"1.2": b"a\r\nb"}).status is SignatureStatus.VALID


def test_consent_not_at_hand():
    result = checked(signed(), store={})
    assert indication(result) == ("pending", "SIGNED_DATA_NOT_FOUND")
    assert result.documents == dict.fromkeys(STORE)


def test_other_documents_need_not_be_at_hand():
    store = {"2.999.30.1": CONSENT}
    assert checked(signed(), store=store).status is SignatureStatus.PENDING
    assert checked(signed(), store=store, about="2.999.30.1").status is SignatureStatus.VALID
    assert indication(checked(signed(), store={}, about="2.999.30.1")) == ("pending", "SIGNED_DATA_NOT_FOUND")


def test_signature_of_another_document():
    """Moved to another consent, or over the readable twin only."""
    assert indication(checked(signed(), about="2.999.30.2")) == ("failed", "CONTEXT_MISMATCH")


def test_signature_of_nothing():
    assert indication(checked(signed(documents={}))) == ("failed", "CONTEXT_MISMATCH")


# Attacks on the form


def part(root, *names, ns=DS):
    found = root.find("/".join(f".//{E(ns, name)}" if i == 0 else E(ns, name) for i, name in enumerate(names)))
    assert found is not None, names
    return found


def _set(name, value, *path, ns=DS):
    return lambda root: part(root, *path, ns=ns).set(name, value)


def _text(value, *path, ns=DS):
    def change(root):
        part(root, *path, ns=ns).text = value

    return change


def _append(make, *path, ns=DS):
    return lambda root: (part(root, *path, ns=ns) if path else root).append(make())


def _remove(*path, ns=DS):
    def change(root):
        found = part(root, *path, ns=ns)
        found.getparent().remove(found)

    return change


def _duplicate(*path):
    def change(root):
        found = part(root, *path)
        found.addnext(xml.parse(etree.tostring(found, with_tail=False)))

    return change


def _unsigned_properties(root):
    references = root.findall(f".//{E(DS, 'Reference')}")
    references[-1].getparent().remove(references[-1])


def _twin_properties(root):
    """The signed ones stay where the reference finds them; a second set says something else."""
    holder = part(root, "QualifyingProperties", ns=XADES)
    evil = xml.parse(etree.tostring(holder, with_tail=False))
    holder.getparent().addprevious(etree.Element(E(DS, "Object")))
    holder.getparent().getprevious().append(evil)


def _moved_properties(root):
    properties = part(root, "SignedProperties", ns=XADES)
    carrier = etree.SubElement(root, E(DS, "Object"))
    carrier.append(properties)


def _many(root):
    info = part(root, "SignedInfo")
    for _ in range(1001):
        info.append(xml.parse(etree.tostring(info[2])))


XSLT = "http://www.w3.org/TR/1999/REC-xslt-19991116"
SHA1, RSA_SHA1 = DS + "sha1", DS + "rsa-sha1"
HMAC = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
FORM = {
    "comment": _append(lambda: etree.Comment("x"), "SignedInfo"),
    "comment in a digest": _append(lambda: etree.Comment("x"), "DigestValue"),
    "processing instruction": _append(lambda: etree.ProcessingInstruction("x", "y")),
    "two SignedInfo": _duplicate("SignedInfo"),
    "two digests in a reference": _duplicate("Reference", "DigestValue"),
    "two signature values": _duplicate("SignatureValue"),
    "twin Id": _set("Id", "document-1", "SignatureValue"),
    "signature inside": _append(lambda: etree.Element(E(DS, "Signature")), "Object"),
    "foreign child": _append(lambda: etree.Element("{urn:x}y")),
    "xml:base": _set("{http://www.w3.org/XML/1998/namespace}base", "x", "Object"),
    "SHA-1 digest": _set("Algorithm", SHA1, "Reference", "DigestMethod"),
    "SHA-1 signature": _set("Algorithm", RSA_SHA1, "SignatureMethod"),
    "HMAC": _set("Algorithm", HMAC, "SignatureMethod"),
    "XSLT": _set("Algorithm", XSLT, "Transform"),
    "transform with parameters": _append(lambda: etree.Element("x"), "Transform"),
    "two transforms": _duplicate("Transform"),
    "transform of a document": _append(
        lambda: xml.parse(f'<d:Transforms xmlns:d="{DS}"><d:Transform Algorithm="{XSLT}"/></d:Transforms>'.encode()),
        "Reference",
    ),
    "unknown canonicalization": _set("Algorithm", "urn:x", "CanonicalizationMethod"),
    "empty URI": _set("URI", "", "Reference"),
    "no URI": lambda root: part(root, "Reference").attrib.pop("URI"),
    "xpointer": _set("URI", "#xpointer(/)", "Reference"),
    "dangling": _set("URI", "#nothing", "Reference"),
    "digest not base64": _text("!", "Reference", "DigestValue"),
    "certificate not base64": _text("!", "X509Certificate"),
    "certificate is none": _text("AAAA", "X509Certificate"),
    "signing time without offset": _text("2026-05-04T10:00:00", "SigningTime", ns=XADES),
    "signing time impossible": _text("2026-15-04T10:00:00Z", "SigningTime", ns=XADES),
    "too many references": _many,
    "no references": lambda root: [
        part(root, "SignedInfo").remove(r) for r in root.findall(f".//{E(DS, 'Reference')}")
    ],
}


@pytest.mark.parametrize("case", FORM)
def test_form(case):
    root = xml.parse(signed())
    FORM[case](root)
    raw = etree.tostring(root)
    with pytest.raises(MalformedMessage):
        read(raw)
    assert indication(checked(raw)) == ("failed", "FORMAT_FAILURE")


@pytest.mark.parametrize("raw", [b"", b"<x/>", b"<!DOCTYPE x []><x/>", b"x" * 6_000_000])
def test_no_signature_at_all(raw):
    assert indication(checked(raw)) == ("failed", "FORMAT_FAILURE")


ALTERED = {
    "signing time": (_text("2025-05-04T10:00:00Z", "SigningTime", ns=XADES), "HASH_FAILURE"),
    "commitment": (_text("urn:oid:1.2", "CommitmentTypeId", "Identifier", ns=XADES), "HASH_FAILURE"),
    "certificate digest": (_text("AAAA", "CertDigest", ns=XADES), "HASH_FAILURE"),
    "digest of a document": (_text("AAAA", "Reference", "DigestValue"), "SIG_CRYPTO_FAILURE"),
    "reference to another document": (_set("URI", "urn:oid:1.2", "Reference"), "SIG_CRYPTO_FAILURE"),
    "reference to a file": (_set("URI", "file:///etc/hostname", "Reference"), "SIG_CRYPTO_FAILURE"),
    "signature value": (_text("AAAA", "SignatureValue"), "SIG_CRYPTO_FAILURE"),
    "another method": (
        _set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", "SignatureMethod"),
        "SIG_CRYPTO_FAILURE",
    ),
    "method for another kind of key": (
        _set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", "SignatureMethod"),
        "SIG_CRYPTO_FAILURE",
    ),
    "no KeyInfo": (_remove("KeyInfo"), "SIG_CONSTRAINTS_FAILURE"),
    "properties not signed": (_unsigned_properties, "FORMAT_FAILURE"),
    "properties moved": (_moved_properties, "FORMAT_FAILURE"),
    "twin properties": (_twin_properties, "FORMAT_FAILURE"),
}


@pytest.mark.parametrize("case", ALTERED)
def test_altered(case):
    change, expected = ALTERED[case]
    root = xml.parse(signed())
    change(root)
    assert indication(checked(etree.tostring(root))) == ("failed", expected)


def test_second_certificate_of_the_same_key():
    """The signed properties bind the certificate, not only the key."""
    twin = identity("Ann again", "2048", issuer="citizens", serial_number="other", key_of="Ann")
    root = xml.parse(signed())
    part(root, "X509Certificate").text = base64.b64encode(twin.cert_der).decode()
    assert indication(checked(etree.tostring(root))) == ("failed", "SIG_CONSTRAINTS_FAILURE")


def resigned(change, signer=ANN):
    """Changed by the signer himself: the signature holds, the content is unusual."""
    root = xml.parse(signed(signer))
    change(root)
    info = part(root, "SignedInfo")
    properties = part(root, "SignedProperties", ns=XADES)
    digest = base64.b64encode(hashlib.sha256(canonical(properties, C14N_11_COMMENTS)).digest()).decode()
    info.findall(E(DS, "Reference"))[-1].find(E(DS, "DigestValue")).text = digest
    value = signer.signing_key.sign(canonical(info, part(root, "CanonicalizationMethod").get("Algorithm")))
    part(root, "SignatureValue").text = base64.b64encode(value).decode()
    return etree.tostring(root)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_canonicalization(algorithm):
    raw = resigned(_set("Algorithm", algorithm, "CanonicalizationMethod"))
    assert checked(raw).status is SignatureStatus.VALID


def test_submission_set_entry_is_not_a_document():
    def change(root):
        reference = xml.parse(etree.tostring(part(root, "Reference")))
        reference.set("URI", "urn:oid:2.999.9")
        reference.set("Id", "set")
        reference.find(E(DS, "DigestValue")).text = "0"
        part(root, "SignedInfo").insert(2, reference)

    result = checked(resigned(change))
    assert result.status is SignatureStatus.VALID, result.reason
    assert "2.999.9" not in result.documents


def test_worse_of_two_references_counts():
    def change(root):
        reference = xml.parse(etree.tostring(part(root, "Reference")))
        reference.set("Id", "again")
        reference.find(E(DS, "DigestValue")).text = base64.b64encode(b"\0" * 32).decode()
        part(root, "SignedInfo").insert(2, reference)

    assert indication(checked(resigned(change))) == ("failed", "HASH_FAILURE")


def test_relative_namespace_has_no_canonical_form():
    def change(root):
        etree.SubElement(part(root, "SignedDataObjectProperties", ns=XADES), "{relative}x")

    root = xml.parse(signed())
    change(root)
    assert checked(etree.tostring(root)).status is SignatureStatus.FAILED


# The signer


def test_somebody_else():
    bob = identity("Bob", issuer="citizens", serial_number="90020254321")
    assert indication(checked(signed(bob))) == ("failed", "SIGNER_MISMATCH")
    assert checked(signed(bob), patients=None).status is SignatureStatus.VALID


def test_nobody_in_particular():
    unnamed = identity("unnamed", issuer="citizens")
    assert indication(checked(signed(unnamed))) == ("failed", "SIGNER_MISMATCH")


def test_stranger_with_the_right_number():
    assert indication(checked(signed(STRANGER))) == ("failed", "NO_CERTIFICATE_CHAIN_FOUND")
    enclosed = signed(key=replace(STRANGER.signing_key, chain=(authority("nobody's").certificate,)))
    assert indication(checked(enclosed)) == ("failed", "NO_CERTIFICATE_CHAIN_FOUND")
    assert indication(checked(signed(), trust=ConsentTrust.of([]))) == ("failed", "NO_CERTIFICATE_CHAIN_FOUND")


def test_seal_that_is_not_configured():
    seal = identity("other seal", issuer="citizens", content_commitment=False)
    assert indication(checked(signed(seal))) == ("failed", "CHAIN_CONSTRAINTS_FAILURE")


def test_number_with_the_european_prefix():
    signer = identity("Ann E", issuer="citizens", serial_number=f"PNOBE-{PATIENT.id}")
    assert checked(signed(signer)).status is SignatureStatus.VALID


def test_enrolled_number():
    signer = identity("Ann L", issuer="citizens", serial_number="10302122711400124365")
    assert indication(checked(signed(signer))) == ("failed", "SIGNER_MISMATCH")
    for name in ("10302122711400124365", signer.sha256):
        trust = replace(TRUST, enrolment=Enrolment(persons={name: frozenset({PATIENT})}))
        result = checked(signed(signer), trust=trust)
        assert (result.status, result.on_behalf) == (SignatureStatus.VALID, False)
        assert indication(checked(signed(signer), trust=trust, patients=[SOMEBODY])) == ("failed", "SIGNER_MISMATCH")


def test_guardian():
    """A guardian signs for the patients he is listed for, and with the patient's purpose only."""
    mother = identity("Eve", issuer="citizens", serial_number="60010154321")
    trust = replace(TRUST, enrolment=Enrolment(guardians={"60010154321": frozenset({PATIENT})}))
    result = checked(signed(mother), trust=trust)
    assert (result.status, result.on_behalf) == (SignatureStatus.VALID, True), result.reason
    assert indication(checked(signed(mother), trust=trust, patients=[SOMEBODY])) == ("failed", "SIGNER_MISMATCH")
    witnessed = signed(mother, commitment=WITNESS)
    assert indication(checked(witnessed, trust=trust)) == ("failed", "SIG_CONSTRAINTS_FAILURE")


def test_seal_for_some_patients():
    trust = replace(TRUST, enrolment=Enrolment(hospitals={SEAL.sha256: frozenset({PATIENT})}))
    assert checked(signed(SEAL), trust=trust).status is SignatureStatus.VALID
    assert indication(checked(signed(SEAL), trust=trust, patients=[SOMEBODY])) == ("failed", "SIGNER_MISMATCH")
    assert checked(signed(SEAL), patients=[SOMEBODY]).status is SignatureStatus.VALID


def test_identifier_of_another_authority():
    trust = replace(TRUST, identity_authority="2.999.1.2")
    assert indication(checked(signed(), trust=trust)) == ("failed", "SIGNER_MISMATCH")
    linked = (PATIENT, PatientId(PATIENT.id, "2.999.1.2"))
    assert checked(signed(), trust=trust, patients=linked).status is SignatureStatus.VALID


def test_commitment():
    assert indication(checked(signed(commitment=WITNESS))) == ("failed", "SIG_CONSTRAINTS_FAILURE")
    author = f"{COMMITMENT_SCHEME}.1.1"
    assert indication(checked(signed(SEAL, commitment=author))) == ("failed", "SIG_CONSTRAINTS_FAILURE")


def test_key_usage():
    login = identity("Ann login", issuer="citizens", serial_number=PATIENT.id, content_commitment=False)
    assert indication(checked(signed(login))) == ("failed", "CHAIN_CONSTRAINTS_FAILURE")


def test_certificate_policy():
    trust = replace(TRUST, certificate_policies=frozenset({"2.16.56.12.1.1.2.1"}))
    assert indication(checked(signed(), trust=trust)) == ("failed", "CHAIN_CONSTRAINTS_FAILURE")


def test_weak_key():
    weak = identity("weak", "1024", issuer="citizens")
    with pytest.raises(ConfigurationError):
        pem_key(weak.key_pem, weak.cert_pem)
    with pytest.raises(ConfigurationError):
        ConsentTrust.of([], seals=[identity("weak", "1024").cert_pem])


# Time


def test_signed_in_the_future():
    raw = signed(now=NOW + timedelta(minutes=2))
    assert indication(checked(raw)) == ("failed", "SIG_CONSTRAINTS_FAILURE")
    assert checked(signed(now=NOW + timedelta(seconds=59))).status is SignatureStatus.VALID


def test_signed_after_it_arrived():
    first_seen = NOW - timedelta(days=1)
    assert indication(checked(signed(), first_seen=first_seen)) == ("failed", "SIG_CONSTRAINTS_FAILURE")


def test_certificate_over_at_signing_time():
    late = END + timedelta(days=1)
    assert indication(checked(signed(now=late), now=late)) == ("failed", "EXPIRED")
    early = START - timedelta(days=1)
    assert indication(checked(signed(now=early))) == ("failed", "NOT_YET_VALID")


def test_certificate_expired_since():
    late = END + timedelta(days=365)
    assert checked(signed(), now=late).status is SignatureStatus.VALID
    assert checked(signed(), now=late, first_seen=NOW).status is SignatureStatus.VALID
    assert indication(checked(signed(), now=late, first_seen=late)) == ("failed", "EXPIRED")


REVOKED = NOW - timedelta(days=10)


def with_list(crl, **arguments):
    return ConsentTrust.of([authority("citizens").cert_pem], crls=[crl], **arguments)


def test_revoked():
    trust = with_list(revocation_list("citizens", ANN, at=REVOKED))
    assert indication(checked(signed(), trust=trust)) == ("failed", "REVOKED")


def test_signing_time_set_back_does_not_help():
    trust = with_list(revocation_list("citizens", ANN, at=REVOKED))
    backdated = signed(now=REVOKED - timedelta(days=1))
    assert indication(checked(backdated, trust=trust)) == ("failed", "REVOKED")
    assert indication(checked(backdated, trust=trust, first_seen=NOW)) == ("failed", "REVOKED")


def test_revoked_after_it_arrived():
    trust = with_list(revocation_list("citizens", ANN, at=NOW + timedelta(days=1)))
    later = NOW + timedelta(days=30)
    assert checked(signed(), trust=trust, now=later, first_seen=NOW).status is SignatureStatus.VALID
    assert indication(checked(signed(), trust=trust, now=later)) == ("failed", "REVOKED")


def test_revoked_seal():
    trust = replace(TRUST, crls=(x509.load_pem_x509_crl(revocation_list("companies", SEAL)),))
    assert indication(checked(signed(SEAL, commitment=WITNESS), trust=trust)) == ("failed", "REVOKED")


def test_others_revoked():
    trust = with_list(revocation_list("citizens", identity("Bob", issuer="citizens", serial_number="90020254321")))
    assert checked(signed(), trust=trust).status is SignatureStatus.VALID


@pytest.mark.parametrize("first", [True, False])
def test_of_several_lists_in_a_file_each_counts(first):
    lists = [revocation_list("citizens", ANN, at=REVOKED), revocation_list("companies")]
    trust = with_list(b"".join(lists if first else reversed(lists)))
    assert indication(checked(signed(), trust=trust)) == ("failed", "REVOKED")


@pytest.mark.parametrize("damaged", [b"", b"no base64\n-----END X509 CRL-----\n"])
def test_a_list_that_cannot_be_read_is_told_wherever_it_stands(damaged):
    with pytest.raises(ConfigurationError, match=r"revocation lists begin|list 2 of 2 cannot be read"):
        with_list(revocation_list("citizens") + b"-----BEGIN X509 CRL-----\n" + damaged)


def test_revocation_list_too_old():
    crl = revocation_list("citizens", next_update=NOW - timedelta(days=1))
    assert indication(checked(signed(), trust=with_list(crl))) == ("pending", "TRY_LATER")


def test_no_revocation_list():
    crl = revocation_list("companies")
    assert checked(signed(), trust=with_list(crl)).status is SignatureStatus.VALID
    assert indication(checked(signed(), trust=with_list(crl, revocation_required=True))) == ("pending", "TRY_LATER")


def test_forged_revocation_list_says_nothing():
    """Signed by another key under the authority's name."""
    forged = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority("citizens").certificate.subject)
        .last_update(START)
        .next_update(END)
        .sign(STRANGER.key, hashes.SHA256())
    )
    trust = replace(TRUST, crls=(forged,), revocation_required=True)
    assert indication(checked(signed(), trust=trust)) == ("pending", "TRY_LATER")


def test_bad_configuration():
    with pytest.raises(ConfigurationError):
        ConsentTrust.of([b"no certificate"])


# Samples of third parties


def sample():
    folder = corpus("ihe-iti-info-examples", "DSG", "XML-Signature", "enveloping")
    return next(folder.glob("*ESa*")).read_bytes()


def sample_result(raw):
    certificate = read(sample()).certificates[0]
    trust = replace(TRUST, seals=frozenset({certificate.fingerprint(hashes.SHA256()).hex()}))
    return verify(raw, fetcher({}), trust, NOW, patients=None)


@pytest.mark.oracle
def test_ihe_enveloping_sample():
    result = sample_result(sample())
    assert result.status is SignatureStatus.VALID, result.reason
    assert result.documents == {"#documentId01": True}
    assert result.commitments == (f"{COMMITMENT_SCHEME}.1.6",)
    assert result.signing_time == datetime(2023, 2, 28, 13, 16, 7, 555000, tzinfo=UTC)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b">PD94bWwg", b">QD94bWwg"),
        (b"2023-02-28T22:16", b"2023-02-28T22:17"),
        (b"1.2.840.10065.1.12.1.6", b"1.2.840.10065.1.12.1.7"),
        (b"ylFhdKxEyzk5", b"ylFhdKxEyzk6"),
        (b"b58PaTWatuvb", b"b58PaTWatuvc"),
        (b'URI="#documentId01"', b'URI="#objectId"'),
    ],
    ids=["document", "time", "commitment", "manifest", "digest", "target"],
)
def test_ihe_enveloping_sample_altered(old, new):
    assert sample().count(old) == 1
    assert sample_result(sample().replace(old, new)).status is SignatureStatus.FAILED
