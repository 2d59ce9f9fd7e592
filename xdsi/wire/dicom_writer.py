"""Data elements and files in Explicit VR Little Endian, as bytes.

DICOM PS3.5 section 7.1.2 (explicit VR), 7.5 (sequences), 6.2 (padding); PS3.10 section 7.1 (file meta information).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from xdsi.spec import dicom, tags

_LONG_VRS = frozenset({"OB", "SQ", "UR", "UT"})
_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2sHI")
_ITEM = struct.Struct("<HHI")


def element(tag: int, vr: str, value: bytes = b"") -> bytes:
    """One data element, padded to an even length."""
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB") else b" "
    if vr in _LONG_VRS:
        return _LONG.pack(tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(value)) + value
    return _SHORT.pack(tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def text(tag: int, vr: str, value: str = "") -> bytes:
    """One data element with text in UTF-8."""
    return element(tag, vr, value.encode())


def item(*elements: bytes) -> bytes:
    """A sequence item of explicit length; its elements have to come in the order of their tags."""
    value = b"".join(elements)
    return _ITEM.pack(0xFFFE, 0xE000, len(value)) + value


def sequence(tag: int, items: Iterable[bytes] = ()) -> bytes:
    """A sequence of explicit length."""
    return element(tag, "SQ", b"".join(items))


def part10(sop_class_uid: str, sop_instance_uid: str, dataset: bytes) -> bytes:
    """A file: an empty preamble, group 0002, and a data set in Explicit VR Little Endian."""
    meta = b"".join(
        (
            element(tags.FILE_META_INFORMATION_VERSION, "OB", b"\0\1"),
            text(tags.MEDIA_STORAGE_SOP_CLASS_UID, "UI", sop_class_uid),
            text(tags.MEDIA_STORAGE_SOP_INSTANCE_UID, "UI", sop_instance_uid),
            text(tags.TRANSFER_SYNTAX_UID, "UI", dicom.EXPLICIT_LE),
            text(tags.IMPLEMENTATION_CLASS_UID, "UI", dicom.IMPLEMENTATION_CLASS_UID),
            text(tags.IMPLEMENTATION_VERSION_NAME, "SH", dicom.IMPLEMENTATION_VERSION_NAME),
        )
    )
    length = element(tags.FILE_META_INFORMATION_GROUP_LENGTH, "UL", struct.pack("<I", len(meta)))
    return b"".join((bytes(128), b"DICM", length, meta, dataset))
