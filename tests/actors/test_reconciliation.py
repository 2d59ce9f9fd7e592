"""What the reconciliation makes of the documents of a study as the registry has them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from xdsi.actors.manifest_documents import SentDocument
from xdsi.actors.manifest_publisher import Attempt, Result
from xdsi.actors.reconciliation import Finding, Reconciliation
from xdsi.spec.namespaces import APPROVED, DEPRECATED

STUDY = "1.2.3"
ATTEMPT = Attempt(
    study_instance_uid=STUDY, content="digest", state="published", unique_id="2.25.1", entry_uuid="urn:uuid:1",
    submission_set="2.25.9", repository_unique_id="2.999.1.2", patient="P1^^^&2.999&ISO", source_patient="L1",
    documents=(
        SentDocument(kind="kos", unique_id="2.25.1", entry_uuid="urn:uuid:1", replaces=("urn:uuid:0",)),
        SentDocument(kind="mado-fhir", unique_id="2.25.2", entry_uuid="urn:uuid:2"),
        SentDocument(kind="pdf", unique_id="2.25.3", entry_uuid="urn:uuid:3", source="1.2.3.9", registered=True),
    ),
)  # fmt: skip


class Records:
    def __init__(self) -> None:
        self.kept: list[Attempt] = []
        self.meanwhile: list[Attempt] = []

    def all(self) -> list[Attempt]:
        return [ATTEMPT]

    def newest(self, study: str, *, state: str = "published") -> Attempt | None:
        return next((one for one in [*self.meanwhile, ATTEMPT] if one.state == state), None)

    def keep(self, attempt: Attempt) -> None:
        self.kept.append(attempt)


def reconciliation(statuses: dict[str, str], records: Records) -> tuple[Reconciliation, list[str]]:
    """An archive that has the study as it was published, and a registry that says this of it."""
    published = SimpleNamespace(result=Result.UNCHANGED, problems=())
    publisher: Any = SimpleNamespace(
        pacs=SimpleNamespace(states=lambda: [SimpleNamespace(study_instance_uid=STUDY)]),
        plan=lambda uid: SimpleNamespace(published=published, study=object()),
        owes_reports=lambda uid: False,
    )
    registry: Any = SimpleNamespace(statuses=lambda attempts: statuses)
    queued: list[str] = []
    return Reconciliation(publisher=publisher, records=records, registry=registry, enqueue=queued.extend), queued


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({"1": APPROVED, "2": APPROVED, "3": APPROVED}, []),
        ({}, [Finding(STUDY, "published, but the registry does not show it", "send again")]),
        (
            {"1": APPROVED, "3": APPROVED},
            [Finding(STUDY, "published, but the registry shows 2 of 3 documents")],
        ),
        (
            {"1": APPROVED, "2": DEPRECATED, "3": APPROVED},
            [Finding(STUDY, "published, but the registry has it as Deprecated")],
        ),
    ],
    ids=["as published", "nothing there", "one is missing", "one is deprecated"],
)
def test_every_document_of_a_study_is_looked_for(statuses: dict[str, str], expected: list[Finding]) -> None:
    found, _ = reconciliation({f"urn:uuid:{number}": status for number, status in statuses.items()}, Records())
    assert list(found.findings()) == expected


def test_what_is_sent_again_brings_the_reports_too() -> None:
    records = Records()
    found, queued = reconciliation({}, records)
    found.repair(list(found.findings()))
    (again,) = records.kept
    assert again.state == "sending"
    assert [(one.kind, one.replaces, one.registered) for one in again.documents] == [
        ("kos", (), False), ("mado-fhir", (), False), ("pdf", (), False),
    ]  # fmt: skip
    assert queued == [STUDY]


@pytest.mark.parametrize(
    "meanwhile",
    [replace(ATTEMPT, unique_id="2.25.8", state=state) for state in ("sending", "published")],
    ids=["sending", "published"],
)
def test_of_a_study_that_is_being_published_nothing_is_said(meanwhile: Attempt) -> None:
    """Given a server at work, whose manifest replaced the one that was looked up before."""
    records = Records()
    records.meanwhile = [meanwhile]
    found, _ = reconciliation({f"urn:uuid:{number}": DEPRECATED for number in (1, 2, 3)}, records)
    assert list(found.findings()) == []
