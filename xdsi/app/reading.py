"""Files that the settings name."""

from __future__ import annotations

from pathlib import Path

from xdsi.domain.errors import ConfigurationError


def read_file(file: str, key: str) -> bytes:
    """What a file that the settings name under `key` holds."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{key}: {file} cannot be read: {error.strerror}") from error
