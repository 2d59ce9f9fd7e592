"""RAD-16 with dcmtk: movescu asks through a TLS tunnel (it speaks none), storescp takes images over TLS."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import subprocess
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove  # type: ignore[attr-defined]

from tests.imaging import STUDIES, program
from tests.servers import wait_until
from tests.transport.test_rest import kept
from tests.trusted import CT, MR, XR, Trusted
from xdsi.actors.image_mover import ImageMover, Move
from xdsi.domain.errors import MalformedMessage, SecurityFault
from xdsi.domain.move import DicomPeer, MoveAnswer, MoveRequest
from xdsi.domain.outcome import Outcome
from xdsi.domain.subject import Peer
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.transport import pki
from xdsi.transport.move_scp import MoveServer, read_identifier
from xdsi.transport.reactor_gate import GATED
from xdsi.transport.tls import TlsFiles, client_context, server_context


@contextmanager
def tunnel(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """A plain port of loopback whose connections go on over TLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def taken(source: socket.socket) -> bytes | None:
        """What has come; None for what is TLS's own, such as session tickets."""
        source.settimeout(0)
        try:
            return source.recv(65536)
        except (ssl.SSLWantReadError, BlockingIOError):
            return None
        finally:
            source.settimeout(30)

    def carry(plain: socket.socket) -> None:
        with plain:
            try:
                raw = socket.create_connection(("127.0.0.1", port), timeout=30)
                tls = context.wrap_socket(raw, server_hostname="127.0.0.1")
            except OSError:
                return
            # In one thread: a TLS connection must not be read and written at the same time.
            with tls, suppress(OSError):
                while True:
                    ready = [tls] if tls.pending() else select.select([plain, tls], [], [], 60)[0]
                    for source, target in ((tls, plain), (plain, tls)):
                        if source in ready:
                            data = taken(source)
                            if data == b"":
                                return
                            target.sendall(data or b"")
                    if not ready:
                        return

    connections: list[threading.Thread] = []

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            connections.append(threading.Thread(target=carry, args=(plain,)))
            connections[-1].start()

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in (accepting, *connections):
            one.join(30)


@contextmanager
def storing(trusted: Trusted, folder: Path, node: str = "consumer", port: int = 0) -> Iterator[Path]:
    """dcmtk's storescp over TLS with a node's certificate; where it puts what it gets."""
    path = program("storescp")
    out = folder / "stored"
    out.mkdir(parents=True)
    key, certificate = trusted.pki / f"{node}.key", trusted.pki / f"{node}.pem"
    number = port or trusted.store_ports[0]
    with (folder / "storescp.log").open("wb") as log:
        process = subprocess.Popen(
            [path, "-v", "+tls", key, certificate, "+cf", trusted.pki / "ca.pem", "+xa", "-uf", "-od", out,
             str(number)],
            stdout=log, stderr=log,
        )  # fmt: skip

    def listening() -> bool:
        assert process.poll() is None, (folder / "storescp.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", number)) == 0

    try:
        wait_until(listening, 30)
        yield out
    finally:
        process.terminate()
        process.wait(30)


def moved(
    trusted: Trusted, *keys: str, title: str = "MOVER", node: str = "consumer", to: str = "MOVER", level: str = "STUDY",
    called: str = "XDSI",
) -> str:  # fmt: skip
    """What movescu says of a C-MOVE."""
    path = program("movescu")
    with tunnel(trusted.move_port, trusted.context(node)) as port:
        named = [argument for key in (f"0008,0052={level}", *keys) for argument in ("-k", key)]
        done = subprocess.run(
            [path, "-d", "-S", "-aet", title, "-aec", called, "-aem", to, *named, "127.0.0.1", str(port)],
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def stored(folder: Path) -> dict[str, bytes]:
    """The pixels of what storescp got."""
    return {str(one.SOPInstanceUID): one.PixelData for one in map(pydicom.dcmread, folder.iterdir())}


def pixels(study_uid: str) -> dict[str, bytes]:
    return {uid: pydicom.dcmread(BytesIO(raw)).PixelData for uid, raw in kept(study_uid).items()}


def records(trusted: Trusted) -> Counter[tuple[str, int]]:
    """How often each transaction or alert is on record, by outcome."""
    items = trusted.command("audit", "search", "--limit", "10000")
    return Counter((item["transaction"], item["outcome"]) for item in items)


@pytest.mark.component
def test_a_study_consented_to_is_sent_to_who_asks(trusted: Trusted, tmp_path: Path) -> None:
    with storing(trusted, tmp_path) as out:
        said = moved(trusted, f"0020,000D={CT}")
        assert "Completed Suboperations       : 4" in said, said
        assert stored(out) == pixels(CT)


@pytest.mark.component
def test_levels_below_the_study(trusted: Trusted, tmp_path: Path) -> None:
    series = {
        str(pydicom.dcmread(__import__("io").BytesIO(raw)).SeriesInstanceUID): uid for uid, raw in kept(CT).items()
    }
    (series_uid, sop_uid), *_ = series.items()
    with storing(trusted, tmp_path) as out:
        moved(trusted, f"0020,000D={CT}", f"0020,000E={series_uid}", f"0008,0018={sop_uid}", level="IMAGE")
        assert set(stored(out)) == {sop_uid}
        moved(trusted, f"0020,000D={CT}", f"0020,000E={series_uid}", level="SERIES")
        assert sop_uid in stored(out)


@pytest.mark.component
def test_what_may_not_be_seen_is_no_match(trusted: Trusted, tmp_path: Path) -> None:
    """Not consented to, not published, not there, in another role: one answer, and nothing is sent."""
    before = records(trusted)
    with storing(trusted, tmp_path) as out:
        said = {
            moved_outcome(trusted, MR), moved_outcome(trusted, XR), moved_outcome(trusted, "1.2.3"),
            moved_outcome(trusted, CT, title="PORTER", node="hospital-a", to="PORTER"),
        }  # fmt: skip
        assert len(said) == 1, said
        assert "0x0000" in next(iter(said))
        assert list(out.iterdir()) == []
    wait_until(lambda: (records(trusted) - before)["RAD-16", 8] == 4)
    assert (records(trusted) - before)["110144", 4] == 2, "two were refused, the others are not there"


@pytest.mark.component
def test_what_may_be_seen_opens_nothing_beside_it(trusted: Trusted, tmp_path: Path) -> None:
    """Studies in one list, and series and instances of one study claimed to be of the other."""
    study = FolderPacs(STUDIES).study(MR)
    assert study is not None
    series, instance = study.series[0].series_instance_uid, study.series[0].instances[0].sop_instance_uid
    with storing(trusted, tmp_path) as out:
        for keys, level in (
            ((f"0020,000D={CT}", f"0020,000E={series}"), "SERIES"),
            ((f"0020,000D={CT}", f"0020,000E={series}", f"0008,0018={instance}"), "IMAGE"),
            ((f"0020,000D={MR}", f"0020,000E={series}", f"0008,0018={instance}"), "IMAGE"),
            (("0020,000D=*",), "STUDY"),
            (("0020,000D=",), "STUDY"),
        ):
            moved(trusted, *keys, level=level)
        assert stored(out) == {}
        moved(trusted, f"0020,000D={MR}\\{CT}")
        assert stored(out) == pixels(CT)


def moved_outcome(trusted: Trusted, study_uid: str, **arguments: str) -> str:
    said = moved(trusted, f"0020,000D={study_uid}", **arguments)
    return "\n".join(line for line in said.splitlines() if "DIMSE Status" in line or "Suboperations" in line)


@pytest.mark.component
@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"title": "NOBODY"}, "Calling AE Title Not Recognized"),
        ({"title": "PORTER"}, "Calling AE Title Not Recognized"),
        ({"node": "hospital-a"}, "Calling AE Title Not Recognized"),
        ({"called": "OTHER"}, "Called AE Title Not Recognized"),
        ({"to": "ELSEWHERE"}, "0xa801"),
        ({"to": "NOBODY"}, "0xa801"),
        ({"level": "PATIENT"}, "0xc5"),
    ],
)  # fmt: skip
def test_who_is_not_known_or_sends_elsewhere_is_refused(
    trusted: Trusted, tmp_path: Path, arguments: dict[str, str], refusal: str
) -> None:
    with storing(trusted, tmp_path) as out:
        said = moved(trusted, f"0020,000D={CT}", **arguments)
        assert refusal.lower() in said.lower(), said
        assert list(out.iterdir()) == []


@pytest.mark.component
def test_nothing_leaves_for_who_holds_another_certificate(trusted: Trusted, tmp_path: Path) -> None:
    before = records(trusted)
    with storing(trusted, tmp_path, node="hospital-b") as out:
        said = moved(trusted, f"0020,000D={CT}")
        assert "0xa801" in said.lower(), said
        assert list(out.iterdir()) == []
    wait_until(lambda: (records(trusted) - before)["RAD-16", 8] == 1)
    assert (records(trusted) - before)["RAD-16", 0] == 1, "what was decided, and that it did not arrive"


def no_certificate(trusted: Trusted) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(trusted.pki / "ca.pem"))


def of_another_authority(trusted: Trusted) -> ssl.SSLContext:
    context = no_certificate(trusted)
    context.load_cert_chain(trusted.pki / "stranger.pem", trusted.pki / "stranger.key")
    return context


def of_former_versions(trusted: Trusted) -> ssl.SSLContext:
    context = trusted.context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def cleartext(trusted: Trusted) -> None:
    """No TLS at all."""


@pytest.mark.parametrize("way", [no_certificate, of_another_authority, of_former_versions, cleartext])
def test_who_does_not_get_through_the_handshake_gets_no_association_and_is_audited(
    trusted: Trusted, tmp_path: Path, way: Callable[[Trusted], ssl.SSLContext | None]
) -> None:
    """With an A-ASSOCIATE-RQ right behind it: no octet of an answer comes back in clear or over TLS."""

    def refused() -> int:
        items = trusted.command("audit", "search", "--outcome", "8", "--limit", "10000")
        return sum(item["transaction"] == "110126" for item in items)

    before = refused()
    context, came = way(trusted), b""
    with socket.create_connection(("127.0.0.1", trusted.move_port), timeout=30) as raw, suppress(OSError):
        connection = context.wrap_socket(raw, server_hostname="127.0.0.1") if context is not None else raw
        with connection:
            connection.sendall(association_request("MOVER", "XDSI"))
            came = connection.recv(65536)
    # What a TLS server says to who speaks something else is an alert (RFC 8446 6): never a PDU.
    assert came == b"" or came[0] == 21
    wait_until(lambda: refused() > before)
    # Whoever is known is served as before.
    assert "0x0000" in moved_outcome(trusted, "1.2.3")


def association_request(calling: str, called: str) -> bytes:
    """An A-ASSOCIATE-RQ for C-MOVE (PS3.8 9.3.2)."""

    def item(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(content)) + content

    syntaxes = item(0x30, b"1.2.840.10008.5.1.4.1.2.2.2") + item(0x40, b"1.2.840.10008.1.2")
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")
    content = item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, bytes([1, 0, 0, 0]) + syntaxes) + item(0x50, user)
    titles = called.encode().ljust(16) + calling.encode().ljust(16)
    body = struct.pack(">HH", 1, 0) + titles + bytes(32) + content
    return struct.pack(">BBI", 1, 0, len(body)) + body


def test_the_title_of_another_organisation_is_of_no_use(trusted: Trusted, tmp_path: Path) -> None:
    """By its certificate it is another entity's, whichever of both organisations would be permitted."""
    before = records(trusted)
    with storing(trusted, tmp_path) as out:
        for title, node in (("MOVER", "hospital-b"), ("ELSEWHERE", "consumer")):
            said = moved(trusted, f"0020,000D={CT}", title=title, node=node, to=title)
            assert "calling ae title not recognized" in said.lower(), said
        assert list(out.iterdir()) == []
    wait_until(lambda: (records(trusted) - before)["110143", 8] == 2)
    assert (records(trusted) - before)["RAD-16", 0] == 0


class Answering(ImageMover):
    """Knows who asks as always; finds nothing, and notes who asked."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        object.__setattr__(self, "asked", [])

    def move(self, ae_title: str, peer: Peer, destination: str, read: Callable[[], MoveRequest]) -> Move:
        asking = self.known(ae_title, peer.certificate_sha256)
        self.asked.append(asking)  # type: ignore[attr-defined]
        if asking is None:
            raise SecurityFault("FailedAuthentication", "not known")
        nothing: Any = None
        return Move(asking, MoveAnswer(outcome=Outcome()), nothing, nothing, nothing)


def test_who_would_not_be_let_in_any_more_gets_nothing_by_the_association_that_he_has(trusted: Trusted) -> None:
    """An association lasts: the files of TLS were changed since."""

    def files(name: str) -> TlsFiles:
        own = trusted.pki / f"{name}.pem", trusted.pki / f"{name}.key"
        return TlsFiles(certificate=own[0], key=own[1], peer_ca=trusted.pki / "ca.pem")

    nobody: Any = None
    sha256 = pki.load(trusted.pki, "consumer").sha256
    known = DicomPeer(ae_title="MOVER", host="127.0.0.1", port=1, certificate_sha256=sha256, subject=nobody)
    mover = Answering(actor=nobody, peers={"MOVER": known})
    contexts = [server_context(files("hub")), server_context(files("hub"))]
    server = MoveServer(
        mover, address="127.0.0.1", port=0, ae_title="XDSI", server_tls=lambda: contexts[0], client_tls=None,
        refused=lambda peer, reason: None,
    )  # fmt: skip
    server.start()
    try:
        entity = AE(ae_title="MOVER")
        entity.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
        scu = entity.associate(
            "127.0.0.1", server.port, ae_title="XDSI", evt_handlers=[GATED],
            tls_args=(client_context(files("consumer")), "127.0.0.1"),
        )  # fmt: skip
        wanted = identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=CT)

        def move() -> Dataset:
            *_, (status, _) = scu.send_c_move(wanted, "MOVER", StudyRootQueryRetrieveInformationModelMove)
            return status

        assert move().Status == 0
        del contexts[0]
        assert "Status" not in move(), "no answer"
        wait_until(lambda: scu.is_aborted)
    finally:
        server.stop()
    assert mover.asked == [known, None]  # type: ignore[attr-defined]


# -- identifiers


def identifier(**elements: object) -> Dataset:
    dataset = Dataset()
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def test_an_identifier_names_what_is_asked_for() -> None:
    several = read_identifier(identifier(QueryRetrieveLevel="STUDY", StudyInstanceUID=["1.2", "1.3"]), "X")
    assert (several.study_uids, several.series_uids, several.destination) == (("1.2", "1.3"), (), "X")
    image = identifier(
        QueryRetrieveLevel="IMAGE", StudyInstanceUID="1.2", SeriesInstanceUID="1.3", SOPInstanceUID=["1.4", "1.5"]
    )
    assert read_identifier(image, "X").sop_uids == ("1.4", "1.5")
    image.QueryRetrieveLevel = "SERIES"
    assert read_identifier(image, "X").sop_uids == (), "keys below the level do not count"


@pytest.mark.parametrize(
    "elements",
    [
        {}, {"QueryRetrieveLevel": "STUDY"}, {"QueryRetrieveLevel": "PATIENT", "StudyInstanceUID": "1.2"},
        {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2"},
        {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": ["1.2", "1.3"], "SeriesInstanceUID": "1.4"},
        {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"},
        {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "1.2", "SOPInstanceUID": "1.3"},
    ],
)  # fmt: skip
def test_an_identifier_that_names_nothing(elements: dict[str, object]) -> None:
    with pytest.raises(MalformedMessage):
        read_identifier(identifier(**elements), "X")
