"""What an update asks for, object by object: a new version, another status, one more Association.

Metadata Update 3.57.4.1.3.1 (one operation per object, at most one of a kind per logical object) and 3.57.4.1.3.3
(what triggers each).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject
from xdsi.domain.outcome import Problem
from xdsi.rules.submission.context import name_of, problem
from xdsi.rules.submission.structure import REFERENCE
from xdsi.rules.update.codes import OPERATION, Codes
from xdsi.rules.update.context import Context, Versioned
from xdsi.spec import uuids

PROPAGATION, ORIGINAL_STATUS, NEW_STATUS = "AssociationPropagation", "OriginalStatus", "NewStatus"
_TRIGGERS = (uuids.UPDATE_AVAILABILITY_STATUS, uuids.SUBMIT_ASSOCIATION)


@dataclass(frozen=True, slots=True)
class NewVersion:
    """Update DocumentEntry or Folder Metadata: `item` is to follow `current`."""

    item: Versioned
    link: Association | None
    """the HasMember from the SubmissionSet, None where there is not exactly one"""
    current: Versioned | None
    """the latest registered version, None where there is none"""

    @property
    def propagates(self) -> bool:
        """Whether Associations follow the object to its new version (the default)."""
        return self.link is None or _slot(self.link, PROPAGATION) != ("no",)


@dataclass(frozen=True, slots=True)
class NewStatus:
    """Update DocumentEntry, Folder or Association Status."""

    trigger: Association
    target: RegistryObject | None
    """of the request or the registry, None where it is in neither"""
    original: str
    new: str


@dataclass(frozen=True, slots=True)
class NewAssociation:
    """Submit Association."""

    trigger: Association
    association: Association


@dataclass(slots=True)
class Operations:
    """All operations of a request, and what could not be read as one."""

    versions: list[NewVersion] = field(default_factory=list)
    statuses: list[NewStatus] = field(default_factory=list)
    associations: list[NewAssociation] = field(default_factory=list)
    members: list[Association] = field(default_factory=list)
    """further HasMembers of the SubmissionSet: to registered entries by reference, to Folder memberships"""
    problems: list[Problem] = field(default_factory=list)


def read(context: Context, codes: Codes) -> Operations:
    """The operations of a request."""
    found = Operations()
    for item in context.members:
        found.versions.append(_new_version(context, item, codes, found.problems))
    for association in context.submission.associations:
        if association.type == uuids.UPDATE_AVAILABILITY_STATUS:
            found.statuses.extend(_new_status(context, association, found.problems))
        elif association.type == uuids.SUBMIT_ASSOCIATION:
            found.associations.extend(_new_association(context, association, found.problems))
        elif context.is_own_set(association.source):
            found.members.extend(_member(context, association, found.problems))
    found.problems.extend(_untriggered(context, found))
    found.problems.extend(_repeated(found, codes))
    return found


def _slot(association: Association, name: str) -> tuple[str, ...]:
    return next((one.values for one in association.extra.slots if one.name == name), ())


def _operation(association: RegistryObject, rule: str, text: str) -> Problem:
    return problem(OPERATION, association, rule, text)


def _new_version(context: Context, item: Versioned, codes: Codes, problems: list[Problem]) -> NewVersion:
    kind, id_ = type(item).__name__, item.entry_uuid
    links = [
        one
        for one in context.submission.associations
        if one.type == uuids.HAS_MEMBER and one.target == id_ and context.is_own_set(one.source)
    ]
    if len(links) != 1:
        text = f"{kind} {id_} has {len(links)} HasMember associations from the SubmissionSet; it must have exactly one"
        problems.append(problem(codes.unlinked, item, "linked", text))
        return NewVersion(item, None, context.latest(item))
    (link,) = links
    if not link.previous_version:
        text = f"the HasMember of {kind} {id_} has no PreviousVersion, which makes it an update"
        problems.append(problem(codes.no_version, item, "PreviousVersion.required", text))
    values = _slot(link, PROPAGATION)
    if values not in {(), ("yes",), ("no",)}:
        text = f"AssociationPropagation of {id_} is {', '.join(values)}; expected yes or no"
        problems.append(problem(codes.propagation, item, "AssociationPropagation", text))
    return NewVersion(item, link, context.latest(item))


def _new_status(context: Context, trigger: Association, problems: list[Problem]) -> Iterator[NewStatus]:
    id_ = trigger.entry_uuid
    if not context.is_own_set(trigger.source):
        text = f"UpdateAvailabilityStatus {id_} must begin at the SubmissionSet"
        problems.append(_operation(trigger, "trigger.source", text))
        return
    values = [_slot(trigger, name) for name in (ORIGINAL_STATUS, NEW_STATUS)]
    for name, given in zip((ORIGINAL_STATUS, NEW_STATUS), values, strict=True):
        if len(given) != 1:
            text = f"UpdateAvailabilityStatus {id_} has {len(given)} values of {name}; it must have one"
            problems.append(_operation(trigger, f"{name}.count", text))
    if all(len(given) == 1 for given in values):
        ((original,), (new,)) = values
        yield NewStatus(trigger, context.find(trigger.target), original, new)


def _new_association(context: Context, trigger: Association, problems: list[Problem]) -> Iterator[NewAssociation]:
    target = context.own.get(trigger.target)
    if not context.is_own_set(trigger.source) or not isinstance(target, Association) or target.type in _TRIGGERS:
        text = f"{trigger.entry_uuid} does not lead from the SubmissionSet to an Association of the request"
        problems.append(_operation(trigger, "trigger.ends", text))
    elif context.is_own_set(target.source):
        text = f"{target.entry_uuid} begins at the SubmissionSet; such Associations are part of every request"
        problems.append(_operation(target, "trigger.set", text))
    else:
        yield NewAssociation(trigger, target)


def _member(context: Context, link: Association, problems: list[Problem]) -> Iterator[Association]:
    own, registered = context.own.get(link.target), context.registered.get(link.target)
    is_member = link.type == uuids.HAS_MEMBER
    if is_member and isinstance(own, DocumentEntry | Folder):
        return
    if own is None and registered is None:
        text = f"{link.target}, the targetObject of {name_of(link.type)} {link.entry_uuid}, is not in the registry"
        problems.append(problem("UnresolvedReferenceException", link, "targetObject.unresolved", text))
    elif is_member and (
        (isinstance(own, Association) and own.type == uuids.HAS_MEMBER)
        or (isinstance(registered, DocumentEntry) and link.submission_set_status == (REFERENCE,))
    ):
        yield link
    else:
        text = f"{name_of(link.type)} {link.entry_uuid} asks for nothing; Associations are added by SubmitAssociation"
        problems.append(_operation(link, "operation.none", text))


def _untriggered(context: Context, found: Operations) -> Iterator[Problem]:
    triggered = Counter(one.association.entry_uuid for one in found.associations)
    for one in context.submission.associations:
        if one.type in _TRIGGERS or context.is_own_set(one.source):
            continue
        count = triggered[one.entry_uuid]
        if count != 1:
            text = f"{name_of(one.type)} {one.entry_uuid} has {count} SubmitAssociations; it must have exactly one"
            yield _operation(one, "operation.count", text)


def _repeated(found: Operations, codes: Codes) -> Iterator[Problem]:
    """At most one new version and one new status of each logical object (3.57.4.1.3.1)."""
    versions: set[str] = set()
    for version in found.versions:
        logical_id = version.item.logical_id
        if logical_id and logical_id in versions:
            text = f"{version.item.entry_uuid} is one more update of {logical_id}; a request may have one"
            yield problem(codes.repeated, version.item, "operation.repeated", text)
        versions.add(logical_id)
    statuses: set[str] = set()
    for status in found.statuses:
        target = logical(status.target) if status.target is not None else status.trigger.target
        if target in statuses:
            text = f"{status.trigger.entry_uuid} is one more change of the status of {target}; a request may have one"
            yield _operation(status.trigger, "operation.repeated", text)
        statuses.add(target)


def logical(one: RegistryObject) -> str:
    """What versions of an object have in common; an Association has only one."""
    return (one.logical_id or one.entry_uuid) if isinstance(one, DocumentEntry | Folder) else one.entry_uuid
