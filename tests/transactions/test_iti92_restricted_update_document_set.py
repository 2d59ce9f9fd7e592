"""ITI-92: what a restricted update may do, it does as ITI-57; the rest it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.audit_samples import facts as sample_facts
from tests.builders import PATIENT
from tests.rules.test_update import PORTS
from tests.rules.updates import APPENDED, CASE, ENTRY, OBJECTS, new_version, status_of, update
from tests.transactions.ports import Session, codes, served
from xdsi.domain.audit import AuditAction
from xdsi.domain.consent import Action
from xdsi.domain.errors import Rejected
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome
from xdsi.rules import audit
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.transactions import iti92_restricted_update_document_set as iti92

UNIQUE_ID = "2.999.50.2"


def updated(session: Session, *objects: Any, denied: Iterable[str] = ()) -> Outcome:
    answer = served(iti92.TRANSACTION, update(*objects), PORTS, session, denied=denied)
    assert isinstance(answer, Outcome)
    return answer


def test_a_new_version_takes_the_place_of_the_former() -> None:
    session = Session(*OBJECTS)
    assert updated(session, new_version(title="corrected")) == Outcome()
    (entry,) = session.saved[0].document_entries
    assert (entry.logical_id, entry.version, entry.title) == (ENTRY, 2, "corrected")
    assert session.known[ENTRY].availability_status == DEPRECATED
    assert {one.target for one in session.saved[0].associations} >= {entry.entry_uuid}


def test_without_a_logical_id_the_unique_id_says_which_entry_is_meant() -> None:
    session = Session(*OBJECTS)
    assert updated(session, new_version(logical_id="")) == Outcome()
    assert session.saved[0].document_entries[0].logical_id == ENTRY


def test_what_is_not_allowed_changes_nothing() -> None:
    session = Session(*OBJECTS)
    assert {code for code, _ in codes(updated(session, new_version(), status_of(APPENDED)))} == {
        "UnmodifiableMetadataError"
    }
    assert {code for code, _ in codes(updated(session, new_version(), new_version(CASE, "case")))} == {
        "UnmodifiableMetadataError", "XDSObjectTypeError",
    }  # fmt: skip
    assert (session.saved, session.known[ENTRY].availability_status) == ([], APPROVED)


@pytest.mark.parametrize(
    "entry", [new_version(), new_version(logical_id=""), new_version(hash="b" * 40), new_version(source_patient_id="")]
)
def test_what_the_decision_denies_is_as_if_it_were_not_there(entry: DocumentEntry) -> None:
    session = Session(*OBJECTS)
    denied = updated(session, entry, denied=[UNIQUE_ID])
    without = [one for one in OBJECTS if getattr(one, "unique_id", "") != UNIQUE_ID]
    unknown = updated(Session(*without), entry)
    assert denied.problems == unknown.problems != ()
    assert session.saved == []


def test_who_comes_second_is_told() -> None:
    session = Session(*OBJECTS)
    session.overtaken = {ENTRY}
    with pytest.raises(Rejected) as rejected:
        updated(session, new_version())
    assert [one.code for one in rejected.value.problems] == ["XDSMetadataVersionError"]


def test_the_audit_record_names_patient_set_and_community() -> None:
    """3.92.5."""
    request = update(new_version(home_community_id="urn:oid:2.999.1"), unique_id="2.999.11.77")
    described = iti92.facts(request, Outcome(), sample_facts("ITI-92", patients=()))
    (event,) = audit.events_for(described)
    assert (event.action, event.outcome, event.patient) == (AuditAction.UPDATE, 0, PATIENT)
    (own,) = [thing for thing in event.objects if thing.id == "2.999.11.77"]
    assert [detail.value for detail in own.details] == [b"urn:oid:2.999.1"]
    plain = iti92.facts(update(new_version()), Outcome(), sample_facts("ITI-92"))
    assert plain.home_community_id == ""


def test_it_is_decided_by_the_action_update() -> None:
    row = iti92.TRANSACTION
    assert (row.action, row.assertion_required, row.writes) == (Action.UPDATE, True, True)
    assert row.malformed_code == "XDSMetadataUpdateError"
