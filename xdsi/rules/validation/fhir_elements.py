"""Elements of FHIR resources, judged by a table: what has to be there, how often, with what form or value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from xdsi.domain.findings import Finding, Level
from xdsi.rules.validation.forms import FORMS

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One row: every place that `path` leads to below a resource has the element `least` times or more."""

    resource: str
    path: str
    """`series.instance.uid`: the last name is judged wherever the others lead; lists are gone through"""
    clause: str
    least: int = 1
    most: int | None = None
    form: str = ""
    among: tuple[str, ...] = ()
    level: Level = Level.ERROR
    when: Callable[[Json], bool] | None = None
    """the row counts for those places of which this is so"""


def judge(kind: str, rows: Iterable[Element], resource: Json, place: str) -> Iterator[Finding]:
    """Every element of a resource that is not as its row has it."""
    for row in rows:
        if row.resource == resource.get("resourceType"):
            *names, name = row.path.split(".")
            for where, found in leading(resource, names, place):
                if row.when is None or row.when(found):
                    yield from _judge(kind, row, found.get(name), f"{where}.{name}")


def leading(of: Json, names: Iterable[str], place: str) -> Iterator[tuple[str, Json]]:
    """Every object that a path leads to, with its place as FHIRPath."""
    first, *others = (*names, "")
    if not first:
        yield place, of
        return
    for where, value in each(of.get(first), f"{place}.{first}"):
        if isinstance(value, dict):
            yield from leading(value, [one for one in others if one], where)


def each(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The members of a list with their places, or the value itself; nothing where there is none."""
    if isinstance(value, list):
        yield from ((f"{place}[{number}]", one) for number, one in enumerate(value))
    elif value is not None:
        yield place, value


def _judge(kind: str, row: Element, value: Any, place: str) -> Iterator[Finding]:
    def finding(where: str, text: str, expected: str) -> Finding:
        return Finding(
            rule=f"{kind}.{row.resource}.{row.path}",
            level=row.level,
            place=where,
            text=text,
            expected=expected,
            clause=row.clause,
        )

    found = [(where, one) for where, one in each(value, place) if one not in ("", {}, [])]
    wanted = ", ".join(row.among) or (FORMS[row.form][0] if row.form else "")
    if len(found) < row.least:
        yield finding(place, "is missing", wanted or ("a value" if row.least == 1 else f"{row.least} or more"))
    elif row.most is not None and len(found) > row.most:
        yield finding(place, f"is there {len(found)} times", f"{row.most} at most")
    for where, one in found:
        holds = FORMS[row.form][1] if row.form else None
        if (row.among and str(one) not in row.among) or (holds and not holds(str(one))):
            yield finding(where, f"is {str(one)[:80]!r}", wanted)
