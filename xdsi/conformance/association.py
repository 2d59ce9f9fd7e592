"""The runner's application entity (pynetdicom): one association for a C-ECHO or C-MOVE, and a storage SCP meanwhile.

PS3.4 A, B, C.4.2; PS3.15 B.9. Like every exchange it takes no longer and no more than the endpoint allows.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydicom.dataset import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove, Verification  # type: ignore[attr-defined]

from .dimse import Arrived, Asked, Came, DimseAnswer
from .mllp import context
from .sending import Limits

_COUNTS = {"completed": "Completed", "failed": "Failed", "warning": "Warning"}
_EXPLICIT, _IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
_SYNTAXES = sorted(ALL_TRANSFER_SYNTAXES, key=lambda one: (one == _IMPLICIT, one != _EXPLICIT))


class _Watch:
    """Ends all connections of an exchange that lasts too long, or brings too much."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._size = 0
        self._wires: list[socket.socket] = []
        self._lock = threading.Lock()
        self.why = ""

    def handlers(self) -> list[Any]:
        """Those of pynetdicom, for either side."""
        return [(evt.EVT_CONN_OPEN, self._opened), (evt.EVT_DATA_RECV, self._received)]

    def late(self) -> None:
        """The time is over."""
        self._end(f"timed out: the exchange was not over after {self._limits.whole:g} s (--deadline)")

    def _opened(self, event: Any) -> None:
        wire = event.assoc.dul.socket.socket
        if wire is None:
            return
        with suppress(OSError):
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._wires.append(wire)
        if self.why:
            self._end(self.why)

    def _received(self, event: Any) -> None:
        with self._lock:
            self._size += len(event.data)
            over = self._size > self._limits.answer
        if over:
            self._end(f"what came is larger than {self._limits.answer} bytes (--max-answer)")

    def _end(self, why: str) -> None:
        with self._lock:
            self.why = self.why or why
            wires = list(self._wires)
        for wire in wires:
            # Of TLS, too, this is the TCP connection: whoever reads from it finds its end.
            with suppress(OSError):
                socket.socket.shutdown(wire, socket.SHUT_RDWR)


class _Calling:
    """Stands for an SSL context of the connection to the imaging source, TLS or none; keeps what it wraps."""

    def __init__(self, made: ssl.SSLContext | None) -> None:
        self._made = made
        self._wire: socket.socket | None = None

    def wrap_socket(self, sock: socket.socket, *, server_side: bool, server_hostname: str) -> socket.socket:
        """The socket to connect with."""
        tls = self._made
        self._wire = tls.wrap_socket(sock, server_side=server_side, server_hostname=server_hostname) if tls else sock
        return self._wire

    def close(self) -> None:
        """Where there was no connection: pynetdicom lets the socket lie."""
        if self._wire is not None:
            self._wire.close()


class _Waiting:
    """Stands for an SSL context of accepted connections: a handshake may not take for ever."""

    def __init__(self, made: ssl.SSLContext, seconds: float) -> None:
        self._made, self._seconds = made, seconds

    def wrap_socket(self, sock: socket.socket, *, server_side: bool) -> ssl.SSLSocket:
        """A TLS socket after its handshake."""
        sock.settimeout(self._seconds)
        wrapped = self._made.wrap_socket(sock, server_side=server_side)
        wrapped.settimeout(None)
        return wrapped


def exchange(asked: Asked, shown: tuple[str, str] | None, limits: Limits, authorities: str) -> Came:
    """Ask, and take what is sent meanwhile; what hinders stands in `trouble`."""
    watch = _Watch(limits)
    timer = threading.Timer(limits.whole, watch.late)
    timer.daemon = True
    timer.start()
    arrived: list[Arrived] = []
    try:
        with _taking(asked, shown, limits, authorities, watch, arrived):
            answer = _asked(asked, shown, limits, authorities, watch)
    except (OSError, ValueError, RuntimeError) as error:
        return Came(trouble=watch.why or f"{type(error).__name__}: {error}")
    finally:
        timer.cancel()
    if watch.why or isinstance(answer, str):
        return Came(trouble=watch.why or str(answer))
    whole = DimseAnswer(answer.rejected, answer.status, answer.counts, tuple(arrived))
    return Came(body=whole.text.encode(), answer=whole)


def _entity(title: str, limits: Limits) -> AE:
    made = AE(ae_title=title)
    made.connection_timeout = made.acse_timeout = min(limits.silence, limits.whole)
    made.dimse_timeout = made.network_timeout = min(limits.silence, limits.whole)
    return made


def _asked(
    asked: Asked, shown: tuple[str, str] | None, limits: Limits, authorities: str, watch: _Watch
) -> DimseAnswer | str:
    """The answer, or why there is none."""
    place, entities = urlsplit(asked.entities.url), asked.entities
    model = Verification if asked.verb == "echo" else StudyRootQueryRetrieveInformationModelMove
    entity = _entity(entities.calling, limits)
    entity.add_requested_context(model, [_EXPLICIT, _IMPLICIT])
    host, port = place.hostname or "", place.port or 0
    calling = _Calling(context(shown, authorities) if place.scheme == "dicoms" else None)
    tls: Any = (calling, host)
    association = entity.associate(
        socket.gethostbyname(host), port, ae_title=entities.called, tls_args=tls, evt_handlers=watch.handlers()
    )
    if association.is_rejected:
        said: Any = association.acceptor.primitive
        reason = f"result {said.result}, source {said.result_source}, reason {said.diagnostic}"
        return DimseAnswer(rejected=reason)
    if not association.is_established:
        calling.close()
        return f"no association with {entities.called} at {host}:{port}: no connection, or it was ended"
    try:
        if asked.verb == "echo":
            return _answer(association.send_c_echo())
        responses = [said for said, _ in association.send_c_move(_identifier(asked), asked.destination, model)]
        return _answer(responses[-1] if responses else Dataset())
    finally:
        if association.is_established:
            association.release()


def _answer(response: Dataset) -> DimseAnswer | str:
    if "Status" not in response:
        return "the association ended, or fell silent (--timeout), before the last response"
    counts: dict[str, int | None] = {}
    for name, word in _COUNTS.items():
        value = response.get(f"NumberOf{word}Suboperations")
        counts[name] = None if value is None else int(value)
    return DimseAnswer(status=f"{int(response.Status):04X}", counts=counts)


def _identifier(asked: Asked) -> Dataset:
    identifier = Dataset()
    if asked.level:
        identifier.QueryRetrieveLevel = asked.level
    for name, text in asked.keys.items():
        setattr(identifier, name, text.split("\\") if "\\" in text else text)
    return identifier


@contextmanager
def _taking(
    asked: Asked, shown: tuple[str, str] | None, limits: Limits, authorities: str, watch: _Watch, arrived: list[Arrived]
) -> Iterator[None]:
    """Take instances under the own AE title for as long as the block lasts."""
    if asked.verb == "echo":
        yield
        return
    entities = asked.entities
    entity = _entity(entities.calling, limits)
    entity.require_called_aet = True
    for one in AllStoragePresentationContexts:
        entity.add_supported_context(str(one.abstract_syntax), _SYNTAXES)
    tls: Any = None
    if entities.url.startswith("dicoms:"):
        tls = _Waiting(_mutual(shown, authorities), min(limits.silence, limits.whole))

    def store(event: Any) -> int:
        status = asked.stores[min(len(arrived), len(asked.stores) - 1)]
        arrived.append(Arrived(str(event.request.AffectedSOPInstanceUID), _file(event), status))
        return int(status, 16)

    place = (entities.host, entities.port)
    try:
        # A port that is taken is found out ahead: pynetdicom lets its socket lie then.
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
        handlers = [*watch.handlers(), (evt.EVT_C_STORE, store)]
        entity.start_server(place, block=False, evt_handlers=handlers, ssl_context=tls)
    except OSError as error:
        raise OSError(f"images cannot be taken at {place[0]}:{place[1]} (--dimse-listen): {error}") from None
    try:
        yield
    finally:
        entity.shutdown()


def _mutual(shown: tuple[str, str] | None, authorities: str) -> ssl.SSLContext:
    """Of whoever takes images: both ends show a certificate (ITI-19)."""
    if shown is None:
        raise ValueError("dicoms:// needs a certificate of one's own (--tls-cert, --pki)")
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authorities or None)
    made.load_cert_chain(*shown)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def _file(event: Any) -> bytes:
    """What was sent, as a file; pynetdicom has it in memory, or where others of the process so choose in a file."""
    path = event.request._dataset_path
    if path is None:
        content: bytes = event.encoded_dataset()
        return content
    if event.request._dataset_file is not None:
        event.request._dataset_file.close()
    content = Path(path).read_bytes()
    Path(path).unlink(missing_ok=True)
    return content
