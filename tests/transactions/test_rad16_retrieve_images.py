"""RAD-16: which instances are sent, on whose decision, and what is on record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.audit_samples import facts as sample_facts
from tests.transactions import test_rad69_retrieve_imaging_document_set as images
from tests.transactions.ports import Manifests, Pacs, served
from xdsi.domain.audit import StudyFacts
from xdsi.domain.move import MoveAnswer, MoveRequest
from xdsi.transactions import rad16_retrieve_images as rad16

OTHER = replace(images.MANIFEST, unique_id="2.25.2")
BOTH = images.ports(
    images.STUDY, images.study("1.2.4"), manifests=Manifests({"1.2.3": images.MANIFEST, "1.2.4": OTHER})
)


def asked(*study: str, series: tuple[str, ...] = (), sop: tuple[str, ...] = ()) -> MoveRequest:
    return MoveRequest(study_uids=study or ("1.2.3",), series_uids=series, sop_uids=sop)


def moved(request: MoveRequest, ports: Any = BOTH, **arguments: Any) -> MoveAnswer:
    answer: MoveAnswer = served(rad16.TRANSACTION, request, ports, **arguments)
    return answer


def uids(answer: MoveAnswer) -> list[str]:
    return [one.instance.sop_instance_uid for one in answer.instances]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (asked(), ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]),
        (asked(series=("1.2.3.1",)), ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]),
        (asked(series=("1.2.3.9",)), []),
        (asked(series=("1.2.3.1",), sop=("1.2.3.1.2", "1.2.3.1.2", "1.2.3.1.9")), ["1.2.3.1.2"]),
        (asked(series=("1.2.3.2",), sop=("1.2.3.1.2",)), []),
        (asked("1.2.9"), []),
    ],
)
def test_what_is_asked_for_is_sent(request_: MoveRequest, expected: list[str]) -> None:
    assert uids(moved(request_)) == expected


def test_what_cannot_be_read_at_present_is_among_what_is_to_be_sent_so_that_it_counts_as_failed() -> None:
    (series,) = images.STUDY.series
    unsaid = replace(
        images.STUDY,
        series=(replace(series, instances=tuple(replace(one, transfer_syntax_uid="") for one in series.instances)),),
    )
    lost = images.ports(instances=Pacs(unsaid, lost=["1.2.3.1.2"]))
    for request in (asked(), asked(series=("1.2.3.1",), sop=("1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"))):
        assert uids(moved(request, lost)) == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]
    assert moved(asked(series=("1.2.3.1",), sop=("1.2.3.1.2",)), lost, denied=["2.25.1"]) == moved(asked("1.2.9"))


def test_each_study_has_its_decision() -> None:
    request = asked("1.2.3", "1.2.4", "1.2.3")
    assert rad16.locate(request, BOTH, None).resources == (images.MANIFEST, OTHER)  # type: ignore[arg-type]
    assert uids(moved(request, denied=["2.25.1"])) == ["1.2.4.1.1", "1.2.4.1.2", "1.2.4.1.3"]
    assert moved(asked(), denied=["2.25.1"]) == moved(asked("1.2.9"))
    assert moved(asked(), images.ports(manifests=Manifests())) == moved(asked("1.2.9"))


def test_more_than_may_be_asked_for_at_once() -> None:
    few = images.ports(max_instances=2)
    assert [one.code for one in moved(asked(), few).outcome.errors] == ["limit"]
    assert moved(asked(), few, denied=["2.25.1"]) == moved(asked("1.2.9"))


def test_the_audit_record_has_a_failure_for_each_study_that_is_not_sent() -> None:
    request = asked("1.2.3", "1.2.4")
    answer = moved(request, denied=["2.25.2"])
    sent, refused = rad16.facts(request, answer, sample_facts("RAD-16")).studies
    classes = ((images.imaging.CT_CLASS, ("1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3")),)
    assert (sent.study_instance_uid, sent.instances, sent.outcome) == ("1.2.3", classes, 0)
    assert (refused.study_instance_uid, refused.outcome) == ("1.2.4", 8)
    assert rad16.unsent(answer, ["1.2.3.1.2"], sample_facts("RAD-16")).studies == (
        StudyFacts(study_instance_uid="1.2.3", instances=(("", ("1.2.3.1.2",)),), outcome=8),
    )
