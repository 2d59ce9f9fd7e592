"""RetrieveDocumentSet and RetrieveImagingDocumentSet, both ends (ITI TF-2 3.43.5; RAD TF-2 4.69.4)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.ebxml.bodies import body_of, content_of, document, message, received
from tests.wire.ebxml.strategies import present, trimmed
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.imaging import ImagingRequest, SeriesRequest, StudyRequest
from xdsi.domain.outcome import Outcome, Problem, Status
from xdsi.domain.retrieval import DocumentRequest, RetrieveAnswer, RetrievedDocument, RetrieveRequest
from xdsi.domain.submission import Document
from xdsi.spec.namespaces import FAILURE, RAD, RS, SUCCESS, XDS
from xdsi.wire import xml
from xdsi.wire.ebxml import content, imaging, retrieve
from xdsi.wire.message import Message, Packaging

FIRST = DocumentRequest("", "2.999.1.2", "2.999.10.1")
SECOND = DocumentRequest("urn:oid:2.999.1", "2.999.1.2", "urn:uuid:1^<&>")
document_requests = st.builds(DocumentRequest, trimmed, trimmed, trimmed)


def test_a_request_is_read_as_written() -> None:
    sample = RetrieveRequest((FIRST, SECOND, FIRST))
    assert retrieve.decode_request(received(retrieve.encode_request(sample, Packaging.MTOM))) == sample


@given(st.lists(document_requests, min_size=1, max_size=3).map(tuple))
def test_any_request_is_read_as_written(documents: tuple[DocumentRequest, ...]) -> None:
    sample = RetrieveRequest(documents)
    assert retrieve.decode_request(received(retrieve.encode_request(sample, Packaging.MTOM))) == sample


def test_children_in_another_order_with_white_space() -> None:
    text = (
        f'<RetrieveDocumentSetRequest xmlns="{XDS}"><DocumentRequest><DocumentUniqueId>\n 2.999.10.1\n'
        "</DocumentUniqueId><!-- --><RepositoryUniqueId> 2.999.1.2</RepositoryUniqueId></DocumentRequest>"
        "</RetrieveDocumentSetRequest>"
    )
    assert retrieve.decode_request(message(text)).documents == (FIRST,)


MALFORMED_REQUESTS = {"another element": "<x/>", "no document": f'<RetrieveDocumentSetRequest xmlns="{XDS}"/>'}


@pytest.mark.parametrize("text", MALFORMED_REQUESTS.values(), ids=MALFORMED_REQUESTS.keys())
def test_refuses_request(text: str) -> None:
    with pytest.raises(MalformedMessage):
        retrieve.decode_request(message(text))


ANSWER = RetrieveAnswer(
    Outcome((Problem("XDSDocumentUniqueIdError", "gone", location="2.999.10.9"),), delivered=2),
    (
        RetrievedDocument(FIRST, "application/dicom", document(bytes(range(256)) * 9)),
        RetrievedDocument(
            SECOND, "text/plain", document(b""), new_repository_unique_id="2.999.1.9", new_document_unique_id="2.999.5"
        ),
    ),
)


def summary(answer: RetrieveAnswer) -> object:
    return (
        answer.outcome.problems,
        answer.outcome.status,
        [
            (
                one.request,
                one.mime_type,
                content_of(one.document),
                one.new_repository_unique_id,
                one.new_document_unique_id,
            )
            for one in answer.documents
        ],
    )


@pytest.mark.parametrize("packaging", Packaging)
def test_an_answer_is_read_as_written(packaging: Packaging) -> None:
    payload = retrieve.encode_answer(ANSWER, packaging)
    assert payload.packaging is None, "ITI-43 answers in the packaging of the request"
    assert summary(retrieve.decode_answer(received(payload))) == summary(ANSWER)


@given(st.lists(st.tuples(st.binary(max_size=100), st.integers(1, 40)), max_size=3), present)
def test_any_documents_are_read_as_written(contents: list[tuple[bytes, int]], unique_id: str) -> None:
    request = DocumentRequest("", "2.999", unique_id)
    sample = RetrieveAnswer(
        Outcome(), tuple(RetrievedDocument(request, "a/b", document(data, chunk)) for data, chunk in contents)
    )
    for packaging in Packaging:
        assert summary(retrieve.decode_answer(received(retrieve.encode_answer(sample, packaging)))) == summary(sample)


def test_parts_come_in_the_order_of_their_documents_with_their_media_types() -> None:
    payload = retrieve.encode_answer(ANSWER, Packaging.MTOM)
    assert [one.content_type for one in payload.attachments] == ["application/dicom", "text/plain"]
    assert [one.size for one in payload.attachments] == [256 * 9, 0]
    hrefs = [one.get("href") for one in received(payload).body.iter("{http://www.w3.org/2004/08/xop/include}Include")]
    assert hrefs == [f"cid:{one.content_id}" for one in payload.attachments]


def test_documents_are_opened_in_their_turn_and_never_held_whole() -> None:
    opened: list[int] = []

    def lazy(number: int) -> Document:
        def chunks() -> Iterator[bytes]:
            opened.append(number)
            for _ in range(100):
                yield b"x" * 1000

        return Document(open=chunks, size=100_000)

    documents = tuple(RetrievedDocument(FIRST, "a/b", lazy(number)) for number in range(2))
    body_of(retrieve.encode_answer(RetrieveAnswer(Outcome(), documents), Packaging.MTOM))
    assert opened == []
    largest = 0
    for piece in retrieve.encode_answer(RetrieveAnswer(Outcome(), documents), Packaging.SIMPLE).body:
        largest = max(largest, len(piece))
    assert opened == [0, 1]
    assert largest < 2000


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_base64_in_chunks_is_base64(chunks: list[bytes]) -> None:
    assert b"".join(content.base64_of(chunks)) == base64.b64encode(b"".join(chunks))


def answer_of(*documents: str, status: str = SUCCESS) -> str:
    registry_response = f'<rs:RegistryResponse xmlns:rs="{RS}" status="{status}"/>' if status else ""
    return (
        f'<RetrieveDocumentSetResponse xmlns="{XDS}">{registry_response}{"".join(documents)}'
        "</RetrieveDocumentSetResponse>"
    )


DOCUMENT = (
    "<DocumentResponse><Document>aGVsbG8=</Document><mimeType>text/plain</mimeType><NewDocumentUniqueId>2.999.5"
    "</NewDocumentUniqueId><NewRepositoryUniqueId>2.999.6</NewRepositoryUniqueId><DocumentUniqueId>2.999.10.1"
    "</DocumentUniqueId><RepositoryUniqueId>2.999.1.2</RepositoryUniqueId></DocumentResponse>"
)


def test_an_answer_with_children_in_another_order() -> None:
    (one,) = retrieve.decode_answer(message(answer_of(DOCUMENT))).documents
    assert (one.request, one.mime_type) == (FIRST, "text/plain")
    assert (one.new_document_unique_id, one.new_repository_unique_id) == ("2.999.5", "2.999.6")
    assert one.document.sha1 == hashlib.sha1(b"hello").hexdigest()


MALFORMED_ANSWERS = {
    "another element": "<x/>",
    "no RegistryResponse": answer_of(status=""),
    "a DocumentResponse without Document": answer_of("<DocumentResponse/>"),
    "no base64": answer_of(DOCUMENT.replace("aGVs", "a.Vs")),
}


@pytest.mark.parametrize("text", MALFORMED_ANSWERS.values(), ids=MALFORMED_ANSWERS.keys())
def test_refuses_answer(text: str) -> None:
    with pytest.raises(MalformedMessage):
        retrieve.decode_answer(message(text))


# --- RAD-69 ---

IMAGES = ImagingRequest(
    studies=(
        StudyRequest("1.2.1", (SeriesRequest("1.2.1.1", (FIRST, SECOND)), SeriesRequest("1.2.1.2", (FIRST,)))),
        StudyRequest("1.2.2", (SeriesRequest("1.2.2.1", (FIRST,)),)),
    ),
    transfer_syntaxes=("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"),
)
series_requests = st.builds(SeriesRequest, trimmed, st.lists(document_requests, min_size=1, max_size=2).map(tuple))
imaging_requests = st.builds(
    ImagingRequest,
    st.lists(
        st.builds(StudyRequest, trimmed, st.lists(series_requests, min_size=1, max_size=2).map(tuple)),
        min_size=1, max_size=2,
    ).map(tuple),
    st.lists(present, unique=True, max_size=3).map(tuple),
)  # fmt: skip


def test_a_request_for_images_is_read_as_written() -> None:
    assert imaging.decode_request(received(imaging.encode_request(IMAGES, Packaging.MTOM))) == IMAGES


@given(imaging_requests)
def test_any_request_for_images_is_read_as_written(sample: ImagingRequest) -> None:
    assert imaging.decode_request(received(imaging.encode_request(sample, Packaging.MTOM))) == sample


def test_several_requests_in_one_body_count_as_one() -> None:
    """Seen in a client that sends one request element for each study."""
    bodies = [
        received(imaging.encode_request(ImagingRequest((study,), syntaxes), Packaging.SIMPLE)).body
        for study, syntaxes in zip(IMAGES.studies, (("1.2.840.10008.1.2.1",), IMAGES.transfer_syntaxes), strict=True)
    ]
    assert imaging.decode_request(Message(tuple(bodies))) == IMAGES


def rewritten(change: Callable[[str], str]) -> ImagingRequest:
    return imaging.decode_request(message(change(body_of(imaging.encode_request(IMAGES, Packaging.SIMPLE)).decode())))


TOLERATED = {
    "white space around UIDs": lambda text: text.replace('"1.2.1"', '" 1.2.1 "').replace("1.2.1</", "1.2.1\n</"),
    "an empty transfer syntax": lambda text: text.replace(
        "<rad:TransferSyntaxUID>", "<rad:TransferSyntaxUID/><rad:TransferSyntaxUID>", 1
    ),
    "another prefix": lambda text: text.replace("<rad:", "<i:").replace("</rad:", "</i:").replace(":rad=", ":i="),
}


@pytest.mark.parametrize("change", TOLERATED.values(), ids=TOLERATED.keys())
def test_tolerates(change: Callable[[str], str]) -> None:
    assert rewritten(change) == IMAGES


def test_empty_uids_and_no_transfer_syntaxes_are_for_the_rules() -> None:
    """They have codes of their own: XDSIRequestError, XDSRepositoryError (4.69.4.2.3)."""
    read = rewritten(lambda text: text.replace('studyInstanceUID="1.2.1"', "").replace('"1.2.1.1"', '""'))
    assert (read.studies[0].study_instance_uid, read.studies[0].series[0].series_instance_uid) == ("", "")
    empty = imaging.encode_request(ImagingRequest(IMAGES.studies, ()), Packaging.SIMPLE)
    assert imaging.decode_request(received(empty)).transfer_syntaxes == ()


MALFORMED_IMAGING = {
    "another element": "<x/>",
    "no study": f'<RetrieveImagingDocumentSetRequest xmlns="{RAD}"/>',
    "no series": f'<r:RetrieveImagingDocumentSetRequest xmlns:r="{RAD}"><r:StudyRequest/>'
    "</r:RetrieveImagingDocumentSetRequest>",
    "a request for documents": f'<RetrieveDocumentSetRequest xmlns="{XDS}"/>',
}


@pytest.mark.parametrize("text", MALFORMED_IMAGING.values(), ids=MALFORMED_IMAGING.keys())
def test_refuses_request_for_images(text: str) -> None:
    with pytest.raises(MalformedMessage):
        imaging.decode_request(message(text))


@pytest.mark.parametrize("asked", Packaging)
def test_images_always_go_as_parts_and_errors_alone_never(asked: Packaging) -> None:
    payload = imaging.encode_answer(ANSWER, asked)
    assert (payload.packaging, len(payload.attachments)) == (Packaging.MTOM, 2)
    assert summary(retrieve.decode_answer(received(payload))) == summary(ANSWER)
    failure = RetrieveAnswer(Outcome((Problem("XDSIRequestError", "empty"),), delivered=0))
    payload = imaging.encode_answer(failure, asked)
    assert (payload.packaging, payload.attachments) == (Packaging.SIMPLE, ())
    read = retrieve.decode_answer(received(payload))
    assert read.outcome.status is Status.FAILURE
    assert received(payload).body.find(xml.E(RS, "RegistryResponse")).get("status") == FAILURE
