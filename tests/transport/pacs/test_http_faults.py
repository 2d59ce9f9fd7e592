"""Archives reached by HTTP that are away, break off, or contradict themselves: never taken for a whole answer."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.imaging import FILES
from tests.servers import free_port
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Instance
from xdsi.transport.http_client import HttpAccess
from xdsi.transport.pacs.dicomweb import DicomWebPacs
from xdsi.transport.pacs.orthanc import OrthancPacs
from xdsi.transport.pacs.remote import RemotePacs

MR = (FILES / "MR_small.dcm").read_bytes()
QUICK = HttpAccess(connect_seconds=5, read_seconds=0.3, retries=0)
Answer = bytes | Callable[[str], bytes]


@dataclass
class Liar:
    """An HTTP server that answers each path with bytes as given, right or wrong, and closes the connection."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, head: str) -> bytes:
        target = head.split(" ")[1]
        self.asked.append(target)
        self.heads.append(head)
        given = self.answers.get(target.partition("?")[0], ok(b"[]"))
        return given(target) if callable(given) else given


def ok(body: bytes, content_type: str = "application/dicom+json", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def status(code: int) -> bytes:
    return f"HTTP/1.1 {code} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


@pytest.fixture
def liar() -> Iterator[Liar]:
    server = Liar()
    with listening(server):
        yield server


@contextmanager
def listening(server: Liar) -> Iterator[None]:
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
                    head += data
                length = re.search(rb"Content-Length: ([0-9]+)", head)
                while length and len(head.partition(b"\r\n\r\n")[2]) < int(length[1]):
                    head += connection.recv(65536)
                if head:
                    # Who asked may have heard enough.
                    with suppress(OSError):
                        connection.sendall(server.answer(head.decode("latin-1")))
                        connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def dicomweb(liar: Liar, folder: Path, access: HttpAccess = QUICK) -> DicomWebPacs:
    return DicomWebPacs(liar.url, access, folder)


def record(**values: Any) -> dict[str, Any]:
    tags = {
        "study": "0020000D", "series": "0020000E", "sop": "00080018", "class": "00080016", "number": "00201208",
        "patient": "00100020",
    }  # fmt: skip
    return {tags[name]: {"vr": "UI", "Value": [value]} for name, value in values.items()}


def search(*records: dict[str, Any]) -> Answer:
    """A page with all of it, and nothing on the next."""

    def answer(target: str) -> bytes:
        later = "offset=" in target and "offset=0" not in target
        return ok(json.dumps([] if later else records).encode())

    return answer


def listed(liar: Liar, *instances: dict[str, Any], said: int | None) -> None:
    liar.answers["/studies"] = search(record(study="1.2.3", **({"number": said} if said is not None else {})))
    liar.answers["/studies/1.2.3/instances"] = search(*instances)
    for one in instances:
        sop = one["00080018"]["Value"][0]
        header = record(study="1.2.3", sop=sop, series=one["0020000E"]["Value"][0], patient="P1") | record(
            **{"class": "1.2.840.10008.5.1.4.1.1.4"}
        )
        path = f"/studies/1.2.3/series/1.2.3.1/instances/{sop}/metadata"
        liar.answers.setdefault(path, ok(json.dumps([header]).encode()))


ONE, TWO = record(series="1.2.3.1", sop="1.2.3.1.1"), record(series="1.2.3.1", sop="1.2.3.1.2")


def test_an_archive_that_keeps_its_word_is_believed(liar: Liar, tmp_path: Path) -> None:
    listed(liar, ONE, TWO, said=2)
    study = dicomweb(liar, tmp_path).study("1.2.3")
    assert study is not None
    assert (study.patient.id, len(list(study.instances))) == ("P1", 2)


def test_a_wrong_address_is_not_a_deleted_study(liar: Liar, tmp_path: Path) -> None:
    """404 of the study's instances is believed only from an archive that answers to a search."""
    liar.answers["/studies/1.2.3/instances"] = status(404)
    assert dicomweb(liar, tmp_path).study("1.2.3") is None
    liar.answers["/studies"] = status(404)
    with pytest.raises(Unavailable):
        dicomweb(liar, tmp_path).study("1.2.3")


@pytest.mark.parametrize("said", [1, 3])
def test_an_archive_that_lists_another_number_than_it_says_is_not_believed(
    said: int, liar: Liar, tmp_path: Path
) -> None:
    listed(liar, ONE, TWO, said=said)
    with pytest.raises(Unavailable, match=f"is said to have {said} instances, 2 are listed"):
        dicomweb(liar, tmp_path).study("1.2.3")


def test_an_archive_that_does_not_say_how_many_there_are_is_believed(liar: Liar, tmp_path: Path) -> None:
    listed(liar, ONE, said=None)
    assert dicomweb(liar, tmp_path).study("1.2.3") is not None


def test_what_cannot_be_served_is_told_with_its_reason(liar: Liar, tmp_path: Path) -> None:
    wrong, other = record(series="1.2.3.1", sop="1.2.3.x"), record(series="1.2.3.1", sop="1.2.3.1.9")
    twice = record(series="1.2.3.9", sop="1.2.3.1.1")
    listed(liar, ONE, TWO, wrong, other, twice, said=5)
    liar.answers["/studies/1.2.3/series/1.2.3.1/instances/1.2.3.1.9/metadata"] = ok(b"[{}]")
    pacs = dicomweb(liar, tmp_path)
    study = pacs.study("1.2.3")
    assert study is not None
    assert [one.sop_instance_uid for one in study.instances] == ["1.2.3.1.1", "1.2.3.1.2"]
    place = "/studies/1.2.3/series"
    assert dict(pacs.skipped()) == {
        f"{place}/1.2.3.1/instances/1.2.3.x": "its Series or SOP Instance UID is not a UID",
        f"{place}/1.2.3.9/instances/1.2.3.1.1": "the same SOP Instance UID as in series 1.2.3.1",
        f"{place}/1.2.3.1/instances/1.2.3.1.9": "SOP Class UID is missing at (0008,0016); expected a UID",
    }


def test_a_study_without_a_right_uid_is_told_as_skipped(liar: Liar, tmp_path: Path) -> None:
    liar.answers["/studies"] = search(record(study="1.2.3"), record(study="1.2.x"))
    pacs = dicomweb(liar, tmp_path)
    told = [("study '1.2.x'", "its Study Instance UID is not a UID")]
    assert [one.study_instance_uid for one in pacs.states()] == ["1.2.3"]
    assert pacs.skipped() == told
    liar.answers["/studies"] = search(record(study="1.2.3"))
    assert [one.study_instance_uid for one in pacs.states(date(2026, 1, 1))] == ["1.2.3"]
    assert pacs.skipped() == told, "of some studies only was asked"
    assert len(list(pacs.states())) == 1
    assert pacs.skipped() == []
    liar.answers["/studies"] = ok(
        json.dumps([{"ID": "a", "MainDicomTags": {"StudyInstanceUID": uid}} for uid in ("1.2.3", "1.2.x")]).encode()
    )
    of_orthanc = OrthancPacs(liar.url, QUICK, tmp_path)
    assert [one.study_instance_uid for one in of_orthanc.states()] == ["1.2.3"]
    assert of_orthanc.skipped() == told


def instance(size: int = 0) -> Instance:
    return Instance(sop_class_uid="1.2", sop_instance_uid="1.2.3", locator="/file", size=size)


def multipart(body: bytes, boundary: str = "b") -> bytes:
    part = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n"
    return ok(part + b"--b--\r\n", f'multipart/related; type="application/dicom"; boundary={boundary}')


def test_a_file_is_unwrapped(liar: Liar, tmp_path: Path) -> None:
    liar.answers["/file"] = multipart(MR)
    assert b"".join(dicomweb(liar, tmp_path).open(instance())) == MR
    liar.answers["/file"] = ok(MR, "application/dicom")
    assert b"".join(dicomweb(liar, tmp_path).open(instance())) == MR


WHOLE = multipart(MR)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(WHOLE[:-3000], id="cut off, less than its length says"),
        pytest.param(ok(multipart(MR).partition(b"\r\n\r\n")[2][:-3000], "multipart/related; boundary=b"),
                     id="cut off, as long as its length says"),
        pytest.param(multipart(MR[:-100], "other"), id="another boundary"),
        pytest.param(multipart(b"<html>" * 100), id="no DICOM file"),
        pytest.param(multipart(b""), id="empty"),
        pytest.param(ok(b"<html>log in</html>", "text/html"), id="a page"),
        pytest.param(ok(MR + MR, "multipart/related; boundary=b"), id="not multipart"),
        pytest.param(ok(b"--b\r\n\r\n" + MR + b"\r\n--b\r\n\r\n" + MR + b"\r\n--b--", "multipart/related; boundary=b"),
                     id="two files"),
        pytest.param(status(404), id="not there"),
        pytest.param(status(500), id="broken"),
        pytest.param(status(302), id="elsewhere"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 70", id="hardly an answer"),
        pytest.param(b"", id="no answer"),
    ],
)  # fmt: skip
def test_no_part_of_a_file_passes_for_the_whole(answer: bytes, liar: Liar, tmp_path: Path) -> None:
    liar.answers["/file"] = answer
    with pytest.raises(Unavailable):
        list(dicomweb(liar, tmp_path).open(instance()))


@pytest.mark.parametrize("content", [MR[:-100], MR + b"more", b""])
def test_a_file_of_another_size_than_was_said_breaks_off(content: bytes, liar: Liar, tmp_path: Path) -> None:
    pacs = OrthancPacs(liar.url, QUICK, tmp_path)
    liar.answers["/instances//file/file"] = ok(content, "application/dicom")
    with pytest.raises(Unavailable, match="bytes came"):
        list(pacs.open(instance(size=len(MR))))


@pytest.mark.parametrize("answer", [b"{", b'{"a": 1}', b"null", b"[3]", b'[{"0020000D": {"vr": "UI", "Value": 7}}]'])
def test_what_is_no_list_of_studies_is_no_empty_archive(answer: bytes, liar: Liar, tmp_path: Path) -> None:
    liar.answers["/studies"] = ok(answer)
    with pytest.raises(Unavailable):
        list(dicomweb(liar, tmp_path).states())


@pytest.mark.parametrize(
    ("code", "reason"), [(401, "credentials"), (403, "credentials"), (500, "status 500"), (404, "not there")]
)
def test_a_refusal_is_no_empty_archive(code: int, reason: str, liar: Liar, tmp_path: Path) -> None:
    liar.answers["/studies"] = status(code)
    with pytest.raises(Unavailable, match=reason):
        list(dicomweb(liar, tmp_path).states())


def each_kind(url: str, folder: Path) -> list[RemotePacs]:
    return [DicomWebPacs(url, QUICK, folder), OrthancPacs(url, QUICK, folder)]


def test_an_archive_that_is_away(tmp_path: Path) -> None:
    for pacs in each_kind(f"http://127.0.0.1:{free_port()}", tmp_path):
        with pytest.raises(Unavailable, match="cannot be reached"):
            pacs.study("1.2.3")
        with pytest.raises(Unavailable, match="cannot be reached"):
            list(pacs.states())


def test_an_archive_that_does_not_answer_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for pacs in each_kind(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path):
            with pytest.raises(Unavailable, match="timed out"):
                pacs.study("1.2.3")


def test_a_question_is_asked_again_when_the_archive_is_busy(liar: Liar, tmp_path: Path) -> None:
    busy = [status(503)]
    liar.answers["/studies"] = lambda target: busy.pop() if busy else ok(b"[]")
    access = HttpAccess(read_seconds=5, retries=2)
    assert list(dicomweb(liar, tmp_path, access).states()) == []
    assert len(liar.asked) == 2


@pytest.mark.parametrize(
    ("access", "header"),
    [
        (HttpAccess(user="xdsi", password="secret"), "Authorization: Basic eGRzaTpzZWNyZXQ="),
        (HttpAccess(token="t0k3n"), "Authorization: Bearer t0k3n"),
    ],
)
def test_credentials_are_shown(access: HttpAccess, header: str, liar: Liar, tmp_path: Path) -> None:
    list(dicomweb(liar, tmp_path, access).states())
    assert header in liar.heads[0]


def test_changes_of_another_database_begin_anew(liar: Liar, tmp_path: Path) -> None:
    """A cursor beyond the record's end is of a database that is no more."""
    liar.answers["/changes"] = ok(b'{"Changes": [], "Done": true, "Last": 4}')
    changes = OrthancPacs(liar.url, QUICK, tmp_path).changes("900")
    assert changes is not None
    assert (changes.cursor, changes.changes, changes.done) == ("0", (), False)


@pytest.mark.parametrize("answer", [b"[]", b"{}", b'{"Changes": [], "Last": "x"}'])
def test_what_is_no_record_of_changes_is_not_taken_for_an_empty_one(answer: bytes, liar: Liar, tmp_path: Path) -> None:
    liar.answers["/changes"] = ok(answer)
    with pytest.raises(Unavailable):
        OrthancPacs(liar.url, QUICK, tmp_path).changes("")
