"""The archive that the settings name, behind its port."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from xdsi.app.reading import read_file
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.ports import Pacs
from xdsi.settings import Settings
from xdsi.storage.fresh_folder import FreshFolder
from xdsi.transport.http_client import HttpAccess
from xdsi.transport.image_push import HttpPush, ImagePush, StorePush
from xdsi.transport.pacs.associations import DimseAccess, DimseAddress, is_ae_title
from xdsi.transport.pacs.dicomweb import DicomWebPacs
from xdsi.transport.pacs.dimse import DimsePacs
from xdsi.transport.pacs.orthanc import OrthancPacs
from xdsi.transport.tls import TlsFiles, archive_context, server_context

VALID = "valid: folder:/path, orthanc:URL, dicomweb:URL, dimse:AET@host:port"


def open_pacs(settings: Settings, own_folder: Callable[[], Path]) -> Pacs:
    """The archive, not yet asked anything; raises ConfigurationError where the settings do not name one.

    What passes through lies in `own_folder`, which no other process uses.
    """
    kind, place = _named(settings)
    if kind == "folder":
        return FreshFolder(folder_of(settings))
    folder = own_folder()
    remember = settings.pacs.remember_seconds
    if kind == "dimse":
        return DimsePacs(_address(place), dimse_access(settings), folder, remember_seconds=remember)
    if kind == "orthanc":
        return OrthancPacs(place, http_access(settings), folder, remember_seconds=remember)
    return DicomWebPacs(place, http_access(settings), folder, remember_seconds=remember)


def check_pacs(settings: Settings) -> None:
    """Raise ConfigurationError where what the settings say of the archive cannot be used; nobody is asked."""
    kind, place = _named(settings)
    if kind == "folder":
        folder_of(settings)
    elif kind == "dimse":
        _address(place)
        dimse_access(settings)
    else:
        http_access(settings)


def image_push(settings: Settings) -> ImagePush:
    """The way into the same archive for images of elsewhere."""
    kind, place = _named(settings)
    if kind == "dimse":
        return StorePush(_address(place), dimse_access(settings))
    if kind == "folder":
        raise ConfigurationError("imaging_source.pacs is a folder: nothing can be pushed into it")
    return HttpPush(place, http_access(settings), orthanc=kind == "orthanc")


def folder_of(settings: Settings) -> Path:
    """The folder of images."""
    kind, place = _named(settings)
    if kind != "folder":
        raise ConfigurationError(f"imaging_source.pacs is {settings.imaging_source.pacs!r}, which is no folder")
    if not Path(place).is_dir():
        raise ConfigurationError(f"imaging_source.pacs: {place} is not a folder")
    return Path(place)


def _named(settings: Settings) -> tuple[str, str]:
    """Which kind of archive, and where it is."""
    said = settings.imaging_source.pacs
    kind, _, place = said.partition(":")
    is_url = place.startswith(("http://", "https://"))
    if (kind in ("folder", "dimse") and place) or (kind in ("orthanc", "dicomweb") and is_url):
        return kind, place
    raise ConfigurationError(f"imaging_source.pacs is {said!r}; {VALID}")


def http_access(settings: Settings) -> HttpAccess:
    """Credentials, TLS and limits."""
    pacs = settings.pacs
    if pacs.user and pacs.token_file:
        raise ConfigurationError("pacs.user and pacs.token_file exclude each other")
    return HttpAccess(
        user=pacs.user,
        password=_secret(pacs.password_file, "pacs.password_file"),
        token=_secret(pacs.token_file, "pacs.token_file"),
        tls=_tls(settings),
        connect_seconds=pacs.connect_seconds,
        read_seconds=pacs.read_seconds,
        minimum_rate=pacs.minimum_rate,
        retries=pacs.retries,
    )


def _address(place: str) -> DimseAddress:
    try:
        return DimseAddress.parse(place)
    except ValueError as error:
        raise ConfigurationError(f"imaging_source.pacs: {error}") from error


def dimse_access(settings: Settings) -> DimseAccess:
    """Our side of the associations."""
    pacs = settings.pacs
    if not is_ae_title(pacs.ae_title):
        raise ConfigurationError(f"pacs.ae_title is {pacs.ae_title!r}; valid: 1 to 16 characters")
    if pacs.retrieve == "move" and not pacs.storage_port:
        raise ConfigurationError("pacs.retrieve is move: it needs pacs.storage_port, which the archive sends to")
    storage_tls = None
    if pacs.tls and pacs.retrieve == "move":
        if not (pacs.certificate and pacs.key and pacs.ca):
            raise ConfigurationError("pacs.tls with C-MOVE needs pacs.certificate, pacs.key and pacs.ca")
        files = TlsFiles(certificate=Path(pacs.certificate), key=Path(pacs.key), peer_ca=Path(pacs.ca))
        storage_tls = server_context(files)
    return DimseAccess(
        ae_title=pacs.ae_title,
        retrieve=pacs.retrieve,
        storage_address=pacs.storage_address,
        storage_port=pacs.storage_port,
        tls=_tls(settings) if pacs.tls else None,
        storage_tls=storage_tls,
        connect_seconds=pacs.connect_seconds,
        read_seconds=pacs.read_seconds,
        minimum_rate=pacs.minimum_rate,
    )


def _secret(file: str, key: str) -> str:
    return read_file(file, key).decode("utf-8").strip() if file else ""


def _tls(settings: Settings) -> ssl.SSLContext:
    pacs = settings.pacs
    if bool(pacs.certificate) is not bool(pacs.key):
        raise ConfigurationError("pacs.certificate and pacs.key belong together")
    return archive_context(
        ca=Path(pacs.ca) if pacs.ca else None,
        certificate=(Path(pacs.certificate), Path(pacs.key)) if pacs.certificate else None,
    )
