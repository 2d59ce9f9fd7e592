"""Metadata made of a study and its manifest."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.imaging import NOW, manifest, pydicom_studies, series, study
from tests.oracles import official_schema
from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId
from xdsi.domain.imaging import Accession, ImagedPatient, Series, Study
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.domain.metadata import DocumentEntry
from xdsi.rules import manifest_values as values
from xdsi.rules.manifest import check_against_entry, check_study
from xdsi.rules.manifest_metadata import ManifestFacts, document_entry, localized, replacement, submission
from xdsi.rules.submission import check_metadata
from xdsi.spec import uuids
from xdsi.spec.optionality import Column
from xdsi.wire import kos, xml
from xdsi.wire.ebxml.submission import encode
from xdsi.wire.message import Packaging

PROFILE = ImagingProfile(
    source_id="1.2.40.4", patient_id_authority="1.2.40.9", accession_authority="1.2.40.8", organization_id="1.2.40.5"
)
PATIENT = PatientId("AD1", "1.2.40.7")
FACTS = ManifestFacts(sop_instance_uid="2.25.101", created=NOW, size=1234, sha1="ab" * 20)
LN, SCT, DCM = "2.16.840.1.113883.6.1", "2.16.840.1.113883.6.96", "1.2.840.10008.2.16.4"


def entry(of: Study | None = None, profile: ImagingProfile = PROFILE) -> DocumentEntry:
    return document_entry(of or study(), FACTS, profile, patient_id=PATIENT, entry_uuid="Document01")


def test_every_attribute() -> None:
    made = entry()
    assert made.mime_type == "application/dicom"
    assert made.format_code is not None
    assert (made.format_code.code, made.format_code.scheme, made.format_code.display) == (
        "1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.2.6.1", "Key Object Selection Document",
    )  # fmt: skip
    assert made.object_type == uuids.STABLE
    assert (made.unique_id, made.size, made.hash) == ("2.25.101", "1234", "ab" * 20)
    assert made.patient_id == "AD1^^^&1.2.40.7&ISO"
    assert made.source_patient_id == "L1^^^&1.2.40.1&ISO"
    assert made.source_patient_info == (
        "PID-3|L1^^^&1.2.40.1&ISO", "PID-5|Doe^Jané^M^Jr^Dr", "PID-7|19700102", "PID-8|F",
    )  # fmt: skip
    assert made.creation_time == "20260304050607"
    assert made.service_start_time == "20260301091112"
    assert made.event_codes == (Code("CT", DCM), Code("816094009", SCT))
    assert [code.display for code in made.event_codes] == ["Computed Tomography", "Thorax"]
    assert made.type_code == Code("24627-2", LN)
    assert made.reference_ids == (
        "A77^^^&1.2.40.2&ISO^urn:ihe:iti:xds:2013:accession",
        "1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID",
    )
    assert made.title == "Thorax nativ"
    (author,) = made.authors
    assert (author.person, author.institutions) == ("^Perform^Pat", ("Hospital A^^^^^^^^^1.2.40.5",))
    assert made.class_code == Code("IMAGES", "1.3.6.1.4.1.19376.1.2.6.1")
    assert made.confidentiality_codes == (Code("N", "2.16.840.1.113883.5.25"),)
    assert (made.practice_setting_code, made.healthcare_facility_type_code) == (
        Code("309964003", SCT), Code("22232009", SCT),
    )  # fmt: skip
    assert made.language_code == "en-US"


def test_it_fits_the_manifest_it_is_for() -> None:
    raw = manifest()
    facts = ManifestFacts(sop_instance_uid="2.25.101", created=NOW, size=len(raw), sha1=hashlib.sha1(raw).hexdigest())
    made = document_entry(study(), facts, PROFILE, patient_id=PATIENT, entry_uuid="Document01")
    assert check_against_entry(kos.decode(raw), made) == []


@pytest.mark.parametrize("of", pydicom_studies(), ids=lambda of: of.study_instance_uid[-12:])
def test_every_study_of_pydicom_fits_or_is_not_published(of: Study) -> None:
    if check_study(of, patient_id_authority=PROFILE.patient_id_authority):
        with pytest.raises(ValueError, match="patient"):
            entry(of)
    else:
        assert check_against_entry(kos.decode(manifest(of)), entry(of)) == []


@pytest.mark.parametrize(
    ("codes", "profile", "expected"),
    [
        ((), PROFILE, Code("18748-4", LN)),
        ((Code("P1", "99LOCAL"),), PROFILE, Code("18748-4", LN)),
        ((Code("P1", "99LOCAL"),), replace(PROFILE, coding_schemes={"99LOCAL": "1.2.40.6"}), Code("P1", "1.2.40.6")),
        ((Code("P1", "99LOCAL"), Code("24627-2", "LN")), PROFILE, Code("24627-2", LN)),
        ((Code("1", "LN"), Code("2", "LN")), PROFILE, Code("18748-4", LN)),
        ((Code("1", "LN"), Code("2", "LN")), replace(PROFILE, type_codes=frozenset({Code("2", LN)})), Code("2", LN)),
        ((Code("1", "LN"),), replace(PROFILE, type_codes=frozenset()), Code("18748-4", LN)),
        ((), replace(PROFILE, type_code=Code("X", "1.2")), Code("X", "1.2")),
    ],
)
def test_type_code(codes: tuple[Code, ...], profile: ImagingProfile, expected: Code) -> None:
    assert entry(study(procedure_codes=codes), profile).type_code == expected


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ((series(modality="MR", body_part="T-SPINE"), series(modality="CT", body_part="c spine"),
          series(modality="MR", body_part="HEAD")), ["CT", "MR", "122494005", "122495006", "69536005"]),
        ((series(modality="SR", body_part=""), series(modality="KO", body_part="?")), []),
        ((series(body_part="CHEST", anatomic_regions=(Code("1", "SCT"), Code("2", "99X"))),), ["CT", "1"]),
        ((series(modality="", body_part=""),), []),
    ],
)  # fmt: skip
def test_event_codes(of: tuple[Series, ...], expected: list[str]) -> None:
    assert [code.code for code in entry(study(series=of)).event_codes] == expected


def test_event_codes_are_kept_within_the_value_set_of_the_domain() -> None:
    assert entry(profile=replace(PROFILE, event_codes=frozenset({Code("CT", DCM)}))).event_codes == (Code("CT", DCM),)


@pytest.mark.parametrize(
    ("accession", "profile", "expected"),
    [
        (Accession(number="A1", issuer="1.2"), PROFILE, "A1^^^&1.2&ISO^urn:ihe:iti:xds:2013:accession"),
        (Accession(number="A1"), PROFILE, "A1^^^&1.2.40.8&ISO^urn:ihe:iti:xds:2013:accession"),
        (Accession(number="A1"), replace(PROFILE, accession_authority=""), "A1^^^^urn:ihe:iti:xds:2013:accession"),
        (Accession(number="A&1^2"), PROFILE, "A\\T\\1\\S\\2^^^&1.2.40.8&ISO^urn:ihe:iti:xds:2013:accession"),
    ],
)
def test_accession_numbers(accession: Accession, profile: ImagingProfile, expected: str) -> None:
    assert entry(study(accessions=(accession,)), profile).reference_ids[0] == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"timezone_offset": ""}, "20260301091112"),
        ({"timezone_offset": "-0500"}, "20260301151112"),
        ({"time": ""}, "20260301"),
        ({"date": ""}, ""),
        ({"date": "", "series": (series(date="20260302", time="1200"), series(date="20260302", time="1100"))},
         "202603021000"),
    ],
)  # fmt: skip
def test_service_start_time(changes: dict[str, Any], expected: str) -> None:
    profile = replace(PROFILE, timezone=timezone(timedelta(hours=1)))
    assert entry(study(**changes), profile).service_start_time == expected


@pytest.mark.parametrize(
    ("changes", "profile", "expected"),
    [
        ({"series": (series(performing_physicians=("A^B", "C^D^E^F^G")),)}, PROFILE, ["^A^B", "^C^D^E^G^F"]),
        ({"series": (series(),)}, PROFILE, [""]),
        ({"series": (series(),), "institution": ""}, PROFILE, [""]),
        ({"series": (series(),), "institution": ""}, replace(PROFILE, organization_id=""), []),
    ],
)
def test_authors_are_those_who_made_the_images(
    changes: dict[str, Any], profile: ImagingProfile, expected: list[str]
) -> None:
    made = entry(study(**changes), profile)
    assert [author.person for author in made.authors] == expected
    assert not any("Refer" in author.person for author in made.authors)


@pytest.mark.parametrize(
    ("name", "oid", "xon"),
    [
        ("A & B", "1.2", "A \\T\\ B^^^^^^^^^1.2"),
        ("A", "urn:oid:1.2", "A^^^^^^^^^1.2"),
        ("", "1.2", "1.2^^^^^^^^^1.2"),
        ("A", "", "A"),
        ("", "", ""),
    ],
)
def test_organizations(name: str, oid: str, xon: str) -> None:
    assert values.organization(name, oid) == xon


@pytest.mark.parametrize(
    ("name", "xpn"),
    [
        ("Doe^Jo", "Doe^Jo"),
        ("Doe^Jo^M^Dr^Jr", "Doe^Jo^M^Jr^Dr"),
        ("=王^小东", "王^小东"),
        ("Wang^Xiao=王^小东", "Wang^Xiao"),
        ("Doe", "Doe"),
        ("A|B^C~D", "A\\F\\B^C\\R\\D"),
        ("^^^^", ""),
        ("", ""),
    ],
)
def test_names(name: str, xpn: str) -> None:
    assert values.person_name(name) == xpn


@given(st.text())
def test_escapes_are_undone(text: str) -> None:
    assert values.unescaped(values.escaped(text)) == text
    assert not set(values.escaped(text)) & set("|^&~")


@pytest.mark.parametrize(
    ("changes", "title"),
    [({}, "Thorax nativ"), ({"description": ""}, "CT Chest"), ({"description": "x" * 200}, "x" * 127),
     ({"description": "", "procedure_codes": ()}, "")],
)  # fmt: skip
def test_titles(changes: dict[str, Any], title: str) -> None:
    assert entry(study(**changes)).title == title


def test_a_patient_without_issuer_has_the_configured_one() -> None:
    made = entry(study(patient=ImagedPatient(id="L^1")))
    assert made.source_patient_id == "L\\S\\1^^^&1.2.40.9&ISO"
    assert made.source_patient_info == ("PID-3|L\\S\\1^^^&1.2.40.9&ISO",)


def test_a_study_takes_the_offset_of_its_own_day() -> None:
    profile = replace(PROFILE, timezone=ZoneInfo("Europe/Brussels"))
    assert localized(study(timezone_offset="", date="20260715"), profile).timezone_offset == "+0200"
    assert localized(study(timezone_offset="", date="20260115"), profile).timezone_offset == "+0100"
    assert localized(study(timezone_offset="-0500"), profile).timezone_offset == "-0500"
    assert localized(study(timezone_offset="", date=""), profile).timezone_offset == ""


def test_a_submission() -> None:
    now = datetime(2026, 3, 4, 6, 7, 8, tzinfo=timezone(timedelta(hours=1)))
    made = submission(entry(), PROFILE, unique_id="2.25.103", now=now)
    submission_set = made.submission_set
    assert (submission_set.unique_id, submission_set.source_id) == ("2.25.103", "1.2.40.4")
    assert submission_set.patient_id == "AD1^^^&1.2.40.7&ISO"
    assert submission_set.submission_time == "20260304050708"
    assert submission_set.content_type_code == Code("22232009", SCT)
    (member,) = made.associations
    assert (member.type, member.source, member.target) == (uuids.HAS_MEMBER, submission_set.entry_uuid, "Document01")
    assert member.submission_set_status == ("Original",)
    authors = [*submission_set.authors, *made.document_entries[0].authors]
    assert len({author.id for author in authors}) == len(authors) == 2


def test_a_replacement() -> None:
    first = submission(entry(), PROFILE, unique_id="2.25.103", now=NOW, entry_uuid="SubmissionSet01")
    second = replacement(first, "urn:uuid:00000000-0000-4000-8000-000000000001")
    assert second.submission_set == first.submission_set
    assert second.associations[:-1] == first.associations
    replaces = second.associations[-1]
    assert (replaces.type, replaces.source) == (uuids.RPLC, "Document01")
    assert replaces.target == "urn:uuid:00000000-0000-4000-8000-000000000001"
    assert replaces.submission_set_status == ()


ODD = study(
    patient=ImagedPatient(id="A&B^C|D~E", name="X|Y^Z&W~Q"),
    accessions=(Accession(number="A^1&2~3|4"), Accession(number="A2")),
    institution="H & |~^ Co",
    description="é" * 300,
    series=(series(performing_physicians=("O|N^M~L", "P")),),
)
PUBLISHED = [of for of in (study(), ODD, *pydicom_studies()) if not check_study(of, patient_id_authority="1.2.40.9")]


@pytest.mark.parametrize("of", PUBLISHED, ids=lambda of: of.study_instance_uid[-12:])
def test_what_is_submitted_is_what_a_document_source_must_send(of: Study) -> None:
    made = replacement(submission(entry(of), PROFILE, unique_id="2.25.103", now=NOW), "urn:uuid:" + "0" * 8)
    assert list(check_metadata(made, column=Column.DOCUMENT_SOURCE)) == []


@pytest.mark.oracle
@pytest.mark.parametrize("of", [study(), ODD])
def test_what_is_submitted_is_valid_by_the_official_schema(of: Study) -> None:
    made = replacement(submission(entry(of), PROFILE, unique_id="2.25.103", now=NOW), "urn:uuid:" + "0" * 8)
    official_schema().assertValid(xml.parse(b"".join(encode(made, Packaging.SIMPLE).body)))
