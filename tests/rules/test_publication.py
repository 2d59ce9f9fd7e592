"""Which studies are published: a condition at a time, and the reason for each."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests import imaging
from xdsi.domain.imaging import Study
from xdsi.rules.publication import PublicationRule, judge

TODAY = date(2026, 3, 10)


def study(*modalities: str, **changes: Any) -> Study:
    series = tuple(
        imaging.series(number, modality=modality) for number, modality in enumerate(modalities or ("CT",), start=1)
    )
    given: dict[str, Any] = {"ward": "4 West", "date": "20260301", "series": series}
    return imaging.study(**given | changes)


def report(*, verified: bool, sop_class: str = imaging.SR_CLASS) -> Study:
    made = imaging.series(9, 1, sop_class, modality="SR")
    (one,) = made.instances
    return study(series=(imaging.series(), replace(made, instances=(replace(one, verified=verified),))))


KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"

# rule, study, whether it is published, a reason
CASES: list[tuple[dict[str, Any], Study, bool, str]] = [
    ({}, study(), True, "modality CT"),
    ({"modalities": ("CT", "MR")}, study("US", "MR"), True, "modality MR"),
    ({"modalities": ("CT",)}, study("US"), False, "its modalities (US) are not among CT"),
    ({"modalities": ("SR",)}, study("CT", "SR"), False, "its modalities (CT) are not among SR"),
    ({"excluded_modalities": ("US",)}, study("CT", "US"), False, "modality US is excluded"),
    ({"excluded_modalities": ("US",)}, study("CT"), True, "modality CT"),
    ({"institutions": ("hospital *",)}, study(), True, "institution Hospital A"),
    ({"institutions": ("Hospital B", "Clinic")}, study(), False,
     "its institution (Hospital A) is not among Hospital B, Clinic"),
    ({"institutions": ("*",)}, study(institution=""), True, "institution "),
    ({"wards": ("4*",)}, study(), True, "ward 4 West"),
    ({"wards": ("5 ?ast",)}, study(), False, "its ward (4 West) is not among 5 ?ast"),
    ({"wards": ("5 East",)}, study(ward=""), False, "its ward (not said) is not among 5 East"),
    ({"referring_physicians": ("REFER^*",)}, study(), True, "referring physician Refer^Rita"),
    ({"referring_physicians": ("Other^*",)}, study(), False, "its referring physician (Refer^Rita) is not among"),
    ({"max_age_days": 9}, study(), True, "of 20260301"),
    ({"max_age_days": 8}, study(), False, "it is of 2026-03-01, older than 8 days"),
    ({"max_age_days": 8}, study(date=""), False, "it has no date"),
    ({"max_age_days": 8}, study(date="20260231"), False, "it has no date"),
    ({"max_age_days": 8}, study(date="20270101"), True, "of 20270101"),
    ({"signed_report": True}, study(), False, "there is no signed report yet"),
    ({"signed_report": True}, report(verified=False), False, "there is no signed report yet"),
    ({"signed_report": True}, report(verified=True), True, "a report in it is verified"),
    ({"signed_report": True}, report(verified=True, sop_class=KEY_OBJECT), False, "there is no signed report yet"),
    ({"signed_report": True}, report(verified=True, sop_class=imaging.CT_CLASS), False, "no signed report"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "given", "publish", "reason"), CASES)
def test_a_condition(rule: dict[str, Any], given: Study, publish: bool, reason: str) -> None:
    verdict = judge(given, PublicationRule(**rule), today=TODAY, reported=False)
    assert verdict.publish is publish
    assert any(reason in one for one in verdict.reasons), verdict.reasons


def test_a_message_can_say_that_the_report_is_final() -> None:
    verdict = judge(study(), PublicationRule(signed_report=True), today=TODAY, reported=True)
    assert verdict.publish
    assert "its report is final" in verdict.reasons


def test_every_reason_against_is_told() -> None:
    rule = PublicationRule(modalities=("MR",), wards=("x",), max_age_days=1, signed_report=True)
    verdict = judge(study(), rule, today=TODAY, reported=False)
    assert len(verdict.reasons) == 4
