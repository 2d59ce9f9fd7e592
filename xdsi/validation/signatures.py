"""Signature documents: their form, their values, and what DSG asks of them. Who signs is a matter of settings.

ITI TF-3 5.5 (DSG); XML Signature 1.1; XAdES (ETSI EN 319 132).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.findings import Finding, Level
from xdsi.spec.namespaces import DS
from xdsi.validation.looks import first_element
from xdsi.validation.validator import Judged, Terms, Validator
from xdsi.validation.xml_file import XmlFile
from xdsi.wire import signature_document, xml
from xdsi.wire.signature_writer import DETACHED
from xdsi.wire.xml import E

LIMIT: Final = 5 * 1024 * 1024
POLICIES: Final = (DETACHED, "urn:ihe:iti:dsg:enveloping:2014")
_FORM = "ITI TF-3 5.5.2; XML Signature 1.1"
_EXPECTED = {
    "SIG_CRYPTO_FAILURE": "the signature as it was made, with the key of the certificate inside",
    "SIG_CONSTRAINTS_FAILURE": "the certificate that the signed properties name",
    "FORMAT_FAILURE": "xades:SignedProperties with a reference in SignedInfo",
    "HASH_FAILURE": "the signed parts as they were signed",
}


def _knows(raw: bytes) -> bool:
    return first_element(raw) == "Signature"


def _check(raw: bytes, terms: Terms) -> Judged:
    file = XmlFile(xml.parse(raw, limit=LIMIT, max_markup=100_000))
    return Judged(findings=_findings(file, raw, terms))


def _findings(file: XmlFile, raw: bytes, terms: Terms) -> Iterator[Finding]:
    root = file.root
    try:
        document = signature_document.read(raw)
    except MalformedMessage as error:
        where = _named(root, error.location)
        yield file.malformed("DSG.form", error, _FORM, where)
        return
    for refused in signature_document.integrity(document):
        where = _named(root, "SignedInfo" if refused.indication == "HASH_FAILURE" else "SignatureValue")
        expected = _EXPECTED.get(refused.indication, "a signature that holds")
        yield file.finding(f"DSG.{refused.indication}", where, refused.detail, expected, _FORM)
    properties = document.properties
    if properties is not None:
        if not properties.commitments:
            yield file.finding(
                "DSG.commitment",
                _named(root, "SignedProperties"),
                "no purpose: CommitmentTypeIndication",
                "the purpose of the signature, urn:oid:1.2.840.10065.1.12.1.N",
                "ITI TF-3 5.5.2",
            )
        if properties.policy not in POLICIES:
            yield file.finding(
                "DSG.policy",
                _named(root, "SignedProperties"),
                f"the signature policy is {properties.policy or 'not named'}",
                " or ".join(POLICIES),
                "ITI TF-3 5.5.2",
                level=Level.WARNING,
            )
    if not document.documents:
        yield file.finding(
            "DSG.documents", root, "no document is signed", "a ds:Reference for each document", "ITI TF-3 5.5.2"
        )
    yield from file.by_profile(terms.profile)


def _named(root: etree._Element, name: str) -> etree._Element:
    """The first element of a name, the reference with a URI, or the root."""
    for one in root.iter(etree.Element):
        if etree.QName(one).localname == name or (name and one.tag == E(DS, "Reference") and one.get("URI") == name):
            return one
    return root


VALIDATORS = (
    Validator(key="signature", name="signature document (DSG)", knows=_knows, check=_check, format_clause=_FORM),
)
