"""A plain zeep client, given nothing but our descriptions, says what official schemas accept and reads our answers."""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from zeep.exceptions import ValidationError

from tests.oracles import official_schema, schema_of
from tests.transport.offline import ACTIONS, Offline, body_of, client_of, envelope
from xdsi.spec import namespaces as ns

BODIES = Path(__file__).parents[1] / "samples" / "bodies"


# -- what a plain client says


def slot(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "ValueList": {"Value": list(values)}}


def text(value: str) -> dict[str, Any]:
    return {"LocalizedString": [{"value": value, "lang": "en-US", "charset": "UTF-8"}]}


def code(number: int, scheme: str, value: str) -> dict[str, Any]:
    return {
        "id": f"c{number}",
        "classifiedObject": "manifest",
        "classificationScheme": scheme,
        "nodeRepresentation": value,
        "Slot": [slot("codingScheme", "2.999.7")],
        "Name": text(f"name of {value}"),
    }


def identifier(number: int, owner: str, scheme: str, value: str) -> dict[str, Any]:
    return {"id": f"x{number}", "registryObject": owner, "identificationScheme": scheme, "value": value}


DOCUMENT_ENTRY = {
    "id": "manifest",
    "mimeType": "application/dicom",
    "objectType": "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1",
    "Slot": [
        slot("creationTime", "20240501083000"),
        slot("languageCode", "en-US"),
        slot("serviceStartTime", "20240501080000"),
        slot("serviceStopTime", "20240501081500"),
        slot("sourcePatientId", "H1^^^&2.999.8&ISO"),
        slot("sourcePatientInfo", "PID-3|H1^^^&2.999.8&ISO", "PID-5|Doe^Jo^^^", "PID-7|19700101", "PID-8|O"),
        slot("urn:ihe:iti:xds:2013:referenceIdList", "2.999.5.1^^^^urn:ihe:iti:xds:2016:studyInstanceUID"),
        slot("hash", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        slot("size", "0"),
        slot("repositoryUniqueId", "2.999.1.2"),
    ],
    "Name": text("CT of the chest"),
    "Description": text("with contrast agent"),
    "Classification": [
        {
            "id": "c0",
            "classifiedObject": "manifest",
            "classificationScheme": "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d",
            "nodeRepresentation": "",
            "Slot": [slot("authorPerson", "^Roe^Max^^^Dr"), slot("authorInstitution", "Hospital A^^^^^^^^^2.999.4")],
        },
        code(1, "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a", "IMG"),
        code(2, "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f", "N"),
        code(3, "urn:uuid:2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4", "CT"),
        code(4, "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d", "1.2.840.10008.5.1.4.1.1.88.59"),
        code(5, "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", "HOSP"),
        code(6, "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead", "RAD"),
        code(7, "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983", "MANIFEST"),
    ],
    "ExternalIdentifier": [
        identifier(1, "manifest", "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427", "P1^^^&2.999.9&ISO"),
        identifier(2, "manifest", "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab", "2.999.6.1"),
    ],
}
SUBMISSION = {
    "RegistryObjectList": {
        "_value_1": [
            {"ExtrinsicObject": DOCUMENT_ENTRY},
            {
                "RegistryPackage": {
                    "id": "set",
                    "Slot": [slot("submissionTime", "20240501090000")],
                    "ExternalIdentifier": [
                        identifier(3, "set", "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8", "2.999.6.2"),
                    ],
                }
            },
            {
                "Classification": {
                    "id": "c9",
                    "classifiedObject": "set",
                    "classificationNode": "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd",
                }
            },
            {
                "Association": {
                    "id": "a1",
                    "associationType": "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember",
                    "sourceObject": "set",
                    "targetObject": "manifest",
                    "Slot": [slot("SubmissionSetStatus", "Original")],
                }
            },
        ]
    }
}
DOCUMENT_REQUEST = {"RepositoryUniqueId": "2.999.1.2", "DocumentUniqueId": "2.999.6.1"}
IMAGING_REQUEST = {
    "StudyRequest": [
        {
            "studyInstanceUID": "2.999.5.1",
            "SeriesRequest": [
                {
                    "seriesInstanceUID": "2.999.5.1.1",
                    "DocumentRequest": [{"RepositoryUniqueId": "2.999.1.3", "DocumentUniqueId": "2.999.5.1.1.1"}],
                }
            ],
        }
    ],
    "TransferSyntaxUIDList": {"TransferSyntaxUID": ["1.2.840.10008.1.2.1"]},
}
REQUESTS = [
    (
        "iti18",
        "DocumentRegistry_RegistryStoredQuery",
        {
            "ResponseOption": {"returnType": "LeafClass", "returnComposedObjects": True},
            "AdhocQuery": {
                "id": "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d",
                "Slot": [slot("$XDSDocumentEntryPatientId", "'P1^^^&2.999.9&ISO'")],
            },
        },
    ),
    ("iti42", "DocumentRegistry_RegisterDocumentSet-b", SUBMISSION),
    (
        "iti41",
        "DocumentRepository_ProvideAndRegisterDocumentSet-b",
        {"SubmitObjectsRequest": SUBMISSION, "Document": [{"_value_1": b"DICM", "id": "manifest"}]},
    ),
    ("iti43", "DocumentRepository_RetrieveDocumentSet", {"DocumentRequest": [DOCUMENT_REQUEST, DOCUMENT_REQUEST]}),
    ("rad69", "ImagingDocumentSource_RetrieveImagingDocumentSet", IMAGING_REQUEST),
]


@pytest.mark.oracle
@pytest.mark.parametrize(("transaction", "operation", "content"), REQUESTS)
def test_requests_of_a_plain_client_are_valid(transaction: str, operation: str, content: dict[str, Any]) -> None:
    body = body_of(client_of(transaction), operation, **content)
    official_schema().assertValid(body)


def test_a_plain_client_writes_only_what_it_was_asked_to() -> None:
    transaction, operation, content = REQUESTS[0]
    body = body_of(client_of(transaction), operation, **content)
    assert dict(body.attrib) == {}
    assert not list(body.iter("{*}RequestSlotList"))


@pytest.mark.parametrize(("transaction", "operation", "content"), REQUESTS)
def test_requests_carry_their_action(transaction: str, operation: str, content: dict[str, Any]) -> None:
    client = client_of(transaction)
    message = client.create_message(client.service, operation, **content)
    assert message.findtext(f"{{{ns.SOAP}}}Header/{{{ns.WSA}}}Action") == ACTIONS[operation][0]


def test_a_plain_client_notices_what_is_missing() -> None:
    transaction, operation, content = REQUESTS[0]
    with pytest.raises(ValidationError, match="AdhocQuery"):
        body_of(client_of(transaction), operation, ResponseOption=content["ResponseOption"])


def device(oid: str) -> dict[str, Any]:
    return {"device": {"id": [{"root": oid}]}}


def hl7(tag: str, *content: etree._Element, **attributes: str) -> etree._Element:
    element = etree.Element(f"{{{ns.HL7V3}}}{tag}", attributes)
    element.extend(content)
    return element


def feed(number: int) -> dict[str, Any]:
    name = hl7("name", hl7("family"))
    name[0].text = "Doe"
    owner = hl7("assignedEntity", hl7("id", root="2.999.8"), classCode="ASSIGNED")
    organization = [hl7("id", root="2.999.8"), hl7("contactParty", classCode="CON")]
    event: dict[str, Any] = {
        "statusCode": {"code": "active"},
        "subject1": {
            "patient": {
                "id": [{"root": "2.999.9", "extension": "P1"}],
                "statusCode": {"code": "active"},
                "patientPerson": {"_value_1": [name]},
                "providerOrganization": {"_value_1": organization},
            }
        },
        "custodian": {"_value_1": [owner]},
    }
    if number == 4:
        prior = {"subject1": {"priorRegisteredRole": {"id": [{"root": "2.999.9", "extension": "P2"}]}}}
        event["replacementOf"] = [{"priorRegistration": {"statusCode": {"code": "obsolete"}, **prior}}]
    return {
        "id": {"root": "2.999.3.1"},
        "creationTime": {"value": "20240501083000"},
        "interactionId": {"root": "2.16.840.1.113883.1.6", "extension": f"PRPA_IN20130{number}UV02"},
        "processingCode": {"code": "P"},
        "processingModeCode": {"code": "T"},
        "acceptAckCode": {"code": "AL"},
        "receiver": [device("2.999.1.1")],
        "sender": device("2.999.8.1"),
        "controlActProcess": {
            "code": {"code": f"PRPA_TE20130{number}UV02", "codeSystem": "2.16.840.1.113883.1.18"},
            "subject": [{"registrationEvent": event}],
        },
    }


@pytest.mark.oracle
@pytest.mark.parametrize("number", [1, 2, 4])
def test_identity_feeds_of_a_plain_client_are_valid(number: int) -> None:
    interaction = f"PRPA_IN20130{number}UV02"
    body = body_of(client_of("iti44"), f"DocumentRegistry_{interaction}", **feed(number))
    schema_of("ihe-iti-info", "schema", "HL7V3", "NE2008", "multicacheschemas", f"{interaction}.xsd").assertValid(body)


def test_a_plain_client_asks_for_a_decision() -> None:
    request = etree.fromstring(f'<Request xmlns="{ns.XACML_CONTEXT}"><Subject/><Resource/><Action/></Request>')
    operation = "AuthorizationDecisionsManager_AuthorizationDecisionsQuery"
    query = {"ID": "_1", "Version": "2.0", "IssueInstant": "2024-05-01T08:30:00Z", "ReturnContext": False}
    body = body_of(client_of("iti79"), operation, _value_1=[request], **query)
    assert body.tag == f"{{{ns.XACML_SAML_PROTOCOL}}}XACMLAuthzDecisionQuery"
    assert etree.tostring(body[0]) == etree.tostring(request)


# -- what a plain client reads


def test_leaf_classes_are_read() -> None:
    answer = (BODIES / "adhoc_query_response.xml").read_bytes()
    transport = Offline(answer=envelope(answer))
    transaction, operation, content = REQUESTS[0]
    found = client_of(transaction, transport).service[operation](**content)
    assert found.status == ns.SUCCESS
    assert found.totalResultCount == 2
    assert found.RegistryErrorList.RegistryError[0].codeContext == "hidden:1"
    kinds = [next(iter(item)) for item in found.RegistryObjectList._value_1]
    assert kinds == ["ExtrinsicObject", "Association", "ExtrinsicObject"]
    entry = found.RegistryObjectList._value_1[0]["ExtrinsicObject"]
    assert entry.mimeType == "application/dicom"
    assert entry.status == ns.APPROVED
    assert entry.home == "urn:oid:2.999.1"
    assert {part.name: part.ValueList.Value for part in entry.Slot}["sourcePatientInfo"][1] == "PID-5|Doe^Jo"
    assert (entry.Name.LocalizedString[0].lang, entry.Name.LocalizedString[0].value) == ("fr", "Scanner du thorax")
    assert entry.VersionInfo.versionName == "2"
    assert entry.Classification[0].Slot[0].ValueList.Value == ["1.2.840.10008.2.6.1"]
    assert entry.ExternalIdentifier[0].value == "2.999.6.1"
    assert found.RegistryObjectList._value_1[1]["Association"].targetObject == entry.id
    (_, _, headers) = transport.sent[0]
    assert headers["Content-Type"].startswith("application/soap+xml")


def test_an_empty_answer_is_read() -> None:
    answer = b'<AdhocQueryResponse xmlns="%s" status="%s"><RegistryObjectList xmlns="%s"/></AdhocQueryResponse>'
    transaction, operation, content = REQUESTS[0]
    transport = Offline(answer=envelope(answer % (ns.QUERY.encode(), ns.SUCCESS.encode(), ns.RIM.encode())))
    found = client_of(transaction, transport).service[operation](**content)
    assert found.status == ns.SUCCESS
    assert not found.RegistryObjectList


SPOKEN = [
    ("iti18", "adhoc_query_request"),
    ("iti18", "adhoc_query_response"),
    ("iti42", "submit_objects_request"),
    ("iti41", "provide_and_register_request"),
    ("iti43", "retrieve_request"),
    ("rad69", "retrieve_imaging_request"),
]


@pytest.mark.parametrize(("transaction", "name"), SPOKEN)
def test_nothing_is_lost_between_reading_and_writing(transaction: str, name: str) -> None:
    types = client_of(transaction).wsdl.types
    read = etree.fromstring((BODIES / f"{name}.xml").read_bytes(), etree.XMLParser(remove_blank_text=True))
    for empty in read.findall(f".//{{{ns.RIM}}}Description"):  # read as nothing, which is what it says
        empty.getparent().remove(empty)
    element = types.get_element(read.tag)
    written = etree.Element("written")
    element.render(written, element.parse(read, types))
    assert contents(written[0]) == contents(read)


def contents(body: etree._Element) -> list[tuple[str, list[tuple[str, str]], str]]:
    return [(element.tag, sorted(element.items()), element.text or "") for element in body.iter()]


def inline(envelope: bytes) -> tuple[bytes, str]:
    return envelope, "application/soap+xml"


def optimised(envelope: bytes) -> tuple[bytes, str]:
    """The document of the answer in a part of its own (XOP)."""
    include = b'<x:Include xmlns:x="%s" href="cid:image@example"/>' % ns.XOP.encode()
    parts = [
        ("<root@example>", "application/xop+xml", envelope.replace(b"RElDTQ==", include)),
        ("<image@example>", "application/dicom", b"DICM"),
    ]
    body = b""
    for content_id, kind, content in parts:
        head = EmailMessage()
        head["Content-Type"] = f'{kind}; type="application/soap+xml"'
        head["Content-Transfer-Encoding"] = "binary"
        head["Content-ID"] = content_id
        body += b"--frontier\r\n" + head.as_bytes().strip().replace(b"\n", b"\r\n") + b"\r\n\r\n" + content + b"\r\n"
    kind = 'multipart/related; type="application/xop+xml"; start="<root@example>"; boundary="frontier"'
    return body + b"--frontier--\r\n", kind


@pytest.mark.parametrize("packaging", [inline, optimised])
@pytest.mark.parametrize(("transaction", "operation", "content"), REQUESTS[3:])
def test_documents_are_read(
    transaction: str, operation: str, content: dict[str, Any], packaging: Callable[[bytes], tuple[bytes, str]]
) -> None:
    transport = Offline("", *packaging(envelope((BODIES / "retrieve_response.xml").read_bytes())))
    got = client_of(transaction, transport).service[operation](**content)
    assert got.RegistryResponse.status == ns.SUCCESS
    assert [part.mimeType for part in got.DocumentResponse] == ["application/dicom", "text/plain"]
    assert got.DocumentResponse[0].Document == b"DICM"
    assert got.DocumentResponse[0].NewDocumentUniqueId == "2.999.6.3"


def test_an_acknowledgement_is_read() -> None:
    device = '<device classCode="DEV" determinerCode="INSTANCE"><id root="2.999.8.1"/></device>'
    acknowledgement = f"""
      <MCCI_IN000002UV01 xmlns="{ns.HL7V3}" ITSVersion="XML_1.0">
        <id root="2.999.3.2"/><creationTime value="20240501083001"/>
        <interactionId root="2.16.840.1.113883.1.6" extension="MCCI_IN000002UV01"/>
        <processingCode code="P"/><processingModeCode code="T"/><acceptAckCode code="NE"/>
        <receiver typeCode="RCV">{device}</receiver><sender typeCode="SND">{device}</sender>
        <acknowledgement><typeCode code="CE"/><targetMessage><id root="2.999.3.1"/></targetMessage>
          <acknowledgementDetail typeCode="E"><text>unknown authority</text></acknowledgementDetail></acknowledgement>
      </MCCI_IN000002UV01>"""
    transport = Offline(answer=envelope(acknowledgement.encode()))
    got = client_of("iti44", transport).service.DocumentRegistry_PRPA_IN201301UV02(**feed(1))
    assert got.acknowledgement[0].typeCode.code == "CE"
    assert got.acknowledgement[0].targetMessage.id.root == "2.999.3.1"
    assert got.acknowledgement[0].acknowledgementDetail[0].text._value_1 == "unknown authority"


def test_a_decision_is_read_as_it_came() -> None:
    assertion = f'<saml:Assertion xmlns:saml="{ns.SAML}" ID="_2"><saml:Issuer>hub</saml:Issuer></saml:Assertion>'
    head = f'<samlp:Response xmlns:samlp="{ns.SAMLP}" ID="_3" Version="2.0" IssueInstant="2024-05-01T08:30:00Z">'
    transport = Offline(answer=envelope(f"{head}{assertion}</samlp:Response>".encode()))
    client = client_of("iti79", transport)
    request = etree.Element(f"{{{ns.XACML_CONTEXT}}}Request")
    query = {"ID": "_1", "Version": "2.0", "IssueInstant": "2024-05-01T08:30:00Z"}
    got = client.service.AuthorizationDecisionsManager_AuthorizationDecisionsQuery(_value_1=[request], **query)
    assert got.ID == "_3"
    (element,) = got._value_1
    assert element.tag == f"{{{ns.SAML}}}Assertion"
    assert element.findtext(f"{{{ns.SAML}}}Issuer") == "hub"
