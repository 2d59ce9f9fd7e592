"""Folders that travel with the package: schemas and descriptions of the standard's wire language, conformance cases."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from xdsi.domain.errors import ConfigurationError


def resources(folder: str) -> Path:
    """The folder `wsdl` or `schemas`: inside an installed package, beside the package in a checkout."""
    package = Path(str(files("xdsi")))
    for place in (package / "resources" / folder, package.parent / folder):
        if place.is_dir():
            return place
    raise ConfigurationError(f"incomplete installation: no folder {folder}")
