"""The answer to an ITI-79 query: decisions in a signed assertion, and whether to believe them.

IHE SeR 3.79.4.2; SAML 2.0 profile of XACML 2.0 (both forms of its namespaces).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from lxml import etree

from xdsi.domain.consent import Decision, DecisionAnswer, DecisionRequest, Verdict
from xdsi.domain.errors import MalformedMessage, Refused, SecurityFault, Unavailable
from xdsi.spec import xacml
from xdsi.spec.namespaces import (
    DS,
    SAML,
    SAMLP,
    XACML_CONTEXT,
    XACML_SAML_ASSERTION,
    XACML_SAML_PROTOCOL,
    XSI,
)
from xdsi.wire import xml
from xdsi.wire.xacml_values import children_of, refused
from xdsi.wire.xml import E, content
from xdsi.wire.xml_time import read_instant, write_instant
from xdsi.wire.xmldsig import TrustedKey, isolate, sign_enveloped, verify_isolated

LIMIT = 5 * 1024 * 1024
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,127}")
_SKEW = timedelta(seconds=60)


def encode_answer(
    answer: DecisionAnswer,
    request: DecisionRequest,
    *,
    issuer: str,
    key_pem: bytes,
    cert_pem: bytes,
    now: datetime,
    lifetime: timedelta = timedelta(minutes=1),
) -> bytes:
    """The samlp:Response to `request`: Permit or Deny per resource (Deny where `answer` is silent), signed.

    The assertion names the query it answers, so that it cannot be shown for another.
    """
    issued = write_instant(now)
    assertion = etree.Element(E(SAML, "Assertion"), nsmap={"saml": SAML, "xsi": XSI})
    _set(assertion, Version="2.0", ID=f"_{uuid.uuid4()}", IssueInstant=issued)
    _saml(assertion, "Issuer").text = issuer
    if _ID.fullmatch(request.query_id):
        confirmation = _saml(_saml(assertion, "Subject"), "SubjectConfirmation", Method=_BEARER)
        _saml(confirmation, "SubjectConfirmationData", InResponseTo=request.query_id)
    _saml(assertion, "Conditions", NotBefore=issued, NotOnOrAfter=write_instant(now + lifetime))
    profile = XACML_SAML_ASSERTION if request.protocol == XACML_SAML_PROTOCOL else xacml.ASSERTION_V2
    statement = etree.SubElement(assertion, E(SAML, "Statement"), nsmap={"xacml-saml": profile})
    statement.set(E(XSI, "type"), "xacml-saml:XACMLAuthzDecisionStatementType")
    results = etree.SubElement(statement, E(XACML_CONTEXT, "Response"), nsmap={"context": XACML_CONTEXT})
    for unique_id in dict.fromkeys(resource.unique_id for resource in request.resources):
        decision = answer.decisions.get(unique_id)
        result = _context(results, "Result")
        result.set("ResourceId", unique_id)
        _context(result, "Decision").text = Verdict.PERMIT if decision is not None and decision.permit else Verdict.DENY
        code = _context(_context(result, "Status"), "StatusCode")
        code.set("Value", "urn:oasis:names:tc:xacml:1.0:status:ok")
    response = etree.Element(E(SAMLP, "Response"), nsmap={"samlp": SAMLP})
    _set(response, ID=f"_{uuid.uuid4()}", Version="2.0", IssueInstant=issued)
    if _ID.fullmatch(request.query_id):
        response.set("InResponseTo", request.query_id)
    status = etree.SubElement(response, E(SAMLP, "Status"))
    etree.SubElement(status, E(SAMLP, "StatusCode"), Value=SUCCESS)
    response.append(sign_enveloped(assertion, key_pem, cert_pem))
    return xml.serialize(response)


def decode_answer(
    element: etree._Element,
    trust: Sequence[TrustedKey],
    *,
    require_signed: bool,
    query_id: str = "",
    now: datetime,
) -> DecisionAnswer:
    """The decisions of a samlp:Response.

    A resource that is not among them is refused. The whole is Refused where it cannot be believed: unsigned although
    `require_signed`, signed by none of `trust`, for another query than `query_id`, out of its time. Unavailable where
    the other side reports a failure.
    """
    if element.tag != E(SAMLP, "Response"):
        raise MalformedMessage(
            "not an answer to a decision query", location=str(element.tag), expected="samlp:Response"
        )
    status = element.find(f"{E(SAMLP, 'Status')}/{E(SAMLP, 'StatusCode')}")
    if status is None or status.get("Value") != SUCCESS:
        raise Unavailable(f"the decision service answered {'nothing' if status is None else status.get('Value')}")
    assertions = element.findall(E(SAML, "Assertion"))
    if len(assertions) != 1:
        raise refused(element, f"{len(assertions)} assertions", expected="one")
    assertion = _believed(assertions[0], trust, now, require_signed=require_signed)
    _check_binding(element, assertion, query_id, now)
    path = f"{E(SAML, 'Statement')}/{E(XACML_CONTEXT, 'Response')}/{E(XACML_CONTEXT, 'Result')}"
    issuer = content(assertion[0])
    decisions: dict[str, Decision] = {}
    for result in assertion.findall(path):
        unique_id = result.get("ResourceId", "").strip()
        decided = result.find(E(XACML_CONTEXT, "Decision"))
        text = "" if decided is None else content(decided)
        if not unique_id or unique_id in decisions or text not in set(Verdict):
            raise refused(result, f"result {unique_id!r} with decision {text!r}")
        # An obligation that is not understood takes back a permit (XACML 2.0 section 7.14).
        obliged = any(etree.QName(child).localname == "Obligations" for child in children_of(result))
        decisions[unique_id] = Decision(permit=text == Verdict.PERMIT and not obliged, policy=issuer, rule=text)
    return DecisionAnswer(decisions)


def _believed(
    assertion: etree._Element, trust: Sequence[TrustedKey], now: datetime, *, require_signed: bool
) -> etree._Element:
    """The assertion to read from: the verified copy, or itself where none is asked for and nobody could verify."""
    if assertion.find(E(DS, "Signature")) is None or not trust:
        if require_signed:
            raise Refused("the decision is not signed by anybody trusted")
        plain = xml.standalone(assertion)
    else:
        try:
            isolated = isolate(assertion, limit=LIMIT)
            key = verify_isolated(isolated, trust)
        except SecurityFault as fault:
            raise Refused(f"the signature of the decision: {fault.detail}") from fault
        if not key.valid_at(now):
            raise Refused("the certificate that signed the decision is expired")
        plain = isolated.element
    if not len(plain) or plain[0].tag != E(SAML, "Issuer"):
        raise refused(assertion, "an assertion without Issuer")
    return plain


def _check_binding(response: etree._Element, assertion: etree._Element, query_id: str, now: datetime) -> None:
    path = "/".join(E(SAML, name) for name in ("Subject", "SubjectConfirmation", "SubjectConfirmationData"))
    data = assertion.find(path)
    named = {response.get("InResponseTo"), None if data is None else data.get("InResponseTo")} - {None}
    if query_id and named - {query_id}:
        raise Refused("the decision answers another query")
    conditions = assertion.find(E(SAML, "Conditions"))
    if conditions is not None:
        start, end = (_moment(conditions.get(name)) for name in ("NotBefore", "NotOnOrAfter"))
        if (start is not None and now < start - _SKEW) or (end is not None and now >= end + _SKEW):
            raise Refused("the decision is out of its time")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = read_instant(text)
    if moment is None:
        raise MalformedMessage(f"not a time: {text!r}", location="Conditions")
    return moment


def _saml(parent: etree._Element, local: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, E(SAML, local), attributes)


def _set(element: etree._Element, **attributes: str) -> None:
    for name, value in attributes.items():
        element.set(name, value)


def _context(parent: etree._Element, local: str) -> etree._Element:
    return etree.SubElement(parent, E(XACML_CONTEXT, local))
