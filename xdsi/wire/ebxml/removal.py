"""ITI-62 on the wire: RemoveObjectsRequest and a RemovalRequest.

ebRS 3.0 (lcm.xsd); Remove Metadata and Documents 3.62.4.1.2.
"""

from __future__ import annotations

from typing import Final

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.removal import RemovalAnswer, RemovalRequest
from xdsi.spec.namespaces import LCM, RIM
from xdsi.wire import xml
from xdsi.wire.ebxml import elements, response
from xdsi.wire.message import Message, Packaging, Payload

REQUEST: Final = xml.E(LCM, "RemoveObjectsRequest")
_REFERENCES = xml.E(RIM, "ObjectRefList")
_ADHOC_QUERY = xml.E(RIM, "AdhocQuery")


def decode(message: Message) -> RemovalRequest:
    """The objects to be removed, named one by one; the profile allows neither a query nor a deletionScope."""
    root = message.body
    if root.tag != REQUEST:
        raise MalformedMessage(f"{root.tag} is no removal", location="Body", expected="lcm:RemoveObjectsRequest")
    if root.find(_ADHOC_QUERY) is not None:
        raise _not_allowed("rim:AdhocQuery")
    if root.get("deletionScope") is not None:
        raise _not_allowed("@deletionScope")
    ids = dict.fromkeys(_ids(root))
    if not ids:
        place = "RemoveObjectsRequest/ObjectRefList"
        raise MalformedMessage("nothing to remove", location=place, expected="at least one rim:ObjectRef")
    return RemovalRequest(tuple(ids))


def _ids(root: etree._Element) -> list[str]:
    return [
        elements.attribute(reference, "id")
        for references in root.iterchildren(_REFERENCES)
        for reference in references.iterchildren(elements.OBJECT_REF)
    ]


def _not_allowed(what: str) -> MalformedMessage:
    expected = "rim:ObjectRefList alone"
    return MalformedMessage(f"{what} is not allowed", location="RemoveObjectsRequest", expected=expected)


def encode(request: RemovalRequest, packaging: Packaging) -> Payload:
    """A RemoveObjectsRequest as the body."""
    references = "".join(f'<rim:ObjectRef id="{xml.attribute(id_)}"/>' for id_ in request.ids)
    text = (
        f'<lcm:RemoveObjectsRequest xmlns:lcm="{LCM}" xmlns:rim="{RIM}">'
        f"<rim:ObjectRefList>{references}</rim:ObjectRefList></lcm:RemoveObjectsRequest>"
    )
    return Payload((text.encode(),))


def encode_answer(answer: RemovalAnswer, packaging: Packaging) -> Payload:
    """A RegistryResponse as the body."""
    return response.encode(answer.outcome, packaging)


def decode_answer(message: Message) -> RemovalAnswer:
    """The answer as a client sees it."""
    return RemovalAnswer(response.decode(message))
