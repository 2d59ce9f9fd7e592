"""The Associations that follow objects to their new versions.

Metadata Update 3.57.4.1.3.2 (AssociationPropagation). What joins the former version stays as it is; former versions of
others and deprecated Folders get nothing new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject
from xdsi.domain.outcome import Problem
from xdsi.rules.submission.context import problem
from xdsi.rules.update.codes import OPERATION
from xdsi.rules.update.context import Facts
from xdsi.rules.update.operations import NewVersion
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The Approved Associations of the objects that get new versions, and what they join them with."""

    links: Sequence[Association]
    others: Mapping[str, RegistryObject]
    """by entryUUID"""
    former: frozenset[str]
    """those of the others that are not the latest version of themselves"""

    @classmethod
    def of(cls, versions: Sequence[NewVersion], facts: Facts) -> Surroundings:
        """Fetch them, in three questions to the registry."""
        ids = [one.current.entry_uuid for one in versions if one.current is not None]
        links = [one for one in facts.associations_of(ids) if one.availability_status == APPROVED] if ids else []
        others = dict(facts.objects(list({end for link in links for end in (link.source, link.target)})))
        versioned = {
            id_: one.logical_id or id_ for id_, one in others.items() if isinstance(one, DocumentEntry | Folder)
        }
        chains = facts.versions(list(set(versioned.values()))) if versioned else {}
        latest = {chain[-1].entry_uuid for chain in chains.values()}
        return cls(links, others, frozenset(versioned) - latest)


def check(versions: Sequence[NewVersion], around: Surroundings) -> Iterator[Problem]:
    """Objects that are joined and updated together agree on whether their Associations follow."""
    updated = {one.current.entry_uuid: one for one in versions if one.current is not None}
    for link in around.links:
        source, target = updated.get(link.source), updated.get(link.target)
        if source is not None and target is not None and source.propagates is not target.propagates:
            text = (
                f"{source.item.entry_uuid} and {target.item.entry_uuid} are joined by {link.entry_uuid}, and only one"
                " of them takes its Associations with it"
            )
            yield problem(OPERATION, source.item, "propagation.mixed", text)


def follow(versions: Sequence[NewVersion], around: Surroundings, renamed: Mapping[str, str]) -> Iterator[Association]:
    """A copy of each Association that follows, without an id; `renamed` gives the new id of each former version."""
    moving = {one.current.entry_uuid for one in versions if one.current is not None and one.propagates}
    done: set[tuple[str, str, str]] = set()
    for link in around.links:
        if not ({link.source, link.target} & moving and _follows(link, around, moving)):
            continue
        source, target = renamed.get(link.source, link.source), renamed.get(link.target, link.target)
        if (link.type, source, target) not in done:
            done.add((link.type, source, target))
            yield replace(link, entry_uuid="", source=source, target=target, submission_set_status=())


def _follows(link: Association, around: Surroundings, moving: set[str]) -> bool:
    source, target = around.others.get(link.source), around.others.get(link.target)
    if not isinstance(target, DocumentEntry) or around.former & {link.source, link.target}:
        return False
    if link.type in uuids.RELATIONSHIPS:
        return isinstance(source, DocumentEntry)
    # A Folder takes along what is Approved in it; an entry goes into the Folders that are.
    if not isinstance(source, Folder):
        return False
    return source.availability_status == APPROVED and (link.target in moving or target.availability_status == APPROVED)
