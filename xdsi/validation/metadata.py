"""Metadata of Document Sharing in a file: the registry's own rules, asked with a registry that holds nothing.

ITI TF-3 4.1, 4.2, 4.3. What only a registry could know, such as whether a replaced entry is there, is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lxml import etree

from xdsi.domain.findings import Finding, Level
from xdsi.domain.identifiers import PatientId, is_entry_uuid
from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.domain.outcome import Problem
from xdsi.domain.stored_query import FoundObject, StoredQuery
from xdsi.domain.submission import Submission
from xdsi.rules import submission as rules
from xdsi.rules.submission import identifiers, relationships, structure
from xdsi.rules.submission.context import Context
from xdsi.rules.validation import problems
from xdsi.spec import uuids
from xdsi.spec.optionality import Column
from xdsi.validation.profile import Profile
from xdsi.validation.xml_file import XmlFile
from xdsi.wire.ebxml import fields
from xdsi.wire.ebxml.fields import Coding

_CLASSES = (fields.DOCUMENT_ENTRY, fields.SUBMISSION_SET, fields.FOLDER, fields.ASSOCIATION)
_UPDATES = frozenset({uuids.UPDATE_AVAILABILITY_STATUS, uuids.SUBMIT_ASSOCIATION})
_UPDATE_TYPES = uuids.RELATIONSHIPS | {uuids.HAS_MEMBER} | _UPDATES


class EmptyRegistry:
    """Knows every patient, and nothing else."""

    def patient_status(self, patient: PatientId) -> str:
        """Known."""
        return "active"

    def objects(self, ids: Sequence[str]) -> Mapping[str, RegistryObject]:
        """None."""
        return {}

    def entries_by_unique_id(self, unique_ids: Sequence[str]) -> Sequence[DocumentEntry]:
        """None."""
        return ()

    def kinds_by_unique_id(self, unique_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """None."""
        return {}

    def folders_of(self, entry_uuid: str) -> Sequence[Folder]:
        """None."""
        return ()

    def related_to(self, entry_uuids: Sequence[str], types: Sequence[str]) -> Sequence[Association]:
        """None."""
        return ()

    def find(self, query: StoredQuery) -> Sequence[FoundObject]:
        """None."""
        return ()


def is_update(submission: Submission) -> bool:
    """True for the metadata of an update rather than of something new (Metadata Update 3.57.4.1.2)."""
    return any(one.type in _UPDATES or one.previous_version for one in submission.associations)


def column_of(submission: Submission) -> Column:
    """Whose metadata these are, where no message around them says it.

    On-Demand entries come from an On-Demand Document Source; hash, size and repository come from a Document Repository.
    """
    entries = submission.document_entries
    if entries and all(one.is_on_demand for one in entries):
        return Column.ON_DEMAND
    if entries and not any(one.hash or one.size or one.repository_unique_id for one in entries):
        return Column.DOCUMENT_SOURCE
    return Column.REPOSITORY


def of_submission(submission: Submission, column: Column, profile: Profile) -> Iterator[Problem]:
    """The problems of a submission that need no registry to be seen."""
    registry = EmptyRegistry()
    elsewhere = {
        one.entry_uuid
        for one in submission.associations
        if any(is_entry_uuid(end) and end not in _ids(submission) for end in (one.source, one.target))
    }
    found = rules.check(submission, registry, column=column, accept_unknown_patients=True, codes=profile.codes)
    for problem in found:
        if not (problem.rule.endswith(".unresolved") and problem.location in elsewhere):
            yield problem


def of_update(submission: Submission, profile: Profile) -> Iterator[Problem]:
    """The problems of an update that need no registry to be seen."""
    context = Context.of(submission, EmptyRegistry())
    yield from submission.findings
    yield from structure.check_set(context)
    yield from structure.check_ids(context)
    for association in submission.associations:
        yield from structure.check_form(context, association, _UPDATE_TYPES)
    yield from rules.check_metadata(submission, column=None, codes=profile.codes)
    yield from identifiers.check_request(context)
    yield from relationships.check_patient_of_request(context)


def _ids(submission: Submission) -> frozenset[str]:
    return frozenset(one.entry_uuid for one in submission.objects)


class Objects:
    """Where the objects of a list and their attributes stand."""

    def __init__(self, file: XmlFile, above: etree._Element) -> None:
        self._file = file
        self._above = above
        self._by_id: dict[str, etree._Element] = {}
        self._by_value: dict[str, etree._Element] = {}
        for element in above.iter(etree.Element):
            id_ = (element.get("id") or "").strip()
            if id_:
                self._by_id.setdefault(id_, element)

    def findings(self, found: Iterable[Problem], *, level: Level | None = None) -> Iterator[Finding]:
        """Each problem at the attribute it is about, else at its object, else at the list."""
        for problem in found:
            element, attribute = self._locate(problem)
            place, line = self._file.place(element, attribute), self._file.line(element)
            yield problems.finding(problem, place, line, level=level)

    def _locate(self, problem: Problem) -> tuple[etree._Element, str]:
        # Ids may hold a slash, too.
        id_, _, name = problem.location.rpartition("/")
        owner = self._by_id.get(problem.location)
        if owner is not None:
            id_, name = problem.location, _named_by(problem.rule)
        else:
            owner = self._by_id.get(id_)
        if owner is None:
            return self._with_value(problem.location), ""
        return _attribute_of(owner, name) if name else (owner, "")

    def _with_value(self, value: str) -> etree._Element:
        """The first element that says a uniqueId or patient id."""
        if not self._by_value:
            for element in self._above.iter(etree.Element):
                for said in (element.get("value"), (element.text or "").strip()):
                    if said:
                        self._by_value.setdefault(said, element)
        return self._by_value.get(value, self._above)


def _named_by(rule: str) -> str:
    """`DE.hash.document` is about the hash."""
    parts = rule.split(".")
    return parts[1] if len(parts) == 3 else ""


def _attribute_of(owner: etree._Element, name: str) -> tuple[etree._Element, str]:
    """The element or XML attribute below an object that carries a metadata attribute."""
    for row in (row for one in _CLASSES for row in one.fields if name in (row.name, row.identifier)):
        if row.coding is Coding.ATTRIBUTE and owner.get(row.identifier) is not None:
            return owner, row.identifier
        for child in owner.iterchildren("*"):
            if row.identifier and row.identifier in _names(child):
                return child, ""
    if name in ("classifiedObject", "registryObject"):
        for child in owner.iterchildren("*"):
            if child.get(name) not in (None, owner.get("id")):
                return child, name
    local = {"title": "Name", "comments": "Description"}.get(name)
    for child in owner.iterchildren("*"):
        if etree.QName(child).localname == local or name in _names(child):
            return child, ""
    return (owner, name) if owner.get(name) is not None else (owner, "")


def _names(child: etree._Element) -> tuple[Any, ...]:
    return tuple(
        child.get(one) for one in ("name", "classificationScheme", "classificationNode", "identificationScheme")
    )


def returned(objects: Iterable[RegistryObject], profile: Profile) -> Iterator[Problem]:
    """What is wrong with objects as a registry returns them: what it must return, and the form of it (4.3.2)."""
    found = tuple(objects)
    submission = Submission(
        submission_sets=tuple(one for one in found if isinstance(one, SubmissionSet)),
        document_entries=tuple(one for one in found if isinstance(one, DocumentEntry)),
        folders=tuple(one for one in found if isinstance(one, Folder)),
        associations=tuple(one for one in found if isinstance(one, Association)),
    )
    yield from rules.check_metadata(submission, column=None, codes=profile.codes)
