"""Notices by DIMSE as modalities and archives send them (pynetdicom), plain and over TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    Verification,
)

from tests.actors.test_archive_notices import Memory, notices
from tests.servers import wait_until
from xdsi.domain.subject import Node, Peer
from xdsi.spec import dimse
from xdsi.transport import pki
from xdsi.transport.notice_scp import NoticeServer
from xdsi.transport.reactor_gate import GATED
from xdsi.transport.tls import ReloadingContext, TlsFiles, client_context, server_context

STEP, STUDY = "1.2.3.9", "1.2.3"


@contextmanager
def listening(memory: Memory, tls: Any = None, **changes: Any) -> Iterator[NoticeServer]:
    given: dict[str, Any] = {"named": lambda peer: peer, "refused": lambda peer, reason: None} | changes
    server = NoticeServer(
        notices(memory, nodes_required=tls is not None), address="127.0.0.1", port=0, ae_title="XDSI", tls=tls, **given
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def associated(server: NoticeServer, tls: ssl.SSLContext | None = None, called: str = "XDSI") -> Iterator[Any]:
    entity = AE(ae_title="CT1")
    for one in (ModalityPerformedProcedureStep, InstanceAvailabilityNotification, Verification):
        entity.add_requested_context(one)
    arguments: dict[str, Any] = {"tls_args": (tls, "127.0.0.1")} if tls else {}
    association = entity.associate("127.0.0.1", server.port, ae_title=called, evt_handlers=[GATED], **arguments)
    try:
        yield association
    finally:
        association.release() if association.is_established else association.abort()


def begun(study: str = STUDY, status: str = "IN PROGRESS") -> Dataset:
    said, scheduled = Dataset(), Dataset()
    scheduled.StudyInstanceUID, scheduled.AccessionNumber = study, "A1"
    said.ScheduledStepAttributesSequence = [scheduled]
    said.PerformedProcedureStepStatus, said.Modality = status, "CT"
    return said


def changed(status: str) -> Dataset:
    said = Dataset()
    said.PerformedProcedureStepStatus = status
    return said


def available(study: str = STUDY) -> Dataset:
    said = Dataset()
    said.StudyInstanceUID = study
    return said


@pytest.mark.parametrize("nothing", [None, Dataset()], ids=["no data set", "a data set announced that never comes"])
def test_a_notice_without_any_attribute_gets_an_answer(nothing: Dataset | None) -> None:
    """pynetdicom announces an empty data set, and sends no fragment of it."""
    memory = Memory()
    with listening(memory, data_seconds=1.0) as server, associated(server) as scu:
        scu.dimse_timeout = 60
        for about in (ModalityPerformedProcedureStep, InstanceAvailabilityNotification):
            status, _ = scu.send_n_create(nothing, about, STEP)
            assert status.Status == dimse.MISSING_ATTRIBUTE
        status, _ = scu.send_n_create(begun(), ModalityPerformedProcedureStep, STEP)
        assert status.Status == 0, "the association goes on"
        status, _ = scu.send_n_set(nothing or Dataset(), ModalityPerformedProcedureStep, STEP)
        assert status.Status == 0
        status, _ = scu.send_n_set(changed("COMPLETED"), ModalityPerformedProcedureStep, STEP)
        assert status.Status == 0
    assert memory.queued == [([STUDY], "MPPS", 60.0)]


def test_a_modality_tells_of_its_step() -> None:
    memory = Memory()
    with listening(memory) as server, associated(server) as scu:
        assert scu.send_c_echo().Status == 0
        status, _ = scu.send_n_create(begun(), ModalityPerformedProcedureStep, STEP)
        assert status.Status == 0
        assert memory.queued == []
        status, _ = scu.send_n_set(changed("COMPLETED"), ModalityPerformedProcedureStep, STEP)
        assert status.Status == 0
        assert memory.queued == [([STUDY], "MPPS", 60.0)]
        status, _ = scu.send_n_set(changed("COMPLETED"), ModalityPerformedProcedureStep, STEP)
        assert (status.Status, status.ErrorID) == (
            dimse.PROCESSING_FAILURE, dimse.STEP_MAY_NO_LONGER_BE_UPDATED,
        )  # fmt: skip


def test_an_archive_tells_what_is_available() -> None:
    memory = Memory()
    with listening(memory) as server, associated(server) as scu:
        status, _ = scu.send_n_create(available(), InstanceAvailabilityNotification, "1.2.77")
        assert status.Status == 0
        assert memory.queued == [([STUDY], "IAN", 60.0)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (changed("IN PROGRESS"), dimse.MISSING_ATTRIBUTE),
        (begun(study=""), dimse.INVALID_ATTRIBUTE_VALUE),
        (begun(status="WHATEVER"), dimse.INVALID_ATTRIBUTE_VALUE),
    ],
)
def test_a_wrong_notice_is_refused_with_its_status(said: Dataset, expected: int) -> None:
    memory = Memory()
    with listening(memory) as server, associated(server) as scu:
        status, _ = scu.send_n_create(said, ModalityPerformedProcedureStep, STEP)
        assert status.Status == expected
        status, _ = scu.send_n_set(changed("COMPLETED"), ModalityPerformedProcedureStep, STEP)
        assert status.Status == dimse.NO_SUCH_SOP_INSTANCE
        status, _ = scu.send_n_create(available(""), InstanceAvailabilityNotification, "1.2.77")
        assert status.Status == dimse.MISSING_ATTRIBUTE
    assert memory.queued == []


def test_only_our_own_title_is_answered() -> None:
    with listening(Memory()) as server, associated(server, called="ANOTHER") as scu:
        assert scu.is_rejected


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    pki.create_demonstration(folder)
    return folder


def files(folder: Path, name: str) -> TlsFiles:
    return TlsFiles(certificate=folder / f"{name}.pem", key=folder / f"{name}.key", peer_ca=folder / "ca.pem")


def test_who_would_not_be_let_in_any_more_tells_nothing(certificates: Path) -> None:
    """An association lasts: the files of TLS were changed since."""
    memory = Memory()
    node = Node(name="hospital-a", permits=frozenset({"RAD-7"}))

    def named(peer: Peer) -> Peer:
        return replace(peer, node=node if peer.certificate_sha256 else None)

    contexts = [server_context(files(certificates, "hub")), server_context(files(certificates, "hub"))]
    with (
        listening(memory, lambda: contexts[0], named=named, refused=lambda peer, reason: None) as server,
        associated(server, client_context(files(certificates, "hospital-a"))) as scu,
    ):
        status, _ = scu.send_n_create(begun(), ModalityPerformedProcedureStep, STEP)
        assert status.Status == 0
        del contexts[0]
        status, _ = scu.send_n_set(changed("COMPLETED"), ModalityPerformedProcedureStep, STEP)
        assert status.Status == dimse.NOT_AUTHORIZED
    assert memory.queued == []


def test_over_tls_the_certificate_says_who_tells(certificates: Path) -> None:
    memory = Memory()
    node = Node(name="hospital-a", permits=frozenset({"RAD-7"}))
    nodes = {pki.load(certificates, "hospital-a").sha256: node}
    refused: list[str] = []

    def named(peer: Peer) -> Peer:
        return replace(peer, node=nodes.get(peer.certificate_sha256))

    tls = ReloadingContext(files(certificates, "hub"))
    with listening(memory, tls, named=named, refused=lambda peer, reason: refused.append(reason)) as server:
        for name, expected in (("hospital-a", 0), ("hospital-b", dimse.NOT_AUTHORIZED)):
            with associated(server, client_context(files(certificates, name))) as scu:
                status, _ = scu.send_n_create(
                    begun(status="COMPLETED"), ModalityPerformedProcedureStep, f"1.2.{len(name)}.{expected}"
                )
                assert status.Status == expected, name
                status, _ = scu.send_n_create(available(), InstanceAvailabilityNotification, "1.2.77")
                assert status.Status == dimse.NOT_AUTHORIZED
        assert memory.queued == [([STUDY], "MPPS", 60.0)]
        stranger = client_context(files(certificates, "stranger"))
        plain = socket.create_connection(("127.0.0.1", server.port))
        with plain, suppress(OSError), stranger.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(b"?")
            connection.recv(1)
        wait_until(lambda: bool(refused), 10)
