"""Access tokens: the good one, one change each, and the attacks that tokens are known for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import trusted
from tests.certificates import identity
from tests.trusted import DOCTOR, ISSUER, PURPOSES, SIGNER, SNOMED, claims, key_set, token
from xdsi.domain.codes import Code
from xdsi.domain.errors import ConfigurationError, SecurityFault
from xdsi.domain.identifiers import PatientId
from xdsi.spec import xacml
from xdsi.spec.token_rules import PROFILES, TokenRules
from xdsi.wire.http_authorization import read_authorization
from xdsi.wire.jwt_token import JwtTrust, read_token
from xdsi.wire.saml import SamlTrust

NOW = datetime(2026, 5, 4, 10, 0, 0, tzinfo=UTC)
AUDIENCE = "urn:oid:2.999.1"
RSA, SECOND = identity("jwt-rsa", "2048"), identity("jwt-second")
TRUST = JwtTrust.of({ISSUER: key_set(SIGNER, RSA).encode()}, [AUDIENCE])
NAMED = JwtTrust.of({ISSUER: key_set(one=SIGNER, two=SECOND).encode()}, [AUDIENCE])
CLIENT = identity("client")


@pytest.fixture(autouse=True)
def issued_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are issued at NOW, however long after the start of the run a test comes."""
    monkeypatch.setattr(trusted, "seconds", lambda: int(NOW.timestamp()))


def refused(raw: str, trust: JwtTrust = TRUST, **named: Any) -> str:
    with pytest.raises(SecurityFault) as caught:
        read_token(raw.encode(), trust, now=NOW, **named)
    return caught.value.wsse_code


def forged(header: dict[str, Any], body: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token put together by hand."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = part(json.dumps(header).encode()) + b"." + part(json.dumps(body).encode())
    return (signed + b"." + part(sign(signed))).decode()


@pytest.mark.parametrize("signer", [SIGNER, RSA], ids=["ES256", "RS256"])
def test_a_good_token_names_its_subject(signer: Any) -> None:
    said = claims()
    said["extensions"]["ihe_iua"] |= {
        "home_community_id": "urn:oid:2.999.1", "national_provider_identifier": "1234567",
        "person_id": "P1^^^&2.999.1.1&ISO", "subject_organization_id": ["urn:oid:2.999.5", "urn:oid:2.999.6"],
    }  # fmt: skip
    said["extensions"]["ihe_bppc"] = {"patient_id": "P1^^^&2.999.1.1&ISO", "doc_id": "2.25.7", "acp": "urn:oid:2.9"}
    verified = read_token(token(signer=signer, **said).encode(), TRUST, now=NOW)
    subject = verified.subject
    assert (subject.user_id, subject.issuer, subject.assertion_id) == ("dr.jekyll", ISSUER, said["jti"])
    assert (subject.user_name, subject.organization, subject.npi) == ("Dr Jekyll", "A", "1234567")
    assert (subject.organization_id, subject.further_organization_ids) == ("urn:oid:2.999.5", ("urn:oid:2.999.6",))
    assert subject.roles == (Code(DOCTOR, SNOMED),)
    assert subject.purposes == (Code("TREAT", PURPOSES),)
    assert subject.patient == PatientId("P1", "2.999.1.1")
    assert (subject.consent_documents, subject.privacy_policies) == (("2.25.7",), ("urn:oid:2.9",))
    assert subject.not_on_or_after == datetime.fromtimestamp(said["exp"], UTC)
    assert subject.audit_name == f"<dr.jekyll@{ISSUER}>"
    assert len(subject.certificate_sha256) == 64


IAT = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"exp": IAT - 61}, "MessageExpired"),
        ({"exp": IAT - 59, "iat": IAT - 200}, ""),
        ({"nbf": IAT + 62}, "InvalidSecurityToken"),
        ({"nbf": IAT + 58}, ""),
        ({"iat": IAT + 62}, "InvalidSecurityToken"),
        ({"exp": IAT + 3700}, "InvalidSecurityToken"),
        ({"exp": "soon"}, "InvalidSecurityToken"),
        ({"exp": True}, "InvalidSecurityToken"),
        ({"exp": 1e300}, "InvalidSecurityToken"),
        ({"aud": "urn:oid:2.999.2"}, "FailedAuthentication"),
        ({"aud": []}, "FailedAuthentication"),
        ({"aud": ["x", AUDIENCE]}, ""),
        ({"aud": {"x": AUDIENCE}}, "FailedAuthentication"),
        ({"iss": "https://other.example"}, "FailedAuthentication"),
        ({"sub": ""}, "InvalidSecurityToken"),
        ({"sub": 7}, "InvalidSecurityToken"),
        ({"jti": ""}, "InvalidSecurityToken"),
        ({"extensions": "no"}, "InvalidSecurityToken"),
        ({"extensions": {}}, "InvalidSecurityToken"),
    ],
)
def test_one_change(changes: dict[str, Any], fault: str) -> None:
    raw = token(**changes)
    if fault:
        assert refused(raw) == fault
    else:
        assert read_token(raw.encode(), TRUST, now=NOW).subject.user_id == "dr.jekyll"


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "iat", "jti"])
def test_what_a_token_has_to_hold(name: str) -> None:
    said = claims()
    del said[name]
    assert refused(jwt.encode(said, SIGNER.key, "ES256")) == "InvalidSecurityToken"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject_name", None), ("subject_organization", None), ("subject_organization_id", None),
        ("subject_role", None), ("purpose_of_use", None), ("subject_role", [{"code": "x"}]), ("subject_role", ["x"]),
        ("subject_role", "x"), ("subject_role", [{"code": 1, "system": "1.2"}]), ("subject_organization", [1]),
        ("person_id", "nobody"),
    ],
)  # fmt: skip
def test_what_it_has_to_say_of_its_subject(name: str, value: Any) -> None:
    said = claims()
    if value is None:
        del said["extensions"]["ihe_iua"][name]
    else:
        said["extensions"]["ihe_iua"][name] = value
    assert refused(token(**said)) == "InvalidSecurityToken"


def test_two_patients_are_one_too_many() -> None:
    said = claims()
    said["extensions"]["ihe_iua"]["person_id"] = "P1^^^&2.999.1.1&ISO"
    said["extensions"]["ihe_bppc"] = {"patient_id": "P2^^^&2.999.1.1&ISO"}
    assert refused(token(**said)) == "InvalidSecurityToken"


@pytest.mark.parametrize("name", ["urn:xdsi:2026:subject:emergency-reason", "emergency_reason", "reason"])
def test_no_claim_is_a_reason_to_break_the_glass(name: str) -> None:
    """IUA has no such claim: in an emergency who asks by REST shows an assertion (IHE-SAML)."""
    said = claims()
    said["extensions"]["ihe_iua"][name] = said["extensions"][name] = "unconscious"
    said["extensions"]["ihe_iua"]["purpose_of_use"] = [{"system": f"urn:oid:{PURPOSES}", "code": "ETREAT"}]
    subject = read_token(token(**said, **{name: "unconscious"}).encode(), TRUST, now=NOW).subject
    assert subject.purposes == (Code("ETREAT", PURPOSES),)
    assert subject.emergency_reason == ""


# -- attacks


def test_no_signature_is_no_token() -> None:
    for name in ("none", "None", "NONE", "nOnE"):
        assert refused(forged({"alg": name}, claims(), lambda signed: b"")) == "UnsupportedAlgorithm"
    head, body, _ = token().split(".")
    assert refused(f"{head}.{body}.") == "FailedCheck"


def test_a_public_key_is_no_secret() -> None:
    """HS256 with the text of the RSA public key as its secret (algorithm confusion)."""
    from cryptography.hazmat.primitives import serialization

    public = RSA.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    raw = forged({"alg": "HS256"}, claims(), lambda signed: hmac.new(public, signed, hashlib.sha256).digest())
    assert refused(raw) == "UnsupportedAlgorithm"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES384", "EdDSA", "HS512", "", None, 7, ["ES256"]])
def test_other_algorithms_are_not_taken(algorithm: Any) -> None:
    fault = refused(forged({"alg": algorithm}, claims(), lambda signed: b"x" * 64))
    assert fault in ("UnsupportedAlgorithm", "InvalidSecurityToken")


def test_an_algorithm_does_not_choose_the_kind_of_key() -> None:
    ecdsa_only = JwtTrust.of({ISSUER: key_set(SIGNER).encode()}, [AUDIENCE])
    assert refused(token(signer=RSA), ecdsa_only) == "FailedAuthentication"


def test_keys_come_from_the_settings_only() -> None:
    """What a token brings along (jwk, jku, x5u, x5c) is not looked at."""
    stranger = identity("jwt-stranger")
    jwk = json.loads(key_set(stranger))["keys"][0]
    headers = {"jwk": jwk, "jku": "https://evil.example/keys", "x5u": "file:///etc/passwd", "x5c": ["AA=="]}
    assert refused(token(signer=stranger, headers=headers)) == "FailedCheck"
    assert read_token(token(headers=headers).encode(), TRUST, now=NOW).subject.user_id == "dr.jekyll"


def test_a_kid_chooses_among_the_issuers_keys_and_nowhere_else() -> None:
    for kid, signer in (("one", SIGNER), ("two", SECOND)):
        assert read_token(token(signer=signer, headers={"kid": kid}).encode(), NAMED, now=NOW)
    assert read_token(token(signer=SECOND).encode(), NAMED, now=NOW), "without a kid each is tried"
    assert refused(token(signer=SECOND, headers={"kid": "one"}), NAMED) == "FailedCheck"
    for kid in ("../../keys", "", "one\0", "https://evil.example"):
        assert refused(token(headers={"kid": kid}), NAMED) == "FailedAuthentication"


@pytest.mark.parametrize("headers", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}])
def test_critical_extensions_are_not_understood(headers: dict[str, Any]) -> None:
    raw = token()
    _, body, _ = raw.split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    assert refused(forged({"alg": "ES256"} | headers, said, lambda signed: b"x" * 64)) == "InvalidSecurityToken"


def test_a_key_of_one_issuer_signs_for_no_other() -> None:
    other = "https://other.example"
    both = JwtTrust.of({ISSUER: key_set(SIGNER).encode(), other: key_set(SECOND).encode()}, [AUDIENCE])
    assert refused(token(iss=other), both) == "FailedCheck"
    assert read_token(token(iss=other, signer=SECOND).encode(), both, now=NOW).subject.issuer == other


def test_an_altered_token() -> None:
    head, body, signature = token().split(".")
    said = json.loads(base64.urlsafe_b64decode(body + "=="))
    said["sub"] = "mr.hyde"
    altered = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    assert refused(f"{head}.{altered}.{signature}") == "FailedCheck"


def test_a_token_bound_to_a_certificate_comes_with_it() -> None:
    thumbprint = base64.urlsafe_b64encode(bytes.fromhex(CLIENT.sha256)).rstrip(b"=").decode()
    bound = token(cnf={"x5t#S256": thumbprint})
    assert read_token(bound.encode(), TRUST, now=NOW, peer_certificate_sha256=CLIENT.sha256)
    assert refused(bound) == "FailedAuthentication"
    assert refused(bound, peer_certificate_sha256=SECOND.sha256) == "FailedAuthentication"
    for other in ({"jkt": "x"}, {}, "x", {"x5t#S256": thumbprint, "jkt": "x"}, {"x5t#S256": 7}):
        assert refused(token(cnf=other), peer_certificate_sha256=CLIENT.sha256) == "FailedAuthentication"


def test_a_large_token_is_not_read() -> None:
    assert refused(token(padding="x" * 20_000)) == "InvalidSecurityToken"


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=200))
def test_whatever_comes_is_refused_in_words(raw: str) -> None:
    with pytest.raises(SecurityFault):
        read_authorization(raw, SamlTrust.of({}, []), TRUST, now=NOW)
    with pytest.raises(SecurityFault):
        read_authorization(f"Bearer {raw}", SamlTrust.of({}, []), TRUST, now=NOW)


def test_longer_lives_and_other_demands_are_settings() -> None:
    patient = replace(TRUST, max_lifetime=timedelta(days=1), rules=TokenRules(required=frozenset()))
    said = claims(exp=IAT + 7200)
    said["extensions"] = {}
    assert read_token(token(**said).encode(), patient, now=NOW).subject.roles == ()


# -- rules by country: those of assertions


CH_ROLE, CH_PURPOSE = "2.16.756.5.30.1.127.3.10.6", "2.16.756.5.30.1.127.3.10.5"
SWITZERLAND = replace(TRUST, rules=PROFILES["switzerland"])
FRANCE = replace(TRUST, rules=PROFILES["france"])
VIHF = sorted(name for name in PROFILES["france"].required if not name.startswith("urn:"))


def national(role: str, purpose: str, scheme: tuple[str, str], **more: Any) -> dict[str, Any]:
    """Claims with codes of a country, about one patient."""
    said = claims()
    said["extensions"]["ihe_iua"] |= {
        "subject_role": [{"system": f"urn:oid:{scheme[0]}", "code": role}],
        "purpose_of_use": [{"system": f"urn:oid:{scheme[1]}", "code": purpose}],
        "person_id": "P1^^^&2.999.1.1&ISO",
    }
    said["extensions"] |= more
    return said


def without(said: dict[str, Any], name: str) -> dict[str, Any]:
    del said["extensions"]["ihe_iua"][name]
    return said


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: national("HCP", "NORM", ("2.999.40", CH_PURPOSE)),
        lambda: national("HCP", "TREAT", (CH_ROLE, PURPOSES)),
        lambda: without(national("HCP", "NORM", (CH_ROLE, CH_PURPOSE)), "person_id"),
        lambda: national("ASS", "NORM", (CH_ROLE, CH_PURPOSE)),
        lambda: national("ASS", "NORM", (CH_ROLE, CH_PURPOSE), ch_delegation={"principal_id": "7601000000000"}),
    ],
    ids=["role", "purpose", "no patient", "assistant", "assistant of a nameless principal"],
)
def test_switzerland(wrong: Callable[[], dict[str, Any]]) -> None:
    good = token(**national("HCP", "NORM", (CH_ROLE, CH_PURPOSE)))
    assert read_token(good.encode(), SWITZERLAND, now=NOW).subject.user_id == "dr.jekyll"
    assert refused(token(**wrong()), SWITZERLAND) == "InvalidSecurityToken"
    assert read_token(token(**wrong()).encode(), TRUST, now=NOW), "elsewhere that is in order"


def test_swiss_assistants_name_their_principal() -> None:
    principal = {"principal": "Dr House", "principal_id": "7601000000000"}
    raw = token(**national("ASS", "NORM", (CH_ROLE, CH_PURPOSE), ch_delegation=principal))
    assert read_token(raw.encode(), SWITZERLAND, now=NOW).subject.user_id == "dr.jekyll"


@pytest.mark.parametrize("missing", ["", *VIHF])
def test_france(missing: str) -> None:
    """What IUA has no place for is a claim of the attribute's own name."""
    said = national("10", "normal", ("1.2.250.1.71.1.2.7", "1.2.250.1.213.1.1.4.248"))
    raw = token(**said | {name: "x" for name in VIHF if name != missing})
    if missing:
        assert refused(raw, FRANCE) == "InvalidSecurityToken"
    else:
        assert read_token(raw.encode(), FRANCE, now=NOW).subject.user_id == "dr.jekyll"


def test_a_claim_by_another_name_is_not_the_standards_own() -> None:
    """The name of a standard attribute as a claim does not stand for what its own claim would have to say."""
    said = without(national("HCP", "NORM", (CH_ROLE, CH_PURPOSE)), "person_id")
    assert (
        refused(token(**said | {xacml.SUBJECT_PATIENT: "P1^^^&2.999.1.1&ISO"}), SWITZERLAND) == "InvalidSecurityToken"
    )


# -- key sets


@pytest.mark.parametrize(
    "jwks",
    [
        b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": {}}', b'{"keys": ["x"]}',
        b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}',
        json.dumps({"keys": [json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(SIGNER.key))]}).encode(),
        key_set(identity("jwt-384", "P-384")).encode(),
        json.dumps({"keys": [json.loads(key_set(RSA))["keys"][0] | {"alg": "RS512"}]}).encode(),
        json.dumps({"keys": [json.loads(key_set(RSA))["keys"][0] | {"use": "enc"}]}).encode(),
        json.dumps({"keys": [one | {"kid": "same"} for one in json.loads(key_set(RSA, SIGNER))["keys"]]}).encode(),
        key_set(identity("jwt-small", "1024")).encode(),
    ],
)  # fmt: skip
def test_a_key_set_that_cannot_be_trusted_is_told(jwks: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"jwt\.issuer 'x'"):
        JwtTrust.of({"x": jwks}, [AUDIENCE])
