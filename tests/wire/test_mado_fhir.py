"""The FHIR manifest: what the Bundle says, that nothing in it leads nowhere, and that it reads as it was written."""

import json
from typing import Any
from xml.dom.minidom import parseString

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.imaging import fhir_manifest, large_study, mixed_study, pydicom_studies, study
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.imaging import Accession, Reference, Study
from xdsi.spec import fhir
from xdsi.wire import mado_fhir_reader as reader

STUDIES = {"one series": study(), "mixed": mixed_study(), **{of.study_instance_uid: of for of in pydicom_studies()}}


def read(of: Study, **changes: Any) -> dict[str, Any]:
    parsed = json.loads(fhir_manifest(of, **changes))
    assert isinstance(parsed, dict)
    return parsed


def resource(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == kind]
    assert isinstance(found, dict)
    return found


def test_the_bundle_is_a_document_that_begins_with_its_composition() -> None:
    bundle = read(study())
    assert (bundle["type"], bundle["identifier"]) == ("document", {"system": "urn:dicom:uid", "value": "2.25.101"})
    assert bundle["timestamp"] == "2026-03-04T06:06:07+01:00"
    assert [one["resource"]["resourceType"] for one in bundle["entry"]] == [
        "Composition", "ImagingStudy", "Patient", "Endpoint", "Device", "Organization", "ServiceRequest",
    ]  # fmt: skip
    composition = resource(bundle, "Composition")
    assert composition["identifier"] == bundle["identifier"]
    assert composition["type"]["coding"][0]["code"] == "18748-4"
    assert composition["title"] == "Thorax nativ"
    assert len(composition["section"]) == 1
    for narrative in (composition["text"], *(one["text"] for one in composition["section"])):
        assert narrative["status"] == "generated"
        assert parseString(narrative["div"]).documentElement.getAttribute("xmlns") == fhir.XHTML


@pytest.mark.parametrize("of", STUDIES.values(), ids=STUDIES)
def test_every_reference_leads_to_an_entry(of: Study) -> None:
    bundle = read(of)
    urls = [one["fullUrl"] for one in bundle["entry"]]
    assert len(set(urls)) == len(urls)

    def references(part: Any) -> Any:
        if isinstance(part, dict):
            if isinstance(part.get("reference"), str):
                yield part["reference"]
            for value in part.values():
                yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    assert set(references(bundle)) <= set(urls)
    assert len(set(references(bundle))) >= 5


def test_the_study_with_its_series_and_instances() -> None:
    found = resource(read(mixed_study()), "ImagingStudy")
    assert found["identifier"][0] == {
        "type": {"coding": [{"system": fhir.DCM, "code": "110180", "display": "Study Instance UID"}]},
        "system": "urn:dicom:uid",
        "value": "1.2.3",
    }
    assert (found["started"], found["description"]) == ("2026-03-01T10:11:12+01:00", "Thorax nativ")
    assert (found["numberOfSeries"], found["numberOfInstances"], len(found["series"])) == (8, 11, 8)
    assert [one["valueCodeableConcept"]["coding"][0]["code"] for one in found["extension"]] == ["774007", "63337009"]
    assert found["procedureCode"][0]["coding"][0] == {"system": fhir.LOINC, "code": "24627-2", "display": "CT Chest"}
    assert "basedOn" not in found, "two orders"
    ct, us, ecg, sr, ko, _, _, other = found["series"]
    assert ct["bodySite"] == {"system": fhir.SNOMED_CT, "code": "69536005", "display": "Head"}
    assert ct["instance"][1] == {
        "uid": "1.2.3.1.2",
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"},
        "number": 2,
    }
    assert us["started"] == "2026-03-01T10:15:00+01:00"
    assert us["instance"][0]["extension"] == [{"url": fhir.NUMBER_OF_FRAMES, "valueInteger": 120}]
    assert ecg["bodySite"] == {"display": "SOMEWHERE"}
    assert sr["description"] == "Report & more"
    assert ko["instance"][0]["title"] == "Größe des Befunds"
    assert ko["instance"][0]["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "113000"
    assert (other["modality"]["code"], "number" in other) == ("OT", False)


def test_orders_patient_and_creator() -> None:
    bundle = read(mixed_study())
    requests = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "ServiceRequest"]
    assert [[one["value"] for one in each["identifier"]] for each in requests] == [["A77", "P1", "F1"], ["A78", "P2"]]
    assert [each["identifier"][0]["system"] for each in requests] == ["urn:oid:1.2.40.2", "urn:oid:1.2.40.10"]
    assert requests[1]["code"] == {"text": "Sonography"}
    patient = resource(bundle, "Patient")
    assert patient["identifier"] == [{"system": "urn:oid:1.2.40.1", "value": "L1"}]
    assert patient["name"] == [{"family": "Doe", "given": ["Jané", "M"], "prefix": ["Dr"], "suffix": ["Jr"]}]
    assert (patient["gender"], patient["birthDate"]) == ("female", "1970-01-02")
    assert resource(bundle, "Organization")["identifier"][0]["value"] == "urn:oid:2.999.1.9"
    assert resource(bundle, "Device")["type"]["coding"][0]["code"] == "mado-creator"
    single = resource(read(study()), "ImagingStudy")
    assert single["basedOn"][0]["identifier"]["value"] == "A77"
    unordered = resource(read(study(accessions=())), "ServiceRequest")
    assert unordered["identifier"][0]["system"] == "urn:oid:2.999.1.4"


def test_without_procedure_codes_words_are_shown() -> None:
    request = (Accession(number="A1", requested_procedure_description="Look at it"),)
    wordless = study(procedure_codes=(), description="", accessions=request)
    assert resource(read(wordless), "ImagingStudy")["procedureCode"] == [{"text": "Look at it"}]


def test_an_address_that_is_not_known_is_said_to_be_none() -> None:
    known = resource(read(study()), "Endpoint")
    assert (known["address"], "_address" in known) == ("https://pacs.example/dicom-web", False)
    unknown = resource(read(study(), retrieve_url=""), "Endpoint")
    assert unknown["address"] == "http://notspecified"
    assert unknown["_address"]["extension"][0]["valueCode"] == "unknown"
    (one,) = reader.decode(fhir_manifest(retrieve_url="")).series
    assert (one.retrieve_location_uid, one.retrieve_url) == ("1.2.40.3", "")


@pytest.mark.parametrize("of", [*STUDIES.values(), large_study(2000)], ids=[*STUDIES, "large"])
def test_what_is_written_is_what_is_read(of: Study) -> None:
    decoded = reader.decode(fhir_manifest(of))
    assert (decoded.sop_instance_uid, decoded.study_instance_uid) == ("2.25.101", of.study_instance_uid)
    assert [(one.series_instance_uid, list(one.instances)) for one in decoded.series] == [
        (one.series_instance_uid, [Reference(i.sop_class_uid, i.sop_instance_uid) for i in one.instances])
        for one in of.series
    ]
    assert {one.retrieve_url for one in decoded.series} == {"https://pacs.example/dicom-web"}
    assert decoded.patient.id == of.patient.id


def test_an_endpoint_is_found_by_a_relative_reference_too() -> None:
    bundle = read(study())
    resource(bundle, "Endpoint")["id"] = "wado"
    resource(bundle, "ImagingStudy")["series"][0]["endpoint"][0]["reference"] = "Endpoint/wado"
    (one,) = reader.decode(json.dumps(bundle).encode()).series
    assert one.retrieve_location_uid == "1.2.40.3"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"{}", b'{"resourceType":"Bundle"}', b"[" * 100_000])
def test_what_is_no_manifest_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        reader.decode(raw)


NAMES = st.sampled_from(["resourceType", "type", "entry", "resource", "identifier", "value", "series", "uid"])
PLAIN = st.none() | st.booleans() | st.integers() | st.text()
JSON = st.recursive(PLAIN, lambda part: st.lists(part) | st.dictionaries(NAMES, part))


@given(JSON)
def test_any_json_is_read_or_refused(part: Any) -> None:
    study_like = {"resourceType": "ImagingStudy", "identifier": part, "series": part}
    raw = json.dumps({"resourceType": "Bundle", "type": "document", "entry": [{"resource": study_like}]}).encode()
    with pytest.raises(MalformedMessage):
        reader.decode(raw)
