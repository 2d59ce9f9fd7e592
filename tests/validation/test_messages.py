"""What is said of messages and of their bodies: nothing of right ones, and of each fault that fault alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests import builders
from tests import message_samples as samples
from tests.validation.faults import Change, check, having, swap, twice, without
from xdsi.domain.consent import Action, DecisionRequest, Resource
from xdsi.domain.findings import Level
from xdsi.spec import namespaces as ns
from xdsi.spec import uuids
from xdsi.spec.messages import FORMS
from xdsi.spec.xacml import PROTOCOL_V2
from xdsi.transactions import (
    iti18_registry_stored_query,
    iti41_provide_and_register_document_set,
    iti42_register_document_set,
    iti43_retrieve_document_set,
    iti51_multi_patient_stored_query,
    iti57_update_document_set,
    iti61_register_on_demand_document_entry,
    iti62_remove_metadata,
    iti86_remove_documents,
    iti92_restricted_update_document_set,
    rad69_retrieve_imaging_document_set,
)
from xdsi.transport.soap_server import SoapFault
from xdsi.validation import by_key, validate
from xdsi.wire import authorization, soap
from xdsi.wire.ebxml import submission

FILES = samples.files()
PRETTY = {name: samples.pretty(raw) for name, (key, raw) in FILES.items() if raw.startswith(b"<") and key != "audit"}
ENTRY = "//rim:ExtrinsicObject"


@pytest.mark.parametrize("name", FILES)
def test_of_a_right_file_there_is_nothing_to_say(name: str) -> None:
    key, raw = FILES[name]
    report = validate(raw)
    validator = by_key(key)
    assert validator is not None
    assert (report.kind, report.findings, report.valid) == (validator.name, (), True)


@pytest.mark.parametrize("name", FILES)
def test_a_byte_order_mark_and_a_declaration_change_nothing(name: str) -> None:
    _, raw = FILES[name]
    if raw.startswith(b"<") and name not in ("signature", "consent"):
        # Of a signature a comment is refused; a consent has its declaration.
        raw = b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?>\n<!-- kept -->\n" + raw
    assert validate(raw).findings == ()


END = b"\r\n--parts\r\nContent-Type: text"
ENVELOPES: dict[str, tuple[str, Change, str, str]] = {
    "soap 1.1": ("register", swap(ns.SOAP, ns.SOAP11, 9), "SOAP.VersionMismatch", "Envelope"),
    "no action": ("register", without("//wsa:Action"), "SOAP.wsa.Action", "Header"),
    "two actions": ("register", twice("//wsa:Action"), "SOAP.wsa.Action", "Action[1]"),
    "action of something else": (
        "register", having("//wsa:Action", samples.ACTIONS["ITI-18", True]), "SOAP.body", "SubmitObjectsRequest",
    ),
    "action of nothing": ("query", having("//wsa:Action", "urn:nothing"), "?SOAP.wsa.Action", "Action"),
    "action need not be understood": (
        "query", without("//wsa:Action/@soap:mustUnderstand"), "?SOAP.wsa.Action.mustUnderstand", "Action",
    ),
    "reply elsewhere": (
        "query", having("//wsa:ReplyTo/wsa:Address", "http://x.example/"), "SOAP.wsa.ReplyTo", "ReplyTo",
    ),
    "no reply address": ("query", without("//wsa:ReplyTo"), "?SOAP.wsa.ReplyTo.missing", "Header"),
    "no id": ("query", without("//wsa:MessageID"), "?SOAP.wsa.MessageID.missing", "Header"),
    "answer to nothing": ("registered", without("//wsa:RelatesTo"), "?SOAP.wsa.RelatesTo.missing", "Header"),
    "unknown header": (
        "query", swap("<soap:Header>", "<soap:Header><x:y xmlns:x='urn:x' soap:mustUnderstand='1'/>"),
        "SOAP.mustUnderstand", "y",
    ),
    "empty body": ("query", without("//query:AdhocQueryRequest"), "SOAP.Sender", "Envelope"),
    "two bodies": ("query", twice("//soap:Body"), "SOAP.Sender", "Envelope"),
    "error of another transaction": (
        "registered", having("//rs:RegistryError/@errorCode", "XDSDocumentUniqueIdError"),
        "?RESPONSE.errorCode.transaction", "@errorCode",
    ),
    "unknown error": (
        "registered", having("//rs:RegistryError/@errorCode", "Oops"), "?RESPONSE.errorCode", "@errorCode",
    ),
    "assertion altered": (
        "query with an assertion", swap(">Hospital A<", ">Hospital B<"), "SAML.signature.value", "Signature",
    ),
    "home of a gateway": (
        "query", having("//wsa:Action", samples.ACTIONS["ITI-38", True]), "?QUERY.home", "AdhocQuery",
    ),
    "simple transaction as multipart": (
        "provide, multipart", swap(samples.ACTIONS["ITI-41", True], "urn:x"), "?SOAP.wsa.Action", "Action",
    ),
    "part that is not there": (
        "provide, multipart", swap('href="cid:', 'href="cid:x'), "MTOM.parts", "Document",
    ),
    "no part of it": ("provide, multipart", swap("\r\n--parts\r\nContent-Type: text/plain", "\r\n--parts--\r\n"),
                      "MTOM.parts", "Document"),
    "root alone": ("provide, multipart", lambda raw: raw[raw.index(b"<soap:") : raw.index(END)],
                   "?MTOM.parts.elsewhere", "Include"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENVELOPES)
def test_one_fault_of_a_message_is_found_alone(name: str) -> None:
    sample, change, rule, place = ENVELOPES[name]
    check(change(FILES[sample][1]), rule, place)


LINK = (
    "<rim:Association id='a' associationType='urn:x' sourceObject='doc1'"
    " targetObject='urn:uuid:77f2c1f0-31e5-4f69-9d3b-0d5dbef2ab01'/>"
)
CLASS = "rim:Classification[@classificationScheme='urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a']"
BODIES: dict[str, tuple[str, Change, str, str]] = {
    "no entry id": ("submission", without(f"{ENTRY}/rim:Slot[@name='hash']"), "DE.hash.required", "ExtrinsicObject"),
    "hash of nothing": (
        "submission", having(f"{ENTRY}/rim:Slot[@name='hash']//rim:Value", "zz"), "DE.hash.format", "Slot[2]",
    ),
    "hash not of the document": (
        "provision", having(f"{ENTRY}/rim:Slot[@name='hash']//rim:Value", "0" * 40), "DE.hash.document", "Slot[2]",
    ),
    "size not of the document": (
        "provision", having(f"{ENTRY}/rim:Slot[@name='size']//rim:Value", "6"), "DE.size.document", "Slot[9]",
    ),
    "time that is none": (
        "submission", having(f"{ENTRY}/rim:Slot[@name='creationTime']//rim:Value", "2024-01-01"),
        "DE.creationTime.format", "Slot[1]",
    ),
    "mime type of nothing": ("submission", having(f"{ENTRY}/@mimeType", "text"), "DE.mimeType.format", "@mimeType"),
    "no class": (
        "submission",
        without(f"{ENTRY}/{CLASS}"),
        "DE.classCode.required", "ExtrinsicObject",
    ),
    "code without a display name": (
        "submission",
        without(f"{ENTRY}/{CLASS}/rim:Name"),
        "DE.classCode.display", "Classification[2]",
    ),
    "entry that nobody links": (
        "submission", without("//rim:Association"), "DE.linked", "ExtrinsicObject",
    ),
    "status of a link": (
        "submission", having("//rim:Association/rim:Slot//rim:Value", "Reference"), "ASSOC.SubmissionSetStatus.value",
        "Slot",
    ),
    "link of another kind": (
        "submission", swap("</rim:RegistryObjectList>", LINK + "</rim:RegistryObjectList>"), "ASSOC.associationType",
        "Association[2]",
    ),
    "classification of another": (
        "submission", having(f"{ENTRY}/rim:Classification/@classifiedObject", "ss1"),
        "CLASSIFICATION.classifiedObject", "@classifiedObject",
    ),
    "slot twice": ("submission", twice(f"{ENTRY}/rim:Slot[@name='hash']"), "DE.slot.twice", "Slot[2]"),
    "slot without values": ("submission", without(f"{ENTRY}/rim:Slot[1]/rim:ValueList"), "SCHEMA",
                            "Slot[1]"),
    "unknown element": ("retrieval", swap("DocumentUniqueId>", "DocumentUID>", 2), "SCHEMA", "DocumentUID"),
    "repository that is no OID": (
        "retrieval", having("//xds:RepositoryUniqueId", "here"), "RETRIEVE.RepositoryUniqueId", "RepositoryUniqueId",
    ),
    "document asked for twice": ("retrieval", twice("//xds:DocumentRequest"), "?RETRIEVE.twice", "DocumentRequest[2]"),
    "document that is not base64": ("retrieved", having("//xds:Document", "!"), "BODY.form", "Document"),
    "failure with documents": (
        "retrieved", swap(f'status="{ns.SUCCESS}"/>', f'status="{ns.FAILURE}"><rs:RegistryErrorList><rs:RegistryError '
                          f'errorCode="XDSRepositoryError" codeContext="x" severity="{ns.SEVERITY_ERROR}"/>'
                          "</rs:RegistryErrorList></rs:RegistryResponse>"),
        "RETRIEVE.status", "@status",
    ),
    "query without a status": (
        "stored query", without("//rim:Slot[@name='$XDSDocumentEntryStatus']"), "QUERY.required", "AdhocQuery",
    ),
    "query without quotes": (
        "stored query", having("//rim:Slot[1]//rim:Value", builders.PATIENT), "QUERY.parameter.coding", "Slot[1]",
    ),
    "parameter of another query": (
        "stored query",
        swap("</rim:AdhocQuery>", '<rim:Slot name="$XDSFolderStatus"><rim:ValueList><rim:Value>1</rim:Value>'
             "</rim:ValueList></rim:Slot></rim:AdhocQuery>"), "?QUERY.parameter.unknown", "Slot[3]",
    ),
    "query that is none": (
        "stored query", having("//rim:AdhocQuery/@id", "urn:uuid:77f2c1f0-31e5-4f69-9d3b-0d5dbef2ab01"), "QUERY.id",
        "AdhocQuery",
    ),
    "series that is no UID": (
        "image request", having("//rad:SeriesRequest/@seriesInstanceUID", "x"), "IMAGES.seriesInstanceUID",
        "@seriesInstanceUID",
    ),
    "no transfer syntax": ("image request", without("//rad:TransferSyntaxUID"), "SCHEMA", "TransferSyntaxUIDList"),
    "failure without an error": (
        "failure", without("//rs:RegistryErrorList"), "RESPONSE.error.missing", "@status",
    ),
    "success with an error": (
        "failure", having("/rs:RegistryResponse/@status", ns.SUCCESS), "RESPONSE.status", "@status",
    ),
    "severity of nothing": (
        "failure", having("//rs:RegistryError/@severity", "bad"), "RESPONSE.severity", "@severity",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_one_fault_of_a_body_is_found_alone(name: str) -> None:
    sample, change, rule, place = BODIES[name]
    check(change(PRETTY[sample]), rule, place)


def test_the_line_of_a_finding_is_that_of_the_file_also_inside_a_multipart_message() -> None:
    raw = samples.mtom(samples.provided(hash="0" * 40)).replace(b"<rim:Slot", b"\n<rim:Slot")
    (one,) = validate(raw).findings
    assert one.rule == "DE.hash.document"
    assert b'<rim:Slot name="hash"' in raw.split(b"\n")[one.line - 1]


def test_a_recorded_http_message_is_read_as_such() -> None:
    raw = b"POST /services/registry HTTP/1.1\r\nHost: x\r\nContent-Type: application/soap+xml\r\n\r\n"
    report = validate(raw + FILES["query"][1])
    assert (report.about, report.findings) == ("ITI-18 Registry Stored Query, request", ())


HTTP = {
    "WADO request": (b"GET /wado HTTP/1.1\r\nAccept: */*\r\n\r\n", "GET /wado HTTP/1.1", 1),
    "WADO-RS answer": (
        b'HTTP/1.1 200 OK\r\nContent-Type: multipart/related; type="application/dicom"; boundary=x\r\n\r\n'
        b"--x\r\nContent-Type: application/dicom\r\n\r\nDICM\r\n--x--\r\n",
        "HTTP/1.1 200 OK", 1,
    ),
    "WADO-URI answer": (b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\n\r\n\0", "HTTP/1.1 200 OK", 1),
    "empty answer": (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 202 Accepted", 1),
    "a proxy's page": (b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\n\r\n<html>", "HTTP/1.1 502 Bad", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", HTTP)
def test_an_http_message_without_soap_is_told_as_such(name: str) -> None:
    raw, line, warned = HTTP[name]
    report = validate(raw)
    assert report.about == line
    assert [(one.rule, one.level is Level.WARNING) for one in report.findings] == [("HTTP.content", bool(warned))]


@pytest.mark.parametrize("name", ["text/plain", "text/xml", "application/json"])
def test_an_envelope_that_is_called_something_else_is_judged_all_the_same(name: str) -> None:
    raw = b"POST /services/registry HTTP/1.1\r\nContent-Type: " + name.encode() + b"\r\n\r\n"
    report = validate(raw + FILES["query"][1])
    assert report.about == "ITI-18 Registry Stored Query, request"
    assert [one.rule for one in report.findings] == ["SOAP.content-type"]


def test_what_only_a_registry_can_know_is_not_judged() -> None:
    old = "urn:uuid:77f2c1f0-31e5-4f69-9d3b-0d5dbef2ab01"
    replaced = builders.submission(
        builders.document_entry(), associations=[builders.association(uuids.RPLC, "doc1", old)]
    )
    assert validate(submission.write(replaced).encode()).findings == ()
    lost = builders.submission(builders.document_entry(), associations=[builders.association(uuids.APND, "doc1", "x")])
    check(submission.write(lost).encode(), "ASSOC.targetObject.unresolved", "@targetObject")


def test_metadata_of_an_update_are_judged_as_such() -> None:
    entry = builders.document_entry(logical_id="urn:uuid:77f2c1f0-31e5-4f69-9d3b-0d5dbef2ab01")
    new = builders.submission(entry)
    first = new.associations[0]
    updated = replace(new, associations=(replace(first, previous_version="1"), *new.associations[1:]))
    assert validate(samples.envelope("ITI-57", submission.write(updated).encode())).findings == ()
    check(samples.envelope("ITI-42", submission.write(new).encode()), "DE.logicalID.first", "@lid")


@pytest.mark.parametrize("protocol", [ns.XACML_SAML_PROTOCOL, PROTOCOL_V2])
def test_decision_queries_of_both_versions_are_known(protocol: str) -> None:
    asked = DecisionRequest(
        subject_attributes={}, action=Action.RETRIEVE, resources=(Resource(unique_id="1.1"),), patient=None,
        query_id="_q1", protocol=protocol,
    )  # fmt: skip
    right = authorization.encode_query(asked, now=datetime(2026, 1, 1, tzinfo=UTC))
    wrong = right.replace(b"<Action>", b"<Subject/><Action>")
    assert wrong != right
    for raw, rules in ((right, set()), (wrong, {"SCHEMA", "BODY.form"})):
        for file in (raw, samples.envelope("ITI-79", raw)):
            found = {one.rule for one in validate(file).findings}
            assert bool(found) == bool(rules), found
            assert found <= rules


def test_the_messages_of_the_table_are_those_of_the_transactions() -> None:
    rows = [
        module.TRANSACTION
        for module in (
            iti18_registry_stored_query, iti41_provide_and_register_document_set, iti42_register_document_set,
            iti43_retrieve_document_set, iti51_multi_patient_stored_query, iti57_update_document_set,
            iti61_register_on_demand_document_entry, iti62_remove_metadata, iti86_remove_documents,
            iti92_restricted_update_document_set, rad69_retrieve_imaging_document_set,
        )
    ]  # fmt: skip
    known = {(one.transaction, one.is_request): (one.action, one.name) for one in FORMS}
    for row in rows:
        assert known[row.number, True] == (row.trigger, row.name)
        assert known[row.number, False] == (row.reply, row.name)


@pytest.mark.parametrize("name", ENVELOPES)
def test_the_validator_and_the_server_agree_on_envelopes(name: str) -> None:
    sample, change, rule, _ = ENVELOPES[name]
    if "multipart" in sample:
        return
    try:
        soap.read_envelope(change(FILES[sample][1]))
    except SoapFault:
        assert rule.startswith("SOAP.")
    else:
        assert rule.startswith(("?", "SAML.")) or rule == "SOAP.body"
