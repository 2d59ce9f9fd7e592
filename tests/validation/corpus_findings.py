"""What the validators say of the messages of third parties, and why: nothing else may be said.

Each row is a pattern of paths, the rules that are found there (`?` before warnings), and the explanation. The first
row whose pattern fits counts; of a file that no row names there is nothing to say.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """Files, the findings that each of them may have, and the reason."""

    path: str
    rules: str
    reason: str


_TEMPLATE = "a template of a test plan: $name$ stands where a value is put in before it is sent"
_OLD_EXAMPLE = "an example from before ebRS 3.0 names were used throughout, and with an id that is no OID"

EXPLAINED: tuple[Row, ...] = (
    Row("nist-toolkit2/*/PnrXop/NoXop/body.txt", "?SOAP.wsa.ReplyTo.missing", "the recorded client sent none"),
    Row("nist-toolkit2/*/PnrXop/dicom/body.txt", "", ""),
    Row("*.txt", "file.kind", "texts and documents are no messages"),
    Row("*.html", "file.kind", "texts and documents are no messages"),
    Row("*.xhtml", "file.kind", "texts and documents are no messages"),
    Row("*.pdf", "file.kind", "texts and documents are no messages"),
    Row("*.md", "file.kind", "texts and documents are no messages"),
    Row("*.idx", "file.kind", "the order of a test plan's steps"),
    # Official examples
    Row("ihe-iti-info-examples/XCA/XCACrossGatewayQueryRequest.xml", "SCHEMA",
        "an outline: the query itself is left out of the body"),
    Row("ihe-iti-info-examples/XCA/XCACrossGatewayQueryResponse.xml", "SCHEMA",
        "an outline: status and objects are left out of the body"),
    Row("ihe-iti-info-examples/XCA/XCADeferred/01*", "file.form", "it is not well-formed XML"),
    Row("ihe-iti-info-examples/XCA/XCADeferred/0[234]*",
        "?SOAP.wsa.Action ?SOAP.wsa.Action.mustUnderstand SCHEMA RESPONSE.error.missing",
        "of a supplement that is not served; RegistryErrorList stands in the namespace of queries, so the errors count"
        " as missing"),
    Row("ihe-iti-info-examples/XCPD/*_Deferred_*", "file.form", "it is not well-formed XML"),
    Row("ihe-iti-info-examples/SVS/*", "?SOAP.wsa.Action", "value sets (ITI-48) are not served"),
    Row("ihe-iti-info-examples/XDS.b/ProvideAndRegister*Request*", "ASSOC.associationType DE.linked SS.sourceId.format",
        _OLD_EXAMPLE),
    Row("ihe-iti-info-examples/XDS.b/RegisterOnDemand*Request*",
        "ASSOC.associationType DE.linked SS.sourceId.format DE.repositoryUniqueId.required", _OLD_EXAMPLE),
    Row("ihe-iti-info-examples/XDS.b/RegistryStoredQueryRequest*", "QUERY.parameter.coding QUERY.required",
        "a patient id without quotes, typographic quotes around a code, and a status that is not the URN"),
    Row("ihe-iti-info-examples/XDS.b/RegistryStoredQueryResponse*",
        "RESPONSE.status.form ?DE.repositoryUniqueId.required ?DE.sourcePatientId.format ?DE.Slot.name",
        "the status is written as in ebRS 2.1, and the entry is one of an older profile"),
    # Third parties
    Row("ihe-it-infrastructure/atna/*", "file.kind", "rules that a validator applies, no messages"),
    Row("ipf/audit/atna-record-1.xml", "SCHEMA", "RFC 3881, which DICOM's message has replaced"),
    Row("ipf/continua-hrn/*", "DE.hash.document DE.size.document", "hash and size are placeholders"),
    Row("ipf/hl7v2/hl7v2message.hl7", "HL7.form", "the patient's identifier has no assigning authority"),
    Row("ipf/hl7v3/pixfeed/PIX_FEED_MERGE*.hl7", "HL7.PID-5", "no name, which HL7 2.3.1 requires"),
    Row("ipf/xacml20/chadr/chadr-request-1.xml", "BODY.form", "asks for an action of Swiss policy administration"),
    Row("ipf/xacml20/xua-assertion.xml", "SAML.signature.form ?SAML.expired", "signed with SHA-1, and of 2020"),
    Row("ipf/xacml20/*", "file.kind", "Swiss policy administration, which is not served"),
    Row("ipf/xds/SubmitObjectsRequest_ebrs30_update.xml", "", ""),
    Row("ipf/xds/SubmitObjectsRequest_ebrs3*", "SS.*.required SS.sourceId.format DE.patientId.required",
        "identifiers are left out, for the test to put them in"),
    # The toolkit: test plans with what they send
    Row("nist-toolkit2/*/kos*.dcm", "KOS.content.text KOS.StudyTime KOS.Manufacturer KOS.meta.instance ?KOS.Instance*",
        "observers of other concepts than TID 2010 has, times with colons, and files made wrong for negative tests"),
    Row("nist-toolkit2/*.dcm", "KOS.*", "images are no manifests"),
    Row("nist-toolkit2/*/testplan.xml", "file.kind", "a test plan is no message"),
    Row("nist-toolkit2/*/12364/nothing/*", "QUERY.any-of", "a negative test: a query without a parameter"),
    Row("nist-toolkit2/*/16102c/*", "DE.* SS.* FD.* ASSOC.linked QUERY.*", "a Folder that nobody links, on purpose"),
    Row("nist-toolkit2/*/case-8_Empty_Transfer_Syntax_UID/*", "IMAGES.TransferSyntaxUID", "a negative test"),
    Row("nist-toolkit2/*/query*.xml",
        "QUERY.* RETRIEVE.RepositoryUniqueId RETRIEVE.HomeCommunityId SCHEMA", _TEMPLATE),
    Row("nist-toolkit2/*_query.xml", "QUERY.*", _TEMPLATE),
    Row("nist-toolkit2/*/retrieve*.xml", "RETRIEVE.*", _TEMPLATE),
    Row("nist-toolkit2/*/remove*.xml", "REMOVAL.id RETRIEVE.*", _TEMPLATE),
    Row("nist-toolkit2/*/metadata-evaluate.xml", "CLASSIFICATION.classifiedObject DE.document.missing SS.*",
        "metadata of a student's submission, without the document"),
    Row("nist-toolkit2/*.xml",
        "EBRIM.element SS.uniqueId.format SS.patientId.format DE.patientId.format DE.sourcePatientId.format"
        " DE.document.missing ASSOC.targetObject.unresolved QUERY.* RETRIEVE.* file.kind",
        "metadata of ebRIM 2.1, or with $name$ where a value is put in; the document is a file of its own"),
    Row("ihe-iti-info-examples/DSG/*/test-cda.xml", "file.kind", "a clinical document that is no consent"),
)  # fmt: skip
