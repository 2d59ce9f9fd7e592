"""What a plan expects of an answer: status and codes, counts of objects, which entries, and XPath assertions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from lxml import etree

from ..answers import Answer, BadAnswer
from ..templates import NAMESPACES
from .metadata import filled, rim

APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"
_MARKERS = {
    "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd": "SubmissionSets",
    "urn:uuid:d9d542f3-6cc4-48b6-8870-ea235fbc94c2": "Folders",
}
_CONTENTS: Mapping[str, Mapping[str, int]] = {
    "None": {},
    "SSwithOneDoc": {"SubmissionSets": 1, "Documents": 1, "Associations": 1},
    "SSwithTwoDoc": {"SubmissionSets": 1, "Documents": 2, "Associations": 2},
    "SSwithOneFol": {"SubmissionSets": 1, "Folders": 1, "Associations": 1},
    "SSwithOneDocOneFol": {"SubmissionSets": 1, "Documents": 1, "Folders": 1, "Associations": 4},
    "SSwithTwoDocOneFol": {"SubmissionSets": 1, "Documents": 2, "Folders": 1, "Associations": 7},
    "OneDocDep": {"Documents": 1},
    "OneDocApp": {"Documents": 1},
}
_STATUSES = {
    "OneDocDep": ("ExtrinsicObject", DEPRECATED),
    "DocDep": ("ExtrinsicObject", DEPRECATED),
    "OneDocApp": ("ExtrinsicObject", APPROVED),
    "DocApp": ("ExtrinsicObject", APPROVED),
    "FolApp": ("RegistryPackage", APPROVED),
    "SSApproved": ("RegistryPackage", APPROVED),
}
Symbols = Callable[[etree._Element], Mapping[str, str]]


def outcome(step: etree._Element, answer: Answer) -> Iterator[str]:
    """Status and error codes."""
    status = answer.text("//rs:RegistryResponse/@status | //query:AdhocQueryResponse/@status").rpartition(":")[2]
    if answer.all("//soap:Fault"):
        status = f"Fault {answer.text('//soap:Fault/soap:Reason/soap:Text')}"
    codes = sorted({one.get("errorCode", "") for one in answer.all("//*[@errorCode]")})
    expected = (step.findtext("ExpectedStatus") or "").strip()
    if status != expected:
        yield f"{status} {codes}, expected {expected}"
    for code in (*step.iterchildren("ExpectedErrorCode"), *step.iterchildren("ExpectedErrorMessage")):
        if (code.text or "").strip() not in codes:
            yield f"{codes}, expected {(code.text or '').strip()}"


def contents(expected: etree._Element, answer: Answer, symbols: Symbols) -> Iterator[str]:
    """Counts, statuses, and which entries."""
    counted = counts(answer.root)
    for one in expected.iterchildren("*"):
        wanted: Mapping[str, int] | None = _CONTENTS.get(str(one.tag))
        found = counted
        if one.get("count"):
            wanted = {str(one.tag): int(one.get("count", ""))}
            found = {str(one.tag): counted.get(str(one.tag), 0)}
        if wanted is not None and found != wanted:
            yield f"{found}, expected {dict(wanted)}"
        if one.tag in _STATUSES:
            element, status = _STATUSES[str(one.tag)]
            statuses = {entry.get("status") for entry in answer.root.iter(rim(element))}
            if statuses - {status}:
                yield f"{sorted(map(str, statuses))}, expected {one.tag}"
        for group in one.iterchildren("Include", "MustOnlyInclude"):
            ids = {value for entry in group for value in symbols(entry).values()}
            found_ids = {entry.get("id") for entry in answer.root.iter(rim("ExtrinsicObject"))}
            if not ids <= found_ids or (group.tag == "MustOnlyInclude" and ids != found_ids):
                yield f"{len(found_ids)} entries, not those expected"


def looked_at(expected: etree._Element) -> bool:
    """Whether `contents` judges this child of ExpectedContents."""
    groups = list(expected.iterchildren("Include", "MustOnlyInclude"))
    return expected.tag in _CONTENTS or expected.tag in _STATUSES or bool(expected.get("count") or groups)


def assertions(action: etree._Element, log: etree._Element, symbols: Mapping[str, str]) -> Iterator[str]:
    """The ids of assertions that do not hold in the log of the section."""
    for check in action.iter("Assert"):
        text = filled((check.text or "").strip(), symbols)
        if text and not log.getroottree().xpath(f"boolean({text})"):
            yield check.get("id", "an assertion")


def errors_listed(step: etree._Element, check: etree._Element, answer: Answer) -> Iterator[str]:
    """At least one RegistryError."""
    if not answer.all("//rs:RegistryErrorList/rs:RegistryError"):
        yield "no RegistryError"


def same_documents(step: etree._Element, check: etree._Element, answer: Answer) -> Iterator[str]:
    """The instances that the plan's response has: uniqueIds, types, and the bytes of DICOM files."""
    wanted = {
        (one.findtext(f"{{{NAMESPACES['xds']}}}DocumentUniqueId") or "").strip():
            (one.findtext(f"{{{NAMESPACES['xds']}}}mimeType") or "").strip()
        for one in step.iter(f"{{{NAMESPACES['xds']}}}DocumentResponse")
    }  # fmt: skip
    try:
        documents = answer.documents()
    except BadAnswer as error:
        yield str(error)
        return
    found = {document.id: document.type for document in documents}
    if found != wanted:
        yield f"{found}, expected {wanted}"
    for document in documents:
        if document.content[128:132] != b"DICM":
            yield f"{document.id} is no DICOM file"


DETAILS: Mapping[str, Callable[[etree._Element, etree._Element, Answer], Iterator[str]]] = {
    "registryErrorListNotEmpty": errors_listed,
    "sameRetImgs": same_documents,
}
"""checks that plans name: (step, assertion, earlier answer) -> what is wrong"""


def counts(answer: etree._Element) -> dict[str, int]:
    """How many objects of each kind an answer has."""
    found: dict[str, int] = {}

    def count(name: str) -> None:
        found[name] = found.get(name, 0) + 1

    for tag, name in (("ExtrinsicObject", "Documents"), ("Association", "Associations"), ("ObjectRef", "ObjectRefs")):
        for _ in answer.iter(rim(tag)):
            count(name)
    for package in answer.iter(rim("RegistryPackage")):
        for node in package.iter(rim("Classification")):
            if node.get("classificationNode") in _MARKERS:
                count(_MARKERS[node.get("classificationNode", "")])
    return found
