"""Where commands look for what a node keeps: the data folder of the settings, or of `--data`."""

from __future__ import annotations

import argparse
from pathlib import Path

from xdsi import app
from xdsi.cli.command import LoadSettings
from xdsi.settings import Settings, replaced


def add_data(command: argparse.ArgumentParser) -> None:
    """Declare `--data`, as `serve` has it."""
    command.add_argument(
        "--data", type=Path, metavar="DIR", help="the data folder of the node, where it is not that of the settings"
    )


def chosen(given: argparse.Namespace, load: LoadSettings) -> Settings:
    """The settings, with the data folder of `--data`."""
    settings = load()
    return settings if given.data is None else replaced(settings, "server", data_dir=given.data)


def kept(given: argparse.Namespace, load: LoadSettings) -> app.Parts:
    """The parts of a node that has a store; raises LookupError, and makes nothing, where there is none."""
    settings = chosen(given, load)
    file = app.database_file(settings)
    if file is not None and not file.exists():
        raise LookupError(
            f"nothing is kept in {settings.server.data_dir.resolve()}: there is no {file}. Name the data folder of the "
            "node by --data DIR, or its settings by --config FILE before the command"
        )
    return app.Parts(settings)
