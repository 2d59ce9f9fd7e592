"""Consent documents: what makes the product take one for a consent, and the header that CDA asks for.

ITI TF-3 5.1 (BPPC), HL7 CDA R2; APPC supplement 5.6, XACML 2.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.findings import Finding
from xdsi.spec.namespaces import HL7V3
from xdsi.validation.looks import first_element
from xdsi.validation.validator import Judged, Terms, Validator
from xdsi.validation.xml_file import XmlFile
from xdsi.wire import bppc, consent, xml
from xdsi.wire.xml import E

LIMIT: Final = 10 * 1024 * 1024
_CDA = "HL7 CDA R2 4.2"
_BPPC = "ITI TF-3 5.1.2"
_APPC = "APPC 5.6; XACML 2.0 core 5"
_SIGNS = (
    bppc.DOCUMENT_CODE.code.encode(), bppc.CONSENT_TEMPLATE.encode(), bppc.SERVICE_EVENT_TEMPLATE.encode(),
)  # fmt: skip
_HEADER = (
    "typeId",
    "id",
    "code",
    "effectiveTime",
    "confidentialityCode",
    "recordTarget",
    "author",
    "custodian",
    "component",
)


def _knows_cda(raw: bytes) -> bool:
    # Other clinical documents are no business of ours.
    return first_element(raw) == "ClinicalDocument" and any(sign in raw for sign in _SIGNS)


def _knows_policy(raw: bytes) -> bool:
    return first_element(raw) in ("PolicySet", "Policy")


def _check_bppc(raw: bytes, terms: Terms) -> Judged:
    file = XmlFile(xml.parse(raw, limit=LIMIT))
    return Judged(findings=_bppc(file, raw, terms))


def _bppc(file: XmlFile, raw: bytes, terms: Terms) -> Iterator[Finding]:
    root = file.root
    present = {etree.QName(one).localname for one in root.iterchildren("*")}
    missing = [name for name in _HEADER if name not in present]
    for name in missing:
        yield file.finding(f"CDA.{name}", root, f"no {name}", f"{name}, in its place", _CDA)
    templates = {one.get("root") for one in root.iterchildren(E(HL7V3, "templateId"))}
    if bppc.MEDICAL_DOCUMENTS not in templates:
        yield file.finding(
            "BPPC.templateId", root, "no template of a medical document", f"templateId {bppc.MEDICAL_DOCUMENTS}", _BPPC
        )
    for event in root.iterfind(f"{E(HL7V3, 'documentationOf')}/{E(HL7V3, 'serviceEvent')}"):
        if bppc.SERVICE_EVENT_TEMPLATE in {one.get("root") for one in event.iterchildren(E(HL7V3, "templateId"))}:
            yield from _event(file, event)
    try:
        bppc.decode_bppc(raw)
    except MalformedMessage as error:
        if not any(f"/{name}" in f"/{error.location.partition('/')[2]}/" for name in missing):
            yield file.malformed("BPPC.form", error, _BPPC)
    yield from file.by_profile(terms.profile)


def _event(file: XmlFile, event: etree._Element) -> Iterator[Finding]:
    if event.find(E(HL7V3, "id")) is None:
        yield file.finding("BPPC.serviceEvent.id", event, "the accepted policy has no id", "an id with a root", _BPPC)
    code = event.find(E(HL7V3, "code"))
    if code is not None and not code.get("codeSystem"):
        yield file.finding(
            "BPPC.serviceEvent.code",
            code,
            "the policy's code has no codeSystem",
            "@codeSystem, the domain of policies",
            _BPPC,
        )


def _check_appc(raw: bytes, terms: Terms) -> Judged:
    file = XmlFile(xml.parse(raw, limit=LIMIT, max_markup=50_000))

    def findings() -> Iterator[Finding]:
        try:
            consent.decode_appc(raw)
        except MalformedMessage as error:
            yield file.malformed("APPC.form", error, _APPC)
        yield from file.by_profile(terms.profile)

    return Judged(findings=findings())


VALIDATORS = (
    Validator(key="bppc", name="consent (BPPC)", knows=_knows_cda, check=_check_bppc, format_clause=f"{_BPPC}; {_CDA}"),
    Validator(key="appc", name="consent (APPC)", knows=_knows_policy, check=_check_appc, format_clause=_APPC),
)
