"""RAD-107 as a consumer asks it: one instance after the other, in the transfer syntax in which it is kept."""

from __future__ import annotations

from collections.abc import Iterator

from xdsi.domain.errors import Unavailable
from xdsi.transport.http_client import HttpAccess, HttpClient
from xdsi.transport.pacs.dicomweb import unwrapped
from xdsi.wire.multipart import parse_content_type

_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*, application/dicom; transfer-syntax=*; q=0.5'


class WadoClient:
    """Asks one source; threads may share it."""

    def __init__(self, url: str, access: HttpAccess) -> None:
        self._http = HttpClient(url, access)

    @property
    def url(self) -> str:
        """Where it leads, for the audit record."""
        return self._http.url

    def instance(self, study_uid: str, series_uid: str, uid: str) -> Iterator[bytes]:
        """The Part-10 file as it comes; raises Unavailable."""
        path = f"/studies/{study_uid}/series/{series_uid}/instances/{uid}"
        with self._http.stream(path, _ACCEPT) as answer:
            media_type, _ = parse_content_type(answer.content_type)
            if media_type == "multipart/related":
                yield from unwrapped(answer)
            elif media_type == "application/dicom":
                yield from answer.chunks
            else:
                raise Unavailable(f"{self.url}{path} is given out as {media_type or 'nothing'}")
