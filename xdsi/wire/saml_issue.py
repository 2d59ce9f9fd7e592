"""Issuing XUA identity assertions, and the header that carries one.

ITI TF-2 3.40.4.1.2, SAML 2.0 core; for tests, demonstrations and a small identity provider.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from lxml import etree

from xdsi.domain.subject import Subject
from xdsi.spec.namespaces import DS, SAML, SOAP, WSSE
from xdsi.wire import xml
from xdsi.wire.saml_attributes import write_attributes
from xdsi.wire.xml import E
from xdsi.wire.xml_time import write_instant
from xdsi.wire.xmldsig import sign_enveloped

BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
HOLDER_OF_KEY = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
AUTHN_CONTEXT = "urn:oasis:names:tc:SAML:2.0:ac:classes:X509"


def issue_assertion(
    subject: Subject,
    *,
    audiences: Sequence[str],
    key_pem: bytes,
    cert_pem: bytes,
    now: datetime,
    lifetime: timedelta = timedelta(minutes=5),
    holder_certificate: bytes = b"",
    recipient: str = "",
    authn_context: str = AUTHN_CONTEXT,
) -> bytes:
    """A signed assertion about `subject`, valid from `now` for `lifetime`.

    Its ID is `subject.assertion_id`, a fresh one where that is empty. With `holder_certificate` (DER) it is of use only
    on a connection with that client certificate, else to its bearer.
    """
    issued, until = write_instant(now), write_instant(now + lifetime)
    assertion = etree.Element(E(SAML, "Assertion"), nsmap={"saml2": SAML})
    for name, value in ("ID", subject.assertion_id or f"_{uuid.uuid4()}"), ("IssueInstant", issued), ("Version", "2.0"):
        assertion.set(name, value)
    _add(assertion, "Issuer").text = subject.issuer
    who = _add(assertion, "Subject")
    name_id = _add(who, "NameID", NameQualifier=subject.user_qualifier, SPProvidedID=subject.alias)
    name_id.text = subject.user_id
    confirmation = _add(who, "SubjectConfirmation", Method=HOLDER_OF_KEY if holder_certificate else BEARER)
    data = _add(confirmation, "SubjectConfirmationData", NotOnOrAfter=until, Recipient=recipient)
    if holder_certificate:
        key_info = etree.SubElement(data, E(DS, "KeyInfo"), nsmap={"ds": DS})
        x509_data = etree.SubElement(key_info, E(DS, "X509Data"))
        etree.SubElement(x509_data, E(DS, "X509Certificate")).text = base64.b64encode(holder_certificate).decode()
    conditions = _add(assertion, "Conditions", NotBefore=issued, NotOnOrAfter=until)
    restriction = _add(conditions, "AudienceRestriction")
    for audience in audiences:
        _add(restriction, "Audience").text = audience
    context = _add(_add(assertion, "AuthnStatement", AuthnInstant=issued), "AuthnContext")
    _add(context, "AuthnContextClassRef").text = authn_context
    write_attributes(_add(assertion, "AttributeStatement"), subject)
    return xml.serialize(sign_enveloped(assertion, key_pem, cert_pem))


def security_header(assertion: bytes) -> bytes:
    """The wsse:Security header block that carries an assertion, byte for byte as it is."""
    return (
        f'<wsse:Security xmlns:wsse="{WSSE}" xmlns:soap="{SOAP}" soap:mustUnderstand="true">'.encode()
        + assertion
        + b"</wsse:Security>"
    )


def _add(parent: etree._Element, local: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, E(SAML, local), {name: value for name, value in attributes.items() if value})
