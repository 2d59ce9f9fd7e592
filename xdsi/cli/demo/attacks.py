"""What must fail: assertions that are none, strangers, and altered content."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from lxml import etree

from xdsi.cli.demo.network import HOME, ISSUER, NATIONAL_ORGANIZATION, Network
from xdsi.domain.codes import Code
from xdsi.domain.subject import Subject
from xdsi.spec import namespaces as ns
from xdsi.wire.saml_issue import issue_assertion
from xdsi.wire.xml import E, parse, serialize

RADIOLOGIST = Code("309343006", "2.16.840.1.113883.6.96", "Radiologist")
TREATMENT = Code("TREAT", "2.16.840.1.113883.5.8", "treatment")


def physician() -> Subject:
    """The national consumer's user."""
    return Subject(
        user_id="dr.weber",
        issuer=ISSUER,
        assertion_id="",
        user_name="Dr Wanda Weber",
        organization="National eHealth platform",
        organization_id=NATIONAL_ORGANIZATION,
        roles=(RADIOLOGIST,),
        purposes=(TREATMENT,),
    )


def assertion(network: Network, *, signer: str = "idp", age: timedelta = timedelta(0)) -> bytes:
    """An assertion about the physician; `signer` other than `idp` is a forgery, `age` makes it an old one."""
    credential = network.credentials[signer]
    return issue_assertion(
        physician(),
        audiences=[HOME],
        key_pem=credential.key_file.read_bytes(),
        cert_pem=credential.certificate_file.read_bytes(),
        now=datetime.now(UTC) - age,
        lifetime=timedelta(minutes=30),
    )


def wrapped(genuine: bytes) -> bytes:
    """Another user's assertion around the genuine one, whose signature stays valid (signature wrapping)."""
    evil = parse(genuine)
    original = parse(genuine)
    evil.set("ID", "_evil")
    name_id = evil.find(f"{E(ns.SAML, 'Subject')}/{E(ns.SAML, 'NameID')}")
    assert name_id is not None
    name_id.text = "intruder"
    signature = evil.find(E(ns.DS, "Signature"))
    assert signature is not None
    # The genuine assertion hides in an Object of the signature that still points at it.
    etree.SubElement(signature, E(ns.DS, "Object")).append(original)
    return serialize(evil)


def altered(genuine: bytes) -> bytes:
    """The genuine assertion with another role: the signature no longer holds."""
    return genuine.replace(base64.b64decode("MzA5MzQzMDA2"), b"224535009")
