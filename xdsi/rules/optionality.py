"""Required attributes that are missing, and prohibited ones that are present, by the sending actor's column.

ITI TF-3 4.3.1 (tables by actor), which `spec.optionality` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
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


class _Asked:
    """What one column of a table requires and prohibits, by names of the standard and of the domain."""

    def __init__(self, type_: type[RegistryObject], column: Column) -> None:
        rules = {name: row[column] for name, row in _TABLES[type_].items() if row[column] in {REQUIRED, PROHIBITED}}
        self.rules = tuple((name, _ATTRIBUTES[type_][name], rule) for name, rule in rules.items())
        self._required = _values([attribute for _, attribute, rule in self.rules if rule == REQUIRED])
        self._prohibited = _values([attribute for _, attribute, rule in self.rules if rule == PROHIBITED])

    def is_met(self, registry_object: RegistryObject) -> bool:
        """Whether there is nothing to say; nearly always there is not."""
        return all(self._required(registry_object)) and not any(self._prohibited(registry_object))


def _values(attributes: Sequence[str]) -> Callable[[RegistryObject], Sequence[object]]:
    if not attributes:
        return lambda registry_object: ()
    # One name alone gives the value itself.
    return attrgetter(*attributes, attributes[0])


_ASKED: Final = {(type_, column): _Asked(type_, column) for type_ in _TABLES for column in Column}


def check(registry_object: RegistryObject, column: Column) -> Iterator[Problem]:
    """Every attribute that this sender must give and did not, or must not give and did."""
    asked = _ASKED.get((type(registry_object), column))
    if asked is None or asked.is_met(registry_object):
        return
    for name, attribute, rule in asked.rules:
        present = bool(getattr(registry_object, attribute))
        if rule == REQUIRED and not present:
            text = f"{name} of {registry_object.entry_uuid} is missing; it is required"
            yield problem(registry_object, name, f"{name}.required", text)
        elif rule == PROHIBITED and present:
            text = f"{name} of {registry_object.entry_uuid} is present; it is not allowed here"
            yield problem(registry_object, name, f"{name}.prohibited", text)
