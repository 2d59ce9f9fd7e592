"""XUA assertions: the checks that a service provider makes, at the time the assertion was issued for.

ITI TF-2 3.40.4.1.2; SAML 2.0 core. Who may issue is a matter of settings: a signature is checked with the certificate
that the assertion brings, which says that nothing was altered, not that the issuer is trusted.
"""

from __future__ import annotations

import base64
import binascii
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from lxml import etree

from xdsi.domain.errors import ConfigurationError, SecurityFault
from xdsi.domain.findings import Finding, Level
from xdsi.spec import namespaces as ns
from xdsi.validation.looks import first_element
from xdsi.validation.validator import Judged, Terms, Validator
from xdsi.validation.xml_file import XmlFile
from xdsi.wire import saml, xml
from xdsi.wire.saml_attributes import read_attributes
from xdsi.wire.saml_issue import HOLDER_OF_KEY
from xdsi.wire.xml import E, content
from xdsi.wire.xml_time import read_instant
from xdsi.wire.xmldsig import TrustedKey, isolate, verify_isolated

LIMIT: Final = 5 * 1024 * 1024
LONG: Final = timedelta(hours=1)
"""an assertion is for one session; services refuse what lives longer"""
_ASSERTION = E(ns.SAML, "Assertion")
_HOLDERS = frozenset({"Response", "Security", "RequestSecurityTokenResponse", "RequestSecurityTokenResponseCollection"})
"""what identity providers answer with"""
_CERTIFICATE = "/".join(E(ns.DS, name) for name in ("Signature", "KeyInfo", "X509Data", "X509Certificate"))
_CONFIRMED = f".//{E(ns.SAML, 'SubjectConfirmationData')}//{E(ns.DS, 'X509Certificate')}"
_CORE = "SAML 2.0 core"
_XUA = "ITI TF-2 3.40.4.1.2"


def check(file: XmlFile, element: etree._Element, terms: Terms) -> Iterator[Finding]:
    """Everything that a service would refuse an assertion for, and what it may."""
    conditions = element.find(E(ns.SAML, "Conditions"))
    subject = element.find(E(ns.SAML, "Subject"))
    statements = list(element.iterchildren(E(ns.SAML, "AttributeStatement")))
    empty = etree.Element(E(ns.SAML, "Conditions"))
    given = empty if conditions is None else conditions
    trust, when = _trust(element, given, terms), _when(element, given)

    def failed(
        rule: str, at: etree._Element | None, run: Callable[[], Any], expected: str, clause: str
    ) -> list[Finding]:
        try:
            run()
        except SecurityFault as fault:
            where = element if at is None else at
            return [file.finding(f"SAML.{rule}", where, fault.detail, expected, clause)]
        return []

    structure = failed(
        "structure",
        None,
        lambda: saml.check_structure(_as_if_signed(element)),
        "Version 2.0; Issuer, Signature, Subject, Conditions, AuthnStatement, AttributeStatement",
        f"{_XUA}; {_CORE} 2.3.3",
    )
    yield from structure
    yield from _signature(file, element, when)
    if conditions is not None:
        yield from failed(
            "conditions",
            conditions,
            lambda: saml.check_window(element, given, trust, when),
            "IssueInstant, NotBefore and NotOnOrAfter in UTC, in this order",
            f"{_XUA}; {_CORE} 2.5.1",
        )
        yield from failed(
            "audience",
            conditions,
            lambda: saml.check_audience(given, trust),
            "an AudienceRestriction with an Audience; no unknown condition",
            f"{_XUA}; {_CORE} 2.5.1.4",
        )
        yield from _times(file, conditions)
    if subject is not None:
        peer = _holder(subject)
        yield from failed(
            "subject",
            subject,
            lambda: saml.check_subject(subject, trust, when, peer),
            "a NameID, and a SubjectConfirmation bearer or holder-of-key",
            f"{_XUA}; {_CORE} 2.4.1",
        )
    yield from failed(
        "authentication",
        element.find(E(ns.SAML, "AuthnStatement")),
        lambda: saml.check_authentication(element, trust, when),
        "an AuthnContextClassRef or AuthnContextDeclRef",
        f"{_XUA}; {_CORE} 2.7.2",
    )
    if not statements:
        return
    required = terms.profile.tokens.required
    missing = failed(
        "attributes",
        statements[0],
        lambda: read_attributes(statements, required),
        "readable, with " + ", ".join(sorted(required)),
        f"{_XUA}, table 3.40.4.1.2-1",
    )
    yield from missing
    if not missing:
        fields = read_attributes(statements, required)
        yield from failed(
            "rules",
            statements[0],
            lambda: saml.check_rules(statements, fields, terms.profile.tokens),
            "the code systems and attributes of the domain's rules",
            "rules of the domain",
        )


def _as_if_signed(element: etree._Element) -> etree._Element:
    """An assertion with its children, and with a signature where it has none, which is told by itself."""
    if element.find(E(ns.DS, "Signature")) is not None:
        return element
    copy = etree.Element(element.tag, Version=element.get("Version", ""))
    for child in element.iterchildren("*"):
        etree.SubElement(copy, child.tag)
        if child.tag == E(ns.SAML, "Issuer"):
            etree.SubElement(copy, E(ns.DS, "Signature"))
    return copy


def _trust(element: etree._Element, conditions: etree._Element, terms: Terms) -> saml.SamlTrust:
    """Trust in just this assertion, so that each check looks at its form alone."""
    audiences = frozenset(content(one) for one in conditions.iter(E(ns.SAML, "Audience"))) - {""}
    return saml.SamlTrust(
        issuers={}, audiences=audiences, max_lifetime=timedelta(days=36500), rules=terms.profile.tokens
    )


def _when(element: etree._Element, conditions: etree._Element) -> datetime:
    """A moment at which the assertion was meant to be used."""
    times = [read_instant(text or "") for text in (element.get("IssueInstant"), conditions.get("NotBefore"))]
    known = [one for one in times if one is not None]
    return max(known) if known else datetime.now(UTC)


def _times(file: XmlFile, conditions: etree._Element) -> Iterator[Finding]:
    begin, end = (read_instant(conditions.get(name) or "") for name in ("NotBefore", "NotOnOrAfter"))
    if begin is None or end is None:
        return  # told by the check of the window
    if end - begin > LONG:
        yield file.finding(
            "SAML.lifetime",
            conditions,
            f"valid for {end - begin}",
            "minutes, at most an hour",
            f"{_XUA}; the domain's policy",
            attribute="NotOnOrAfter",
            level=Level.WARNING,
        )
    if begin < end <= datetime.now(UTC):
        yield file.finding(
            "SAML.expired",
            conditions,
            f"ended at {end.isoformat()}",
            "a new assertion, to be used now",
            f"{_XUA}; {_CORE} 2.5.1.2",
            attribute="NotOnOrAfter",
            level=Level.WARNING,
        )


def _holder(subject: etree._Element) -> str:
    """The certificate (SHA-256) that a holder-of-key confirmation names: who holds it is not known here."""
    for one in subject.iter(E(ns.SAML, "SubjectConfirmation")):
        if one.get("Method") == HOLDER_OF_KEY:
            certificate = _certificate(subject.find(_CONFIRMED))
            return certificate.fingerprint(hashes.SHA256()).hex() if certificate is not None else ""
    return ""


def _certificate(element: etree._Element | None) -> x509.Certificate | None:
    if element is None:
        return None
    try:
        return x509.load_der_x509_certificate(base64.b64decode("".join(content(element).split()), validate=True))
    except (binascii.Error, ValueError):
        return None


def _signature(file: XmlFile, element: etree._Element, when: datetime) -> Iterator[Finding]:
    clause = f"{_XUA}; {_CORE} 5.4"
    signature = element.find(E(ns.DS, "Signature"))
    if signature is None:
        yield file.finding(
            "SAML.unsigned",
            element,
            "the assertion is not signed",
            "an enveloped ds:Signature after the Issuer",
            clause,
        )
        return
    try:
        isolated = isolate(element)
    except SecurityFault as fault:
        expected = "one reference to the assertion's ID, enveloped, exclusive C14N, RSA or ECDSA with SHA-2"
        yield file.finding("SAML.signature.form", signature, fault.detail, expected, clause)
        return
    quoted = element.find(_CERTIFICATE)
    if quoted is None:
        yield file.finding(
            "SAML.signature.unknown",
            signature,
            "no certificate inside: the signature is not checked",
            "ds:X509Certificate in KeyInfo",
            clause,
            level=Level.WARNING,
        )
        return
    pem = "\n".join(
        [
            "-----BEGIN CERTIFICATE-----",
            *textwrap.wrap("".join(content(quoted).split()), 64),
            "-----END CERTIFICATE-----",
        ]
    )
    try:
        key = TrustedKey.of(pem)
        verify_isolated(isolated, (key,))
    except ConfigurationError as error:
        yield file.finding(
            "SAML.signature.certificate", quoted, str(error), "a certificate of RSA 2048, P-256 or more", clause
        )
        return
    except SecurityFault:
        yield file.finding(
            "SAML.signature.value",
            signature,
            "the signature does not fit the assertion",
            "the assertion as it was signed, byte for byte",
            clause,
        )
        return
    if not key.valid_at(when):
        yield file.finding(
            "SAML.signature.expired",
            quoted,
            "the certificate was not valid when it signed",
            "a certificate that is valid at IssueInstant",
            clause,
        )


def _knows(raw: bytes) -> bool:
    return first_element(raw) in ("Assertion", "EncryptedAssertion") or (
        first_element(raw) in _HOLDERS and b"AttributeStatement" in raw
    )


def _check(raw: bytes, terms: Terms) -> Judged:
    root = xml.parse(raw, limit=LIMIT, max_markup=50_000)
    file = XmlFile(root)
    found = list(root.iter(_ASSERTION))

    def findings() -> Iterator[Finding]:
        if not found:
            yield file.finding("SAML.assertion", root, "no identity assertion in it", "saml:Assertion", _CORE)
        for one in found[:10]:
            yield from check(file, one, terms)
        yield from file.by_profile(terms.profile)

    return Judged(findings=findings())


VALIDATORS = (
    Validator(
        key="saml", name="SAML assertion (XUA)", knows=_knows, check=_check, format_clause=f"{_XUA}; {_CORE} 2.3.3"
    ),
)
