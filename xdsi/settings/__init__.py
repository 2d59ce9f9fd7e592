"""Frozen settings from one TOML file and the environment.

Each key is also read from `XDSI_<SECTION>__<KEY>`. Unknown keys and wrong values are refused with their line.
`docs/configuration.md` is made of the tables in `sections` and a test holds the two together.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xdsi.domain.errors import ConfigurationError
from xdsi.settings.reading import FromEnvironment, Places, read_section
from xdsi.settings.reference import reference
from xdsi.settings.sections import (
    Consumer,
    Dicom,
    DicomPeer,
    Domain,
    ImagingSource,
    Limits,
    Pacs,
    Publishing,
    Registry,
    Repository,
    Server,
    Settings,
)
from xdsi.settings.trust_sections import Audit, Consent, Jwt, JwtIssuer, Node, Saml, SamlIssuer, Tls

__all__ = [
    "Audit",
    "Consent",
    "Consumer",
    "Dicom",
    "DicomPeer",
    "Domain",
    "ImagingSource",
    "Jwt",
    "JwtIssuer",
    "Limits",
    "Node",
    "Pacs",
    "Publishing",
    "Registry",
    "Repository",
    "Saml",
    "SamlIssuer",
    "Server",
    "Settings",
    "Tls",
    "load",
    "reference",
    "replaced",
    "with_nodes",
]


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read settings: defaults, then the file, then the environment; raises ConfigurationError naming line and key."""
    environment = os.environ if environment is None else environment
    text = ""
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            text = path.read_text("utf-8")
            tree = tomllib.loads(text)
        except OSError as error:
            raise ConfigurationError(f"settings file {path} cannot be read: {error.strerror}") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{path}: not TOML: {error}") from error
    for name, value in environment.items():
        match = re.fullmatch(r"XDSI_([A-Z_]+?)__([A-Z0-9_]+)", name)
        if match:
            section = tree.setdefault(match[1].lower(), {})
            if not isinstance(section, dict):
                raise ConfigurationError(f"{name}: section {match[1].lower()!r} is a list and cannot be set this way")
            section[match[2].lower()] = FromEnvironment(value, name)
    where = Places(str(path) if path else "settings", text)
    settings: Settings = read_section(Settings, tree, (), where)
    return settings


def replaced(settings: Settings, section: str, **changes: Any) -> Settings:
    """A copy with some keys of one section changed."""
    return dataclasses.replace(settings, **{section: dataclasses.replace(getattr(settings, section), **changes)})


def with_nodes(settings: Settings, nodes: tuple[Node, ...]) -> Settings:
    """A copy that knows more nodes."""
    return dataclasses.replace(settings, node=(*settings.node, *nodes))
