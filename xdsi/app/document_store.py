"""Where documents lie, as the settings say: a folder, or a bucket of an S3 service."""

from __future__ import annotations

import ipaddress
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import Engine

from xdsi.domain.errors import ConfigurationError
from xdsi.settings import Repository
from xdsi.storage.blobs import FolderBlobs
from xdsi.storage.forms import Form
from xdsi.storage.s3_blobs import S3Blobs
from xdsi.storage.s3_bucket import S3Location
from xdsi.storage.sealing import Keys

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


def opened(place: FolderLocation | S3Location, form: Form, engine: Engine) -> Store:
    """The store there."""
    if isinstance(place, FolderLocation):
        return FolderBlobs(place.path, form=form)
    return S3Blobs(place, engine, form=form)


def form(repository: Repository, environment: Mapping[str, str]) -> Form:
    """How documents are written; raises ConfigurationError."""
    current, named = repository.encryption_key, repository.encryption_keys
    if current and current not in named:
        raise ConfigurationError(f"repository.encryption_key is {current!r}; valid: a key of encryption_keys")
    if named and not current:
        raise ConfigurationError("repository.encryption_keys needs repository.encryption_key, the one to encrypt with")
    keys = {id_: _key(id_, place, environment) for id_, place in named.items()}
    return Form(compress=repository.compression == "gzip", keys=Keys(current, keys) if current else None)


def _key(id_: str, place: str, environment: Mapping[str, str]) -> bytes:
    what = f"repository.encryption_keys.{id_}"
    if not 0 < len(id_.encode()) <= 64:
        raise ConfigurationError(f"{what}: valid: an id of 1 to 64 bytes")
    kind, _, name = place.partition(":")
    if kind == "env":
        if name not in environment:
            raise ConfigurationError(f"{what}: there is no environment variable {name}")
        text = environment[name]
    elif kind == "file":
        try:
            if Path(name).stat().st_mode & 0o007:
                raise ConfigurationError(f"{what}: {name} can be read by everybody; valid: mode 0600 or 0640")
            text = Path(name).read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{what}: {name} cannot be read as text: {type(error).__name__}") from error
    else:
        raise ConfigurationError(f"{what} does not say where the key is; valid: file:/path or env:NAME")
    text = text.strip()
    try:
        key = bytes.fromhex(text) if re.fullmatch(r"[0-9A-Fa-f]{64}", text) else b64decode(text, validate=True)
    except ValueError as error:
        raise ConfigurationError(f"{what}: valid: 32 bytes in base64 or hexadecimal") from error
    if len(key) != 32:
        raise ConfigurationError(f"{what} has {len(key)} bytes; valid: 32, in base64 or hexadecimal")
    return key


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
