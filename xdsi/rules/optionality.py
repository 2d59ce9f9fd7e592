"""Required attributes that are missing, and prohibited ones that are present, by the sending actor's column.

ITI TF-3 4.3.1 (tables by actor), which `spec.optionality` holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from xdsi.domain.metadata import DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.domain.outcome import Problem
from xdsi.rules.attributes import CODES, TEXTS, problem
from xdsi.spec import optionality
from xdsi.spec.optionality import PROHIBITED, REQUIRED, Column

_TABLES: Final[Mapping[type[RegistryObject], Mapping[str, optionality.Row]]] = {
    DocumentEntry: optionality.DOCUMENT_ENTRY,
    SubmissionSet: optionality.SUBMISSION_SET,
    Folder: optionality.FOLDER,
}
_OTHERS: Final = {
    "author": "authors",
    "limitedMetadata": "limited_metadata",
    "objectType": "object_type",
    "logicalID": "logical_id",
    "version": "version",
    "availabilityStatus": "availability_status",
}


def _attributes(type_: type[RegistryObject]) -> Mapping[str, str]:
    """The domain's name of each attribute of the standard's table; a name that fits nothing fails on import."""
    known = dict(_OTHERS)
    known.update((row.name, row.attribute) for row in TEXTS[type_])
    known.update((row.name, row.attribute) for row in CODES[type_])
    return {name: known[name] for name in _TABLES[type_]}


_ATTRIBUTES: Final = {type_: _attributes(type_) for type_ in _TABLES}


def check(registry_object: RegistryObject, column: Column) -> Iterator[Problem]:
    """Every attribute that this sender must give and did not, or must not give and did."""
    type_ = type(registry_object)
    for name, row in _TABLES.get(type_, {}).items():
        rule = row[column]
        if rule not in {REQUIRED, PROHIBITED}:
            continue
        present = bool(getattr(registry_object, _ATTRIBUTES[type_][name]))
        if rule == REQUIRED and not present:
            text = f"{name} of {registry_object.entry_uuid} is missing; it is required"
            yield problem(registry_object, name, f"{name}.required", text)
        elif rule == PROHIBITED and present:
            text = f"{name} of {registry_object.entry_uuid} is present; it is not allowed here"
            yield problem(registry_object, name, f"{name}.prohibited", text)
