"""Copies of metadata objects with changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import builders
from xdsi.domain.metadata import Folder, RegistryObject, with_changes

OBJECTS: tuple[RegistryObject, ...] = (
    builders.document_entry("doc"),
    builders.submission_set("set"),
    Folder(entry_uuid="folder", title="A folder", version=3),
    builders.has_member("set", "doc"),
)


@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("changes", [{}, {"entry_uuid": "other", "home_community_id": "urn:oid:2.999.7"}])
def test_a_copy_has_the_changes_and_everything_else(one: RegistryObject, changes: dict[str, Any]) -> None:
    assert with_changes(one, **changes) == replace(one, **changes)


def test_what_an_object_does_not_have_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="colour"):
        with_changes(OBJECTS[0], colour="red")
