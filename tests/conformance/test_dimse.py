"""The runner's DIMSE: what it says of an imaging source that is not there, falls silent or sends something else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt

from tests.servers import free_port
from xdsi.conformance import FOLDER, Endpoint, Entities, Finding, TemplateError, load, load_case, run
from xdsi.conformance.options import endpoint_of, parser

MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
IMAGE = FOLDER / "dicom" / "a-1.dcm"
WHOLE = 'level = "STUDY"\nkeys = { StudyInstanceUID = "${study}" }'
ONE = 'dimse = { status = "0000", completed = 1 }\ndelivered = [{ id = "${image_a1}", document = "a" }]'


@contextmanager
def source(port: int, *images: Dataset) -> Iterator[str]:
    """An imaging source that sends these to whoever asks."""

    def move(event: Any) -> Iterator[Any]:
        yield (
            "127.0.0.1",
            port,
            {"contexts": [build_context(IMAGES, one.file_meta.TransferSyntaxUID) for one in images]},
        )
        yield len(images)
        for one in images:
            yield 0xFF00, one

    entity = AE(ae_title="XDSI")
    entity.add_supported_context(MOVE)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_MOVE, move)])
    assert server is not None
    try:
        yield f"dicom://127.0.0.1:{server.socket.getsockname()[1]}"
    finally:
        entity.shutdown()


IMAGES = "1.2.840.10008.5.1.4.1.1.7"


def played(folder: Path, url: str, port: int, expect: str = ONE, ask: str = WHOLE, **how: Any) -> tuple[Finding, ...]:
    """What is found in one step."""
    case = folder / "9999-moved"
    case.mkdir()
    (case / "a.dcm").write_bytes(IMAGE.read_bytes())
    (case / "expectation.toml").write_text(
        'title = "x"\nclause = "y"\ndocuments.a.file = "a.dcm"\n[[step]]\ntransaction = "RAD-16"\n'
        f"[step.dimse]\n{ask}\n[step.expect]\n{expect}\n"
    )
    endpoint = Endpoint("http://127.0.0.1:1", dimse=Entities(url, port=port), **({"timeout": 10} | how))
    return run(load_case(case), endpoint)


def test_an_image_that_comes(tmp_path: Path) -> None:
    port = free_port()
    with source(port, dcmread(IMAGE)) as url:
        assert played(tmp_path, url, port) == ()


def test_another_image_of_that_name_is_found_out(tmp_path: Path) -> None:
    port, other = free_port(), dcmread(IMAGE)
    other.PatientName = "Somebody^Else"
    with source(port, other) as url:
        (finding,) = played(tmp_path, url, port)
    assert "with the attributes of a" in str(finding)


def test_an_image_that_does_not_come_is_found_out(tmp_path: Path) -> None:
    port, other = free_port(), dcmread(FOLDER / "dicom" / "a-2.dcm")
    with source(port, other) as url:
        (finding,) = played(tmp_path, url, port)
    assert "once" in str(finding)


def test_more_than_is_taken_ends_the_exchange(tmp_path: Path) -> None:
    port = free_port()
    with source(port, dcmread(IMAGE)) as url:
        (finding,) = played(tmp_path, url, port, largest_answer=900)
    assert "--max-answer" in str(finding)


def test_who_falls_silent_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"dicom://127.0.0.1:{silent.getsockname()[1]}"
        (finding,) = played(tmp_path, url, free_port(), timeout=60, deadline=0.3)
    assert "an answer" in str(finding)


def test_nobody_there_is_a_finding(tmp_path: Path) -> None:
    (finding,) = played(tmp_path, f"dicom://127.0.0.1:{free_port()}", free_port())
    assert "no association" in str(finding)


def test_a_port_that_others_have_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (finding,) = played(tmp_path, "dicom://127.0.0.1:1", taken.getsockname()[1])
    assert "--dimse-listen" in str(finding)


def test_without_an_address_the_cases_are_not_played() -> None:
    case = next(case for case in load() if case.number == "1702")
    assert "--dimse" in str(Endpoint("http://127.0.0.1:1").obstacles(case))


@pytest.mark.parametrize(
    ("ask", "expect", "told"),
    [
        (WHOLE, "documents = 1", "dimse.status or dimse.rejected"),
        ('verb = "find"', 'dimse.status = "0000"', "verb is 'find'"),
        ('level = "FRAME"', 'dimse.status = "0000"', "level is 'FRAME'"),
        ('keys.StudyUID = "1"', 'dimse.status = "0000"', "is 'StudyInstanceUID' meant?"),
        ('stores = ["full"]', 'dimse.status = "0000"', "four hexadecimal digits"),
        (WHOLE, 'dimse.rejected = "both"', "expected one of"),
    ],
)
def test_a_case_that_is_written_wrongly_is_told(tmp_path: Path, ask: str, expect: str, told: str) -> None:
    with pytest.raises(TemplateError, match="9999-moved") as refused:
        played(tmp_path, "dicom://127.0.0.1:1", 1, expect, ask)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--dimse", "127.0.0.1:104", "--dimse-listen", "105"], "expected dicom://"),
        (["--dimse", "dicom://127.0.0.1:104"], "--dimse-listen"),
        (["--dimse", "dicom://127.0.0.1:104", "--dimse-listen", "70000"], "--dimse-listen"),
        (["--dimse", "dicom://127.0.0.1:104", "--dimse-listen", "1", "--dimse-called", "A" * 17], "AE title"),
        (["--dimse", "dicoms://127.0.0.1:104", "--dimse-listen", "105"], "--tls-cert"),
        (["--dimse-listen", "105"], "needs --dimse"),
    ],
)
def test_options_that_do_not_fit_are_told(options: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        endpoint_of(parser().parse_args(["--endpoint", "http://127.0.0.1:1", *options]))


def test_options_say_who_speaks_to_whom() -> None:
    options = ["--dimse", "dicom://pacs:104", "--dimse-called", "PACS", "--dimse-calling", "ME"]
    given = parser().parse_args(["--endpoint", "http://x:1", *options, "--dimse-listen", "0.0.0.0:105"])
    assert endpoint_of(given).dimse == Entities("dicom://pacs:104", "PACS", "ME", "0.0.0.0", 105)
