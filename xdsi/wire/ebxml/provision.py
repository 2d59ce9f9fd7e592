"""ITI-41 and RAD-68 on the wire: ProvideAndRegisterDocumentSetRequest and a Provision.

ITI TF-2 3.41.4.1.2; XDS.b_DocumentRepository.xsd.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.outcome import Problem
from xdsi.domain.submission import Document, Provision, Submission
from xdsi.spec.namespaces import XDS
from xdsi.wire import mtom, xml
from xdsi.wire.ebxml import submission
from xdsi.wire.ebxml.content import Contents, attachment, base64_of
from xdsi.wire.message import Message, Packaging, Payload

_REQUEST = xml.E(XDS, "ProvideAndRegisterDocumentSetRequest")
_DOCUMENT = xml.E(XDS, "Document")
_HEAD = f'<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="{XDS}">'
_TAIL = b"</xds:ProvideAndRegisterDocumentSetRequest>"


def decode(message: Message) -> Provision:
    """Metadata and documents, matched by id; `findings` has everything that only the message shows.

    The findings of the metadata are among them, because a repository that passed the metadata on would mend them.
    """
    root = message.body
    if root.tag != _REQUEST:
        expected = "xds:ProvideAndRegisterDocumentSetRequest"
        raise MalformedMessage(f"{root.tag} is not a submission", location="Body", expected=expected)
    metadata = root.findall(submission.REQUEST)
    if len(metadata) != 1:
        text = f"{len(metadata)} lcm:SubmitObjectsRequests"
        raise MalformedMessage(text, location="Body", expected="exactly one")
    submitted = submission.read(metadata[0])
    findings = list(submitted.findings)
    documents = _documents(root, Contents(message), findings)
    findings.extend(_unmatched(submitted, documents))
    return Provision(submitted, documents, tuple(findings))


def _documents(root: etree._Element, contents: Contents, findings: list[Problem]) -> dict[str, Document]:
    documents: dict[str, Document] = {}
    for element in root.iterchildren(_DOCUMENT):
        id_ = (element.get("id") or "").strip()
        document = contents.of(element)
        if id_ in documents:
            text = f"two Documents have the id {id_!r}"
            findings.append(Problem("XDSRepositoryMetadataError", text, location=id_, rule="DOC.id.twice"))
        documents.setdefault(id_, document)
    return documents


def _unmatched(submitted: Submission, documents: dict[str, Document]) -> Iterator[Problem]:
    entries = {entry.entry_uuid: entry for entry in submitted.document_entries}
    for id_, entry in entries.items():
        if id_ not in documents:
            text = f"DocumentEntry {id_} (uniqueId {entry.unique_id}) comes without a Document of that id"
            yield Problem("XDSMissingDocument", text, location=id_, rule="DE.document.missing")
    for id_ in documents:
        if id_ not in entries:
            text = f"Document {id_!r} comes without a DocumentEntry of that id"
            yield Problem("XDSMissingDocumentMetadata", text, location=id_, rule="DOC.metadata.missing")


def encode(provision: Provision, packaging: Packaging) -> Payload:
    """The request as the body: documents as parts, or inline where the message is to be simple."""
    metadata = submission.write(provision.submission)
    types = {entry.entry_uuid: entry.mime_type for entry in provision.submission.document_entries}
    if packaging is Packaging.SIMPLE:
        return Payload(_inline(metadata, provision))
    body = [_HEAD.encode(), metadata.encode()]
    attachments = []
    for (id_, document), content_id in zip(provision.documents.items(), mtom.new_content_ids(), strict=False):
        part = attachment(document, types.get(id_, ""), content_id)
        attachments.append(part)
        body += (_opening(id_), mtom.include(part.content_id), b"</xds:Document>")
    return Payload((*body, _TAIL), tuple(attachments))


def _inline(metadata: str, provision: Provision) -> Iterator[bytes]:
    yield f"{_HEAD}{metadata}".encode()
    for id_, document in provision.documents.items():
        yield _opening(id_)
        yield from base64_of(document.open())
        yield b"</xds:Document>"
    yield _TAIL


def _opening(id_: str) -> bytes:
    return f'<xds:Document id="{xml.attribute(id_)}">'.encode()
