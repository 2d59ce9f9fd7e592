"""Reads a DICOM file for those who judge it: every element that this product knows, as text.

DICOM PS3.10 7 (file), PS3.5 6.2 and 6.4 (values and their number).
"""

from __future__ import annotations

from io import BytesIO

from pydicom.datadict import dictionary_VR

from xdsi.domain.dicom_tree import Item, Part10
from xdsi.spec import tags
from xdsi.wire.dicom_reader import read
from xdsi.wire.dicom_text import CharacterSet, DataSet, Items

_WANTED = frozenset(tag for tag in vars(tags).values() if isinstance(tag, int) and tag >> 16 != 2)
_SINGLE = frozenset(tag for tag in _WANTED if dictionary_VR(tag) in ("LT", "ST", "UR", "UT"))
"""elements in which a backslash separates nothing"""


def read_tree(raw: bytes, wanted: frozenset[int] = _WANTED) -> Part10:
    """The file, or what is wanted of it; raises MalformedMessage for what is none, ends early or exceeds the limits."""
    part10 = read(BytesIO(raw), wanted)
    return Part10(meta=_item(part10.meta, CharacterSet(part10.meta)), dataset=_root(part10.dataset))


def _root(dataset: DataSet) -> Item:
    return _item(dataset, CharacterSet(dataset))


def _item(dataset: DataSet, charset: CharacterSet) -> Item:
    values: dict[int, tuple[str, ...]] = {}
    sequences: dict[int, tuple[Item, ...]] = {}
    for tag, value in dataset.items():
        if isinstance(value, Items):
            sequences[tag] = tuple(_item(one, charset) for one in value)
            continue
        text = charset.text(dataset, tag)
        parts = [text] if tag in _SINGLE else text.split("\\")
        values[tag] = tuple(part.strip(" \0") for part in parts) if text else ()
    return Item(values, sequences)
