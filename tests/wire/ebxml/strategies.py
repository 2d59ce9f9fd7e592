"""Any metadata that a message can carry, for tests that write and read it back."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from xdsi.domain.codes import Code
from xdsi.domain.metadata import Author, Extra, ExtraClassification, ExtraIdentifier, RegistryObject, Slot
from xdsi.wire.ebxml.fields import AUTHOR_SLOTS, BY_TYPE, Coding, Field, ObjectClass

# What XML 1.0 can carry, line breaks and signs that need escapes among them.
text = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\ufffe\uffff")
    .filter(lambda sign: ord(sign) >= 32 or sign in "\t\n\r")
    | st.sampled_from("&<>\"'\n\r\t^|")
)  # fmt: skip
trimmed = text.map(str.strip)
present = trimmed.filter(bool)
slots = st.lists(
    st.builds(Slot, st.from_regex(r"urn:x:[a-z]{1,8}", fullmatch=True), st.lists(trimmed, max_size=3).map(tuple)),
    unique_by=lambda slot: slot.name,
    max_size=2,
).map(tuple)
codes = st.builds(Code, present, present, text)
authors = st.builds(
    Author,
    **{row.attribute: st.lists(present, max_size=2).map(tuple) if row.multiple else trimmed for row in AUTHOR_SLOTS},
    extra=slots,
)
extras = st.builds(
    Extra,
    slots,
    st.lists(
        st.builds(ExtraClassification, present, representation=text, name=text, slots=slots)
        | st.builds(ExtraClassification, node=present, name=text, slots=slots),
        max_size=2,
    ).map(tuple),
    st.lists(st.builds(ExtraIdentifier, present, trimmed, text), max_size=2, unique_by=lambda one: one.scheme).map(
        tuple
    ),
)

_VALUES = {
    Coding.ATTRIBUTE: trimmed,
    Coding.SLOT: trimmed,
    Coding.NAME: text,
    Coding.DESCRIPTION: text,
    Coding.FLAG: st.booleans(),
    Coding.VERSION: st.none() | st.integers(0, 999_999_999),
    Coding.IDENTIFIER: trimmed,
}


def _values(row: Field) -> st.SearchStrategy[Any]:
    if row.coding is Coding.CODE:
        return st.lists(codes, max_size=2).map(tuple) if row.multiple else st.none() | codes
    if row.coding is Coding.AUTHOR:
        return st.lists(authors, max_size=2).map(tuple)
    if row.multiple:
        return st.lists(present, max_size=3).map(tuple)
    return _VALUES[row.coding]


def _objects(object_class: ObjectClass) -> st.SearchStrategy[RegistryObject]:
    attributes = {row.attribute: _values(row) for row in object_class.fields}
    return st.builds(object_class.type, entry_uuid=present, extra=extras, **attributes)


registry_objects = st.one_of([_objects(one) for one in BY_TYPE.values()])
