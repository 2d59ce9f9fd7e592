"""Fragments as they are kept: packed with a dictionary of what all have in common, to a tenth of their length.

A packed fragment is a byte that names the dictionary, and DEFLATE (RFC 1951). One that begins with `<` is not packed.
"""

from __future__ import annotations

import zlib
from typing import Final

from xdsi.wire.ebxml import fragment_dictionary

_FIRST: Final = b"\x01"
_RAW: Final = -zlib.MAX_WBITS
_LEVEL: Final = 3
# Copied for each fragment: to read the dictionary takes longer than to pack with it.
_packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW, zdict=fragment_dictionary.FIRST)


def pack(text: bytes) -> bytes:
    """The text as it is kept."""
    packer = _packer.copy()
    return _FIRST + packer.compress(text) + packer.flush()


def unpack(kept: bytes) -> bytes:
    """The text of what `pack` made, or of what was kept as it is; ValueError for anything else."""
    if kept.startswith(b"<"):
        return kept
    if not kept.startswith(_FIRST):
        raise ValueError(f"a fragment cannot begin with {kept[:1]!r}")
    unpacker = zlib.decompressobj(_RAW, fragment_dictionary.FIRST)
    try:
        text = unpacker.decompress(kept[1:])
    except zlib.error as error:
        raise ValueError(f"a fragment cannot be unpacked: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("a packed fragment does not end where it should")
    return text
