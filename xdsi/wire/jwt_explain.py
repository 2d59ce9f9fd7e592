"""Why an access token is taken or not: every claim, every check and its outcome, and what a valid one would have had.

For operators and integrators (`xdsi token explain`). The checks are those of `xdsi.wire.jwt_token`; here they all run,
also after one has failed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from xdsi.domain.errors import SecurityFault
from xdsi.spec import xacml
from xdsi.spec.token_rules import TokenRules
from xdsi.wire import jwt_token
from xdsi.wire.jwt_token import JwtTrust
from xdsi.wire.saml_explain import of_rules
from xdsi.wire.token_explanation import Attribute, Check, Explanation, check

_COMPACT = re.compile(rb"(?:authorization *: *)?(?:bearer +)?([\w-]+\.[\w-]*\.[\w-]*)", re.IGNORECASE)

_IUA, _BPPC, _SWISS = "extensions.ihe_iua.", "extensions.ihe_bppc.", "extensions.ch_delegation."
CLAIMS = {
    _IUA + "subject_name": xacml.SUBJECT_NAME,
    _IUA + "subject_organization": xacml.ORGANIZATION,
    _IUA + "subject_organization_id": xacml.ORGANIZATION_ID,
    _IUA + "subject_role": xacml.ROLE,
    _IUA + "purpose_of_use": xacml.PURPOSE_OF_USE,
    _IUA + "home_community_id": xacml.HOME_COMMUNITY_ID,
    _IUA + "national_provider_identifier": xacml.NPI,
    _IUA + "person_id": xacml.SUBJECT_PATIENT,
    _BPPC + "patient_id": xacml.SUBJECT_PATIENT,
    _SWISS + "principal": "urn:e-health-suisse:principal-name",
    _SWISS + "principal_id": "urn:e-health-suisse:principal-id",
}
"""claim -> the attribute that says the same in an assertion; rules on attributes are by these names"""
_USED = {"nbf", "cnf.x5t#S256", _BPPC + "doc_id", _BPPC + "acp", "header alg", "header kid"}
_TIMES = {"exp", "iat", "nbf"}


def compact(raw: bytes) -> bytes | None:
    """The token in a file: bare, or as the Authorization header has it; None where it is something else."""
    found = _COMPACT.fullmatch(raw.strip())
    return found[1] if found else None


def explain(raw: bytes, trust: JwtTrust, *, now: datetime, peer_certificate_sha256: str = "") -> Explanation:
    """Look at a token in its compact form."""
    header: dict[str, Any] = {}
    claims: dict[str, Any] = {}

    def read() -> None:
        header.update(jwt_token.read_header(raw))
        claims.update(jwt_token.unverified_claims(raw))

    checks = [
        check(
            "form",
            f"a signed JWT in compact form, at most {jwt_token.LIMIT} bytes; no crit, and no b64",
            read,
        )
    ]
    if checks[0].met:
        checks += _checks(raw, header, claims, trust, now, peer_certificate_sha256)
    shown = {f"header {name}": value for name, value in header.items()} | dict(_flat(claims))
    needed = _needed(trust.rules)
    return Explanation(
        checks=tuple(checks),
        attributes=tuple(Attribute(name, _shown(name, value), _use(name, needed)) for name, value in shown.items()),
        accepted=all(one.met for one in checks),
    )


def _checks(
    raw: bytes,
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    trust: JwtTrust,
    now: datetime,
    peer_certificate_sha256: str,
) -> Iterator[Check]:
    rules = trust.rules
    issuer = claims.get("iss")
    keys = trust.issuers.get(issuer, ()) if isinstance(issuer, str) else ()
    algorithms = " or ".join(sorted(jwt_token.ALGORITHMS))
    yield check("algorithm", f"{algorithms}", lambda: jwt_token.check_algorithm(header))
    yield check(
        "claims", f"{', '.join(jwt_token.CLAIMS)}; sub and jti are text and not empty", lambda: _check_claims(claims)
    )
    yield check(
        "issuer",
        f"one of {', '.join(sorted(trust.issuers)) or 'jwt.issuer: none is set'}",
        lambda: _check_issuer(issuer, trust),
    )
    own = ", ".join(f"{one.kid or 'no kid'} ({one.algorithm})" for one in keys)
    yield check(
        "key",
        f"no kid, or that of a key of jwt.issuer {issuer!r} with its algorithm: {own or 'it has none'}",
        lambda: jwt_token.fitting_keys(claims, header, trust),
    )
    yield check(
        "signature",
        f"made with such a key of jwt.issuer {issuer!r}",
        lambda: jwt_token.verify(raw, jwt_token.fitting_keys(claims, header, trust)),
    )
    yield check(
        "time",
        f"iat and nbf not after {now.isoformat(timespec='seconds')}, exp after it, at most "
        f"{int(trust.max_lifetime.total_seconds())} s apart; clocks may differ by "
        f"{int(trust.clock_skew.total_seconds())} s",
        lambda: _check_time(claims, trust, now),
    )
    yield check(
        "audience",
        f"aud is or holds one of {', '.join(sorted(trust.audiences))}",
        lambda: _check_audience(claims, trust),
    )
    yield check(
        "connection",
        "no cnf, or cnf with x5t#S256 alone, the SHA-256 of the client certificate that the token comes with",
        lambda: jwt_token.check_binding(claims, peer_certificate_sha256),
    )
    yield check(
        "attributes",
        "readable, with " + ", ".join(_named(attribute) for attribute in sorted(rules.required)),
        lambda: jwt_token.subject_fields(claims, TokenRules(required=rules.required)),
    )
    yield check(
        "rules of the domain",
        of_rules(rules),
        lambda: jwt_token.subject_fields(claims, replace(rules, required=frozenset())),
    )


def _check_claims(claims: Mapping[str, Any]) -> None:
    jwt_token.check_claims(claims)
    for name in ("sub", "jti"):
        jwt_token.text_of(claims, name)


def _check_issuer(issuer: object, trust: JwtTrust) -> None:
    if not isinstance(issuer, str) or issuer not in trust.issuers:
        raise SecurityFault("FailedAuthentication", f"unknown issuer {issuer!r}")


def _check_time(claims: Mapping[str, Any], trust: JwtTrust, now: datetime) -> None:
    _present(claims, "iat", "exp")
    jwt_token.check_window(claims, trust, now)


def _check_audience(claims: Mapping[str, Any], trust: JwtTrust) -> None:
    _present(claims, "aud")
    jwt_token.check_audience(claims, trust)


def _present(claims: Mapping[str, Any], *names: str) -> None:
    missing = [name for name in names if name not in claims]
    if missing:
        raise SecurityFault("InvalidSecurityToken", f"claim {', '.join(missing)} is missing")


def _named(attribute: str) -> str:
    """Where a token says what the rules name by its attribute; a claim of the attribute's own name otherwise."""
    return " or ".join(claim for claim, said in CLAIMS.items() if said == attribute) or attribute


def _needed(rules: TokenRules) -> frozenset[str]:
    return rules.required.union(*(rule.attributes for rule in rules.further))


def _use(name: str, needed: frozenset[str]) -> str:
    if name in jwt_token.CLAIMS or CLAIMS.get(name, name) in needed:
        return "required"
    return "used" if name in _USED or name in CLAIMS else "ignored"


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Members of objects by their path; codings stay whole."""
    for name, inner in value.items():
        if isinstance(inner, dict) and before.count(".") < 2 and "code" not in inner:
            yield from _flat(inner, f"{before}{name}.")
        else:
            yield before + name, inner


def _shown(name: str, value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(_one(name, one) for one in values)


def _one(name: str, value: object) -> str:
    if isinstance(value, dict) and "code" in value:
        return f"{value['code']}^{value.get('display', '')}^{str(value.get('system', '')).removeprefix('urn:oid:')}"
    if name in _TIMES and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return f"{value} ({datetime.fromtimestamp(value, UTC).isoformat()})"
        except (OverflowError, OSError, ValueError):
            return str(value)
    return str(value)
