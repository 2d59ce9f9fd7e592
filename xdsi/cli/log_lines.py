"""How the log reads: what is told of one thing is one line, whatever others wrote that stands in it.

Ids, codes and names come from messages. A line end among them would begin a line that looks like one of ours, and an
escape sequence would rule the terminal of who reads.
"""

from __future__ import annotations

import logging

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LogLines(logging.Formatter):
    """One line for each record; a traceback follows indented, so that none of its lines begins as a record does."""

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """The line of a record, on one line."""
        return escaped(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, and what belongs to it."""
        first, *others = super().format(record).splitlines()
        return "\n".join([first, *(f"    {escaped(line)}" for line in others)])


def escaped(text: str) -> str:
    """The text with what is not printed (line ends, control characters, marks of direction) as Python writes it."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
