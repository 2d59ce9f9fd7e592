"""Studies put together from parts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import imaging
from tests.imaging import series, study
from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId
from xdsi.domain.imaging import Accession, ImagedPatient, Instance, Series, Study, as_witnesses, merge, merge_accessions
from xdsi.spec import dicom


def parts_of(whole: Study) -> list[Study]:
    """One part per instance."""
    return [
        replace(whole, series=(replace(one, instances=(instance,)),))
        for one in whole.series
        for instance in one.instances
    ]


WHOLE = study(series=(series(1), series(2, count=2), series(10, count=1)))


@given(st.permutations(parts_of(WHOLE)))
def test_parts_in_any_order_make_the_same_study(parts: list[Study]) -> None:
    assert merge(parts) == WHOLE


def test_a_later_part_fills_what_is_empty_but_changes_nothing() -> None:
    first = study(description="", institution="First")
    later = study(description="Later", institution="Second")
    merged = merge([first, later])
    assert (merged.description, merged.institution) == ("Later", "First")


def test_codes_and_accessions_of_all_parts_are_kept_once() -> None:
    other = Code("1", "LN")
    merged = merge(
        [study(), study(procedure_codes=(other,), accessions=(Accession(number="A78"), Accession(number="A77")))]
    )
    assert merged.procedure_codes == (*study().procedure_codes, other)
    assert merged.accessions == (*study().accessions, Accession(number="A78"))


def test_a_series_gathers_what_its_parts_say() -> None:
    region, other = Code("1", "SCT"), Code("2", "SCT")
    merged = merge(
        [
            study(series=(series(number=1, description="", anatomic_regions=(region,)),)),
            study(series=(series(number=1, description="late", anatomic_regions=(region, other)),)),
        ]
    )
    (only,) = merged.series
    assert (only.description, only.anatomic_regions) == ("late", (region, other))


@pytest.mark.parametrize("parts", [[], [study(), replace(study(), study_instance_uid="1.2.4")]])
def test_nothing_and_two_studies_cannot_be_merged(parts: list[Study]) -> None:
    with pytest.raises(ValueError, match="study"):
        merge(parts)


@pytest.mark.parametrize(
    ("accessions", "merged"),
    [
        ((Accession(number="1"), Accession(number="1", issuer="1.2")), (Accession(number="1", issuer="1.2"),)),
        (
            (Accession(number="1", issuer="1.2"), Accession(number="1", requested_procedure_id="P")),
            (Accession(number="1", issuer="1.2", requested_procedure_id="P"),),
        ),
        ((Accession(number="1", issuer="1.2"), Accession(number="1", issuer="1.3")), None),
        ((Accession(number="1"), Accession(number="2")), None),
    ],
)
def test_an_accession_number_counts_once_for_each_issuer(
    accessions: tuple[Accession, ...], merged: tuple[Accession, ...] | None
) -> None:
    assert merge_accessions(accessions) == (merged or accessions)


@pytest.mark.parametrize(
    ("patient", "identifier"),
    [
        (ImagedPatient(id="1", issuer="1.2"), PatientId("1", "1.2")),
        (ImagedPatient(id="1"), PatientId("1", "1.9")),
        (ImagedPatient(issuer="1.2"), None),
    ],
)
def test_a_patient_is_identified_by_its_own_issuer_first(patient: ImagedPatient, identifier: PatientId | None) -> None:
    assert patient.identifier("1.9") == identifier
    assert ImagedPatient(id="1").identifier("") is None


def test_a_manifest_that_was_stored_back_says_nothing_of_the_study() -> None:
    """Nor does a rejection note; the instances themselves are there."""
    whole = imaging.study()
    image = replace(whole, timezone_offset="", institution="", accessions=())
    for code in ("113030", "113037"):
        note = Instance(sop_class_uid=dicom.KEY_OBJECT_SELECTION, sop_instance_uid="1.2.3.9.1", title=Code(code, "DCM"))
        stored = replace(whole, series=(Series(series_instance_uid="1.2.3.9", modality="KO", instances=(note,)),))
        for parts in ((stored, image), (image, stored)):
            merged = merge(as_witnesses(parts))
            assert replace(merged, series=()) == replace(image, series=())
            assert {one.series_instance_uid for one in merged.series} == {"1.2.3.1", "1.2.3.9"}
