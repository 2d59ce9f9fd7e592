"""XUA identity assertions: a SAML 2.0 assertion in a wsse:Security header becomes a verified Subject, and back.

ITI TF-2 3.40 (Provide X-User Assertion), SAML 2.0 core and profiles, WS-Security SAML token profile 1.1. The order of
the checks, and so the fault that a caller sees, is fixed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from lxml import etree

from xdsi.domain.codes import Code
from xdsi.domain.errors import ConfigurationError, MalformedMessage, SecurityFault
from xdsi.domain.subject import Subject
from xdsi.spec.namespaces import DS, SAML, WSSE, WSU
from xdsi.spec.token_rules import PROFILES, TokenRules
from xdsi.wire import xml
from xdsi.wire.revocation import lists_of, read_lists
from xdsi.wire.saml_attributes import present_attributes, read_attributes
from xdsi.wire.saml_issue import issue_assertion, security_header
from xdsi.wire.saml_memory import Proved, ProvedAssertions
from xdsi.wire.saml_terms import (
    Confirmation,
    Window,
    check_sessions,
    confirm,
    instant,
    malformed,
    read_confirmation,
    read_window,
)
from xdsi.wire.xml import E, content
from xdsi.wire.xmldsig import LIMIT, TrustedKey, isolate_bytes, verify_isolated

__all__ = [
    "SamlTrust",
    "VerifiedAssertion",
    "issue_assertion",
    "read_assertion",
    "read_bare_assertion",
    "security_header",
]

_ASSERTION, _ENCRYPTED = E(SAML, "Assertion"), E(SAML, "EncryptedAssertion")
_STATEMENT, _LOGIN, _CONTEXT = (E(SAML, name) for name in ("AttributeStatement", "AuthnStatement", "AuthnContext"))
_NAME_ID, _CONFIRMATION = (E(SAML, name) for name in ("NameID", "SubjectConfirmation"))
_RESTRICTION, _AUDIENCE, _ONE_TIME_USE = (E(SAML, name) for name in ("AudienceRestriction", "Audience", "OneTimeUse"))
_CONDITIONS = frozenset({_RESTRICTION, _ONE_TIME_USE, E(SAML, "ProxyRestriction")})
_REFERENCES = frozenset({"AuthnContextClassRef", "AuthnContextDeclRef"})
_TIMESTAMP = E(WSU, "Timestamp")
_ORDER = re.compile(
    r"Issuer Signature Subject Conditions( Advice)?"
    r"( (AuthnStatement|AttributeStatement|AuthzDecisionStatement|Statement))+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlTrust:
    """Whose assertions count, and on what terms. Build it once with `of`: certificates are parsed there."""

    issuers: Mapping[str, tuple[TrustedKey, ...]]
    audiences: frozenset[str]
    max_lifetime: timedelta = timedelta(hours=1)
    clock_skew: timedelta = timedelta(seconds=60)
    revoked: frozenset[str] = frozenset()
    """SHA-256 of issuers' certificates that are revoked"""
    rules: TokenRules = PROFILES["generic"]
    """attributes that have to be there, and code systems"""
    peers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """issuer to the client certificates (SHA-256) its assertions may come with; an issuer not named here: any"""
    recipients: frozenset[str] = frozenset()
    """our endpoints, for SubjectConfirmationData/@Recipient; empty: not compared"""
    authn_contexts: frozenset[str] = frozenset()
    """accepted ways of logging in; empty: any"""
    proved: ProvedAssertions = field(default_factory=ProvedAssertions, init=False, repr=False, compare=False)
    """what was verified by this very list; a copy with other terms begins with none"""

    @classmethod
    def of(
        cls, issuers: Mapping[str, Iterable[str | bytes]], audiences: Iterable[str], *, crls: Iterable[bytes] = ()
    ) -> SamlTrust:
        """From PEM certificates per issuer and files of revocation lists; ConfigurationError where one is unusable."""
        keys = {name: tuple(TrustedKey.of(pem) for pem in pems) for name, pems in issuers.items()}
        try:
            lists = [one for raw in crls for one in read_lists(raw)]
        except ValueError as error:
            raise ConfigurationError(f"not a certificate revocation list: {error}") from error
        revoked = frozenset(
            key.sha256
            for group in keys.values()
            for key in group
            for crl in lists_of(key.certificate, lists)
            if crl.get_revoked_certificate_by_serial_number(key.certificate.serial_number) is not None
        )
        return cls(issuers=keys, audiences=frozenset(audiences), revoked=revoked)


@dataclass(frozen=True, slots=True)
class VerifiedAssertion:
    """Who asks, proved; and the assertion as it came, to pass on and to recognise a replay (`subject.assertion_id`)."""

    subject: Subject
    raw: bytes = field(repr=False)
    one_time_use: bool = False
    """the issuer allows one use only"""


def read_assertion(
    security_headers: Sequence[etree._Element],
    trust: SamlTrust,
    *,
    now: datetime,
    peer_certificate_sha256: str = "",
) -> VerifiedAssertion:
    """The one assertion of a message, verified; SecurityFault with the code of what fails first."""
    text = xml.serialize_text(_find(security_headers, trust, now))
    # All that follows is read from these characters alone, never from the message around them.
    proved = trust.proved.find(text)
    if proved is not None:
        return _used_again(proved, trust, now, peer_certificate_sha256)
    raw = text.encode()
    isolated = isolate_bytes(raw)
    assertion = isolated.element
    check_structure(assertion)
    issuer = content(assertion[0])
    key = verify_isolated(isolated, _keys_of(issuer, trust))
    check_key(key, issuer, trust, now)
    conditions = assertion[3]
    window = check_window(assertion, conditions, trust, now)
    check_audience(conditions, trust)
    check_peer(issuer, trust, peer_certificate_sha256)
    name_id, confirmations = check_subject(assertion[2], trust, now, peer_certificate_sha256)
    sessions = check_authentication(assertion, trust, now)
    statements = list(assertion.iterchildren(_STATEMENT))
    fields = read_attributes(statements, trust.rules.required)
    check_rules(statements, fields, trust.rules)
    subject = Subject(
        user_id=content(name_id),
        issuer=issuer,
        assertion_id=assertion.get("ID", ""),
        user_qualifier=name_id.get("NameQualifier", ""),
        alias=name_id.get("SPProvidedID", ""),
        not_before=window.not_before,
        not_on_or_after=window.not_on_or_after,
        certificate_sha256=key.sha256,
        **fields,
    )
    one_time_use = conditions.find(_ONE_TIME_USE) is not None
    proved = Proved(raw, key, subject, one_time_use, window, confirmations, sessions)
    trust.proved.keep(text, proved)
    return VerifiedAssertion(subject, raw, one_time_use)


def _used_again(proved: Proved, trust: SamlTrust, now: datetime, peer_certificate_sha256: str) -> VerifiedAssertion:
    """An assertion that was accepted before: whatever does not follow from it and the list of trust is checked anew."""
    issuer = proved.subject.issuer
    check_key(proved.key, issuer, trust, now)
    proved.window.check(now, trust.clock_skew, trust.max_lifetime)
    check_peer(issuer, trust, peer_certificate_sha256)
    confirm(proved.confirmations, now, trust.clock_skew, trust.recipients, peer_certificate_sha256)
    check_sessions(proved.sessions, now, trust.clock_skew)
    return VerifiedAssertion(proved.subject, proved.raw, proved.one_time_use)


def check_key(key: TrustedKey, issuer: str, trust: SamlTrust, now: datetime) -> None:
    """The certificate that verified the signature holds, and is not revoked."""
    if not key.valid_at(now) or key.sha256 in trust.revoked:
        raise SecurityFault("FailedAuthentication", f"the certificate {key.sha256} of {issuer!r} is expired or revoked")


def _keys_of(issuer: str, trust: SamlTrust) -> Sequence[TrustedKey]:
    keys = trust.issuers.get(issuer)
    if not keys:
        raise SecurityFault("FailedAuthentication", f"unknown issuer {issuer!r}")
    return keys


def read_bare_assertion(
    raw: bytes, trust: SamlTrust, *, now: datetime, peer_certificate_sha256: str = ""
) -> VerifiedAssertion:
    """An assertion that came without a SOAP header (HTTP Authorization), verified as in one."""
    try:
        assertion = xml.parse(raw, limit=LIMIT)
    except MalformedMessage as error:
        raise malformed(str(error)) from error
    header = etree.Element(E(WSSE, "Security"))
    header.append(assertion)
    return read_assertion([header], trust, now=now, peer_certificate_sha256=peer_certificate_sha256)


def _find(headers: Sequence[etree._Element], trust: SamlTrust, now: datetime) -> etree._Element:
    assertions = [child for header in headers for child in header.iterchildren(_ASSERTION)]
    everywhere = [found.tag for header in headers for found in header.iter(_ASSERTION, _ENCRYPTED)]
    if _ENCRYPTED in everywhere:
        raise SecurityFault("UnsupportedSecurityToken", "encrypted assertions are not taken")
    if len(assertions) != 1:
        raise SecurityFault("InvalidSecurity", f"{len(assertions)} assertions, expected one")
    if len(everywhere) != 1:
        raise SecurityFault("InvalidSecurity", "a second assertion inside another element")
    stamps = [child for header in headers for child in header.iterchildren(_TIMESTAMP)]
    if len(stamps) > 1:
        raise SecurityFault("InvalidSecurity", "two timestamps")
    for stamp in stamps:
        expires = stamp.findtext(E(WSU, "Expires"))
        if expires is not None and instant(expires.strip(), "wsu:Expires", "InvalidSecurity") + trust.clock_skew <= now:
            raise SecurityFault("MessageExpired", "the timestamp of the message is over")
    return assertions[0]


def check_structure(assertion: etree._Element) -> None:
    """SAML 2.0, with the children that XUA needs in the order of the schema."""
    if assertion.tag != _ASSERTION or assertion.get("Version") != "2.0":
        raise malformed("not a SAML 2.0 assertion")
    names = [etree.QName(child) for child in assertion]
    if any(name.namespace != (DS if name.localname == "Signature" else SAML) for name in names):
        raise malformed("a child of the assertion is in a foreign namespace")
    order = " ".join(name.localname for name in names)
    if _ORDER.fullmatch(order) is None:
        raise malformed(f"the children of the assertion are {order}")
    for statement in ("AuthnStatement", "AttributeStatement"):
        if statement not in order:
            raise malformed(f"no {statement}")


def check_window(assertion: etree._Element, conditions: etree._Element, trust: SamlTrust, now: datetime) -> Window:
    """The time of use is within the conditions, and those are not too wide."""
    window = read_window(assertion, conditions)
    window.check(now, trust.clock_skew, trust.max_lifetime)
    return window


def check_audience(conditions: etree._Element, trust: SamlTrust) -> None:
    """One of ours in every AudienceRestriction (SAML 2.0 erratum E46); a condition we do not know is not met."""
    for condition in conditions:
        if condition.tag not in _CONDITIONS:
            raise malformed(f"unknown condition {condition.tag}")
    restrictions = conditions.findall(_RESTRICTION)
    if not restrictions:
        raise malformed("no AudienceRestriction")
    for restriction in restrictions:
        audiences = {content(audience) for audience in restriction.iterchildren(_AUDIENCE)}
        if audiences.isdisjoint(trust.audiences):
            raise SecurityFault("FailedAuthentication", f"the assertion is for {sorted(audiences)}")


def check_subject(
    subject: etree._Element, trust: SamlTrust, now: datetime, peer_certificate_sha256: str
) -> tuple[etree._Element, tuple[Confirmation, ...]]:
    """The NameID, and the confirmations of which one has been met."""
    name_id = subject.find(_NAME_ID)
    if name_id is None or len(name_id) or not content(name_id):
        raise malformed("no NameID")
    found = [_confirmation(one) for one in subject.iterchildren(_CONFIRMATION)]
    confirm(found, now, trust.clock_skew, trust.recipients, peer_certificate_sha256)
    return name_id, tuple(one for one in found if isinstance(one, Confirmation))


def _confirmation(element: etree._Element) -> Confirmation | SecurityFault:
    try:
        return read_confirmation(element)
    except SecurityFault as fault:
        return fault


def check_authentication(assertion: etree._Element, trust: SamlTrust, now: datetime) -> tuple[datetime, ...]:
    """How the person logged in is told, accepted, and still holds; the ends of sessions."""
    ends: list[datetime] = []
    for statement in assertion.iterchildren(_LOGIN):
        context = statement.find(_CONTEXT)
        refs = set() if context is None else {content(c) for c in context if etree.QName(c).localname in _REFERENCES}
        if not any(refs):
            raise malformed("no AuthnContext")
        if trust.authn_contexts and refs.isdisjoint(trust.authn_contexts):
            raise SecurityFault("FailedAuthentication", f"authentication by {sorted(refs)} is not accepted")
        until = statement.get("SessionNotOnOrAfter")
        if until is not None:
            ends.append(instant(until, "SessionNotOnOrAfter"))
            check_sessions(ends, now, trust.clock_skew)
    return tuple(ends)


def check_peer(issuer: str, trust: SamlTrust, peer_certificate_sha256: str) -> None:
    """An issuer's assertions come from the nodes they may come from."""
    peers = trust.peers.get(issuer)
    if peers is not None and peer_certificate_sha256 not in peers:
        raise SecurityFault("FailedAuthentication", f"assertions of {issuer!r} may not come from this node")


def check_rules(statements: Sequence[etree._Element], fields: Mapping[str, Any], rules: TokenRules) -> None:
    """Code systems, and what is needed with some roles or purposes (xdsi/spec/token_rules.py)."""
    check_country(fields, present_attributes(statements), rules)


def check_country(fields: Mapping[str, Any], present: Collection[str], rules: TokenRules) -> None:
    """The same for a credential of either form, by the fields of a Subject and the names of what was said."""
    roles, purposes = fields.get("roles", ()), fields.get("purposes", ())
    _check_schemes(roles, rules.role_schemes)
    _check_schemes(purposes, rules.purpose_schemes)
    for rule in rules.further:
        applies = _has_any(roles, rule.roles) and _has_any(purposes, rule.purposes)
        missing = sorted(rule.attributes.difference(present)) if applies else []
        if missing:
            raise malformed(f"attribute {missing[0]} is missing")


def _has_any(codes: Iterable[Code], wanted: frozenset[tuple[str, str]]) -> bool:
    return not wanted or any((code.code, code.scheme) in wanted for code in codes)


def _check_schemes(codes: Iterable[Code], schemes: frozenset[str]) -> None:
    for code in codes:
        if schemes and code.scheme not in schemes:
            raise malformed(f"code {code} is not of an accepted code system")
