"""The registry's metadata out of, and into, the database of the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from xdsi.app.services import Parts
from xdsi.storage.transfer import exporting, importing


def export_metadata(parts: Parts, progress: Callable[[int, int], None]) -> Iterator[str]:
    """All lines of the stream (docs/scaling.md)."""
    return exporting.export(parts.engine, progress)


def import_metadata(parts: Parts, stream: Iterable[bytes], progress: Callable[[int, int], None]) -> importing.Report:
    """Take in all lines; the report tells what was not."""
    return importing.load(parts.engine, importing.text_lines(stream), progress)
