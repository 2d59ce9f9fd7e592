"""What may be replaced, appended, transformed, signed or put into a folder.

ITI TF-3 4.2.2.1.3, 4.2.2.2; ITI TF-2 3.42.4.1.3.4 (folders), 3.42.4.1.3.5 (relationships), 3.61.4.1.3.
"""

from __future__ import annotations

from collections.abc import Iterator

from xdsi.domain.metadata import Association, DocumentEntry, RegistryObject, SubmissionSet
from xdsi.domain.outcome import Problem
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.rules.submission.context import Context, name_of, problem
from xdsi.rules.submission.structure import METADATA_ERROR
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED

DEPRECATED_DOCUMENT = "XDSRegistryDeprecatedDocumentError"
OTHER_PATIENT = "XDSPatientIdDoesNotMatch"


def check(context: Context) -> Iterator[Problem]:
    """Relationships and folder memberships, by status, patient and kind of their two ends."""
    for association in context.relationships():
        source, target = context.own.get(association.source), context.find(association.target)
        if isinstance(source, DocumentEntry) and isinstance(target, DocumentEntry):
            yield from _check_relationship(context, association, source, target)
    yield from _check_folders(context)


def _check_relationship(
    context: Context, association: Association, source: DocumentEntry, target: DocumentEntry
) -> Iterator[Problem]:
    what = f"{name_of(association.type)} {association.entry_uuid}"
    if _is_inactive(context, target):
        text = f"{what}: DocumentEntry {target.entry_uuid} is deprecated"
        yield problem(DEPRECATED_DOCUMENT, association, "target.deprecated", text)
    yield from _check_patients(context, association, source, target, what)
    if association.type == uuids.IS_SNAPSHOT_OF and (source.is_on_demand or not target.is_on_demand):
        text = f"{what} must join a Stable DocumentEntry to an On-Demand one"
        yield problem(METADATA_ERROR, association, "snapshot.kind", text)
    if association.type == uuids.APND and _is_transformation(context, target):
        text = f"{what}: {target.entry_uuid} is a transformation; an addendum goes to the document transformed"
        yield problem(METADATA_ERROR, association, "append.transformation", text)
    if association.type in uuids.REPLACEMENTS and association.target in context.registered:
        for folder in context.facts.folders_of(target.entry_uuid):
            yield from _check_patients(context, association, source, folder, f"{what}, whose target is in a Folder")


def _is_inactive(context: Context, registry_object: RegistryObject) -> bool:
    """True for a registered object that is not Approved; what is new will be."""
    return (
        registry_object.entry_uuid in context.registered
        and registry_object.entry_uuid not in context.own
        and registry_object.availability_status != APPROVED
    )


def _is_transformation(context: Context, entry: DocumentEntry) -> bool:
    for one in context.relationships():
        if one.type == uuids.XFRM and one.source == entry.entry_uuid:
            return True
    if entry.entry_uuid not in context.registered:
        return False
    query = StoredQuery(uuids.GET_ASSOCIATIONS, ReturnType.LEAF_CLASS, {"$uuid": ((entry.entry_uuid,),)})
    return any(
        found.association_type == uuids.XFRM and found.source == entry.entry_uuid for found in context.facts.find(query)
    )


def _check_patients(
    context: Context, association: Association, one: RegistryObject, other: RegistryObject, what: str
) -> Iterator[Problem]:
    """Registered objects come with the surviving patient id, so that merges do not stand in the way (3.42.4.1.3.5)."""
    if isinstance(one, Association) or isinstance(other, Association):
        return
    if one.patient_id and other.patient_id and one.patient_id != other.patient_id:
        # The request's patient only: who knows no more than an entryUUID is not told whose it is.
        own = ", ".join(dict.fromkeys(found.patient_id for found in context.identified))
        text = f"{what} joins {one.entry_uuid} and {other.entry_uuid}, which are not both of patient {own}"
        yield problem(OTHER_PATIENT, association, "patientId", text)


def _check_folders(context: Context) -> Iterator[Problem]:
    for association, folder, entry in context.members_of_folders():
        what = f"HasMember {association.entry_uuid}"
        for one in (folder, entry):
            if _is_inactive(context, one):
                text = f"{what}: {type(one).__name__} {one.entry_uuid} is deprecated"
                yield problem(DEPRECATED_DOCUMENT, association, "member.deprecated", text)
        yield from _check_patients(context, association, folder, entry, what)


def check_patient_of_request(context: Context, code: str = OTHER_PATIENT) -> Iterator[Problem]:
    """All patient ids of the request are that of its SubmissionSet (4.1.4)."""
    sets = context.submission.submission_sets
    if len(sets) != 1 or not sets[0].patient_id:
        return
    own: SubmissionSet = sets[0]
    for one in context.members:
        if one.patient_id and one.patient_id != own.patient_id:
            text = (
                f"patientId of {one.entry_uuid} is {one.patient_id}; its SubmissionSet {own.entry_uuid} is of patient"
                f" {own.patient_id}"
            )
            yield problem(code, one, "patientId.set", text)
