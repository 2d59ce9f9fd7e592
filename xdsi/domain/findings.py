"""What a validator has to say of a file: findings, each with its place, its clause and what would be right."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding weighs: an error breaks a `shall`, a warning what receivers can live with."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as the standard has it."""

    rule: str
    """our own name of the rule, stable"""
    level: Level
    place: str
    """tag path, XPath or FHIRPath, by the kind of file"""
    text: str
    expected: str
    clause: str
    line: int = 0
    """of a file of lines, 0 where there are none or it is not known"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything found in one file; `kind` is empty where no validator knows it."""

    kind: str
    findings: tuple[Finding, ...] = ()
    about: str = ""
    """what the file is, where its kind alone does not say: the transaction of a message"""

    @property
    def valid(self) -> bool:
        """Whether there is no error."""
        return all(one.level is not Level.ERROR for one in self.findings)
