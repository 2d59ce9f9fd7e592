"""ITI-41 / RAD-68: durable, registered, acknowledged, in this order; a refusal leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import builders, imaging
from tests.audit_samples import facts as sample_facts
from tests.transactions.ports import Documents, RegistryOf42, codes, document, served
from xdsi.domain.codes import Code
from xdsi.domain.errors import Unavailable
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome, Problem, Severity, Status
from xdsi.domain.submission import Provision, Submission
from xdsi.transactions import iti41_provide_and_register_document_set as iti41

HELLO = b"hello"
REFUSAL = Problem("XDSUnknownPatientId", "P1")


def ports(documents: Documents, registry: RegistryOf42, **changes: Any) -> iti41.ProvidePorts:
    return iti41.ProvidePorts(repository_unique_id="2.999.1.2", documents=documents, registry=registry, **changes)


def provision(*entries: DocumentEntry, content: bytes = HELLO, **contents: bytes) -> Provision:
    submission = builders.submission(*(entries or (builders.document_entry(hash="", size=""),)))
    ids = [one.entry_uuid for one in submission.document_entries]
    return Provision(submission, {id_: document(contents.get(id_, content)) for id_ in ids})


def test_documents_are_retrievable_before_they_are_registered_and_stay() -> None:
    documents = Documents()
    seen: list[bool] = []
    registry = RegistryOf42(meanwhile=lambda submission: seen.append("2.999.10.1" in documents.published))
    outcome = served(iti41.TRANSACTION, provision(), ports(documents, registry))
    assert outcome.status is Status.SUCCESS
    assert seen == [True]
    assert documents.published["2.999.10.1"].content == HELLO
    assert documents.published["2.999.10.1"].mime_type == "text/plain"


def test_the_registry_gets_the_repositorys_own_measurements() -> None:
    registry = RegistryOf42()
    entry = builders.document_entry(hash="", size="", repository_unique_id="")
    served(iti41.TRANSACTION, provision(entry), ports(Documents(), registry))
    (registered,) = registry.registered[0].document_entries
    assert (registered.hash, registered.size) == (builders.HELLO_SHA1, "5")
    assert registered.repository_unique_id == "2.999.1.2"


def test_a_hash_in_capitals_is_the_same_hash() -> None:
    entry = builders.document_entry(hash=builders.HELLO_SHA1.upper())
    assert served(iti41.TRANSACTION, provision(entry), ports(Documents(), RegistryOf42())).accepted


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"hash": "0" * 40}, ("XDSRepositoryMetadataError", "DE.hash.document")),
        ({"size": "6"}, ("XDSRepositoryMetadataError", "DE.size.document")),
    ],
)
def test_metadata_that_contradict_the_bytes_are_refused(change: dict[str, str], expected: tuple[str, str]) -> None:
    documents, registry = Documents(), RegistryOf42()
    outcome = served(iti41.TRANSACTION, provision(builders.document_entry(**change)), ports(documents, registry))
    assert codes(outcome) == [expected]
    assert (documents.published, registry.registered) == ({}, [])


def test_all_problems_are_told_at_once() -> None:
    request = replace(provision(builders.document_entry(hash="0" * 40, size="6")), findings=(REFUSAL,))
    outcome = served(iti41.TRANSACTION, request, ports(Documents(), RegistryOf42()))
    assert [code for code, _ in codes(outcome)] == [
        "XDSUnknownPatientId", "XDSRepositoryMetadataError", "XDSRepositoryMetadataError",
    ]  # fmt: skip


def test_one_unique_id_twice_in_a_message() -> None:
    entries = [builders.document_entry(id_, hash="", size="") for id_ in ("doc1", "doc2")]
    outcome = served(iti41.TRANSACTION, provision(*entries), ports(Documents(), RegistryOf42()))
    assert codes(outcome) == [("XDSRepositoryDuplicateUniqueIdInMessage", "DE.uniqueId.twice")]


def test_a_document_missing_in_the_message_is_reported_by_the_decoder_only_once() -> None:
    missing = Problem("XDSMissingDocument", "doc1", rule="DE.document.missing")
    request = Provision(builders.submission(), {}, (missing,))
    assert served(iti41.TRANSACTION, request, ports(Documents(), RegistryOf42())).problems == (missing,)


def test_the_same_document_again_makes_another_entry_and_no_other_bytes() -> None:
    documents = Documents(**{"2_999_10_1": HELLO})
    registry = RegistryOf42()
    assert served(iti41.TRANSACTION, provision(), ports(documents, registry)).accepted
    assert len(registry.registered) == 1


def test_other_bytes_under_a_known_unique_id_are_refused() -> None:
    documents = Documents(**{"2_999_10_1": b"other"})
    registry = RegistryOf42()
    entries = [builders.document_entry(hash="", size=""), builders.document_entry("a", unique_id="2.9", hash="",
               size="")]  # fmt: skip
    outcome = served(iti41.TRANSACTION, provision(*reversed(entries)), ports(documents, registry))
    assert codes(outcome) == [("XDSNonIdenticalHash", "DE.uniqueId.hash")]
    assert {id_: one.content for id_, one in documents.published.items()} == {"2.999.10.1": b"other"}
    assert registry.registered == []


def test_what_the_registry_refuses_is_not_kept_and_told_word_for_word() -> None:
    documents, registry = Documents(), RegistryOf42(Outcome.of([REFUSAL]))
    outcome = served(iti41.TRANSACTION, provision(), ports(documents, registry))
    assert outcome.problems == (REFUSAL,)
    assert documents.published == {}


def test_a_refusal_takes_nothing_away_that_was_there_before() -> None:
    documents, registry = Documents(**{"2_999_10_1": HELLO}), RegistryOf42(Outcome.of([REFUSAL]))
    served(iti41.TRANSACTION, provision(), ports(documents, registry))
    assert list(documents.published) == ["2.999.10.1"]


def test_a_refusal_takes_nothing_away_that_another_submission_registers_meanwhile() -> None:
    documents = Documents()
    other = RegistryOf42()

    def at_the_same_time(submission: Submission) -> None:
        assert served(iti41.TRANSACTION, provision(), ports(documents, other)).accepted

    registry = RegistryOf42(Outcome.of([REFUSAL]), meanwhile=at_the_same_time)
    assert not served(iti41.TRANSACTION, provision(), ports(documents, registry)).accepted
    assert documents.published["2.999.10.1"].content == HELLO


def test_a_warning_of_the_registry_keeps_the_document() -> None:
    warning = Problem("XDSExtraMetadataNotSaved", "x", severity=Severity.WARNING)
    documents, registry = Documents(), RegistryOf42(Outcome.of([warning]))
    outcome = served(iti41.TRANSACTION, provision(), ports(documents, registry))
    assert outcome.status is Status.SUCCESS
    assert outcome.problems == (warning,)
    assert list(documents.published) == ["2.999.10.1"]


@pytest.mark.parametrize(
    ("answered", "told"),
    [
        (False, "the registry cannot be reached"),
        (True, "the registry's address answers, and did not register; the repository's log says what it answered"),
    ],
)
def test_a_registry_that_does_not_register(answered: bool, told: str, caplog: pytest.LogCaptureFixture) -> None:
    """The sender is told which of the two it is; where the registry is, and what it said, is for the log."""
    documents, registry = Documents(), RegistryOf42(Unavailable("10.0.0.1: it says no", answered=answered))
    outcome = served(iti41.TRANSACTION, provision(), ports(documents, registry))
    assert codes(outcome) == [("XDSRegistryNotAvailable", "")]
    assert outcome.problems[0].context == told
    (line,) = caplog.messages
    assert line.endswith(": 10.0.0.1: it says no")
    assert documents.published == {}


def test_a_registry_that_may_have_registered_before_it_fell_silent_finds_its_document() -> None:
    documents, registry = Documents(), RegistryOf42(Unavailable("answer broke off", uncertain=True))
    outcome = served(iti41.TRANSACTION, provision(), ports(documents, registry))
    assert codes(outcome) == [("XDSRegistryNotAvailable", "")]
    assert list(documents.published) == ["2.999.10.1"]


def test_an_unexpected_failure_leaves_nothing_either() -> None:
    documents, registry = Documents(), RegistryOf42(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        served(iti41.TRANSACTION, provision(), ports(documents, registry))
    assert documents.published == {}


# -- manifests

KOS = Code("1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.2.6.1", "Key Object Selection Document")


def manifest_entry(**changes: Any) -> DocumentEntry:
    given = {
        "mime_type": "application/dicom", "format_code": KOS, "unique_id": "2.25.101", "hash": "", "size": "",
        "source_patient_id": "L1^^^&1.2.40.1&ISO", "reference_ids": (),
    }  # fmt: skip
    return builders.document_entry(**given | changes)


def test_a_manifest_of_the_patient_it_is_registered_for() -> None:
    request = provision(manifest_entry(), content=imaging.manifest())
    assert served(iti41.TRANSACTION, request, ports(Documents(), RegistryOf42())).accepted


def test_a_manifest_of_another_patient() -> None:
    request = provision(manifest_entry(source_patient_id="L2^^^&1.2.40.1&ISO"), content=imaging.manifest())
    documents = Documents()
    outcome = served(iti41.TRANSACTION, request, ports(documents, RegistryOf42()))
    assert {problem.code for problem in outcome.errors} == {"InvalidDocumentContent"}
    assert "2.25.101" in outcome.problems[0].context
    assert documents.published == {}


def test_the_check_of_manifests_can_be_switched_off() -> None:
    request = provision(manifest_entry(source_patient_id="L2^^^&1.2.40.1&ISO"), content=imaging.manifest())
    assert served(iti41.TRANSACTION, request, ports(Documents(), RegistryOf42(), check_manifests=False)).accepted


def test_what_is_called_a_manifest_and_is_none() -> None:
    outcome = served(iti41.TRANSACTION, provision(manifest_entry()), ports(Documents(), RegistryOf42()))
    assert ("InvalidDocumentContent", "KOS.readable") in codes(outcome)


def test_a_manifest_too_large_to_look_at() -> None:
    request = provision(manifest_entry())
    (id_,) = request.documents
    huge = replace(request.documents[id_], size=iti41.MANIFEST_LIMIT + 1)
    outcome = served(iti41.TRANSACTION, replace(request, documents={id_: huge}), ports(Documents(), RegistryOf42()))
    assert codes(outcome) == [("InvalidDocumentContent", "KOS.size")]


# -- audit


def test_the_audit_record_names_patient_and_submission_set() -> None:
    base = sample_facts("ITI-41", patients=())
    described = iti41.facts(provision(), Outcome(), base)
    assert (described.patients, described.submission_set, described.outcome) == ((builders.PATIENT,), "2.999.11.1", 0)
    assert iti41.facts(provision(), None, base).outcome == 8
    two = builders.submission(sets=[builders.submission_set(), builders.submission_set("ss2")])
    assert iti41.facts(Provision(two), Outcome(), base).outcome == 8
