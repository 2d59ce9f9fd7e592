"""Small random registries with random permits: no answer tells of what is hidden.

docs/policy.md section 6, worked out the plain way and not by the code under test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.app.records import DOCTOR, ask, made
from tests.storage.worlds import Dice, World, dice, expected, query_for, worlds
from xdsi.app import Parts
from xdsi.domain.consent import Action, Decision, Resource
from xdsi.domain.identity import Demographics
from xdsi.domain.metadata import Association, DocumentEntry
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.domain.subject import Caller
from xdsi.rules import stored_query as rules
from xdsi.spec import uuids
from xdsi.spec.stored_queries import ITI18


class Chance:
    """Permits what it is told to, by entryUUID."""

    reveals_everything = False

    def __init__(self) -> None:
        self.permitted: set[str] = set()

    def decide(
        self, caller: Caller, action: Action, resources: Sequence[Resource], now: datetime, session: Any
    ) -> Sequence[Decision]:
        return [Decision(permit=one.entry_uuid in self.permitted, policy="p", rule="r") for one in resources]


class Shown:
    """What docs/policy.md section 6 lets be seen of a world, by loops over everything that there is."""

    def __init__(self, world: World, permitted: set[str]) -> None:
        self.world = world
        self.objects = {one.entry_uuid: one for one in world.submission.objects}
        self.permitted = permitted

    def members(self, id_: str) -> set[str]:
        own = self.objects[id_]
        return {
            link.target
            for link in self.world.associations
            if link.source == id_
            and isinstance(target := self.objects[link.target], DocumentEntry)
            and self.world.survivor(target.patient_id) == self.world.survivor(own.patient_id)  # type: ignore[union-attr]
        }

    def sees(self, id_: str) -> bool:
        one = self.objects[id_]
        if isinstance(one, Association):
            return self.sees(one.source) and self.sees(one.target)
        if isinstance(one, DocumentEntry):
            return id_ in self.permitted
        members = self.members(id_)
        return not self.permitted.isdisjoint(members) if members else id_ in self.permitted

    def of(self, query: StoredQuery) -> set[str]:
        """What is left of the answer to a query."""
        left = {id_ for id_ in expected(query, self.world) if self.sees(id_)}
        links = [one for id_ in left if isinstance(one := self.objects[id_], Association)]
        sources, targets = {one.source for one in links}, {one.target for one in links}
        match query.query_id:
            case uuids.GET_SUBMISSION_SETS:
                return {id_ for id_ in left if id_ in sources or isinstance(self.objects[id_], Association)}
            case uuids.GET_RELATED_DOCUMENTS:
                return {id_ for id_ in left if id_ in sources | targets or isinstance(self.objects[id_], Association)}
            case uuids.GET_FOLDERS_FOR_DOCUMENT:
                asked = {*query.values("$XDSDocumentEntryEntryUUID"), *query.values("$XDSDocumentEntryUniqueId")}
                named = {
                    one.entry_uuid for one in self.world.entries if {one.entry_uuid, one.unique_id} & asked
                }  # fmt: skip
                return {id_ for id_ in left if self.members(id_) & named & self.permitted}
            case uuids.GET_SUBMISSION_SET_AND_CONTENTS | uuids.GET_FOLDER_AND_CONTENTS:
                asked = {value for groups in query.parameters.values() for value in groups[0]}
                roots = {
                    id_ for id_ in left
                    if {id_, getattr(self.objects[id_], "unique_id", ""), getattr(self.objects[id_], "logical_id", "")}
                    & asked
                    and not isinstance(self.objects[id_], DocumentEntry)
                }  # fmt: skip
                begun = {one.entry_uuid: one.target for one in links if one.source in roots}
                return left & (roots | begun.keys() | set(begun.values()))
        return left


@pytest.fixture(scope="module")
def world_parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    parts = made(tmp_path_factory.mktemp("worlds"))
    yield parts
    parts.engine.dispose()


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), dice, st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]))
def test_no_answer_tells_of_what_is_hidden(world_parts: Parts, world: World, die: Dice, likely: float) -> None:
    with world_parts.registry.writing() as session:
        session.save(world.submission)
    for patient in world.patients:
        world_parts.identities.add(patient, Demographics())
    for subsumed, survivor in reversed(world.merges):
        world_parts.identities.merge(subsumed, survivor)
    decisions = Chance()
    actor = replace(world_parts.registry_actor, decisions=decisions)
    for query_id in ITI18:
        query = query_for(die, world, query_id)
        if not rules.check(rules.encode(query)).query:
            continue
        decisions.permitted = {id_ for id_ in sorted(world.ids) if die.chance(likely)}
        shown = Shown(world, decisions.permitted)
        ids, _, _ = ask(actor, DOCTOR, query, ReturnType.OBJECT_REF)
        assert set(ids) == shown.of(query), query
        if len({world.survivor(one.patient_id) for one in (*world.entries, *world.sets, *world.folders)}) > 1:
            continue  # objects of several patients are not given as a LeafClass
        leaves, objects, _ = ask(actor, DOCTOR, query, ReturnType.LEAF_CLASS)
        assert leaves == ids
        for one in objects:
            if isinstance(one, Association):
                assert shown.sees(one.source), query
                assert shown.sees(one.target), query
            else:
                assert shown.sees(one.entry_uuid), query
