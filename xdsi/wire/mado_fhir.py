"""The FHIR imaging manifest: a document Bundle that says of a study what the MADO Key Object Selection says.

IHE RAD MADO 1.0.0 (MadoFhirBundle and the profiles of its entries), FHIR R4 (Bundle, document).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from html import escape
from typing import Any, TypeAlias

from xdsi.domain.codes import Code
from xdsi.domain.dicom_time import plain_date, plain_time, zone
from xdsi.domain.imaging import Accession, Description, ImagedPatient, Instance, Series, Study
from xdsi.spec import dicom, fhir, imaging_codes
from xdsi.wire.mado import modality

Json: TypeAlias = dict[str, Any]

_GENDERS = {"F": "female", "M": "male", "O": "other"}
_TYPE = Code(imaging_codes.TYPE_CODE[0], "LN", imaging_codes.TYPE_CODE[2])


def encode(
    study: Study,
    description: Description,
    *,
    identifier: str,
    retrieve_location_uid: str,
    now: datetime,
    retrieve_url: str = "",
    organization_id: str = "",
) -> bytes:
    """The Bundle as JSON; `identifier` is the SOP Instance UID of the Key Object Selection that says the same.

    The study has to be one that MADO's requirements were completed of. Raises ValueError for a study without
    instances.
    """
    series = [one for one in study.series if one.instances]
    if not series:
        raise ValueError(f"study {study.study_instance_uid} has no instance to refer to")
    if now.tzinfo is None:
        raise ValueError("the time of a manifest has to be aware of its zone")
    created = now.astimezone(zone(study.timezone_offset)).isoformat(timespec="seconds")

    def url(name: str) -> str:
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{identifier}/{name}").urn

    name = study.institution.partition("^")[0]
    requests = [url(f"request/{number}") for number in range(len(study.accessions))]
    entries = {
        url("composition"): _composition(study, series, description, url, identifier, created),
        url("study"): _imaging_study(study, series, description, url),
        url("patient"): _patient(study.patient),
        url("wado"): _endpoint(retrieve_location_uid, retrieve_url),
        url("device"): {
            "resourceType": "Device",
            "meta": {"profile": [fhir.CREATOR]},
            "type": {"coding": [{"system": fhir.DEVICE_TYPES, "code": "mado-creator", "display": "MADO Creator"}]},
            "manufacturer": "xdsi",
            "owner": {"reference": url("organization")},
        },
        url("organization"): {
            "resourceType": "Organization",
            "meta": {"profile": [fhir.CREATOR_ORGANIZATION]},
            **({"identifier": [_oid_identifier(organization_id)]} if organization_id else {}),
            "name": name,
        },
        **{place: _request(study, accession, url) for place, accession in zip(requests, study.accessions, strict=True)},
    }
    bundle = {
        "resourceType": "Bundle",
        "meta": {"profile": [fhir.BUNDLE]},
        "identifier": {"system": fhir.DICOM_UID, "value": identifier},
        "type": "document",
        "timestamp": created,
        "entry": [{"fullUrl": place, "resource": resource} for place, resource in entries.items()],
    }
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode()


def _composition(
    study: Study, series: list[Series], description: Description, url: Any, identifier: str, created: str
) -> Json:
    title = study.description or next((one.display for one in study.procedure_codes if one.display), _TYPE.display)
    rows = {
        "Study Instance UID": study.study_instance_uid,
        "Patient": f"{_spoken(study.patient.name)} ({study.patient.id})",
        "Study": f"{title}, {_moment(study.date, study.time, study.timezone_offset)}",
        "Modalities": ", ".join(sorted({modality(one.modality)[0] for one in series})),
        "Regions": ", ".join(one.display for one in description.regions),
        "Accession numbers": ", ".join(one.number for one in study.accessions),
        "Series": str(len(series)),
        "Instances": str(sum(len(one.instances) for one in series)),
        "Created": created,
    }
    return {
        "resourceType": "Composition",
        "meta": {"profile": [fhir.COMPOSITION]},
        "text": _narrative(rows),
        "identifier": {"system": fhir.DICOM_UID, "value": identifier},
        "status": "final",
        "type": _concept(_TYPE),
        "category": [{**_concept(_TYPE), "text": "Medical-Imaging"}],
        "subject": {"reference": url("patient")},
        "date": created,
        "author": [{"reference": url("device")}, {"reference": url("organization")}],
        "title": title,
        "custodian": {"reference": url("organization")},
        "event": [{"detail": [{"reference": url("study")}]}],
        "section": [
            {
                "title": one.description or one.series_instance_uid,
                "text": _narrative(
                    {
                        "Series Instance UID": one.series_instance_uid,
                        "Modality": modality(one.modality)[0],
                        "Instances": str(len(one.instances)),
                    }
                ),
            }
            for one in series
        ],
    }


def _imaging_study(study: Study, series: list[Series], description: Description, url: Any) -> Json:
    codes = [_concept(one) for one in study.procedure_codes]
    words = study.description or next(
        (one.requested_procedure_description for one in study.accessions if one.requested_procedure_description),
        _TYPE.display,
    )
    resource: Json = {
        "resourceType": "ImagingStudy",
        "meta": {"profile": [fhir.IMAGING_STUDY]},
        "extension": [
            {"url": fhir.ANATOMICAL_REGION, "valueCodeableConcept": _concept(one)} for one in description.regions
        ],
        "identifier": [
            {
                "type": _concept(Code("110180", "DCM", "Study Instance UID")),
                "system": fhir.DICOM_UID,
                "value": study.study_instance_uid,
            }
        ],
        "status": "available",
        "modality": [_coding(Code(*value)) for value in sorted({modality(one.modality) for one in series})],
        "subject": {"reference": url("patient")},
        "started": _moment(study.date, study.time, study.timezone_offset),
    }
    if len(study.accessions) == 1:
        resource["basedOn"] = [{"type": "ServiceRequest", "identifier": _accession(study.accessions[0])}]
    resource["numberOfSeries"] = len(series)
    resource["numberOfInstances"] = sum(len(one.instances) for one in series)
    resource["procedureCode"] = codes or [{"text": words}]
    if study.description:
        resource["description"] = study.description
    resource["series"] = [_series(one, study, description, url("wado")) for one in series]
    return resource


def _series(series: Series, study: Study, description: Description, endpoint: str) -> Json:
    resource: Json = {"uid": series.series_instance_uid}
    if series.number is not None and series.number >= 0:
        resource["number"] = series.number
    resource["modality"] = _coding(Code(*modality(series.modality)))
    if series.description:
        resource["description"] = series.description
    resource["numberOfInstances"] = len(series.instances)
    resource["endpoint"] = [{"reference": endpoint}]
    region = description.series_regions.get(series.series_instance_uid)
    if region:
        resource["bodySite"] = {"display": region} if isinstance(region, str) else _coding(region)
    if started := _moment(series.date, series.time, study.timezone_offset):
        resource["started"] = started
    resource["instance"] = [_instance(one) for one in series.instances]
    return resource


def _instance(instance: Instance) -> Json:
    resource: Json = {}
    extensions: list[Json] = []
    if instance.number_of_frames > 1:
        extensions.append({"url": fhir.NUMBER_OF_FRAMES, "valueInteger": instance.number_of_frames})
    key_object = instance.sop_class_uid == dicom.KEY_OBJECT_SELECTION
    if key_object and instance.title is not None:
        extensions.append({"url": fhir.DOCUMENT_TITLE, "valueCodeableConcept": _concept(instance.title)})
    if extensions:
        resource["extension"] = extensions
    resource["uid"] = instance.sop_instance_uid
    resource["sopClass"] = {"system": fhir.URI, "code": f"urn:oid:{instance.sop_class_uid}"}
    if instance.instance_number is not None and instance.instance_number >= 0:
        resource["number"] = instance.instance_number
    if key_object and instance.description:
        resource["title"] = instance.description
    return resource


def _patient(patient: ImagedPatient) -> Json:
    resource: Json = {
        "resourceType": "Patient",
        "meta": {"profile": [fhir.PATIENT]},
        "identifier": [{"system": f"urn:oid:{patient.issuer}", "value": patient.id}],
    }
    family, given, middle, prefix, suffix = (*patient.name.partition("=")[0].split("^"), "", "", "", "", "")[:5]
    parts = {
        "family": family.strip(),
        "given": [part for part in (given.strip(), middle.strip()) if part],
        "prefix": [prefix.strip()] if prefix.strip() else [],
        "suffix": [suffix.strip()] if suffix.strip() else [],
    }
    if name := {key: value for key, value in parts.items() if value}:
        resource["name"] = [name]
    if patient.sex in _GENDERS:
        resource["gender"] = _GENDERS[patient.sex]
    if day := plain_date(patient.birth_date):
        resource["birthDate"] = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    return resource


def _endpoint(location_uid: str, address: str) -> Json:
    absent = {"extension": [{"url": fhir.DATA_ABSENT_REASON, "valueCode": "unknown"}]}
    return {
        "resourceType": "Endpoint",
        "meta": {"profile": [fhir.WADO_ENDPOINT]},
        "extension": [{"url": fhir.RETRIEVE_LOCATION_UID, "valueString": location_uid}],
        "status": "active",
        "connectionType": {"system": fhir.CONNECTION_TYPES, "code": "dicom-wado-rs", "display": "DICOM WADO-RS"},
        "payloadType": [{"coding": [{"system": fhir.PAYLOAD_TYPES, "code": "none"}], "text": "DICOM WADO-RS"}],
        "payloadMimeType": list(fhir.WADO_MIME_TYPES),
        "address": address or fhir.NOT_SPECIFIED,
        **({} if address else {"_address": absent}),
    }


def _request(study: Study, accession: Accession, url: Any) -> Json:
    numbers = {"PLAC": accession.placer_order_number, "FILL": accession.filler_order_number}
    resource: Json = {
        "resourceType": "ServiceRequest",
        "meta": {"profile": [fhir.REQUESTED_PROCEDURE]},
        "identifier": [
            _accession(accession),
            *(
                {"type": {"coding": [{"system": fhir.IDENTIFIER_TYPES, "code": kind}]}, "value": number}
                for kind, number in numbers.items()
                if number
            ),
        ],
        "status": "completed",
        "intent": "order",
        "subject": {"reference": url("patient")},
    }
    if accession.requested_procedure_description:
        resource["code"] = {"text": accession.requested_procedure_description}
    elif study.procedure_codes:
        resource["code"] = _concept(study.procedure_codes[0])
    return resource


def _accession(accession: Accession) -> Json:
    return {
        "type": {
            "coding": [
                {"system": fhir.IDENTIFIER_TYPES, "code": "ACSN", "display": "Accession ID"},
                _coding(Code("121022", "DCM", "Accession Number")),
            ]
        },
        "system": f"urn:oid:{accession.issuer}",
        "value": accession.number,
    }


def _oid_identifier(oid: str) -> Json:
    return {"system": fhir.URI, "value": oid if oid.startswith("urn:") else f"urn:oid:{oid}"}


def _coding(code: Code) -> Json:
    oid = dicom.CODING_SCHEMES.get(code.scheme)
    system = fhir.SYSTEMS.get(code.scheme) or (f"urn:oid:{oid}" if oid else "")
    return {**({"system": system} if system else {}), "code": code.code, "display": code.display or code.code}


def _concept(code: Code) -> Json:
    return {"coding": [_coding(code)]}


def _narrative(rows: dict[str, str]) -> Json:
    cells = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in _filled(rows))
    return {"status": "generated", "div": f'<div xmlns="{fhir.XHTML}"><table><tbody>{cells}</tbody></table></div>'}


def _filled(rows: dict[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in rows.items() if value)


def _spoken(name: str) -> str:
    return " ".join(part for part in name.partition("=")[0].split("^") if part.strip())


def _moment(date: str, time: str, offset: str) -> str:
    """A FHIR dateTime: with seconds and an offset, or the date alone."""
    day = plain_date(date)
    if not day:
        return ""
    text = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    digits = plain_time(time).partition(".")[0]
    if len(digits) < 4 or zone(offset) is None:
        return text
    return f"{text}T{digits[:2]}:{digits[2:4]}:{digits[4:6] or '00'}{offset[:3]}:{offset[3:]}"
