"""What is said of assertions, consents, signatures and audit messages: of each fault that fault alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import message_samples as samples
from tests.certificates import identity
from tests.policies import RESOURCES
from tests.validation.faults import Change, check, having, swap, without
from xdsi.spec.audit_events import TRANSACTIONS
from xdsi.spec.namespaces import SAML
from xdsi.validation import validate
from xdsi.wire.xml import E

ROLE = "urn:oasis:names:tc:xacml:2.0:subject:role"


def saml(*path: str, act: Any) -> bytes:
    """An assertion whose issuer signed it with something wrong in it."""

    def change(root: Any) -> None:
        found = root.find("/".join(E(SAML, name) for name in path)) if path else root
        assert found is not None, path
        act(found)

    return samples.altered_assertion(change)


def gone(found: Any) -> None:
    found.getparent().remove(found)


def role_gone(statement: Any) -> None:
    (role,) = [one for one in statement if one.get("Name") == ROLE]
    statement.remove(role)


def unsigned(raw: bytes) -> bytes:
    return re.sub(rb"<ds:Signature.*</ds:Signature>", b"", raw, flags=re.DOTALL)


ASSERTIONS: dict[str, tuple[bytes, str, str]] = {
    "unsigned": (unsigned(samples.assertion()), "SAML.unsigned", "Assertion"),
    "altered": (samples.assertion().replace(b">Hospital A<", b">Hospital B<"), "SAML.signature.value", "Signature"),
    "weak algorithm": (
        samples.assertion().replace(b"xmldsig-more#rsa-sha256", b"xmldsig-more#rsa-md5"), "SAML.signature.form",
        "Signature",
    ),
    "no certificate inside": (
        re.sub(rb"<ds:KeyInfo>.*</ds:KeyInfo>", b"", samples.assertion(), flags=re.DOTALL), "?SAML.signature.unknown",
        "Signature",
    ),
    "expired": (samples.assertion(now=samples.NOW - timedelta(days=365)), "?SAML.expired", "@NotOnOrAfter"),
    "too long": (samples.assertion(lifetime=timedelta(hours=9)), "?SAML.lifetime", "@NotOnOrAfter"),
    "no time": (saml("Conditions", act=lambda found: found.attrib.pop("NotBefore")), "SAML.conditions", "Conditions"),
    "no audience": (saml("Conditions", "AudienceRestriction", act=gone), "SAML.audience", "Conditions"),
    "unknown condition": (
        saml("Conditions", act=lambda found: found.insert(0, found.makeelement("{urn:x}Condition"))), "SAML.audience",
        "Conditions",
    ),
    "nobody": (saml("Subject", "NameID", act=gone), "SAML.subject", "Subject"),
    "no confirmation": (saml("Subject", "SubjectConfirmation", act=gone), "SAML.subject", "Subject"),
    "no role": (saml("AttributeStatement", act=role_gone), "SAML.attributes", "AttributeStatement"),
    "no login": (saml("AuthnStatement", act=gone), "SAML.structure", "Assertion"),
    "login of no kind": (
        saml("AuthnStatement", "AuthnContext", "AuthnContextClassRef", act=gone), "SAML.authentication",
        "AuthnStatement",
    ),
    "certificate of another time": (
        samples.assertion(now=datetime(2023, 1, 1, tzinfo=UTC), lifetime=timedelta(days=36500)),
        "SAML.signature.expired", "X509Certificate",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ASSERTIONS)
def test_one_fault_of_an_assertion_is_found_alone(name: str) -> None:
    raw, rule, place = ASSERTIONS[name]
    report = validate(raw)
    if name == "certificate of another time":  # which lives too long, too
        assert [one.rule for one in report.findings] == [rule, "SAML.lifetime"]
        return
    check(raw, rule, place)


CONSENTS: dict[str, tuple[bytes, Change, str, str]] = {
    "no template": (
        samples.bppc_consent(), without("//hl7:templateId[@root='1.3.6.1.4.1.19376.1.5.3.1.1.7']"), "BPPC.form",
        "templateId",
    ),
    "no template of documents": (
        samples.bppc_consent(), without("//hl7:templateId[@root='1.3.6.1.4.1.19376.1.5.3.1.1.1']"), "BPPC.templateId",
        "ClinicalDocument",
    ),
    "no custodian": (samples.bppc_consent(), without("//hl7:custodian"), "CDA.custodian", "ClinicalDocument"),
    "no patient": (samples.bppc_consent(), without("//hl7:recordTarget"), "CDA.recordTarget", "ClinicalDocument"),
    "another code": (samples.bppc_consent(), having("/*/hl7:code/@code", "11488-4"), "BPPC.form", "code"),
    "no begin": (samples.bppc_consent(), without("//hl7:low"), "BPPC.form", "effectiveTime"),
    "policy without a domain": (
        samples.bppc_consent(), without("//hl7:serviceEvent/hl7:code/@codeSystem"), "BPPC.serviceEvent.code", "code",
    ),
    "policy without an id": (
        samples.bppc_consent(), without("//hl7:serviceEvent/hl7:id"), "BPPC.serviceEvent.id", "serviceEvent",
    ),
    "no description": (samples.appc_consent(description=""), bytes, "APPC.form", "PolicySet"),
    "no patient in the target": (
        samples.appc_consent(target=RESOURCES.replace("II-equal", "XX-equal")), bytes, "APPC.form", "",
    ),
    "unknown combining": (
        samples.appc_consent(), having("/*/@PolicyCombiningAlgId", "urn:x"), "APPC.form", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONSENTS)
def test_one_fault_of_a_consent_is_found_alone(name: str) -> None:
    raw, change, rule, place = CONSENTS[name]
    report = validate(change(raw))
    assert [one.rule for one in report.findings] == [rule], report.findings
    (one,) = report.findings
    assert place in one.place
    assert one.text
    assert one.clause
    assert one.line


OTHER = identity("samples-other", "2048")
SIGNATURES: dict[str, tuple[bytes, Change, str, str]] = {
    "value": (samples.signature(), having("//ds:SignatureValue", "AAAA" * 64 + "AA=="), "DSG.SIG_CRYPTO_FAILURE",
              "SignatureValue"),
    "certificate of another": (
        samples.signature(),
        lambda raw: re.sub(
            rb"(<ds:X509Certificate>).*?(</ds:X509Certificate>)",
            b"\\1" + b"".join(OTHER.cert_pem.splitlines()[1:-1]) + b"\\2", raw, flags=re.DOTALL,
        ),
        "DSG.SIG_CONSTRAINTS_FAILURE", "SignatureValue",
    ),
    "unknown algorithm": (samples.signature(), having("//ds:SignatureMethod/@Algorithm", "urn:x"), "DSG.form", ""),
    "digest that is none": (samples.signature(), having("//ds:Reference[1]/ds:DigestValue", "!"), "DSG.form", ""),
    "comment": (samples.signature(), swap("<ds:SignedInfo>", "<!-- --><ds:SignedInfo>"), "DSG.form", "Signature"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_fault_of_a_signature_is_found(name: str) -> None:
    raw, change, rule, place = SIGNATURES[name]
    rules = [one.rule for one in validate(change(raw)).findings]
    assert rule in rules
    # With another certificate inside neither its digest nor the value fit.
    assert len(rules) == (2 if name == "certificate of another" else 1), rules
    assert any(place in one.place for one in validate(change(raw)).findings)


def test_properties_altered_after_signing_are_found_alone() -> None:
    check(having("//xades:SigningTime", "2026-05-04T11:00:00Z")(samples.signature()), "DSG.HASH_FAILURE", "SignedInfo")


AUDITS: dict[str, tuple[Change, str, str]] = {
    "no event": (without("//EventID"), "SCHEMA", "EventTypeCode"),
    "no code": (without("//EventID/@csd-code"), "SCHEMA", "EventID"),
    "no meaning": (without("//EventID/@originalText"), "SCHEMA", "EventID"),
    "outcome of nothing": (having("//@EventOutcomeIndicator", "1"), "SCHEMA", "@EventOutcomeIndicator"),
    "time that is none": (having("//@EventDateTime", "yesterday"), "SCHEMA", "@EventDateTime"),
    "detail that is not base64": (having("//ParticipantObjectDetail/@value", "!"), "AUDIT.detail", "@value"),
    "no source": (without("//AuditSourceIdentification"), "SCHEMA", "ParticipantObjectIdentification[1]"),
    "another event": (having("//EventID/@csd-code", "110112"), "AUDIT.EventID", "EventID"),
    "another action": (having("//@EventActionCode", "D"), "AUDIT.EventActionCode", "EventIdentification"),
    "no destination": (
        without("//ActiveParticipant[RoleIDCode/@csd-code='110152']/RoleIDCode"), "AUDIT.participant.110152",
        "AuditMessage",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AUDITS)
def test_one_fault_of_an_audit_message_is_found_alone(name: str) -> None:
    change, rule, place = AUDITS[name]
    check(change(samples.audit_message()), rule, place)
    # And in its envelope, too.
    check(samples.audit_syslog(change(samples.audit_message())), rule, place)


@pytest.mark.parametrize("transaction", sorted(TRANSACTIONS))
def test_the_records_of_every_transaction_are_right(transaction: str) -> None:
    assert validate(samples.audit_message(transaction)).findings == ()


FRAMES: dict[str, tuple[bytes, str]] = {
    "count too small": (b"1" + samples.audit_syslog(), "SYSLOG.frame"),
    "message id": (samples.audit_syslog(message_id="x"), "SYSLOG.MSGID"),
    "no time": (samples.audit_syslog(time=None), "SYSLOG.TIMESTAMP"),
    "no message": (samples.audit_syslog(message=b"hello"), "AUDIT.xml"),
    "old syslog": (b"<85>May  4 10:00:00 hub xdsi: " + samples.audit_message(), "file.form"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_one_fault_of_a_syslog_message_is_found_alone(name: str) -> None:
    raw, rule = FRAMES[name]
    (one,) = validate(raw).findings
    assert one.rule == rule
    assert one.expected
    assert one.clause
