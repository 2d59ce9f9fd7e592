"""Requests for images that are meant to keep an imaging source busy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.transactions import test_rad69_retrieve_imaging_document_set as images
from tests.transactions.ports import codes
from xdsi.domain.errors import Refused
from xdsi.domain.imaging import Instance
from xdsi.domain.submission import Document
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
