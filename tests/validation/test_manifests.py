"""What the validators say of manifests: nothing of right ones, and of each fault that fault alone."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from tests.imaging import (
    FILES,
    PROFILE,
    fhir_manifest,
    large_study,
    mado_manifest,
    manifest,
    mixed_study,
    part10,
    pydicom_studies,
    study,
)
from tests.oracles import corpus
from xdsi.domain.findings import Finding, Level
from xdsi.domain.imaging import Accession, Study
from xdsi.spec import dicom
from xdsi.validation import validate

KOS, MADO, FHIR = "manifest (Key Object Selection)", "MADO manifest (Key Object Selection)", "MADO manifest (FHIR)"
STUDIES = {
    "one series": study(),
    "mixed": mixed_study(),
    "large": large_study(1000),
    "several orders": study(accessions=(Accession(number="A1", issuer="1.2.3"), Accession(number="A2"))),
    "no order": study(accessions=()),
    # What names no patient is never published.
    **{of.study_instance_uid: of for of in pydicom_studies() if of.patient.id},
}
MAKERS: dict[str, Callable[[Study], bytes]] = {
    KOS: manifest,
    MADO: mado_manifest,
    FHIR: fhir_manifest,
    "trial": partial(mado_manifest, profile=replace(PROFILE, mado_codes="trial")),
}


@pytest.mark.parametrize("made", MAKERS)
@pytest.mark.parametrize("of", STUDIES.values(), ids=STUDIES)
def test_of_a_right_manifest_there_is_nothing_to_say(of: Study, made: str) -> None:
    report = validate(MAKERS[made](of))
    assert (report.kind, report.findings, report.valid) == (MADO if made == "trial" else made, (), True)


# -- one fault each

Change = Callable[[Any], None]


def changed(raw: bytes, change: Change) -> bytes:
    """A file with something changed in its data set."""
    dataset = pydicom.dcmread(io.BytesIO(raw))
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The faults are meant.
        warnings.simplefilter("ignore", UserWarning)
        change(dataset)
        pydicom.dcmwrite(file, dataset)
    return file.getvalue()


def without(*path: str) -> Change:
    """Takes an attribute away, in the first item of each sequence on the way."""

    def change(dataset: Dataset) -> None:
        delattr(_at(dataset, path[:-1]), path[-1])

    return change


def having(*path: str, value: Any) -> Change:
    """Gives an attribute another value."""

    def change(dataset: Dataset) -> None:
        setattr(_at(dataset, path[:-1]), path[-1], value)

    return change


def _at(dataset: Dataset, path: tuple[str, ...]) -> Dataset:
    for keyword in path:
        dataset = getattr(dataset, keyword)[0]
    return dataset


def code(value: str, scheme: str = "DCM", meaning: str = "x") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


EVIDENCE = "CurrentRequestedProcedureEvidenceSequence"
SERIES = (EVIDENCE, "ReferencedSeriesSequence")
INSTANCE = (*SERIES, "ReferencedSOPSequence")
REQUEST = "ReferencedRequestSequence"
TITLE = "ConceptNameCodeSequence"
E1, S1 = "(0040,A375)[1]", "(0040,A375)[1].(0008,1115)[1]"
I1 = f"{S1}.(0008,1199)[1]"


def doubled(*path: str) -> Change:
    """Repeats the first item of a sequence."""

    def change(dataset: Dataset) -> None:
        items = getattr(_at(dataset, path[:-1]), path[-1])
        items.append(items[0])

    return change


def described(relation: str = "CONTAINS", kind: str = "TEXT", concept: str = "113012") -> Change:
    """Adds an item to the content."""

    def change(dataset: Dataset) -> None:
        item = Dataset()
        item.RelationshipType, item.ValueType, item.TextValue = relation, kind, "x"
        item.ConceptNameCodeSequence = code(concept)
        dataset.ContentSequence.append(item)

    return change


def of_other_series(dataset: Dataset) -> None:
    dataset.SeriesInstanceUID = _at(dataset, SERIES).SeriesInstanceUID


def of_itself(dataset: Dataset) -> None:
    for one in (_at(dataset, INSTANCE), dataset.ContentSequence[0].ReferencedSOPSequence[0]):
        one.ReferencedSOPInstanceUID = dataset.SOPInstanceUID


def unreferenced(dataset: Dataset) -> None:
    del dataset.ContentSequence[0]


def two_in_one(dataset: Dataset) -> None:
    first, second = dataset.ContentSequence[:2]
    first.ReferencedSOPSequence.append(second.ReferencedSOPSequence[0])


CLASSIC: dict[str, tuple[Change, str, str]] = {
    **{
        f"no {keyword}": (without(keyword), f"KOS.{keyword}", place)
        for keyword, place in {
            "SOPInstanceUID": "(0008,0018)", "InstanceCreationDate": "(0008,0012)", "PatientName": "(0010,0010)",
            "InstanceCreationTime": "(0008,0013)", "PatientID": "(0010,0020)", "PatientBirthDate": "(0010,0030)",
            "PatientSex": "(0010,0040)", "StudyDate": "(0008,0020)", "StudyTime": "(0008,0030)",
            "ReferringPhysicianName": "(0008,0090)", "StudyID": "(0020,0010)", "AccessionNumber": "(0008,0050)",
            "Modality": "(0008,0060)", "SeriesInstanceUID": "(0020,000E)", "SeriesNumber": "(0020,0011)",
            "StudyInstanceUID": "(0020,000D)",
            "ReferencedPerformedProcedureStepSequence": "(0008,1111)", "Manufacturer": "(0008,0070)",
            "InstanceNumber": "(0020,0013)", "ContentDate": "(0008,0023)", "ContentTime": "(0008,0033)",
            "ValueType": "(0040,A040)", "ContinuityOfContent": "(0040,A050)", "ConceptNameCodeSequence": "(0040,A043)",
            "ContentTemplateSequence": "(0040,A504)", "ContentSequence": "(0040,A730)",
        }.items()
    },
    **{
        f"no {keyword} of the request": (without(REQUEST, keyword), f"KOS.{rule or keyword}", f"(0040,A370)[1].{tag}")
        for keyword, tag, rule in (
            ("StudyInstanceUID", "(0020,000D)", ""), ("ReferencedStudySequence", "(0008,1110)", ""),
            ("AccessionNumber", "(0008,0050)", ""), ("RequestedProcedureID", "(0040,1001)", ""),
            ("PlacerOrderNumberImagingServiceRequest", "(0040,2016)", "PlacerOrderNumber"),
            ("FillerOrderNumberImagingServiceRequest", "(0040,2017)", "FillerOrderNumber"),
            ("RequestedProcedureDescription", "(0032,1060)", ""),
            ("RequestedProcedureCodeSequence", "(0032,1064)", ""),
        )
    },
    "an image": (having("SOPClassUID", value="1.2.840.10008.5.1.4.1.1.2"), "KOS.SOPClassUID", "(0008,0016)"),
    "another modality": (having("Modality", value="CT"), "KOS.Modality", "(0008,0060)"),
    "a sex of no kind": (having("PatientSex", value="X"), "KOS.PatientSex", "(0010,0040)"),
    "a date that is none": (having("StudyDate", value="20261301"), "KOS.StudyDate", "(0008,0020)"),
    "a time with colons": (having("StudyTime", value="10:11"), "KOS.StudyTime", "(0008,0030)"),
    "an offset that is none": (having("TimezoneOffsetFromUTC", value="CET"), "KOS.TimezoneOffsetFromUTC",
                               "(0008,0201)"),
    "continuous content": (having("ContinuityOfContent", value="CONTINUOUS"), "KOS.ContinuityOfContent", "(0040,A050)"),
    "no code in the title": (without(TITLE, "CodeValue"), "KOS.CodeValue", "(0040,A043)[1].(0008,0100)"),
    "two titles": (doubled(TITLE), "KOS.ConceptNameCodeSequence", "(0040,A043)"),
    "another template": (having("ContentTemplateSequence", "TemplateIdentifier", value="2000"),
                         "KOS.TemplateIdentifier", "(0040,A504)[1].(0040,DB00)"),
    "another instance in the meta information": (
        lambda dataset: setattr(dataset.file_meta, "MediaStorageSOPInstanceUID", "1.2.9"),
        "KOS.meta.instance", "(0002,0003)",
    ),
    "another class in the meta information": (
        lambda dataset: setattr(dataset.file_meta, "MediaStorageSOPClassUID", "1.2.9"),
        "KOS.MediaStorageSOPClassUID", "(0002,0002)",
    ),
    "a key-image note": (having(TITLE, value=code("113000")), "KOS.title", "(0040,A043)"),
    **{
        f"a rejection note {value}": (having(TITLE, value=code(value, scheme)), "KOS.title.rejection", "(0040,A043)")
        for value, scheme in dicom.REJECTION_TITLES
    },
    "two studies": (
        lambda dataset: dataset.CurrentRequestedProcedureEvidenceSequence.append(_other_study(dataset)),
        "KOS.study.one", "(0040,A375)",
    ),
    "another study": (having(EVIDENCE, "StudyInstanceUID", value="1.2.9"), "KOS.study.uid", f"{E1}.(0020,000D)"),
    "no study in the evidence": (without(EVIDENCE, "StudyInstanceUID"), "KOS.StudyInstanceUID", f"{E1}.(0020,000D)"),
    "no series UID": (without(*SERIES, "SeriesInstanceUID"), "KOS.SeriesInstanceUID", f"{S1}.(0020,000E)"),
    "its own series": (of_other_series, "KOS.series.own", f"{S1}.(0020,000E)"),
    "an instance twice": (doubled(*INSTANCE), "KOS.instance.duplicate", f"{S1}.(0008,1199)[4].(0008,1155)"),
    "itself": (of_itself, "KOS.instance.self", f"{I1}.(0008,1155)"),
    "no class": (without(*INSTANCE, "ReferencedSOPClassUID"), "KOS.ReferencedSOPClassUID", f"{I1}.(0008,1150)"),
    "no location": (without(*SERIES, "RetrieveLocationUID"), "KOS.RetrieveLocationUID", f"{S1}.(0040,E011)"),
    "a location that is no UID": (having(*SERIES, "RetrieveLocationUID", value="here"), "KOS.RetrieveLocationUID",
                                  f"{S1}.(0040,E011)"),
    "an address that is none": (having(*SERIES, "RetrieveURL", value="pacs"), "KOS.RetrieveURL", f"{S1}.(0008,1190)"),
    "a reference out of the evidence": (
        lambda dataset: setattr(_at(dataset, ("ContentSequence", "ReferencedSOPSequence")), "ReferencedSOPInstanceUID",
                                _at(dataset, ("ContentSequence",)).ReferencedSOPSequence[0].ReferencedSOPInstanceUID
                                + ".7"),
        "KOS.tree.beyond KOS.tree.incomplete", "(0040,A730)[1].(0008,1199)[1].(0008,1155)",
    ),
    "an instance without reference": (unreferenced, "KOS.tree.incomplete", f"{I1}.(0008,1155)"),
    "two references in one item": (two_in_one, "KOS.content.reference", "(0040,A730)[1].(0008,1199)"),
    "another text": (described(concept="121106"), "KOS.content.text", "(0040,A730)[4].(0040,A043)"),
    "a number": (described(kind="NUM"), "KOS.content.type", "(0040,A730)[4].(0040,A040)"),
    "another relation": (described(relation="HAS PROPERTIES"), "KOS.content.relation", "(0040,A730)[4].(0040,A010)"),
}  # fmt: skip


def _other_study(dataset: Dataset) -> Dataset:
    """An item of the same study with another series, so that nothing but the number of studies is wrong."""
    item = Dataset()
    item.StudyInstanceUID = dataset.StudyInstanceUID
    series = Dataset()
    series.SeriesInstanceUID = "1.2.3.99"
    series.RetrieveLocationUID = "1.2.40.3"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.99.1"
    series.ReferencedSOPSequence = [reference]
    item.ReferencedSeriesSequence = [series]
    content = Dataset()
    content.RelationshipType, content.ValueType, content.ReferencedSOPSequence = "CONTAINS", "IMAGE", [reference]
    dataset.ContentSequence.append(content)
    return item


def rules(findings: tuple[Finding, ...]) -> str:
    return " ".join(sorted({one.rule for one in findings}))


@pytest.mark.parametrize(("change", "rule", "place"), CLASSIC.values(), ids=CLASSIC)
def test_of_a_classic_manifest_with_one_fault_that_fault_is_named(change: Change, rule: str, place: str) -> None:
    report = validate(changed(manifest(), change))
    assert (report.kind, rules(report.findings)) == (KOS, rule)
    first = report.findings[0]
    assert first.place == place
    assert first.text
    assert first.expected
    assert first.clause


WARNINGS = {"KOS.InstanceCreationDate", "KOS.InstanceCreationTime", "KOS.ContentTemplateSequence",
            "KOS.RetrieveLocationUID", "KOS.tree.incomplete"}  # fmt: skip


@pytest.mark.parametrize(("change", "rule"), [(change, rule) for change, rule, _ in CLASSIC.values()], ids=CLASSIC)
def test_what_others_leave_out_without_harm_is_a_warning(change: Change, rule: str) -> None:
    report = validate(changed(manifest(), change))
    assert report.valid is (rule in WARNINGS)


# -- MADO

LIBRARY = 3
L = f"(0040,A730)[{LIBRARY + 1}]"
G = f"{L}.(0040,A730)[4]"


def library(dataset: Dataset) -> Dataset:
    return dataset.ContentSequence[LIBRARY]


def group(dataset: Dataset) -> Dataset:
    return library(dataset).ContentSequence[3]


def context(of: Dataset, concept: str) -> Dataset:
    (found,) = [one for one in of.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == concept]
    return found


def lacking(of: Callable[[Dataset], Dataset], concept: str) -> Change:
    def change(dataset: Dataset) -> None:
        content = of(dataset).ContentSequence
        for number, one in enumerate(content):
            if TITLE in one and one.ConceptNameCodeSequence[0].CodeValue == concept:
                del content[number]
                return

    return change


def counting(of: Callable[[Dataset], Dataset], concept: str, **values: Any) -> Change:
    def change(dataset: Dataset) -> None:
        item = next(
            one
            for one in of(dataset).ContentSequence
            if TITLE in one and one.ConceptNameCodeSequence[0].CodeValue == concept
        )
        for keyword, value in values.items():
            setattr(item.MeasuredValueSequence[0], keyword, value)

    return change


def fewer_instances(dataset: Dataset) -> None:
    del group(dataset).ContentSequence[-1]
    counting(group, "131564", NumericValue="2")(dataset)


def otherwise_named(dataset: Dataset) -> None:
    for one in group(dataset).ContentSequence:
        if TITLE in one and one.ConceptNameCodeSequence[0].CodeValue == "112002":
            one.UID = "1.2.9"


def as_text(dataset: Dataset) -> None:
    item = next(one for one in library(dataset).ContentSequence if one.ValueType == "CODE")
    item.ValueType, item.TextValue = "TEXT", "CT"


MADO_FAULTS: dict[str, tuple[Change, str, str]] = {
    **{
        f"no {keyword}": (without(keyword), f"MADO.{keyword}", place)
        for keyword, place in {
            "IssuerOfPatientID": "(0010,0021)", "IssuerOfPatientIDQualifiersSequence": "(0010,0024)",
            "OtherPatientIDsSequence": "(0010,1002)", "IssuerOfAccessionNumberSequence": "(0008,0051)",
            "InstitutionName": "(0008,0080)", "TimezoneOffsetFromUTC": "(0008,0201)",
            "ReferencedRequestSequence": "(0040,A370)",
        }.items()
    },
    **{
        f"empty {keyword}": (having(keyword, value=""), f"MADO.{keyword}", place)
        for keyword, place in {
            "PatientID": "(0010,0020)", "StudyDate": "(0008,0020)", "StudyTime": "(0008,0030)",
            "Manufacturer": "(0008,0070)",
        }.items()
    },
    "no OID in the issuer": (without("IssuerOfPatientIDQualifiersSequence", "UniversalEntityID"),
                             "MADO.UniversalEntityID", "(0010,0024)[1].(0040,0032)"),
    "an issuer of another type": (having("IssuerOfPatientIDQualifiersSequence", "UniversalEntityIDType", value="DNS"),
                                  "MADO.UniversalEntityIDType", "(0010,0024)[1].(0040,0033)"),
    "no type of the other id": (without("OtherPatientIDsSequence", "TypeOfPatientID"), "MADO.TypeOfPatientID",
                                "(0010,1002)[1].(0010,0022)"),
    "no issuer of the order": (without(REQUEST, "IssuerOfAccessionNumberSequence"),
                               "MADO.IssuerOfAccessionNumberSequence", "(0040,A370)[1].(0008,0051)"),
    "no location": (without(*SERIES, "RetrieveLocationUID"), "MADO.RetrieveLocationUID", f"{S1}.(0040,E011)"),
    "no library": (lambda dataset: dataset.ContentSequence.pop(), "MADO.image_library", "(0040,A730)"),
    "two libraries": (
        lambda dataset: dataset.ContentSequence.append(library(dataset)), "MADO.image_library", "(0040,A730)",
    ),
    "a library by no template": (lambda dataset: delattr(library(dataset), "ContentTemplateSequence"),
                                 "MADO.image_library.template", f"{L}.(0040,A504)"),
    "no modality": (lacking(library, "121139"), "MADO.image_library.modality", L),
    "no region": (lacking(library, "123014"), "MADO.image_library.target_region", L),
    "no number of series": (lacking(library, "131565"), "MADO.image_library.series", L),
    "a wrong number of series": (counting(library, "131565", NumericValue="7"), "MADO.image_library.count", L),
    "series counted in instances": (
        counting(library, "131565", MeasurementUnitsCodeSequence=code("{instances}", "UCUM")),
        "MADO.image_library.series",
        f"{L}.(0040,A730)[3].(0040,A300)[1].(0040,08EA)",
    ),
    "a modality as text": (as_text, "MADO.image_library.modality", f"{L}.(0040,A730)[1].(0040,A040)"),
    "a series not described": (lacking(library, "126200"), "MADO.group.missing", L),
    "a series described twice": (lambda dataset: library(dataset).ContentSequence.append(group(dataset)),
                                 "MADO.group.duplicate", f"{L}.(0040,A730)[5]"),
    "another series described": (otherwise_named, "MADO.group.missing MADO.group.series", G),
    "no modality of a series": (lacking(group, "121139"), "MADO.group.modality", G),
    "no UID of a series": (lacking(group, "112002"), "MADO.group.missing MADO.group.series_instance_uid", G),
    "no number of instances": (lacking(group, "131564"), "MADO.group.instances", G),
    "a wrong number of instances": (counting(group, "131564", NumericValue="7"), "MADO.group.count", G),
    "fewer instances": (fewer_instances, "MADO.group.instances", G),
}  # fmt: skip


@pytest.mark.parametrize(("change", "rule", "place"), MADO_FAULTS.values(), ids=MADO_FAULTS)
def test_of_a_mado_manifest_with_one_fault_that_fault_is_named(change: Change, rule: str, place: str) -> None:
    report = validate(changed(mado_manifest(), change))
    assert (report.kind, rules(report.findings), report.valid) == (MADO, rule, False)
    first = report.findings[0]
    assert first.place == place
    assert first.expected
    assert first.clause


@pytest.mark.parametrize("name", [one for one in CLASSIC if one not in (
    "an image", "no ConceptNameCodeSequence", "no code in the title", "no ContentSequence", "a key-image note",
    "no location", "a location that is no UID", "two studies", "a number", "another text", "another relation",
    "no study in the evidence", "no series UID", "its own series", "an instance twice", "itself", "two titles")
    and not one.startswith("a rejection note")])  # fmt: skip
def test_what_is_wrong_in_a_classic_manifest_is_wrong_in_one_of_mado(name: str) -> None:
    change, rule, _ = CLASSIC[name]
    found = rules(validate(changed(mado_manifest(), change)).findings)
    assert set(rule.split()) <= set(found.split()), found


def test_a_key_object_selection_is_listed_with_its_title() -> None:
    def change(dataset: Dataset) -> None:
        for one in dataset.ContentSequence[-1].ContentSequence:
            for item in one.get("ContentSequence", []):
                if item.RelationshipType == "CONTAINS" and "ContentSequence" in item:
                    item.ContentSequence = [
                        about
                        for about in item.ContentSequence
                        if about.ConceptNameCodeSequence[0].CodeValue != "121144"
                    ]

    report = validate(changed(mado_manifest(mixed_study()), change))
    assert rules(report.findings) == "MADO.instance.document_title"


# -- FHIR


def bundle(change: Callable[[dict[str, Any]], Any]) -> bytes:
    parsed = json.loads(fhir_manifest())
    change(parsed)
    return json.dumps(parsed).encode()


def resource(of: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(one["resource"] for one in of["entry"] if one["resource"]["resourceType"] == kind)


def series(of: dict[str, Any]) -> dict[str, Any]:
    return resource(of, "ImagingStudy")["series"][0]


def twice(of: dict[str, Any], kind: str) -> None:
    of["entry"].append({"fullUrl": "urn:uuid:x", "resource": resource(of, kind)})


C, P = "Bundle.entry[0].resource", "Bundle.entry[1].resource"
FHIR_FAULTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str, str]] = {
    "no identifier": (lambda b: b.pop("identifier"), "FHIR.Bundle.identifier", "Bundle.identifier"),
    "an identifier that is no UID": (lambda b: [one.update(value="x") for one in (
        b["identifier"], resource(b, "Composition")["identifier"])], "FHIR.Bundle.identifier.value",
        "Bundle.identifier.value"),
    "another system": (lambda b: b["identifier"].update(system="urn:x"), "FHIR.Bundle.identifier.system",
                       "Bundle.identifier.system"),
    "a collection": (lambda b: b.update(type="collection"), "FHIR.Bundle.type", "Bundle.type"),
    "no timestamp": (lambda b: b.pop("timestamp"), "FHIR.Bundle.timestamp", "Bundle.timestamp"),
    "a timestamp without offset": (lambda b: b.update(timestamp="2026-03-04T05:06:07"), "FHIR.Bundle.timestamp",
                                   "Bundle.timestamp"),
    "a total": (lambda b: b.update(total=7), "FHIR.Bundle.total", "Bundle.total"),
    "an entry without address": (lambda b: b["entry"][0].pop("fullUrl"), "FHIR.Bundle.entry.fullUrl",
                                 "Bundle.entry[0].fullUrl"),
    "no composition in front": (lambda b: b["entry"].append(b["entry"].pop(0)), "FHIR.entry.first", "Bundle.entry[0]"),
    "two devices": (lambda b: twice(b, "Device"), "FHIR.entry.Device", "Bundle.entry"),
    "two patients": (lambda b: twice(b, "Patient"), "FHIR.entry.Patient", "Bundle.entry"),
    "another identifier of the composition": (
        lambda b: resource(b, "Composition")["identifier"].update(value="1.2.9"), "FHIR.composition.identifier",
        f"{C}.identifier"),
    "no narrative": (lambda b: resource(b, "Composition").pop("text"), "FHIR.Composition.text", f"{C}.text"),
    "an empty narrative": (lambda b: resource(b, "Composition")["text"].update(status="empty"),
                           "FHIR.Composition.text.status", f"{C}.text.status"),
    "one author": (lambda b: resource(b, "Composition")["author"].pop(), "FHIR.Composition.author", f"{C}.author"),
    "no title": (lambda b: resource(b, "Composition").pop("title"), "FHIR.Composition.title", f"{C}.title"),
    "no event": (lambda b: resource(b, "Composition").pop("event"), "FHIR.Composition.event", f"{C}.event"),
    "a reference to nothing": (lambda b: resource(b, "ImagingStudy")["subject"].update(reference="urn:uuid:7"),
                               "FHIR.reference", f"{P}.subject.reference"),
    "no study UID": (lambda b: resource(b, "ImagingStudy").pop("identifier"), "FHIR.ImagingStudy.identifier",
                     f"{P}.identifier"),
    "another kind of study identifier": (
        lambda b: resource(b, "ImagingStudy")["identifier"][0].update(system="urn:x"), "FHIR.study.uid",
        f"{P}.identifier"),
    "no subject": (lambda b: resource(b, "ImagingStudy").pop("subject"), "FHIR.ImagingStudy.subject", f"{P}.subject"),
    "no number of series": (lambda b: resource(b, "ImagingStudy").pop("numberOfSeries"),
                            "FHIR.ImagingStudy.numberOfSeries", f"{P}.numberOfSeries"),
    "a wrong number of series": (lambda b: resource(b, "ImagingStudy").update(numberOfSeries=7), "FHIR.study.count",
                                 f"{P}.numberOfSeries"),
    "a procedure that cannot be shown": (
        lambda b: resource(b, "ImagingStudy")["procedureCode"][0]["coding"][0].pop("display"), "FHIR.study.procedure",
        f"{P}.procedureCode"),
    "no series UID": (lambda b: series(b).pop("uid"), "FHIR.ImagingStudy.series.uid", f"{P}.series[0].uid"),
    "no modality": (lambda b: series(b).pop("modality"), "FHIR.ImagingStudy.series.modality",
                    f"{P}.series[0].modality"),
    "no endpoint of a series": (lambda b: series(b).pop("endpoint"), "FHIR.ImagingStudy.series.endpoint",
                                f"{P}.series[0].endpoint"),
    "no number of instances": (lambda b: series(b).pop("numberOfInstances"),
                               "FHIR.ImagingStudy.series.numberOfInstances", f"{P}.series[0].numberOfInstances"),
    "a wrong number of instances": (lambda b: series(b).update(numberOfInstances=7), "FHIR.series.count",
                                    f"{P}.series[0].numberOfInstances"),
    "an instance twice": (lambda b: series(b)["instance"][1].update(uid="1.2.3.1.1"), "FHIR.instance.duplicate",
                          f"{P}.series[0].instance[1].uid"),
    "an instance without class": (lambda b: series(b)["instance"][1].pop("sopClass"),
                                  "FHIR.ImagingStudy.series.instance.sopClass",
                                  f"{P}.series[0].instance[1].sopClass"),
    "no retrieve location": (lambda b: resource(b, "Endpoint").pop("extension"), "FHIR.endpoint.location",
                             "Bundle.entry[3].resource.extension"),
    "no address": (lambda b: resource(b, "Endpoint").pop("address"), "FHIR.Endpoint.address",
                   "Bundle.entry[3].resource.address"),
    "no address and no word of it": (lambda b: resource(b, "Endpoint").update(address="http://notspecified"),
                                     "FHIR.endpoint.absent", "Bundle.entry[3].resource.address"),
    "an order without accession number": (
        lambda b: resource(b, "ServiceRequest")["identifier"][0]["type"]["coding"].pop(0), "FHIR.request.accession",
        "Bundle.entry[6].resource.identifier"),
    "an accession number without issuer": (
        lambda b: resource(b, "ServiceRequest")["identifier"][0].pop("system"), "FHIR.accession.system",
        "Bundle.entry[6].resource.identifier[0].system"),
    "an organization without name": (lambda b: resource(b, "Organization").pop("name"), "FHIR.Organization.name",
                                     "Bundle.entry[5].resource.name"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "rule", "place"), FHIR_FAULTS.values(), ids=FHIR_FAULTS)
def test_of_a_fhir_manifest_with_one_fault_that_fault_is_named(change: Any, rule: str, place: str) -> None:
    report = validate(bundle(change))
    assert (report.kind, rules(report.findings)) == (FHIR, rule)
    first = report.findings[0]
    assert first.place == place
    assert first.clause
    assert report.valid is (rule == "FHIR.Bundle.identifier.system")


# -- whatever the file


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"", "file.kind"),
        (b"<xml/>", "file.kind"),
        (b"{}", "file.kind"),
        (b'{"resourceType": "Patient"}', "file.kind"),
        (b'{"resourceType": "Bundle", ', "file.form"),
        (manifest()[:700], "file.form"),
        (part10(b"\x08\x00"), "file.form"),
    ],
)
def test_what_cannot_be_read_is_said_so(raw: bytes, rule: str) -> None:
    report = validate(raw)
    assert (rules(report.findings), report.valid) == (rule, False)
    assert report.findings[0].expected or report.findings[0].place


def test_an_image_is_no_manifest_and_no_more_is_said() -> None:
    report = validate((FILES / "CT_small.dcm").read_bytes())
    assert [one.rule for one in report.findings] == ["KOS.SOPClassUID"]


@given(st.binary(max_size=300), st.integers(132, 1500))
def test_damage_is_found_and_never_a_surprise(noise: bytes, at: int) -> None:
    raw = mado_manifest()
    for one in (raw[:at] + noise, raw[:at] + noise + raw[at + len(noise) :]):
        for finding in validate(one).findings:
            assert finding.level in Level


@pytest.mark.oracle
def test_manifests_of_others_have_errors_only_where_they_are_known() -> None:
    known = {
        "KOS.Manufacturer",  # not written by dcm4che
        "KOS.StudyTime",  # with colons
        "KOS.content.text",  # the description has the code of the document title
        "KOS.meta.instance",  # altered on purpose, and the file meta information forgotten
    }
    paths = [path for path in corpus("nist-toolkit2").rglob("*.dcm") if path.name.startswith(("kos-", "kos.", "kos_"))]
    assert len(paths) > 20
    for path in paths:
        report = validate(path.read_bytes())
        assert report.kind == KOS, path
        assert {one.rule for one in report.findings if one.level is Level.ERROR} <= known, (path, report)


def test_every_finding_of_the_tables_has_a_clause() -> None:
    from xdsi.rules.validation import fhir_manifest as fhir
    from xdsi.rules.validation import kos, mado

    assert all(row.clause for row in (*kos.META, *kos.ATTRIBUTES, *mado.ATTRIBUTES, *fhir.ELEMENTS))
    assert Path(kos.__file__).is_file()
