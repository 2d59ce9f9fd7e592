"""Which studies a hospital publishes: what the settings say, with the reasons for each study.

All conditions hold together; one that is not set holds for every study.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase

from xdsi.domain.imaging import Study
from xdsi.rules.manifest import shareable
from xdsi.spec.dicom import KEY_OBJECT_SELECTION

_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_DATE = re.compile(r"[0-9]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationRule:
    """Conditions. Names are compared without regard to case; `*` and `?` stand for any characters and any one."""

    modalities: Sequence[str] = ()
    """one of these is among the study's"""
    excluded_modalities: Sequence[str] = ()
    """none of these is among the study's"""
    institutions: Sequence[str] = ()
    wards: Sequence[str] = ()
    referring_physicians: Sequence[str] = ()
    max_age_days: int = 0
    """by Study Date; 0 for any age"""
    signed_report: bool = False
    """there is a report that somebody answers for, in the study or told by a message"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a study is published, and every reason: of a refusal those against it, else those for it."""

    publish: bool
    reasons: tuple[str, ...]


def judge(study: Study, rule: PublicationRule, *, today: date, reported: bool) -> Verdict:
    """What the rule says of a study; `reported` when a message has said that its report is final."""
    against = tuple(_against(study, rule, today=today, reported=reported))
    return Verdict(publish=not against, reasons=against or tuple(_for(study, rule, reported=reported)))


def modalities_of(study: Study) -> list[str]:
    """The modalities of what would be shared, reports and key objects aside."""
    found = {series.modality for series in shareable(study).series} - {"", "KO", "PR", "SR"}
    return sorted(found)


def has_signed_report(study: Study) -> bool:
    """Whether a structured report of the study was verified."""
    return any(
        one.verified and one.sop_class_uid.startswith(_REPORTS) and one.sop_class_uid != KEY_OBJECT_SELECTION
        for one in study.instances
    )


def _against(study: Study, rule: PublicationRule, *, today: date, reported: bool) -> Iterator[str]:
    modalities = modalities_of(study)
    said = ", ".join(modalities) or "none"
    if rule.modalities and not set(modalities) & set(rule.modalities):
        yield f"its modalities ({said}) are not among {', '.join(rule.modalities)}"
    if excluded := set(modalities) & set(rule.excluded_modalities):
        yield f"modality {', '.join(sorted(excluded))} is excluded"
    named = (
        ("institution", study.institution, rule.institutions),
        ("ward", study.ward, rule.wards),
        ("referring physician", study.referring_physician, rule.referring_physicians),
    )
    for what, value, patterns in named:
        if patterns and not any(fnmatchcase(value.casefold(), one.casefold()) for one in patterns):
            yield f"its {what} ({value or 'not said'}) is not among {', '.join(patterns)}"
    if rule.max_age_days:
        made = _date(study.date)
        if made is None:
            yield "it has no date, so that its age is not known"
        elif today - made > timedelta(days=rule.max_age_days):
            yield f"it is of {made.isoformat()}, older than {rule.max_age_days} days"
    if rule.signed_report and not reported and not has_signed_report(study):
        yield "there is no signed report yet"


def _for(study: Study, rule: PublicationRule, *, reported: bool) -> Iterator[str]:
    wanted = [one for one in modalities_of(study) if not rule.modalities or one in rule.modalities]
    yield f"modality {', '.join(wanted) or 'not said'}"
    for what, value, patterns in (
        ("institution", study.institution, rule.institutions),
        ("ward", study.ward, rule.wards),
        ("referring physician", study.referring_physician, rule.referring_physicians),
    ):
        if patterns:
            yield f"{what} {value}"
    if rule.max_age_days:
        yield f"of {study.date}"
    if rule.signed_report:
        yield "its report is final" if reported else "a report in it is verified"


def _date(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:])) if _DATE.fullmatch(text) else None
    except ValueError:
        return None
