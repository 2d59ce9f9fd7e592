"""What rounds of measurement come to: least, median and most of each side, and the ratio of the medians."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a value for each round."""

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"  {self.name:<50} {min(self.values):>9.1f} {self.median:>9.1f} {max(self.values):>9.1f}"


@dataclass(frozen=True)
class Comparison:
    """Ours against the other side in one run; `aim` is the least ratio that satisfies, None where there is none."""

    title: str
    unit: str
    ours: Side
    other: Side
    aim: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return self.ours.median / self.other.median

    @property
    def reached(self) -> bool:
        return self.aim is None or self.ratio >= self.aim

    @property
    def pairs(self) -> tuple[float, ...]:
        """The ratio of each round with the round of the other side beside it."""
        return tuple(ours / other for ours, other in zip(self.ours.values, self.other.values, strict=True))

    def lines(self) -> list[str]:
        """For people."""
        aim = "no aim" if self.aim is None else f"aim {self.aim:.2f}: {'reached' if self.reached else 'NOT reached'}"
        return [
            self.title,
            f"  {self.unit:<50} {'least':>9} {'median':>9} {'most':>9}",
            str(self.ours),
            str(self.other),
            f"  ratio {self.ratio:.2f} ({aim}); round by round {min(self.pairs):.2f} to {max(self.pairs):.2f}",
            *(f"  {name}: {value}" for name, value in self.notes.items()),
            "",
        ]

    def record(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "ratio": self.ratio, "pairs": self.pairs, "reached": self.reached}


def alternate(rounds: int, *measure: Callable[[], float]) -> list[tuple[float, ...]]:
    """Run the measures in turns, A B A B, after one turn that does not count."""
    values: list[Sequence[float]] = [[one() for one in measure] for _ in range(rounds + 1)]
    return [tuple(column) for column in zip(*values[1:], strict=True)]
