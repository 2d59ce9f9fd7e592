"""Who may publish does not thereby read: entries, folders and associations that are made around a hidden study.

A node with ITI-42 and a person whom another patient lets see everything work together. What they register is the other
patient's, names what is hidden, and is asked for in every way afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests import builders
from tests.security import ways_to_documents, ways_to_images
from tests.security.asking import REPOSITORY, Asker, quoted
from tests.security.raw import sent
from tests.security.targets import URGENT, Target
from tests.security.ways import RIGHT
from tests.servers import free_port, serving
from tests.trusted import DOE, Trusted, settings
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.wire import soap
from xdsi.wire.message import Packaging

FILLED_BY = (ways_to_documents, ways_to_images)
SET, NEW, FOLDER = (f"urn:uuid:00000000-0000-4000-8000-{number:010d}" for number in (901, 902, 903))


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusted]:
    """A hub of its own: what is registered here would be in the way elsewhere."""
    folder, port = tmp_path_factory.mktemp("publishing"), free_port()
    (folder / "hub.toml").write_text(settings(folder, port))
    with serving(folder / "data", config=folder / "hub.toml", port=port) as server:
        hub = Trusted(server, folder)
        hub.furnish()
        yield hub
        hub.session.close()


def registered(hub: Trusted, submission: Submission) -> bytes:
    """What the registry answers to a node that may publish."""
    payload = iti42.TRANSACTION.request.encode(submission, Packaging.SIMPLE)
    body = b"".join(soap.write_envelope(iti42.TRANSACTION.trigger, payload.body, message_id=_message_id()))
    head = (
        "POST /services/registry HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/soap+xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return sent(hub, head.encode() + body, node="hub").content


_NUMBERS = iter(range(1, 1000))


def _message_id() -> str:
    return f"urn:uuid:00000000-0000-4000-9000-{next(_NUMBERS):012d}"


def forged(it: Target, hash_: str, size: str, number: int) -> dict[str, Submission]:
    """By name: what is registered for the patient who lets doctors see everything."""
    oid = f"2.999.90.{number}"
    own = builders.submission_set(f"{SET}{number:02d}", unique_id=f"{oid}.1", patient_id=DOE)
    same = builders.document_entry(
        f"{NEW}{number:02d}",
        unique_id=it.unique_id,
        patient_id=DOE,
        mime_type="application/dicom",
        hash=hash_,
        size=size,
        repository_unique_id=REPOSITORY,
        reference_ids=(f"{it.study}^^^^urn:ihe:iti:xds:2016:studyInstanceUID",),
    )
    other = replace(same, unique_id=f"{oid}.2", reference_ids=())
    kept = builders.folder(f"{FOLDER}{number:02d}", unique_id=f"{oid}.3", patient_id=DOE)

    def linked(kind: str) -> Submission:
        return builders.submission(
            other, sets=[own], associations=[builders.association(kind, f"{NEW}{number:02d}", it.entry_uuid)]
        )

    return {
        "the same document": builders.submission(same, sets=[own]),
        "another document of the study": builders.submission(
            replace(other, reference_ids=same.reference_ids), sets=[own]
        ),
        "a set with a reference": builders.submission(
            other, sets=[own], associations=[builders.has_member(own.entry_uuid, it.entry_uuid, "Reference")]
        ),
        "a folder": builders.submission(
            folders=[kept], sets=[own], associations=[builders.has_member(kept.entry_uuid, it.entry_uuid)]
        ),
        "a replacement": linked(uuids.RPLC),
        "a transformation": linked(uuids.XFRM),
        "an addendum": linked(uuids.APND),
        "a signature": linked(uuids.SIGNS),
    }


ATTEMPTS = [
    ("the same document", "", "Success"),
    ("the same document", "0" * 40, "XDSNonIdenticalHash"),
    ("another document of the study", "", "Success"),
    ("a set with a reference", "", "Success"),
    *((name, "", "XDSPatientIdDoesNotMatch") for name in (
        "a folder", "a replacement", "a transformation", "an addendum", "a signature"
    )),
]  # fmt: skip
"""what is registered, with which hash instead of the right one, and what the registry says to it"""


@pytest.mark.parametrize(("name", "wrong_hash", "outcome"), ATTEMPTS)
def test_what_is_registered_around_it_does_not_open_it(
    trusted: Trusted, hidden: Target, name: str, wrong_hash: str, outcome: str
) -> None:
    told = Asker(trusted, URGENT).query(
        uuids.GET_DOCUMENTS, ("$XDSDocumentEntryEntryUUID", [f"('{hidden.entry_uuid}')"])
    )
    hash_, size = (
        re.search(rf'name="{slot}".*?<(?:\w+:)?Value>(\w+)<', told.text, re.DOTALL)[1]  # type: ignore[index]
        for slot in ("hash", "size")
    )
    number = ATTEMPTS.index((name, wrong_hash, outcome))
    answer = registered(trusted, forged(hidden, wrong_hash or hash_, size, number)[name])
    assert b"RegistryResponse" in answer
    said = re.findall(rb'errorCode="(\w+)"', answer) or re.findall(rb'status="[^"]*:(Success)"', answer)
    assert set(said) == {outcome.encode()}, answer
    assert hidden.set_uuid.encode() not in answer

    asker = Asker(trusted)
    for way in (
        "retrieve the manifest",
        "images by soap",
        "images by rest",
        "metadata by rest",
        "an instance by its url",
    ):
        for seen in RIGHT[way](asker, hidden):
            assert not [one for one in hidden.pixels if one in seen.content]
            assert b"DocumentResponse>" not in seen.content
            assert b"DICM" not in seen.content
    queries = [
        (uuids.GET_DOCUMENTS, ("$XDSDocumentEntryUniqueId", [f"('{hidden.unique_id}')"])),
        (uuids.GET_SUBMISSION_SET_AND_CONTENTS, ("$XDSSubmissionSetEntryUUID", [quoted(f"{SET}{number:02d}")])),
        (uuids.GET_FOLDER_AND_CONTENTS, ("$XDSFolderEntryUUID", [quoted(f"{FOLDER}{number:02d}")])),
        (uuids.GET_DOCUMENTS_AND_ASSOCIATIONS, ("$XDSDocumentEntryEntryUUID", [f"('{NEW}{number:02d}')"])),
        (uuids.GET_ALL, ("$patientId", [quoted(DOE)])),
    ]
    statuses = [(f"$XDS{kind}Status", [f"('{APPROVED}')"]) for kind in ("DocumentEntry", "SubmissionSet", "Folder")]
    for query_id, slot in queries:
        seen = asker.query(query_id, slot, *(statuses if query_id == uuids.GET_ALL else []))
        assert "Failure" not in seen.text, seen.text[:1000]
        assert f' id="{hidden.entry_uuid}"' not in seen.text
        assert hidden.set_uuid not in seen.text
    related = ",".join(quoted(one) for one in (uuids.RPLC, uuids.XFRM, uuids.APND, uuids.SIGNS, uuids.HAS_MEMBER))
    seen = asker.query(
        uuids.GET_RELATED_DOCUMENTS,
        ("$XDSDocumentEntryEntryUUID", [quoted(f"{NEW}{number:02d}")]),
        ("$AssociationTypes", [f"({related})"]),
    )
    assert f' id="{hidden.entry_uuid}"' not in seen.text


def test_who_may_see_it_still_sees_it(trusted: Trusted, hidden: Target) -> None:
    """Nothing of all that replaced or hid it."""
    seen = Asker(trusted, URGENT).retrieve(hidden.unique_id)
    assert b"DocumentResponse>" in seen.content
