"""WADO-URI: parameters, forms, and the answers that the toolkit's cases expect (DICOM PS3.18 section 9)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transactions import test_rad69_retrieve_imaging_document_set as images
from tests.transactions.ports import Transcoder, content_of, served
from tests.transactions.test_rad107_wado_rs_retrieve import Pictures, ports
from xdsi.domain.errors import MalformedMessage, Refused
from xdsi.domain.wado import WadoAnswer, WadoRequest
from xdsi.transactions import rad55_wado_retrieve as rad55
from xdsi.wire.http import HttpRequest
from xdsi.wire.wado_uri import read_request, write_answer

UIDS = {"requestType": "WADO", "studyUID": "1.2.3", "seriesUID": "1.2.3.1", "objectUID": "1.2.3.1.1"}


def asked(accept: str = "", **parameters: str) -> WadoRequest:
    request = read_request(
        HttpRequest(path="", query=tuple((UIDS | parameters).items()), headers={"accept": accept}, url="https://h/wado")
    )
    assert request is not None
    return request


def retrieved(request: WadoRequest, given: Any = None, **arguments: Any) -> WadoAnswer:
    answer: WadoAnswer = served(rad55.TRANSACTION, request, given or ports(), **arguments)
    return answer


DICOM = {"contentType": "application/dicom"}


@pytest.mark.parametrize(
    ("accept", "parameters", "expected"),
    [
        ("", {}, ["image/jpeg", "image/png", "application/dicom"]),
        ("image/png", {}, ["image/png"]),
        ("image/*", {}, ["image/jpeg", "image/png"]),
        ("*/*", DICOM, ["application/dicom"]),
        ("", {"contentType": "application/dicom, image/jpeg"}, ["application/dicom", "image/jpeg"]),
        ("image/jpeg", {"contentType": "application/dicom"}, []),
        ("", {"contentType": "text/html"}, []),
        ("", {"rows": "10"}, ["image/jpeg", "image/png"]),
    ],
)
def test_forms(accept: str, parameters: dict[str, str], expected: list[str]) -> None:
    assert [one.media_type for one in asked(accept, **parameters).accept] == expected


@pytest.mark.parametrize(
    "parameters",
    [
        {"requestType": "QUERY"}, {"requestType": ""}, {"anonymize": "yes"}, {"annotation": "patient"},
        {"presentationUID": "1.2"}, {"windowCenter": "1"}, {"windowWidth": "1"}, {"rows": "0"}, {"columns": "x"},
        {"region": "0,0,2,1"}, {"region": "0.5,0,0.5,1"}, {"region": "0,0,1"}, {"frameNumber": "0"},
        {"imageQuality": "101"}, {"transferSyntax": "x"}, {"contentType": "x"},
    ],
)  # fmt: skip
def test_what_is_badly_asked(parameters: dict[str, str]) -> None:
    with pytest.raises(MalformedMessage):
        asked(**parameters)


@pytest.mark.parametrize("name", ["studyUID", "seriesUID", "objectUID"])
@pytest.mark.parametrize("uid", ["", "1.2.9", "..", "1.2.3.1.1\n", "1" * 65])
def test_a_uid_that_is_empty_unknown_or_wrong_is_not_found(name: str, uid: str) -> None:
    answer = retrieved(asked(**DICOM | {name: uid}))
    assert answer == retrieved(asked(**DICOM), denied=["2.25.1"])
    assert answer.status == 404


def test_an_instance_comes_as_it_is_kept_or_uncompressed() -> None:
    answer = retrieved(asked(**DICOM))
    assert [content_of(part.document) for part in answer.parts] == [b"1.2.3.1.1"]
    http = write_answer(answer, None, HttpRequest(path=""))
    assert (http.status, http.content_type, http.length) == (200, "application/dicom", 20)
    other = asked(transferSyntax="1.2.840.10008.1.2.4.90", **DICOM)
    kept = retrieved(other, ports(transcoder=Transcoder(Refused("lossy"))))
    assert [content_of(part.document) for part in kept.parts] == [b"1.2.3.1.1"]


def test_an_object_that_is_no_image_comes_itself_where_nothing_else_is_asked_for() -> None:
    no_image = ports(pictures=Pictures(Refused("no image")))
    assert [part.media_type for part in retrieved(asked(), no_image).parts] == ["application/dicom"]
    assert retrieved(asked("image/jpeg"), no_image).status == 406
    picture = retrieved(asked(frameNumber="3"))
    assert [content_of(part.document) for part in picture.parts] == [b"picture 3 of 1.2.3.1.1"]


def test_what_is_refused_is_not_there() -> None:
    for request in (asked(), asked(**DICOM), asked(rows="10")):
        assert retrieved(request, denied=["2.25.1"]) == retrieved(asked(**DICOM | {"objectUID": "1.2.9"}))
    assert rad55.locate(asked(), ports(), None).resources == (images.MANIFEST,)  # type: ignore[arg-type]


def test_nothing_is_served_below() -> None:
    assert read_request(HttpRequest(path="/x", query=tuple(UIDS.items()))) is None


@given(st.dictionaries(st.sampled_from([*UIDS, "rows", "region", "contentType", "windowCenter", "frameNumber"]),
                       st.text(alphabet=st.characters(codec="latin-1"), max_size=40)))  # fmt: skip
def test_whatever_comes_is_read_or_refused(parameters: dict[str, str]) -> None:
    try:
        retrieved(asked(**parameters))
    except MalformedMessage:
        return
