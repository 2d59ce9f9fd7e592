"""The attribute table: complete, and the same as the standard's names in `spec.optionality`."""

from __future__ import annotations

from dataclasses import fields

import pytest

from xdsi.domain.metadata import DocumentEntry, Folder, SubmissionSet
from xdsi.spec import optionality
from xdsi.wire.ebxml.fields import BY_TYPE, Coding, Field, ObjectClass


@pytest.mark.parametrize("object_class", BY_TYPE.values(), ids=lambda one: one.short)
def test_every_attribute_of_the_domain_stands_somewhere(object_class: ObjectClass) -> None:
    known = {field.name for field in fields(object_class.type)} - {"entry_uuid", "extra"}
    assert {row.attribute for row in object_class.fields} == known


@pytest.mark.parametrize(
    ("type_", "table"),
    [
        (DocumentEntry, optionality.DOCUMENT_ENTRY),
        (SubmissionSet, optionality.SUBMISSION_SET),
        (Folder, optionality.FOLDER),
    ],
)
def test_every_attribute_of_the_standard_stands_somewhere(type_: type, table: dict[str, object]) -> None:
    assert {row.name for row in BY_TYPE[type_].fields} == table.keys() - {"entryUUID"}  # entryUUID is @id


def test_a_mistyped_row_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="no attribute hsah"):
        ObjectClass(DocumentEntry, "ExtrinsicObject", "DE", [Field("hsah", "hash", Coding.SLOT, "hash")])
    with pytest.raises(ValueError, match="not a UUID"):
        ObjectClass(DocumentEntry, "ExtrinsicObject", "DE", [Field("unique_id", "uniqueId", Coding.IDENTIFIER, "x")])
