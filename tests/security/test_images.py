"""Requests for images that are meant to keep an imaging source busy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.storage import test_folder_pacs as folder_images
from tests.transactions import test_rad69_retrieve_imaging_document_set as images
from tests.transactions.ports import codes
from xdsi.domain.errors import Refused
from xdsi.domain.imaging import Instance
from xdsi.domain.submission import Document
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.storage.transcoding import SubprocessTranscoder


class Counting:
    """A transcoder that says how often it was needed."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def transcode(self, instance: Instance, transfer_syntaxes: Sequence[str]) -> Document:
        self.made.append(instance.sop_instance_uid)
        return Document(lambda: iter((b"",)), 0)


def test_an_instance_asked_for_many_times_is_transcoded_once() -> None:
    transcoder = Counting()
    request = images.asked(images.wanted(*[1] * 50, 2), syntaxes=(images.IMPLICIT,))
    answer = images.retrieved(request, images.ports(transcoder=transcoder))
    assert len(answer.documents) == 51
    assert transcoder.made == ["1.2.3.1.1", "1.2.3.1.2"]


def test_transcoding_ends_after_its_time() -> None:
    transcoder = Counting()
    request = images.asked(images.wanted(1, 2, 3), syntaxes=(images.IMPLICIT,))
    answer = images.retrieved(request, images.ports(transcoder=transcoder, transcoding_seconds=0.0))
    assert transcoder.made == ["1.2.3.1.1"]
    assert codes(answer.outcome) == [("XDSRepositoryError", "RAD69.transfer-syntax")] * 2


def test_what_cannot_be_made_starts_no_process(tmp_path: Path) -> None:
    def file_of(instance: Instance) -> AbstractContextManager[Path]:
        raise AssertionError("the file is not looked for")

    instance = images.STUDY.series[0].instances[0]
    with pytest.raises(Refused, match="none of the transfer syntaxes"):
        SubprocessTranscoder(file_of, tmp_path).transcode(instance, ["1.2.840.10008.1.2.4.100"])


@pytest.mark.parametrize("program", [b"MZ", b"\x7fELF", b"#!/bin/sh\n"])
def test_a_program_in_the_preamble_is_an_image_and_nothing_else(tmp_path: Path, program: bytes) -> None:
    """It is read by its data set alone, given out unchanged, and said to be an image."""
    path = folder_images.image(tmp_path / "one.dcm")
    honest = FolderPacs(tmp_path).studies()
    raw = program.ljust(128, b" ") + path.read_bytes()[128:]
    path.write_bytes(raw)
    pacs = FolderPacs(tmp_path)
    assert [one.study_instance_uid for one in pacs.studies()] == [one.study_instance_uid for one in honest]
    (study,) = pacs.studies()
    (instance,) = study.instances
    assert b"".join(pacs.open(instance)) == raw
    answer = images.retrieved(images.asked(images.wanted(1)), images.ports())
    assert {one.mime_type for one in answer.documents} == {"application/dicom"}
