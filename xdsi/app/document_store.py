"""Where documents lie, as the settings say: a folder, or a bucket of an S3 service."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import Engine

from xdsi.domain.errors import ConfigurationError
from xdsi.settings import Repository
from xdsi.storage.blobs import FolderBlobs
from xdsi.storage.s3_blobs import S3Blobs
from xdsi.storage.s3_bucket import S3Location

Store = FolderBlobs | S3Blobs
_VALID = "file:///path or s3://bucket/prefix"


@dataclass(frozen=True, slots=True)
class FolderLocation:
    """A folder of this machine."""

    path: Path


def location(
    url: str, repository: Repository, data: Path, *, key: str = "repository.store"
) -> FolderLocation | S3Location:
    """What a URL of the settings names; nothing is connected to. Raises ConfigurationError."""
    if not url:
        return FolderLocation(data / "documents")
    parsed = urlsplit(url)
    if parsed.scheme == "file" and not parsed.netloc and parsed.path.startswith("/"):
        return FolderLocation(Path(parsed.path))
    if parsed.scheme != "s3" or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,62}", parsed.netloc):
        raise ConfigurationError(f"{key} is {url!r}; valid: {_VALID}")
    if repository.s3_kms_key and repository.s3_encryption != "aws:kms":
        raise ConfigurationError('repository.s3_kms_key needs repository.s3_encryption = "aws:kms"')
    _require_privacy(repository.s3_endpoint)
    return S3Location(
        bucket=parsed.netloc,
        prefix=parsed.path.strip("/"),
        endpoint=repository.s3_endpoint,
        region=repository.s3_region,
        encryption=repository.s3_encryption,
        kms_key=repository.s3_kms_key,
        timeout_seconds=repository.s3_timeout_seconds,
    )


def opened(place: FolderLocation | S3Location, engine: Engine) -> Store:
    """The store there."""
    if isinstance(place, FolderLocation):
        return FolderBlobs(place.path)
    return S3Blobs(place, engine)


def _require_privacy(endpoint: str) -> None:
    """Documents leave this machine over TLS only."""
    parsed = urlsplit(endpoint)
    if not endpoint or parsed.scheme == "https":
        return
    try:
        loopback = parsed.hostname == "localhost" or ipaddress.ip_address(parsed.hostname or "").is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigurationError(
            f"repository.s3_endpoint is {endpoint!r}: plain HTTP is for loopback addresses only; valid: https://host"
        )
