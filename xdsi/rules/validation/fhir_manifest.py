"""The FHIR imaging manifest of MADO: what its Bundle and the resources in it have to hold, and what has to agree.

IHE RAD MADO 1.0.0 (MadoFhirBundle and the profiles of its entries); FHIR R4 (documents, references).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from xdsi.domain.findings import Finding, Level
from xdsi.rules.validation.fhir_elements import Element, Json, each, judge, leading
from xdsi.spec import fhir

_BUNDLE, _COMPOSITION, _STUDY = "MadoFhirBundle", "MadoComposition", "MadoImagingStudy"
_ENDPOINT, _REQUEST, _DEVICE = "MadoWadoEndpoint", "MadoRequestedProcedure", "MadoCreator"
_ACCESSION = "MadoAccessionNumberIdentifier"


def _is_wado(endpoint: Json) -> bool:
    kind = endpoint.get("connectionType")
    return isinstance(kind, dict) and kind.get("code") == "dicom-wado-rs"


def _is_study_uid(identifier: Json) -> bool:
    return identifier.get("system") == fhir.DICOM_UID


ELEMENTS = (
    Element(resource="Bundle", path="identifier", clause=_BUNDLE, most=1),
    Element(resource="Bundle", path="identifier.system", clause=_BUNDLE, among=(fhir.DICOM_UID,), level=Level.WARNING),
    Element(resource="Bundle", path="identifier.value", clause=_BUNDLE, form="uid"),
    Element(resource="Bundle", path="type", clause=_BUNDLE, among=("document",)),
    Element(resource="Bundle", path="timestamp", clause=_BUNDLE, form="instant"),
    Element(resource="Bundle", path="total", clause=_BUNDLE, least=0, most=0),
    Element(resource="Bundle", path="entry.fullUrl", clause="FHIR R4 3.2 (bdl-7)"),
    Element(resource="Bundle", path="entry.resource", clause=_BUNDLE),
    Element(resource="Composition", path="identifier", clause=_COMPOSITION, most=1),
    Element(resource="Composition", path="status", clause="FHIR R4 Composition",
            among=("preliminary", "final", "amended", "entered-in-error")),
    Element(resource="Composition", path="type", clause=_COMPOSITION),
    Element(resource="Composition", path="subject", clause=_COMPOSITION),
    Element(resource="Composition", path="date", clause=_COMPOSITION, form="moment"),
    Element(resource="Composition", path="author", clause=_COMPOSITION, least=2),
    Element(resource="Composition", path="title", clause=_COMPOSITION),
    Element(resource="Composition", path="text", clause=_COMPOSITION),
    Element(resource="Composition", path="text.status", clause=_COMPOSITION,
            among=("generated", "extensions", "additional")),
    Element(resource="Composition", path="text.div", clause="FHIR R4 Narrative"),
    Element(resource="Composition", path="event", clause=_COMPOSITION),
    Element(resource="Composition", path="section.text", clause=_COMPOSITION),
    Element(resource="Composition", path="section.text.status", clause=_COMPOSITION,
            among=("generated", "extensions", "additional")),
    Element(resource="ImagingStudy", path="identifier", clause=_STUDY),
    Element(resource="ImagingStudy", path="identifier.value", clause="MadoStudyInstanceUidIdentifier", form="uid",
            when=_is_study_uid),
    Element(resource="ImagingStudy", path="identifier.type", clause="MadoStudyInstanceUidIdentifier",
            when=_is_study_uid),
    Element(resource="ImagingStudy", path="status", clause="FHIR R4 ImagingStudy",
            among=("registered", "available", "cancelled", "entered-in-error", "unknown")),
    Element(resource="ImagingStudy", path="subject", clause=_STUDY),
    Element(resource="ImagingStudy", path="started", clause=_STUDY, least=0, form="moment"),
    Element(resource="ImagingStudy", path="modality", clause=_STUDY, level=Level.WARNING),
    Element(resource="ImagingStudy", path="numberOfSeries", clause=_STUDY),
    Element(resource="ImagingStudy", path="procedureCode", clause=f"{_STUDY} (mado-reqproc-1)"),
    Element(resource="ImagingStudy", path="series", clause=_STUDY),
    Element(resource="ImagingStudy", path="series.uid", clause=_STUDY, form="uid"),
    Element(resource="ImagingStudy", path="series.modality", clause="FHIR R4 ImagingStudy"),
    Element(resource="ImagingStudy", path="series.started", clause=_STUDY, least=0, form="moment"),
    Element(resource="ImagingStudy", path="series.numberOfInstances", clause=_STUDY, form="count"),
    Element(resource="ImagingStudy", path="series.endpoint", clause=_STUDY),
    Element(resource="ImagingStudy", path="series.instance", clause=_STUDY),
    Element(resource="ImagingStudy", path="series.instance.uid", clause=_STUDY, form="uid"),
    Element(resource="ImagingStudy", path="series.instance.sopClass", clause="FHIR R4 ImagingStudy"),
    Element(resource="ImagingStudy", path="series.instance.sopClass.code", clause="FHIR R4 ImagingStudy",
            form="urn-uid"),
    Element(resource="Endpoint", path="status", clause="FHIR R4 Endpoint"),
    Element(resource="Endpoint", path="address", clause=_ENDPOINT, form="url"),
    Element(resource="Endpoint", path="payloadType", clause="FHIR R4 Endpoint"),
    Element(resource="Endpoint", path="payloadMimeType", clause=_ENDPOINT, least=4, when=_is_wado),
    Element(resource="ServiceRequest", path="identifier", clause=_REQUEST),
    Element(resource="ServiceRequest", path="status", clause=_REQUEST),
    Element(resource="ServiceRequest", path="intent", clause=_REQUEST),
    Element(resource="ServiceRequest", path="subject", clause="FHIR R4 ServiceRequest"),
    Element(resource="ServiceRequest", path="identifier.value", clause=_REQUEST),
    Element(resource="Device", path="type", clause=_DEVICE),
    Element(resource="Device", path="manufacturer", clause=_DEVICE, level=Level.WARNING),
    Element(resource="Organization", path="name", clause="MadoCreatorOrganization"),
    Element(resource="Patient", path="identifier", clause="MadoPatient", level=Level.WARNING),
)  # fmt: skip

# How many entries of each resource a Bundle has
ENTRIES = {
    "Composition": (1, 1),
    "ImagingStudy": (1, 1),
    "Patient": (0, 1),
    "Endpoint": (1, None),
    "Device": (1, 1),
    "Organization": (0, None),
}


def check(bundle: Json) -> Iterator[Finding]:
    """Everything in which a Bundle is not a manifest."""
    yield from judge("FHIR", ELEMENTS, bundle, "Bundle")
    resources = [
        (f"{place}.resource", entry.get("fullUrl", ""), entry["resource"])
        for place, entry in each(bundle.get("entry"), "Bundle.entry")
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    ]
    for place, _, resource in resources:
        yield from judge("FHIR", ELEMENTS, resource, place)
        if resource.get("resourceType") == "ImagingStudy":
            yield from _study(resource, place)
        elif resource.get("resourceType") == "Endpoint" and _is_wado(resource):
            yield from _location(resource, place)
        elif resource.get("resourceType") == "ServiceRequest":
            yield from _accession(resource, place)
        elif resource.get("resourceType") == "Composition" and bundle.get("identifier"):
            yield from _same_identifier(bundle, resource, place)
    yield from _entries([resource for _, _, resource in resources])
    yield from _references(resources)


def _finding(rule: str, place: str, text: str, expected: str, clause: str, level: Level = Level.ERROR) -> Finding:
    return Finding(rule=f"FHIR.{rule}", level=level, place=place, text=text, expected=expected, clause=clause)


def _entries(resources: list[Json]) -> Iterator[Finding]:
    kinds = [str(one.get("resourceType", "")) for one in resources]
    if kinds and kinds[0] != "Composition":
        text = f"the first entry is {kinds[0] or 'nothing'}"
        yield _finding("entry.first", "Bundle.entry[0]", text, "the Composition", "FHIR R4 3.3.1")
    for kind, (least, most) in ENTRIES.items():
        found = kinds.count(kind)
        if found < least or (most is not None and found > most):
            expected = f"{least}" if least == most else f"{least} or more" if most is None else f"{most} at most"
            yield _finding(f"entry.{kind}", "Bundle.entry", f"there are {found} {kind} resources", expected, _BUNDLE)


def _study(study: Json, place: str) -> Iterator[Finding]:
    identifiers = [one for _, one in leading(study, ["identifier"], place) if _is_study_uid(one)]
    if study.get("identifier") and len(identifiers) != 1:
        text = f"there are {len(identifiers)} Study Instance UIDs"
        yield _finding("study.uid", f"{place}.identifier", text, f"one identifier of system {fhir.DICOM_UID}", _STUDY)
    procedures = [one for _, one in leading(study, ["procedureCode"], place)]
    shown = [one.get("text") or any(c.get("display") for _, c in leading(one, ["coding"], "")) for one in procedures]
    if procedures and not any(shown):
        expected = "a text or a display"
        clause = f"{_STUDY} (mado-reqproc-1)"
        yield _finding("study.procedure", f"{place}.procedureCode", "nothing can be shown", expected, clause)
    series = list(leading(study, ["series"], place))
    if isinstance(study.get("numberOfSeries"), int) and study["numberOfSeries"] != len(series):
        text = f"is {study['numberOfSeries']}, and there are {len(series)} series"
        yield _finding("study.count", f"{place}.numberOfSeries", text, str(len(series)), _STUDY)
    yield from _repeated("series.duplicate", [(f"{where}.uid", one.get("uid")) for where, one in series])
    instances = []
    for where, one in series:
        own = list(leading(one, ["instance"], where))
        instances += [(f"{there}.uid", instance.get("uid")) for there, instance in own]
        if isinstance(one.get("numberOfInstances"), int) and own and one["numberOfInstances"] != len(own):
            text = f"is {one['numberOfInstances']}, and there are {len(own)} instances"
            yield _finding("series.count", f"{where}.numberOfInstances", text, str(len(own)), _STUDY)
    yield from _repeated("instance.duplicate", instances)


def _repeated(rule: str, uids: list[tuple[str, Any]]) -> Iterator[Finding]:
    times = Counter(str(uid) for _, uid in uids)
    seen: set[str] = set()
    for place, uid in uids:
        if uid and times[str(uid)] > 1 and str(uid) in seen:
            yield _finding(rule, place, f"{uid} is listed more than once", "once", _STUDY)
        seen.add(str(uid))


def _location(endpoint: Json, place: str) -> Iterator[Finding]:
    extensions = [one for _, one in leading(endpoint, ["extension"], place)]
    found = [one.get("valueString") for one in extensions if one.get("url") == fhir.RETRIEVE_LOCATION_UID]
    if len(found) != 1 or not found[0]:
        text = f"there are {len(found)} Retrieve Location UIDs"
        yield _finding("endpoint.location", f"{place}.extension", text, "one, with valueString", _ENDPOINT)
    absent = [one for _, one in leading(endpoint, ["_address", "extension"], place)]
    if endpoint.get("address") == fhir.NOT_SPECIFIED and fhir.DATA_ABSENT_REASON not in {
        one.get("url") for one in absent
    }:
        text = "the address is no address, and nothing says so"
        yield _finding("endpoint.absent", f"{place}.address", text, f"extension {fhir.DATA_ABSENT_REASON}", _ENDPOINT)


def _accession(request: Json, place: str) -> Iterator[Finding]:
    accessions = []
    for where, one in leading(request, ["identifier"], place):
        codes = {coding.get("code") for _, coding in leading(one, ["type", "coding"], where)}
        if "ACSN" in codes:
            accessions.append((where, one, codes))
    if request.get("identifier") and len(accessions) != 1:
        text = f"there are {len(accessions)} accession numbers"
        yield _finding("request.accession", f"{place}.identifier", text, "one identifier of type ACSN", _REQUEST)
    for where, one, codes in accessions:
        if "121022" not in codes:
            yield _finding("accession.type", f"{where}.type", "the type lacks (121022, DCM)", "both codes", _ACCESSION)
        if not one.get("system"):
            yield _finding("accession.system", f"{where}.system", "is missing", "the issuer", _ACCESSION)


def _same_identifier(bundle: Json, composition: Json, place: str) -> Iterator[Finding]:
    own, other = composition.get("identifier"), bundle["identifier"]
    if isinstance(own, dict) and isinstance(other, dict) and own.get("value") != other.get("value"):
        text = f"is {own.get('value')}, that of the Bundle {other.get('value')}"
        yield _finding("composition.identifier", f"{place}.identifier", text, "the same", _COMPOSITION)


def _references(resources: list[tuple[str, Any, Json]]) -> Iterator[Finding]:
    """Every reference of a document is resolved within it."""
    known = {url for _, url, _ in resources if url}
    known |= {f"{one.get('resourceType')}/{one.get('id')}" for _, _, one in resources if one.get("id")}
    for place, _, resource in resources:
        for where, value in _walk(resource, place):
            if value not in known:
                clause = "FHIR R4 3.3.1"
                yield _finding("reference", where, f"{value[:80]} leads to no entry", "the fullUrl of an entry", clause)


def _walk(part: Any, place: str) -> Iterator[tuple[str, str]]:
    waiting = [(place, part)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("reference"), str):
                yield f"{where}.reference", value["reference"]
            waiting += [(f"{where}.{name}", one) for name, one in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{where}[{number}]", one) for number, one in enumerate(value)]
