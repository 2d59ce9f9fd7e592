"""Which cases are played: by suite, by actor, by number, by scope."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import plans
from .cases import SHARED, load, load_case
from .model import Case
from .tables import nearest
from .templates import TemplateError

ACTORS: Mapping[str, tuple[str, ...]] = {
    "registry": ("registry",),
    "repository": ("repository",),
    "imaging-source": ("imaging-source", "wado-rs", "wado-uri", "image-mover"),
    "identity": ("identity", "identity-mllp"),
    "authorization": ("authorization",),
    "x-service-provider": (),
}
"""actor as it is asked for -> where it answers; an X-Service Provider is whoever asks for assertions"""


@dataclass(frozen=True)
class Suite:
    """Cases under one name."""

    name: str
    title: str
    patterns: tuple[str, ...]


@cache
def suites() -> Mapping[str, Suite]:
    """The suites that have a name."""
    with (SHARED / "suites.toml").open("rb") as file:
        table = tomllib.load(file)
    return {name: Suite(name, row["title"], tuple(row["cases"])) for name, row in table.items()}


def cases_of(suite: str) -> tuple[Case, ...]:
    """The cases of a suite by name, or of a folder of somebody's own; TemplateError where it is neither."""
    if not suite:
        return load()
    if suite in suites():
        return chosen(load(), suites()[suite].patterns)
    folder = Path(suite)
    if not folder.is_dir():
        raise TemplateError(f"{suite}: neither a suite ({', '.join(suites())}) nor a folder{nearest(suite, suites())}")
    # A single case is a folder, too.
    if (folder / "expectation.toml").is_file():
        return (load_case(folder),)
    cases = (*load(folder), *map(plans.case_of, plans.tests(folder)))
    if not cases:
        raise TemplateError(
            f"{folder}: no case in it (a folder NNNN-name with expectation.toml for each) and no test plan (a folder "
            "with sections, each with testplan.xml)"
        )
    return cases


def chosen(cases: Iterable[Case], patterns: Sequence[str]) -> tuple[Case, ...]:
    """The cases that a number, a name or a pattern means; all where there is none."""
    if not patterns:
        return tuple(cases)
    return tuple(case for case in cases if any(fnmatch.fnmatch(case.name, pattern + "*") for pattern in patterns))


def subjects(case: Case) -> frozenset[str]:
    """The actors that a case is about: whom it speaks to, without those that only show what came of it."""
    if "authorization" in case.actors:
        return frozenset({"authorization"})
    if "secured" in case.needs:
        return frozenset({"x-service-provider"})
    spoken = {name for name, places in ACTORS.items() if case.actors & set(places)}
    about = spoken - {"registry", "identity"} or spoken - {"identity"} or spoken
    return frozenset({"identity"}) if case.number.startswith("06") and not case.plan else frozenset(about)


def about(cases: Iterable[Case], actors: Iterable[str]) -> tuple[Case, ...]:
    """The cases about some actors; all where none is named."""
    wanted = frozenset(actors)
    return tuple(case for case in cases if not wanted or subjects(case) & wanted)


__all__ = ["ACTORS", "Suite", "about", "cases_of", "chosen", "subjects", "suites"]
