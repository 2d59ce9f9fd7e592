"""wire/ebxml/packing: what is kept is small, comes back as it was, and stays readable."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.spec import uuids
from xdsi.wire.ebxml import fragment_dictionary, fragments
from xdsi.wire.ebxml.packing import pack, unpack

TEXT = b'<rim:Association xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"\0h id="urn:uuid:1"/>'


@given(st.binary(max_size=5000))
def test_whatever_is_packed_comes_back(text: bytes) -> None:
    assert unpack(pack(text)) == text


def test_what_was_kept_before_there_was_packing_is_read() -> None:
    assert unpack(TEXT) == TEXT


def test_stored_fragments_depend_on_the_dictionary() -> None:
    """Another text here would make every stored fragment unreadable: a change needs a second dictionary."""
    digests = {
        fragment_dictionary.FIRST: "68a60dcaafd967aa4ac159687b81d7d228d76ff442ba6de42cb06fd9dbe018ae",
        fragment_dictionary.SECOND: "55123283578ecae9e5467aaff6c795f6bc81cdc871e4fda5937f43b23f20efdb",
    }
    for dictionary, digest in digests.items():
        assert hashlib.sha256(dictionary).hexdigest() == digest
    assert unpack(bytes.fromhex("0103db48bd951488adb540570100")) == TEXT


@pytest.mark.parametrize(
    ("kept", "complaint"),
    [
        (b"", "cannot begin"),
        (b"\x03" + pack(TEXT)[1:], "cannot begin"),
        (pack(TEXT)[:-3], "does not end"),
        (pack(TEXT) + b"\0", "does not end"),
        (b"\x01\xff\xff\xff", "cannot be unpacked"),
    ],
)
def test_what_is_no_fragment(kept: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        unpack(kept)


def test_little_is_left_of_an_entry_and_next_to_nothing_of_an_association() -> None:
    entry = builders.document_entry(new_entry_uuid())
    link = builders.association(uuids.HAS_MEMBER, new_entry_uuid(), new_entry_uuid(), new_entry_uuid())
    for one, part in ((entry, 6), (link, 10)):
        kept = fragments.build(one)
        assert len(kept) * part < len(unpack(kept))
