"""Damaged messages are taken or refused, and never anything else."""

from __future__ import annotations

import pytest

from tests.faults.fuzz import FOUND, READERS, failure, seeds, tried
from tests.faults.guided import kept


def test_good_messages_are_read() -> None:
    """Else damage to them would show nothing."""
    for reader, messages in seeds().items():
        assert messages
        taken = 0
        for one in messages:
            READERS[reader](one)
            taken += 1
        assert taken == len(messages)


def test_what_was_found_once_is_refused_now() -> None:
    for path in sorted(FOUND.glob("*")):
        reader = path.name.partition("-")[0]
        assert failure(reader, path.read_bytes()) == "", path.name


@pytest.mark.parametrize("reader", sorted(READERS))
def test_messages_that_reached_different_code_are_taken_or_refused(reader: str) -> None:
    messages = list(kept(reader))
    assert messages, "the corpus is kept"
    assert {raw: wrong for raw in messages if (wrong := failure(reader, raw))} == {}


def test_damaged_messages_are_taken_or_refused() -> None:
    """The same ones each time; `make long` goes on for an hour."""
    wrong = {(reader, text): raw for reader, raw, text in tried(1500, 0, seed=4) if text}
    assert wrong == {}
