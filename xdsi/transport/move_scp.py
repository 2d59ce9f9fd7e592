"""A C-MOVE SCP over TLS (pynetdicom): RAD-16 for the application entities that the settings name.

DICOM PS3.4 C.4.2, PS3.7 9.1.4 and 9.3.4, PS3.15 B.9 (TLS). A sub-operation goes to the address of the settings, over
TLS to whoever holds the certificate of the settings, and nowhere else.
"""

from __future__ import annotations

import logging
import ssl
import warnings
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove, Verification  # type: ignore[attr-defined]

from xdsi.actors.image_mover import DESTINATION, NO_MATCH, ImageMover, Move
from xdsi.domain.errors import MalformedMessage, Refused, SecurityFault
from xdsi.domain.move import DicomPeer, Moved, MoveRequest
from xdsi.domain.outcome import Problem
from xdsi.domain.subject import Node, Peer
from xdsi.transport.association_pace import RATE, SECONDS, Patience, each_paced, paced
from xdsi.transport.late_handshake import Accepting
from xdsi.transport.peers import peer_of_socket
from xdsi.transport.reactor_gate import GATED
from xdsi.transport.tls import fingerprint, still_admits

log = logging.getLogger("xdsi.dimse")

_UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_CONTEXTS = 128
"""that one association can propose (PS3.8 9.3.2)"""
_PENDING, _CANCELLED, _C_STORE_RSP = 0xFF00, 0xFE00, 0x8001
_LEVELS = ("STUDY", "SERIES", "IMAGE")


class MoveServer:
    """Serves associations until stopped; `refused` is told of connections that fail in the handshake."""

    def __init__(
        self,
        mover: ImageMover,
        *,
        address: str,
        port: int,
        ae_title: str,
        server_tls: Callable[[], ssl.SSLContext] | None,
        client_tls: Callable[[], ssl.SSLContext] | None,
        refused: Callable[[Peer, str], None],
        max_associations: int = 10,
    ) -> None:
        self._mover = mover
        self._place = (address, port)
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._refused = refused
        self._ae = AE(ae_title=ae_title)
        self._ae.maximum_associations = max_associations
        self._ae.require_called_aet = True
        self._ae.acse_timeout = 30
        self._ae.dimse_timeout = 60
        self._ae.network_timeout = 60
        self._ae.add_supported_context(StudyRootQueryRetrieveInformationModelMove, list(_UNCOMPRESSED))
        self._ae.add_supported_context(Verification, list(_UNCOMPRESSED))
        self._server: Any = None

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Begin."""
        handlers: Any = [each_paced(), (evt.EVT_REQUESTED, self._requested), (evt.EVT_C_MOVE, self._move)]
        context: Any = Accepting(self._server_tls, self._refused) if self._server_tls is not None else None
        self._server = self._ae.start_server(self._place, block=False, evt_handlers=handlers, ssl_context=context)

    def stop(self) -> None:
        """End; associations that are open are aborted."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    # -- who asks

    def _peer(self, association: Any) -> Peer:
        sock = association.dul.socket.socket
        nodes: dict[str, Node] = {}
        address = str(association.requestor.address)
        if self._server_tls is not None and not still_admits(self._server_tls(), sock):
            return Peer(address=address)  # associations last: who was let in may have been revoked since
        return peer_of_socket(sock, address, nodes)

    def _requested(self, event: Any) -> None:
        """Reject an application entity that is not known by its title and its certificate together."""
        association = event.assoc
        ae_title = str(association.requestor.primitive.calling_ae_title).strip()
        peer = self._peer(association)
        if self._mover.known(ae_title, peer.certificate_sha256) is None:
            log.warning("%s %s refused: not known by this certificate", peer.address, ae_title)
            self._mover.refused(peer, ae_title)
            association.acse.send_reject(0x01, 0x01, 0x03)
            association.kill()

    # -- what is asked

    def _move(self, event: Any) -> Iterator[Any]:
        association = event.assoc
        ae_title = str(association.requestor.primitive.calling_ae_title).strip()
        destination = str(event.move_destination or "").strip()
        try:
            move = self._mover.move(
                ae_title, self._peer(association), destination, lambda: read_identifier(event.identifier, destination)
            )
        except SecurityFault:
            association.abort()
            return iter(())
        if move.answer.instances:
            return self._sending(event, move)
        return _nothing(move.answer.outcome.errors)

    def _sending(self, event: Any, move: Move) -> Iterator[Any]:
        accepted: list[Any] = []
        arrived: set[str] = set()
        current = ""

        def established(opened: Any) -> None:
            accepted.extend(opened.assoc.accepted_contexts)

        def answered(opened: Any) -> None:
            command = opened.message.command_set
            if command.get("CommandField") == _C_STORE_RSP and _kept(int(command.get("Status", 0xC000))):
                arrived.add(current)

        arguments: dict[str, Any] = {
            "contexts": _contexts(move.answer.instances),
            "evt_handlers": [
                GATED,
                paced(Patience(SECONDS, RATE)),
                (evt.EVT_ESTABLISHED, established),
                (evt.EVT_DIMSE_RECV, answered),
            ],
        }
        if self._client_tls is not None:
            arguments["tls_args"] = (_Pinned(self._client_tls, move.to), None)
        try:
            yield move.to.host, move.to.port, arguments
            yield len(move.answer.instances)
            for one in move.answer.instances:
                if event.is_cancelled:
                    yield _CANCELLED, None
                    return
                current = one.instance.sop_instance_uid
                yield _PENDING, self._dataset(move, one, accepted)
        finally:
            uids = [one.instance.sop_instance_uid for one in move.answer.instances]
            move.failed.extend(uid for uid in uids if uid not in arrived)
            self._mover.done(move)

    def _dataset(self, move: Move, one: Moved, accepted: Sequence[PresentationContext]) -> Dataset:
        """The instance in a transfer syntax that the destination has accepted for its class."""
        syntaxes = [
            str(context.transfer_syntax[0])
            for context in accepted
            if context.abstract_syntax == one.instance.sop_class_uid
        ]
        try:
            document = self._mover.document(move, one, syntaxes)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return dcmread(BytesIO(b"".join(document.open())))
        except Exception as error:
            log.warning("%s is not sent: %s", one.instance.sop_instance_uid, error)
            # Without a class it cannot be sent: it counts as failed, and the others go on.
            missing = Dataset()
            missing.SOPInstanceUID = one.instance.sop_instance_uid
            return missing


def _kept(status: int) -> bool:
    """True for the statuses of a C-STORE that leave the instance with its receiver (PS3.4 table B.2-1)."""
    return status in (0x0000, 0xB000, 0xB006, 0xB007)


def _nothing(problems: Sequence[Problem]) -> Iterator[Any]:
    """The answer to who has nothing sent."""
    problem = problems[0] if problems else None
    if problem is not None and problem.location == DESTINATION:
        return iter([(None, None)])
    if problem is not None and problem.code != NO_MATCH:
        # pynetdicom answers that it is unable to process this (Cxxx).
        raise Refused(problem.context)
    # No match, or none that may be seen: nothing was to be sent, and nothing was.
    return iter([("127.0.0.1", 0), 0])


def _contexts(instances: Sequence[Moved]) -> list[PresentationContext]:
    """For each class the transfer syntaxes that its instances are kept in, and those that every entity takes."""
    classes: dict[str, dict[str, None]] = {}
    for one in instances:
        kept = classes.setdefault(one.instance.sop_class_uid, {})
        if one.instance.transfer_syntax_uid and one.instance.transfer_syntax_uid not in _UNCOMPRESSED:
            kept[one.instance.transfer_syntax_uid] = None
    contexts = [build_context(UID(name), list(_UNCOMPRESSED)) for name in classes]
    contexts += [build_context(UID(name), UID(syntax)) for name, kept in classes.items() for syntax in kept]
    return contexts[:_CONTEXTS]


def read_identifier(identifier: Dataset, destination: str) -> MoveRequest:
    """The request that an identifier is; MalformedMessage for one that lacks a key of its level (PS3.4 C.4.2.2.1)."""
    try:
        level = str(identifier.get("QueryRetrieveLevel", "")).strip()
        uids = [_uids(identifier, name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    except Exception as error:  # whatever an identifier of unknown origin makes the library do
        raise MalformedMessage(f"the identifier cannot be read: {error}") from error
    if level not in _LEVELS:
        raise MalformedMessage(f"{level!r} is no level of Study Root", expected=", ".join(_LEVELS))
    depth = _LEVELS.index(level)
    if not all(uids[: depth + 1]) or any(len(above) > 1 for above in uids[:depth]):
        raise MalformedMessage(f"unique keys of level {level} are missing, or several where one is needed")
    study, series, sop = (*uids[: depth + 1], (), ())[:3]
    return MoveRequest(study_uids=study, series_uids=series, sop_uids=sop, destination=destination)


def _uids(identifier: Dataset, name: str) -> tuple[str, ...]:
    value = identifier.get(name)
    if value is None or value == "":
        return ()
    values = [value] if isinstance(value, str) else list(value)
    return tuple(str(one) for one in values if str(one))


class _Pinned:
    """Stands for an SSL context of an outgoing connection: the other end must hold the peer's own certificate."""

    def __init__(self, context: Callable[[], ssl.SSLContext], to: DicomPeer) -> None:
        self._context = context
        self._to = to

    def wrap_socket(self, sock: Any, *, server_side: bool, server_hostname: str | None) -> ssl.SSLSocket:
        """A socket that connects to this peer only."""
        context = self._context()
        # Known by its certificate, whatever name it has: ITI-19 asks for no more, and for no less.
        context.check_hostname = False
        wrapped = context.wrap_socket(sock, server_side=server_side, server_hostname=server_hostname)
        wrapped.__class__ = _PinnedSocket
        pinned: Any = wrapped
        pinned.expected = self._to.certificate_sha256
        return wrapped


class _PinnedSocket(ssl.SSLSocket):
    """Ends a connection to somebody else before anything is sent."""

    expected = ""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of ssl.SSLSocket
        """Shake hands, and look who it is."""
        super().do_handshake(block)
        der = self.getpeercert(binary_form=True)
        if der is None or fingerprint(der) != self.expected:
            raise ssl.SSLError("the destination holds another certificate than the settings say")
