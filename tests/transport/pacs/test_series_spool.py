"""Files of a series taken together from a DICOMweb archive: the same files, checked alike, for fewer questions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.archives import Orthanc
from tests.transport.pacs.test_http_faults import Liar, listening, ok, status
from tests.transport.pacs.test_judged import image
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Identity, Instance
from xdsi.transport.http_client import HttpAccess, HttpAnswer, HttpClient
from xdsi.transport.pacs import dicomweb
from xdsi.transport.pacs.dicomweb import DicomWebPacs
from xdsi.transport.pacs.series_spool import HELD_SECONDS, SeriesSpool, Taken
from xdsi.wire.dicom_identity import identity_of

STUDY, COUNT = "2.25.881", 12
SERIES = f"{STUDY}.1"
PATH = f"/studies/{STUDY}/series/{SERIES}"
QUICK = HttpAccess(connect_seconds=5, read_seconds=5, retries=0)


def uid_of(number: int) -> str:
    return f"{SERIES}.{number}"


def numbered(number: int, size: int = 0, **changes: Any) -> bytes:
    uids = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "SOPInstanceUID": uid_of(number)}
    return image(size, **uids | {"PatientID": "P1"} | changes)


FILES = {uid_of(number): numbered(number, 1_500_000 if number == 5 else 0) for number in range(1, COUNT + 1)}
INSTANCES = [
    Instance(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4", sop_instance_uid=uid, locator=f"{PATH}/instances/{uid}",
        identity=identity_of(content, whole=True),
    )
    for uid, content in FILES.items()
]  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of files that were asked for."""
    paths: list[str] = []
    stream = HttpClient.stream

    def noted(self: HttpClient, path: str, accept: str) -> AbstractContextManager[HttpAnswer]:
        paths.append(path)
        return stream(self, path, accept)

    monkeypatch.setattr(HttpClient, "stream", noted)
    return paths


def together(pacs: DicomWebPacs, instances: list[Instance]) -> list[bytes]:
    coming = pacs.ahead(instances)
    assert coming is not None
    return [b"".join(one) for one in coming]


# With a real archive.


@pytest.fixture(scope="module")
def holding(orthanc: Orthanc) -> Iterator[Orthanc]:
    held = orthanc.store(*FILES.values())
    yield orthanc
    for one in held:
        orthanc.delete(f"/instances/{one}")


def test_a_series_of_an_archive_is_asked_for_once(holding: Orthanc, tmp_path: Path, asked: list[str]) -> None:
    pacs = DicomWebPacs(holding.dicom_web, HttpAccess(), tmp_path)
    located = [pacs.locate(STUDY, SERIES, uid) for uid in FILES]
    instances = [one for one in located if one is not None]
    assert [one.transfer_syntax_uid for one in instances] == ["1.2.840.10008.1.2.1"] * COUNT
    assert asked.count(PATH) == 1
    assert len(asked) == 4, "three files by themselves, then the series"
    assert together(pacs, instances) == list(FILES.values())
    assert len(asked) == 4, "they had waited"
    assert together(pacs, instances) == list(FILES.values())
    assert asked[4:] == [PATH], "transfer syntaxes are known, the files come again"
    pacs.close()
    assert list(tmp_path.iterdir()) == []


def test_a_study_of_which_the_archive_counts_the_same_is_not_listed_again(
    holding: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pacs = DicomWebPacs(holding.dicom_web, HttpAccess(), tmp_path)
    assert not pacs.is_unchanged(STUDY), "it was never listed"
    pacs.list_study(STUDY)
    assert pacs.is_unchanged(STUDY)
    (more,) = holding.store(numbered(COUNT + 1))
    assert not pacs.is_unchanged(STUDY)
    pacs.list_study(STUDY)
    assert pacs.is_unchanged(STUDY)
    holding.delete(f"/instances/{more}")
    assert not pacs.is_unchanged(STUDY)
    (elsewhere,) = holding.store(numbered(COUNT + 1, SeriesInstanceUID=f"{STUDY}.2"))
    assert not pacs.is_unchanged(STUDY), "as many as before, but in another series"
    holding.delete(f"/instances/{elsewhere}")
    pacs.list_study(STUDY)
    later = time.monotonic() + 61
    monkeypatch.setattr(dicomweb.time, "monotonic", lambda: later)
    assert not pacs.is_unchanged(STUDY), "after a minute it is listed again whatever it counts"


def test_one_image_out_of_many_does_not_fetch_the_others(holding: Orthanc, tmp_path: Path, asked: list[str]) -> None:
    pacs = DicomWebPacs(holding.dicom_web, HttpAccess(), tmp_path)
    one = pacs.locate(STUDY, SERIES, uid_of(7))
    assert one is not None
    assert pacs.ahead([one]) is None
    assert pacs.ahead([one] * 5) is None, "less than half of the series"
    assert b"".join(pacs.open(one)) == FILES[uid_of(7)]
    assert set(asked) == {f"{PATH}/instances/{uid_of(7)}"}


def test_an_answer_left_early_leaves_no_files(holding: Orthanc, tmp_path: Path) -> None:
    pacs = DicomWebPacs(holding.dicom_web, HttpAccess(), tmp_path)
    coming = pacs.ahead(list(reversed(INSTANCES)))
    assert coming is not None
    assert b"".join(next(coming)) == FILES[uid_of(COUNT)]
    coming.close()  # type: ignore[attr-defined]
    pacs.close()
    assert list(tmp_path.iterdir()) == []


# With one that does as it is told.


def multipart(*files: bytes, end: bytes = b"--b--\r\n") -> bytes:
    body = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in files)
    return ok(body + end, 'multipart/related; type="application/dicom"; boundary=b')


@pytest.fixture
def liar() -> Iterator[Liar]:
    """It gives out each file by itself, and the series as each test says."""
    server = Liar({f"{PATH}/instances/{uid}": ok(content, "application/dicom") for uid, content in FILES.items()})
    with listening(server):
        yield server


@pytest.fixture
def pacs(liar: Liar, tmp_path: Path) -> DicomWebPacs:
    return DicomWebPacs(liar.url, QUICK, tmp_path)


def test_files_come_in_any_order(liar: Liar, pacs: DicomWebPacs, tmp_path: Path) -> None:
    liar.answers[PATH] = multipart(*reversed(FILES.values()))
    assert together(pacs, INSTANCES) == list(FILES.values())
    assert liar.asked == [PATH]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "answer",
    [
        status(400), status(404), status(500), status(501), ok(b"<html>", "text/html"), multipart(),
        multipart(bytes(300), b"<html>", b"", *list(FILES.values())[:3]),
        ok(b"[]", "multipart/related"),
    ],
    ids=["400", "404", "500", "501", "a page", "no part", "no DICOM, then some of it", "not multipart"],
)  # fmt: skip
def test_what_does_not_come_with_its_series_is_asked_for_by_itself(
    answer: bytes, liar: Liar, pacs: DicomWebPacs
) -> None:
    liar.answers[PATH] = answer
    if b"boundary" not in answer and b"related" in answer:
        with pytest.raises(Unavailable):
            together(pacs, INSTANCES)
        return
    assert together(pacs, INSTANCES) == list(FILES.values())
    assert liar.asked.count(PATH) == 1
    assert [pacs.look_at_syntax(one) for one in INSTANCES] == ["1.2.840.10008.1.2.1"] * COUNT


@pytest.mark.parametrize("left", [50, 3000, 100_000])
def test_a_series_that_is_cut_off_breaks_the_answer(left: int, liar: Liar, pacs: DicomWebPacs, tmp_path: Path) -> None:
    """Whatever the length in its head said."""
    whole = multipart(*FILES.values())
    for cut in (whole[:-left], ok(whole.partition(b"\r\n\r\n")[2][:-left], "multipart/related; boundary=b")):
        liar.answers[PATH] = cut
        coming = pacs.ahead(INSTANCES)
        assert coming is not None
        came = []
        with pytest.raises(Unavailable):
            came.extend(b"".join(one) for one in coming)
        assert len(came) < COUNT
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("changes", [{"PatientID": "SOMEBODY-ELSE"}, {"SeriesInstanceUID": "1.2.3.4"}])
@pytest.mark.parametrize("number", [3, 5])
def test_not_a_byte_leaves_of_another_image_in_a_place_of_the_series(
    changes: dict[str, str], number: int, liar: Liar, pacs: DicomWebPacs
) -> None:
    wrong = numbered(number, 1_500_000 if number == 5 else 0, **changes)
    liar.answers[PATH] = multipart(*(FILES | {uid_of(number): wrong}).values())
    liar.answers[f"{PATH}/instances/{uid_of(number)}"] = ok(wrong, "application/dicom")
    coming = pacs.ahead(INSTANCES)
    assert coming is not None
    given = [b"".join(next(coming)) for _ in range(number - 1)]
    assert given == list(FILES.values())[: number - 1]
    with pytest.raises(Unavailable):
        next(next(coming))


@pytest.mark.parametrize("number", [6, 12])
def test_another_image_in_its_place_is_told_before_the_answer_and_by_itself(
    number: int, liar: Liar, pacs: DicomWebPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its header was met already: when the series was looked at, or as an answer broke because of it."""
    now = [0.0]
    monkeypatch.setattr(pacs, "_monotonic", lambda: now[0])
    right, wrong = FILES[uid_of(number)], numbered(number, PatientID="SOMEBODY-ELSE")
    place = f"{PATH}/instances/{uid_of(number)}"

    def gives(content: bytes) -> None:
        liar.answers[PATH] = multipart(*(FILES | {uid_of(number): content}).values())
        liar.answers[place] = ok(content, "application/dicom")

    gives(wrong)
    coming = pacs.ahead(INSTANCES)
    assert coming is not None
    given = [b"".join(next(coming)) for _ in range(number - 1)]
    assert given == list(FILES.values())[: number - 1]
    with pytest.raises(Unavailable):
        next(next(coming))
    meant = INSTANCES[number - 1]
    questions = len(liar.asked)
    with pytest.raises(Unavailable, match="another image lies in its place"):
        pacs.open(meant)
    assert len(liar.asked) == questions, "it was asked a moment ago"
    now[0] = 60.0
    with pytest.raises(Unavailable):
        pacs.open(meant)
    assert liar.asked[-1] == place
    now[0], _ = 120.0, gives(right)
    assert b"".join(pacs.open(meant)) == right
    assert together(pacs, INSTANCES) == list(FILES.values())


def test_series_asked_for_by_turns_are_fetched_once_each(liar: Liar, pacs: DicomWebPacs) -> None:
    liar.answers[PATH] = multipart(*FILES.values())
    other = Instance(sop_class_uid="1.2", sop_instance_uid="1.2.3", locator="/studies/1/series/2/instances/1.2.3")
    liar.answers[other.locator] = ok(FILES[uid_of(1)], "application/dicom")
    by_turns = [one for pair in zip(INSTANCES, [other] * COUNT, strict=True) for one in pair]
    given = together(pacs, by_turns)
    assert given[::2] == list(FILES.values())
    assert liar.asked.count(PATH) == 1
    assert liar.asked.count("/studies/1/series/2") == 1


# What waits.


def waiting(spool: SeriesSpool, *uids: str, size: int = 100) -> None:
    for uid in uids:
        said = Identity(
            study_instance_uid="1", series_instance_uid="2", sop_instance_uid=uid, patient_id="P1", issuer="",
            issuer_name="",
        )  # fmt: skip
        spool.hold(Taken(said, "1.2", size, bytes(size)))


def test_what_finds_no_room_is_not_kept(tmp_path: Path) -> None:
    spool = SeriesSpool(tmp_path, room=250)
    waiting(spool, "1", "2", "3")
    assert [spool.holds(uid) for uid in "123"] == [True, True, False]
    path = spool.take("1")
    assert path is not None
    assert path.read_bytes() == bytes(100)
    path.unlink()
    waiting(spool, "3")
    assert spool.holds("3")
    waiting(spool, "2", size=40)
    assert len(list(tmp_path.iterdir())) == 2, "a file that comes again replaces the former"


def test_what_is_not_asked_for_goes(tmp_path: Path) -> None:
    now = [0.0]
    spool = SeriesSpool(tmp_path, monotonic=lambda: now[0])
    waiting(spool, "1", "2")
    now[0] = HELD_SECONDS + 1
    assert spool.take("1") is None
    assert list(tmp_path.iterdir()) == []
