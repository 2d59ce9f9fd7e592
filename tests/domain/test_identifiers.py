"""Identifiers that are made here (ITI TF-3 4.2.3.1.2, RFC 9562)."""

from __future__ import annotations

import os
import uuid

import pytest

from xdsi.domain.identifiers import is_entry_uuid, new_entry_uuid


@pytest.mark.parametrize("drawn", [bytes(16), b"\xff" * 16, bytes(range(16))], ids=["zeros", "ones", "some"])
def test_a_fresh_entry_uuid_is_what_the_standard_library_makes_of_the_same_bytes(
    drawn: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: drawn[:size])
    assert new_entry_uuid() == uuid.UUID(bytes=drawn, version=4).urn


def test_fresh_entry_uuids_differ() -> None:
    made = {new_entry_uuid() for _ in range(1000)}
    assert len(made) == 1000
    assert all(map(is_entry_uuid, made))
