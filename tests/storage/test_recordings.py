"""storage/recordings: the bytes of an exchange, both ways."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from xdsi.storage.recordings import FileRecording

TRACE = "ab" * 16


def names(folder: Path) -> list[str]:
    return sorted(path.name.partition("-")[2] for path in folder.iterdir())


@pytest.mark.parametrize(
    ("packaging", "answer", "expected"),
    [("simple", b"<a/>", ("xml", "xml")), ("mtom", b"--x\r\n", ("mime", "mime")), ("mtom", b"<a/>", ("mime", "xml"))],
)
def test_an_exchange_leaves_two_files(tmp_path: Path, packaging: str, answer: bytes, expected: tuple[str, ...]) -> None:
    recording = FileRecording(tmp_path / "out", TRACE)
    for piece in (b"one ", b"two"):
        recording.request(piece)
    recording.name("ITI-18", packaging)
    for piece in (answer, b"more"):
        recording.response(piece)
    recording.close()
    asked, answered = expected
    assert names(tmp_path / "out") == sorted([f"ITI-18-{TRACE}-request.{asked}", f"ITI-18-{TRACE}-response.{answered}"])
    (request,) = (tmp_path / "out").glob("*request*")
    (response,) = (tmp_path / "out").glob("*response*")
    assert (request.read_bytes(), response.read_bytes()) == (b"one two", answer + b"more")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_what_it_was_may_never_be_known(tmp_path: Path) -> None:
    recording = FileRecording(tmp_path, TRACE)
    recording.request(b"hello")
    recording.response(b"<fault/>")
    recording.close()
    assert names(tmp_path) == [f"unknown-{TRACE}-request.xml", f"unknown-{TRACE}-response.xml"]


def test_nothing_came(tmp_path: Path) -> None:
    recording = FileRecording(tmp_path, TRACE)
    recording.close()
    assert names(tmp_path) == []
