"""Valid metadata to start from: each test changes one thing.

Ids are symbolic, as a Document Source sends them; hash and size are those of the text `hello`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from xdsi.domain.codes import Code
from xdsi.domain.metadata import Association, Author, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.domain.submission import Submission
from xdsi.spec import uuids

PATIENT = "P1^^^&2.999.1.1&ISO"
OTHER_PATIENT = "P2^^^&2.999.1.1&ISO"
HELLO_SHA1 = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"

AUTHOR = Author(
    person="77^Doe^Jo^^^Dr^^^&2.999.4&ISO",
    institutions=("Hospital A^^^^^^^^^2.999.5",),
    roles=("author",),
    specialties=("radiology",),
    telecommunications=("^^Internet^jo.doe@hospital-a.example",),
)


def document_entry(entry_uuid: str = "doc1", **changes: Any) -> DocumentEntry:
    """A Stable DocumentEntry with every attribute that a repository must send, and most it may."""
    attributes: dict[str, Any] = {
        "mime_type": "text/plain",
        "unique_id": "2.999.10.1",
        "patient_id": PATIENT,
        "authors": (AUTHOR,),
        "class_code": Code("REPORTS", "2.999.20", "Reports"),
        "comments": "nothing special",
        "confidentiality_codes": (Code("N", "2.16.840.1.113883.5.25", "normal"),),
        "creation_time": "20240102030405",
        "event_codes": (Code("CT", "1.2.840.10008.2.16.4", "Computed Tomography"),),
        "format_code": Code("urn:ihe:iti:xds:2017:mimeTypeSufficient", "1.3.6.1.4.1.19376.1.2.3", "by mimeType"),
        "hash": HELLO_SHA1,
        "healthcare_facility_type_code": Code("22232009", "2.16.840.1.113883.6.96", "Hospital"),
        "language_code": "en-GB",
        "legal_authenticator": "77^Doe^Jo^^^Dr^^^&2.999.4&ISO",
        "practice_setting_code": Code("394914008", "2.16.840.1.113883.6.96", "Radiology"),
        "reference_ids": ("A77^^^&2.999.6&ISO^urn:ihe:iti:xds:2013:accession",),
        "repository_unique_id": "2.999.1.2",
        "service_start_time": "20240101",
        "service_stop_time": "20240102",
        "size": "5",
        "source_patient_id": "L1^^^&2.999.2&ISO",
        "source_patient_info": ("PID-3|L1^^^&2.999.2&ISO", "PID-5|Roe^Ann^^^", "PID-7|19700101", "PID-8|F"),
        "title": "A note",
        "type_code": Code("34133-9", "2.16.840.1.113883.6.1", "Summary"),
    }
    return DocumentEntry(entry_uuid=entry_uuid, **attributes | changes)


def on_demand_entry(entry_uuid: str = "doc1", **changes: Any) -> DocumentEntry:
    """A valid On-Demand DocumentEntry (ITI-61)."""
    absent = {"object_type": uuids.ON_DEMAND, "creation_time": "", "hash": "", "size": ""}
    return document_entry(entry_uuid, **absent | changes)


def submission_set(entry_uuid: str = "ss1", **changes: Any) -> SubmissionSet:
    """A valid SubmissionSet."""
    attributes: dict[str, Any] = {
        "unique_id": "2.999.11.1",
        "source_id": "2.999.3",
        "patient_id": PATIENT,
        "submission_time": "20240102030406",
        "authors": (AUTHOR,),
        "content_type_code": Code("REPORTS", "2.999.20", "Reports"),
        "title": "One note",
    }
    return SubmissionSet(entry_uuid=entry_uuid, **attributes | changes)


def folder(entry_uuid: str = "folder1", **changes: Any) -> Folder:
    """A valid Folder."""
    attributes: dict[str, Any] = {
        "unique_id": "2.999.12.1",
        "patient_id": PATIENT,
        "codes": (Code("REFERRAL", "2.999.20", "Referrals"),),
        "title": "Referrals",
    }
    return Folder(entry_uuid=entry_uuid, **attributes | changes)


def association(type_: str, source: str, target: str, entry_uuid: str = "", **changes: Any) -> Association:
    """An Association; its id is made of its ends where none is given."""
    id_ = entry_uuid or f"{type_.rpartition(':')[2]}-{source.rpartition(':')[2]}-{target.rpartition(':')[2]}"
    return Association(entry_uuid=id_, type=type_, source=source, target=target, **changes)


def has_member(source: str, target: str, status: str = "", **changes: Any) -> Association:
    """A HasMember Association; `status` is the SubmissionSetStatus."""
    return association(uuids.HAS_MEMBER, source, target, submission_set_status=(status,) if status else (), **changes)


def submission(
    *entries: DocumentEntry,
    sets: Iterable[SubmissionSet] | None = None,
    folders: Iterable[Folder] = (),
    associations: Iterable[Association] = (),
    linked: bool = True,
) -> Submission:
    """A Submission of one SubmissionSet with these entries (one valid entry when none is given and no folder).

    Unless `linked` is false, the SubmissionSet gets a HasMember to each entry and folder, and to each HasMember from a
    folder that `associations` bring along.
    """
    folders, associations = tuple(folders), tuple(associations)
    if not entries and not folders and not associations:
        entries = (document_entry(),)
    submission_sets = (submission_set(),) if sets is None else tuple(sets)
    links: list[Association] = []
    if linked and submission_sets:
        own = submission_sets[0].entry_uuid
        links += [has_member(own, entry.entry_uuid, "Original") for entry in entries]
        links += [has_member(own, one.entry_uuid) for one in folders]
        links += [
            has_member(own, one.entry_uuid)
            for one in associations
            if one.type == uuids.HAS_MEMBER and one.source != own
        ]
    return Submission(submission_sets, entries, folders, (*links, *associations))


def columns(sample: RegistryObject) -> dict[str, Any]:
    """What a registry holds beside the fragment of an object."""
    return {
        "id": sample.entry_uuid,
        "unique_id": getattr(sample, "unique_id", ""),
        "ends": (getattr(sample, "source", ""), getattr(sample, "target", "")),
        "persons": [_normal(one.person) for one in getattr(sample, "authors", ()) if one.person],
        "references": [_normal(one) for one in getattr(sample, "reference_ids", ())],
    }


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
