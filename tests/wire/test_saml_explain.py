"""What `xdsi token explain` says: the verdict is that of the server, and each check says what would be right."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.wire.test_saml import AUDIENCE, CLIENT, DOCTOR, NOW, STRANGER, TRUST, altered, header, issued, saml
from xdsi.domain.errors import MalformedMessage, SecurityFault
from xdsi.spec.token_rules import PROFILES
from xdsi.wire import xml
from xdsi.wire.saml import read_assertion
from xdsi.wire.saml_explain import explain

CASES = {
    "": issued(),
    "issuer": issued(replace(DOCTOR, issuer="https://else.example")),
    "signature": issued(signer=STRANGER),
    "time": issued(now=NOW - timedelta(hours=2)),
    "audience": issued(audiences=["urn:oid:2.999.2"]),
    "attributes": issued(replace(DOCTOR, roles=())),
    "authentication": xml.serialize(altered(lambda root: saml(root, "AuthnStatement", "AuthnContext").clear())),
    "signature form": issued().replace(b"Dr Jekyll", b"Dr <!-- -->Jekyll"),
    "subject": issued(holder_certificate=CLIENT.cert_der),
}  # fmt: skip


@pytest.mark.parametrize("wrong", CASES)
def test_what_is_wrong_is_named_and_the_verdict_is_that_of_the_server(wrong):
    found = explain(CASES[wrong], TRUST, now=NOW)
    failed = [check.name for check in found.checks if not check.met]
    assert (wrong in failed) if wrong else not failed
    assert all(check.expected for check in found.checks)
    assert all(check.detail for check in found.checks if not check.met)
    refusals = set()
    try:
        read_assertion([header(CASES[wrong])], TRUST, now=NOW)
    except SecurityFault as fault:
        refusals.add(fault.wsse_code)
    assert found.accepted is not bool(refusals)
    assert refusals <= {check.fault for check in found.checks}


def test_checks_go_on_after_one_failed():
    token = issued(replace(DOCTOR, roles=()), signer=STRANGER, now=NOW - timedelta(hours=2), audiences=["urn:x"])
    failed = {check.name for check in explain(token, TRUST, now=NOW).checks if not check.met}
    assert {"signature", "time", "audience", "attributes"} <= failed


def test_the_audience_that_would_have_been_right_is_told():
    found = explain(CASES["audience"], TRUST, now=NOW)
    (check,) = [one for one in found.checks if one.name == "audience"]
    assert AUDIENCE in check.expected
    assert "urn:oid:2.999.2" in check.detail


def test_every_attribute_is_shown_with_what_becomes_of_it():
    def add(root):
        attribute = saml(root, "AttributeStatement", "Attribute")
        other = xml.parse(xml.serialize(attribute))
        other.set("Name", "urn:other")
        saml(root, "AttributeStatement").append(other)

    uses = {one.name.rpartition(":")[2]: one for one in explain(xml.serialize(altered(add)), TRUST, now=NOW).attributes}
    assert uses["role"].values == ("112247003^Doctor^2.16.840.1.113883.6.96", "HCP^^2.16.756.5.30.1.127.3.10.6")
    assert (uses["role"].use, uses["npi"].use, uses["other"].use) == ("required", "used", "ignored")


def test_a_whole_message_and_two_assertions():
    assert explain(xml.serialize(header(issued())), TRUST, now=NOW).accepted
    two = explain(xml.serialize(header(issued(), issued())), TRUST, now=NOW)
    assert [check.name for check in two.checks if not check.met] == ["number"]


def test_rules_of_a_country():
    found = explain(issued(), replace(TRUST, rules=PROFILES["switzerland"]), now=NOW)
    (check,) = [one for one in found.checks if one.name == "rules of the domain"]
    assert not check.met
    assert "2.16.756.5.30.1.127.3.10.5" in check.expected
    assert "principal-id" in check.expected


@pytest.mark.parametrize("raw", [b"<x/>", b"no XML", b"<!DOCTYPE x><x/>"])
def test_no_assertion(raw):
    with pytest.raises(MalformedMessage):
        explain(raw, TRUST, now=NOW)
