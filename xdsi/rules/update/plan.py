"""From the operations of an update to what changes in the registry.

Metadata Update 3.57.4.1.3.2 (new versions first, then the Associations between them), 3.57.4.1.3.3 (effects), 4.1.5.
A trigger is a request and is not kept; a Folder membership that was submitted gets the link that those of ITI-42 have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject
from xdsi.domain.outcome import Problem
from xdsi.domain.registration import RegisterPorts, Registration, StatusChange
from xdsi.domain.submission import Submission
from xdsi.rules.submission.assignment import assign, has_member
from xdsi.rules.submission.context import problem
from xdsi.rules.update.codes import UPDATE_ERROR, VERSION
from xdsi.rules.update.context import Facts, Versioned
from xdsi.rules.update.operations import NewStatus, Operations, logical
from xdsi.rules.update.propagation import Surroundings, follow
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED


@dataclass(frozen=True, slots=True)
class Plan:
    """What changes, and what it connects; each with the object of the request that is the reason."""

    registration: Registration
    connected: tuple[tuple[Association, RegistryObject], ...]
    """Associations that are new or become Approved"""
    approved: tuple[tuple[Versioned, RegistryObject], ...]
    """registered DocumentEntries and Folders that become Approved"""


def plan(
    submission: Submission, operations: Operations, around: Surroundings, facts: Facts, ports: RegisterPorts
) -> Plan:
    """The changes of a request whose operations may all be carried out."""
    return _Planning(submission, operations, around, facts, ports).plan()


class _Planning:
    def __init__(
        self,
        submission: Submission,
        operations: Operations,
        around: Surroundings,
        facts: Facts,
        ports: RegisterPorts,
    ) -> None:
        self.submission, self.operations, self.around = submission, operations, around
        self.facts, self.ports = facts, ports
        self.now = ports.now()
        self.assigned = assign(submission, new_uuid=ports.new_uuid, now=self.now)
        self.own = self.assigned.submission_set.entry_uuid
        self.final = {
            before.entry_uuid: after for before, after in zip(submission.objects, self.assigned.objects, strict=True)
        }
        self.updated = {version.item.logical_id for version in operations.versions}
        self.items = {one.entry_uuid: one for one in self._items()}
        self.renamed = {
            version.current.entry_uuid: self.final[version.item.entry_uuid].entry_uuid
            for version in operations.versions
            if version.current is not None
        }

    def plan(self) -> Plan:
        fresh = [*self._followed(), *self._of(one.association for one in self.operations.associations)]
        members = list(self._of(self.operations.members))
        linked = {one.target for one in members}
        links = [
            has_member(self.ports.new_uuid(), self.own, one.entry_uuid)
            for one in fresh
            if one.type == uuids.HAS_MEMBER and one.entry_uuid not in linked
        ]
        bound = (version.link for version in self.operations.versions if version.link is not None)
        registration = Registration(
            submission=Submission(
                submission_sets=self.assigned.submission_sets,
                document_entries=tuple(one for one in self.items.values() if isinstance(one, DocumentEntry)),
                folders=tuple(one for one in self.items.values() if isinstance(one, Folder)),
                associations=(*self._of(bound), *members, *fresh, *links),
            ),
            now=self.now,
            superseded=dict(self._superseded()),
            statuses=tuple(self._status_change(one) for one in self._alone()),
            touched_folders=tuple(dict.fromkeys(self._touched(fresh))),
            reviewed=tuple(dict.fromkeys(self._reviewed(fresh))),
        )
        return Plan(registration, tuple(self._connected(fresh)), tuple(self._approved()))

    def _items(self) -> Iterator[Versioned]:
        """The new versions: number n+1, the status of the former one unless the request gives another."""
        statuses = {logical(one.target): one.new for one in self.operations.statuses if one.target is not None}
        for version in self.operations.versions:
            item, current = self.final[version.item.entry_uuid], version.current
            if isinstance(item, DocumentEntry | Folder) and current is not None:
                logical_id = version.item.logical_id
                yield replace(
                    item,
                    logical_id=logical_id,
                    version=(current.version or 1) + 1,
                    availability_status=statuses.get(logical_id) or current.availability_status or APPROVED,
                )

    def _of(self, associations: Iterable[Association]) -> Iterator[Association]:
        """Associations of the request under their final ids."""
        for one in associations:
            final = self.final[one.entry_uuid]
            if isinstance(final, Association):
                yield final

    def _followed(self) -> Iterator[Association]:
        for one in follow(self.operations.versions, self.around, self.renamed):
            yield replace(one, entry_uuid=self.ports.new_uuid(), availability_status=APPROVED)

    def _superseded(self) -> Iterator[tuple[str, Problem]]:
        for version in self.operations.versions:
            if version.current is not None:
                text = f"{version.item.logical_id} was updated by another request at the same moment"
                yield version.current.entry_uuid, problem(VERSION, version.item, "version.overtaken", text)

    def _alone(self) -> Iterator[NewStatus]:
        """Changes of status of objects that get no new version."""
        for one in self.operations.statuses:
            if one.target is not None and logical(one.target) not in self.updated:
                yield one

    @staticmethod
    def _status_change(one: NewStatus) -> StatusChange:
        id_ = one.trigger.target
        text = f"the status of {id_} was changed by another request at the same moment"
        return StatusChange(id_, one.original, one.new, problem(UPDATE_ERROR, one.trigger, "status.overtaken", text))

    def _touched(self, fresh: list[Association]) -> Iterator[str]:
        for one in fresh:
            if one.type == uuids.HAS_MEMBER and one.source not in self.items:
                yield one.source

    def _reviewed(self, fresh: list[Association]) -> Iterator[str]:
        """Entries that stay as they are and get or lose a signature."""
        signers = {one.target.entry_uuid for one in self._alone() if isinstance(one.target, DocumentEntry)}
        changed = [one.target for one in self._alone() if isinstance(one.target, Association)]
        around = self.facts.associations_of(list(signers)) if signers else ()
        changed += [one for one in around if one.source in signers]
        for one in (*fresh, *self.around.links, *changed):
            if one.type == uuids.SIGNS and one.target not in self.items and one.target not in self.renamed:
                yield one.target

    def _connected(self, fresh: list[Association]) -> Iterator[tuple[Association, RegistryObject]]:
        asked = {self.final[one.entry_uuid].entry_uuid: one for one in self.submission.objects}
        for association in fresh:
            # What follows is there because of one of its ends.
            ids = (association.entry_uuid, association.source, association.target)
            yield association, next(asked[id_] for id_ in ids if id_ in asked)
        for one in self._alone():
            if isinstance(one.target, Association) and one.new == APPROVED:
                yield one.target, one.trigger

    def _approved(self) -> Iterator[tuple[Versioned, RegistryObject]]:
        for one in self._alone():
            if isinstance(one.target, DocumentEntry | Folder) and one.new == APPROVED:
                yield one.target, one.trigger
