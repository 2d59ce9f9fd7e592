"""`xdsi demo`: the main job from end to end, with real processes, in one command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from xdsi.cli.command import LoadSettings, Result, Terminal


def add(commands: Any) -> None:
    """Declare the command."""
    command = commands.add_parser("demo", help="two hospitals publish, a consumer finds and fetches, on signed consent")
    command.add_argument(
        "--out", type=Path, default=Path("demo-out"), metavar="DIR", help="folder to leave behind; default: %(default)s"
    )
    command.add_argument("--keep", action="store_true", help="leave the servers running")
    command.set_defaults(run=run)


def run(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Play the story."""
    from xdsi.cli.demo.story import play  # pydicom and all: other commands start faster without

    return play(given.out, terminal, keep=given.keep)
