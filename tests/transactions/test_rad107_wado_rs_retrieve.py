"""RAD-107: what is given out of a study, in which form, on whose decision, and what is on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.audit_samples import facts as sample_facts
from tests.transactions import test_rad69_retrieve_imaging_document_set as images
from tests.transactions.ports import Pacs, Transcoder, content_of, served
from xdsi.domain.audit import StudyFacts
from xdsi.domain.errors import Refused
from xdsi.domain.imaging import Instance
from xdsi.domain.submission import Document
from xdsi.domain.wado import Acceptable, Representation, View, WadoAnswer, WadoRequest
from xdsi.rules.image_access import WadoPorts
from xdsi.transactions import rad107_wado_rs_retrieve as rad107

DICOM = "application/dicom"
ANY = (Acceptable(DICOM, "*", True),)


@dataclass
class Pictures:
    """Makes content that says what it is, or raises."""

    error: Exception | None = None
    made: list[str] = field(default_factory=list)

    def _one(self, text: str) -> Document:
        if self.error is not None:
            raise self.error
        self.made.append(text)
        return Document(lambda: iter((text.encode(),)), len(text))

    def rendered(self, instance: Instance, view: View) -> Document:
        return self._one(f"picture {view.frame} of {instance.sop_instance_uid}")

    def frames(self, instance: Instance, numbers: Sequence[int], *, native: bool) -> Sequence[tuple[str, Document]]:
        syntax = images.EXPLICIT if native else instance.transfer_syntax_uid
        return [(syntax, self._one(f"frame {n}")) for n in numbers]

    def bulkdata(self, instance: Instance, path: Sequence[int]) -> Document:
        return self._one(f"value {path}")


def ports(*studies: Any, pictures: Pictures | None = None, **changes: Any) -> WadoPorts:
    return WadoPorts(images=images.ports(*studies, **changes), pictures=pictures or Pictures())


def asked(sop: str = "", accept: tuple[Acceptable, ...] = ANY, **changes: Any) -> WadoRequest:
    given: dict[str, Any] = {"study_uid": "1.2.3", "accept": accept}
    if sop:
        given |= {"series_uid": "1.2.3.1", "sop_uid": sop}
    return WadoRequest(**given | changes)


def retrieved(request: WadoRequest, given: WadoPorts | None = None, **arguments: Any) -> WadoAnswer:
    answer: WadoAnswer = served(rad107.TRANSACTION, request, given or ports(), **arguments)
    return answer


def uids(answer: WadoAnswer) -> list[str]:
    return [part.instance.sop_instance_uid for part in answer.parts]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (asked(), ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]),
        (asked(series_uid="1.2.3.1"), ["1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"]),
        (asked("1.2.3.1.2"), ["1.2.3.1.2"]),
        (asked(series_uid="1.2.3.2"), []),
        (asked("1.2.3.1.2", series_uid="1.2.3.2"), []),
        (asked("1.2.3.1.9"), []),
        (asked(study_uid="1.2.9"), []),
    ],
)
def test_what_is_asked_for_is_given_out(request_: WadoRequest, expected: list[str]) -> None:
    answer = retrieved(request_)
    assert (uids(answer), answer.status) == (expected, 200 if expected else 404)
    assert [content_of(part.document) for part in answer.parts] == [uid.encode() for uid in expected]


def test_the_decision_is_on_the_manifest_and_what_is_refused_is_not_there() -> None:
    assert rad107.locate(asked(), ports(), None).resources == (images.MANIFEST,)  # type: ignore[arg-type]
    denied = retrieved(asked(), denied=["2.25.1"])
    assert denied == retrieved(asked(study_uid="1.2.9")) == retrieved(asked("1.2.3.1.1"), denied=["2.25.1"])
    assert denied.status == 404
    unpublished = ports(manifests=images.Manifests())
    assert retrieved(asked(), unpublished) == denied


def test_a_refused_request_opens_nothing_to_find_out() -> None:
    pictures = Pictures()
    for representation in Representation:
        request = asked("1.2.3.1.1", representation=representation, frames=(1,), path=(0x7FE00010,))
        troubled = ports(instances=Pacs(images.STUDY, unreadable=["1.2.3.1.1"]), pictures=pictures)
        assert retrieved(request, troubled, denied=["2.25.1"]).status == 404
    assert pictures.made == []


def test_an_instance_that_cannot_be_read_is_left_out() -> None:
    troubled = ports(instances=Pacs(images.STUDY, unreadable=["1.2.3.1.2"]))
    answer = retrieved(asked(), troubled)
    assert (uids(answer), answer.status) == (["1.2.3.1.1", "1.2.3.1.3"], 206)
    assert retrieved(asked("1.2.3.1.2"), troubled).status == 503


MIXED = replace(
    images.STUDY,
    series=(
        replace(
            images.STUDY.series[0],
            instances=(
                images.STUDY.series[0].instances[0],
                replace(images.STUDY.series[0].instances[1], transfer_syntax_uid="1.2.840.10008.1.2.4.90"),
            ),
        ),
    ),
)


@pytest.mark.parametrize(
    ("accept", "error", "expected", "status"),
    [
        ((Acceptable(DICOM, "*", True),), None, [b"1.2.3.1.1", b"1.2.3.1.2"], 200),
        ((Acceptable(DICOM, images.EXPLICIT, True),), None,
         [b"1.2.3.1.1", f"1.2.3.1.2 in {images.EXPLICIT}".encode()], 200),
        ((Acceptable(DICOM, images.EXPLICIT, True),), Refused("lossy"), [b"1.2.3.1.1"], 206),
        ((Acceptable(DICOM, "1.2.9", True),), Refused("lossy"), [], 406),
        ((Acceptable(DICOM, images.EXPLICIT, True, 1.0), Acceptable(DICOM, "*", True, 0.5)), Refused("lossy"),
         [b"1.2.3.1.1", b"1.2.3.1.2"], 200),
        ((Acceptable(DICOM, images.EXPLICIT, True), Acceptable(DICOM, "1.2.840.10008.1.2.4.90", True)), None,
         [b"1.2.3.1.1", b"1.2.3.1.2"], 200),
        ((), None, [], 406),
        ((Acceptable(DICOM, "*"),), None, [], 406),
    ],
)  # fmt: skip
def test_the_most_welcome_form_that_can_be_made(
    accept: tuple[Acceptable, ...], error: Exception | None, expected: list[bytes], status: int
) -> None:
    answer = retrieved(asked(accept=accept), ports(MIXED, transcoder=Transcoder(error)))
    assert [content_of(part.document) for part in answer.parts] == expected
    assert answer.status == status


def test_an_unacceptable_form_tells_nothing_of_what_is_there() -> None:
    there = retrieved(asked(accept=()), denied=["2.25.1"])
    assert there == retrieved(asked(accept=(), study_uid="1.2.9"))
    assert there.status == 406


@pytest.mark.parametrize(
    ("stored", "accept", "media_type", "syntax"),
    [
        (images.EXPLICIT, Acceptable("application/octet-stream", images.EXPLICIT, True), "application/octet-stream",
         images.EXPLICIT),
        ("1.2.840.10008.1.2.4.90", Acceptable("application/octet-stream", "*", True), "image/jp2",
         "1.2.840.10008.1.2.4.90"),
        ("1.2.840.10008.1.2.4.90", Acceptable("image/jp2", "*", True), "image/jp2", "1.2.840.10008.1.2.4.90"),
        ("1.2.840.10008.1.2.4.90", Acceptable("application/octet-stream", images.EXPLICIT, True),
         "application/octet-stream", images.EXPLICIT),
        ("1.2.840.10008.1.2.4.90", Acceptable("image/jls", "*", True), "", ""),
    ],
)  # fmt: skip
def test_frames(stored: str, accept: Acceptable, media_type: str, syntax: str) -> None:
    one = replace(images.STUDY.series[0].instances[0], transfer_syntax_uid=stored)
    held = replace(images.STUDY, series=(replace(images.STUDY.series[0], instances=(one,)),))
    request = asked("1.2.3.1.1", (accept,), representation=Representation.FRAMES, frames=(2, 1))
    answer = retrieved(request, ports(held))
    found = [(part.media_type, part.transfer_syntax, part.frame) for part in answer.parts]
    assert found == ([(media_type, syntax, 2), (media_type, syntax, 1)] if media_type else [])
    assert answer.status == (200 if media_type else 406)


def test_what_is_not_in_an_instance_is_404() -> None:
    request = asked("1.2.3.1.1", representation=Representation.BULKDATA, path=(1,))
    assert retrieved(request, ports(pictures=Pictures(LookupError("no such element")))).status == 404


def test_more_than_may_be_asked_for_at_once() -> None:
    assert retrieved(asked(), ports(max_instances=2)).status == 413
    assert retrieved(asked(), ports(max_instances=2), denied=["2.25.1"]).status == 404


def test_pictures_of_everything_take_their_time_and_no_more() -> None:
    pictures = Pictures()
    request = asked(accept=(Acceptable("image/jpeg"),), representation=Representation.RENDERED)
    answer = retrieved(request, ports(pictures=pictures, transcoding_seconds=0.0))
    assert (len(pictures.made), answer.status, answer.multipart) == (1, 206, True)


def test_the_audit_record_says_what_left_and_what_did_not() -> None:
    troubled = ports(instances=Pacs(images.STUDY, unreadable=["1.2.3.1.2"]))
    described = rad107.facts(asked(), retrieved(asked(), troubled), sample_facts("RAD-107"))
    given, missing = described.studies
    assert given.instances == ((images.imaging.CT_CLASS, ("1.2.3.1.1", "1.2.3.1.3")),)
    assert (given.outcome, given.series) == (0, ("1.2.3.1",))
    assert missing == StudyFacts(study_instance_uid="1.2.3", instances=(("", ("1.2.3.1.2",)),), outcome=8)
    (refused,) = rad107.facts(asked("1.2.3.1.1"), None, sample_facts("RAD-107")).studies
    assert (refused.instances, refused.outcome) == ((("", ("1.2.3.1.1",)),), 8)
