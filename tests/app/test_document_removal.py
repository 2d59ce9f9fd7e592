"""ITI-86 and ITI-62 on a hub as it is put together: by consent, by a node's permit, and never against a hold."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests import builders
from tests.app.records import CLINIC, NONE, WHOLE, give, register
from tests.cli.test_commands import done, failed, xdsi
from tests.policies import match, permit, policy
from tests.transactions.ports import document
from tests.wire.ebxml.bodies import received
from xdsi.app import Parts
from xdsi.domain.errors import Unavailable
from xdsi.domain.identifiers import PatientId, new_entry_uuid, new_oid
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome, Status
from xdsi.domain.removal import DocumentRemovalRequest, RemovalRequest
from xdsi.domain.retrieval import DocumentRequest, RetrieveRequest
from xdsi.domain.subject import Caller, Node, Peer, Subject
from xdsi.domain.submission import Provision, Submission
from xdsi.exchange import Actor, Trace, Transaction, run
from xdsi.settings import Domain, Repository, Server, Settings
from xdsi.spec import xacml
from xdsi.storage import tables as t
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.transactions import iti62_remove_metadata as iti62
from xdsi.transactions import iti86_remove_documents as iti86
from xdsi.wire.message import Packaging

HERE = "2.999.1.2"
STEWARD = Caller(
    peer=Peer(address="192.0.2.7", node=Node(name="archive", permits=frozenset({"ITI-43"}))),
    subject=Subject(user_id="dr", issuer="idp", assertion_id="_1", organization_id=CLINIC),
)
ARCHIVE = replace(STEWARD, peer=Peer(address="192.0.2.8", node=Node(name="vault", permits=frozenset({"ITI-86"}))))
HELLO = b"hello"


def settings(data: Path, **repository: Any) -> Settings:
    return Settings(
        server=Server(data_dir=data, actors=("registry", "repository")),
        domain=Domain(accept_unknown_patients=True),
        repository=Repository(unique_id=HERE, **repository),
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the record of WHOLE and nothing else."""
    data = tmp_path_factory.mktemp("removal") / "data"
    with Parts(settings(data)) as parts:
        register(parts, WHOLE)
    return data


@pytest.fixture
def parts(tmp_path: Path, template: Path) -> Iterator[Parts]:
    """WHOLE lets everybody retrieve and delete; NONE has no consent."""
    shutil.copytree(template, tmp_path / "data")
    with Parts(settings(tmp_path / "data")) as parts:
        for patient in (WHOLE, NONE):
            provided(parts, patient)
        actions = [permit(name, action=match(xacml.ACTION_ID, name)) for name in ("retrieve", "delete", "query")]
        give(parts, WHOLE, policy(*actions))
        yield parts


def provided(parts: Parts, patient: PatientId, content: bytes = HELLO) -> Submission:
    """A document with its SubmissionSet."""
    one = builders.document_entry(
        new_entry_uuid(), unique_id=new_oid(), patient_id=patient.cx, hash="", size="",
        repository_unique_id="",
    )  # fmt: skip
    own = builders.submission_set(new_entry_uuid(), unique_id=new_oid(), patient_id=patient.cx)
    submission = builders.submission(one, sets=[own])
    provision = Provision(submission, {one.entry_uuid: document(content)})
    assert sent(parts.repository_actor, STEWARD, iti41.TRANSACTION, provision).accepted
    return submission


def sent(actor: Actor, caller: Caller, transaction: Transaction[Any, Any], request: Any) -> Outcome:
    message = received(transaction.request.encode(request, Packaging.SIMPLE))
    payload = run(actor, transaction, message, caller, packaging=Packaging.SIMPLE, trace=Trace())
    answer = transaction.response.decode(received(payload))
    return answer if isinstance(answer, Outcome) else answer.outcome


def removed(parts: Parts, *unique_ids: str, caller: Caller = STEWARD) -> Outcome:
    request = DocumentRemovalRequest(tuple(DocumentRequest("", HERE, id_) for id_ in unique_ids))
    return sent(parts.repository_actor, caller, iti86.TRANSACTION, request)


def entries(parts: Parts, patient: PatientId) -> list[DocumentEntry]:
    with parts.registry.reading() as session, parts.engine.connect() as connection:
        ids = connection.execute(sa.select(t.document_entry.c.id)).scalars().all()
        return [
            one for one in session.objects(ids).values()
            if isinstance(one, DocumentEntry) and one.patient_id == patient.cx and one.hash
        ]  # fmt: skip


def stored(parts: Parts, patient: PatientId) -> DocumentEntry:
    """The document that the fixture provided."""
    return next(one for one in entries(parts, patient) if parts.documents.find(one.unique_id) is not None)


def blobs(parts: Parts) -> list[Path]:
    return [path for path in (parts.data / "documents" / "blobs").rglob("*") if path.is_file()]


def test_a_document_goes_where_the_patients_consent_lets_it(parts: Parts) -> None:
    one = stored(parts, WHOLE)
    assert removed(parts, one.unique_id) == Outcome()
    assert parts.documents.find(one.unique_id) is None
    assert entries(parts, WHOLE), "its metadata are the registry's"


def test_without_a_consent_that_says_so_it_stays_and_is_not_told_of(parts: Parts) -> None:
    one = stored(parts, NONE)
    outcome = removed(parts, one.unique_id)
    assert [problem.code for problem in outcome.problems] == ["XDSDocumentUniqueIdError"]
    assert parts.documents.find(one.unique_id) is not None
    assert removed(parts, one.unique_id, caller=ARCHIVE).status is Status.FAILURE, "a permit is no consent"


def test_the_trail_tells_whose_the_documents_were_that_somebody_fetched_or_removed(parts: Parts) -> None:
    """Given documents of two patients and one of nobody, each patient's record names his own and no other."""
    mine, other, missing = stored(parts, WHOLE).unique_id, stored(parts, NONE).unique_id, new_oid()
    asked = tuple(DocumentRequest("", HERE, one) for one in (mine, other, missing))
    for transaction, request in (
        (iti43.TRANSACTION, RetrieveRequest(asked)),
        (iti86.TRANSACTION, DocumentRemovalRequest(asked)),
    ):
        sent(parts.repository_actor, STEWARD, transaction, request)
        for patient, outcome, own in ((WHOLE.cx, 0, mine), (NONE.cx, 8, other), ("", 8, missing)):
            found = [one for one in parts.trail.search(user="dr") if one.transaction == transaction.number]
            (record,) = [one for one in found if one.patient == patient]
            assert record.outcome == outcome
            named = [one for one in (mine, other, missing) if f'ParticipantObjectID="{one}"'.encode() in record.xml]
            assert named == [own]
    denied = [one for one in parts.trail.search(patient=NONE.cx) if one.transaction == "110144"]
    assert len(denied) == 2, "what was refused is the patient's, too"


def test_after_its_metadata_a_document_goes_by_the_permit_of_a_node(parts: Parts) -> None:
    submission = provided(parts, WHOLE, b"to be removed in the usual order")
    (one,) = submission.document_entries
    with parts.registry.reading() as session:
        ids = [found.entry_uuid for found in session.associations_of([one.entry_uuid])]
    ids += [one.entry_uuid, submission.submission_set.entry_uuid]
    assert sent(parts.registry_actor, STEWARD, iti62.TRANSACTION, RemovalRequest(tuple(ids))).accepted
    assert removed(parts, one.unique_id).status is Status.FAILURE
    assert removed(parts, one.unique_id, caller=ARCHIVE) == Outcome()


def test_bytes_that_another_document_has_too_stay(parts: Parts) -> None:
    """All documents of the fixture have the same bytes."""
    one, other = stored(parts, WHOLE), stored(parts, NONE)
    assert removed(parts, one.unique_id).accepted
    assert parts.documents.collect(grace=-1) == []
    left = parts.documents.find(other.unique_id)
    assert left is not None
    assert b"".join(left.document.open()) == HELLO


def test_bytes_that_nobody_has_any_more_are_erased(parts: Parts) -> None:
    submission = provided(parts, WHOLE, b"only here")
    before = len(blobs(parts))
    assert removed(parts, submission.document_entries[0].unique_id).accepted
    assert len(parts.documents.collect(grace=-1)) == 1
    assert len(blobs(parts)) == before - 1


def test_what_is_removed_is_on_record_or_stays(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The removal and its audit record are one transaction."""
    one = stored(parts, WHOLE)
    append = parts.trail.append
    refused: list[str] = []

    def full(events: Any, *, trace: str, connection: Any = None) -> Any:
        if connection is not None and not refused:
            refused.append(trace)
            raise Unavailable("no room for a record")
        return append(events, trace=trace, connection=connection)

    monkeypatch.setattr(parts.trail, "append", full)
    outcome = removed(parts, one.unique_id)
    assert (outcome.status, [problem.code for problem in outcome.problems]) == (Status.FAILURE, ["XDSRepositoryError"])
    assert refused
    assert parts.documents.find(one.unique_id) is not None
    assert parts.documents.collect(grace=-1) == [], "what was in doubt meanwhile is in use"
    assert removed(parts, one.unique_id).accepted


def test_a_document_stays_until_its_retention_is_over(tmp_path: Path, template: Path) -> None:
    shutil.copytree(template, tmp_path / "data")
    with Parts(settings(tmp_path / "data", retention_days=1)) as parts:
        submission = provided(parts, WHOLE)
        give(parts, WHOLE, policy(permit("delete", action=match(xacml.ACTION_ID, "delete"))))
        outcome = removed(parts, submission.document_entries[0].unique_id)
    assert [problem.code for problem in outcome.problems] == ["XDSRemoveDocumentsError"]
    assert "kept for 1 days" in outcome.problems[0].context


@pytest.mark.parametrize("on", ["unique_id", "entry_uuid", "patient"])
def test_nothing_under_a_hold_is_removed(parts: Parts, tmp_path: Path, on: str) -> None:
    one = stored(parts, WHOLE)
    config = tmp_path / "beside.toml"
    config.write_text(f"[server]\ndata_dir = '{parts.data}'\n", "utf-8")
    what = ["--patient", one.patient_id] if on == "patient" else [getattr(one, on)]
    (placed,) = done("repository", "hold", "add", *what, "--reason", "case 7", "--by", "ada", config=config)
    assert placed["target"] == (one.patient_id if on == "patient" else one.unique_id)
    assert done("repository", "hold", "list", config=config) == [placed]

    assert [problem.code for problem in removed(parts, one.unique_id).problems] == ["XDSRemoveDocumentsError"]
    with parts.registry.reading() as session:
        links = session.associations_of([one.entry_uuid])
    ids = {one.entry_uuid, *(link.entry_uuid for link in links), *(link.source for link in links)}
    outcome = sent(parts.registry_actor, STEWARD, iti62.TRANSACTION, RemovalRequest(tuple(sorted(ids))))
    assert {problem.code for problem in outcome.problems} == {"XDSRegistryError"}
    assert "legal hold" in outcome.problems[0].context

    done("repository", "hold", "remove", str(placed["number"]), "--reason", "case closed", config=config)
    assert removed(parts, one.unique_id).accepted
    assert sent(parts.registry_actor, STEWARD, iti62.TRANSACTION, RemovalRequest(tuple(sorted(ids)))).accepted


@pytest.mark.parametrize(
    ("actor", "told"),
    [
        ("repository", "it does not keep metadata: place it at the registry, too"),
        ("registry", "it does not keep documents: place it at the repository, too"),
    ],
)
def test_who_places_a_hold_where_half_of_it_is_kept_is_told(
    parts: Parts, tmp_path: Path, actor: str, told: str
) -> None:
    one = stored(parts, WHOLE)
    config, patient = tmp_path / "half.toml", ["--patient", one.patient_id]
    elsewhere = "[repository]\nregistry_url = 'http://127.0.0.1:1/services/registry'\n" * (actor == "repository")
    config.write_text(f"[server]\ndata_dir = '{parts.data}'\nactors = ['{actor}']\n{elsewhere}", "utf-8")
    status, answer = xdsi("repository", "hold", "add", one.unique_id, "--reason", "case 7", config=config)
    assert status == 0
    assert answer["message"].endswith(told)
    if actor == "registry":
        _, answer = xdsi("repository", "hold", "add", *patient, "--reason", "case 7", config=config)
        assert "one on each of the patient's documents at the repository" in answer["message"]


def test_a_hold_on_nothing_is_refused(parts: Parts, tmp_path: Path) -> None:
    config = tmp_path / "beside.toml"
    config.write_text(f"[server]\ndata_dir = '{parts.data}'\n", "utf-8")
    nobody = ["--patient", "X9^^^&2.999.1.1&ISO"]
    for what in (["2.999.77"], [new_entry_uuid()], nobody):
        assert "no" in failed("repository", "hold", "add", *what, "--reason", "case 7", config=config)
    assert "no hold 7" in failed("repository", "hold", "remove", "7", "--reason", "x", config=config)


def test_a_removal_that_is_sent_again_is_answered_the_same(parts: Parts) -> None:
    one = stored(parts, WHOLE)
    request = DocumentRemovalRequest((DocumentRequest("", HERE, one.unique_id),))
    answers = []
    for _ in range(2):
        payload = run(
            parts.repository_actor, iti86.TRANSACTION,
            received(iti86.TRANSACTION.request.encode(request, Packaging.SIMPLE)), STEWARD,
            packaging=Packaging.SIMPLE, trace=Trace(), message_id="urn:uuid:1",
        )  # fmt: skip
        answers.append(b"".join(payload.body))
    assert answers[0] == answers[1]
    assert b":Success" in answers[0]
    assert sent(parts.repository_actor, STEWARD, iti43.TRANSACTION, iti43.RetrieveRequest(request.documents)).errors


# -- what was never registered


def test_housekeeping_takes_back_what_was_never_registered_and_nothing_else(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three documents one is registered, one has lost its metadata by ITI-62, one its process before ITI-42."""
    kept = provided(parts, WHOLE, b"registered").document_entries[0]
    bare = provided(parts, WHOLE, b"without metadata")
    lost = document(b"published and never registered")
    parts.documents.publish("2.999.77", "text/plain", parts.documents.stage(lost), lost.size, lost.sha1)
    (one,) = bare.document_entries
    with parts.registry.reading() as session:
        ids = [found.entry_uuid for found in session.associations_of([one.entry_uuid])]
    ids += [one.entry_uuid, bare.submission_set.entry_uuid]
    assert sent(parts.registry_actor, STEWARD, iti62.TRANSACTION, RemovalRequest(tuple(ids))).accepted
    monkeypatch.setattr(parts.documents, "_clock", lambda: time.time() + 7200)
    parts.tidy()
    assert parts.documents.find("2.999.77") is None
    for unique_id in (kept.unique_id, one.unique_id):
        assert parts.documents.find(unique_id) is not None


NOBODY = Caller(peer=Peer(address="198.51.100.9"))
STRANGERS = [
    pytest.param(NOBODY, id="shows nothing"),
    pytest.param(replace(ARCHIVE, subject=None), id="a node without a person"),
    pytest.param(replace(NOBODY, subject=STEWARD.subject), id="a person without a node"),
    pytest.param(
        replace(NOBODY, subject=Subject(user_id="x", issuer="elsewhere", assertion_id="_9")), id="a person of nowhere"
    ),
]


@pytest.mark.parametrize("caller", STRANGERS)
def test_a_stranger_removes_nothing_and_learns_nothing(parts: Parts, caller: Caller) -> None:
    """Given a document without a consent, a stranger is told of it what he is told of one that does not exist."""
    one, missing = stored(parts, NONE), new_oid()
    told = [removed(parts, asked, caller=caller) for asked in (one.unique_id, missing)]
    assert [[problem.code for problem in outcome.problems] for outcome in told] == [["XDSDocumentUniqueIdError"]] * 2
    first, second = (
        [problem.context.replace(asked, "ID").partition("[trace")[0] for problem in outcome.problems]
        for outcome, asked in zip(told, (one.unique_id, missing), strict=True)
    )
    assert first == second
    kept = parts.documents.find(one.unique_id)
    assert kept is not None
    assert b"".join(kept.document.open()) == HELLO


@pytest.mark.parametrize("repository", [HERE, "2.999.1.99", ""], ids=["this repository", "another one", "none"])
@pytest.mark.parametrize("same_bytes", [True, False], ids=["the hash is known", "the hash is not known"])
def test_who_claims_a_document_for_his_own_patient_gets_no_hold_of_it(
    parts: Parts, repository: str, same_bytes: bool
) -> None:
    """Given an entry with the same uniqueId for a patient who lets everybody do everything, the document is hidden."""
    one = stored(parts, NONE)
    claim = builders.document_entry(
        new_entry_uuid(), unique_id=one.unique_id, patient_id=WHOLE.cx, repository_unique_id=repository,
        hash=one.hash if same_bytes else "0" * 40, size=one.size,
    )  # fmt: skip
    own = builders.submission_set(new_entry_uuid(), unique_id=new_oid(), patient_id=WHOLE.cx)
    submission = builders.submission(claim, sets=[own])
    accepted = sent(parts.registry_actor, ARCHIVE, iti42.TRANSACTION, submission).accepted
    assert accepted is (same_bytes and bool(repository)), "a hash that is not that of the first is refused"
    asked = RetrieveRequest((DocumentRequest("", HERE, one.unique_id),))
    for outcome in (sent(parts.repository_actor, STEWARD, iti43.TRANSACTION, asked), removed(parts, one.unique_id)):
        assert [problem.code for problem in outcome.problems] == ["XDSDocumentUniqueIdError"]
    assert parts.documents.find(one.unique_id) is not None
