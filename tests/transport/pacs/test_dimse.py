"""Archives by DIMSE that are away, refuse or fail; what arrives that nobody asked for; what is left behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, dimse_messages, evt
from pynetdicom.dimse_messages import C_STORE_RQ

from tests.imaging import FILES
from tests.servers import free_port
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Instance
from xdsi.transport.pacs.associations import DimseAccess, DimseAddress, is_ae_title
from xdsi.transport.pacs.associations import entity as entity_of
from xdsi.transport.pacs.dimse import FIND, GET, MOVE, DimsePacs
from xdsi.transport.reactor_gate import GATED

CT = pydicom.dcmread(FILES / "CT_small.dcm")
PLACE = f"{CT.StudyInstanceUID}/{CT.SeriesInstanceUID}/{CT.SOPInstanceUID}"
WANTED = Instance(sop_class_uid=CT.SOPClassUID, sop_instance_uid=CT.SOPInstanceUID, locator=PLACE)
QUICK = {"connect_seconds": 5.0, "read_seconds": 2.0}


@contextmanager
def entity(*handlers: tuple[Any, Any], models: tuple[str, ...] = (FIND, GET, MOVE)) -> Iterator[DimseAddress]:
    """An archive that behaves as its handlers do."""
    ae = AE(ae_title="ARCHIVE")
    for model in models:
        ae.add_supported_context(model)
    ae.add_supported_context(CT.SOPClassUID, scu_role=True, scp_role=True)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        yield DimseAddress("ARCHIVE", "127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()


@contextmanager
def asking(address: DimseAddress, folder: Path, **changes: Any) -> Iterator[DimsePacs]:
    pacs = DimsePacs(address, DimseAccess(**QUICK | changes), folder)
    try:
        yield pacs
    finally:
        pacs.close()
    assert list(folder.iterdir()) == [], "nothing is left behind"


def record(**values: str) -> Dataset:
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


# pynetdicom forgets to close a socket that was refused.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_archive_that_is_away(tmp_path: Path) -> None:
    with asking(DimseAddress("ARCHIVE", "127.0.0.1", free_port()), tmp_path) as pacs:
        for ask in (lambda: pacs.study("1.2.3"), lambda: list(pacs.states()), lambda: list(pacs.open(WANTED))):
            with pytest.raises(Unavailable, match="cannot be reached"):
                ask()


def test_an_archive_that_knows_no_c_find(tmp_path: Path) -> None:
    with (
        entity(models=(GET,)) as address,
        asking(address, tmp_path) as pacs,
        pytest.raises(Unavailable, match="offers nothing of what is asked for"),
    ):
        pacs.study("1.2.3")


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001, 0xFE00])
def test_an_archive_that_fails_to_answer(status: int, tmp_path: Path) -> None:
    def find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, record(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
        yield status, None

    with entity((evt.EVT_C_FIND, find)) as address, asking(address, tmp_path) as pacs:
        with pytest.raises(Unavailable, match=f"status {status:04X}"):
            pacs.study("1.2.3")
        with pytest.raises(Unavailable, match=f"status {status:04X}"):
            list(pacs.states())


def test_an_archive_that_hangs_up_in_the_middle(tmp_path: Path) -> None:
    def find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        yield 0xFF00, record(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
        event.assoc.abort()
        yield 0xFF00, record(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.4")

    with (
        entity((evt.EVT_C_FIND, find)) as address,
        asking(address, tmp_path) as pacs,
        pytest.raises(Unavailable, match="broke off"),
    ):
        list(pacs.states())


def answering(said: int | None, *sops: str) -> Any:
    """One study with one series."""

    def find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        level = event.identifier.QueryRetrieveLevel
        study = {"QueryRetrieveLevel": level, "StudyInstanceUID": "1.2.3"}
        if level == "STUDY":
            yield 0xFF00, record(**study, **({"NumberOfStudyRelatedInstances": str(said)} if said else {}))
        elif level == "SERIES":
            yield 0xFF00, record(**study, SeriesInstanceUID="1.2.3.1")
        else:
            for sop in sops:
                yield 0xFF00, record(**study, SeriesInstanceUID="1.2.3.1", SOPInstanceUID=sop)
        yield 0x0000, None

    return find


def test_an_archive_that_lists_another_number_than_it_says(tmp_path: Path) -> None:
    with (
        entity((evt.EVT_C_FIND, answering(3, "1.2.3.1.1"))) as address,
        asking(address, tmp_path) as pacs,
        pytest.raises(Unavailable, match="is said to have 3 instances, 1 are listed"),
    ):
        pacs.study("1.2.3")


def test_a_study_that_grows_is_noticed_where_the_archive_does_not_count(tmp_path: Path) -> None:
    seen = []
    for sops in (("1.2.3.1.1",), ("1.2.3.1.1", "1.2.3.1.2")):
        with entity((evt.EVT_C_FIND, answering(None, *sops))) as address, asking(address, tmp_path) as pacs:
            seen.append([state.state for state in pacs.states()])
    assert seen[0] != seen[1]


def test_a_study_without_a_right_uid_is_told_as_skipped(tmp_path: Path) -> None:
    def find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for uid in ("1.2.3", ""):
            yield 0xFF00, record(QueryRetrieveLevel="STUDY", StudyInstanceUID=uid, NumberOfStudyRelatedInstances="1")
        yield 0x0000, None

    with entity((evt.EVT_C_FIND, find)) as address, asking(address, tmp_path) as pacs:
        assert [one.study_instance_uid for one in pacs.states()] == ["1.2.3"]
        assert pacs.skipped() == [("study ''", "its Study Instance UID is not a UID")]


def getting(*instances: Dataset, count: int | None = None) -> Any:
    def get(event: Any) -> Iterator[Any]:
        yield len(instances) if count is None else count
        for one in instances:
            yield 0xFF00, one

    return get


def test_an_instance_by_c_get(tmp_path: Path) -> None:
    with entity((evt.EVT_C_GET, getting(CT))) as address, asking(address, tmp_path) as pacs:
        content = b"".join(pacs.open(WANTED))
        (tmp_path.parent / "got.dcm").write_bytes(content)
        got = pydicom.dcmread(tmp_path.parent / "got.dcm")
        assert (got.SOPInstanceUID, got.PixelData) == (CT.SOPInstanceUID, CT.PixelData)


def other() -> Dataset:
    changed = pydicom.dcmread(FILES / "CT_small.dcm")
    changed.SOPInstanceUID = changed.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    return changed


@pytest.mark.parametrize("sent", [(), (other(),), (CT, CT)], ids=["nothing", "another", "twice"])
def test_what_was_not_asked_for_is_not_given_on(sent: tuple[Dataset, ...], tmp_path: Path) -> None:
    with (
        entity((evt.EVT_C_GET, getting(*sent))) as address,
        asking(address, tmp_path) as pacs,
        pytest.raises(Unavailable, match="instances came"),
    ):
        list(pacs.open(WANTED))


def test_a_move_that_brings_nothing_ends_in_time(tmp_path: Path) -> None:
    def move(event: Any) -> Iterator[Any]:
        yield None, None

    with (
        entity((evt.EVT_C_MOVE, move)) as address,
        asking(address, tmp_path, retrieve="move", storage_port=free_port()) as pacs,
        pytest.raises(Unavailable, match="C-MOVE"),
    ):
        list(pacs.open(WANTED))


def stored(port: int, calling: str, called: str, *instances: Dataset) -> list[int | None]:
    """What our Storage SCP says to somebody who sends; None for who does not get in."""
    ae = AE(ae_title=calling)
    ae.add_requested_context(CT.SOPClassUID)
    association = ae.associate("127.0.0.1", port, ae_title=called, evt_handlers=[GATED])
    if not association.is_established:
        return [None]
    answers: list[int | None] = [association.send_c_store(one).Status for one in instances]
    association.release()
    return answers


def test_only_what_is_awaited_is_taken_and_only_from_the_archive(tmp_path: Path) -> None:
    port, said = free_port(), {}

    def move(event: Any) -> Iterator[Any]:
        said["stranger"] = stored(port, "STRANGER", "XDSI", CT)
        said["wrong title"] = stored(port, "ARCHIVE", "OTHER", CT)
        said["archive"] = stored(port, "ARCHIVE", "XDSI", other(), CT)
        yield "127.0.0.1", port, {"ae": AE(ae_title="ARCHIVE")}
        yield 0

    with (
        entity((evt.EVT_C_MOVE, move)) as address,
        asking(address, tmp_path, retrieve="move", storage_port=port) as pacs,
    ):
        try:
            content = b"".join(pacs.open(WANTED))
        except Unavailable:
            content = b""
    assert said == {"stranger": [None], "wrong title": [None], "archive": [0x0124, 0x0000]}
    assert content[128:132] in (b"DICM", b"")


def test_an_instance_that_nobody_came_to_serve_goes_with_its_association(tmp_path: Path) -> None:
    """Whole messages wait in an association for their turn, and an abort comes before it."""
    entity_of(DimseAccess(), tmp_path)
    message = C_STORE_RQ()
    message._data_set_file = dimse_messages.NamedTemporaryFile(delete=False, mode="wb", suffix=".dcm")
    message._data_set_file.write(b"DICM")
    association = [message]
    association.append(association)  # as theirs are: only the garbage collector ends them
    assert list(tmp_path.iterdir())
    del message, association
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "A@h", "A@h:0", "A@h:99999", "@h:104", "A\\B@h:104", f"{'A' * 17}@h:104", " A@h:104", "A@h:x"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="AET@host:port"):
        DimseAddress.parse(text)


def test_addresses() -> None:
    assert DimseAddress.parse("MY PACS@pacs.example:104") == DimseAddress("MY PACS", "pacs.example", 104)
    assert DimseAddress.parse("A@[::1]:11112").host == "::1"
    assert is_ae_title("A" * 16)
