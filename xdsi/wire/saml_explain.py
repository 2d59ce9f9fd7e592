"""Why an assertion is taken or not: every attribute, every check and its outcome, and what a valid one would have had.

For operators and integrators (`xdsi token explain`). The checks are those of `xdsi.wire.saml`; here they all run, also
after one has failed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from lxml import etree

from xdsi.domain.errors import MalformedMessage, SecurityFault
from xdsi.spec.namespaces import SAML
from xdsi.spec.token_rules import TokenRules
from xdsi.wire import saml, xml
from xdsi.wire.saml_attributes import ATTRIBUTE, ATTRIBUTE_VALUE, KNOWN, read_attributes
from xdsi.wire.token_explanation import Attribute, Check, Explanation, check
from xdsi.wire.xml import E, content
from xdsi.wire.xmldsig import DIGEST_METHODS, SIGNATURE_METHODS, isolate, verify_isolated

LIMIT = 5 * 1024 * 1024
_HEADER = re.compile(rb"(?:authorization *: *)?ihe-saml +([A-Za-z0-9+/_-]+=*)", re.IGNORECASE)
_ASSERTION = E(SAML, "Assertion")


def out_of_header(raw: bytes) -> bytes:
    """The assertion in an Authorization header (IHE-SAML); what is no such header comes back as it is."""
    header = _HEADER.fullmatch(raw.strip())
    if header is None:
        return raw
    try:
        return base64.b64decode(header[1].translate(bytes.maketrans(b"-_", b"+/")), validate=True)
    except binascii.Error as error:
        raise MalformedMessage("the assertion is not base64", expected="IHE-SAML and base64") from error


def explain(raw: bytes, trust: saml.SamlTrust, *, now: datetime, peer_certificate_sha256: str = "") -> Explanation:
    """Look at a file with one assertion: bare, in a Security header, or in a whole message.

    MalformedMessage where it is no XML, or has no assertion in it.
    """
    root = xml.parse(raw, limit=LIMIT)
    found = list(root.iter(_ASSERTION))
    if not found:
        raise MalformedMessage("no saml:Assertion in it", expected="an assertion, or a message with one")
    checks = [check("number", "exactly one assertion", lambda: _one(len(found)))]
    assertion = found[0]
    checks += _checks(assertion, trust, now, peer_certificate_sha256)
    return Explanation(
        checks=tuple(checks),
        attributes=tuple(_attributes(assertion, trust)),
        accepted=all(one.met for one in checks),
    )


def _checks(
    assertion: etree._Element, trust: saml.SamlTrust, now: datetime, peer_certificate_sha256: str
) -> Iterator[Check]:
    issuer = content(issuer_of) if (issuer_of := assertion.find(E(SAML, "Issuer"))) is not None else ""
    keys = trust.issuers.get(issuer, ())
    yield check(
        "structure",
        "SAML 2.0; Issuer, Signature, Subject, Conditions, then AuthnStatement and AttributeStatement",
        lambda: saml.check_structure(assertion),
    )
    yield check(
        "signature form",
        "one enveloped signature as a child, one reference to the assertion's ID, no comments inside, IDs unique",
        lambda: isolate(assertion),
    )
    yield check(
        "issuer",
        f"one of {', '.join(sorted(trust.issuers)) or 'saml.issuer: none is set'}",
        lambda: _known(issuer, keys),
    )

    def verify() -> None:
        key = verify_isolated(isolate(assertion), keys)
        if not key.valid_at(now) or key.sha256 in trust.revoked:
            raise SecurityFault("FailedAuthentication", f"the certificate {key.sha256} is expired or revoked")

    algorithms = ", ".join(sorted(one.rpartition("#")[2] for one in (*SIGNATURE_METHODS, *DIGEST_METHODS)))
    yield check(
        "signature",
        f"made with a certificate of saml.issuer {issuer!r} that is valid now; algorithms {algorithms}, exclusive C14N",
        verify,
    )
    conditions = assertion.find(E(SAML, "Conditions"))
    empty = etree.Element(E(SAML, "Conditions"))
    given = conditions if conditions is not None else empty
    yield check(
        "time",
        f"IssueInstant and NotBefore not after {now.isoformat(timespec='seconds')}, NotOnOrAfter after it, "
        f"at most {int(trust.max_lifetime.total_seconds())} s apart; clocks may differ by "
        f"{int(trust.clock_skew.total_seconds())} s",
        lambda: saml.check_window(assertion, given, trust, now),
    )
    yield check(
        "audience",
        f"in every AudienceRestriction one of {', '.join(sorted(trust.audiences))}; no unknown condition",
        lambda: saml.check_audience(given, trust),
    )
    subject = assertion.find(E(SAML, "Subject"))
    nobody = etree.Element(E(SAML, "Subject"))
    yield check(
        "subject",
        "a NameID, and a SubjectConfirmation bearer, or holder-of-key with the certificate of the connection",
        lambda: saml.check_subject(subject if subject is not None else nobody, trust, now, peer_certificate_sha256),
    )
    yield check(
        "node",
        "comes with a client certificate that this issuer's assertions may come with",
        lambda: saml.check_peer(issuer, trust, peer_certificate_sha256),
    )
    yield check(
        "authentication",
        "an AuthnContextClassRef or DeclRef, and a session that has not ended",
        lambda: saml.check_authentication(assertion, trust, now),
    )
    statements = list(assertion.iterchildren(E(SAML, "AttributeStatement")))
    yield check(
        "attributes",
        "readable, with " + ", ".join(sorted(trust.rules.required)),
        lambda: read_attributes(statements, trust.rules.required),
    )

    def by_rules() -> None:
        saml.check_rules(statements, read_attributes(statements, frozenset()), trust.rules)

    yield check("rules of the domain", of_rules(trust.rules), by_rules)


def of_rules(rules: TokenRules) -> str:
    """What the rules of a country ask for."""
    said = []
    if rules.role_schemes:
        said.append(f"roles of {', '.join(sorted(rules.role_schemes))}")
    if rules.purpose_schemes:
        said.append(f"purposes of {', '.join(sorted(rules.purpose_schemes))}")
    for rule in rules.further:
        codes = ", ".join(sorted(code for code, _ in (*rule.roles, *rule.purposes)))
        said.append(f"with {codes} also {', '.join(sorted(rule.attributes))}")
    return "; ".join(said) or "none beyond the attributes"


def _one(number: int) -> None:
    if number != 1:
        raise SecurityFault("InvalidSecurity", f"{number} assertions, expected one")


def _known(issuer: str, keys: tuple[Any, ...]) -> None:
    if not keys:
        raise SecurityFault("FailedAuthentication", f"unknown issuer {issuer!r}")


def _attributes(assertion: etree._Element, trust: saml.SamlTrust) -> Iterator[Attribute]:
    for attribute in assertion.iterfind(f"{E(SAML, 'AttributeStatement')}/{ATTRIBUTE}"):
        name = attribute.get("Name", "")
        needed = name in trust.rules.required or any(name in rule.attributes for rule in trust.rules.further)
        use = "required" if needed else "used" if name in KNOWN else "ignored"
        yield Attribute(name, tuple(_shown(value) for value in attribute.iterchildren(ATTRIBUTE_VALUE)), use)


def _shown(value: etree._Element) -> str:
    child = next(value.iterchildren(etree.Element), None)
    if child is None:
        return "".join(map(str, value.itertext())).strip()
    if child.get("code") is not None:
        return f"{child.get('code')}^{child.get('displayName', '')}^{child.get('codeSystem', '')}"
    if child.get("root") is not None:
        return f"{child.get('extension', '')}^^^&{child.get('root')}&ISO"
    return f"<{etree.QName(child).localname}>"
