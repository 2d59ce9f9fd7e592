"""Whether each operation of an update may be carried out on what is registered now.

Metadata Update 3.57.4.1.3.3: the preconditions of each operation.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from xdsi.domain.identifiers import is_entry_uuid
from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.domain.outcome import Problem
from xdsi.rules.submission.context import name_of, problem
from xdsi.rules.submission.structure import METADATA_ERROR
from xdsi.rules.update.codes import IDENTIFIER, INVALID_REQUEST, OPERATION, RECONCILIATION, UPDATE_ERROR, VERSION, Codes
from xdsi.rules.update.context import Context, Versioned
from xdsi.rules.update.operations import NewAssociation, NewStatus, NewVersion, Operations, logical
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED

UNRESOLVED = "UnresolvedReferenceException"


def check(context: Context, operations: Operations, codes: Codes) -> Iterator[Problem]:
    """Every operation against the state of the registry."""
    for version in operations.versions:
        yield from _check_version(context, version, codes)
    updated = {version.item.logical_id: version for version in operations.versions}
    for status in operations.statuses:
        yield from _check_status(context, status)
        yield from _check_patient(context, status.trigger, _touched(context, status.target), updated)
    for submitted in operations.associations:
        yield from _check_association(context, submitted, updated)


def _check_version(context: Context, version: NewVersion, codes: Codes) -> Iterator[Problem]:
    item, current = version.item, version.current
    id_ = item.entry_uuid
    if not item.logical_id or item.logical_id == id_:
        given = "its own id as" if item.logical_id else "no"
        text = f"{id_} has {given} logicalID (lid), as a first version has; what is new comes by ITI-42"
        yield problem(INVALID_REQUEST, item, "logicalID.first", text)
        return
    if not is_entry_uuid(item.logical_id):
        text = f"logicalID (lid) of {id_} is {item.logical_id}; expected urn:uuid: and a UUID in lower case"
        yield problem(METADATA_ERROR, item, "logicalID.format", text)
        return
    if id_ in context.registered:
        text = f"an object with the id {id_} is registered already; a new version needs a new UUID"
        yield problem(METADATA_ERROR, item, "entryUUID.registered", text)
    if current is None:
        text = f"no {type(item).__name__} with the logicalID {item.logical_id} is registered, in no version"
        for code in codes.unknown:
            yield problem(code, item, "logicalID.unknown", text)
        return
    yield from _check_identity(item, current, codes)
    yield from _check_number(version, current)
    if isinstance(current, Folder) and current.availability_status != APPROVED:
        text = f"Folder {current.entry_uuid} is deprecated; only an Approved Folder can be updated"
        yield problem(UPDATE_ERROR, item, "current.deprecated", text)


def _check_identity(item: Versioned, current: Versioned, codes: Codes) -> Iterator[Problem]:
    """What all versions of a logical object have in common (4.1.5)."""
    if type(item) is not type(current):
        text = f"{item.logical_id} is a {type(current).__name__}, not a {type(item).__name__}"
        yield problem(IDENTIFIER, item, "kind.changed", text)
        return
    if item.unique_id != current.unique_id:
        text = f"uniqueId of {item.entry_uuid} is {item.unique_id}; that of {item.logical_id} is {current.unique_id}"
        yield problem(IDENTIFIER, item, "uniqueId.changed", text)
    if isinstance(item, Folder) or isinstance(current, Folder) or item.object_type in ("", current.object_type):
        return
    text = f"objectType of {item.entry_uuid} is {item.object_type}; it was {current.object_type}"
    for code in codes.object_type:
        yield problem(code, item, "objectType.changed", text)


def _check_number(version: NewVersion, current: Versioned) -> Iterator[Problem]:
    given = version.link.previous_version if version.link is not None else ""
    if given and given != str(current.version or 1):
        text = f"PreviousVersion of {version.item.entry_uuid} is {given}; the latest version is {current.version or 1}"
        yield problem(VERSION, version.item, "PreviousVersion", text)


def _check_status(context: Context, status: NewStatus) -> Iterator[Problem]:
    trigger, target = status.trigger, status.target
    if target is None:
        text = f"{trigger.target}, whose status {trigger.entry_uuid} would change, is not in the registry"
        yield problem(UNRESOLVED, trigger, "targetObject.unresolved", text)
        return
    for value, name in ((status.original, "OriginalStatus"), (status.new, "NewStatus")):
        if value not in {APPROVED, DEPRECATED}:
            text = f"{name} of {trigger.entry_uuid} is {value}; expected the URN of Approved or Deprecated"
            yield problem(UPDATE_ERROR, trigger, f"{name}.value", text)
    current = _current(context, target)
    if current is None:
        text = f"the status of {_kind(target)} {target.entry_uuid} cannot be changed"
        yield problem(UPDATE_ERROR, trigger, "status.fixed", text)
        return
    known = {*context.own, current.entry_uuid}
    if isinstance(current, DocumentEntry | Folder) and target.entry_uuid not in known:
        text = f"{target.entry_uuid} is not the latest version of {current.logical_id}; {current.entry_uuid} is"
        yield problem(VERSION, trigger, "status.version", text)
        return
    actual = current.availability_status or APPROVED
    if status.original in {APPROVED, DEPRECATED} and status.original != actual:
        text = f"OriginalStatus of {trigger.entry_uuid} is {name_of(status.original)}, but {target.entry_uuid} is"
        yield problem(UPDATE_ERROR, trigger, "OriginalStatus", f"{text} {name_of(actual)}")


def _touched(context: Context, target: RegistryObject | None) -> list[RegistryObject | None]:
    if isinstance(target, Association):
        return [*context.facts.objects([target.source, target.target]).values()]
    return [target]


def _check_patient(
    context: Context, reason: Association, touched: Iterable[RegistryObject | None], updated: Container[str]
) -> Iterator[Problem]:
    """What a request touches is of the patient of its SubmissionSet; new versions are checked as such."""
    own = context.submission.submission_sets
    found = [one for one in touched if isinstance(one, DocumentEntry | Folder)]
    patient = own[0].patient_id if own else ""
    if not found or not patient or any(one.entry_uuid in context.own or logical(one) in updated for one in found):
        return
    if patient not in {one.patient_id for one in found}:
        text = f"{found[0].entry_uuid} is of patient {found[0].patient_id}; the SubmissionSet is of patient {patient}"
        yield problem(RECONCILIATION, reason, "patientId.set", text)


def _current(context: Context, target: RegistryObject) -> RegistryObject | None:
    """The registered object whose status counts; None for one whose status never changes."""
    if isinstance(target, DocumentEntry | Folder):
        return context.latest(target)
    if isinstance(target, SubmissionSet) or target.entry_uuid not in context.registered:
        return None
    source = context.facts.objects([target.source]).get(target.source)
    return None if isinstance(source, SubmissionSet) else target


def _check_association(
    context: Context, submitted: NewAssociation, updated: dict[str, NewVersion]
) -> Iterator[Problem]:
    association = submitted.association
    what = f"{name_of(association.type)} {association.entry_uuid}"
    if association.entry_uuid in context.registered:
        text = f"an object with the id {association.entry_uuid} is registered already; a new one needs a new UUID"
        yield problem(METADATA_ERROR, association, "entryUUID.registered", text)
    ends = {"sourceObject": association.source, "targetObject": association.target}
    found: dict[str, RegistryObject] = {}
    for name, id_ in ends.items():
        one = context.find(id_)
        if one is None:
            text = f"{id_}, the {name} of {what}, is not in the registry"
            yield problem(UNRESOLVED, association, f"{name}.unresolved", text)
            continue
        found[name] = one
        yield from _check_end(context, association, one, updated, f"{id_}, the {name} of {what},")
    if len(found) == len(ends):
        yield from _check_kinds(association, found["sourceObject"], found["targetObject"], what)
        yield from _check_patient(context, association, found.values(), updated)


def _check_end(
    context: Context, association: Association, one: RegistryObject, updated: dict[str, NewVersion], what: str
) -> Iterator[Problem]:
    if not isinstance(one, DocumentEntry | Folder):
        return
    version = updated.get(one.logical_id or one.entry_uuid)
    is_new = version is not None and version.item.entry_uuid == one.entry_uuid
    if version is not None and (version.propagates or not is_new):
        why = "takes its Associations with it" if is_new else "gets a new version in this request"
        yield problem(OPERATION, association, "propagation.conflict", f"{what} {why}")
        return
    current = context.latest(one)
    former = current is not None and one.entry_uuid not in context.own and current.entry_uuid != one.entry_uuid
    if former or (current or one).availability_status == DEPRECATED:
        yield problem(UPDATE_ERROR, association, "end.deprecated", f"{what} is deprecated")


def _check_kinds(
    association: Association, source: RegistryObject, target: RegistryObject, what: str
) -> Iterator[Problem]:
    if association.type == uuids.HAS_MEMBER:
        fits = isinstance(source, Folder) and isinstance(target, DocumentEntry)
        expected = "a Folder and a DocumentEntry"
    else:
        fits = isinstance(source, DocumentEntry) and isinstance(target, DocumentEntry)
        expected = "two DocumentEntries"
    if not fits:
        text = f"{what} joins a {_kind(source)} and a {_kind(target)}; expected {expected}"
        yield problem(METADATA_ERROR, association, "ends.kind", text)
    elif association.type == uuids.IS_SNAPSHOT_OF and not _is_snapshot(source, target):
        text = f"{what} must join a Stable DocumentEntry to an On-Demand one"
        yield problem(METADATA_ERROR, association, "snapshot.kind", text)


def _is_snapshot(source: RegistryObject, target: RegistryObject) -> bool:
    return (
        isinstance(source, DocumentEntry)
        and isinstance(target, DocumentEntry)
        and not source.is_on_demand
        and target.is_on_demand
    )


def _kind(one: RegistryObject) -> str:
    return type(one).__name__
