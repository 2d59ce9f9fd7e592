"""Archives by DIMSE that fall silent or crawl in the middle: given up in bounded time, with nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt

from tests.crawling import Crawling, standing
from tests.imaging import FILES
from tests.servers import PATIENCE, free_port, wait_until
from tests.transport.pacs.test_dimse import CT, WANTED, answering, asking, entity, getting, record
from xdsi.domain.errors import Unavailable
from xdsi.transport.association_pace import Patience, each_paced
from xdsi.transport.image_push import Image, StorePush
from xdsi.transport.pacs.associations import DimseAccess, DimseAddress
from xdsi.transport.pacs.dimse import DimsePacs

LIMITS = {"read_seconds": 1.5, "connect_seconds": 1.0, "minimum_rate": 10_000.0}
STUDY, IMAGE = b"1.2.3\0", str(CT.SOPInstanceUID).encode()


def states(pacs: DimsePacs) -> Any:
    return list(pacs.states())


def study(pacs: DimsePacs) -> Any:
    return pacs.study("1.2.3")


def image(pacs: DimsePacs) -> Any:
    return b"".join(pacs.open(WANTED))


def moving(to: list[int]) -> Any:
    """Sends the image to the port that is in the list by then."""

    def move(event: Any) -> Iterator[Any]:
        yield "127.0.0.1", to[0], {"contexts": [build_context(CT.SOPClassUID)]}
        yield 1
        yield 0xFF00, CT

    return move


def given_up(ask: Callable[[DimsePacs], Any], pacs: DimsePacs, relay: Crawling) -> None:
    """It is, while the other end goes on as it does."""
    with ThreadPoolExecutor(1) as executor:
        asked = executor.submit(ask, pacs)
        try:
            wait_until(lambda: relay.reached.is_set() or asked.done(), PATIENCE)
            assert relay.reached.is_set(), asked.exception()
            with pytest.raises(Unavailable):
                asked.result(PATIENCE)
        finally:
            relay.end.set()


@pytest.mark.parametrize(
    ("ask", "slow", "later", "way"),
    [
        # In the middle of the header of a PDU, and of a PDU; of the answer to the association, too.
        (states, b"", 3, "hangs"),
        (states, b"", 60, "crawls"),
        (study, STUDY, 3, "crawls"),
        (study, STUDY, 100, "hangs"),
        (image, IMAGE, 0, "hangs"),
        (image, IMAGE, 5_000, "hangs"),
        (image, IMAGE, 5_000, "crawls"),
    ],
)
def test_an_archive_that_hangs_or_crawls_is_given_up(
    ask: Callable[[DimsePacs], Any], slow: bytes, later: int, way: str, tmp_path: Path
) -> None:
    handlers = (evt.EVT_C_FIND, answering(2, "1.2.3.1.1", "1.2.3.1.2")), (evt.EVT_C_GET, getting(CT))
    with (
        entity(*handlers) as address,
        standing(Crawling((address.host, address.port), way, slow, later)) as relay,
        asking(DimseAddress("ARCHIVE", "127.0.0.1", relay.port), tmp_path, **LIMITS) as pacs,
    ):
        given_up(ask, pacs, relay)
        relay.become("")
        if ask is image:
            assert IMAGE in image(pacs), "afterwards it is to be had"


@pytest.mark.parametrize(("later", "way"), [(100, "hangs"), (20_000, "crawls")])
def test_an_image_by_c_move_that_does_not_come_on_is_given_up(way: str, later: int, tmp_path: Path) -> None:
    ours, to = free_port(), [0]
    with (
        entity((evt.EVT_C_MOVE, moving(to))) as address,
        standing(Crawling(("127.0.0.1", ours), way, b"", later, asks=True)) as relay,
        asking(address, tmp_path, retrieve="move", storage_port=ours, **LIMITS | {"read_seconds": 3.0}) as pacs,
    ):
        to[0] = relay.port
        given_up(image, pacs, relay)
        relay.become("")
        assert IMAGE in image(pacs), "afterwards it is to be had"


def test_answers_that_come_in_drops_are_given_up(tmp_path: Path) -> None:
    """Each message whole, and never an end."""
    end = threading.Event()

    def find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        while not end.wait(0.1) and event.assoc.is_established:
            yield 0xFF00, record(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3")
        yield 0x0000, None

    with entity((evt.EVT_C_FIND, find)) as address, asking(address, tmp_path, **LIMITS) as pacs:
        try:
            with ThreadPoolExecutor(1) as executor, pytest.raises(Unavailable):
                executor.submit(states, pacs).result(PATIENCE)
        finally:
            end.set()


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_a_large_image_may_take_longer_than_a_silence(retrieve: str, tmp_path: Path) -> None:
    large = pydicom.dcmread(FILES / "CT_small.dcm")
    large.PixelData = bytes(16_000 * 14)
    ours, to = free_port(), [0]

    def move(event: Any) -> Iterator[Any]:
        yield "127.0.0.1", to[0], {"contexts": [build_context(CT.SOPClassUID)]}
        yield 1
        yield 0xFF00, large

    with ExitStack() as stack:
        address = stack.enter_context(entity((evt.EVT_C_GET, getting(large)), (evt.EVT_C_MOVE, move)))
        target = ("127.0.0.1", ours) if retrieve == "move" else (address.host, address.port)
        relay = stack.enter_context(standing(Crawling(target, "walks", IMAGE, 0, asks=retrieve == "move")))
        to[0] = relay.port
        asked = address if retrieve == "move" else DimseAddress("ARCHIVE", "127.0.0.1", relay.port)
        limits = LIMITS | {"read_seconds": 2.5, "retrieve": retrieve, "storage_port": ours}
        pacs = stack.enter_context(asking(asked, tmp_path, **limits))
        assert bytes(16_000 * 14) in image(pacs)


@pytest.mark.parametrize("way", ["hangs", "crawls"])
def test_an_archive_that_takes_an_image_and_does_not_say_so_is_given_up(way: str) -> None:
    read = Image(str(CT.SOPInstanceUID), str(CT.SOPClassUID), "1.2.840.10008.1.2.1", lambda: CT)
    with (
        entity((evt.EVT_C_STORE, lambda event: 0)) as address,
        standing(Crawling((address.host, address.port), way, IMAGE, 2)) as relay,
        ThreadPoolExecutor(1) as executor,
    ):
        to = DimseAddress("ARCHIVE", "127.0.0.1", relay.port)
        sent = executor.submit(lambda: list(StorePush(to, DimseAccess(**LIMITS)).send([read])))  # type: ignore[arg-type]
        try:
            ((uid, said),) = sent.result(PATIENCE)
        finally:
            relay.end.set()
        assert uid == CT.SOPInstanceUID
        assert "does not answer" in said


@pytest.mark.parametrize(("later", "way"), [(3, "hangs"), (400, "crawls")])
def test_who_crawls_keeps_no_association_of_a_server(way: str, later: int) -> None:
    ae = AE(ae_title="OURS")
    ae.add_supported_context(CT.SOPClassUID)
    ae.maximum_associations = 1
    ae.acse_timeout = ae.network_timeout = 1
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[each_paced(1.0, 10_000)])
    assert server is not None

    def associated(port: int) -> Any:
        asking_ae = AE()
        asking_ae.add_requested_context(CT.SOPClassUID)
        asking_ae.acse_timeout = asking_ae.dimse_timeout = 1
        return asking_ae.associate("127.0.0.1", port)

    try:
        with standing(Crawling(server.server_address, way, b"", later, asks=True)) as relay:
            slow = associated(relay.port)
            if slow.is_established:
                slow.send_c_store(CT)
            assert relay.reached.wait(PATIENCE)

            def served() -> bool:
                quick = associated(server.server_address[1])
                established = bool(quick.is_established)
                if established:
                    quick.release()
                return established

            wait_until(served, PATIENCE)
    finally:
        server.shutdown()


def test_patience() -> None:
    now = [0.0]
    patience = Patience(10.0, 100.0, monotonic=lambda: now[0])
    assert patience.left() == 10.0
    now[0] = 4.0
    patience.came(200)
    assert patience.left() == 8.0, "those granted, and two for what came"
    patience.came(100_000)
    assert patience.left() == 10.0, "no more than the silence"
    now[0] = 14.5
    assert patience.left() == -0.5
    patience.begin()
    assert patience.left() == 10.0
    patience.end()
    assert patience.left() < 0
    any_rate = Patience(10.0, 0.0, monotonic=lambda: now[0])
    for _ in range(5):
        now[0] += 9.0
        any_rate.came(1)
    assert any_rate.left() == 10.0
