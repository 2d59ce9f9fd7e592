"""Access tokens of the IUA profile: a signed JWT in an Authorization header becomes a verified Subject.

IHE IUA 3.71.4.2.2.1 (claims), 3.72 (Incorporate Access Token); RFC 7519 and 7515 (JWT, JWS), 8725 (best current
practices), 8705 section 3 (tokens bound to a client certificate). The faults are those of an assertion (`wire/saml`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from xdsi.domain.codes import Code
from xdsi.domain.errors import ConfigurationError, SecurityFault
from xdsi.domain.identifiers import PatientId
from xdsi.domain.subject import Subject
from xdsi.spec import xacml
from xdsi.spec.token_rules import PROFILES, TokenRules
from xdsi.wire.saml import VerifiedAssertion, check_country

LIMIT = 16 * 1024
"""bytes of a token"""
ALGORITHMS = {"RS256": "RSA", "ES256": "EC"}
_PRINCIPAL_ID, _PRINCIPAL_NAME = "urn:e-health-suisse:principal-id", "urn:e-health-suisse:principal-name"
CLAIMS = ("iss", "sub", "aud", "exp", "iat", "jti")


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A public key of an issuer, which signs with one algorithm only."""

    kid: str
    algorithm: str
    key: Any
    thumbprint: str
    """SHA-256 of the key (RFC 7638), lower-case hexadecimal"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtTrust:
    """Whose access tokens count, and on what terms. Build it once with `of`: keys are parsed there."""

    issuers: Mapping[str, tuple[IssuerKey, ...]]
    audiences: frozenset[str]
    max_lifetime: timedelta = timedelta(hours=1)
    clock_skew: timedelta = timedelta(seconds=60)
    rules: TokenRules = PROFILES["generic"]
    """what a token has to say of its subject, named as the attributes of assertions, and code systems"""

    @classmethod
    def of(cls, issuers: Mapping[str, bytes], audiences: Iterable[str]) -> JwtTrust:
        """From a JSON Web Key Set per issuer; ConfigurationError where one cannot be used."""
        keys = {name: read_keys(jwks, name) for name, jwks in issuers.items()}
        return cls(issuers=keys, audiences=frozenset(audiences))


def read_keys(jwks: bytes, issuer: str) -> tuple[IssuerKey, ...]:
    """The signing keys of a JSON Web Key Set (RFC 7517); ConfigurationError where one of them cannot be trusted."""

    def refusal(text: str) -> ConfigurationError:
        return ConfigurationError(f"jwt.issuer {issuer!r}: {text}; valid: a key set with RSA or P-256 public keys")

    try:
        members = json.loads(jwks)["keys"]
    except (ValueError, KeyError, TypeError) as error:
        raise refusal("not a JSON Web Key Set") from error
    found: list[IssuerKey] = []
    for member in members if isinstance(members, list) else [None]:
        if not isinstance(member, dict):
            raise refusal("not a JSON Web Key Set")
        if member.get("use", "sig") != "sig":
            continue
        kind = member.get("kty")
        algorithm = next((name for name, kty in ALGORITHMS.items() if kty == kind), "")
        if not algorithm or member.get("alg", algorithm) != algorithm or "d" in member:
            raise refusal(f"a key of type {kind!r} for {member.get('alg', 'any algorithm')!r}")
        try:
            key = jwt.PyJWK(member, algorithm=algorithm).key
        except jwt.PyJWTError as error:
            raise refusal(str(error)) from error
        if isinstance(key, rsa.RSAPublicKey):
            if key.key_size < 2048:
                raise refusal(f"an RSA key of {key.key_size} bits, fewer than 2048")
        elif not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
            raise refusal("an elliptic curve other than P-256")
        found.append(IssuerKey(str(member.get("kid", "")), algorithm, key, _thumbprint(member)))
    kids = [one.kid for one in found if one.kid]
    if not found or len(kids) != len(set(kids)):
        raise refusal("no key that signs" if not found else "two keys of one kid")
    return tuple(found)


def read_token(raw: bytes, trust: JwtTrust, *, now: datetime, peer_certificate_sha256: str = "") -> VerifiedAssertion:
    """Who asks, proved by an access token; SecurityFault with the code of what fails first."""
    header = read_header(raw)
    check_algorithm(header)
    claims = unverified_claims(raw)
    check_claims(claims)
    verified, key = verify(raw, fitting_keys(claims, header, trust))
    check_window(verified, trust, now)
    check_audience(verified, trust)
    check_binding(verified, peer_certificate_sha256)
    subject = Subject(
        user_id=text_of(verified, "sub"),
        issuer=verified["iss"],
        assertion_id=text_of(verified, "jti"),
        not_before=_time(verified, "nbf" if "nbf" in verified else "iat"),
        not_on_or_after=_time(verified, "exp"),
        certificate_sha256=key.thumbprint,
        **subject_fields(verified, trust.rules),
    )
    return VerifiedAssertion(subject, raw)


def read_header(raw: bytes) -> dict[str, Any]:
    """How the token says that it is signed (RFC 7515 section 4)."""
    if len(raw) > LIMIT:
        raise _malformed(f"a token of {len(raw)} bytes, more than {LIMIT}")
    try:
        header: dict[str, Any] = jwt.get_unverified_header(raw)
    except jwt.PyJWTError as error:
        raise _malformed(f"not a signed token: {error}") from error
    return header


def check_algorithm(header: Mapping[str, Any]) -> None:
    """One of the algorithms that are taken, and nothing that has to be understood beyond it."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise SecurityFault("UnsupportedAlgorithm", f"signed by {algorithm!r}")
    if "crit" in header or header.get("b64", True) is not True:
        raise _malformed("extensions of the signature are not understood")


def unverified_claims(raw: bytes) -> dict[str, Any]:
    """What the token says; nothing of it counts before `verify`."""
    # Nothing but the signature is left to the library: times and audiences have the rules of assertions.
    options: Any = {"verify_signature": False}
    try:
        claims: dict[str, Any] = jwt.decode(raw, options=options)
    except jwt.PyJWTError as error:
        raise _malformed(f"not a token: {error}") from error
    return claims


def check_claims(claims: Mapping[str, Any]) -> None:
    """The claims are there that no token is without."""
    for name in CLAIMS:
        if name not in claims:
            raise _malformed(f"claim {name} is missing")


def fitting_keys(claims: Mapping[str, Any], header: Mapping[str, Any], trust: JwtTrust) -> list[IssuerKey]:
    """The keys that may have signed: of the issuer that is named, for the algorithm and the kid of the header."""
    issuer = claims.get("iss")
    keys = trust.issuers.get(issuer) if isinstance(issuer, str) else None
    if not keys:
        raise SecurityFault("FailedAuthentication", f"unknown issuer {issuer!r}")
    kid, algorithm = header.get("kid"), header.get("alg")
    fitting = [one for one in keys if one.algorithm == algorithm and kid in (None, one.kid)]
    if not fitting:
        raise SecurityFault("FailedAuthentication", f"{issuer!r} has no key {kid!r} for {algorithm}")
    return fitting


def verify(raw: bytes, fitting: Iterable[IssuerKey]) -> tuple[dict[str, Any], IssuerKey]:
    """The claims, once one of the keys has verified them."""
    options: Any = {"verify_signature": True} | {
        f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
    }
    for key in fitting:
        try:
            return jwt.decode(raw, key.key, algorithms=[key.algorithm], options=options), key
        except jwt.InvalidSignatureError:
            continue
        except jwt.PyJWTError as error:
            raise _malformed(str(error)) from error
    raise SecurityFault("FailedCheck", "no key of the issuer verifies the token")


def check_window(claims: Mapping[str, Any], trust: JwtTrust, now: datetime) -> None:
    """It is time for the token, and it does not last too long."""
    issued, ends = _time(claims, "iat"), _time(claims, "exp")
    begins = _time(claims, "nbf") if "nbf" in claims else issued
    if now >= ends + trust.clock_skew:
        raise SecurityFault("MessageExpired", f"the token ended at {ends.isoformat()}")
    if max(issued, begins) > now + trust.clock_skew:
        raise _malformed(f"the token begins at {begins.isoformat()}, issued {issued.isoformat()}")
    if ends - begins > trust.max_lifetime:
        raise _malformed(f"a validity of {ends - begins} is too long")


def check_audience(claims: Mapping[str, Any], trust: JwtTrust) -> None:
    """The token is for us."""
    audience = claims["aud"]
    audiences = audience if isinstance(audience, list) else [audience]
    if trust.audiences.isdisjoint(one for one in audiences if isinstance(one, str)):
        raise SecurityFault("FailedAuthentication", f"the token is for {audience!r}")


def check_binding(claims: Mapping[str, Any], peer_certificate_sha256: str) -> None:
    """A token may be bound to the client certificate of who it was given to (RFC 8705 section 3.1)."""
    if "cnf" not in claims:
        return
    confirmation = claims["cnf"]
    named = confirmation.get("x5t#S256") if isinstance(confirmation, dict) and len(confirmation) == 1 else None
    try:
        bound = base64.urlsafe_b64decode(f"{named}==").hex() if isinstance(named, str) else ""
    except (binascii.Error, ValueError):
        bound = ""
    if not bound or bound != peer_certificate_sha256:
        raise SecurityFault("FailedAuthentication", "the connection does not hold the confirmed key")


def subject_fields(claims: Mapping[str, Any], rules: TokenRules) -> dict[str, Any]:
    """What a token says of its subject, if that is as it has to be and all that the rules ask for."""
    extensions = _object(claims, "extensions")
    iua, bppc = _object(extensions, "ihe_iua"), _object(extensions, "ihe_bppc")
    organizations = _texts(iua, "subject_organization")
    organization_ids = _texts(iua, "subject_organization_id")
    fields: dict[str, Any] = {
        "user_name": text_of(iua, "subject_name"),
        "organization": next(iter(organizations), ""),
        "organization_id": next(iter(organization_ids), ""),
        "further_organizations": organizations[1:],
        "further_organization_ids": organization_ids[1:],
        "home_community_id": text_of(iua, "home_community_id"),
        "npi": text_of(iua, "national_provider_identifier"),
        "roles": _codes(iua, "subject_role"),
        "purposes": _codes(iua, "purpose_of_use"),
        "patient": _patient(iua, bppc),
        "consent_documents": _texts(bppc, "doc_id"),
        "privacy_policies": _texts(bppc, "acp"),
    }
    present = _said(claims, fields)
    for attribute in sorted(rules.required):
        if attribute not in present:
            raise _malformed(f"the token does not say {attribute}")
    check_country(fields, present, rules)
    return fields


def _said(claims: Mapping[str, Any], fields: Mapping[str, Any]) -> set[str]:
    """What a token says, by the names that assertions have for it.

    What a country asks for and IUA has no place for is a claim of the attribute's own name.
    """
    attributes = {
        xacml.SUBJECT_NAME: "user_name",
        xacml.ORGANIZATION: "organization",
        xacml.ORGANIZATION_ID: "organization_id",
        xacml.HOME_COMMUNITY_ID: "home_community_id",
        xacml.NPI: "npi",
        xacml.ROLE: "roles",
        xacml.PURPOSE_OF_USE: "purposes",
        xacml.SUBJECT_PATIENT: "patient",
    }
    delegation = _object(_object(claims, "extensions"), "ch_delegation")
    swiss = {"principal": _PRINCIPAL_NAME, "principal_id": _PRINCIPAL_ID}
    return {
        *(name for name, field in attributes.items() if fields.get(field)),
        *(name for claim, name in swiss.items() if text_of(delegation, claim)),
        *(name for name, value in claims.items() if name not in attributes and _is_text(value)),
    }


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _patient(iua: Mapping[str, Any], bppc: Mapping[str, Any]) -> PatientId | None:
    named = {text for text in (text_of(iua, "person_id"), text_of(bppc, "patient_id")) if text}
    try:
        patients = {PatientId.parse("^".join(text.split("^")[:4])) for text in named}
    except ValueError as error:
        raise _malformed(str(error)) from error
    if len(patients) > 1:
        raise _malformed("the token is for two patients")
    return next(iter(patients), None)


def _codes(claims: Mapping[str, Any], name: str) -> tuple[Code, ...]:
    """Codings (FHIR): one or a list of them."""
    value = claims.get(name)
    found: list[Code] = []
    for one in value if isinstance(value, list) else [] if value is None else [value]:
        code, system, display = (
            (one.get(key, "") for key in ("code", "system", "display")) if isinstance(one, dict) else ("", "", "")
        )
        if not (isinstance(code, str) and isinstance(system, str) and code.strip() and system.strip()):
            raise _malformed(f"{name} needs code and system")
        found.append(Code(code.strip(), system.strip().removeprefix("urn:oid:"), str(display)))
    return tuple(dict.fromkeys(found))


def _object(claims: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = claims.get(name, {})
    if not isinstance(value, dict):
        raise _malformed(f"{name} is not an object")
    return value


def text_of(claims: Mapping[str, Any], name: str) -> str:
    """A claim that is text; one that no token is without is not empty, either."""
    value = claims.get(name, "")
    if not isinstance(value, str) or (name in CLAIMS and not value.strip()):
        raise _malformed(f"{name} is not text")
    return value.strip()


def _texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name, [])
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise _malformed(f"{name} is not text")
    return tuple(dict.fromkeys(one.strip() for one in values if one.strip()))


def _time(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _malformed(f"{name} is not a time")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise _malformed(f"{name} is not a time") from error


def _thumbprint(member: Mapping[str, Any]) -> str:
    names = ("crv", "kty", "x", "y") if member["kty"] == "EC" else ("e", "kty", "n")
    canonical = json.dumps({name: member[name] for name in names}, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _malformed(detail: str) -> SecurityFault:
    return SecurityFault("InvalidSecurityToken", detail)
