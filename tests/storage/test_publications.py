"""storage/publications: which manifest speaks for a study."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.engine import Engine

from xdsi.actors.manifest_documents import SentDocument
from xdsi.actors.manifest_publisher import Attempt
from xdsi.domain.codes import Code
from xdsi.domain.consent import Resource
from xdsi.domain.identifiers import PatientId
from xdsi.storage.publications import SqlPublications


def attempt(number: int, **changes: Any) -> Attempt:
    given = {
        "study_instance_uid": "1.2.3", "content": "c1", "state": "sending", "unique_id": f"2.25.{number}",
        "entry_uuid": f"urn:uuid:{number}", "submission_set": f"2.26.{number}", "repository_unique_id": "2.999.1.2",
        "patient": "P1^^^&2.999.1.1&ISO", "source_patient": "L1^^^&1.2.40.1&ISO",
    }  # fmt: skip
    return Attempt(**given | changes)


@pytest.fixture
def publications(engine: Engine) -> SqlPublications:
    return SqlPublications(engine)


def test_an_attempt_counts_when_it_was_published(publications: SqlPublications) -> None:
    publications.keep(attempt(1))
    assert publications.newest("1.2.3") is None
    assert publications.manifest_of("1.2.3") is None
    assert publications.newest("1.2.3", state="sending") == attempt(1)
    publications.keep(attempt(1, state="published"))
    assert publications.newest("1.2.3") == attempt(1, state="published")
    assert publications.newest("1.2.3", state="sending") is None
    assert publications.all() == [attempt(1, state="published")]


def test_what_is_needed_to_send_an_attempt_again_is_kept(publications: SqlPublications) -> None:
    codes = (Code("R", "2.16.840.1.113883.5.25", "restricted"), Code("ETH", "2.999", "\u00e9"))
    kept = attempt(1, series="2.27.1", created="2026-02-03T10:11:12+00:00", confidentiality_codes=codes)
    publications.keep(kept)
    found = publications.newest("1.2.3", state="sending")
    assert found == kept
    assert [code.display for code in found.confidentiality_codes] == ["restricted", "\u00e9"]


def test_the_documents_of_an_attempt_are_kept(publications: SqlPublications) -> None:
    documents = (
        SentDocument(kind="mado", unique_id="2.25.1", entry_uuid="urn:uuid:1", replaces=("urn:uuid:8", "urn:uuid:9")),
        SentDocument(kind="mado-fhir", unique_id="2.25.3", entry_uuid="urn:uuid:3"),
    )
    publications.keep(attempt(1, state="published", documents=documents))
    found = publications.newest("1.2.3")
    assert found is not None
    assert found.documents == found.current == documents


def test_an_attempt_of_a_former_version_had_one_document(publications: SqlPublications) -> None:
    publications.keep(attempt(1, state="published", replaces="urn:uuid:8"))
    found = publications.newest("1.2.3")
    assert found is not None
    assert found.current == (
        SentDocument(kind="kos", unique_id="2.25.1", entry_uuid="urn:uuid:1", replaces=("urn:uuid:8",)),
    )


def test_the_newest_published_manifest_speaks_for_its_study(publications: SqlPublications) -> None:
    publications.keep(attempt(1, state="published"))
    publications.keep(attempt(2, state="published", replaces="urn:uuid:1"))
    publications.keep(attempt(3, state="refused", reason="XDSUnknownPatientId"))
    publications.keep(attempt(4, study_instance_uid="1.2.4", state="published"))
    assert publications.manifest_of("1.2.3") == Resource(
        unique_id="2.25.2",
        repository_unique_id="2.999.1.2",
        patient=PatientId("P1", "2.999.1.1"),
        source_patient_id="L1^^^&1.2.40.1&ISO",
        reference_ids=("1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID",),
    )
    assert publications.manifest_of("1.2.5") is None
    assert [one.state for one in publications.all()] == ["published", "published", "refused", "published"]
