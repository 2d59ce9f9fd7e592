"""ITI-61: what makes a document on demand is registered by its own column; everything else is as in ITI-42."""

from __future__ import annotations

import pytest

from tests import builders
from tests.audit_samples import facts as sample_facts
from tests.oracles import sample_messages
from tests.transactions.ports import NOW, Session, clock, codes, served
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.registration import RegisterPorts
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED, LCM
from xdsi.transactions import iti61_register_on_demand_document_entry as iti61
from xdsi.wire.ebxml import submission
from xdsi.wire.message import Message
from xdsi.wire.xml import E

OLD = "urn:uuid:00000000-0000-4000-8000-000000000001"
FOLDER = "urn:uuid:00000000-0000-4000-8000-000000000002"
MEMBER = "urn:uuid:00000000-0000-4000-8000-000000000003"
PORTS = RegisterPorts(clock=clock, consents=None, accept_unknown_patients=False)


def outcome_of(request: Submission, session: Session | None = None) -> Outcome:
    answer = served(iti61.TRANSACTION, request, PORTS, session or Session())
    assert isinstance(answer, Outcome)
    return answer


def test_an_on_demand_entry_is_registered() -> None:
    session = Session()
    assert outcome_of(builders.submission(builders.on_demand_entry()), session).status is Status.SUCCESS
    (saved,) = session.saved
    (entry,) = saved.document_entries
    assert entry.is_on_demand
    assert (entry.availability_status, entry.version, entry.logical_id) == (APPROVED, 1, entry.entry_uuid)


FAULTS = {
    # 3.61.4.1.2: at least one On-Demand entry and no Stable one
    "stable": (builders.submission(builders.document_entry()), "DE.objectType.kind"),
    "nothing": (builders.submission(folders=[builders.folder()]), "SUBMISSION.on-demand"),
    # ITI TF-3 4.3.1, column of the On-Demand Document Source
    "creation": (builders.submission(builders.on_demand_entry(creation_time="2024")), "DE.creationTime.prohibited"),
    "hash": (builders.submission(builders.on_demand_entry(hash=builders.HELLO_SHA1)), "DE.hash.prohibited"),
    "size": (builders.submission(builders.on_demand_entry(size="5")), "DE.size.prohibited"),
    "repository": (
        builders.submission(builders.on_demand_entry(repository_unique_id="")), "DE.repositoryUniqueId.required",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_on_demand_is_refused(fault: str) -> None:
    request, rule = FAULTS[fault]
    session = Session()
    outcome = outcome_of(request, session)
    assert ("XDSRegistryMetadataError", rule) in codes(outcome)
    assert session.saved == []


@pytest.mark.parametrize(("stable", "accepted"), [(False, True), (True, False)])
def test_the_uniqueid_of_an_on_demand_entry_may_be_used_again(stable: bool, accepted: bool) -> None:
    """3.61.4.1.3: a new On-Demand entry for the same handle, never for a Stable document."""
    make = builders.document_entry if stable else builders.on_demand_entry
    outcome = outcome_of(builders.submission(builders.on_demand_entry()), Session(make(OLD)))
    assert outcome.accepted is accepted
    if not accepted:
        assert codes(outcome) == [("XDSRegistryMetadataError", "DE.uniqueId.kind")]


@pytest.mark.parametrize("stable", [True, False])
def test_it_may_replace_either_kind_and_enters_its_folders(stable: bool) -> None:
    make = builders.document_entry if stable else builders.on_demand_entry
    session = Session(
        make(OLD, unique_id="2.999.10.8"), builders.folder(FOLDER),
        builders.has_member(FOLDER, OLD, entry_uuid=MEMBER),
    )  # fmt: skip
    request = builders.submission(
        builders.on_demand_entry(), associations=[builders.association(uuids.RPLC, "doc1", OLD)]
    )
    assert outcome_of(request, session).accepted
    assert session.known[OLD].availability_status == DEPRECATED
    assert session.touched == [((FOLDER,), NOW.strftime("%Y%m%d%H%M%S"))]


def test_it_is_a_transaction_of_its_own() -> None:
    row = iti61.TRANSACTION
    assert row.trigger == "urn:ihe:iti:2010:RegisterOnDemandDocumentEntry"
    assert row.reply == "urn:ihe:iti:2010:RegisterOnDemandDocumentResponse"
    assert (row.assertion_required, row.writes, row.action) == (False, True, None)


def test_the_audit_record_names_patient_and_submission_set() -> None:
    request = builders.submission(builders.on_demand_entry())
    described = iti61.facts(request, Outcome(), sample_facts("ITI-61", patients=()))
    assert (described.patients, described.submission_set, described.outcome) == ((builders.PATIENT,), "2.999.11.1", 0)
    problem = Problem("XDSRegistryBusy", "not available at the moment")
    assert iti61.refuse(None, [problem]) == Outcome((problem,))


@pytest.mark.oracle
def test_the_sample_of_the_framework_is_read() -> None:
    """The official sample is one of XDS.a times: association types without URN, no repositoryUniqueId."""
    found = dict(sample_messages(E(LCM, "SubmitObjectsRequest")))
    message = found["ihe-iti-info-examples/XDS.b/RegisterOnDemandDocumentEntryRequest_SOAP.xml#1"]
    request = submission.decode(Message((message,)))
    assert request.document_entries[0].is_on_demand
    assert {rule for _, rule in codes(outcome_of(request))} == {
        "ASSOC.associationType", "DE.linked", "DE.repositoryUniqueId.required", "SS.sourceId.format",
    }  # fmt: skip
