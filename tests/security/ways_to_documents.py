"""Ways to a manifest and what is known of it: queries and retrievals."""

from __future__ import annotations

from collections.abc import Iterable

import requests

from tests.security.asking import (
    LOCATION,
    REPOSITORY,
    Asker,
    of_patient,
    quoted,
)
from tests.security.targets import Target, target
from tests.security.ways import right, trick
from tests.trusted import CT, DOE
from xdsi.domain.stored_query import AdhocQuery
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.transactions import iti51_multi_patient_stored_query as iti51

STATUSES = f"('{APPROVED}','{DEPRECATED}')"


@right
def find_documents_of_the_patient(asker: Asker, it: Target) -> Iterable[requests.Response]:
    yield asker.query(uuids.FIND_DOCUMENTS, *of_patient(it.patient))
    yield asker.query(uuids.FIND_DOCUMENTS, *of_patient(it.patient), return_type="ObjectRef")


@right
def find_documents_in_every_status_and_version(asker: Asker, it: Target) -> Iterable[requests.Response]:
    slots = (
        ("$XDSDocumentEntryPatientId", [quoted(it.patient)]),
        ("$XDSDocumentEntryStatus", [STATUSES]),
        ("$MetadataLevel", ["2"]),
    )
    yield asker.query(uuids.FIND_DOCUMENTS, *slots)


@right
def find_submission_sets(asker: Asker, it: Target) -> Iterable[requests.Response]:
    slots = (("$XDSSubmissionSetPatientId", [quoted(it.patient)]), ("$XDSSubmissionSetStatus", [STATUSES]))
    yield asker.query(uuids.FIND_SUBMISSION_SETS, *slots)


@right
def get_all(asker: Asker, it: Target) -> Iterable[requests.Response]:
    statuses = [(f"$XDS{kind}Status", [STATUSES]) for kind in ("DocumentEntry", "SubmissionSet", "Folder")]
    yield asker.query(uuids.GET_ALL, ("$patientId", [quoted(it.patient)]), *statuses)


@right
def get_documents(asker: Asker, it: Target) -> Iterable[requests.Response]:
    yield asker.query(uuids.GET_DOCUMENTS, ("$XDSDocumentEntryEntryUUID", [f"('{it.entry_uuid}')"]))
    yield asker.query(uuids.GET_DOCUMENTS, ("$XDSDocumentEntryUniqueId", [f"('{it.unique_id}')"]))


@right
def get_associations(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for uuid in (it.entry_uuid, it.set_uuid):
        yield asker.query(uuids.GET_ASSOCIATIONS, ("$uuid", [f"('{uuid}')"]))


@right
def get_documents_and_associations(asker: Asker, it: Target) -> Iterable[requests.Response]:
    slot = ("$XDSDocumentEntryEntryUUID", [f"('{it.entry_uuid}')"])
    yield asker.query(uuids.GET_DOCUMENTS_AND_ASSOCIATIONS, slot)


@right
def get_submission_sets(asker: Asker, it: Target) -> Iterable[requests.Response]:
    yield asker.query(uuids.GET_SUBMISSION_SETS, ("$uuid", [f"('{it.entry_uuid}')"]))


@right
def get_submission_set_and_contents(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for name, value in (("EntryUUID", it.set_uuid), ("UniqueId", it.set_id)):
        yield asker.query(uuids.GET_SUBMISSION_SET_AND_CONTENTS, (f"$XDSSubmissionSet{name}", [quoted(value)]))


@right
def find_documents_by_reference_id(asker: Asker, it: Target) -> Iterable[requests.Response]:
    reference = f"('{it.study}^^^^urn:ihe:iti:xds:2016:studyInstanceUID')"
    slots = (*of_patient(it.patient), ("$XDSDocumentEntryReferenceIdList", [reference]))
    yield asker.query(uuids.FIND_DOCUMENTS_BY_REFERENCE_ID, *slots)


@trick
def related_documents_by_every_association(asker: Asker, it: Target) -> Iterable[requests.Response]:
    kinds = (uuids.RPLC, uuids.XFRM, uuids.APND, uuids.SIGNS, uuids.HAS_MEMBER)
    types = ",".join(quoted(one) for one in kinds)
    for level in ("1", "2"):
        slots = (("$XDSDocumentEntryEntryUUID", [quoted(it.entry_uuid)]), ("$AssociationTypes", [f"({types})"]))
        yield asker.query(uuids.GET_RELATED_DOCUMENTS, *slots, ("$MetadataLevel", [level]))


@trick
def folders_of_the_document(asker: Asker, it: Target) -> Iterable[requests.Response]:
    yield asker.query(uuids.GET_FOLDERS_FOR_DOCUMENT, ("$XDSDocumentEntryEntryUUID", [quoted(it.entry_uuid)]))
    slots = (("$XDSFolderPatientId", [quoted(it.patient)]), ("$XDSFolderStatus", [STATUSES]))
    yield asker.query(uuids.FIND_FOLDERS, *slots)


@trick
def an_id_beside_one_that_may_be_seen(asker: Asker, it: Target) -> Iterable[requests.Response]:
    own = target(asker.hub, DOE, CT)
    both = f"('{own.entry_uuid}','{it.entry_uuid}')"
    yield _without(own, asker.query(uuids.GET_DOCUMENTS, ("$XDSDocumentEntryEntryUUID", [both])))
    yield _without(own, asker.query(uuids.GET_ASSOCIATIONS, ("$uuid", [both])))


@trick
def the_patient_written_in_other_ways(asker: Asker, it: Target) -> Iterable[requests.Response]:
    id_, authority = it.patient.split("^^^")
    for written in (
        f"{id_}^^^{authority.replace('ISO', 'iso')}", f"{id_}^^^X{authority}", f" {it.patient}", f"{it.patient} ",
        f"{id_}^^^{authority}^MR", f"{id_}^1^ISO^{authority}", f"{id_}", f"%^^^{authority}",
        f"{id_[:4]}%^^^{authority}",
    ):  # fmt: skip
        yield asker.query(uuids.FIND_DOCUMENTS, *of_patient(written))


@trick
def values_that_end_the_statement(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for value in (
        f"'{it.patient}' OR '1'='1'", "'x' UNION SELECT fragment FROM document_entry --", f"'{it.patient}'';--'",
        f"('{it.patient}','x')", "'%'", "'_'", "''",
    ):  # fmt: skip
        slots = (("$XDSDocumentEntryPatientId", [value]), of_patient(DOE)[1])
        yield _without(target(asker.hub, DOE, CT), asker.query(uuids.FIND_DOCUMENTS, *slots))


@trick
def the_author_as_a_pattern(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for pattern in ("%", "_%", "%%%%"):
        slot = ("$XDSDocumentEntryAuthorPerson", [f"('{pattern}')"])
        yield asker.query(uuids.FIND_DOCUMENTS, *of_patient(it.patient), slot)


@trick
def a_repeated_patient(asker: Asker, it: Target) -> Iterable[requests.Response]:
    (name, own), status = of_patient(DOE)
    yield _without(
        target(asker.hub, DOE, CT), asker.query(uuids.FIND_DOCUMENTS, (name, own), (name, [quoted(it.patient)]), status)
    )


@trick
def several_patients_at_once(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for query, kind in (
        (uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS, "DocumentEntry"),
        (uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS, "Folder"),
    ):
        for patients in ([f"('{it.patient}','{DOE}')"], [f"('{it.patient}')"]):
            slots = ((f"$XDS{kind}PatientId", patients), (f"$XDS{kind}Status", [STATUSES]))
            yield _without(target(asker.hub, DOE, CT), _multi(asker, query, *slots))


@trick
def everybody_by_a_code(asker: Asker, it: Target) -> Iterable[requests.Response]:
    slots = (
        ("$XDSDocumentEntryClassCode", ["('IMG^^2.999','55113-5^^2.16.840.1.113883.6.1')"]),
        ("$XDSDocumentEntryStatus", [STATUSES]),
    )
    yield _without(target(asker.hub, DOE, CT), _multi(asker, uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS, *slots))


@trick
def answers_of_other_kinds(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for kind in ("LeafClassWithRepositoryItem", "RegistryObject", "RepositoryItem", ""):
        yield asker.query(uuids.FIND_DOCUMENTS, *of_patient(it.patient), return_type=kind)


@trick
def as_another_community(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for home in ("urn:oid:2.999.1", "urn:oid:2.999.77", "2.999.1", "URN:OID:2.999.1"):
        yield asker.query(uuids.FIND_DOCUMENTS, *of_patient(it.patient), home=home)
        yield asker.retrieve(it.unique_id, home=home)


def _multi(asker: Asker, query: str, *slots: tuple[str, list[str]]) -> requests.Response:
    given = tuple((name, tuple(values)) for name, values in slots)
    return asker.send(iti51.TRANSACTION, AdhocQuery(query, "LeafClass", given), "registry")


def _without(own: Target, answer: requests.Response) -> requests.Response:
    """What one may see is there, and hides nothing else: marks of any document at all do not count."""
    if own.entry_uuid.encode() in answer.content:
        answer._content = answer.content.replace(b"<rim:ExtrinsicObject", b"<own").replace(
            b"DocumentResponse>", b"own>"
        )
    return answer


# -- asking the repository


@right
def retrieve_the_manifest(asker: Asker, it: Target) -> Iterable[requests.Response]:
    yield asker.retrieve(it.unique_id)


@trick
def the_manifest_beside_another(asker: Asker, it: Target) -> Iterable[requests.Response]:
    own = target(asker.hub, DOE, CT)
    for wanted in ((own.unique_id, it.unique_id), (it.unique_id, own.unique_id)):
        answer = asker.retrieve(*wanted)
        assert answer.content.count(b"DocumentResponse>") == 2, "one element, opened and closed"
        assert b"PartialSuccess" in answer.content
        answer._content = answer.content.replace(b"DocumentResponse>", b"own>")
        yield answer


@trick
def the_manifest_under_other_names(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for name in (
        f" {it.unique_id}", f"{it.unique_id} ", f"{it.unique_id}\n", it.unique_id.upper(), f"urn:oid:{it.unique_id}",
        it.entry_uuid, f"../{it.unique_id}", f"{it.unique_id}^", f"{it.unique_id}%00", "%", it.set_id,
    ):  # fmt: skip
        for repository in (REPOSITORY, LOCATION, "", "2.999.77", f" {REPOSITORY}"):
            yield asker.retrieve(name, repository=repository)


@trick
def an_image_of_the_study_as_a_document(asker: Asker, it: Target) -> Iterable[requests.Response]:
    yield asker.retrieve(it.instance)
    yield asker.retrieve(it.instance, repository=LOCATION)
