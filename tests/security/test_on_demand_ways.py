"""Announced studies, their snapshots, answers under way: none of them outlives a revocation, or opens what is denied.

ITI TF-2 3.61, 3.43.4.2.2-3; a revocation counts for every request that begins after its answer, and for no other.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests

from tests import builders
from tests.imaging import FILES, STUDIES
from tests.security.asking import LOCATION, REPOSITORY, Asker, quoted, unique_ids
from tests.security.targets import URGENT
from tests.servers import PATIENCE, free_port, serving
from tests.trusted import CT, DOCTOR, DOE, MR, PETER, SNOMED, Trusted, settings
from xdsi.domain.imaging import ImagingRequest, SeriesRequest, StudyRequest
from xdsi.domain.retrieval import DocumentRequest, RetrieveRequest
from xdsi.domain.submission import Document, Provision
from xdsi.exchange import Transaction
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.storage.spool import SpoolFolder
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.transactions import rad69_retrieve_imaging_document_set as rad69
from xdsi.transport.soap_client import SoapClient
from xdsi.transport.tls import TlsFiles, client_context
from xdsi.wire import mtom, soap
from xdsi.wire.message import Packaging

MANIFEST = "1.2.840.10008.5.1.4.1.1.88.59^^1.2.840.10008.2.6.1"
LARGE, DOCUMENT = "2.25.4711", "2.999.47.11"
SIZE = 48 * 1024 * 1024
"""of its one image: more than the buffers between two processes hold"""
BEGUN = 64 * 1024
STATUSES = f"('{APPROVED}','{DEPRECATED}')"


@dataclass
class Announcing:
    """A hub whose hospital announces studies; its patient grants and revokes."""

    hub: Trusted
    signer: dict[str, Any]
    consent: str = ""

    def grant(self, *more: str) -> None:
        """Doctors may see everything; `more` says what not."""
        replaced = ("--replaces", self.consent) if self.consent else ()
        (done,) = self.hub.command(
            "consent", "grant", DOE, "--permit", f"role={DOCTOR}^^{SNOMED}", *more, *replaced, *self._signed()
        )
        self.consent = done["entry"]

    def revoke(self) -> None:
        (done,) = self.hub.command("consent", "revoke", DOE, self.consent, *self._signed())
        self.consent = done["entry"]

    def _signed(self) -> tuple[str, ...]:
        return ("--key", self.signer["key"], "--cert", self.signer["certificate"])

    def entries(self, patient: str, asker: Asker) -> dict[str, set[str]]:
        """The uniqueIds of what is announced, and of what was made, as somebody finds them."""
        return {
            kind: set(
                unique_ids(
                    asker.query(
                        uuids.FIND_DOCUMENTS,
                        ("$XDSDocumentEntryPatientId", [quoted(patient)]),
                        ("$XDSDocumentEntryStatus", [STATUSES]),
                        ("$XDSDocumentEntryType", [f"('{kind}')"]),
                        ("$XDSDocumentEntryFormatCode", [f"('{MANIFEST}')"]),
                    ).content
                )
            )
            for kind in (uuids.ON_DEMAND, uuids.STABLE)
        }


@pytest.fixture(scope="module")
def announcing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Announcing]:
    folder = tmp_path_factory.mktemp("announcing")
    shutil.copytree(STUDIES, folder / "images")
    large_image(folder / "images" / "large.dcm")
    port = free_port()
    given = settings(folder, port).replace(f"folder:{STUDIES}'", f"folder:{folder / 'images'}'\nannounce = 'on-demand'")
    given = given.replace("'ITI-44',", "'ITI-44', 'ITI-61',").replace("[server]\n", "[server]\nworkers = 2\n")
    (folder / "hub.toml").write_text(given)
    with serving(folder / "data", config=folder / "hub.toml", port=port) as server:
        hub = Trusted(server, folder)
        for patient in (DOE, PETER):
            hub.command("patient", "add", patient)
        hub.command("publish", CT, MR, LARGE)
        (signer,) = hub.command("pki", "signer", str(hub.pki), DOE)
        provide_document(hub)
        made = Announcing(hub, signer)
        made.grant()
        yield made
        hub.session.close()


def large_image(file: Path) -> None:
    """Of Doe, as large as an image of pathology."""
    image = pydicom.dcmread(FILES / "CT_small.dcm")
    doe = next(one for one in FolderPacs(STUDIES).studies() if one.study_instance_uid == CT).patient
    image.PatientID, image.PatientName = doe.id, doe.name
    image.StudyInstanceUID, image.SeriesInstanceUID = LARGE, f"{LARGE}.1"
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{LARGE}.1.1"
    image.Rows, image.Columns = 4096, SIZE // 4096 // 2
    image.PixelData = bytes(SIZE)
    image.save_as(file)


def provide_document(hub: Trusted) -> None:
    """ITI-41 of a document as large."""
    entry = builders.document_entry(
        "doc1", unique_id=DOCUMENT, patient_id=DOE, mime_type="text/plain", hash="", size="", repository_unique_id=""
    )
    sets = [builders.submission_set("set", unique_id=f"{DOCUMENT}.1", patient_id=DOE)]
    piece = bytes(1024 * 1024)
    sha1 = hashlib.sha1(bytes(SIZE), usedforsecurity=False).hexdigest()
    document = Document(lambda: (piece for _ in range(SIZE // len(piece))), SIZE, sha1)
    files = TlsFiles(certificate=hub.pki / "hub.pem", key=hub.pki / "hub.key", peer_ca=hub.pki / "ca.pem")
    spools = SpoolFolder(hub.folder / "client-spool")
    channel = SoapClient(hub.server.url("repository"), make_spool=spools.open, tls=client_context(files))
    request = Provision(builders.submission(entry, sets=sets), {"doc1": document})
    payload = iti41.TRANSACTION.request.encode(request, Packaging.MTOM)
    answer = channel.send(iti41.TRANSACTION, payload, Packaging.MTOM)
    assert iti41.TRANSACTION.response.decode(answer.message).accepted
    answer.spool.close()


def seen(announcing: Announcing, snapshot: str, handle: str) -> dict[str, bool]:
    """What of a study somebody gets, by each way to it."""
    asker, hub = Asker(announcing.hub), announcing.hub
    image = images_of(CT)
    found = announcing.entries(DOE, asker)
    return {
        "announcement": handle in found[uuids.ON_DEMAND],
        "snapshot": snapshot in found[uuids.STABLE],
        "what is announced": b"DICM" in documents(asker.retrieve(handle)),
        "what was made": b"DICM" in documents(asker.retrieve(snapshot)),
        "images by its content": b"DICM" in asker.images(image).content,
        "images over HTTP": b"DICM" in hub.get(f"/dicom-web/studies/{CT}", None, "multipart/related; type=*/*").content,
        "one by its address": hub.get(
            f"/wado?requestType=WADO&studyUID={CT}&seriesUID={image.series[0].series_instance_uid}"
            f"&objectUID={image.series[0].documents[0].document_unique_id}&contentType=application/dicom"
        ).status_code
        == 200,
    }


def documents(answer: requests.Response) -> bytes:
    """The bytes of the documents in an answer that is not multipart."""
    found = re.findall(rb":Document>([A-Za-z0-9+/=]+)</", answer.content)
    return b"".join(map(base64.b64decode, found))


def images_of(study_uid: str) -> StudyRequest:
    """All of a study, as its manifest names it."""
    found = FolderPacs(STUDIES).study(study_uid)
    assert found is not None
    return StudyRequest(
        study_uid,
        tuple(
            SeriesRequest(
                one.series_instance_uid,
                tuple(DocumentRequest("", LOCATION, instance.sop_instance_uid) for instance in one.instances),
            )
            for one in found.series
        ),
    )


def made_of(announcing: Announcing, patient: str, asker: Asker, study_uid: str) -> tuple[str, str]:
    """The uniqueIds of a study's announcement and of the snapshot that is made by asking for it."""
    for handle in announcing.entries(patient, asker)[uuids.ON_DEMAND]:
        answer = asker.retrieve(handle)
        if study_uid.encode() in documents(answer):
            (made,) = {
                one for one in announcing.entries(patient, asker)[uuids.STABLE] if one.encode() in answer.content
            }
            return handle, made
    raise AssertionError("nothing is announced")


def test_a_snapshot_does_not_outlive_a_revocation(announcing: Announcing) -> None:
    announcing.grant()
    handle, snapshot = made_of(announcing, DOE, Asker(announcing.hub), CT)
    assert set(seen(announcing, snapshot, handle).values()) == {True}
    announcing.revoke()
    assert set(seen(announcing, snapshot, handle).values()) == {False}
    announcing.grant()
    assert set(seen(announcing, snapshot, handle).values()) == {True}


def test_a_revocation_counts_on_every_worker(announcing: Announcing) -> None:
    """For the first request that each of them gets after its answer, by a connection of its own."""
    announcing.grant()
    handle, _ = made_of(announcing, DOE, Asker(announcing.hub), CT)
    for permitted in (True, False):
        if not permitted:
            announcing.revoke()
        workers: set[str] = set()
        until = time.monotonic() + PATIENCE
        while len(workers) < 2:
            assert time.monotonic() < until, "one worker answers all"
            with ThreadPoolExecutor(6) as pool:
                answers = list(pool.map(lambda _: alone(announcing.hub, handle), range(12)))
            assert {b"DICM" in documents(one) for one in answers} == {permitted}
            workers |= {worker_of(announcing.hub, one) for one in answers}


def alone(hub: Trusted, unique_id: str) -> requests.Response:
    """ITI-43 on a connection that nothing else uses."""
    own = Trusted(hub.server, hub.folder)
    try:
        return Asker(own).retrieve(unique_id)
    finally:
        own.session.close()


def worker_of(hub: Trusted, answer: requests.Response) -> str:
    """The process that answered, as the audit record names it."""
    with closing(sqlite3.connect(f"file:{hub.folder / 'data' / 'xdsi.sqlite3'}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT xml FROM audit_record WHERE trace = ?", (answer.headers["Xdsi-Trace"],))
        (found, *_) = (re.search(rb'AlternativeUserID="(\d+)"', xml) for (xml,) in rows)
    assert found is not None
    return str(found[1].decode())


def test_who_denies_a_study_denies_its_announcement_and_its_snapshots(announcing: Announcing) -> None:
    announcing.grant()
    handle, snapshot = made_of(announcing, DOE, Asker(announcing.hub), CT)
    announcing.grant("--deny", f"study={CT}")
    assert set(seen(announcing, snapshot, handle).values()) == {False}
    assert announcing.entries(DOE, Asker(announcing.hub))[uuids.ON_DEMAND], "the other study is still seen"


def test_what_may_not_be_seen_is_not_even_made(announcing: Announcing) -> None:
    """Or else one could tell from what is registered that somebody knew the uniqueId."""
    urgent = Asker(announcing.hub, URGENT)
    before = announcing.entries(PETER, urgent)
    (handle,) = before[uuids.ON_DEMAND]
    refused = Asker(announcing.hub).retrieve(handle)
    assert b"XDSDocumentUniqueIdError" in refused.content
    assert documents(refused) == b""
    assert announcing.entries(PETER, urgent) == before
    assert before[uuids.STABLE] == set()


def test_a_snapshot_made_in_an_emergency_is_for_nobody_else(announcing: Announcing) -> None:
    urgent, asker = Asker(announcing.hub, URGENT), Asker(announcing.hub)
    handle, snapshot = made_of(announcing, PETER, urgent, MR)
    assert announcing.entries(PETER, asker) == {uuids.ON_DEMAND: set(), uuids.STABLE: set()}
    for unique_id in (handle, snapshot):
        assert documents(asker.retrieve(unique_id)) == b""
    assert b"DICM" not in asker.images(images_of(MR)).content
    assert b"DICM" in urgent.images(images_of(MR)).content


# -- answers under way


Begin = Callable[[Asker], requests.Response]


def by_soap(asker: Asker) -> requests.Response:
    """RAD-69 of the large image."""
    wanted = SeriesRequest(f"{LARGE}.1", (DocumentRequest("", LOCATION, f"{LARGE}.1.1"),))
    request = ImagingRequest((StudyRequest(LARGE, (wanted,)),), ("1.2.840.10008.1.2.1",))
    return _send(asker, rad69.TRANSACTION, request, "imaging-source")


def as_a_document(asker: Asker) -> requests.Response:
    """ITI-43 of the large document."""
    request = RetrieveRequest((DocumentRequest("", REPOSITORY, DOCUMENT),))
    return _send(asker, iti43.TRANSACTION, request, "repository")


def _send(asker: Asker, transaction: Transaction[Any, Any], request: Any, actor: str) -> requests.Response:
    body = b"".join(transaction.request.encode(request, Packaging.MTOM).body)
    root = b"".join(soap.write_envelope(transaction.trigger, body, security=asker.header, message_id="urn:x"))
    writer = mtom.MultipartWriter()
    return asker.hub.session.post(
        asker.hub.server.url(actor), data=b"".join(writer.message((root,), ())),
        headers={"Content-Type": writer.content_type}, stream=True, timeout=60,
    )  # fmt: skip


def by_rest(asker: Asker) -> requests.Response:
    """RAD-107 of the large image."""
    shown = {"Authorization": asker.authorization, "Accept": "application/dicom"}
    path = f"/dicom-web/studies/{LARGE}/series/{LARGE}.1/instances/{LARGE}.1.1"
    return asker.hub.session.get(asker.hub.server.base_url + path, headers=shown, stream=True, timeout=60)


@pytest.mark.parametrize("begin", [as_a_document, by_soap, by_rest], ids=["ITI-43", "RAD-69", "RAD-107"])
def test_an_answer_under_way_is_whole_and_the_last_one(announcing: Announcing, begin: Begin) -> None:
    """What began before a revocation was permitted, and is on record as given out; what begins after it is not."""
    announcing.grant()
    asker = Asker(announcing.hub)
    with begin(asker) as under_way:
        assert under_way.status_code == 200
        first = next(under_way.iter_content(BEGUN))
        announcing.revoke()
        with begin(asker) as after:
            assert after.status_code in (200, 404)
            refused = after.content
        rest = b"".join(under_way.iter_content(1024 * 1024))
    assert len(first) + len(rest) > SIZE
    assert len(refused) < BEGUN
    assert b"DICM" not in refused
    given = announcing.hub.audited(under_way.headers["Xdsi-Trace"])
    assert [outcome for _, outcome in given] == [0]
    denied = announcing.hub.audited(after.headers["Xdsi-Trace"])
    assert ("110144", 4) in denied
