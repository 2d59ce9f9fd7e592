"""Bodies of messages, and fragments of them: which check belongs to which element.

ebRS 3.0, ITI TF-2 and TF-3; RAD TF-2 4.69.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.findings import Finding, Level
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.submission import Document, Submission
from xdsi.rules import formats, stored_query
from xdsi.rules.validation import problems
from xdsi.spec import namespaces as ns
from xdsi.spec.error_codes import CODES
from xdsi.spec.optionality import Column
from xdsi.spec.stored_queries import ITI18, ITI51
from xdsi.spec.xacml import PROTOCOL_V2
from xdsi.transactions.iti41_provide_and_register_document_set import problems_of
from xdsi.validation import metadata
from xdsi.validation.profile import Profile
from xdsi.validation.xml_file import XmlFile
from xdsi.wire import authorization, xml
from xdsi.wire.ebxml import document_removal, imaging, objects, provision, query, removal, response, retrieve
from xdsi.wire.ebxml import submission as submissions
from xdsi.wire.message import Message
from xdsi.wire.mtom import INCLUDE
from xdsi.wire.xml import E

_OBJECT_LIST = E(ns.RIM, "RegistryObjectList")
_SLOT = E(ns.RIM, "Slot")
_DECISION_V2 = E(PROTOCOL_V2, "XACMLAuthzDecisionQuery")
"""of no schema here: what reads it is the judge"""
_REGISTRY_RESPONSE = E(ns.RS, "RegistryResponse")
_ERROR = f"{E(ns.RS, 'RegistryErrorList')}/{E(ns.RS, 'RegistryError')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is around a body: the transaction of its message, and the parts beside it."""

    profile: Profile
    transaction: str = ""
    parts: Mapping[str, Document] = field(default_factory=dict)

    def message(self, element: etree._Element) -> Message:
        """The body as codecs read it."""
        return Message((element,), self.parts)


Check = Callable[[XmlFile, etree._Element, Around], Iterator[Finding]]


def check(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    """Everything to be said of a body or a fragment whose name is one of `CHECKS`."""
    clause, one = CHECKS[element.tag]
    told = []
    for found in () if element.tag == _DECISION_V2 else file.by_schema(element, clause):
        told.append(found.place)
        yield found
    try:
        for found in one(file, element, around):
            # What breaks the schema breaks rules, too.
            if not any(found.place.startswith(place) for place in told):
                yield found
    except MalformedMessage as error:
        if not told:
            yield file.malformed("BODY.form", error, clause, element)


def _submit(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    yield from _metadata(file, element, submissions.read(element), around)


_COLUMNS = {
    "ITI-41": Column.DOCUMENT_SOURCE,
    "ITI-80": Column.DOCUMENT_SOURCE,
    "ITI-42": Column.REPOSITORY,
    "ITI-61": Column.ON_DEMAND,
}


def _metadata(
    file: XmlFile, element: etree._Element, submission: Submission, around: Around, *more: Problem
) -> Iterator[Finding]:
    if around.transaction in ("ITI-57", "ITI-92") or (not around.transaction and metadata.is_update(submission)):
        found = metadata.of_update(submission, around.profile)
    else:
        column = _COLUMNS.get(around.transaction) or metadata.column_of(submission)
        found = metadata.of_submission(submission, column, around.profile)
    yield from metadata.Objects(file, element).findings(_once((*more, *found)))


def _once(found: tuple[Problem, ...]) -> Iterator[Problem]:
    """Each problem once: a provision repeats what its metadata show."""
    yield from dict.fromkeys(found)


def _provide(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    if not around.parts and element.find(f"{E(ns.XDS, 'Document')}/{INCLUDE}") is not None:
        # The envelope alone, as recorders keep it: the documents are elsewhere.
        found = element.find(submissions.REQUEST)
        if found is not None:
            inner = Around(profile=around.profile, transaction=around.transaction or "ITI-41")
            yield from _submit(file, found, inner)
        return
    read = provision.decode(around.message(element))
    more = [one for one in problems_of(read, check_manifests=True) if one.rule != "DE.uniqueId.twice"]
    inner = Around(profile=around.profile, transaction=around.transaction or "ITI-41")
    yield from _metadata(file, element, read.submission, inner, *more)


def _query(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    request = query.decode_request(around.message(element))
    several = around.transaction == "ITI-51" or (not around.transaction and request.query_id not in ITI18)
    checked = stored_query.check(request, queries=ITI51 if several else ITI18, reject_unknown_parameters=False)
    slots = {slot.get("name"): slot for slot in element.iter(_SLOT)}
    option = element.find(E(ns.QUERY, "ResponseOption"))
    adhoc = element.find(E(ns.RIM, "AdhocQuery"))
    for one in checked.problems:
        named = slots.get(one.location)
        where = named if named is not None else option if one.rule == "QUERY.returnType" else adhoc
        where = element if where is None else where
        yield problems.finding(one, file.place(where), file.line(where))
    for name in checked.ignored:
        where = slots[name]
        unknown = Problem(
            "XDSRegistryError",
            f"{name}: this query has no such parameter; a registry ignores it",
            rule="QUERY.parameter.unknown",
        )
        yield problems.finding(unknown, file.place(where), file.line(where), level=Level.WARNING)
    if around.transaction == "ITI-38" and not request.home_community_id:
        yield file.finding(
            "QUERY.home",
            adhoc if adhoc is not None else element,
            "no homeCommunityId (@home)",
            "urn:oid: of the community asked",
            "ITI TF-2 3.38.4.1.2",
            level=Level.WARNING,
        )


def _answer(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    yield from _outcome(file, element, around)
    found = element.find(_OBJECT_LIST)
    if found is not None:
        yield from _objects(file, found, around)


def _objects(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    decoded = objects.decode(element)
    known = metadata.Objects(file, element)
    yield from known.findings(decoded.findings)
    # Registries must answer with what was registered, by older rules, too: what is not of its form may be seen.
    yield from known.findings(metadata.returned(decoded.objects, around.profile), level=Level.WARNING)


def _response(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    yield from _outcome(file, element, around)


def _outcome(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    clause = "ITI TF-3 4.2.4"
    read: Outcome = response.read(element)
    errors = element.findall(_ERROR)
    if any(one.rule == "RESPONSE.error.missing" for one in read.problems):
        status = (element.get("status") or "").rpartition(":")[2]
        yield file.finding(
            "RESPONSE.error.missing",
            element,
            f"status {status} without an error",
            "a RegistryErrorList with at least one error",
            clause,
            attribute="status",
        )
    severities = [one.get("severity") for one in errors]
    if element.get("status") == ns.SUCCESS and any(one not in (None, ns.SEVERITY_WARNING) for one in severities):
        yield file.finding(
            "RESPONSE.status",
            element,
            "status Success with an error",
            f"{ns.FAILURE} or {ns.PARTIAL_SUCCESS}",
            clause,
            attribute="status",
        )
    if "ResponseStatusType" not in (element.get("status") or ""):
        yield file.finding(
            "RESPONSE.status.form",
            element,
            f"status {element.get('status')!r} is not a URN",
            ns.SUCCESS,
            clause,
            attribute="status",
        )
    for one in errors:
        yield from _error(file, one, around, clause)


_PASSED_ON = {"ITI-41": "ITI-42", "ITI-80": "ITI-42", "RAD-69": "ITI-43", "RAD-75": "ITI-43"}
"""whose errors a transaction passes on, or answers in the form of"""


def _error(file: XmlFile, element: etree._Element, around: Around, clause: str) -> Iterator[Finding]:
    code = (element.get("errorCode") or "").rpartition(":")[2]
    known = CODES.get(code)
    if known is None:
        yield file.finding(
            "RESPONSE.errorCode",
            element,
            f"errorCode {element.get('errorCode')!r} is not a standard one",
            "a code of the table",
            "ITI TF-3 table 4.2.4.1-2",
            attribute="errorCode",
            level=Level.WARNING,
        )
    elif around.transaction and not known.transactions & {around.transaction, _PASSED_ON.get(around.transaction, "")}:
        yield file.finding(
            "RESPONSE.errorCode.transaction",
            element,
            f"errorCode {code} is not one of {around.transaction}",
            f"a code of {around.transaction}; {code} is one of {', '.join(sorted(known.transactions))}",
            "ITI TF-3 table 4.2.4.1-2",
            attribute="errorCode",
            level=Level.WARNING,
        )
    severity = element.get("severity")
    if severity not in (ns.SEVERITY_ERROR, ns.SEVERITY_WARNING):
        yield file.finding(
            "RESPONSE.severity",
            element,
            f"severity is {severity!r}",
            f"{ns.SEVERITY_ERROR} or {ns.SEVERITY_WARNING}",
            clause,
            attribute="severity" if severity is not None else "",
        )


def _retrieve(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    if element.tag == E(ns.RMD, "RemoveDocumentsRequest"):
        document_removal.decode(around.message(element))
    else:
        retrieve.decode_request(around.message(element))
    yield from _document_ids(file, element, "ITI TF-2 3.43.4.1.2")


def _document_ids(file: XmlFile, element: etree._Element, clause: str) -> Iterator[Finding]:
    seen: dict[tuple[str, ...], etree._Element] = {}
    for asked in element.iter(E(ns.XDS, "DocumentRequest"), E(ns.XDS, "DocumentResponse")):
        texts = {}
        for child in asked.iterchildren("*"):
            local = etree.QName(child).localname
            value = texts[local] = xml.content(child) if local != "Document" else ""
            rule = _FORMS.get(local)
            complaint = rule(value) if rule is not None else ""
            if complaint:
                yield file.finding(
                    f"RETRIEVE.{local}",
                    child,
                    f"{local} is {value[:80]!r}",
                    complaint.removeprefix("expected "),
                    clause,
                )
        key = tuple(texts.get(name, "") for name in ("HomeCommunityId", "RepositoryUniqueId", "DocumentUniqueId"))
        if key in seen:
            yield file.finding(
                "RETRIEVE.twice",
                asked,
                f"{key[2][:80]} is named twice",
                "each document once",
                clause,
                level=Level.WARNING,
            )
        seen[key] = asked


_FORMS = {
    "HomeCommunityId": formats.oid_urn,
    "RepositoryUniqueId": formats.oid,
    "DocumentUniqueId": formats.identifier,
    "mimeType": formats.mime_type,
}


def _retrieved(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    status = element.find(_REGISTRY_RESPONSE)
    answers = element.findall(E(ns.XDS, "DocumentResponse"))
    if status is not None:
        yield from _outcome(file, status, around)
        short = (status.get("status") or "").rpartition(":")[2]
        if short == "Failure" and answers:
            yield file.finding(
                "RETRIEVE.status",
                status,
                f"status Failure with {len(answers)} documents",
                ns.PARTIAL_SUCCESS,
                "ITI TF-3 table 4.2.4.2-3",
                attribute="status",
            )
        if short == "PartialSuccess" and not answers:
            yield file.finding(
                "RETRIEVE.status",
                status,
                "status PartialSuccess without a document",
                ns.FAILURE,
                "ITI TF-3 table 4.2.4.2-3",
                attribute="status",
            )
    yield from _document_ids(file, element, "ITI TF-2 3.43.4.2.2")
    if around.parts or element.find(f".//{INCLUDE}") is None:
        retrieve.decode_answer(around.message(element))


def _images(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    clause = "RAD TF-2 4.69.4.1.2"
    imaging.decode_request(around.message(element))
    for one in element.iter(E(ns.RAD, "StudyRequest"), E(ns.RAD, "SeriesRequest"), E(ns.RAD, "TransferSyntaxUID")):
        name = {"StudyRequest": "studyInstanceUID", "SeriesRequest": "seriesInstanceUID"}.get(
            etree.QName(one).localname, ""
        )
        value = (one.get(name) or "").strip() if name else xml.content(one)
        if complaint := formats.oid(value):
            yield file.finding(
                f"IMAGES.{name or 'TransferSyntaxUID'}",
                one,
                f"{value[:80]!r} is no UID",
                complaint.removeprefix("expected "),
                clause,
                attribute=name,
            )
    yield from _document_ids(file, element, clause)


def _remove(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    removal.decode(around.message(element))
    for one in element.iter(E(ns.RIM, "ObjectRef")):
        value = (one.get("id") or "").strip()
        if complaint := formats.entry_uuid(value) or ("" if value.startswith("urn:uuid:") else "a symbolic id"):
            yield file.finding(
                "REMOVAL.id",
                one,
                f"id is {value[:80]!r}: {complaint}",
                "an entryUUID, urn:uuid:...",
                "Remove Metadata 3.62.4.1.2",
                attribute="id",
            )


def _decision(file: XmlFile, element: etree._Element, around: Around) -> Iterator[Finding]:
    authorization.decode_query(element)
    yield from ()


CHECKS: Final[Mapping[str, tuple[str, Check]]] = {
    submissions.REQUEST: ("ebRS 3.0 (lcm.xsd); ITI TF-2 3.42.4.1.2", _submit),
    E(ns.XDS, "ProvideAndRegisterDocumentSetRequest"): ("ITI TF-2 3.41.4.1.2", _provide),
    E(ns.QUERY, "AdhocQueryRequest"): ("ebRS 3.0 (query.xsd); ITI TF-2 3.18.4.1.2", _query),
    E(ns.QUERY, "AdhocQueryResponse"): ("ebRS 3.0 (query.xsd); ITI TF-2 3.18.4.1.3", _answer),
    _REGISTRY_RESPONSE: ("ebRS 3.0 (rs.xsd); ITI TF-3 4.2.4", _response),
    _OBJECT_LIST: ("ebRIM 3.0 (rim.xsd)", _objects),
    E(ns.XDS, "RetrieveDocumentSetRequest"): ("ITI TF-2 3.43.4.1.2", _retrieve),
    E(ns.XDS, "RetrieveDocumentSetResponse"): ("ITI TF-2 3.43.4.2.2", _retrieved),
    E(ns.RAD, "RetrieveImagingDocumentSetRequest"): ("RAD TF-2 4.69.4.1.2", _images),
    removal.REQUEST: ("ebRS 3.0 (lcm.xsd); Remove Metadata 3.62.4.1.2", _remove),
    E(ns.RMD, "RemoveDocumentsRequest"): ("Remove Documents 3.86.4.1.2", _retrieve),
    E(ns.XACML_SAML_PROTOCOL, "XACMLAuthzDecisionQuery"): ("SeR 3.79.4.1.2; SAML profile of XACML 2.0", _decision),
    _DECISION_V2: ("SeR 3.79.4.1.2; SAML profile of XACML 2.0, version 2", _decision),
}
"""element -> the clause of its form, and its check"""
