"""Rules of manifests: a valid one, one change, one named problem."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import document_entry
from tests.imaging import manifest as encoded
from tests.imaging import series, study
from xdsi.domain.codes import Code
from xdsi.domain.imaging import ImagedPatient, Instance, Manifest, Reference, ReferencedSeries, ReferencedStudy, Study
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Problem, Severity
from xdsi.rules.manifest import check, check_against_entry, check_study, is_manifest, shareable
from xdsi.spec import dicom, imaging_codes
from xdsi.wire import kos

VALID = kos.decode(encoded(study(series=(series(1), series(2)))))
LOCATIONS = ["1.2.40.3"]
FORMAT = Code(*imaging_codes.MANIFEST_FORMAT)


def with_series(change: Callable[[tuple[ReferencedSeries, ...]], tuple[ReferencedSeries, ...]]) -> Manifest:
    (one,) = VALID.studies
    return replace(VALID, studies=(replace(one, series=change(one.series)),))


def first(series_list: tuple[ReferencedSeries, ...], **changes: Any) -> tuple[ReferencedSeries, ...]:
    return (replace(series_list[0], **changes), *series_list[1:])


def found(problems: list[Problem], severity: Severity = Severity.ERROR) -> list[str]:
    return [problem.rule for problem in problems if problem.severity is severity]


def test_a_valid_manifest() -> None:
    assert check(VALID) == []
    assert check(VALID, retrieve_locations=LOCATIONS) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (replace(VALID, sop_class_uid="1.2", media_storage_sop_class_uid="1.2"), "KOS.class"),
        (replace(VALID, modality="SR"), "KOS.modality"),
        (replace(VALID, media_storage_sop_class_uid="1.2"), "KOS.meta"),
        (replace(VALID, media_storage_sop_instance_uid="1.2"), "KOS.meta"),
        (replace(VALID, title=None), "KOS.title"),
        (replace(VALID, title=Code("113000", "DCM")), "KOS.title"),
        (replace(VALID, title=Code("113030", "99LOCAL")), "KOS.title"),
        (replace(VALID, title=Code("113037", "DCM")), "KOS.title.rejection"),
        (replace(VALID, template="DCMR/2000"), "KOS.template"),
        (replace(VALID, studies=(), tree=()), "KOS.study.one"),
        (replace(VALID, study_instance_uid="1.9"), "KOS.study.uid"),
        (replace(VALID, studies=(ReferencedStudy(study_instance_uid="1.2.3"),), tree=()), "KOS.study.empty"),
        (replace(VALID, series_instance_uid="1.2.3.1"), "KOS.series.own"),
        (with_series(lambda s: (*s, replace(s[0], series_instance_uid="1.9", instances=()))), "KOS.series.empty"),
        (with_series(lambda s: (*s, replace(s[0], instances=(Reference("1.2", "1.9"),)))), "KOS.series.duplicate"),
        (with_series(lambda s: first(s, instances=s[0].instances * 2)), "KOS.instance.duplicate"),
        (with_series(lambda s: first(s, instances=(*s[0].instances, Reference("1", "2.25.101")))), "KOS.instance.self"),
        (replace(VALID, tree=(*VALID.tree, "1.9")), "KOS.tree"),
        (with_series(lambda s: first(s, retrieve_location_uid="")), "KOS.location"),
        (with_series(lambda s: first(s, retrieve_location_uid="1.9")), "KOS.location.unknown"),
    ],
)
def test_one_change_one_problem(change: Manifest, rule: str) -> None:
    problems = check(change, retrieve_locations=LOCATIONS)
    assert found(problems) == [rule]
    for problem in problems:
        assert problem.code == "InvalidDocumentContent"
        assert problem.location == "2.25.101"
        assert "2.25.101" in problem.context


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (replace(VALID, template=""), "KOS.template"),
        (replace(VALID, tree=VALID.tree[1:]), "KOS.tree.incomplete"),
        (replace(VALID, media_storage_sop_instance_uid=""), "KOS.meta"),
        (with_series(lambda s: first(s, retrieve_location_uid="")), "KOS.location"),
    ],
)
def test_what_is_let_pass_with_a_warning(change: Manifest, rule: str) -> None:
    problems = check(change)
    assert (found(problems), found(problems, Severity.WARNING)) == ([], [rule])


@pytest.mark.parametrize("title", [Code("131560", "DCM"), Code("MADOTEMP001", "99IHE"), Code("113030", "DCM", "other")])
def test_titles_of_manifests(title: Code) -> None:
    assert check(replace(VALID, title=title)) == []


def test_two_studies_are_one_too_many() -> None:
    elsewhere = ReferencedSeries(series_instance_uid="1.9.1", instances=(Reference("1", "2"),))
    other = ReferencedStudy(study_instance_uid="1.9", series=(elsewhere,))
    problems = check(replace(VALID, studies=(*VALID.studies, other), tree=(*VALID.tree, "2")))
    assert found(problems) == ["KOS.study.one", "KOS.study.uid"]


ENTRY = document_entry(
    mime_type="application/dicom",
    format_code=FORMAT,
    unique_id="2.25.101",
    source_patient_id="L1^^^&1.2.40.1&ISO",
    reference_ids=(
        "A77^^^&1.2.40.2&ISO^urn:ihe:iti:xds:2013:accession",
        "1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID",
    ),
)


def entry(**changes: Any) -> DocumentEntry:
    return replace(ENTRY, **changes)


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, []),
        ({"source_patient_id": "L2^^^&1.2.40.1&ISO"}, ["KOS.patient"]),
        ({"source_patient_id": ""}, ["KOS.patient"]),
        ({"source_patient_id": "l1^^^&1.2.40.1&ISO"}, ["KOS.patient"]),
        ({"source_patient_id": "L1^^^&1.2.40.9&ISO"}, ["KOS.patient.issuer"]),
        ({"source_patient_id": "L1"}, ["KOS.patient.issuer"]),
        ({"source_patient_id": "L1^^^&1.2.40.1&ISO\n   "}, []),
        ({"patient_id": "OTHER^^^&1.9&ISO"}, []),
        ({"unique_id": "2.25.999"}, ["KOS.uniqueId"]),
        ({"mime_type": "text/plain"}, ["KOS.mimeType"]),
        ({"format_code": None}, ["KOS.formatCode"]),
        ({"format_code": Code(FORMAT.code, "1.2")}, ["KOS.formatCode"]),
        ({"reference_ids": ()}, []),
        ({"reference_ids": ("1.2.4^^^^urn:ihe:iti:xds:2016:studyInstanceUID",)}, ["KOS.referenceIdList"]),
        ({"reference_ids": ("1.2.4^^^^urn:ihe:iti:xds:2013:uniqueId",)}, []),
        ({"unique_id": "1", "source_patient_id": "y"}, ["KOS.patient", "KOS.uniqueId"]),
    ],
)
def test_a_manifest_and_its_entry(changes: dict[str, Any], rules: list[str]) -> None:
    problems = check_against_entry(VALID, entry(**changes))
    assert found(problems) == rules
    assert all(problem.code == "InvalidDocumentContent" and "2.25.101" in problem.context for problem in problems)


def test_the_issuer_counts_only_where_the_manifest_names_one() -> None:
    silent = replace(VALID, patient=replace(VALID.patient, issuer=""))
    assert check_against_entry(silent, entry(source_patient_id="L1^^^&1.2.40.9&ISO")) == []


def test_a_manifest_without_patient_confirms_nobody() -> None:
    nobody = replace(VALID, patient=ImagedPatient(name="Doe^Jané"))
    assert found(check_against_entry(nobody, entry())) == ["KOS.patient"]
    assert found(check_against_entry(nobody, entry(source_patient_id="^^^&1.2.40.1&ISO"))) == ["KOS.patient"]


@given(st.text(min_size=1).filter(lambda text: text.strip() == text and "\n" not in text))
def test_identifiers_are_compared_as_text(number: str) -> None:
    patient = replace(VALID.patient, id=number)
    escapes = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
    written = "".join(escapes.get(character, character) for character in number)
    same = entry(source_patient_id=f"{written}^^^&1.2.40.1&ISO")
    other = entry(source_patient_id=f"{written}x^^^&1.2.40.1&ISO")
    assert check_against_entry(replace(VALID, patient=patient), same) == []
    assert found(check_against_entry(replace(VALID, patient=patient), other)) == ["KOS.patient"]


def test_manifests_are_known_by_their_format() -> None:
    assert is_manifest(ENTRY)
    assert not is_manifest(document_entry())
    assert not is_manifest(document_entry(format_code=None))


@pytest.mark.parametrize(
    ("of", "rules"),
    [
        (study(), []),
        (study(patient=ImagedPatient(id="1")), []),
        (study(series=()), ["study.empty"]),
        (study(series=(series(count=0),)), ["study.empty"]),
        (study(patient=ImagedPatient(name="Doe")), ["study.patient"]),
        (study(patient=ImagedPatient(id="1" * 65)), ["study.patient"]),
        (study(series=(series(1), replace(series(1), series_instance_uid="1.9"))), ["study.instance.duplicate"]),
    ],
)
def test_studies_that_can_be_published(of: Study, rules: list[str]) -> None:
    assert found(check_study(of, patient_id_authority="1.2.40.9")) == rules


def test_a_patient_id_needs_an_authority() -> None:
    nobody = study(patient=ImagedPatient(id="1"))
    assert found(check_study(nobody, patient_id_authority="")) == ["study.patient.issuer"]
    assert check_study(study(), patient_id_authority="") == []


def test_many_problems_of_a_kind_are_one() -> None:
    (one,) = VALID.studies
    many = replace(VALID, studies=(replace(one, series=tuple(
        ReferencedSeries(series_instance_uid=f"1.9.{n}", instances=(Reference("1.2", "1.2.3.1.1"),)) for n in range(500)
    )),))  # fmt: skip
    problems = check(many, retrieve_locations=LOCATIONS)
    assert found(problems) == ["KOS.instance.duplicate", "KOS.tree", "KOS.location"]
    assert all(len(problem.context) < 200 for problem in problems)


@pytest.mark.parametrize(
    ("title", "stays"),
    [(("113030", "DCM"), False), (("131560", "DCM"), False), (("113037", "DCM"), False), (("113000", "DCM"), True),
     (None, True)],
)  # fmt: skip
def test_manifests_and_rejection_notes_are_not_shared(title: tuple[str, str] | None, stays: bool) -> None:
    note = Instance(
        sop_class_uid=dicom.KEY_OBJECT_SELECTION, sop_instance_uid="1.9.1", title=Code(*title) if title else None
    )
    images = series(1)
    alone = series(2, instances=(note,))
    mixed = series(3, instances=(*series(3).instances, note))
    kept = shareable(study(series=(images, alone, mixed)))
    assert kept.series[0] is images
    assert (note in kept.instances) is stays
    assert len(kept.series) == (3 if stays else 2)
