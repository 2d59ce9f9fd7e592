"""What may be removed from a registry: objects that exist, that nothing left refers to, leaving nothing alone.

Remove Metadata and Documents 3.62.4.1.3. Everything is judged by what would be left after the whole request; versions
of one logical object are not treated specially.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from xdsi.domain.audit import RemovedObject
from xdsi.domain.metadata import Association, DocumentEntry, RegistryObject, SubmissionSet
from xdsi.domain.outcome import Problem
from xdsi.domain.stored_query import FoundObject
from xdsi.spec import uuids

MAX_OBJECTS = 10_000
"""of one request"""


class Facts(Protocol):
    """What the rules ask of the registry; a part of `ports.RegistrySession`, whose promises hold."""

    def objects(self, ids: Sequence[str]) -> Mapping[str, RegistryObject]:
        """Registered objects by entryUUID."""

    def associations_of(self, ids: Sequence[str]) -> Sequence[Association]:
        """All Associations with an end among the ids."""


@dataclass(frozen=True, slots=True)
class Removal:
    """The objects of a request that are registered, in its order."""

    ids: tuple[str, ...]
    objects: Mapping[str, RegistryObject]

    @property
    def found(self) -> tuple[FoundObject, ...]:
        """The objects as a query would have found them, for the decision on them."""
        return tuple(FoundObject.of(one) for one in self.objects.values())

    @property
    def ends(self) -> tuple[str, ...]:
        """What the Associations among the objects join."""
        links = (one for one in self.objects.values() if isinstance(one, Association))
        return tuple(dict.fromkeys(end for link in links for end in (link.source, link.target)))

    def described(self, ends: Mapping[str, RegistryObject]) -> tuple[RemovedObject, ...]:
        """The objects as the audit record names them; an Association belongs to the patient of its source."""
        known = {**ends, **self.objects}
        return tuple(
            RemovedObject(entry_uuid=id_, kind=_kind(known.get(id_)), patient=_patient(known.get(id_), known))
            for id_ in self.ids
        )

    @property
    def unsigned(self) -> tuple[str, ...]:
        """Entries that stay and lose a signature."""
        links = (one for one in self.objects.values() if isinstance(one, Association) and one.type == uuids.SIGNS)
        return tuple(dict.fromkeys(link.target for link in links if link.target not in self.objects))


def check(removal: Removal, session: Facts, hidden: Collection[str], held: Collection[str] = ()) -> tuple[Problem, ...]:
    """Every problem of a removal; what is hidden from the asker is as if it were not there, what is held stays."""
    if len(removal.ids) > MAX_OBJECTS:
        text = f"{len(removal.ids)} objects; at most {MAX_OBJECTS} can be removed at once"
        return (Problem("XDSRegistryError", text, rule="REMOVAL.size"),)
    known = {id_: one for id_, one in removal.objects.items() if id_ not in hidden}
    unknown = [_unknown(id_) for id_ in removal.ids if id_ not in known]
    links = [one for one in session.associations_of(list(known)) if one.entry_uuid not in removal.objects]
    kept = [_kept(id_) for id_ in known if id_ in held]
    return (*unknown, *kept, *_check_references(known, links), *_check_orphans(known, session))


def _kept(id_: str) -> Problem:
    text = f"{id_} is under a legal hold and cannot be removed"
    return Problem("XDSRegistryError", text, location=id_, rule="REMOVAL.hold")


def _unknown(id_: str) -> Problem:
    text = f"{id_} is not registered here"
    return Problem("UnresolvedReferenceException", text, location=id_, rule="REMOVAL.unknown")


def _check_references(known: Mapping[str, RegistryObject], links: Sequence[Association]) -> Iterator[Problem]:
    for link in links:
        for end, role in ((link.source, "source"), (link.target, "target")):
            if end in known:
                text = f"{end} is the {role} of association {link.entry_uuid}, which is not removed with it"
                yield Problem("ReferencesExistException", text, location=end, rule="REMOVAL.referenced")


def _check_orphans(known: Mapping[str, RegistryObject], session: Facts) -> Iterator[Problem]:
    """What is left of a SubmissionSet has members, and what was its member has another SubmissionSet."""
    removed = [one for one in known.values() if isinstance(one, Association) and one.type == uuids.HAS_MEMBER]
    sources = session.objects(list({one.source for one in removed}))
    links = [one for one in removed if isinstance(sources.get(one.source), SubmissionSet)]
    left = dict.fromkeys(end for link in links for end in (link.source, link.target) if end not in known)
    around = [one for one in session.associations_of(list(left)) if one.entry_uuid not in known]
    members = [one for one in around if one.type == uuids.HAS_MEMBER]
    containers = {**sources, **session.objects([one.source for one in members if one.source not in sources])}
    linked = {
        end
        for one in members
        if isinstance(containers.get(one.source), SubmissionSet)
        for end in (one.source, one.target)
    }
    for id_ in left:
        if id_ not in linked:
            is_set = isinstance(sources.get(id_), SubmissionSet)
            what = "SubmissionSet that is left has no member" if is_set else "object that is left has no SubmissionSet"
            text = f"{id_}: the {what} any more"
            yield Problem("XDSUnreferencedObjectException", text, location=id_, rule="REMOVAL.orphan")


def _kind(one: RegistryObject | None) -> str:
    if isinstance(one, Association):
        return one.type
    if isinstance(one, DocumentEntry) and one.is_on_demand:
        return "OnDemandDocumentEntry"
    return type(one).__name__ if one is not None else ""


def _patient(one: RegistryObject | None, known: Mapping[str, RegistryObject]) -> str:
    if not isinstance(one, Association):
        return one.patient_id if one is not None else ""
    source = known.get(one.source)
    if isinstance(source, Association):
        source = known.get(source.source)
    return "" if source is None or isinstance(source, Association) else source.patient_id
