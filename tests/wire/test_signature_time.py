"""XAdES-T: a time stamp proves when a signature existed, if a trusted authority gave it, for this signature.

The authority is openssl's (RFC 3161).
"""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree

from tests.certificates import authority, identity, revocation_list
from tests.time_stamping import AUTHORITY, prepare, stamper, stamping
from tests.wire.test_signature_document import ANN, PATIENT, TRUST, checked, indication, part, signed
from xdsi.domain.consent import SignatureStatus
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.spec.namespaces import XADES
from xdsi.transport.time_stamp_client import TimeStampClient
from xdsi.wire import time_stamp, xml

NOW = datetime.now(UTC)
STAMPS = (authority(AUTHORITY).certificate,)
TRUSTING = replace(TRUST, timestamp_anchors=STAMPS)
REQUIRING = replace(TRUSTING, timestamp_required=True)
VALID = ("valid", "")

pytestmark = pytest.mark.component


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    with stamping(tmp_path_factory.mktemp("tsa") / "own") as found:
        yield found


def stamped(tsa, signer=ANN, **changes):
    stamp = lambda octets: time_stamp.stamp(octets, tsa.stamp)  # noqa: E731
    return signed(signer, **{"now": datetime.now(UTC), "stamp": stamp} | changes)


@pytest.fixture(scope="module")
def genuine(tsa):
    return stamped(tsa)


def judged(raw, trust=REQUIRING, *, after=timedelta(minutes=1), **arguments):
    return indication(checked(raw, trust=trust, now=datetime.now(UTC) + after, **arguments))


def test_a_stamped_signature_says_when_it_existed(genuine):
    result = checked(genuine, trust=REQUIRING, now=datetime.now(UTC) + timedelta(minutes=1))
    assert result.status is SignatureStatus.VALID, result.reason
    assert result.stamped_at is not None
    assert abs(result.stamped_at - datetime.now(UTC)) < timedelta(hours=1)


def test_where_the_domain_asks_for_one_a_signature_needs_a_stamp():
    bare = signed(now=NOW)
    assert judged(bare) == ("failed", "SIG_CONSTRAINTS_FAILURE")
    assert judged(bare, TRUSTING) == VALID


def test_a_stamp_of_an_unknown_authority_proves_nothing(genuine):
    others = (authority("other time stamps").certificate,)
    assert judged(genuine, replace(REQUIRING, timestamp_anchors=others)) == ("failed", "SIG_CONSTRAINTS_FAILURE")
    assert judged(genuine, replace(TRUSTING, timestamp_anchors=others)) == VALID
    assert judged(genuine, TRUST) == VALID


def test_an_authority_of_persons_is_none_of_time_stamps(tmp_path):
    own = prepare(tmp_path / "own", "citizens")
    assert judged(stamped(own)) == ("failed", "SIG_CONSTRAINTS_FAILURE")


def moved(raw, other):
    """The time stamp of another signature in this one."""
    root, donor = xml.parse(raw), xml.parse(other)
    part(root, "EncapsulatedTimeStamp", ns=XADES).text = part(donor, "EncapsulatedTimeStamp", ns=XADES).text
    return etree.tostring(root)


def test_the_stamp_of_another_signature_fails(tsa, genuine):
    assert judged(moved(stamped(tsa), genuine), TRUSTING) == ("failed", "FORMAT_FAILURE")


@pytest.mark.parametrize("token", [b"", b"hello", b"\x30\x03\x02\x01\x00", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff"])
def test_what_is_no_token_fails(genuine, token):
    root = xml.parse(genuine)
    part(root, "EncapsulatedTimeStamp", ns=XADES).text = base64.b64encode(token).decode()
    assert judged(etree.tostring(root), TRUSTING) == ("failed", "FORMAT_FAILURE")


def test_a_changed_token_proves_nothing(genuine):
    """Every octet of a token: changed, it is refused, proves nothing, or was never covered (other certificates)."""
    root = xml.parse(genuine)
    element = part(root, "EncapsulatedTimeStamp", ns=XADES)
    token = base64.b64decode(element.text)
    at = token.index(datetime.now(UTC).strftime("%Y%m%d").encode())
    for place in range(at, at + 14, 3):
        changed = bytearray(token)
        changed[place] = ord("0") if changed[place] != ord("0") else ord("1")
        element.text = base64.b64encode(bytes(changed)).decode()
        assert judged(etree.tostring(root))[0] == "failed", place


@pytest.mark.parametrize(
    "change",
    [
        lambda stamp: stamp.append(etree.Element(f"{{{XADES}}}EncapsulatedTimeStamp")),
        lambda stamp: stamp.append(etree.Element(f"{{{XADES}}}Include", URI="#x")),
        lambda stamp: stamp[-1].set("Encoding", "http://uri.etsi.org/01903/v1.2.2#BER"),
        lambda stamp: stamp[0].set("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116"),
        lambda stamp: stamp.remove(stamp[-1]),
    ],
    ids=["two tokens", "parts only", "BER", "transform", "no token"],
)
def test_forms_that_are_not_accepted(genuine, change):
    root = xml.parse(genuine)
    change(part(root, "SignatureTimeStamp", ns=XADES))
    assert judged(etree.tostring(root), TRUSTING) == ("failed", "FORMAT_FAILURE")


def test_signing_time_after_the_stamp(tsa):
    late = stamped(tsa, now=datetime.now(UTC) + timedelta(minutes=5))
    assert judged(late, TRUSTING, after=timedelta(minutes=10)) == ("failed", "SIG_CONSTRAINTS_FAILURE")
    assert judged(late, TRUST, after=timedelta(minutes=10)) == VALID


def test_a_certificate_that_expired_since_was_good_at_the_time_proved(tsa):
    soon = datetime.now(UTC) + timedelta(minutes=30)
    brief = identity("Ann brief", issuer="citizens", serial_number=PATIENT.id, end=soon)
    raw, arrival = stamped(tsa, brief), soon + timedelta(days=1)
    later = {"after": timedelta(days=2), "first_seen": arrival}
    assert judged(raw, TRUSTING, **later) == VALID
    assert judged(raw, TRUST, **later) == ("failed", "EXPIRED")


@pytest.mark.parametrize(
    ("revoked", "stamp_counts", "expected"),
    [
        (timedelta(days=-1), True, ("failed", "REVOKED")),
        (timedelta(hours=1), True, VALID),
        (timedelta(hours=1), False, ("failed", "REVOKED")),
    ],
    ids=["before the stamp", "after the stamp", "after signing, nothing stamped"],
)
def test_revoked(genuine, revoked, stamp_counts, expected):
    lists = TRUST.of([], crls=[revocation_list("citizens", ANN, at=NOW + revoked)]).crls
    trust = replace(TRUSTING if stamp_counts else TRUST, crls=lists)
    arrival = NOW + timedelta(hours=2)
    assert judged(genuine, trust, after=timedelta(hours=3), first_seen=arrival) == expected


@pytest.mark.parametrize(
    ("reason", "at", "status"),
    [
        ("", timedelta(days=1), "failed"),
        ("key_compromise", timedelta(days=1), "failed"),
        ("superseded", timedelta(days=1), "valid"),
        ("cessation_of_operation", timedelta(days=1), "valid"),
        ("superseded", timedelta(days=-1), "failed"),
    ],
)
def test_an_authority_that_was_revoked(genuine, reason, at, status):
    """RFC 3161 section 4: earlier stamps stay good only where the list gives a reason that leaves the key trusted."""
    lists = TRUST.of([], crls=[revocation_list(AUTHORITY, stamper(), at=NOW + at, reason=reason)]).crls
    assert judged(genuine, replace(REQUIRING, crls=lists), after=timedelta(days=2))[0] == status


# The levels above


def test_what_the_higher_levels_keep_grants_nothing_and_is_read(tsa):
    """LT and LTA: certificates may lead to an anchor; kept lists and archive stamps neither help nor disturb."""
    root = xml.parse(stamped(tsa))
    unsigned = part(root, "UnsignedSignatureProperties", ns=XADES)
    lists = etree.SubElement(unsigned, f"{{{XADES}}}RevocationValues")
    held = etree.SubElement(etree.SubElement(lists, f"{{{XADES}}}CRLValues"), f"{{{XADES}}}EncapsulatedCRLValue")
    held.text = base64.b64encode(b"none of it is looked at").decode()
    archive = etree.SubElement(unsigned, "{http://uri.etsi.org/01903/v1.4.1#}ArchiveTimeStamp")
    archive.text = "none"
    raw = etree.tostring(root)
    assert judged(raw) == VALID
    # A list that the signer sent along is no list of ours.
    required = replace(REQUIRING, revocation_required=True)
    assert judged(raw, required) == ("pending", "TRY_LATER")


def test_certificates_kept_for_later_lead_to_an_anchor(tsa):
    from tests.wire.test_signature_document import city_signer

    signer, middle = city_signer()
    assert judged(stamped(tsa, signer)) == ("failed", "NO_CERTIFICATE_CHAIN_FOUND")
    root = xml.parse(stamped(tsa, signer))
    values = etree.SubElement(part(root, "UnsignedSignatureProperties", ns=XADES), f"{{{XADES}}}CertificateValues")
    kept = etree.SubElement(values, f"{{{XADES}}}EncapsulatedX509Certificate")
    kept.text = base64.b64encode(middle.cert_der).decode()
    assert judged(etree.tostring(root)) == VALID


# Asking


def test_asked_over_http(tsa):
    token = TimeStampClient(tsa.url)(b"octets")
    found = time_stamp.verify(token, b"octets", STAMPS)
    assert found is not None
    assert found.chain[0] == stamper().certificate
    with pytest.raises(MalformedMessage):
        time_stamp.verify(token, b"other octets", STAMPS)


def test_every_request_is_another(tsa):
    TimeStampClient(tsa.url)(b"octets")
    TimeStampClient(tsa.url)(b"octets")
    assert tsa.asked[-1] != tsa.asked[-2]


@pytest.mark.parametrize(
    ("spoiled", "error"),
    [
        ({"status": 500}, Unavailable),
        ({"answer": b"<html/>"}, MalformedMessage),
        ({"answer": bytes.fromhex("30053003020102")}, MalformedMessage),
    ],
    ids=["an error", "a page", "a refusal"],
)
def test_an_answer_that_is_none(tsa, spoiled, error):
    tsa.spoiled.update(spoiled)
    try:
        with pytest.raises(error):
            TimeStampClient(tsa.url)(b"octets")
    finally:
        tsa.spoiled.clear()


def test_an_answer_to_another_request(tsa):
    other = {}
    time_stamp.stamp(b"one", lambda request: other.setdefault("answer", tsa.stamp(request)))
    with pytest.raises(MalformedMessage, match="not the one"):
        time_stamp.stamp(b"one", lambda request: other["answer"])


def test_nobody_there():
    with pytest.raises(Unavailable):
        TimeStampClient("http://127.0.0.1:9/")(b"octets")
