"""`python -m tests.mutations`: play the cases against each broken server, and say which defects they find."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from tests.conformance.servers import NotStarted, Server, profile_of
from tests.mutations.forked import Child, preload
from tests.mutations.table import Mutation, mutations
from xdsi.conformance import Case, Endpoint, Verdict, chosen, load, play

AIM = 0.95


@dataclass(frozen=True)
class Judgement:
    """Whether a defect was found, by which case, and what was found."""

    mutation: Mutation
    case: str = ""
    finding: str = ""
    played: int = 0

    @property
    def found(self) -> bool:
        """True where a case failed."""
        return bool(self.case)


class Workshop:
    """Makes broken servers, each on a copy of a data folder that a sound one has made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        preload()

    def server(self, mutation: Mutation, folder: Path) -> Server:
        """The broken server, ready."""
        template = self._folder / mutation.profile
        if not template.exists():
            template.mkdir()
            Server(template, mutation.profile, partial(Child, "")).stop()
        shutil.copytree(template / "data", folder / "data")
        return Server(folder, mutation.profile, partial(Child, mutation.name))


def judge(mutation: Mutation, workshop: Workshop, folder: Path) -> Judgement:
    """Start the broken server and play cases until one fails: the likely ones first, then all of the profile."""
    try:
        server = workshop.server(mutation, folder)
    except NotStarted as error:
        raise ValueError(f"{mutation.name}: the broken server does not start, so it proves nothing: {error}") from None
    try:
        return _played(mutation, server.endpoint)
    finally:
        server.stop()


def _played(mutation: Mutation, endpoint: Endpoint, most: int | None = None) -> Judgement:
    played = 0
    for case in islice(in_order(mutation), most):
        result = play(case, endpoint)
        played += result.verdict is not Verdict.SKIPPED
        if result.verdict is Verdict.FAILED:
            return Judgement(mutation, case.name, str(result.findings[0]), played)
    return Judgement(mutation, played=played)


def in_order(mutation: Mutation) -> Iterator[Case]:
    """The cases of the mutation's profile, those first in which it is looked for."""
    every = [case for case in load() if profile_of(case) == mutation.profile]
    first = [case for pattern in mutation.cases for case in chosen(every, [pattern])]
    yield from first
    yield from (case for case in every if case not in first)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when at least 95 % of the defects were found, 1 when fewer were."""
    options = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    options.add_argument("--sample", type=int, metavar="N", help="that many of them, chosen by --seed")
    options.add_argument("--seed", type=int, default=0, help="of the sample; default: %(default)s")
    options.add_argument("names", nargs="*", metavar="NAME", help="only these")
    given = options.parse_args(arguments)
    wanted = [mutations()[name] for name in given.names] or list(mutations().values())
    if given.sample:
        wanted = random.Random(given.seed).sample(wanted, min(given.sample, len(wanted)))
    with tempfile.TemporaryDirectory() as folder:
        judgements = list(_told(wanted, Path(folder)))
    found = sum(one.found for one in judgements)
    missed = [one.mutation.name for one in judgements if not one.found]
    sys.stdout.write(f"{found} of {len(judgements)} defects found ({found / len(judgements):.1%})\n")
    if missed:
        sys.stdout.write(f"not found: {', '.join(missed)}\n")
    # In a small sample one that is known not to be found must not break the run.
    return 0 if found >= min(AIM * len(judgements), len(judgements) - 1) else 1


def _told(wanted: Iterable[Mutation], folder: Path) -> Iterator[Judgement]:
    workshop = Workshop(folder)
    for mutation in wanted:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as own:
            judgement = judge(mutation, workshop, Path(own))
        spent = time.monotonic() - began
        by = judgement.case or f"NOT FOUND in {judgement.played} cases"
        sys.stdout.write(f"{mutation.actor:<19} {mutation.name:<28} {by:<44} {spent:5.1f} s  {mutation.what}\n")
        sys.stdout.flush()
        yield judgement


if __name__ == "__main__":
    sys.exit(main())
