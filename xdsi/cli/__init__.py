"""The command line: `xdsi [--config FILE] [--json] COMMAND`.

Exit status: 0 done, 1 refused or failed, 2 wrong usage. With `--json` one object (`status`, `items`) goes to standard
output, with `message` and, of a command that is one exchange, its `trace`; everything for people goes to the terminal.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from xdsi import __version__, settings
from xdsi.cli import (
    backup,
    conformance,
    consents,
    demonstrate,
    fetching,
    imaging,
    keep,
    metadata,
    notifications,
    operate,
    patients,
    policies,
    repository,
    serve,
    simulate,
    source,
    validate,
)
from xdsi.cli.command import Result, Terminal
from xdsi.cli.log_lines import LogLines
from xdsi.domain.errors import ConfigurationError, XdsiError

_COMMANDS = (
    demonstrate,
    serve,
    keep,
    metadata,
    patients,
    consents,
    policies,
    source,
    imaging,
    fetching,
    repository,
    backup,
    notifications,
    operate,
    validate,
    conformance,
    simulate,
)


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = argparse.ArgumentParser(prog="xdsi", description="IHE XDS-I.b registry, repository and imaging source")
    top.add_argument("--version", action="version", version=f"xdsi {__version__}")
    top.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); else XDSI_CONFIG, else defaults")
    top.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    top.add_argument("--verbose", action="store_true", help="log what happens")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = parser().parse_args(arguments)
    # What is written holds patients' data: it is nobody's but its owner's and his group's.
    os.umask(os.umask(0o077) | 0o027)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogLines())
    logging.basicConfig(level=logging.INFO if given.verbose else logging.WARNING, handlers=[handler])
    # spyne logs each fault of a caller as an exception of ours.
    logging.getLogger("spyne").setLevel(logging.CRITICAL)
    terminal = Terminal(quiet=given.json)
    try:
        if given.config is None and os.environ.get("XDSI_CONFIG"):
            given.config = Path(os.environ["XDSI_CONFIG"])
        load = getattr(given, "load_settings", settings.load)
        result: Result = given.run(given, lambda: load(given.config), terminal)
    except ConfigurationError as error:
        lines = str(error).splitlines()
        result = Result(ok=False, message="\n".join(f"settings: {line}" for line in lines))
    except (XdsiError, LookupError, OSError) as error:
        result = Result(ok=False, message=str(error))
    except KeyboardInterrupt:
        return 130
    if given.json:
        answer = {"status": "ok" if result.ok else "failed", "items": result.items, "message": result.message}
        answer |= {"trace": result.trace} if result.trace else {}
        sys.stdout.write(json.dumps(answer) + "\n")
    elif result.message:
        terminal.say(result.message, error=not result.ok)
    return 0 if result.ok else 1
