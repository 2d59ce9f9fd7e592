"""A registry in memory, as far as the rules of a submission ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject
from xdsi.domain.stored_query import FoundObject, ObjectKind, StoredQuery
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED

T = TypeVar("T", DocumentEntry, Folder, Association)


class Registered:
    """Objects that are registered; whatever has no status is Approved. Counts what it is asked."""

    def __init__(self, *objects: RegistryObject, patients: Mapping[str, str] | None = None) -> None:
        approved = [one if one.availability_status else replace(one, availability_status=APPROVED) for one in objects]
        self.known = {one.entry_uuid: one for one in approved}
        self.patients = dict(patients or {})
        self.asked: list[str] = []

    def patient_status(self, patient: PatientId) -> str:
        self.asked.append("patient_status")
        return self.patients.get(patient.cx, "active")

    def objects(self, ids: Sequence[str]) -> Mapping[str, RegistryObject]:
        self.asked.append("objects")
        return {id_: self.known[id_] for id_ in ids if id_ in self.known}

    def entries_by_unique_id(self, unique_ids: Sequence[str]) -> Sequence[DocumentEntry]:
        self.asked.append("entries_by_unique_id")
        return [one for one in self._of(DocumentEntry) if one.unique_id in unique_ids]

    def kinds_by_unique_id(self, unique_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        self.asked.append("kinds_by_unique_id")
        found: dict[str, set[str]] = {}
        for one in self.known.values():
            if not isinstance(one, Association) and one.unique_id in unique_ids:
                found.setdefault(one.unique_id, set()).add(type(one).__name__)
        return {unique_id: frozenset(kinds) for unique_id, kinds in found.items()}

    def folders_of(self, entry_uuid: str) -> Sequence[Folder]:
        members = self.related_to([entry_uuid], [uuids.HAS_MEMBER])
        folders = [self.known.get(one.source) for one in members]
        return [one for one in folders if isinstance(one, Folder) and one.availability_status == APPROVED]

    def related_to(self, entry_uuids: Sequence[str], types: Sequence[str]) -> Sequence[Association]:
        self.asked.append("related_to")
        return [one for one in self._of(Association) if one.target in entry_uuids and one.type in types]

    def associations_of(self, ids: Sequence[str]) -> Sequence[Association]:
        return [one for one in self._of(Association) if one.source in ids or one.target in ids]

    def relationships_from(self, ids: Sequence[str], most: int) -> Sequence[FoundObject]:
        self.asked.append("relationships_from")
        leads: dict[str, list[Association]] = {}
        for one in self._of(Association):
            if one.type in uuids.RELATIONSHIPS and one.availability_status == APPROVED:
                leads.setdefault(one.source, []).append(one)
        found: dict[str, FoundObject] = {}
        fresh = list(ids)
        while fresh:
            links = [one for id_ in fresh for one in leads.pop(id_, ())]
            found.update((one.entry_uuid, FoundObject.of(one)) for one in links)
            fresh = [one.target for one in links]
        return list(found.values())[:most]

    def versions(self, logical_ids: Sequence[str]) -> Mapping[str, Sequence[DocumentEntry | Folder]]:
        found: dict[str, list[DocumentEntry | Folder]] = {}
        for one in (*self._of(DocumentEntry), *self._of(Folder)):
            if (logical_id := one.logical_id or one.entry_uuid) in logical_ids:
                found.setdefault(logical_id, []).append(one)
        return {lid: sorted(chain, key=lambda one: one.version or 1) for lid, chain in found.items()}

    def find(self, query: StoredQuery) -> Sequence[FoundObject]:
        assert query.query_id == uuids.GET_ASSOCIATIONS
        wanted = query.values("$uuid")
        return [
            FoundObject(
                id=one.entry_uuid, kind=ObjectKind.ASSOCIATION, source=one.source, target=one.target,
                association_type=one.type,
            )
            for one in self._of(Association)
            if one.source in wanted or one.target in wanted
        ]  # fmt: skip

    def _of(self, type_: type[T]) -> list[T]:
        return [one for one in self.known.values() if isinstance(one, type_)]
