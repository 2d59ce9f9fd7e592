"""XUA assertions: the good one, one change each, the classic wrapping attacks, and what third parties send."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from lxml import etree

from tests.certificates import END, authority, identity, revocation_list
from tests.oracles import corpus, schema_importing
from xdsi.domain.codes import Code
from xdsi.domain.errors import ConfigurationError, SecurityFault
from xdsi.domain.identifiers import PatientId
from xdsi.domain.subject import Subject
from xdsi.spec import xacml
from xdsi.spec.namespaces import DS, HL7V3, SAML, SOAP, WSSE, WSU
from xdsi.spec.token_rules import PROFILES
from xdsi.wire import xml
from xdsi.wire.saml import SamlTrust, issue_assertion, read_assertion, read_bare_assertion, security_header
from xdsi.wire.xml import E
from xdsi.wire.xmldsig import sign_enveloped

NOW = datetime(2026, 5, 4, 10, 0, 0, tzinfo=UTC)
IDP = identity("idp", "2048", issuer="idp-ca")
STRANGER = identity("stranger", "2048")
CLIENT = identity("client")
AUDIENCE = "urn:oid:2.999.1"
TRUST = SamlTrust.of({"https://idp.example": [identity("old-idp").cert_pem, IDP.cert_pem]}, [AUDIENCE])
DOCTOR = Subject(
    user_id="dr.jekyll",
    issuer="https://idp.example",
    assertion_id="_a1",
    user_name="Dr Jekyll",
    user_qualifier="urn:example:staff",
    alias="hj",
    organization="Hospital A",
    organization_id="urn:oid:2.999.5",
    further_organizations=("Clinic B",),
    further_organization_ids=("urn:oid:2.999.6",),
    home_community_id="urn:oid:2.999.1",
    npi="1234567",
    provider_identifiers=("77^^^&2.999.4&ISO", "2.999.4.77"),
    roles=(Code("112247003", "2.16.840.1.113883.6.96", "Doctor"), Code("HCP", "2.16.756.5.30.1.127.3.10.6")),
    purposes=(Code("TREAT", "2.16.840.1.113883.5.8"),),
    patient=PatientId("P1", "2.999.1.1"),
    consent_documents=("urn:uuid:1",),
    privacy_policies=("urn:oid:2.999.7",),
)


def issued(subject=DOCTOR, signer=IDP, **changes):
    arguments = {"audiences": [AUDIENCE], "now": NOW, "key_pem": signer.key_pem, "cert_pem": signer.cert_pem} | changes
    return issue_assertion(subject, **arguments)


def header(*assertions):
    wrapped = b"".join(a if isinstance(a, bytes) else etree.tostring(a, with_tail=False) for a in assertions)
    return xml.parse(security_header(wrapped))


def altered(change, signer=IDP, **arguments):
    """An assertion changed before its issuer signs it: only the content is wrong."""
    root = xml.parse(issued(**arguments))
    root.remove(root.find(E(DS, "Signature")))
    change(root)
    return sign_enveloped(root, signer.key_pem, signer.cert_pem)


def read(*assertions, trust=TRUST, now=NOW, **arguments):
    return read_assertion([header(*assertions)], trust, now=now, **arguments)


def refused(headers, trust=TRUST, now=NOW, **arguments):
    with pytest.raises(SecurityFault) as caught:
        read_assertion(headers, trust, now=now, **arguments)
    assert caught.value.detail
    assert caught.value.reason == "security token refused"
    return caught.value.wsse_code


def saml(root, *names):
    found = root.find("/".join(E(SAML, name) for name in names))
    assert found is not None, names
    return found


def test_everything_comes_back():
    raw = issued()
    verified = read(raw)
    expected = replace(
        DOCTOR, not_before=NOW, not_on_or_after=NOW + timedelta(minutes=5), certificate_sha256=IDP.sha256
    )
    assert verified.subject == expected
    assert [role.display for role in verified.subject.roles] == ["Doctor", ""]
    assert verified.subject.audit_name == "hj<dr.jekyll@https://idp.example>"
    assert not verified.one_time_use


def test_raw_is_what_can_be_sent_on():
    assert read(read(issued()).raw).subject == read(issued()).subject


@cache
def assertion_schema():
    """SAML with the HL7 data types, which the coded attributes name in xsi:type."""
    hl7 = corpus("schemas", "ihe-iti-info", "schema", "HL7V3", "NE2008", "coreschemas", "infrastructureRoot.xsd")
    saml_schema = corpus("schemas", "saml-xacml", "schema", "sstc-saml-schema-assertion-2.0.xsd")
    return schema_importing(saml=(SAML, saml_schema), hl7=(HL7V3, hl7))


@pytest.mark.oracle
@pytest.mark.parametrize("holder", [b"", CLIENT.cert_der])
def test_issued_assertion_is_valid_by_the_schema(holder):
    schema = assertion_schema()
    assert schema.validate(xml.parse(issued(holder_certificate=holder, recipient="https://x"))), schema.error_log
    minimal = Subject(user_id="u", issuer="i", assertion_id="", roles=(Code("a", "1.2"),))
    assert schema.validate(xml.parse(issued(minimal))), schema.error_log


def test_header_is_mandatory_to_understand():
    element = header(issued())
    assert element.tag == E(WSSE, "Security")
    assert element.get(E(SOAP, "mustUnderstand")) in ("1", "true")


def test_each_assertion_has_its_own_id():
    anonymous = replace(DOCTOR, assertion_id="")
    assert read(issued(anonymous)).subject.assertion_id != read(issued(anonymous)).subject.assertion_id


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "InvalidSecurityToken"),
        (b"<x/>", "InvalidSecurity"),
        (b"<!DOCTYPE x []><x/>", "InvalidSecurityToken"),
        (f'<EncryptedAssertion xmlns="{SAML}"/>'.encode(), "UnsupportedSecurityToken"),
    ],
)
def test_assertion_without_header(raw, code):
    assert read_bare_assertion(issued(), TRUST, now=NOW).subject == read(issued()).subject
    with pytest.raises(SecurityFault) as caught:
        read_bare_assertion(raw, TRUST, now=NOW)
    assert caught.value.wsse_code == code


# Number and place


def test_no_header():
    assert refused([]) == "InvalidSecurity"


def test_no_assertion():
    assert refused([header()]) == "InvalidSecurity"


def test_two_assertions():
    assert refused([header(issued(), issued())]) == "InvalidSecurity"
    assert refused([header(issued()), header(issued())]) == "InvalidSecurity"


def test_encrypted_assertion():
    assert refused([header(f'<EncryptedAssertion xmlns="{SAML}"/>'.encode())]) == "UnsupportedSecurityToken"
    assert refused([header(issued(), f'<EncryptedAssertion xmlns="{SAML}"/>'.encode())]) == "UnsupportedSecurityToken"


def stamp(expires):
    return f'<u:Timestamp xmlns:u="{WSU}"><u:Expires>{expires}</u:Expires></u:Timestamp>'.encode()


def test_timestamp():
    assert read(stamp("2026-05-04T10:00:01Z"), issued()).subject.user_id == "dr.jekyll"
    assert refused([header(stamp("2026-05-04T09:58:00Z"), issued())]) == "MessageExpired"
    assert refused([header(stamp("soon"), issued())]) == "InvalidSecurity"
    assert (
        refused([header(stamp("2026-05-04T10:00:01Z"), stamp("2026-05-04T10:00:01Z"), issued())]) == "InvalidSecurity"
    )


# Content, signed by the right issuer


def _set(value, *path, name=None):
    def change(root):
        node = saml(root, *path) if path else root
        if name is None:
            node.text = value
        elif value is None:
            del node.attrib[name]
        else:
            node.set(name, value)

    return change


def _remove(*path):
    def change(root):
        node = saml(root, *path)
        node.getparent().remove(node)

    return change


def _append(raw, *path):
    def change(root):
        (saml(root, *path) if path else root).append(xml.parse(raw.replace(b"<s:", b"<s:", 1)))

    return change


def _attribute(root, name):
    return next(a for a in root.iter(E(SAML, "Attribute")) if a.get("Name") == name)


def _remove_attribute(name):
    def change(root):
        attribute = _attribute(root, name)
        attribute.getparent().remove(attribute)

    return change


def _coded(name, **attributes):
    def change(root):
        coded = _attribute(root, name)[0][0]
        for key, value in attributes.items():
            coded.set(key, value)

    return change


def _plain_text_role(root):
    value = _attribute(root, xacml.ROLE)[0]
    value.remove(value[0])
    value.text = "HCP"


def _second_patient(root):
    attribute = _attribute(root, xacml.SUBJECT_PATIENT)
    etree.SubElement(attribute, E(SAML, "AttributeValue")).text = "P2^^^&2.999.1.1&ISO"


def _second_audience_restriction(root):
    restriction = etree.SubElement(saml(root, "Conditions"), E(SAML, "AudienceRestriction"))
    etree.SubElement(restriction, E(SAML, "Audience")).text = "urn:other"


def _many_attributes(root):
    statement = saml(root, "AttributeStatement")
    for number in range(5000):
        etree.SubElement(statement, E(SAML, "Attribute"), Name=f"urn:x:{number}")


def _swap(root):
    root.append(root[0])


CONFIRMATION = ("Subject", "SubjectConfirmation")
DATA = (*CONFIRMATION, "SubjectConfirmationData")
WRONG = {
    "version": (_set("1.1", name="Version"), "InvalidSecurityToken"),
    "no issue instant": (_set(None, name="IssueInstant"), "InvalidSecurityToken"),
    "issued in the future": (_set("2026-05-04T10:02:00Z", name="IssueInstant"), "InvalidSecurityToken"),
    "issue instant without offset": (_set("2026-05-04T10:00:00", name="IssueInstant"), "InvalidSecurityToken"),
    "unknown issuer": (_set("https://other.example", "Issuer"), "FailedAuthentication"),
    "no issuer": (_remove("Issuer"), "InvalidSecurityToken"),
    "no subject": (_remove("Subject"), "InvalidSecurityToken"),
    "no name id": (_remove("Subject", "NameID"), "InvalidSecurityToken"),
    "empty name id": (_set(" ", "Subject", "NameID"), "InvalidSecurityToken"),
    "no conditions": (_remove("Conditions"), "InvalidSecurityToken"),
    "no authentication": (_remove("AuthnStatement"), "InvalidSecurityToken"),
    "no authentication context": (_remove("AuthnStatement", "AuthnContext"), "InvalidSecurityToken"),
    "session over": (_set("2026-05-04T09:00:00Z", "AuthnStatement", name="SessionNotOnOrAfter"), "MessageExpired"),
    "no attributes": (_remove("AttributeStatement"), "InvalidSecurityToken"),
    "order": (_swap, "InvalidSecurityToken"),
    "foreign child": (_append(b'<x xmlns="urn:x"/>'), "InvalidSecurityToken"),
    "not before missing": (_set(None, "Conditions", name="NotBefore"), "InvalidSecurityToken"),
    "not on or after missing": (_set(None, "Conditions", name="NotOnOrAfter"), "InvalidSecurityToken"),
    "early": (_set("2026-05-04T10:01:01Z", "Conditions", name="NotBefore"), "InvalidSecurityToken"),
    "expired": (_set("2026-05-04T09:59:00Z", "Conditions", name="NotOnOrAfter"), "MessageExpired"),
    "too long": (_set("2026-05-04T11:00:01Z", "Conditions", name="NotOnOrAfter"), "InvalidSecurityToken"),
    "impossible time": (_set("2026-13-04T11:00:01Z", "Conditions", name="NotOnOrAfter"), "InvalidSecurityToken"),
    "unknown condition": (_append(b'<x xmlns="urn:x"/>', "Conditions"), "InvalidSecurityToken"),
    "no audience": (_remove("Conditions", "AudienceRestriction"), "InvalidSecurityToken"),
    "audience": (_set("urn:other", "Conditions", "AudienceRestriction", "Audience"), "FailedAuthentication"),
    "one of two audience restrictions": (_second_audience_restriction, "FailedAuthentication"),
    "no confirmation": (_remove(*CONFIRMATION), "InvalidSecurityToken"),
    "sender vouches": (
        _set("urn:oasis:names:tc:SAML:2.0:cm:sender-vouches", *CONFIRMATION, name="Method"),
        "FailedAuthentication",
    ),
    "confirmation over": (_set("2026-05-04T09:59:00Z", *DATA, name="NotOnOrAfter"), "MessageExpired"),
    "confirmation early": (_set("2026-05-04T10:02:00Z", *DATA, name="NotBefore"), "FailedAuthentication"),
    "holder of key without key": (
        _set("urn:oasis:names:tc:SAML:2.0:cm:holder-of-key", *CONFIRMATION, name="Method"),
        "FailedAuthentication",
    ),
    "no subject name": (_remove_attribute(xacml.SUBJECT_NAME), "InvalidSecurityToken"),
    "no organization": (_remove_attribute(xacml.ORGANIZATION), "InvalidSecurityToken"),
    "no organization id": (_remove_attribute(xacml.ORGANIZATION_ID), "InvalidSecurityToken"),
    "no role": (_remove_attribute(xacml.ROLE), "InvalidSecurityToken"),
    "no purpose": (_remove_attribute(xacml.PURPOSE_OF_USE), "InvalidSecurityToken"),
    "role as text": (_plain_text_role, "InvalidSecurityToken"),
    "role without code system": (_coded(xacml.ROLE, codeSystem=""), "InvalidSecurityToken"),
    "patient not a CX": (
        lambda root: setattr(_attribute(root, xacml.SUBJECT_PATIENT)[0], "text", "P1"),
        "InvalidSecurityToken",
    ),
    "two patients": (_second_patient, "InvalidSecurityToken"),
    "nested assertion in Advice": (
        lambda root: root.insert(3, xml.parse(f'<Advice xmlns="{SAML}"><Assertion/></Advice>'.encode())),
        "InvalidSecurity",
    ),
    "5000 attributes": (_many_attributes, "InvalidSecurityToken"),
    "1 MiB": (_set("x" * 2**20, "Subject", "NameID"), "InvalidSecurityToken"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_content(case):
    change, code = WRONG[case]
    assert refused([header(altered(change))]) == code


def _advice(root):
    root.insert(3, xml.parse(f'<Advice xmlns="{SAML}"><x xmlns="urn:x"/></Advice>'.encode()))


ACCEPTED = {
    "unknown attributes": lambda root: etree.SubElement(
        saml(root, "AttributeStatement"), E(SAML, "Attribute"), Name="urn:x"
    ),
    "advice": _advice,
    "second attribute statement": lambda root: root.append(etree.Element(E(SAML, "AttributeStatement"))),
    "one time use": lambda root: etree.SubElement(saml(root, "Conditions"), E(SAML, "OneTimeUse")),
    "proxy restriction": lambda root: etree.SubElement(saml(root, "Conditions"), E(SAML, "ProxyRestriction")),
    "white space": lambda root: setattr(saml(root, "Subject", "NameID"), "text", "\n   dr.jekyll\n  "),
    "no confirmation data": lambda root: _remove(*DATA)(root),
    "within the skew, early": lambda root: _set("2026-05-04T10:01:00Z", "Conditions", name="NotBefore")(root),
    "within the skew, late": lambda root: _set("2026-05-04T09:59:01Z", "Conditions", name="NotOnOrAfter")(root),
    "offset": lambda root: _set("2026-05-04T12:00:00.123456789+02:00", name="IssueInstant")(root),
    "second audience": lambda root: setattr(
        etree.SubElement(saml(root, "Conditions", "AudienceRestriction"), E(SAML, "Audience")), "text", "urn:other"
    ),
    "patient with type code": lambda root: setattr(
        _attribute(root, xacml.SUBJECT_PATIENT)[0], "text", "P1^^^&2.999.1.1&ISO^NH"
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case):
    verified = read(altered(ACCEPTED[case]))
    assert verified.subject.user_id == "dr.jekyll"
    assert verified.subject.patient == PatientId("P1", "2.999.1.1")
    assert verified.one_time_use is (case == "one time use")


def test_one_of_two_confirmations_is_enough():
    def change(root):
        bearer = saml(root, *CONFIRMATION)
        other = deepcopy(bearer)
        other.set("Method", "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches")
        bearer.addprevious(other)

    assert read(altered(change)).subject.user_id == "dr.jekyll"


# Keys and trust


def test_altered_after_signing():
    root = xml.parse(issued())
    saml(root, "Subject", "NameID").text = "mr.hyde"
    assert refused([header(root)]) == "FailedCheck"


def test_key_of_another_issuer():
    other = SamlTrust.of({"https://idp.example": [IDP.cert_pem], "https://two": [STRANGER.cert_pem]}, [AUDIENCE])
    assert refused([header(issued(signer=STRANGER))], trust=other) == "FailedCheck"


@pytest.mark.parametrize("identifier", ["", "1 2", "1", "_" * 129])
def test_unusable_id(identifier):
    root = xml.parse(issued())
    root.set("ID", identifier)
    assert refused([header(root)]) == "InvalidSecurityToken"


def test_unsigned():
    root = xml.parse(issued())
    root.remove(root.find(E(DS, "Signature")))
    assert refused([header(root)]) == "InvalidSecurityToken"


def test_disallowed_algorithm_comes_before_the_issuer():
    root = xml.parse(issued(replace(DOCTOR, issuer="https://nobody")))
    root.find(f".//{E(DS, 'SignatureMethod')}").set("Algorithm", DS + "rsa-sha1")
    assert refused([header(root)]) == "UnsupportedAlgorithm"


def test_expired_certificate_of_the_issuer():
    late = END + timedelta(seconds=1)
    assert refused([header(issued(now=late))], now=late) == "FailedAuthentication"


def test_revoked_certificate():
    revoked = SamlTrust.of({"https://idp.example": [IDP.cert_pem]}, [AUDIENCE], crls=[revocation_list("idp-ca", IDP)])
    assert refused([header(issued())], trust=revoked) == "FailedAuthentication"
    others = revocation_list("idp-ca", identity("someone", issuer="idp-ca"))
    trust = SamlTrust.of({"https://idp.example": [IDP.cert_pem]}, [AUDIENCE], crls=[others])
    assert read(issued(), trust=trust).subject.user_id == "dr.jekyll"


def test_bad_revocation_list():
    with pytest.raises(ConfigurationError):
        SamlTrust.of({}, [], crls=[b"nothing"])


def test_holder_of_key():
    raw = issued(holder_certificate=CLIENT.cert_der)
    assert read(raw, peer_certificate_sha256=CLIENT.sha256).subject.user_id == "dr.jekyll"
    assert refused([header(raw)]) == "FailedAuthentication"
    assert refused([header(raw)], peer_certificate_sha256=STRANGER.sha256) == "FailedAuthentication"


def test_issuer_bound_to_nodes():
    trust = replace(TRUST, peers={"https://idp.example": frozenset({CLIENT.sha256})})
    assert read(issued(), trust=trust, peer_certificate_sha256=CLIENT.sha256).subject.user_id == "dr.jekyll"
    assert refused([header(issued())], trust=trust, peer_certificate_sha256="aa") == "FailedAuthentication"


def test_recipient():
    trust = replace(TRUST, recipients=frozenset({"https://here"}))
    assert read(issued(recipient="https://here"), trust=trust).subject.user_id == "dr.jekyll"
    assert refused([header(issued(recipient="https://there"))], trust=trust) == "FailedAuthentication"
    assert read(issued(recipient="https://there")).subject.user_id == "dr.jekyll"


def test_authentication_context():
    trust = replace(TRUST, authn_contexts=frozenset({"urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI"}))
    assert refused([header(issued())], trust=trust) == "FailedAuthentication"


def test_code_systems():
    def by(**changes):
        return replace(TRUST, rules=replace(PROFILES["generic"], **changes))

    assert refused([header(issued())], trust=by(purpose_schemes=frozenset({"2.999.8"}))) == "InvalidSecurityToken"
    trust = by(role_schemes=frozenset({role.scheme for role in DOCTOR.roles}))
    assert read(issued(), trust=trust).subject.user_id == "dr.jekyll"
    assert refused([header(issued())], trust=by(role_schemes=frozenset({"2.999.8"}))) == "InvalidSecurityToken"


# Rules by country

CH_ROLE, CH_PURPOSE = "2.16.756.5.30.1.127.3.10.6", "2.16.756.5.30.1.127.3.10.5"
SWISS = replace(DOCTOR, roles=(Code("HCP", CH_ROLE),), purposes=(Code("NORM", CH_PURPOSE),))
SWITZERLAND = replace(TRUST, rules=PROFILES["switzerland"])
VIHF = sorted(name for name in PROFILES["france"].required if not name.startswith("urn:"))


def with_texts(subject, **texts):
    """An assertion with attributes of text that have no place in a Subject."""

    def add(root):
        statement = saml(root, "AttributeStatement")
        for name, text in texts.items():
            attribute = etree.SubElement(statement, E(SAML, "Attribute"), Name=name)
            etree.SubElement(attribute, E(SAML, "AttributeValue")).text = text

    return altered(add, subject=subject)


@pytest.mark.parametrize(
    "change",
    [
        {"patient": None},
        {"roles": (Code("HCP", "2.999.40"),)},
        {"purposes": (Code("TREAT", "2.16.840.1.113883.5.8"),)},
        {"roles": (Code("ASS", CH_ROLE),)},
    ],
)
def test_switzerland(change):
    assert read(issued(SWISS), trust=SWITZERLAND).subject.user_id == "dr.jekyll"
    assert refused([header(issued(replace(SWISS, **change)))], trust=SWITZERLAND) == "InvalidSecurityToken"
    assert read(issued(replace(SWISS, **change))).subject.user_id == "dr.jekyll", "elsewhere that is in order"


def test_swiss_assistants_name_their_principal():
    assistant = replace(SWISS, roles=(Code("ASS", CH_ROLE),))
    principal = {"urn:e-health-suisse:principal-id": "7601000000000", "urn:e-health-suisse:principal-name": "Dr House"}
    assert read(with_texts(assistant, **principal), trust=SWITZERLAND).subject.user_id == "dr.jekyll"
    without_name = principal | {"urn:e-health-suisse:principal-name": " "}
    assert refused([header(with_texts(assistant, **without_name))], trust=SWITZERLAND) == "InvalidSecurityToken"


@pytest.mark.parametrize("missing", ["", *VIHF])
def test_france(missing):
    trust = replace(TRUST, rules=PROFILES["france"])
    subject = replace(
        DOCTOR, roles=(Code("10", "1.2.250.1.71.1.2.7"),), purposes=(Code("normal", "1.2.250.1.213.1.1.4.248"),)
    )
    token = with_texts(subject, **{name: "x" for name in VIHF if name != missing})
    if missing:
        assert refused([header(token)], trust=trust) == "InvalidSecurityToken"
    else:
        assert read(token, trust=trust).subject.roles == subject.roles


# Signature wrapping: the evil assertion says mr.hyde, the original is signed


def _evil(identifier, *, keep_signature=False):
    root = xml.parse(issued())
    saml(root, "Subject", "NameID").text = "mr.hyde"
    root.set("ID", identifier)
    if not keep_signature:
        root.remove(root.find(E(DS, "Signature")))
    return root


def _original(*, unsigned=False):
    root = xml.parse(issued())
    if unsigned:
        root.remove(root.find(E(DS, "Signature")))
    return root


def _around(outer, inner, *path):
    place = outer if not path else outer.find("/".join(path))
    place.append(inner)
    return outer


def _in_object(evil, inner):
    carrier = etree.SubElement(evil.find(E(DS, "Signature")), E(DS, "Object"))
    carrier.append(inner)
    return evil


def _with_original_signature(evil):
    evil.insert(1, _original().find(E(DS, "Signature")))
    return evil


def _extensions(inner):
    holder = etree.Element("{urn:x}Extensions")
    holder.append(inner)
    return holder


WRAPPING = {
    "1 original enclosed in the signature": lambda evil: [
        _in_object(_with_original_signature(evil), _original(unsigned=True))
    ],
    "2 original beside its detached signature": lambda evil: [
        evil,
        _original(unsigned=True),
        _original().find(E(DS, "Signature")),
    ],
    "3 evil before the original": lambda evil: [evil, _original()],
    "4 evil around the original": lambda evil: [_around(evil, _original())],
    "5 evil with the signature, original without it": lambda evil: [
        _with_original_signature(evil),
        _original(unsigned=True),
    ],
    "6 original inside the copied signature": lambda evil: [
        _around(_with_original_signature(evil), _original(unsigned=True), E(DS, "Signature"))
    ],
    "7 evil in an extension before the original": lambda evil: [_extensions(evil), _original()],
    "8 evil in an object of the original's signature": lambda evil: [_in_object(_original(), evil)],
    "original in Advice of the evil one": lambda evil: [
        _around(_with_original_signature(evil), _extensions(_original(unsigned=True)))
    ],
    "evil with the signature alone": lambda evil: [_with_original_signature(evil)],
    "original hidden in an extension": lambda evil: [
        _with_original_signature(evil),
        _extensions(_original(unsigned=True)),
    ],
}


@pytest.mark.parametrize("identifier", ["_a1", "_a2"])
@pytest.mark.parametrize("variant", WRAPPING)
def test_wrapping(variant, identifier):
    code = refused([header(*WRAPPING[variant](_evil(identifier)))])
    assert code in {"InvalidSecurity", "InvalidSecurityToken", "FailedCheck"}


def test_comment_truncation():
    root = xml.parse(issued(replace(DOCTOR, user_id="dr.jekyll.evil")))
    raw = etree.tostring(root).replace(b"dr.jekyll.evil", b"dr.jekyll<!---->.evil")
    assert refused([header(raw)]) == "InvalidSecurityToken"


def test_attributes_outside_statements_do_not_count():
    """KeyInfo is not signed: what stands there is never read."""
    root = xml.parse(issued())
    role = deepcopy(_attribute(root, xacml.ROLE))
    role[0][0].set("code", "ADMIN")
    root.find(f"{E(DS, 'Signature')}/{E(DS, 'KeyInfo')}").append(role)
    assert Code("ADMIN", DOCTOR.roles[0].scheme) not in read(root).subject.roles


# What third parties send


@pytest.mark.oracle
def test_swiss_sample_with_a_signature_of_ours():
    """The published sample has no real signature and is SHA-1: refused as it is, read when signed properly."""
    sample = xml.parse(corpus("ipf", "xacml20", "xua-assertion.xml").read_bytes())
    trust = SamlTrust.of(
        {"http://ith-icoserve.com/eHealthSolutionsSTS": [IDP.cert_pem]},
        ["urn:e-health-suisse:token-audience:all-communities"],
    )
    now = datetime(2020, 9, 21, 13, 40, tzinfo=UTC)
    assert refused([header(etree.tostring(sample))], trust=trust, now=now) == "UnsupportedAlgorithm"
    sample.remove(sample.find(E(DS, "Signature")))
    then = identity("idp-2020", start=datetime(2020, 1, 1, tzinfo=UTC))
    signed = sign_enveloped(sample, then.key_pem, then.cert_pem)
    trust = SamlTrust.of({"http://ith-icoserve.com/eHealthSolutionsSTS": [then.cert_pem]}, trust.audiences)
    subject = read(signed, trust=trust, now=now).subject
    assert subject.user_id == "9801000050702"
    assert subject.user_qualifier == "urn:gs1:gln"
    assert subject.patient == PatientId("761337610411353650", "2.16.756.5.30.1.127.3.10.3")
    assert subject.roles == (Code("HCP", "2.16.756.5.30.1.127.3.10.6"),)
    assert subject.purposes == (Code("NORM", "2.16.756.5.30.1.127.3.10.5"),)
    assert subject.organization_id == "urn:oid:1.3.6.1.4.1.21367.2017.2.6.19.100.2"
    assert subject.further_organization_ids == ("urn:oid:1.3.6.1.4.1.21367.2017.2.6.19.100.3",)
    assert subject.home_community_id == "urn:oid:1.3.6.1.4.1.21367.2017.2.6.19"


def test_any_prefix_for_coded_values():
    def change(root):
        value = _attribute(root, xacml.ROLE)[0]
        value.remove(value[0])
        value.append(xml.parse(f'<Role xmlns="{HL7V3}" code="HCP" codeSystem="urn:oid:1.2"/>'.encode()))

    assert Code("HCP", "1.2") in read(altered(change)).subject.roles


def test_authority_is_distinct_from_its_members():
    assert authority("idp-ca").sha256 != IDP.sha256
