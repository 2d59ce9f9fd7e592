"""wire/saml_memory: the second reading of an assertion is no weaker than the first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.wire.test_saml import AUDIENCE, CLIENT, DOCTOR, IDP, NOW, STRANGER, altered, issued, read, saml
from xdsi.domain.errors import SecurityFault
from xdsi.spec.namespaces import SAML
from xdsi.wire import saml as reader
from xdsi.wire import saml_memory, xmldsig
from xdsi.wire.saml import SamlTrust
from xdsi.wire.xml import E

ISSUER = "https://idp.example"


def trusting(*pems: bytes, **terms: Any) -> SamlTrust:
    """A list of trust that remembers nothing yet."""
    crls = terms.pop("crls", ())
    return replace(SamlTrust.of({ISSUER: pems or (IDP.cert_pem,)}, [AUDIENCE], crls=crls), **terms)


def fault(*assertions: Any, **arguments: Any) -> str:
    with pytest.raises(SecurityFault) as caught:
        read(*assertions, **arguments)
    return caught.value.wsse_code


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The signatures that were computed."""
    done: list[bytes] = []
    verify = xmldsig.verify_isolated

    def count(isolated: xmldsig.Isolated, keys: Any) -> Any:
        done.append(isolated.raw)
        return verify(isolated, keys)

    monkeypatch.setattr(reader, "verify_isolated", count)
    return done


def test_the_same_bytes_are_the_same_person_and_verified_once(verified: list[bytes]) -> None:
    trust, raw = trusting(), issued()
    first = read(raw, trust=trust)
    assert read(raw, trust=trust) == first
    assert len(verified) == 1


@pytest.mark.parametrize(
    ("arguments", "wrong", "code"),
    [
        ({}, {"now": NOW + timedelta(minutes=7)}, "MessageExpired"),
        ({}, {"now": NOW - timedelta(minutes=7)}, "InvalidSecurityToken"),
        ({}, {"now": IDP.certificate.not_valid_after_utc + timedelta(days=1)}, "FailedAuthentication"),
        ({"holder_certificate": CLIENT.cert_der}, {"peer_certificate_sha256": STRANGER.sha256}, "FailedAuthentication"),
        ({"holder_certificate": CLIENT.cert_der}, {}, "FailedAuthentication"),
    ],
)
def test_time_and_connection_are_checked_at_each_use(arguments: Any, wrong: Any, code: str) -> None:
    """What was accepted now, from its holder, is refused later, earlier, and from anybody else."""
    trust, raw = trusting(), issued(**arguments)
    right = {"peer_certificate_sha256": CLIENT.sha256} if arguments else {}
    for _ in range(2):
        assert read(raw, trust=trust, **right).subject.user_id == DOCTOR.user_id
        assert fault(raw, trust=trust, **wrong) == code


def test_a_session_that_ended_is_over() -> None:
    def session(root: Any) -> None:
        saml(root, "AuthnStatement").set("SessionNotOnOrAfter", "2026-05-04T10:01:00Z")

    trust, raw = trusting(), altered(session)
    assert read(raw, trust=trust).subject.user_id == DOCTOR.user_id
    assert fault(raw, trust=trust, now=NOW + timedelta(minutes=3)) == "MessageExpired"


def test_one_use_is_said_each_time() -> None:
    def once(root: Any) -> None:
        saml(root, "Conditions").insert(0, root.makeelement(E(SAML, "OneTimeUse")))

    trust, raw = trusting(), altered(once)
    assert [read(raw, trust=trust).one_time_use for _ in range(2)] == [True, True]


def test_other_bytes_are_another_assertion(verified: list[bytes]) -> None:
    """Nothing is remembered by an ID: the same one with other content is verified, and found out."""
    trust, raw = trusting(), issued()
    read(raw, trust=trust)
    assert fault(raw.replace(b"dr.jekyll", b"mr.hyde"), trust=trust) == "FailedCheck"
    assert fault(raw.replace(b"112247003", b"112247004"), trust=trust) == "FailedCheck"
    assert len(verified) == 3


def test_what_is_refused_is_not_remembered(verified: list[bytes]) -> None:
    trust, raw = trusting(), issued()
    for _ in range(2):
        assert fault(raw, trust=trust, now=NOW + timedelta(hours=1)) == "MessageExpired"
    assert len(verified) == 2
    assert trust.proved.find(raw.decode()) is None


def test_a_changed_list_of_trust_knows_nothing_of_the_former_one(verified: list[bytes]) -> None:
    trust, raw = trusting(), issued()
    assert read(raw, trust=trust)
    assert fault(raw, trust=trusting(STRANGER.cert_pem)) == "FailedCheck"
    assert fault(raw, trust=replace(trust, issuers={})) == "FailedAuthentication"
    assert fault(raw, trust=replace(trust, audiences=frozenset({"urn:oid:2.999.9"}))) == "FailedAuthentication"
    assert fault(raw, trust=replace(trust, revoked=frozenset({IDP.sha256}))) == "FailedAuthentication"


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saml_memory, "MOST", 3)
    trust = trusting()
    raws = [read(issued(replace(DOCTOR, assertion_id=f"_{number}")), trust=trust).raw for number in range(4)]
    assert [trust.proved.find(raw.decode()) is not None for raw in raws] == [False, True, True, True]
    monkeypatch.setattr(saml_memory, "LARGEST", 100)
    large = read(issued(replace(DOCTOR, assertion_id="_9")), trust=trust).raw
    assert trust.proved.find(large.decode()) is None


def _with_data(**attributes: str) -> Any:
    def change(root: Any) -> None:
        confirmation = saml(root, "Subject", "SubjectConfirmation")
        data = confirmation.find(E(SAML, "SubjectConfirmationData"))
        if data is None:
            data = root.makeelement(E(SAML, "SubjectConfirmationData"))
            confirmation.append(data)
        for name, value in attributes.items():
            data.set(name, value)

    return change


def _session(root: Any) -> None:
    saml(root, "AuthnStatement").set("SessionNotOnOrAfter", "2026-05-04T10:02:00Z")


_MINUTES = (-3, -1.5, -1, 0, 1, 2, 2.99, 3, 4, 5.99, 6, 7, 600_000)
SAMPLES = {
    "plain": issued(),
    "held": issued(holder_certificate=CLIENT.cert_der),
    "confirmed until": altered(_with_data(NotOnOrAfter="2026-05-04T10:02:00Z")),
    "confirmed from": altered(_with_data(NotBefore="2026-05-04T10:02:00Z")),
    "for us": altered(_with_data(Recipient="https://hub.example")),
    "for somebody else": altered(_with_data(Recipient="https://other.example")),
    "in a session": altered(_session),
    "long": issued(lifetime=timedelta(minutes=50)),
}
PEERS = ("", CLIENT.sha256, STRANGER.sha256)


def _outcome(raw: bytes, trust: SamlTrust, **arguments: Any) -> Any:
    try:
        return read(raw, trust=trust, **arguments)
    except SecurityFault as fault:
        return fault.wsse_code, fault.detail


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_second_use_is_judged_as_a_first_one(sample: str) -> None:
    """At any time and from anybody: what was accepted before is accepted or refused as if it had not been."""
    raw = SAMPLES[sample]
    terms = {"recipients": frozenset({"https://hub.example"}), "peers": {ISSUER: frozenset(PEERS[:2])}}
    uses = [{"now": NOW + timedelta(minutes=at), "peer_certificate_sha256": peer} for at in _MINUTES for peer in PEERS]
    first = [_outcome(raw, trusting(**terms), **use) for use in uses]
    remembering = trusting(**terms)
    for use in uses:
        _outcome(raw, remembering, **use)
    accepted = [one.raw.decode() for one in first if not isinstance(one, tuple)]
    assert bool(accepted) == (sample != "for somebody else")
    assert all(remembering.proved.find(text) is not None for text in accepted)
    assert [_outcome(raw, remembering, **use) for use in uses] == first
