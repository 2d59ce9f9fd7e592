"""Studies that are announced: their manifest is made of the study as it is when somebody asks (ITI-61, ITI-43)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.imaging import STUDIES
from tests.servers import PATIENCE
from tests.transactions.ports import CALLER
from tests.wire.ebxml.bodies import received
from xdsi.actors.manifest_publisher import Published, Result
from xdsi.app import Parts
from xdsi.app.checking import check
from xdsi.domain.errors import ConfigurationError, Unavailable
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.retrieval import DocumentRequest, RetrieveAnswer, RetrieveRequest
from xdsi.exchange import Trace, run
from xdsi.settings import Domain, ImagingSource, Server, Settings
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.storage import tables as t
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.wire import kos
from xdsi.wire.message import Packaging

HERE = "2.999.1.2"
CT = "1.3.6.1.4.1.5962.1.1.0.0.0.1196530851.28319.0.1"


class Hospital:
    """A registry, a repository and an imaging source in one process; one image of the study is still away."""

    def __init__(self, folder: Path, empty: Path, **source: Any) -> None:
        images = folder / "images"
        shutil.copytree(empty, folder / "data")
        shutil.copytree(STUDIES, images)
        self.parts = Parts(settings(folder / "data", images, **source))
        pacs = self.parts.pacs
        study = pacs.study(CT)
        assert study is not None
        self.count = sum(1 for _ in study.instances)
        last = list(study.instances)[-1]
        self.image = images / last.locator
        self.away = folder / "away"
        self.image.rename(self.away)
        pacs.reread(CT)

    def image_arrives(self) -> None:
        self.away.rename(self.image)
        self.parts.pacs.reread(CT)

    def announced(self, **options: Any) -> Published:
        study = self.parts.pacs.study(CT)
        assert study is not None
        return self.parts.on_demand.announce(study, **options)

    def retrieved(self, unique_id: str) -> RetrieveAnswer:
        request = RetrieveRequest((DocumentRequest("", HERE, unique_id),))
        message = received(iti43.TRANSACTION.request.encode(request, Packaging.MTOM))
        payload = run(
            self.parts.repository_actor, iti43.TRANSACTION, message, CALLER, packaging=Packaging.MTOM, trace=Trace()
        )
        return iti43.TRANSACTION.response.decode(received(payload))

    def entries(self) -> dict[str, DocumentEntry]:
        """Everything registered, by uniqueId."""
        with self.parts.engine.connect() as connection:
            ids = connection.execute(sa.select(t.document_entry.c.id)).scalars().all()
        with self.parts.registry.reading() as session:
            found = session.objects(ids).values()
        return {one.unique_id: one for one in found if isinstance(one, DocumentEntry)}

    def links(self, entry: DocumentEntry) -> set[tuple[str, str]]:
        """The relationships that begin at an entry."""
        with self.parts.registry.reading() as session:
            found = session.associations_of([entry.entry_uuid])
        return {(one.type, one.target) for one in found if one.source == entry.entry_uuid}


def settings(data: Path, images: Path, **source: Any) -> Settings:
    return Settings(
        server=Server(data_dir=data, actors=("registry", "repository", "imaging-source")),
        domain=Domain(profile="open", accept_unknown_patients=True, patient_id_authority="2.999.1.5"),
        imaging_source=ImagingSource(pacs=f"folder:{images}", announce="on-demand", **source),
    )


@pytest.fixture
def hospital(tmp_path: Path, empty_data: Path) -> Iterator[Hospital]:
    hospital = Hospital(tmp_path, empty_data)
    yield hospital
    hospital.parts.close()


def made(answer: RetrieveAnswer) -> tuple[str, str, bytes]:
    """New uniqueId, new repositoryUniqueId and bytes of the one document."""
    assert answer.outcome.status is Status.SUCCESS
    (one,) = answer.documents
    assert one.mime_type == "application/dicom"
    return one.new_document_unique_id, one.new_repository_unique_id, b"".join(one.document.open())


def instances(manifest: bytes) -> int:
    return sum(len(series.instances) for study in kos.decode(manifest).studies for series in study.series)


def test_a_study_is_announced_once_and_found(hospital: Hospital) -> None:
    done = hospital.announced()
    assert (done.result, done.problems) == (Result.ANNOUNCED, ())
    entry = hospital.entries()[done.unique_id]
    assert (entry.is_on_demand, entry.repository_unique_id) == (True, HERE)
    assert (entry.hash, entry.size, entry.creation_time) == ("", "", "")
    assert hospital.announced().result is Result.UNCHANGED
    manifest = hospital.parts.publications.manifest_of(CT)
    assert manifest is not None
    assert manifest.unique_id == done.unique_id, "what images are decided on"


def test_the_manifest_is_of_the_study_as_it_is_and_each_snapshot_is_registered(hospital: Hospital) -> None:
    handle = hospital.announced().unique_id
    first, repository, content = made(hospital.retrieved(handle))
    assert (repository, instances(content)) == (HERE, hospital.count - 1)
    assert first != handle
    on_demand, snapshot = hospital.entries()[handle], hospital.entries()[first]
    assert not snapshot.is_on_demand
    assert hospital.links(snapshot) == {(uuids.IS_SNAPSHOT_OF, on_demand.entry_uuid)}
    assert made(hospital.retrieved(handle)) == (first, repository, content), "the same id, the same bytes"

    hospital.image_arrives()
    second, _, changed = made(hospital.retrieved(handle))
    assert second not in (first, handle)
    assert instances(changed) == hospital.count
    now = hospital.entries()
    assert hospital.links(now[second]) == {
        (uuids.IS_SNAPSHOT_OF, on_demand.entry_uuid),
        (uuids.RPLC, snapshot.entry_uuid),
    }
    statuses = [now[id_].availability_status for id_ in (handle, first, second)]
    assert statuses == [APPROVED, DEPRECATED, APPROVED]
    kept = hospital.retrieved(first)
    assert b"".join(kept.documents[0].document.open()) == content, "a snapshot is a document like any other"
    assert kept.documents[0].new_document_unique_id == ""


def test_without_snapshots_nothing_is_kept(tmp_path: Path, empty_data: Path) -> None:
    hospital = Hospital(tmp_path, empty_data, save_snapshots=False)
    handle = hospital.announced().unique_id
    unique_id, repository, content = made(hospital.retrieved(handle))
    assert (repository, instances(content)) == ("", hospital.count - 1)
    assert unique_id not in ("", handle)
    assert kos.decode(content).sop_instance_uid == unique_id
    assert made(hospital.retrieved(handle))[0] != unique_id, "other bytes, another id"
    assert set(hospital.entries()) == {handle}
    hospital.parts.close()


def test_those_who_ask_together_get_one_snapshot(hospital: Hospital) -> None:
    handle = hospital.announced().unique_id
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: made(hospital.retrieved(handle)), range(8)))
    assert len(set(found)) == 1
    assert len(hospital.entries()) == 2


def test_a_snapshot_waits_for_who_publishes_the_study_and_is_of_what_it_is_then(hospital: Hospital) -> None:
    """Of two that are made at once one would be lost, or both would stand."""
    handle = hospital.announced().unique_id
    beside = Parts(hospital.parts.settings)
    with ThreadPoolExecutor(1) as pool:
        with beside.study_locks(CT):
            asked = pool.submit(lambda: made(hospital.retrieved(handle)))
            assert not wait([asked], 0.3).done
            hospital.image_arrives()
            study = beside.pacs.reread(CT)
            assert study is not None
            published = beside.publisher.publish(study)
        unique_id, _, content = asked.result(PATIENCE)
    beside.close()
    assert published.result is Result.PUBLISHED
    assert (unique_id, instances(content)) == (published.unique_id, hospital.count)
    assert set(hospital.entries()) == {handle, unique_id}


def test_snapshots_of_several_processes_replace_each_other_in_turn(hospital: Hospital) -> None:
    handle = hospital.announced().unique_id
    first, _, _ = made(hospital.retrieved(handle))
    beside = Parts(hospital.parts.settings)
    hospital.image_arrives()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: (hospital.parts, beside)[n % 2].on_demand.make(handle).unique_id, range(8)))
    beside.close()
    assert len(set(found)) == 1
    entries = hospital.entries()
    assert set(entries) == {handle, first, found[0]}
    assert (entries[first].availability_status, entries[found[0]].availability_status) == (DEPRECATED, APPROVED)


def test_a_study_that_says_something_else_is_announced_again(hospital: Hospital) -> None:
    first = hospital.announced()
    study = hospital.parts.pacs.study(CT)
    assert study is not None
    second = hospital.parts.on_demand.announce(replace(study, description="another title"))
    assert second.result is Result.REPLACED
    entries = hospital.entries()
    assert [entries[one.unique_id].availability_status for one in (first, second)] == [DEPRECATED, APPROVED]
    assert hospital.links(entries[second.unique_id]) == {(uuids.RPLC, first.entry_uuid)}
    for handle in (first.unique_id, second.unique_id):
        unique_id, _, _ = made(hospital.retrieved(handle))
        assert (uuids.IS_SNAPSHOT_OF, second.entry_uuid) in hospital.links(hospital.entries()[unique_id])


def test_what_cannot_be_made_or_registered_is_an_error_of_that_document(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = hospital.announced().unique_id
    away = Unavailable("the registry is away")

    def refuse(*arguments: Any, **named: Any) -> Any:
        raise away

    channel = hospital.parts.on_demand.publisher.repository
    monkeypatch.setattr(type(channel), "send", refuse)
    answer = hospital.retrieved(handle)
    assert [(one.code, one.location) for one in answer.outcome.problems] == [("XDSRepositoryError", handle)]
    assert answer.documents == ()
    assert set(hospital.entries()) == {handle}
    monkeypatch.undo()
    assert instances(made(hospital.retrieved(handle))[2]) == hospital.count - 1


def test_a_study_that_is_gone_is_not_available(hospital: Hospital) -> None:
    handle = hospital.announced().unique_id
    shutil.rmtree(hospital.image.parents[1])
    hospital.parts.pacs.reread(CT)
    answer = hospital.retrieved(handle)
    assert [one.code for one in answer.outcome.problems] == ["XDSDocumentUniqueIdError"]


def test_an_announcement_whose_answer_was_lost_is_sent_again_as_it_was(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = hospital.parts.on_demand.registry
    send = channel.send

    def lose(self: Any, *arguments: Any, **named: Any) -> Any:
        send(*arguments, **named)
        raise Unavailable("broke off", uncertain=True)

    monkeypatch.setattr(type(channel), "send", lose)
    lost = hospital.announced()
    assert (lost.result, [one.code for one in lost.problems]) == (Result.UNAVAILABLE, ["XDSRegistryNotAvailable"])
    monkeypatch.undo()
    found = hospital.announced()
    assert (found.result, found.unique_id) == (Result.ANNOUNCED, lost.unique_id)
    assert set(hospital.entries()) == {lost.unique_id}


def test_on_demand_needs_a_repository_beside_the_source(tmp_path: Path) -> None:
    alone = settings(tmp_path / "data", STUDIES)
    alone = replace(alone, server=replace(alone.server, actors=("imaging-source",)))
    with pytest.raises(ConfigurationError, match="needs the actor repository"):
        check(alone)


def test_refusals_of_the_registry_are_told(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Outcome.of([Problem("XDSUnknownPatientId", "who is this")])
    actor = hospital.parts.registry_actor
    instead = tuple(
        replace(row, handle=lambda call: refused) if row.number == "ITI-61" else row for row in actor.role.transactions
    )
    monkeypatch.setitem(
        hospital.parts.__dict__, "registry_actor", replace(actor, role=replace(actor.role, transactions=instead))
    )
    done = hospital.announced()
    assert (done.result, [one.code for one in done.problems]) == (Result.REFUSED, ["XDSUnknownPatientId"])
