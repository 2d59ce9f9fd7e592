"""ITI-86 on the wire: RemoveDocumentsRequest and a DocumentRemovalRequest.

Remove Metadata and Documents 3.86.4.1.2.
"""

from __future__ import annotations

from typing import Final

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.removal import DocumentRemovalAnswer, DocumentRemovalRequest
from xdsi.spec.namespaces import RMD, XDS
from xdsi.wire import xml
from xdsi.wire.ebxml import response, retrieve
from xdsi.wire.message import Message, Packaging, Payload

REQUEST: Final = xml.E(RMD, "RemoveDocumentsRequest")


def decode(message: Message) -> DocumentRemovalRequest:
    """The documents to be removed, in order."""
    root = message.body
    if root.tag != REQUEST:
        raise MalformedMessage(f"{root.tag} is no removal", location="Body", expected="rmd:RemoveDocumentsRequest")
    documents = retrieve.read_requests(root)
    if not documents:
        place = "RemoveDocumentsRequest"
        raise MalformedMessage("nothing to remove", location=place, expected="at least one xds:DocumentRequest")
    return DocumentRemovalRequest(documents)


def encode(request: DocumentRemovalRequest, packaging: Packaging) -> Payload:
    """A RemoveDocumentsRequest as the body."""
    text = f'<rmd:RemoveDocumentsRequest xmlns:rmd="{RMD}" xmlns:xds="{XDS}">'
    return Payload((f"{text}{retrieve.write_requests(request.documents)}</rmd:RemoveDocumentsRequest>".encode(),))


def encode_answer(answer: DocumentRemovalAnswer, packaging: Packaging) -> Payload:
    """A RegistryResponse as the body."""
    return response.encode(answer.outcome, packaging)


def decode_answer(message: Message) -> DocumentRemovalAnswer:
    """The answer as a client sees it."""
    return DocumentRemovalAnswer(response.decode(message))
