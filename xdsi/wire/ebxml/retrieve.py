"""ITI-43 and its kin on the wire: RetrieveDocumentSetRequest and RetrieveDocumentSetResponse.

ITI TF-2 3.43.5; XDS.b_DocumentRepository.xsd.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.retrieval import DocumentRequest, RetrieveAnswer, RetrievedDocument, RetrieveRequest
from xdsi.spec.namespaces import RS, XDS
from xdsi.wire import mtom, xml
from xdsi.wire.ebxml import response
from xdsi.wire.ebxml.content import Contents, attachment, base64_of
from xdsi.wire.message import Message, Packaging, Payload

_REQUEST = xml.E(XDS, "RetrieveDocumentSetRequest")
_RESPONSE = xml.E(XDS, "RetrieveDocumentSetResponse")
_DOCUMENT_REQUEST = xml.E(XDS, "DocumentRequest")
_DOCUMENT_RESPONSE = xml.E(XDS, "DocumentResponse")
_DOCUMENT = xml.E(XDS, "Document")
_HOME = xml.E(XDS, "HomeCommunityId")
_REPOSITORY_ID = xml.E(XDS, "RepositoryUniqueId")
_DOCUMENT_ID = xml.E(XDS, "DocumentUniqueId")
_PARTS = (_HOME, _REPOSITORY_ID, _DOCUMENT_ID)
_REGISTRY_RESPONSE = xml.E(RS, "RegistryResponse")
_TAIL = b"</xds:RetrieveDocumentSetResponse>"


def decode_request(message: Message) -> RetrieveRequest:
    """The documents asked for, in order; several requests in one Body are one."""
    documents: tuple[DocumentRequest, ...] = ()
    for root in message.bodies:
        if root.tag != _REQUEST:
            expected = "xds:RetrieveDocumentSetRequest"
            raise MalformedMessage(f"{root.tag} is not a retrieve request", location="Body", expected=expected)
        documents += read_requests(root)
    if not documents:
        raise MalformedMessage("no xds:DocumentRequest", location="Body", expected="one or more")
    return RetrieveRequest(documents)


def read_requests(element: etree._Element) -> tuple[DocumentRequest, ...]:
    """The DocumentRequests directly inside an element; what one leaves out is empty text."""
    return tuple(_identity(child) for child in element.iterchildren(_DOCUMENT_REQUEST))


def _identity(element: etree._Element) -> DocumentRequest:
    found: dict[str, str] = {}
    # To have the tags looked for by lxml costs more, for few children of thousands of elements.
    for child in element:
        if (tag := child.tag) in _PARTS:
            found.setdefault(tag, xml.content(child))
    # Thousands of documents are asked for of one repository.
    home, repository = sys.intern(found.get(_HOME, "")), sys.intern(found.get(_REPOSITORY_ID, ""))
    return DocumentRequest(home, repository, found.get(_DOCUMENT_ID, ""))


def _text(element: etree._Element, name: str) -> str:
    child = element.find(xml.E(XDS, name))
    return "" if child is None else xml.content(child)


def encode_request(request: RetrieveRequest, packaging: Packaging) -> Payload:
    """A RetrieveDocumentSetRequest as the body."""
    text = f'<xds:RetrieveDocumentSetRequest xmlns:xds="{XDS}">{write_requests(request.documents)}'
    return Payload((f"{text}</xds:RetrieveDocumentSetRequest>".encode(),))


def write_requests(documents: Iterable[DocumentRequest]) -> str:
    """xds:DocumentRequest elements; the prefix xds is taken as declared."""
    return "".join(f"<xds:DocumentRequest>{_write_identity(one)}</xds:DocumentRequest>" for one in documents)


def _write_identity(request: DocumentRequest) -> str:
    return (
        _element("HomeCommunityId", request.home_community_id)
        + f"<xds:RepositoryUniqueId>{xml.text(request.repository_unique_id)}</xds:RepositoryUniqueId>"
        + f"<xds:DocumentUniqueId>{xml.text(request.document_unique_id)}</xds:DocumentUniqueId>"
    )


def _element(name: str, value: str) -> str:
    return f"<xds:{name}>{xml.text(value)}</xds:{name}>" if value else ""


def encode_answer(answer: RetrieveAnswer, packaging: Packaging) -> Payload:
    """A RetrieveDocumentSetResponse: documents as parts, each opened in its turn, or inline in a simple message."""
    head = (f'<xds:RetrieveDocumentSetResponse xmlns:xds="{XDS}">{response.registry_response(answer.outcome)}').encode()
    if packaging is Packaging.SIMPLE and answer.documents:
        return Payload(_inline(head, answer.documents))
    # Not a piece for each document: thousands of small ones leave the memory full of holes.
    body = bytearray(head)
    attachments = []
    for retrieved, content_id in zip(answer.documents, mtom.new_content_ids(), strict=False):
        part = attachment(retrieved.document, retrieved.mime_type, content_id)
        attachments.append(part)
        body += _opening(retrieved)
        body += mtom.include(part.content_id)
        body += _CLOSING
    return Payload((bytes(body), _TAIL), tuple(attachments))


_CLOSING = b"</xds:Document></xds:DocumentResponse>"


def _inline(head: bytes, documents: Iterable[RetrievedDocument]) -> Iterator[bytes]:
    yield head
    for retrieved in documents:
        yield _opening(retrieved)
        yield from base64_of(retrieved.document.open())
        yield _CLOSING
    yield _TAIL


def _opening(retrieved: RetrievedDocument) -> bytes:
    return (
        f"<xds:DocumentResponse>{_write_identity(retrieved.request)}"
        f"{_element('NewRepositoryUniqueId', retrieved.new_repository_unique_id)}"
        f"{_element('NewDocumentUniqueId', retrieved.new_document_unique_id)}"
        f"<xds:mimeType>{xml.text(retrieved.mime_type)}</xds:mimeType><xds:Document>"
    ).encode()


def decode_answer(message: Message) -> RetrieveAnswer:
    """The outcome and each document with its bytes, wherever they came; children in any order."""
    root = message.body
    if root.tag != _RESPONSE:
        expected = "xds:RetrieveDocumentSetResponse"
        raise MalformedMessage(f"{root.tag} is not a retrieve answer", location="Body", expected=expected)
    status = root.find(_REGISTRY_RESPONSE)
    if status is None:
        raise MalformedMessage("no rs:RegistryResponse", location="RetrieveDocumentSetResponse", expected="one")
    contents = Contents(message)
    documents = tuple(_retrieved(child, contents) for child in root.iterchildren(_DOCUMENT_RESPONSE))
    return RetrieveAnswer(response.read_response(status, delivered=len(documents)), documents)


def _retrieved(element: etree._Element, contents: Contents) -> RetrievedDocument:
    document = element.find(_DOCUMENT)
    if document is None:
        place = element.getroottree().getpath(element)
        raise MalformedMessage("no xds:Document", location=place, expected="exactly one")
    return RetrievedDocument(
        request=_identity(element),
        mime_type=_text(element, "mimeType"),
        document=contents.of(document),
        new_repository_unique_id=_text(element, "NewRepositoryUniqueId"),
        new_document_unique_id=_text(element, "NewDocumentUniqueId"),
    )
