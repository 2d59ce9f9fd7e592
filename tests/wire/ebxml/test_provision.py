"""ProvideAndRegisterDocumentSetRequest: metadata and bytes (ITI TF-2 3.41.4.1.2, Appendix V.8)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from tests.wire.ebxml.bodies import body_of, content_of, document, message, received
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.submission import Document, Provision
from xdsi.spec.namespaces import XDS
from xdsi.wire.ebxml import content, provision, submission
from xdsi.wire.message import Packaging

TWO = builders.submission(
    builders.document_entry(mime_type="application/dicom"),
    builders.document_entry("doc2", unique_id="2.999.10.2", mime_type="text/plain; charset=utf-8"),
)
METADATA = submission.write(TWO)
CID = "1@example"


def request(*documents: str, metadata: str = METADATA) -> str:
    return (
        f'<ProvideAndRegisterDocumentSetRequest xmlns="{XDS}">{metadata}{"".join(documents)}'
        "</ProvideAndRegisterDocumentSetRequest>"
    )


def inline(id_: str, data: bytes = b"hello") -> str:
    return f'<Document id="{id_}">{base64.b64encode(data).decode()}</Document>'


def part(id_: str, cid: str = CID) -> str:
    include = f'<i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:{cid}"/>'
    return f'<Document id="{id_}">{include}</Document>'


@pytest.mark.parametrize("packaging", Packaging)
def test_read_as_written(packaging: Packaging) -> None:
    data = {"doc1": bytes(range(256)) * 100, "doc2": b""}
    payload = provision.encode(Provision(TWO, {id_: document(one) for id_, one in data.items()}), packaging)
    read = provision.decode(received(payload))
    assert read.submission == TWO
    assert {id_: content_of(one) for id_, one in read.documents.items()} == data
    assert read.findings == ()


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_are_read_as_written(data: bytes, chunk: int) -> None:
    sample = Provision(builders.submission(), {"doc1": document(data, chunk)})
    for packaging in Packaging:
        (read,) = provision.decode(received(provision.encode(sample, packaging))).documents.values()
        assert content_of(read) == data


def test_parts_have_the_media_types_of_their_entries() -> None:
    payload = provision.encode(Provision(TWO, {"doc1": document(b"1"), "doc2": document(b"2")}), Packaging.MTOM)
    assert [one.content_type for one in payload.attachments] == ["application/dicom", "text/plain; charset=utf-8"]
    assert [one.size for one in payload.attachments] == [1, 1]


@pytest.mark.parametrize("mime_type", ["", "text", "text/plain\r\nX: y", "téxt/plain"])
def test_a_media_type_that_no_header_carries_is_not_sent_in_one(mime_type: str) -> None:
    sample = builders.submission(builders.document_entry(mime_type=mime_type))
    (attachment,) = provision.encode(Provision(sample, {"doc1": document(b"1")}), Packaging.MTOM).attachments
    assert attachment.content_type == "application/octet-stream"


def test_any_mix_of_parts_and_inline_documents_is_read() -> None:
    read = provision.decode(message(request(part("doc2"), inline("doc1")), **{CID: b"part"}))
    assert {id_: content_of(one) for id_, one in read.documents.items()} == {"doc2": b"part", "doc1": b"hello"}
    assert read.findings == ()


def test_inline_documents_are_hashed() -> None:
    read = provision.decode(message(request(" " + inline("doc1"), inline("doc2"))))
    one = read.documents["doc1"]
    assert (one.size, one.sha1, one.sha256) == (5, builders.HELLO_SHA1, hashlib.sha256(b"hello").hexdigest())
    assert content_of(one) == content_of(one) == b"hello", "a document can be opened again"


def test_inline_base64_may_be_broken_into_lines() -> None:
    text = inline("doc1").replace("aGVs", "\n aGVs\r\n\t")
    assert content_of(provision.decode(message(request(text, inline("doc2")))).documents["doc1"]) == b"hello"


FINDINGS = {
    "a DocumentEntry without Document": ([inline("doc1")], ("XDSMissingDocument", "doc2")),
    "a Document without DocumentEntry": (
        [inline("doc1"), inline("doc2"), inline("doc3")], ("XDSMissingDocumentMetadata", "doc3"),
    ),
    "a Document of the SubmissionSet": (
        [inline("doc1"), inline("doc2"), inline("ss1")], ("XDSMissingDocumentMetadata", "ss1"),
    ),
    "two Documents of one id": (
        [inline("doc1"), inline("doc2"), inline("doc1")], ("XDSRepositoryMetadataError", "doc1"),
    ),
    "a Document without id": (
        [inline("doc1"), inline("doc2"), inline("").replace(' id=""', "")], ("XDSMissingDocumentMetadata", ""),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("documents", "expected"), FINDINGS.values(), ids=FINDINGS.keys())
def test_reports(documents: list[str], expected: tuple[str, str]) -> None:
    """ITI TF-3 table 4.2.4.1-2."""
    (finding,) = provision.decode(message(request(*documents))).findings
    assert (finding.code, finding.location) == expected


def test_findings_of_the_metadata_are_among_those_of_the_provision() -> None:
    metadata = METADATA.replace('registryObject="doc1"', 'registryObject="doc2"', 1)
    read = provision.decode(message(request(inline("doc1"), inline("doc2"), metadata=metadata)))
    assert [one.rule for one in read.findings] == ["EXTERNALIDENTIFIER.registryObject"]


def test_a_submission_without_documents_is_legal() -> None:
    sample = builders.submission(folders=[builders.folder()])
    read = provision.decode(received(provision.encode(Provision(sample), Packaging.MTOM)))
    assert (read.submission, read.documents, read.findings) == (sample, {}, ())


MALFORMED = {
    "another element": ("<x/>", {}, "not a submission"),
    "no metadata": (request(metadata=""), {}, "0 lcm:SubmitObjectsRequests"),
    "no base64": (request(inline("doc1").replace("8=", "8$")), {}, "not base64"),
    "elements for base64": (request(inline("doc1").replace("aGVsbG8=", "<a/>")), {}, "elements where base64 belongs"),
    "an Include of a file": (request(part("doc1").replace("cid:", "file:///etc/")), {CID: b""}, "cid: URL"),
    "an Include of no part": (request(part("doc1", "2@x"), part("doc2")), {CID: b""}, "a part that is not there"),
    "a part included twice": (request(part("doc1"), part("doc2")), {CID: b""}, "part included twice"),
    "a part that nothing includes": (request(inline("doc1")), {CID: b""}, "that no xop:Include names"),
}


@pytest.mark.parametrize(("text", "parts", "complaint"), MALFORMED.values(), ids=MALFORMED.keys())
def test_refuses(text: str, parts: dict[str, bytes], complaint: str) -> None:
    with pytest.raises(MalformedMessage, match=complaint):
        provision.decode(message(text, **parts))


@pytest.mark.parametrize("factor", [1.01, 2.1])
def test_refuses_large_inline_documents(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    monkeypatch.setattr(content, "INLINE_LIMIT", 3000)
    data = b"x" * 3000
    assert content_of(provision.decode(message(request(inline("doc1", data)))).documents["doc1"]) == data
    with pytest.raises(MalformedMessage, match="inline document too large"):
        provision.decode(message(request(inline("doc1", b"x" * int(3000 * factor)))))


def test_nothing_is_opened_before_its_turn() -> None:
    opened: list[str] = []

    def opening(name: str) -> Provision:
        def chunks() -> Iterator[bytes]:
            opened.append(name)
            yield b"1"

        return Provision(builders.submission(), {"doc1": Document(open=chunks, size=1)})

    mtom = provision.encode(opening("mtom"), Packaging.MTOM)
    simple = provision.encode(opening("simple"), Packaging.SIMPLE)
    body_of(mtom)
    assert opened == []
    body_of(simple)
    assert opened == ["simple"]
