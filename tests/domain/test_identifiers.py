"""Identifiers that are made here (ITI TF-3 4.2.3.1.2, RFC 9562)."""

from __future__ import annotations

import os
import uuid

import pytest

from xdsi.domain import identifiers
from xdsi.domain.identifiers import is_entry_uuid, new_entry_uuid


@pytest.mark.parametrize("drawn", [bytes(16), b"\xff" * 16, bytes(range(16))], ids=["zeros", "ones", "some"])
def test_a_fresh_entry_uuid_is_what_the_standard_library_makes_of_the_same_bytes(
    drawn: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identifiers, "_drawn", [])
    monkeypatch.setattr(os, "urandom", lambda size: drawn * (size // 16))
    assert new_entry_uuid() == uuid.UUID(bytes=drawn, version=4).urn


def test_fresh_entry_uuids_differ() -> None:
    made = {new_entry_uuid() for _ in range(1000)}
    assert len(made) == 1000
    assert all(map(is_entry_uuid, made))


def test_processes_of_one_origin_make_different_entry_uuids() -> None:
    """Given a process that made one, then two that it becomes share none."""
    new_entry_uuid()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, " ".join(new_entry_uuid() for _ in range(20)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = set(os.read(reading, 4096).decode().split())
    os.close(reading)
    os.close(writing)
    assert len(theirs) == 20
    assert theirs.isdisjoint(new_entry_uuid() for _ in range(200))
