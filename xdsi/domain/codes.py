"""Coded values. Identity is (code, scheme); the display name never decides (ITI TF-3 4.2.3.1.2)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Code:
    """A code of a coding scheme."""

    code: str
    scheme: str
    display: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.code}^^{self.scheme}"
