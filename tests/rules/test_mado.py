"""What MADO asks for beyond the images: where it comes from when they do not say."""

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.imaging import NOW, PROFILE, series, study
from xdsi.domain.codes import Code
from xdsi.domain.imaging import Accession
from xdsi.rules import mado
from xdsi.spec import mado as codes


def test_what_the_images_say_stays() -> None:
    of = study()
    done = mado.completed(of, PROFILE, created=NOW)
    assert (done.accessions, done.date, done.time, done.timezone_offset) == (
        of.accessions, of.date, of.time, of.timezone_offset,
    )  # fmt: skip
    assert (done.patient.issuer, done.series) == (of.patient.issuer, of.series)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ({"date": "20260302", "time": "0910"}, ("20260302", "0910")),
        ({"date": "20260302"}, ("20260302", "000000")),
        ({}, ("20260304", "060607")),
    ],
)
def test_a_study_without_a_date_has_that_of_its_first_series_else_of_its_manifest(
    first: dict[str, str], expected: tuple[str, str]
) -> None:
    later = series(2, date="20260305", time="01") if first else series(2)
    of = study(date="", time="", series=(later, series(1, **first)))
    done = mado.completed(of, PROFILE, created=NOW)
    assert (done.date, done.time) == expected


def test_the_time_zone_is_that_of_the_hospital_on_that_day() -> None:
    profile = replace(PROFILE, timezone=ZoneInfo("Europe/Vienna"))
    summer = mado.completed(study(timezone_offset="", date="20260701"), profile, created=NOW)
    assert summer.timezone_offset == "+0200"


def test_orders_get_an_issuer_and_a_study_without_one_an_order_of_its_own() -> None:
    done = mado.completed(study(accessions=(Accession(number="A1"),)), PROFILE, created=NOW)
    assert [(one.number, one.issuer) for one in done.accessions] == [("A1", "1.2.40.10")]
    none = mado.completed(study(accessions=()), PROFILE, created=NOW)
    (made,) = none.accessions
    assert (len(made.number), made.issuer) == (16, PROFILE.source_id)
    assert mado.completed(study(accessions=()), PROFILE, created=NOW) == none
    other = mado.completed(replace(study(accessions=()), study_instance_uid="1.2.4"), PROFILE, created=NOW)
    assert other.accessions != none.accessions


@pytest.mark.parametrize(
    ("name", "oid", "institution"),
    [
        ("Hospital A", "urn:oid:2.999.1", "Hospital A^^^^^^^^^2.999.1"),
        ("A^B & C\\D", "2.999.1", "A B   C D^^^^^^^^^2.999.1"),
        ("x" * 80, "2.999.1", "x" * 48 + "^^^^^^^^^2.999.1"),
        ("A", "", "A"),
        ("", "2.999.1", "Hospital A^^^^^^^^^2.999.1"),
    ],
)
def test_the_institution_is_an_xon_that_fits(name: str, oid: str, institution: str) -> None:
    profile = replace(PROFILE, organization_name=name, organization_id=oid)
    found = mado.completed(study(), profile, created=NOW).institution
    assert (found, len(found) <= 64) == (institution, True)


CHEST, LIVER = {"body_part": "CHEST"}, {"body_part": "Liver"}


@pytest.mark.parametrize(
    ("parts", "regions"),
    [
        ([CHEST], ["UPPERTRUNK"]),
        ([LIVER, CHEST, LIVER], ["UPPERTRUNK", "LOWERTRUNK"]),
        ([{"body_part": "NECKCHESTABDOMEN"}], ["HEADNECK", "UPPERTRUNK", "LOWERTRUNK"]),
        ([{"anatomic_regions": (Code("113257007", "SCT", "Cardiovascular system"),)}], ["CARDIOVASCSYS"]),
        ([{"body_part": "CHEST", "anatomic_regions": (Code("72696002", "SCT", "Knee"),)}], ["LOWERLIMB"]),
        ([{"body_part": "EXTREMITY"}], ["WHOLEBODY"]),
        ([{"body_part": "UNHEARD OF"}, {"body_part": ""}], ["WHOLEBODY"]),
    ],
)
def test_regions_of_a_study_are_those_that_its_series_lie_in(parts: list[dict[str, Any]], regions: list[str]) -> None:
    of = study(series=tuple(series(number, **changes) for number, changes in enumerate(parts, 1)))
    found = mado.description(of, PROFILE).regions
    assert [one.code for one in found] == [codes.REGIONS[key][0] for key in regions]


def test_every_body_part_but_two_lies_in_a_region() -> None:
    assert {code for code, keys in codes.REGIONS_OF.items() if not keys} == {"66019005", "706342009"}
