"""WADO-RS paths, forms and answers (DICOM PS3.18 sections 8.7 and 10.4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from email.parser import BytesParser
from io import BytesIO
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import imaging
from xdsi.domain.errors import IntegrityLost, MalformedMessage
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.submission import Document
from xdsi.domain.wado import Acceptable, Representation, WadoAnswer, WadoPart, WadoRequest
from xdsi.wire.dicom_metadata import metadata
from xdsi.wire.http import HttpRequest
from xdsi.wire.wado_rs import read_request, write_answer

EXPLICIT = "1.2.840.10008.1.2.1"
LATIN = st.characters(codec="latin-1")
INSTANCE = imaging.study().series[0].instances[0]


def asked(path: str, accept: str = "", *query: tuple[str, str]) -> WadoRequest | None:
    return read_request(HttpRequest(path=path, query=query, headers={"accept": accept}, url="https://h/dicom-web"))


@pytest.mark.parametrize(
    ("path", "uids", "representation"),
    [
        ("/studies/1.2", ("1.2", "", ""), "instances"),
        ("/studies/1.2/", ("1.2", "", ""), "instances"),
        ("/studies/1.2/series/1.3", ("1.2", "1.3", ""), "instances"),
        ("/studies/1.2/series/1.3/instances/1.4", ("1.2", "1.3", "1.4"), "instances"),
        ("/studies/1.2/metadata", ("1.2", "", ""), "metadata"),
        ("/studies/1.2/series/1.3/metadata", ("1.2", "1.3", ""), "metadata"),
        ("/studies/1.2/rendered", ("1.2", "", ""), "rendered"),
        ("/studies/1.2/series/1.3/instances/1.4/frames/3,1,3", ("1.2", "1.3", "1.4"), "frames"),
        ("/studies/1.2/series/1.3/instances/1.4/frames/2/rendered", ("1.2", "1.3", "1.4"), "rendered"),
        ("/studies/1.2/series/1.3/instances/1.4/bulkdata/00081140/2/7FE00010", ("1.2", "1.3", "1.4"), "bulkdata"),
    ],
)
def test_paths(path: str, uids: tuple[str, str, str], representation: str) -> None:
    request = asked(path)
    assert request is not None
    assert (request.study_uid, request.series_uid, request.sop_uid) == uids
    assert request.representation == representation
    assert request.frames == {"3,1,3": (3, 1), "2/rendered": (2,)}.get(path.partition("/frames/")[2], ())
    assert request.path == ((0x00081140, 2, 0x7FE00010) if representation == "bulkdata" else ())


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/studies", "/studies/", "/studies/1.2/series", "/studies/1.2/instances/1.4", "/studies/1.2/frames/1",
        "/studies/1.2/series/1.3/bulkdata/7FE00010", "/studies/1.2/thumbnail", "/studies/1.2/series/1.3/instances/1/x",
        "//studies/1.2",
    ],
)  # fmt: skip
def test_what_is_no_resource(path: str) -> None:
    assert asked(path) is None


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/studies/1.2.", ()), ("/studies/..", ()), ("/studies/" + "1" * 65, ()), ("/studies/1.2%2e", ()),
        ("/studies/1.2/series/1.3/instances/1.4/frames/0", ()), ("/studies/1.2/series/1.3/instances/1.4/frames/x", ()),
        ("/studies/1.2/series/1.3/instances/1.4/bulkdata/../x", ()),
        ("/studies/1.2/rendered", (("viewport", "0,1"),)), ("/studies/1.2/rendered", (("viewport", "99999,1"),)),
        ("/studies/1.2/rendered", (("viewport", "1,1,0,0,5,5"),)), ("/studies/1.2/rendered", (("window", "1"),)),
        ("/studies/1.2/rendered", (("window", "nan,1"),)), ("/studies/1.2/rendered", (("window", "1,0"),)),
        ("/studies/1.2/rendered", (("window", "1,2,curly"),)), ("/studies/1.2/rendered", (("quality", "0"),)),
        ("/studies/1.2/rendered", (("annotation", "patient"),)), ("/studies/1.2", (("accept", "x"),)),
        ("/studies/1.2", (("accept", "a/b"), ("accept", "a/b"))),
    ],
)  # fmt: skip
def test_what_is_badly_asked(path: str, query: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(MalformedMessage):
        asked(path, "", *query)


@given(st.text(alphabet=LATIN, max_size=200), st.text(alphabet=LATIN, max_size=100))
def test_whatever_comes_is_read_or_refused(path: str, accept: str) -> None:
    for prefix in ("", "/studies/1.2", "/studies/1.2/series/1.3/instances/1.4/"):
        try:
            asked(prefix + path, accept)
        except MalformedMessage:
            continue


SEVERAL = {"multipart": True}


@pytest.mark.parametrize(
    ("rest", "accept", "expected"),
    [
        ("", "", [("application/dicom", EXPLICIT, True, 1.0)]),
        ("", "*/*", [("application/dicom", EXPLICIT, True, 1.0)]),
        ("", 'multipart/related; type="application/dicom"', [("application/dicom", EXPLICIT, True, 1.0)]),
        ("", "multipart/related; type=application/dicom; transfer-syntax=*", [("application/dicom", "*", True, 1.0)]),
        ("", 'multipart/related; type="application/dicom"; transfer-syntax=1.2.3; q=0.3, application/dicom',
         [("application/dicom", EXPLICIT, False, 1.0), ("application/dicom", "1.2.3", True, 0.3)]),
        ("", "multipart/related", [("application/dicom", EXPLICIT, True, 1.0)]),
        ("", 'multipart/related; type="application/octet-stream"', []),
        ("", "text/html", []),
        ("/metadata", "application/json", [("application/dicom+json", "", False, 1.0)]),
        ("/metadata", 'multipart/related; type="application/dicom+xml"', []),
        ("/rendered", "image/png;q=0.5, image/jpeg", [("image/jpeg", "", False, 1.0), ("image/png", "", False, 0.5)]),
        ("/rendered", "image/gif", []),
        ("/frames/1", "", [("application/octet-stream", EXPLICIT, True, 1.0)]),
        ("/frames/1", 'multipart/related; type="image/jp2"', [("image/jp2", "1.2.840.10008.1.2.4.90", True, 1.0)]),
        ("/bulkdata/7FE00010", "application/octet-stream", [("application/octet-stream", "", False, 1.0)]),
    ],
)  # fmt: skip
def test_forms(rest: str, accept: str, expected: list[tuple[str, str, bool, float]]) -> None:
    request = asked(f"/studies/1.2/series/1.3/instances/1.4{rest}", accept)
    assert request is not None
    assert [(one.media_type, one.transfer_syntax, one.multipart, one.q) for one in request.accept] == expected
    beside = asked(f"/studies/1.2/series/1.3/instances/1.4{rest}", "text/nothing", ("accept", accept or "*/*"))
    assert beside == request, "the parameter counts where there is one"


def part(content: bytes, size: int | None = None, **changes: Any) -> WadoPart:
    document = Document(open=lambda: iter((content,)), size=len(content) if size is None else size)
    given: dict[str, Any] = {
        "instance": INSTANCE, "series_uid": "1.2.3.1", "media_type": "application/dicom", "document": document,
        "transfer_syntax": EXPLICIT,
    }  # fmt: skip
    return WadoPart(**given | changes)


HTTP = HttpRequest(path="", url="https://h/dicom-web")
REQUEST = WadoRequest(study_uid="1.2.3", accept=(Acceptable("application/dicom", "*", True),))


def written(*parts: WadoPart, multipart: bool = True, problems: tuple[Problem, ...] = ()) -> Any:
    answer = WadoAnswer(outcome=Outcome(problems, len(parts)), parts=parts, multipart=multipart)
    return write_answer(answer, REQUEST, HTTP)


@pytest.mark.parametrize("size", [None, 0], ids=["size known", "size unknown"])
def test_parts_are_read_by_others(size: int | None) -> None:
    answer = written(part(b"one\r\n--", size), part(b"two" * 1000, size))
    body = b"".join(answer.body)
    assert answer.length == (len(body) if size is None else None)
    message = BytesParser().parsebytes(f"Content-Type: {answer.content_type}\r\n\r\n".encode() + body)
    first, second = message.get_payload()  # type: ignore[misc]
    assert first["Content-Type"] == f"application/dicom; transfer-syntax={EXPLICIT}"  # type: ignore[index]
    place = f"https://h/dicom-web/studies/1.2.3/series/1.2.3.1/instances/{INSTANCE.sop_instance_uid}"
    assert first["Content-Location"] == place  # type: ignore[index]
    assert second.get_payload(decode=True) == b"two" * 1000  # type: ignore[union-attr]
    assert first.get_payload(decode=True) == b"one\r\n--"  # type: ignore[union-attr]


def test_each_part_is_opened_in_its_turn_and_none_is_held() -> None:
    opened: list[int] = []

    def document(number: int) -> Document:
        def chunks() -> Iterator[bytes]:
            opened.append(number)
            yield from (bytes(1024) for _ in range(64))

        return Document(open=chunks, size=64 * 1024)

    answer = written(*(part(b"", document=document(n)) for n in range(100)))
    largest = 0
    for piece in answer.body:
        largest = max(largest, len(piece))
        if len(piece) == 1024:
            assert len(opened) <= 100
    assert opened == list(range(100))
    assert largest <= 1024
    assert answer.length is not None
    first = iter(written(*(part(b"", document=document(n)) for n in range(100))).body)
    opened.clear()
    next(first)
    next(first)
    assert opened == [0], "nothing is read before its turn"


def test_a_part_that_turns_out_shorter_breaks_the_answer_off() -> None:
    answer = written(part(b"one", 7))
    with pytest.raises(IntegrityLost):
        b"".join(answer.body)


def test_nothing_from_an_image_ends_a_header() -> None:
    evil = replace(INSTANCE, sop_instance_uid="1.2\r\nSet-Cookie: x")
    body = b"".join(written(part(b"x", instance=evil)).body)
    assert b"Set-Cookie" not in body


def test_some_left_out_is_206_with_a_warning() -> None:
    answer = written(part(b"x"), problems=(Problem("503", "away", "1.2"),))
    assert (answer.status, dict(answer.headers)["Warning"]) == (206, '299 - "1 left out"')
    nothing = written(problems=(Problem("503", "away", "1.2"),))
    assert (nothing.status, b"".join(nothing.body)) == (503, b"away\n")


# -- metadata


def chunks(raw: bytes, size: int = 1000) -> Iterator[bytes]:
    return (raw[at : at + size] for at in range(0, len(raw), size))


FILES = [path for path in imaging.pydicom_files() if path.suffix == ".dcm"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", FILES[:: max(1, len(FILES) // 40)], ids=lambda path: path.name)
def test_metadata_hold_what_pydicom_reads(path: Any) -> None:
    raw = path.read_bytes()
    try:
        expected = pydicom.dcmread(BytesIO(raw))
        said = metadata(chunks(raw), "https://h")
    except (MalformedMessage, pydicom.errors.InvalidDicomError):
        return
    json.loads(json.dumps(said))
    for tag in expected.keys() & {int(name, 16) for name in said}:
        assert said[f"{tag:08X}"]["vr"] == str(expected[tag].VR) or tag == 0x7FE00010
    assert ("7FE00010" in said) is ("PixelData" in expected)


def test_reading_stops_before_the_pixels() -> None:
    raw = (imaging.FILES / "CT_small.dcm").read_bytes()
    taken = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for chunk in chunks(raw, 512):
            taken += len(chunk)
            yield chunk

    said = metadata(counted(), "https://h")
    assert said["7FE00010"]["BulkDataURI"].endswith("/bulkdata/7FE00010")
    assert taken < len(raw) - 30_000


@pytest.mark.parametrize("raw", [b"", b"x" * 200, b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 100])
def test_what_is_no_instance_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        metadata(chunks(raw), "https://h")


def test_representations_have_the_words_of_the_paths() -> None:
    assert {one.value for one in Representation} == {"instances", "metadata", "rendered", "frames", "bulkdata"}
