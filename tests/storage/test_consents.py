"""storage/consents: verified consents beside their entries, and an epoch that no change of them escapes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from tests.builders import OTHER_PATIENT, PATIENT
from tests.storage.registered import entry, submission
from tests.storage.statements import watched
from xdsi.domain.consent import Consent, Effect, Match, Policy, Rule, SignatureStatus, Target
from xdsi.domain.identifiers import PatientId, new_entry_uuid
from xdsi.domain.identity import Demographics
from xdsi.domain.metadata import DocumentEntry
from xdsi.spec.namespaces import DEPRECATED
from xdsi.storage.identities import SqlPatientIdentities
from xdsi.storage.registry import SqlRegistry

A, B = PatientId.parse(PATIENT), PatientId.parse(OTHER_PATIENT)
TARGET = Target(actions=((Match(attribute="a", value="v", function="f"),),))
POLICY = Policy(id="p", combining="deny-overrides", children=(Rule(id="r", effect=Effect.PERMIT, target=TARGET),))


@pytest.fixture
def registry(engine: Engine) -> SqlRegistry:
    return SqlRegistry(engine)


def consent_of(document: DocumentEntry, **changes: Any) -> Consent:
    given: dict[str, Any] = {
        "unique_id": document.unique_id,
        "entry_uuid": document.entry_uuid,
        "patient": PatientId.parse(document.patient_id),
        "policy": POLICY,
        "status": SignatureStatus.VALID,
        "signer": "CN=Patient A",
        "signed_at": datetime(2024, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    }
    return Consent(**given | changes)


def registered(registry: SqlRegistry, *documents: DocumentEntry, **changes: Any) -> list[Consent]:
    consents = [consent_of(document, **changes) for document in documents]
    for document, consent in zip(documents, consents, strict=True):
        with registry.writing() as session:
            session.save(submission(document, patient_id=document.patient_id))
            session.save_consent(consent)
    return consents


def consents_and_epoch(registry: SqlRegistry, patient: PatientId = A) -> tuple[list[Consent], int]:
    with registry.reading() as session:
        return list(session.consents(patient)), session.consent_epoch(patient)


def test_a_consent_comes_back_as_it_was_verified(registry: SqlRegistry) -> None:
    east = timezone(timedelta(hours=5))
    (consent,) = registered(
        registry,
        entry(),
        valid_from=datetime(2024, 1, 1, tzinfo=east),
        valid_until=datetime(2025, 1, 1, tzinfo=UTC),
        reason="because",
    )
    found, epoch = consents_and_epoch(registry)
    assert found == [consent]
    assert epoch == 1
    assert consents_and_epoch(registry, B) == ([], 0)


def test_the_newest_signature_is_first(registry: SqlRegistry) -> None:
    old = registered(registry, entry(), signed_at=datetime(2023, 1, 1, tzinfo=UTC))
    new = registered(registry, entry(), signed_at=datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=5))))
    between = registered(registry, entry(), signed_at=datetime(2023, 6, 1, tzinfo=UTC))
    assert consents_and_epoch(registry)[0] == [*new, *between, *old]


def test_a_consent_is_replaced_when_it_is_verified_again(registry: SqlRegistry) -> None:
    (pending,) = registered(registry, entry(), status=SignatureStatus.PENDING, signer="", signed_at=None, reason="away")
    valid = replace(pending, status=SignatureStatus.VALID, signer="CN=A", reason="")
    with registry.writing() as session:
        session.save_consent(valid)
        assert session.consent_epoch(A) == 2
    assert consents_and_epoch(registry) == ([valid], 2)


def test_a_consent_whose_entry_is_deprecated_is_gone_and_the_epoch_grows(registry: SqlRegistry) -> None:
    kept, revoked = registered(registry, entry(), entry())
    with registry.writing() as session:
        session.deprecate([revoked.entry_uuid])
    assert consents_and_epoch(registry) == ([kept], 3)


def test_other_documents_do_not_move_the_epoch(registry: SqlRegistry) -> None:
    (consent,) = registered(registry, entry())
    other = entry()
    with registry.writing() as session:
        session.save(submission(other))
        session.deprecate([other.entry_uuid])
    assert consents_and_epoch(registry) == ([consent], 1)


def test_a_new_version_of_the_entry_ends_the_consent_of_the_old_one(registry: SqlRegistry) -> None:
    document = entry()
    registered(registry, document)
    with registry.writing() as session:
        session.save(submission(replace(document, entry_uuid=new_entry_uuid(), version=2)))
    assert consents_and_epoch(registry) == ([], 2)


def test_a_consent_without_an_approved_entry_says_nothing(registry: SqlRegistry) -> None:
    with registry.writing() as session:
        session.save_consent(consent_of(entry()))
    registered(registry, entry(availability_status=DEPRECATED))
    assert consents_and_epoch(registry) == ([], 2)


def test_consents_of_the_whole_chain_speak_for_the_survivor(registry: SqlRegistry, engine: Engine) -> None:
    (of_a,) = registered(registry, entry())
    (of_b,) = registered(registry, entry(patient_id=OTHER_PATIENT))
    _, before = consents_and_epoch(registry, B)
    identities = SqlPatientIdentities(engine)
    identities.add(A, Demographics())
    identities.merge(A, B)
    found, epoch = consents_and_epoch(registry, B)
    assert {one.entry_uuid for one in found} == {of_a.entry_uuid, of_b.entry_uuid}
    assert {one.patient for one in found} == {B}
    assert epoch > before
    with registry.writing() as session:
        session.deprecate([of_a.entry_uuid])
    found, later = consents_and_epoch(registry, B)
    assert [one.entry_uuid for one in found] == [of_b.entry_uuid]
    assert later > epoch


def test_a_reader_sees_consents_and_epoch_of_one_moment(registry: SqlRegistry) -> None:
    (consent,) = registered(registry, entry())
    with registry.reading() as before:
        assert before.consent_epoch(A) == 1
        with registry.writing() as session:
            session.deprecate([consent.entry_uuid])
        assert before.consents(A) == [consent]
    assert consents_and_epoch(registry) == ([], 2)


def test_the_documents_of_a_patient_are_not_looked_through_for_consents(sqlite_engine: Engine) -> None:
    """SQLite, without statistics, would begin with all entries of the patient, however many there are."""
    registry = SqlRegistry(sqlite_engine)
    registered(registry, entry())
    plans: list[str] = []

    def explain(driver: Any, statement: str, parameters: Any) -> None:
        if "FROM consent" in statement:
            plans.extend(row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}"))

    with watched(sqlite_engine, explain), registry.reading() as session:
        assert session.consents(A)
    ways = [plan for plan in plans if "document_entry" in plan]
    assert ways
    assert all("(patient_key=? AND id=?)" in plan for plan in ways), plans
