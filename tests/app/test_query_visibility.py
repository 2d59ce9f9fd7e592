"""The registry as it is put together: what a query tells whom, from the message that asks to the one that answers.

docs/policy.md section 6. Consents are in the registry, decisions are its own; nothing is left out but the socket.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import builders
from tests.app.records import (
    CLINIC,
    DOCTOR,
    NAMES,
    NONE,
    PARTIAL,
    RECORDS,
    STRANGER,
    WHOLE,
    ask,
    caller,
    every_query,
    give,
    id_of,
    made,
    register,
    submit,
)
from tests.policies import confidentiality, deny, organization, permit, policy
from tests.storage.statements import watched
from xdsi.app import Parts
from xdsi.domain.consent import Consent, SignatureStatus
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import Association
from xdsi.domain.stored_query import ReturnType
from xdsi.domain.subject import Caller, Peer
from xdsi.domain.submission import Submission
from xdsi.storage.registry import SqlSession


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """An affinity domain that enforces consent, with the records of three patients."""
    parts = made(tmp_path_factory.mktemp("hub"))
    for patient in RECORDS:
        register(parts, patient)
    # Two consents for the clinic: all but what is restricted; everything but what is restricted, folders included.
    give(parts, PARTIAL, policy(permit(who=organization(CLINIC), what=confidentiality("N"))))
    give(parts, WHOLE, policy(permit(who=organization(CLINIC)), deny(what=confidentiality("R"))))
    yield parts
    parts.engine.dispose()


VISIBLE = {
    PARTIAL: "A C F S1 S4 S1-A S1-F F-A S1-F-A S4-C C-A",
    # A permit for the whole record also shows what has nothing but the patient.
    WHOLE: "A C F S1 S4 S1-A S1-F F-A S1-F-A S4-C C-A E S3 S3-E",
    NONE: "",
}


@pytest.mark.parametrize("return_type", list(ReturnType))
@pytest.mark.parametrize("patient", RECORDS, ids=["partial", "whole", "none"])
def test_a_stranger_learns_nothing(parts: Parts, patient: PatientId, return_type: ReturnType) -> None:
    for label, query in every_query(patient).items():
        ids, _, raw = ask(parts.registry_actor, STRANGER, replace(query, max_results=1000), return_type)
        assert ids == [], label
        assert b'totalResultCount="0"' in raw, label


@pytest.mark.parametrize("return_type", list(ReturnType))
@pytest.mark.parametrize("patient", RECORDS, ids=["partial", "whole", "none"])
def test_the_doctor_sees_the_permitted_closure(parts: Parts, patient: PatientId, return_type: ReturnType) -> None:
    visible = {id_of(patient, name) for name in VISIBLE[patient].split()}
    hidden = {id_of(patient, name) for name in NAMES} - visible
    seen: set[str] = set()
    for label, query in every_query(patient).items():
        ids, objects, raw = ask(parts.registry_actor, DOCTOR, query, return_type)
        seen.update(ids)
        assert visible.issuperset(ids), label
        assert len(ids) == len(set(ids)), label
        assert not [id_ for id_ in hidden if id_.encode() in raw], label
        for name in set(NAMES) - set(VISIBLE[patient].split()):
            assert f"title of {name}<".encode() not in raw, label
        for one in objects:
            if isinstance(one, Association):
                assert {one.source, one.target} <= visible, label
    assert seen == visible


EXPECTED = [
    # query, what the doctor sees of the first record, what of the second besides
    ("FindDocuments all level 1", "A C", ""),
    ("FindDocumentsByReferenceId all level 1", "A C", ""),
    ("FindSubmissionSets all level 1", "S1 S4", "S3"),
    ("FindFolders all level 2", "F", "E"),
    ("GetAll all level 1", VISIBLE[PARTIAL], "E S3 S3-E"),
    ("GetDocuments all UniqueId level 1", "A C", ""),
    ("GetFolders all UniqueId level 2", "F", "E"),
    ("GetAssociations all level 1", "S1-A S1-F F-A S1-F-A S4-C C-A", "S3-E"),
    ("GetAssociations F level 1", "S1-F F-A", ""),
    ("GetAssociations B level 1", "", ""),
    ("GetAssociations F-B level 1", "", ""),
    ("GetDocumentsAndAssociations all EntryUUID level 1", "A C S1-A F-A S4-C C-A", ""),
    ("GetDocumentsAndAssociations B UniqueId level 1", "", ""),
    ("GetSubmissionSets all level 1", "S1 S4 S1-A S1-F S1-F-A S4-C", "S3 S3-E"),
    ("GetSubmissionSets D level 1", "", ""),
    ("GetSubmissionSetAndContents S1 EntryUUID level 1", "S1 A F S1-A S1-F F-A S1-F-A", ""),
    ("GetSubmissionSetAndContents S2 UniqueId level 1", "", ""),
    ("GetSubmissionSetAndContents S4 EntryUUID level 2", "S4 C S4-C", ""),
    ("GetFolderAndContents F EntryUUID level 1", "F A F-A", ""),
    ("GetFolderAndContents G EntryUUID level 1", "", ""),
    ("GetFoldersForDocument A EntryUUID level 1", "F", ""),
    ("GetFoldersForDocument B EntryUUID level 1", "", ""),
    ("GetFoldersForDocument D UniqueId level 1", "", ""),
    ("GetRelatedDocuments A EntryUUID level 1", "A C C-A", ""),
    ("GetRelatedDocuments B EntryUUID level 1", "", ""),
]


@pytest.mark.parametrize("return_type", list(ReturnType))
@pytest.mark.parametrize(("label", "of_both", "of_whole"), EXPECTED, ids=[row[0] for row in EXPECTED])
def test_what_the_doctor_sees(parts: Parts, label: str, of_both: str, of_whole: str, return_type: ReturnType) -> None:
    for patient, names in ((PARTIAL, of_both), (WHOLE, f"{of_both} {of_whole}"), (NONE, "")):
        query = every_query(patient)[label]
        ids = ask(parts.registry_actor, DOCTOR, query, return_type)[0]
        assert set(ids) == {id_of(patient, name) for name in names.split()}


TABLES = re.compile(r"\sFROM (identifier|patient|submission_set|document_entry|folder|association|consent)\b")
VALUES = re.compile(r"'[^']*'|\b\d+\b")


def test_the_same_statements_whether_it_may_be_shown_or_not(parts: Parts) -> None:
    """What is not permitted is looked for as thoroughly as what is."""
    statements: list[str] = []

    def heard(_: object, statement: str, __: object) -> None:
        if TABLES.search(statement):
            statements.append(VALUES.sub("?", statement))

    with watched(parts.engine, heard):
        for label, query in every_query(PARTIAL).items():
            asked = []
            for who in (DOCTOR, STRANGER):
                statements.clear()
                ask(parts.registry_actor, who, query, ReturnType.OBJECT_REF)
                asked.append(list(statements))
            assert asked[0] == asked[1] != [], label


def test_the_open_profile_shows_everything_and_weighs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = made(tmp_path, profile="open")
    register(parts, NONE)

    def refuse(session: SqlSession, found: object) -> None:
        raise AssertionError("evidence was asked for")

    monkeypatch.setattr(SqlSession, "evidence", refuse)
    actor = parts.registry_actor
    assert actor.decisions.reveals_everything
    seen: set[str] = set()
    for query in every_query(NONE).values():
        seen.update(ask(actor, Caller(peer=Peer(address="127.0.0.1")), query, ReturnType.OBJECT_REF)[0])
    assert seen == {id_of(NONE, name) for name in NAMES}
    parts.engine.dispose()


def test_a_submission_set_of_another_patient_that_refers_to_a_document(tmp_path: Path) -> None:
    """It is the other patient's: it neither shows by the document nor stands in its way."""
    parts = made(tmp_path)
    register(parts, PARTIAL)
    other = builders.submission_set(id_of(NONE, "S1"), unique_id="2.999.11.9.1", patient_id=NONE.cx)
    own = builders.document_entry(id_of(NONE, "A"), unique_id="2.999.10.9.1", patient_id=NONE.cx)
    refers = builders.has_member(other.entry_uuid, id_of(PARTIAL, "A"), "Reference", entry_uuid=id_of(NONE, "S1-A"))
    link = builders.has_member(other.entry_uuid, own.entry_uuid, "Original", entry_uuid=id_of(NONE, "S1-F"))
    submit(parts, Submission((other,), (own,), (), (refers, link)))
    give(parts, PARTIAL, policy(permit(who=organization(CLINIC), what=confidentiality("N"))))
    mine = {id_of(PARTIAL, name) for name in VISIBLE[PARTIAL].split()}
    query = every_query(PARTIAL)["GetAll all level 1"]

    def asked(patient: PatientId | None) -> set[str]:
        return set(ask(parts.registry_actor, caller(patient=patient), query, ReturnType.OBJECT_REF)[0])

    assert asked(None) == asked(PARTIAL) == mine
    assert asked(NONE) == set()
    with parts.registry.writing() as session:
        agreed = policy(permit(who=organization(CLINIC)))
        consent = Consent(
            unique_id="c", entry_uuid=own.entry_uuid, patient=NONE, policy=agreed, status=SignatureStatus.VALID
        )  # fmt: skip
        session.save_consent(consent)
    assert asked(None) == mine | {refers.entry_uuid}
    assert asked(PARTIAL) == mine
    parts.engine.dispose()
