"""ITI-18 and its kin on the wire: AdhocQueryRequest and AdhocQueryResponse.

ebRS 3.0 (query.xsd); ITI TF-2 3.18.4.1.2, 3.18.4.1.3.
"""

from __future__ import annotations

from itertools import chain

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.metadata import RegistryObject
from xdsi.domain.stored_query import AdhocQuery, QueryAnswer
from xdsi.spec.namespaces import QUERY, RIM
from xdsi.wire import xml
from xdsi.wire.ebxml import elements, markup, response
from xdsi.wire.ebxml import objects as ebrim
from xdsi.wire.message import Message, Packaging, Payload

_REQUEST = xml.E(QUERY, "AdhocQueryRequest")
_RESPONSE = xml.E(QUERY, "AdhocQueryResponse")
_RESPONSE_OPTION = xml.E(QUERY, "ResponseOption")
_ADHOC_QUERY = xml.E(RIM, "AdhocQuery")
_OBJECT_LIST = xml.E(RIM, "RegistryObjectList")
_NAMESPACES = f'xmlns:query="{QUERY}" xmlns:rim="{RIM}"'
_TAIL = b"</rim:RegistryObjectList></query:AdhocQueryResponse>"
_MAX_DIGITS = 9


def decode_request(message: Message) -> AdhocQuery:
    """The query as it came, parameters undecoded; what they mean is `rules.stored_query`'s to say."""
    root = message.body
    if root.tag != _REQUEST:
        raise MalformedMessage(f"{root.tag} is not a query", location="Body", expected="query:AdhocQueryRequest")
    queries = root.findall(_ADHOC_QUERY)
    if len(queries) != 1:
        text = f"{len(queries)} rim:AdhocQuery elements"
        raise MalformedMessage(text, location="AdhocQueryRequest", expected="exactly one")
    (query,) = queries
    option = root.find(_RESPONSE_OPTION)
    return AdhocQuery(
        query_id=(query.get("id") or "").strip(),
        return_type="" if option is None else (option.get("returnType") or "RegistryObject").strip(),
        slots=tuple((slot.name, slot.values) for slot in elements.slots(query)),
        home_community_id=(query.get("home") or "").strip(),
        return_composed_objects=option is not None and option.get("returnComposedObjects", "").strip() in {"true", "1"},
        start_index=_integer(root, "startIndex", 0),
        max_results=_integer(root, "maxResults", -1),
        raw=xml.serialize(root),
    )


def _integer(element: etree._Element, name: str, default: int) -> int:
    text = (element.get(name) or "").strip()
    if not text:
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise MalformedMessage(f"{name} is {text[:20]!r}", location=f"@{name}", expected="an integer")
    return int(text)


def encode_request(query: AdhocQuery, packaging: Packaging) -> Payload:
    """An AdhocQueryRequest as the body."""
    paging = f' startIndex="{query.start_index}"' if query.start_index else ""
    paging += f' maxResults="{query.max_results}"' if query.max_results >= 0 else ""
    home = f' home="{xml.attribute(query.home_community_id)}"' if query.home_community_id else ""
    slots = "".join(markup.slot(name, values) for name, values in query.slots)
    composed = "true" if query.return_composed_objects else "false"
    text = (
        f"<query:AdhocQueryRequest {_NAMESPACES}{paging}>"
        f'<query:ResponseOption returnComposedObjects="{composed}" returnType="{xml.attribute(query.return_type)}"/>'
        f'<rim:AdhocQuery id="{xml.attribute(query.query_id)}"{home}>{slots}</rim:AdhocQuery>'
        "</query:AdhocQueryRequest>"
    )
    return Payload((text.encode(),))


def encode_answer(answer: QueryAnswer, packaging: Packaging) -> Payload:
    """An AdhocQueryResponse as the body: fragments go in as they are, one after the other, as they are read."""
    total = f' startIndex="{answer.start_index}"' if answer.start_index else ""
    total += "" if answer.total is None else f' totalResultCount="{answer.total}"'
    head = (
        f'<query:AdhocQueryResponse {_NAMESPACES} status="{answer.outcome.status}"{total}>'
        f"{response.error_list(answer.outcome)}<rim:RegistryObjectList>"
    ).encode()
    if answer.object_refs:
        references = "".join(
            f'<rim:ObjectRef id="{xml.attribute(id_)}" home="{xml.attribute(home)}"/>'
            if home
            else f'<rim:ObjectRef id="{xml.attribute(id_)}"/>'
            for id_, home in answer.object_refs
        )
        return Payload(chain((head, references.encode()), answer.fragments, (_TAIL,)))
    if isinstance(answer.fragments, list | tuple):
        return Payload((head, *answer.fragments, _TAIL))
    return Payload(chain((head,), answer.fragments, (_TAIL,)))


def decode_answer(message: Message) -> QueryAnswer:
    """The answer as a client sees it: references, and each object as a fragment that stands alone."""
    found = _object_list(message)
    references: list[tuple[str, str]] = []
    fragments: list[bytes] = []
    for child in () if found is None else found.iterchildren("*"):
        if child.tag == elements.OBJECT_REF:
            references.append(((child.get("id") or "").strip(), (child.get("home") or "").strip()))
        else:
            fragments.append(xml.serialize(child))
    total = _integer(message.body, "totalResultCount", -1)
    return QueryAnswer(
        response.read(message.body, delivered=len(references) + len(fragments)),
        object_refs=tuple(references),
        fragments=tuple(fragments),
        total=total if total >= 0 else None,
        start_index=_integer(message.body, "startIndex", 0),
    )


def objects(message: Message) -> tuple[RegistryObject, ...]:
    """The registry objects of an answer; a client takes them as the registry wrote them, flawed or not."""
    found = _object_list(message)
    return () if found is None else ebrim.decode(found).objects


def _object_list(message: Message) -> etree._Element | None:
    root = message.body
    if root.tag != _RESPONSE:
        raise MalformedMessage(f"{root.tag} is not an answer", location="Body", expected="query:AdhocQueryResponse")
    # The Framework's own sample of a Failure leaves the list out, which the schema does not (ITI TF-3 4.2.4).
    return root.find(_OBJECT_LIST)
