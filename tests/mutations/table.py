"""The defects as they stand in table.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("table.toml")
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutation:
    """One defect: a text of a module's source, and what stands there instead."""

    name: str
    actor: str
    module: str
    profile: str
    what: str
    old: str
    new: str
    cases: tuple[str, ...]
    """where it is looked for first"""

    def mutated(self, source: str) -> str:
        """The source with the defect; ValueError where it has no place for it, or several."""
        count = source.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name}: its place is found {count} times in {self.module}")
        return source.replace(self.old, self.new)

    def source(self) -> str:
        """The source of the module, found by its place: what is imported cannot be changed any more."""
        path = _ROOT.joinpath(*self.module.split("."))
        return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")


@cache
def mutations() -> Mapping[str, Mutation]:
    """All, by name, in the order of the table."""
    with TABLE.open("rb") as file:
        rows = tomllib.load(file)
    return {name: Mutation(name=name, **(row | {"cases": tuple(row["cases"])})) for name, row in rows.items()}
