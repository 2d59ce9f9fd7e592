"""What `xdsi token explain` says of an access token: the verdict is that of the server, and what would be right."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import trusted
from tests.trusted import ISSUER, SIGNER, claims, token
from tests.wire.test_jwt_token import AUDIENCE, CLIENT, IAT, NAMED, NOW, RSA, SECOND, TRUST, forged
from xdsi.domain.errors import SecurityFault
from xdsi.spec.token_rules import PROFILES
from xdsi.wire.jwt_explain import compact, explain
from xdsi.wire.jwt_token import LIMIT, JwtTrust, read_token
from xdsi.wire.saml_explain import out_of_header


@pytest.fixture(autouse=True)
def issued_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are issued at NOW."""
    monkeypatch.setattr(trusted, "seconds", lambda: IAT)


def without(*names: str) -> str:
    said = claims()
    for name in names:
        del said[name]
    return jwt.encode(said, SIGNER.key, "ES256")


def of_subject(**changes: Any) -> str:
    said = claims()
    said["extensions"]["ihe_iua"] |= changes
    return token(**said)


def explained(raw: str, trust: JwtTrust = TRUST, **named: Any) -> Any:
    return explain(raw.encode(), trust, now=NOW, **named)


def failed(raw: str, trust: JwtTrust = TRUST, **named: Any) -> list[str]:
    return [one.name for one in explained(raw, trust, **named).checks if not one.met]


CASES: dict[str, tuple[Any, list[str]]] = {
    "good": (lambda: token(), []),
    "not signed": (lambda: forged({"alg": "none"}, claims(), lambda _: b""), ["algorithm", "key", "signature"]),
    "an algorithm that is a list": (
        lambda: forged({"alg": ["ES256"]}, claims(), lambda _: b""),
        ["algorithm", "key", "signature"],
    ),
    "what has to be understood": (lambda: token(headers={"crit": ["x"], "x": 1}), ["form"]),
    "no subject": (lambda: without("sub"), ["claims"]),
    "no identifier, for no audience": (lambda: without("jti", "aud"), ["claims", "audience"]),
    "an empty subject": (lambda: token(sub=""), ["claims"]),
    "no issuer": (lambda: without("iss"), ["claims", "issuer", "key", "signature"]),
    "an unknown issuer": (lambda: token(iss="https://else.example"), ["issuer", "key", "signature"]),
    "a key of nobody": (lambda: token(signer=SECOND), ["signature"]),
    "an unknown kid": (lambda: token(headers={"kid": "x"}), ["key", "signature"]),
    "over": (lambda: token(exp=IAT - 61), ["time"]),
    "without end": (lambda: without("exp"), ["claims", "time"]),
    "too long": (lambda: token(exp=IAT + 3700), ["time"]),
    "an end that is no time": (lambda: token(exp="soon"), ["time"]),
    "for somebody else": (lambda: token(aud="urn:oid:2.999.2"), ["audience"]),
    "bound to a certificate": (lambda: token(cnf={"x5t#S256": "AAAA"}), ["connection"]),
    "no role": (lambda: of_subject(subject_role=[]), ["attributes"]),
    "a role that is none": (lambda: of_subject(subject_role="x"), ["attributes", "rules of the domain"]),
    "several things": (
        lambda: token(signer=SECOND, exp=IAT - 61, aud="x", extensions={}),
        ["signature", "time", "audience", "attributes"],
    ),
    "no token": (lambda: "a.b.c", ["form"]),
    "too large": (lambda: token(more="x" * LIMIT), ["form"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named_and_the_verdict_is_that_of_the_server(case: str) -> None:
    make, wrong = CASES[case]
    raw = make()
    found = explained(raw)
    assert [one.name for one in found.checks if not one.met] == wrong
    assert all(one.expected for one in found.checks)
    assert all(one.detail for one in found.checks if not one.met)
    refusals = set()
    try:
        read_token(raw.encode(), TRUST, now=NOW)
    except SecurityFault as fault:
        refusals.add(fault.wsse_code)
    assert found.accepted is not bool(refusals)
    assert refusals <= {one.fault for one in found.checks}


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.text(max_size=3)))


@given(
    st.dictionaries(
        st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "extensions", "else"]),
        st.one_of(_VALUES, st.dictionaries(st.sampled_from(["ihe_iua", "ihe_bppc", "x5t#S256"]), _VALUES)),
    )
)
def test_whatever_a_token_says_the_verdict_is_that_of_the_server(changes: dict[str, Any]) -> None:
    raw = jwt.api_jws.PyJWS().encode(
        json.dumps(claims() | {"iat": IAT, "exp": IAT + 300} | changes).encode(), SIGNER.key, "ES256"
    )
    try:
        read_token(raw.encode(), TRUST, now=NOW)
        taken = True
    except SecurityFault:
        taken = False
    assert explained(raw).accepted is taken


def test_what_would_have_been_right_is_told() -> None:
    expected = {one.name: one.expected for one in explained(token(headers={"kid": "x"}), NAMED).checks}
    assert AUDIENCE in expected["audience"]
    assert ISSUER in expected["issuer"]
    assert "one (ES256), two (ES256)" in expected["key"]
    assert "extensions.ihe_iua.subject_role" in expected["attributes"]
    assert "none is set" in explained(token(), JwtTrust.of({}, [AUDIENCE])).checks[3].expected


def test_every_claim_is_shown_with_what_becomes_of_it() -> None:
    raw = of_subject(person_id="P1^^^&2.999.1.1&ISO", national_provider_identifier="7", reason="unconscious")
    found = {one.name: one for one in explained(raw).attributes}
    assert {name for name, one in found.items() if one.use == "required"} == {
        "iss", "sub", "aud", "exp", "iat", "jti", "extensions.ihe_iua.subject_name",
        "extensions.ihe_iua.subject_organization", "extensions.ihe_iua.subject_organization_id",
        "extensions.ihe_iua.subject_role", "extensions.ihe_iua.purpose_of_use",
    }  # fmt: skip
    assert {name for name, one in found.items() if one.use == "ignored"} == {
        "client_id", "scope", "extensions.ihe_iua.reason", "header typ",
    }  # fmt: skip
    assert found["extensions.ihe_iua.subject_role"].values == ("112247003^^2.16.840.1.113883.6.96",)
    assert found["exp"].values == (f"{IAT + 300} (2026-05-04T10:05:00+00:00)",)
    assert found["header alg"].values == ("ES256",)


def test_a_certificate_it_is_bound_to() -> None:
    digest = base64.urlsafe_b64encode(bytes.fromhex(CLIENT.sha256)).rstrip(b"=").decode()
    raw = token(cnf={"x5t#S256": digest})
    assert failed(raw) == ["connection"]
    assert failed(raw, peer_certificate_sha256=CLIENT.sha256) == []


def test_rules_of_a_country() -> None:
    swiss = replace(TRUST, rules=PROFILES["switzerland"])
    assert failed(token(), swiss) == ["attributes", "rules of the domain"]
    assert failed(token(signer=RSA), replace(TRUST, rules=PROFILES["france"])) == ["attributes", "rules of the domain"]
    found = {
        one.name: one
        for one in explained(token(VIHF_Version="3.0"), replace(TRUST, rules=PROFILES["france"])).attributes
    }
    assert found["VIHF_Version"].use == "required"


@pytest.mark.parametrize("before", ["", "Bearer ", "bearer  ", "Authorization: Bearer ", "authorization:bearer "])
def test_a_token_is_found_in_its_header(before: str) -> None:
    raw = token()
    assert compact(f" {before}{raw}\r\n".encode()) == raw.encode()


@pytest.mark.parametrize("raw", [b"", b"<a.b.c/>", b"a.b", b"Basic a.b.c", b"a.b.c d.e.f", b"IHE-SAML YS5iLmM="])
def test_what_is_something_else(raw: bytes) -> None:
    assert compact(raw) is None


def test_an_assertion_is_found_in_its_header() -> None:
    for header in (b"IHE-SAML PD8+", b"Authorization: ihe-saml PD8-\n"):
        assert out_of_header(header) == b"<?>"
    assert out_of_header(b"<x/>") == b"<x/>"
