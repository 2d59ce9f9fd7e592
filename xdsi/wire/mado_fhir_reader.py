"""Reads a FHIR imaging manifest as what it is for a consumer: the instances of a study and where they can be had.

IHE RAD MADO 1.0.0 (MadoFhirBundle, MadoImagingStudy, MadoWadoEndpoint).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.imaging import ImagedPatient, Manifest, Reference, ReferencedSeries, ReferencedStudy
from xdsi.spec import fhir
from xdsi.wire.dicom_text import is_uid

Json: TypeAlias = dict[str, Any]

MAX_BYTES = 64 * 1024 * 1024
MAX_INSTANCES = 50_000


def bundle(raw: bytes) -> Json:
    """The JSON object; raises MalformedMessage for what is none, or too large."""
    if len(raw) > MAX_BYTES:
        raise MalformedMessage("the manifest is too large", expected=f"at most {MAX_BYTES} bytes")
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"not JSON: {error}", expected="a Bundle") from error
    if not isinstance(parsed, dict):
        raise MalformedMessage("not a JSON object", expected="a Bundle")
    return parsed


def decode(raw: bytes) -> Manifest:
    """What the manifest lists; raises MalformedMessage for another resource or a missing UID."""
    document = bundle(raw)
    if document.get("resourceType") != "Bundle" or document.get("type") != "document":
        raise MalformedMessage("not a document Bundle", location="Bundle.type", expected="document")
    resources = dict(_resources(document))
    studies = [one for one in resources.values() if one.get("resourceType") == "ImagingStudy"]
    if len(studies) != 1:
        raise MalformedMessage(f"the Bundle has {len(studies)} ImagingStudy resources", expected="one")
    study = studies[0]
    identifiers = [one for one in _objects(study, "identifier") if one.get("system") == fhir.DICOM_UID]
    uid = _uid(_text(identifiers[0], "value") if identifiers else "", "ImagingStudy.identifier")
    patients = [one for one in resources.values() if one.get("resourceType") == "Patient"]
    return Manifest(
        sop_instance_uid=_uid(_text(_object(document, "identifier"), "value"), "Bundle.identifier"),
        series_instance_uid="",
        study_instance_uid=uid,
        sop_class_uid="",
        patient=_patient(patients[0]) if patients else ImagedPatient(),
        study_description=_text(study, "description"),
        studies=(ReferencedStudy(study_instance_uid=uid, series=tuple(_series(study, resources))),),
    )


def _resources(document: Json) -> Iterator[tuple[str, Json]]:
    """Every resource of the Bundle by what it is referred to."""
    for number, entry in enumerate(_objects(document, "entry")):
        resource = entry.get("resource")
        if isinstance(resource, dict):
            yield _text(entry, "fullUrl") or f"#{number}", resource


def _series(study: Json, resources: Mapping[str, Json]) -> Iterator[ReferencedSeries]:
    left = MAX_INSTANCES
    for series in _objects(study, "series"):
        instances = _objects(series, "instance")
        left -= len(instances)
        if left < 0:
            raise MalformedMessage("the manifest names too many instances", expected=f"at most {MAX_INSTANCES}")
        endpoint = next(_endpoints(series, resources), {})
        address = _text(endpoint, "address")
        yield ReferencedSeries(
            series_instance_uid=_uid(_text(series, "uid"), "ImagingStudy.series.uid"),
            instances=tuple(
                Reference(
                    _text(_object(one, "sopClass"), "code").removeprefix("urn:oid:"),
                    _uid(_text(one, "uid"), "ImagingStudy.series.instance.uid"),
                )
                for one in instances
            ),
            retrieve_location_uid=_location(endpoint),
            retrieve_url="" if address == fhir.NOT_SPECIFIED else address,
        )


def _endpoints(series: Json, resources: Mapping[str, Json]) -> Iterator[Json]:
    """The WADO-RS endpoints of a series, by full or by relative reference."""
    for one in _objects(series, "endpoint"):
        reference = _text(one, "reference")
        for url, resource in resources.items():
            named = f"{resource.get('resourceType')}/{resource.get('id')}"
            wado = _text(_object(resource, "connectionType"), "code") == "dicom-wado-rs"
            if resource.get("resourceType") == "Endpoint" and wado and reference in (url, named):
                yield resource


def _location(endpoint: Json) -> str:
    for one in _objects(endpoint, "extension"):
        if _text(one, "url") == fhir.RETRIEVE_LOCATION_UID:
            return _text(one, "valueString")
    return ""


def _patient(resource: Json) -> ImagedPatient:
    identifier = next(iter(_objects(resource, "identifier")), {})
    return ImagedPatient(id=_text(identifier, "value"), issuer=_text(identifier, "system").removeprefix("urn:oid:"))


def _object(of: Json, name: str) -> Json:
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def _objects(of: Json, name: str) -> list[Json]:
    value = of.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(of: Json, name: str) -> str:
    value = of.get(name)
    return value if isinstance(value, str) else ""


def _uid(text: str, location: str) -> str:
    if not is_uid(text):
        raise MalformedMessage(f"{text!r} is no UID" if text else "the UID is missing", location=location)
    return text
