"""RAD-69: images go out on the decision about their study's manifest, in a syntax the consumer takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import imaging
from tests.audit_samples import facts as sample_facts
from tests.transactions.ports import Manifests, Pacs, Transcoder, codes, content_of, served
from xdsi.domain.audit import StudyFacts
from xdsi.domain.consent import Resource
from xdsi.domain.errors import MalformedMessage, Refused, Unavailable
from xdsi.domain.identifiers import PatientId
from xdsi.domain.imaging import ImagedPatient, ImagingRequest, Instance, SeriesRequest, Study, StudyRequest
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.retrieval import DocumentRequest, RetrieveAnswer
from xdsi.transactions import rad69_retrieve_imaging_document_set as rad69

HERE = "2.999.1.3"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
UNKNOWN = ("XDSDocumentUniqueIdError", "RAD69.instance")
MANIFEST = Resource(
    unique_id="2.25.1", repository_unique_id="2.999.1.2", patient=PatientId("P1", "2.999.1.1"),
    source_patient_id="L1^^^&1.2.40.1&ISO",
)  # fmt: skip


def study(uid: str = "1.2.3", count: int = 3) -> Study:
    series = imaging.series(count=count)
    instances = tuple(
        Instance(sop_class_uid=imaging.CT_CLASS, sop_instance_uid=f"{uid}.1.{n}", transfer_syntax_uid=EXPLICIT, size=20)
        for n in range(1, count + 1)
    )
    return replace(
        imaging.study(series=(replace(series, series_instance_uid=f"{uid}.1", instances=instances),)),
        study_instance_uid=uid,
    )


STUDY = study()


def ports(*studies: Study, **changes: Any) -> rad69.ImagingPorts:
    given: dict[str, Any] = {
        "retrieve_location_uid": HERE,
        "instances": Pacs(*(studies or (STUDY,))),
        "manifests": Manifests({"1.2.3": MANIFEST}),
        "transcoder": Transcoder(Refused("no")),
        "patient_id_authority": "1.2.40.9",
    }
    return rad69.ImagingPorts(**given | changes)


def wanted(*numbers: int, study: str = "1.2.3", series: str | None = None, location: str = HERE) -> StudyRequest:
    documents = tuple(DocumentRequest("", location, f"{study or '1.2.3'}.1.{n}") for n in numbers)
    return StudyRequest(study, (SeriesRequest(f"{study}.1" if series is None else series, documents),))


def asked(*studies: StudyRequest, syntaxes: tuple[str, ...] = (EXPLICIT,)) -> ImagingRequest:
    return ImagingRequest(studies, syntaxes)


def retrieved(request: ImagingRequest, ports: rad69.ImagingPorts, **arguments: Any) -> RetrieveAnswer:
    answer: RetrieveAnswer = served(rad69.TRANSACTION, request, ports, **arguments)
    return answer


def given_out(answer: RetrieveAnswer) -> list[str]:
    return [one.request.document_unique_id for one in answer.documents]


def test_instances_come_as_they_lie_in_the_order_asked_for() -> None:
    answer = retrieved(asked(wanted(3, 1)), ports())
    assert answer.outcome.status is Status.SUCCESS
    assert [(one.mime_type, content_of(one.document)) for one in answer.documents] == [
        ("application/dicom", b"1.2.3.1.3"),
        ("application/dicom", b"1.2.3.1.1"),
    ]


@pytest.mark.parametrize(("study", "series"), [("", "1.2.3.1"), ("1.2.3", ""), ("", "")])
def test_empty_uids(study: str, series: str) -> None:
    answer = retrieved(asked(wanted(1, study=study, series=series)), ports())
    assert codes(answer.outcome) == [("XDSIRequestError", "RAD69.uid.empty")]
    assert answer.outcome.status is Status.FAILURE


def test_another_location() -> None:
    answer = retrieved(asked(wanted(1, location="2.999.7"), wanted(2)), ports())
    assert codes(answer.outcome) == [("XDSUnknownRepositoryId", "RAD69.location")]
    assert (answer.outcome.status, given_out(answer)) == (Status.PARTIAL_SUCCESS, ["1.2.3.1.2"])


def test_an_instance_is_not_found_in_another_series() -> None:
    assert codes(retrieved(asked(wanted(1, series="1.2.3.2")), ports()).outcome) == [UNKNOWN]


def test_some_and_some_not_is_partial_success() -> None:
    answer = retrieved(asked(wanted(1, 9, 2)), ports())
    assert (answer.outcome.status, codes(answer.outcome)) == (Status.PARTIAL_SUCCESS, [UNKNOWN])
    assert answer.outcome.problems[0].location == "1.2.3.1.9"
    assert given_out(answer) == ["1.2.3.1.1", "1.2.3.1.2"]


@pytest.mark.parametrize("syntaxes", [(), ("",)])
def test_no_transfer_syntax_named(syntaxes: tuple[str, ...]) -> None:
    answer = retrieved(asked(wanted(1), syntaxes=syntaxes), ports())
    assert codes(answer.outcome) == [("XDSRepositoryError", "RAD69.transfer-syntax.empty")]
    assert answer.documents == ()


def test_another_syntax_is_made_where_the_kept_one_will_not_do() -> None:
    answer = retrieved(asked(wanted(1), syntaxes=(IMPLICIT,)), ports(transcoder=Transcoder()))
    assert content_of(answer.documents[0].document) == f"1.2.3.1.1 in {IMPLICIT}".encode()


@pytest.mark.parametrize("error", [Refused("lossy"), MalformedMessage("no pixels")])
def test_a_syntax_that_cannot_be_made_costs_that_instance_only(error: Exception) -> None:
    one = STUDY.series[0].instances[1]
    mixed = replace(
        STUDY, series=(replace(STUDY.series[0], instances=(STUDY.series[0].instances[0],
                                                           replace(one, transfer_syntax_uid="1.2.9"))),)
    )  # fmt: skip
    answer = retrieved(asked(wanted(1, 2)), ports(mixed, transcoder=Transcoder(error)))
    assert codes(answer.outcome) == [("XDSRepositoryError", "RAD69.transfer-syntax")]
    assert given_out(answer) == ["1.2.3.1.1"]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("trouble", ["unreadable", "lost"])
def test_a_file_that_cannot_be_read_costs_that_instance_only(syntax: str, trouble: str) -> None:
    troubled = Pacs(STUDY, **{trouble: ["1.2.3.1.2"]})
    answer = retrieved(asked(wanted(1, 2, 3), syntaxes=(syntax,)), ports(instances=troubled, transcoder=Transcoder()))
    assert codes(answer.outcome) == [("XDSRepositoryError", "RAD69.instance.unreadable")]
    assert (answer.outcome.status, given_out(answer)) == (Status.PARTIAL_SUCCESS, ["1.2.3.1.1", "1.2.3.1.3"])


def test_a_denied_instance_is_not_opened_to_find_out() -> None:
    troubled = ports(instances=Pacs(STUDY, unreadable=["1.2.3.1.1"]))
    assert codes(retrieved(asked(wanted(1)), troubled, denied=["2.25.1"]).outcome) == [UNKNOWN]


def test_a_disk_that_is_full_is_no_answer_about_an_instance() -> None:
    with pytest.raises(Unavailable):
        retrieved(asked(wanted(1), syntaxes=(IMPLICIT,)), ports(transcoder=Transcoder(Unavailable("full"))))


# -- what is decided on


def test_one_decision_per_study_however_often_it_is_named() -> None:
    request = asked(wanted(1, 2), wanted(3))
    located = rad69.locate(request, ports(), None)
    assert located.resources == (MANIFEST,)
    assert given_out(retrieved(request, ports())) == ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]


def test_a_study_is_judged_after_its_instances_were_found() -> None:
    """What is found after the judgement could be another patient's; what changes after it does not open any more."""
    asked_for: list[str] = []

    class Watched(Pacs):
        def locate(self, study_uid: str, series_uid: str, sop_uid: str) -> Instance | None:
            asked_for.append("instance")
            return super().locate(study_uid, series_uid, sop_uid)

        def study(self, study_instance_uid: str) -> Study | None:
            asked_for.append("study")
            return super().study(study_instance_uid)

    retrieved(asked(wanted(1, 2)), ports(instances=Watched(STUDY)))
    assert asked_for.index("study") > asked_for.index("instance") + 1


def test_two_studies_are_decided_on_apart() -> None:
    other = replace(MANIFEST, unique_id="2.25.2")
    both = ports(STUDY, study("1.2.4"), manifests=Manifests({"1.2.3": MANIFEST, "1.2.4": other}))
    request = asked(wanted(1), wanted(1, study="1.2.4"))
    assert rad69.locate(request, both, None).resources == (MANIFEST, other)
    answer = retrieved(request, both, denied=["2.25.1"])
    assert (given_out(answer), codes(answer.outcome)) == (["1.2.4.1.1"], [UNKNOWN])


def test_a_denied_study_is_answered_as_one_that_is_not_there() -> None:
    denied = retrieved(asked(wanted(1)), ports(), denied=["2.25.1"])
    missing = retrieved(asked(wanted(1)), ports(study("1.2.9")))
    assert denied == missing
    assert codes(denied.outcome) == [UNKNOWN]


def test_a_denied_instance_is_not_transcoded_to_find_out() -> None:
    answer = retrieved(asked(wanted(1), syntaxes=(IMPLICIT,)), ports(), denied=["2.25.1"])
    assert codes(answer.outcome) == [UNKNOWN]


def test_a_study_without_a_published_manifest_is_not_given_out() -> None:
    nothing = ports(manifests=Manifests())
    assert rad69.locate(asked(wanted(1)), nothing, None).resources == ()
    assert codes(retrieved(asked(wanted(1)), nothing).outcome) == [UNKNOWN]


@pytest.mark.parametrize(
    "patient", [ImagedPatient(id="L2", issuer="1.2.40.1"), ImagedPatient(id="L1"), ImagedPatient(name="Doe^Jo")]
)
def test_a_manifest_of_another_patient_opens_nothing(patient: ImagedPatient) -> None:
    images = ports(replace(STUDY, patient=patient))
    assert rad69.locate(asked(wanted(1)), images, None).resources == ()
    assert codes(retrieved(asked(wanted(1)), images).outcome) == [UNKNOWN]


def test_a_patient_without_an_issuer_is_the_departments() -> None:
    images = ports(replace(STUDY, patient=ImagedPatient(id="L1")), patient_id_authority="1.2.40.1")
    assert given_out(retrieved(asked(wanted(1)), images)) == ["1.2.3.1.1"]


def test_the_open_profile_gives_out_what_it_holds() -> None:
    nothing = ports(manifests=None)
    assert [one.unique_id for one in rad69.locate(asked(wanted(1)), nothing, None).resources] == ["1.2.3"]
    assert given_out(retrieved(asked(wanted(1)), nothing)) == ["1.2.3.1.1"]


def test_more_than_may_be_asked_for_at_once() -> None:
    few = ports(max_instances=2)
    request = asked(wanted(1, 2, 3))
    assert rad69.locate(request, few, None).resources == ()
    answer = retrieved(request, few)
    assert codes(answer.outcome) == [("XDSIRequestError", "RAD69.limit")]
    assert answer.documents == ()


# -- audit


def test_the_audit_record_splits_a_study_into_given_out_and_refused() -> None:
    request = asked(wanted(1, 9))
    described = rad69.facts(request, retrieved(request, ports()), sample_facts("RAD-69"))
    common: dict[str, Any] = {
        "study_instance_uid": "1.2.3",
        "series": ("1.2.3.1",),
        "repository_unique_id": HERE,
    }
    assert described.studies == (
        StudyFacts(instances=(("", ("1.2.3.1.1",)),), **common),
        StudyFacts(instances=(("", ("1.2.3.1.9",)),), outcome=8, **common),
    )
    assert [one.outcome for one in rad69.facts(request, None, sample_facts("RAD-69")).studies] == [8]


def test_refusals_give_nothing_out() -> None:
    problem = Problem("XDSIRequestError", "no")
    assert rad69.refuse(None, [problem]) == RetrieveAnswer(Outcome((problem,), 0))
