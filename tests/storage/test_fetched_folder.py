"""What was fetched is there whole, and is what was asked for, or it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.imaging import FILES
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.storage.fetched_folder import FetchedFolder, name_of

RAW = (FILES / "CT_small.dcm").read_bytes()
CT = pydicom.dcmread(FILES / "CT_small.dcm")
STUDY, SERIES, UID = str(CT.StudyInstanceUID), str(CT.SeriesInstanceUID), str(CT.SOPInstanceUID)


def test_an_instance_is_kept_and_known_again(tmp_path: Path) -> None:
    shelf = FetchedFolder(tmp_path / "a" / "b")
    assert shelf.held(STUDY, SERIES, UID) == 0
    assert shelf.put(STUDY, SERIES, UID, iter((RAW[:1000], RAW[1000:]))) == len(RAW)
    assert shelf.file(UID).read_bytes() == RAW
    assert FetchedFolder(shelf.path).held(STUDY, SERIES, UID) == len(RAW)


@pytest.mark.parametrize(
    ("ids", "content"),
    [
        ((STUDY, SERIES, "1.2.3"), RAW), ((STUDY, "1.2.3", UID), RAW), (("1.2.3", SERIES, UID), RAW),
        ((STUDY, SERIES, UID), RAW[:-1000]), ((STUDY, SERIES, UID), b""), ((STUDY, SERIES, UID), b"<html/>" * 100),
    ],
)  # fmt: skip
def test_what_is_not_that_instance_whole_is_not_kept(tmp_path: Path, ids: tuple[str, str, str], content: bytes) -> None:
    shelf = FetchedFolder(tmp_path)
    with pytest.raises(MalformedMessage):
        shelf.put(*ids, iter((content,)))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_one_is_not_there_and_not_in_the_way(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield RAW[:1000]
        raise Unavailable("broke off")

    shelf = FetchedFolder(tmp_path)
    with pytest.raises(Unavailable):
        shelf.put(STUDY, SERIES, UID, broken())
    assert list(tmp_path.iterdir()) == []
    shelf.file(UID).write_bytes(RAW[:1000])
    assert shelf.held(STUDY, SERIES, UID) == 0, "a file that was cut is fetched again"
    shelf.put(STUDY, SERIES, UID, iter((RAW,)))
    assert shelf.held(STUDY, SERIES, UID) == len(RAW)


@pytest.mark.parametrize("uid", ["../../x", "a/b", "", "1.2\0", "CON"])
def test_a_name_is_never_text_from_elsewhere(uid: str) -> None:
    assert set(name_of(uid)) <= set("0123456789abcdef")
    assert len(name_of(uid)) == 32
