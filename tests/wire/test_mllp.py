"""wire/mllp: blocks on a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain.errors import MalformedMessage
from xdsi.wire.mllp import Deframer, frame


def taken_apart(stream: bytes, size: int) -> list[bytes]:
    """The messages of a stream that arrives in chunks of that size."""
    deframer = Deframer()
    return [message for at in range(0, len(stream), size) for message in deframer.feed(stream[at : at + size])]


STREAMS = [
    pytest.param(b"", [], id="nothing"),
    pytest.param(b"\x0bMSH\x1c\r", [b"MSH"], id="one"),
    pytest.param(b"\x0bA\x1c\r\x0bB\x1c\r", [b"A", b"B"], id="two"),
    pytest.param(b"\r\n\x0bA\x1c\r\n\r\x0bB\x1c\r\n", [b"A", b"B"], id="line ends between"),
    pytest.param(b"\x0bA\x1cB\r\x1c\r", [b"A\x1cB\r"], id="0x1C alone does not end it"),
    pytest.param(b"\x0b\x1c\r", [b""], id="empty"),
    pytest.param(b"\x0bA\x1c\r\x0bunfinished", [b"A"], id="unfinished"),
]


@pytest.mark.parametrize(("stream", "messages"), STREAMS)
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_messages_are_found_however_the_bytes_arrive(stream: bytes, messages: list[bytes], size: int) -> None:
    assert taken_apart(stream, size) == messages


def test_it_knows_whether_a_message_has_begun() -> None:
    deframer = Deframer()
    assert [(list(deframer.feed(chunk)), deframer.inside) for chunk in (b"\r", b"\x0bA", b"\x1c", b"\r", b"\n")] == [
        ([], False),
        ([], True),
        ([], True),
        ([b"A"], False),
        ([], False),
    ]


@pytest.mark.parametrize(
    ("stream", "why"),
    [(b"MSH|", "between messages"), (b"\x0bA\x1c\rX", "between messages"), (b"\x0bA\x0bB\x1c\r", "inside a block")],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_no_block_is_refused(stream: bytes, why: str, size: int) -> None:
    with pytest.raises(MalformedMessage, match=why):
        taken_apart(stream, size)


@pytest.mark.parametrize("end", [b"", b"\x1c\r"])
def test_a_message_above_the_limit_is_refused(end: bytes) -> None:
    assert list(Deframer(limit=10).feed(frame(b"0123456789"))) == [b"0123456789"]
    with pytest.raises(MalformedMessage, match="too large"):
        list(Deframer(limit=10).feed(b"\x0b" + b"0" * 12 + end))


def test_a_message_before_one_that_is_refused_is_not_lost() -> None:
    messages = Deframer(limit=10).feed(frame(b"first") + frame(b"0" * 11))
    assert next(messages) == b"first"
    with pytest.raises(MalformedMessage):
        next(messages)


text = st.binary(max_size=30).filter(lambda b: b"\x0b" not in b and b"\x1c" not in b)


@given(st.lists(text, max_size=5), st.integers(1, 40))
def test_frames_come_back_as_they_were(messages: list[bytes], size: int) -> None:
    assert taken_apart(b"".join(map(frame, messages)), size) == messages
