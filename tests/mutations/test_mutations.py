"""The table of defects: each has its place in the source, and the machinery finds one and misses what is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance.servers import Server, profile_of
from tests.mutations.__main__ import _played
from tests.mutations.launch import run
from tests.mutations.table import Mutation, mutations
from xdsi.conformance import chosen, load

ALL = mutations()
CASES = load()


@pytest.mark.parametrize("mutation", ALL.values(), ids=lambda mutation: mutation.name)
def test_a_defect_has_its_place_and_is_python(mutation: Mutation) -> None:
    source = mutation.source()
    changed = mutation.mutated(source)
    assert changed != source
    compile(changed, mutation.name, "exec", dont_inherit=True)
    for number in mutation.cases:
        (case,) = chosen(CASES, [number])
        assert profile_of(case) == mutation.profile


def test_there_are_enough_of_them_and_of_every_actor() -> None:
    assert len(ALL) >= 60
    actors = [mutation.actor for mutation in ALL.values()]
    assert {actor for actor in actors if actors.count(actor) >= 10} == {
        "registry", "repository", "imaging-source", "x-service-provider",
    }  # fmt: skip


def test_a_place_that_is_not_there_or_twice_is_an_error() -> None:
    mutation = ALL["status-ignored"]
    for source in ("", mutation.old * 2):
        with pytest.raises(ValueError, match="status-ignored"):
            mutation.mutated(source)


def test_a_sound_server_has_no_defect(tmp_path: Path) -> None:
    server = Server(tmp_path, "open")
    try:
        judged = _played(replace(ALL["status-ignored"], cases=()), server.endpoint, most=3)
        assert (judged.found, judged.played) == (False, 3)
    finally:
        server.stop()


def test_nothing_is_launched_without_its_defect() -> None:
    with pytest.raises(KeyError):
        run("nothing", ["serve"])
