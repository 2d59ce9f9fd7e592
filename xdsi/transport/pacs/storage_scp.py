"""Where an archive sends what was asked for by C-MOVE: takes awaited instances only, from that archive only.

DICOM PS3.4 B (Storage Service Class).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from xdsi.domain.errors import Unavailable
from xdsi.spec.dicom import EXPLICIT_LE, IMPLICIT_LE
from xdsi.transport.association_pace import each_paced
from xdsi.transport.pacs.associations import PROMPT, DimseAccess, DimseAddress, entity, taken_over

_NOT_AUTHORIZED = 0x0124
_PREFERRED = sorted(ALL_TRANSFER_SYNTAXES, key=lambda one: (one == IMPLICIT_LE, one != EXPLICIT_LE))
"""Implicit VR last: who offers the choice keeps files in another one"""


class Awaited:
    """An instance on its way."""

    def __init__(self, came: Callable[[int], None]) -> None:
        self.came = came
        """is told of its bytes"""
        self._arrived = threading.Event()
        self.path: Path | None = None

    def arrive(self, path: Path) -> None:
        """It is here."""
        self.path = path
        self._arrived.set()

    def taken(self, seconds: float, what: str) -> Path:
        """The file, which is the caller's from now on; Unavailable where it does not come in time."""
        if not self._arrived.wait(seconds) or self.path is None:
            raise Unavailable(f"{what} ended well, but the instance did not arrive")
        path, self.path = self.path, None
        return path


class StorageScp:
    """Listens from the first instance that is awaited on."""

    def __init__(self, address: DimseAddress, access: DimseAccess, folder: Path) -> None:
        self._access = access
        self._folder = folder
        self._entity = entity(access, folder)
        self._entity.require_called_aet = True
        self._entity.require_calling_aet = [address.ae_title]
        self._entity.maximum_pdu_size = 128 * 1024
        for context in AllStoragePresentationContexts:
            self._entity.add_supported_context(str(context.abstract_syntax), _PREFERRED)
        self._lock = threading.Lock()
        self._awaited: dict[str, list[Awaited]] = {}
        self._server: Any = None

    @contextmanager
    def awaiting(self, uid: str, came: Callable[[int], None]) -> Iterator[Awaited]:
        """Take this instance when it comes, for as long as the block lasts; `came` is told of bytes while it does."""
        awaited = Awaited(came)
        with self._lock:
            self._listen()
            self._awaited.setdefault(uid, []).append(awaited)
        try:
            yield awaited
        finally:
            with self._lock:
                waiting = self._awaited[uid]
                waiting.remove(awaited)
                if not waiting:
                    del self._awaited[uid]
            if awaited.path is not None:
                awaited.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Listen no more."""
        with self._lock:
            if self._server is not None:
                self._server.shutdown()
                self._server = None

    def _listen(self) -> None:
        if self._server is None:
            place = (self._access.storage_address, self._access.storage_port)
            pace = each_paced(self._access.read_seconds, self._access.minimum_rate, self._comes)
            try:
                self._server = self._entity.start_server(
                    place, block=False, evt_handlers=[pace, *PROMPT, (evt.EVT_C_STORE, self._store)],
                    ssl_context=self._access.storage_tls,
                )  # fmt: skip
            except OSError as error:
                raise Unavailable(f"{place[0]}:{place[1]} cannot be listened on: {error.strerror}") from error

    def _comes(self, association: Any, count: int) -> None:
        message = association.dimse.message
        uid = str(message.command_set.get("AffectedSOPInstanceUID", "")) if message is not None else ""
        with self._lock:
            waiting = list(self._awaited.get(uid, ()))
        for one in waiting:
            one.came(count)

    def _store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        with self._lock:
            waiting = [one for one in self._awaited.get(uid, ()) if one.path is None]
            awaited = waiting[0] if waiting else None
        if awaited is None:
            return _NOT_AUTHORIZED
        path = taken_over(event, self._folder, uid)
        if path is not None:
            awaited.arrive(path)
        return 0x0000
