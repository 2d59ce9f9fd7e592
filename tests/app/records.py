"""A registry as it is put together, three records in it, and every way to ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests import builders
from tests.policies import CONFIDENTIALITY
from tests.wire.ebxml.bodies import body_of, received
from xdsi.app import Parts
from xdsi.domain.codes import Code
from xdsi.domain.consent import Consent, Policy, SignatureStatus
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import Association, DocumentEntry
from xdsi.domain.outcome import Status
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.domain.subject import Caller, Peer, Subject
from xdsi.domain.submission import Submission
from xdsi.exchange import Actor, Trace, run
from xdsi.rules import stored_query as rules
from xdsi.settings import Domain, Server, Settings
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.spec.stored_queries import ITI51, REGISTRY_QUERIES, STORED_QUERIES
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.transactions import iti51_multi_patient_stored_query as iti51
from xdsi.wire.ebxml import query as wire
from xdsi.wire.message import Packaging

CLINIC = "urn:oid:2.999.5"
NORMAL, RESTRICTED = Code("N", CONFIDENTIALITY, "normal"), Code("R", CONFIDENTIALITY, "restricted")


def caller(organization_id: str = CLINIC, patient: PatientId | None = None) -> Caller:
    subject = Subject(
        user_id="dr", issuer="idp", assertion_id="_1", organization_id=organization_id, patient=patient
    )  # fmt: skip
    return Caller(peer=Peer(address="192.0.2.7"), subject=subject)


DOCTOR, STRANGER = caller(), caller("urn:oid:2.999.66")


def made(data: Path, **domain: Any) -> Parts:
    return Parts(
        Settings(
            server=Server(data_dir=data, actors=("registry",)),
            domain=Domain(accept_unknown_patients=True, **domain),
        )
    )


# -- the records: three patients with the same objects

PARTIAL, WHOLE, NONE = RECORDS = tuple(PatientId(f"P{number}", "2.999.1.1") for number in (1, 2, 3))
LINKS = "S1-A S1-F F-A S1-F-A S2-B S2-G F-B S2-F-B G-B S2-G-B B-A S3-E S4-C C-A S4-D F-D S4-F-D"
NAMES = f"A B C D F G E S1 S2 S3 S4 {LINKS}".split()


def id_of(patient: PatientId, name: str) -> str:
    number = 100 * RECORDS.index(patient) + NAMES.index(name)
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


def submissions(patient: PatientId) -> Iterator[Submission]:
    """A and C (a transformation of A) are ordinary, B (an addendum to A) and D (its replacement) restricted.

    The Folder F has A, B and D, the Folder G only B and D, the Folder E nothing; S1 to S4 brought them.
    """
    number = RECORDS.index(patient)

    def ref(name: str) -> str:
        return id_of(patient, name)

    def document(name: str, code: Code) -> DocumentEntry:
        return builders.document_entry(
            ref(name), unique_id=f"2.999.10.{number}.{NAMES.index(name)}", patient_id=patient.cx,
            confidentiality_codes=(code,), title=f"title of {name}",
        )  # fmt: skip

    def folder(name: str) -> Any:
        unique_id = f"2.999.12.{number}.{NAMES.index(name)}"
        return builders.folder(ref(name), unique_id=unique_id, patient_id=patient.cx, title=f"title of {name}")

    def own(name: str) -> Any:
        unique_id = f"2.999.11.{number}.{NAMES.index(name)}"
        return builders.submission_set(ref(name), unique_id=unique_id, patient_id=patient.cx, title=f"title of {name}")

    def link(source: str, target: str, type_: str = uuids.HAS_MEMBER) -> Association:
        original = source[0] == "S" and target in "ABCD"
        return builders.association(
            type_, ref(source), ref(target), ref(f"{source}-{target}"),
            submission_set_status=("Original",) if original else (),
        )  # fmt: skip

    yield Submission(
        (own("S1"),), (document("A", NORMAL),), (folder("F"),),
        (link("S1", "A"), link("S1", "F"), link("F", "A"), link("S1", "F-A")),
    )  # fmt: skip
    yield Submission(
        (own("S2"),), (document("B", RESTRICTED),), (folder("G"),),
        (
            link("S2", "B"), link("S2", "G"), link("F", "B"), link("S2", "F-B"), link("G", "B"), link("S2", "G-B"),
            link("B", "A", uuids.APND),
        ),
    )  # fmt: skip
    yield Submission((own("S3"),), (), (folder("E"),), (link("S3", "E"),))
    yield Submission(
        (own("S4"),), (document("C", NORMAL), document("D", RESTRICTED)), (),
        (
            link("S4", "C"), link("C", "A", uuids.XFRM), link("S4", "D"), link("F", "D"), link("S4", "F-D"),
        ),
    )  # fmt: skip


def register(parts: Parts, patient: PatientId) -> None:
    """The record of a patient."""
    for submission in submissions(patient):
        submit(parts, submission)


def submit(parts: Parts, submission: Submission) -> None:
    """By ITI-42."""
    message = received(iti42.TRANSACTION.request.encode(submission, Packaging.SIMPLE))
    payload = run(
        parts.registry_actor, iti42.TRANSACTION, message,
        Caller(peer=Peer(address="192.0.2.8")), packaging=Packaging.SIMPLE, trace=Trace(),
    )  # fmt: skip
    outcome = iti42.TRANSACTION.response.decode(received(payload))
    assert outcome.status is Status.SUCCESS, outcome.problems


def give(parts: Parts, patient: PatientId, agreed: Policy) -> None:
    """A consent of the patient, as if its signature had been verified; its document is D, which nobody sees."""
    consent = Consent(
        unique_id=f"2.999.30.{patient.id}", entry_uuid=id_of(patient, "D"), patient=patient, policy=agreed,
        status=SignatureStatus.VALID,
    )  # fmt: skip
    with parts.registry.writing() as session:
        session.save_consent(consent)


# -- asking


def ask(actor: Actor, who: Caller, query: StoredQuery, return_type: ReturnType) -> tuple[list[str], list[Any], bytes]:
    """The ids of an answer, its objects, and its bytes; only Success is taken."""
    request = rules.encode(replace(query, return_type=return_type))
    transaction = (iti51 if query.query_id in ITI51 else iti18).TRANSACTION
    payload = run(
        actor, transaction, received(wire.encode_request(request, Packaging.SIMPLE)), who,
        packaging=Packaging.SIMPLE, trace=Trace(),
    )  # fmt: skip
    raw = body_of(payload)
    message = received(replace(payload, body=(raw,)))
    found = wire.decode_answer(message)
    assert (found.outcome.status, found.outcome.problems) == (Status.SUCCESS, ()), query
    objects = list(wire.objects(message))
    ids = [id_ for id_, _ in found.object_refs] or [one.entry_uuid for one in objects]
    return ids, objects, raw


def every_query(patient: PatientId) -> dict[str, StoredQuery]:
    """Each stored query in every way to ask it, about all objects of the record, or one at a time."""
    both = ((APPROVED, DEPRECATED),)
    cx = ((patient.cx,),)
    ids = {name: id_of(patient, name) for name in NAMES}
    number = RECORDS.index(patient)
    asked: dict[str, StoredQuery] = {}

    def add(query_id: str, label: str, **parameters: Any) -> None:
        named = {"$" + name: groups for name, groups in parameters.items()}
        for level in ("1", "2"):
            row = STORED_QUERIES[query_id]
            more = {"$MetadataLevel": ((level,),)} if "$MetadataLevel" in row.parameters else {}
            name = f"{row.name} {label} level {level}"
            asked[name] = StoredQuery(query_id, ReturnType.OBJECT_REF, named | more)

    entries, folders, sets = "ABCD", "FGE", ("S1", "S2", "S3", "S4")
    unique = {
        name: f"2.999.{kind}.{number}.{NAMES.index(name)}"
        for kind, names in ((10, entries), (12, folders), (11, sets))
        for name in names
    }
    for query_id in (uuids.FIND_DOCUMENTS, uuids.FIND_DOCUMENTS_EXCLUDE, uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS):
        add(query_id, "all", XDSDocumentEntryPatientId=cx, XDSDocumentEntryStatus=both)
    add(
        uuids.FIND_DOCUMENTS_BY_REFERENCE_ID,
        "all",
        XDSDocumentEntryPatientId=cx,
        XDSDocumentEntryStatus=both,
        XDSDocumentEntryReferenceIdList=(("A77%",),),
    )
    add(uuids.FIND_SUBMISSION_SETS, "all", XDSSubmissionSetPatientId=cx, XDSSubmissionSetStatus=both)
    for query_id in (uuids.FIND_FOLDERS, uuids.FIND_FOLDERS_FOR_MULTIPLE_PATIENTS):
        add(query_id, "all", XDSFolderPatientId=cx, XDSFolderStatus=both)
    add(
        uuids.GET_ALL,
        "all",
        patientId=cx,
        XDSDocumentEntryStatus=both,
        XDSSubmissionSetStatus=both,
        XDSFolderStatus=both,
    )
    for name, values in (("EntryUUID", ids), ("UniqueId", unique)):
        add(uuids.GET_DOCUMENTS, f"all {name}", **{f"XDSDocumentEntry{name}": (tuple(values[e] for e in entries),)})
        add(uuids.GET_FOLDERS, f"all {name}", **{f"XDSFolder{name}": (tuple(values[f] for f in folders),)})
        add(
            uuids.GET_DOCUMENTS_AND_ASSOCIATIONS,
            f"all {name}",
            **{f"XDSDocumentEntry{name}": (tuple(values[e] for e in entries),)},
        )
        for one in entries:
            add(uuids.GET_FOLDERS_FOR_DOCUMENT, f"{one} {name}", **{f"XDSDocumentEntry{name}": ((values[one],),)})
            add(
                uuids.GET_RELATED_DOCUMENTS,
                f"{one} {name}",
                AssociationTypes=((uuids.APND, uuids.XFRM),),
                **{f"XDSDocumentEntry{name}": ((values[one],),)},
            )
            add(
                uuids.GET_DOCUMENTS_AND_ASSOCIATIONS,
                f"{one} {name}",
                **{f"XDSDocumentEntry{name}": ((values[one],),)},
            )
        for one in sets:
            add(
                uuids.GET_SUBMISSION_SET_AND_CONTENTS,
                f"{one} {name}",
                **{f"XDSSubmissionSet{name}": ((values[one],),)},
            )
        for one in folders:
            add(uuids.GET_FOLDER_AND_CONTENTS, f"{one} {name}", **{f"XDSFolder{name}": ((values[one],),)})
    add(uuids.GET_ASSOCIATIONS, "all", uuid=(tuple(ids.values()),))
    add(uuids.GET_SUBMISSION_SETS, "all", uuid=(tuple(ids.values()),))
    for one in NAMES:
        add(uuids.GET_ASSOCIATIONS, one, uuid=((ids[one],),))
        add(uuids.GET_SUBMISSION_SETS, one, uuid=((ids[one],),))
    assert {query.query_id for query in asked.values()} == REGISTRY_QUERIES.keys() | ITI51.keys()
    return asked
