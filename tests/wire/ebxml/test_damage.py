"""Messages with something taken away or changed: read, with findings, or refused; never anything else.

What is read goes through the rules too, which must cope with every Submission that a decoder can make.
"""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.rules.registered import Registered
from tests.wire.ebxml.bodies import body_of, document
from tests.wire.ebxml.test_query import SAMPLE as QUERY
from tests.wire.ebxml.test_query import filled
from tests.wire.ebxml.test_retrieve import ANSWER, IMAGES
from tests.wire.ebxml.test_submission import SAMPLE as SUBMISSION
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.outcome import Outcome
from xdsi.domain.stored_query import QueryAnswer
from xdsi.domain.submission import Provision
from xdsi.rules import stored_query
from xdsi.rules import submission as rules
from xdsi.wire import xml
from xdsi.wire.ebxml import imaging, provision, query, retrieve, submission
from xdsi.wire.message import Message, Packaging

SIMPLE = Packaging.SIMPLE


def judge(message: Message) -> None:
    read = submission.decode(message)
    rules.check(read, Registered())
    rules.effects(rules.assign(read, now="20240101000000"), Registered())


MESSAGES = (
    (body_of(submission.encode(SUBMISSION, SIMPLE)), judge),
    (body_of(provision.encode(Provision(SUBMISSION, {"doc1": document(b"1")}), SIMPLE)), provision.decode),
    (body_of(query.encode_request(QUERY, SIMPLE)), lambda message: stored_query.check(query.decode_request(message))),
    (body_of(query.encode_answer(QueryAnswer(Outcome(), fragments=[filled()]), SIMPLE)), query.objects),
    (body_of(retrieve.encode_answer(ANSWER, SIMPLE)), retrieve.decode_answer),
    (body_of(imaging.encode_request(IMAGES, SIMPLE)), imaging.decode_request),
)


def damage(root: etree._Element, draw: st.DrawFn) -> None:
    elements = list(root.iter("*"))
    element = elements[draw(st.integers(0, len(elements) - 1))]
    parent = element.getparent()
    match draw(st.sampled_from(("drop", "twice", "attribute", "value", "text", "move"))):
        case "drop" if parent is not None:
            parent.remove(element)
        case "twice" if parent is not None:
            parent.append(xml.parse(xml.serialize(element)))
        case "move" if parent is not None:
            others = [one for one in elements if element not in (one, *one.iterancestors())]
            others[draw(st.integers(0, len(others) - 1))].append(element)
        case "attribute" if element.attrib:
            del element.attrib[draw(st.sampled_from(sorted(element.attrib)))]
        case "value" if element.attrib:
            others = [one for each in elements for one in each.attrib.values()]
            element.set(draw(st.sampled_from(sorted(element.attrib))), draw(st.sampled_from(others) | st.just("")))
        case _:
            element.text = draw(st.sampled_from(["", " ", "x", "('", "'a'", "20241301"]))


@settings(max_examples=200)
@given(st.data())
def test_damaged_messages_are_read_or_refused(data: st.DataObject) -> None:
    raw, read = data.draw(st.sampled_from(MESSAGES))
    root = xml.parse(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        damage(root, data.draw)
    with suppress(MalformedMessage):
        read(Message((root,)))
