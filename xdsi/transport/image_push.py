"""Images into the hospital's own archive: C-STORE, STOW-RS, or Orthanc's REST interface.

DICOM PS3.4 annex B, PS3.18 section 10.5. One image after the other is made and sent: none waits in memory.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Protocol

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_context

from xdsi.domain.errors import Refused, Unavailable, XdsiError
from xdsi.transport.association_pace import Patience, paced
from xdsi.transport.http_client import HttpAccess, HttpClient
from xdsi.transport.pacs.associations import PROMPT, DimseAccess, DimseAddress
from xdsi.transport.reactor_gate import GATED

_UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_CONTEXTS = 128
_KEPT = frozenset({0x0000, 0xB000, 0xB006, 0xB007})
"""statuses of a C-STORE that leave the instance with its receiver (PS3.4 table B.2-1)"""


@dataclass(frozen=True, slots=True)
class Image:
    """An image to send; `read` makes it when its turn has come and may refuse to."""

    uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    read: Callable[[], Dataset]


class ImagePush(Protocol):
    """A way into an archive."""

    @property
    def place(self) -> str:
        """Where it leads, for the audit record."""

    def send(self, images: Sequence[Image]) -> Iterator[tuple[str, str]]:
        """Each image's UID with what went wrong, empty text where it is kept; Unavailable where nobody takes them."""


class StorePush:
    """C-STORE."""

    def __init__(self, to: DimseAddress, access: DimseAccess) -> None:
        self._to = to
        self._access = access

    @property
    def place(self) -> str:
        """Where it leads."""
        return f"dicom:{self._to}"

    def send(self, images: Sequence[Image]) -> Iterator[tuple[str, str]]:
        """One association for as many classes and transfer syntaxes as one can propose."""
        wanted: dict[tuple[str, str], None] = {}
        for one in images:
            syntax = "" if one.transfer_syntax_uid in _UNCOMPRESSED else one.transfer_syntax_uid
            wanted[one.sop_class_uid, syntax] = None
        contexts = [build_context(UID(name), UID(syntax) if syntax else list(_UNCOMPRESSED)) for name, syntax in wanted]
        if len(contexts) > _CONTEXTS:
            raise Refused(f"{len(contexts)} kinds of images, more than one association can propose")
        entity = AE(ae_title=self._access.ae_title)
        entity.connection_timeout = entity.acse_timeout = self._access.connect_seconds
        entity.dimse_timeout = entity.network_timeout = self._access.read_seconds
        pace = paced(Patience(self._access.read_seconds, self._access.minimum_rate))
        handlers: Any = [GATED, pace, *PROMPT]
        tls = (self._access.tls, self._to.host) if self._access.tls is not None else None
        association = entity.associate(
            self._to.host, self._to.port, contexts=contexts, ae_title=self._to.ae_title, tls_args=tls,
            evt_handlers=handlers,
        )  # fmt: skip
        if not association.is_established:
            raise Unavailable(f"{self._to} takes no association")
        try:
            for one in images:
                yield one.uid, self._store(association, one)
        finally:
            if association.is_established:
                association.release()

    def _store(self, association: Any, image: Image) -> str:
        if not association.is_established:
            return f"{self._to} has ended the association"
        try:
            status = association.send_c_store(image.read())
        except (XdsiError, ValueError, RuntimeError, AttributeError, TypeError) as error:
            return str(error)
        code = int(status.get("Status", -1)) if status is not None and "Status" in status else -1
        if code in _KEPT:
            return ""
        return f"{self._to} answers with status {code:#06x}" if code >= 0 else f"{self._to} does not answer"


class HttpPush:
    """STOW-RS at `URL/studies`, or the REST interface of Orthanc at `URL/instances`."""

    def __init__(self, url: str, access: HttpAccess, *, orthanc: bool = False) -> None:
        self._http = HttpClient(url, access)
        self._orthanc = orthanc

    @property
    def place(self) -> str:
        """Where it leads."""
        return self._http.url

    def send(self, images: Sequence[Image]) -> Iterator[tuple[str, str]]:
        """One request for each."""
        for one in images:
            try:
                yield one.uid, self._store(one)
            except (XdsiError, ValueError, AttributeError, TypeError) as error:
                yield one.uid, str(error)

    def _store(self, image: Image) -> str:
        content = BytesIO()
        dcmwrite(content, image.read(), enforce_file_format=True)
        if self._orthanc:
            status, said = self._http.store("/instances", "application/dicom", (content.getvalue(),))
        else:
            boundary = f"xdsi-{secrets.token_hex(16)}"
            head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            body: Iterable[bytes] = (head, content.getvalue(), f"\r\n--{boundary}--\r\n".encode())
            kind = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
            status, said = self._http.store("/studies", kind, body)
        if status == 200 and not _failed(said):
            return ""
        return f"{self.place} answers with HTTP status {status}: {said[:200].decode('utf-8', 'replace')}"


def _failed(said: bytes) -> bool:
    """Whether the answer to STOW-RS lists anything in its Failed SOP Sequence (PS3.18 10.5.3.2.1)."""
    try:
        answer = json.loads(said)
    except ValueError:
        return False  # an answer in XML, or none: the status says it
    first = answer[0] if isinstance(answer, list) and answer else answer
    failed = first.get("00081198") if isinstance(first, dict) else None
    return bool(failed.get("Value")) if isinstance(failed, dict) else False
