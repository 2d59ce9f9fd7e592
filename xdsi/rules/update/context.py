"""What the rules of an update look at: the request, the objects it names, and every version of the logical ones.

Metadata Update 4.1.5, 3.57.4.1.3.1. What the asker may not change is as if it were not registered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from xdsi.domain.consent import Resource, ResourceKind
from xdsi.domain.identifiers import PatientId, is_entry_uuid
from xdsi.domain.metadata import Association, DocumentEntry, Folder
from xdsi.domain.stored_query import Evidence, FoundObject
from xdsi.domain.submission import Submission
from xdsi.rules.submission import context as submission_context
from xdsi.rules.visibility import seen

Versioned: TypeAlias = DocumentEntry | Folder


class Facts(submission_context.Facts, Protocol):
    """What the rules of an update ask of the registry; a part of `ports.RegistrySession`."""

    def associations_of(self, ids: Sequence[str]) -> Sequence[Association]:
        """All Associations, whatever their status, with an end among the ids."""

    def relationships_from(self, ids: Sequence[str], most: int) -> Sequence[FoundObject]:
        """The Approved relationships that lead on from these documents, to any depth; no more than `most`."""

    def versions(self, logical_ids: Sequence[str]) -> Mapping[str, Sequence[Versioned]]:
        """All versions of logical objects, the oldest first."""


class LockingFacts(Facts, Protocol):
    """Facts that stay as they are."""

    def lock(self, ids: Sequence[str]) -> None:
        """Let nobody else change or name these objects until the end of the unit of work."""


@dataclass(frozen=True, slots=True)
class Context(submission_context.Context):
    """One update with the facts its rules need; `evidence` is what decides on what it would change."""

    versions: Mapping[str, Sequence[Versioned]] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)

    @classmethod
    def about(cls, submission: Submission, facts: Facts) -> Context:
        """Fetch what the request names and every version of it, in a few questions to the registry.

        Of an entry that names nothing registered, whatever has its uniqueId is fetched.
        """
        plain = submission_context.Context.of(submission, facts)
        logical_ids = dict.fromkeys(one.logical_id for one in plain.members if is_entry_uuid(one.logical_id))
        registered = (one for one in plain.registered.values() if isinstance(one, DocumentEntry | Folder))
        logical_ids.update(dict.fromkeys(one.logical_id or one.entry_uuid for one in registered))
        versions = dict(facts.versions(list(logical_ids))) if logical_ids else {}
        strangers = [one.unique_id for one in submission.document_entries if one.logical_id not in versions]
        known = facts.entries_by_unique_id(list(filter(None, strangers))) if any(strangers) else ()
        if known:
            versions |= facts.versions(list({one.logical_id or one.entry_uuid for one in known}))
        return cls(submission, facts, plain.own, plain.registered, versions)

    @classmethod
    def held(cls, submission: Submission, facts: LockingFacts) -> Context:
        """What `about` finds, when nobody else can change it any more: a new version has the status of the former."""
        found = cls.about(submission, facts)
        latest = [chain[-1].entry_uuid for chain in found.versions.values()]
        if not latest:
            return found
        facts.lock(latest)
        return cls.about(submission, facts)

    def latest(self, one: Versioned) -> Versioned | None:
        """The latest registered version of the logical object, or None where it is not registered."""
        chain = self.versions.get(one.logical_id or one.entry_uuid, ())
        return chain[-1] if chain else None

    def weighed(self, gather: Callable[[Sequence[FoundObject]], Evidence]) -> Context:
        """With the evidence on everything registered that the request would change or connect."""
        touched = {one.entry_uuid: one for one in self.registered.values()}
        touched.update((chain[-1].entry_uuid, chain[-1]) for chain in self.versions.values())
        return replace(self, evidence=gather([FoundObject.of(one) for one in touched.values()]))

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What is decided on; an object that goes over to another patient is decided on for that one as well."""
        return (*self.evidence.resources.values(), *self._moved())

    def _moved(self) -> Iterator[Resource]:
        for one in self.members:
            current = self.latest(one)
            if current is None or one.patient_id in ("", current.patient_id):
                continue
            known = self.evidence.resources.get(current.entry_uuid)
            resource = known or Resource(unique_id=current.unique_id, kind=ResourceKind.FOLDER)
            yield replace(resource, entry_uuid=_moved_id(one), patient=_patient(one.patient_id))

    def within(self, permitted: Collection[str] | None) -> Context:
        """As the asker may know it: `permitted` are the ids that were decided on and permitted, None where all are."""
        if permitted is None:
            return self
        open_to = seen(self.evidence, permitted)
        refused = {one.entry_uuid for one in self._moved()}.difference(permitted)
        closed = {one.logical_id for one in self.members if _moved_id(one) in refused}
        versions = {
            lid: chain for lid, chain in self.versions.items() if chain[-1].entry_uuid in open_to and lid not in closed
        }
        registered = {
            id_: one
            for id_, one in self.registered.items()
            if id_ in open_to and (not isinstance(one, DocumentEntry | Folder) or (one.logical_id or id_) in versions)
        }
        return replace(self, registered=registered, versions=versions)


def _moved_id(one: Versioned) -> str:
    """What stands for an object in its new record; ids of requests could be those of registered objects."""
    return f"moved {one.entry_uuid} {one.logical_id} {one.patient_id}"


def _patient(cx: str) -> PatientId | None:
    try:
        return PatientId.parse(cx)
    except ValueError:
        return None  # reported as a format
