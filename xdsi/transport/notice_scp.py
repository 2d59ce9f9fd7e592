"""Takes notices by DIMSE (pynetdicom): performed procedure steps and available instances, over TLS.

DICOM PS3.4 F.7 (Modality Performed Procedure Step) and R.3 (Instance Availability Notification), PS3.7 10.1.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    Verification,
)

from xdsi.actors.archive_notices import ArchiveNotices, Confirmed
from xdsi.domain.subject import Peer
from xdsi.spec import dimse
from xdsi.transport import announced_data
from xdsi.transport.announced_data import answered_without
from xdsi.transport.association_pace import each_paced
from xdsi.transport.late_handshake import Accepting
from xdsi.transport.peers import peer_of_socket
from xdsi.transport.tls import still_admits

log = logging.getLogger("xdsi.dimse")

_UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


class NoticeServer:
    """Serves associations until stopped; `named` finds a peer's node, `refused` is told of failed handshakes.

    A data set that was announced is waited for `data_seconds`.
    """

    def __init__(
        self,
        notices: ArchiveNotices,
        *,
        address: str,
        port: int,
        ae_title: str,
        tls: Callable[[], ssl.SSLContext] | None,
        named: Callable[[Peer], Peer],
        refused: Callable[[Peer, str], None],
        data_seconds: float = announced_data.SECONDS,
    ) -> None:
        self._notices = notices
        self._place = (address, port)
        self._tls = tls
        self._named = named
        self._refused = refused
        self._data_seconds = data_seconds
        self._ae = AE(ae_title=ae_title)
        self._ae.require_called_aet = True
        self._ae.maximum_associations = 10
        self._ae.acse_timeout = 30
        self._ae.dimse_timeout = 60
        self._ae.network_timeout = 60
        for offered in (ModalityPerformedProcedureStep, InstanceAvailabilityNotification, Verification):
            self._ae.add_supported_context(offered, list(_UNCOMPRESSED))
        self._server: Any = None

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Begin."""
        handlers: Any = [
            (evt.EVT_N_CREATE, self._create),
            (evt.EVT_N_SET, self._set),
            each_paced(),
            answered_without(self._data_seconds),
        ]
        context: Any = Accepting(self._tls, self._refused) if self._tls is not None else None
        self._server = self._ae.start_server(self._place, block=False, evt_handlers=handlers, ssl_context=context)

    def stop(self) -> None:
        """End; associations that are open are aborted."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _create(self, event: Any) -> tuple[Dataset, Dataset | None]:
        def take(peer: Peer) -> Confirmed:
            said = event.attribute_list
            if event.request.AffectedSOPClassUID == InstanceAvailabilityNotification:
                return self._notices.available(_text(said, "StudyInstanceUID"), peer)
            studies = [_text(one, "StudyInstanceUID") for one in said.get("ScheduledStepAttributesSequence") or ()]
            uid = str(event.request.AffectedSOPInstanceUID or "")
            return self._notices.step_began(uid, _text(said, "PerformedProcedureStepStatus"), studies, peer)

        return self._taken(event, take)

    def _set(self, event: Any) -> tuple[Dataset, Dataset | None]:
        def take(peer: Peer) -> Confirmed:
            status = _text(event.modification_list, "PerformedProcedureStepStatus")
            return self._notices.step_changed(str(event.request.RequestedSOPInstanceUID or ""), status, peer)

        return self._taken(event, take)

    def _taken(self, event: Any, take: Callable[[Peer], Confirmed]) -> tuple[Dataset, Dataset | None]:
        association = event.assoc
        sock, address = association.dul.socket.socket, str(association.requestor.address)
        # Associations last: who was let in may have been revoked since.
        stays = self._tls is None or still_admits(self._tls(), sock)
        peer = peer_of_socket(sock, address, {}) if stays else Peer(address=address)
        try:
            confirmed = take(self._named(peer))
        except Exception as error:  # whatever a data set of unknown origin makes the library do
            log.warning("a notice of %s cannot be taken: %s", peer.address, error)
            confirmed = Confirmed(dimse.PROCESSING_FAILURE)
        status = Dataset()
        status.Status = confirmed.status
        if confirmed.error_id is not None:
            status.ErrorID = confirmed.error_id
        return status, Dataset() if confirmed.status == dimse.SUCCESS else None


def _text(dataset: Dataset, name: str) -> str:
    value = dataset.get(name)
    return "" if value is None else str(value).strip(" \0")
