"""storage/transcoding: in a process of its own, whose end is an answer and whose files do not stay."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pydicom
import pytest

from tests.imaging import FILES, STUDIES
from xdsi.domain.errors import Refused, Unavailable
from xdsi.domain.imaging import Instance
from xdsi.storage import transcoding
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.storage.transcoding import SubprocessTranscoder

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def some(syntax: str = EXPLICIT) -> Instance:
    found = (one for study in FolderPacs(STUDIES).studies() for one in study.instances)
    return next(one for one in found if one.transfer_syntax_uid == syntax)


def transcoder(folder: Path) -> SubprocessTranscoder:
    return SubprocessTranscoder(lambda instance: nullcontext(STUDIES / instance.locator), folder)


def test_the_result_is_whole_and_goes_when_nobody_needs_it(tmp_path: Path) -> None:
    document = transcoder(tmp_path / "t").transcode(some(), [IMPLICIT])
    content = b"".join(document.open())
    assert len(content) == document.size
    assert b"".join(document.open()) == content
    (file,) = (tmp_path / "t").iterdir()
    assert pydicom.dcmread(file).file_meta.TransferSyntaxUID == IMPLICIT
    del document
    gc.collect()
    assert list((tmp_path / "t").iterdir()) == []


def test_a_folder_named_as_the_program_does_not_take_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xdsi").mkdir()
    monkeypatch.chdir(tmp_path)
    assert transcoder(tmp_path / "t").transcode(some(), [IMPLICIT]).size > 0


def test_what_cannot_be_made_is_refused_with_the_reason(tmp_path: Path) -> None:
    wrong = SubprocessTranscoder(lambda instance: nullcontext(FILES / "badVR.dcm"), tmp_path / "t")
    (tmp_path / "no.dcm").write_bytes(b"no image")
    none = SubprocessTranscoder(lambda instance: nullcontext(tmp_path / "no.dcm"), tmp_path / "t")
    with pytest.raises(Refused, match=r"not a DICOM file"):
        none.transcode(some(), [IMPLICIT])
    with pytest.raises(Refused):
        wrong.transcode(some(), ["1.2.840.10008.1.2.4.50"])
    gc.collect()
    assert list((tmp_path / "t").iterdir()) == []


def test_a_file_that_changed_while_it_was_transcoded_is_not_given_out(tmp_path: Path) -> None:
    @contextmanager
    def file_of(instance: Instance) -> Iterator[Path]:
        yield STUDIES / instance.locator
        raise Unavailable("has changed since it was read")

    with pytest.raises(Unavailable, match="has changed"):
        SubprocessTranscoder(file_of, tmp_path / "t").transcode(some(), [IMPLICIT])
    gc.collect()
    assert list((tmp_path / "t").iterdir()) == []


def test_a_process_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcoding, "_SECONDS", 0.01)
    with pytest.raises(Refused, match="longer than"):
        transcoder(tmp_path / "t").transcode(some(), [IMPLICIT])


def test_a_folder_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    one = transcoder(tmp_path / "t")
    (tmp_path / "t").rmdir()
    with pytest.raises((Unavailable, Refused)):
        one.transcode(some(), [IMPLICIT])


def test_the_process_bounds_itself(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import resource\nfrom xdsi.storage.transcoding import limit\nlimit()\n"
         "print(resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_CPU)[0])"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert said.stdout.split() == [str(4 * 1024**3), "60"]
