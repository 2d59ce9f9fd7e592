"""Unique ids that are not unique, and patients that are not known.

ITI TF-2 3.42.4.1.3.3.1 (uniqueIds, patient ids), 3.61.4.1.3 (On-Demand entries).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from xdsi.domain.codes import CodeSets
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import DocumentEntry, Folder, SubmissionSet
from xdsi.domain.outcome import Problem
from xdsi.domain.stored_query import ObjectKind
from xdsi.rules.submission.context import Context, problem, repeated
from xdsi.rules.submission.structure import METADATA_ERROR


def check_unique_ids(context: Context) -> Iterator[Problem]:
    """Each uniqueId once in the request, and new to the registry but for the same document submitted anew."""
    yield from check_request(context)
    # One question for all: nearly always nothing of a submission is registered yet.
    unique_ids = [one.unique_id for one in context.identified if one.unique_id]
    taken = context.facts.kinds_by_unique_id(unique_ids) if unique_ids else {}
    packages = [one for one in context.identified if not isinstance(one, DocumentEntry)]
    yield from _check_packages(packages, taken)
    # The same document may be registered many times over, and is told of once.
    yield from dict.fromkeys(_check_entries(context, taken))


def check_request(context: Context) -> Iterator[Problem]:
    """Each uniqueId once in the request."""
    for unique_id, count in repeated([one.unique_id for one in context.identified if one.unique_id]).items():
        text = f"uniqueId {unique_id} occurs {count} times in the submission"
        code = "XDSRegistryDuplicateUniqueIdInMessage"
        yield Problem(code, text, location=unique_id, rule="SUBMISSION.uniqueId.twice")


def check_packages(context: Context, packages: Sequence[SubmissionSet | Folder]) -> Iterator[Problem]:
    """The uniqueId of a new SubmissionSet or Folder is new to the registry."""
    unique_ids = [one.unique_id for one in packages if one.unique_id]
    yield from _check_packages(packages, context.facts.kinds_by_unique_id(unique_ids) if unique_ids else {})


def _check_packages(
    packages: Sequence[SubmissionSet | Folder], taken: Mapping[str, frozenset[str]]
) -> Iterator[Problem]:
    for package in packages:
        kinds = taken.get(package.unique_id)
        if kinds:
            kind = type(package).__name__
            text = f"{kind} uniqueId {package.unique_id} is that of a registered {' and '.join(sorted(kinds))}"
            yield problem("XDSDuplicateUniqueIdInRegistry", package, "uniqueId.registered", text)


def _check_entries(context: Context, taken: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    ours = ObjectKind.DOCUMENT_ENTRY.value
    entries = {
        one.unique_id: one for one in context.submission.document_entries if ours in taken.get(one.unique_id, ())
    }
    for registered in context.facts.entries_by_unique_id(list(entries)) if entries else ():
        entry = entries.get(registered.unique_id)
        if entry is None or registered.entry_uuid == entry.entry_uuid:
            continue
        if entry.is_on_demand != registered.is_on_demand:
            kind = "an On-Demand" if registered.is_on_demand else "a Stable"
            text = f"uniqueId {entry.unique_id} is that of {kind} DocumentEntry"
            yield problem(METADATA_ERROR, entry, "uniqueId.kind", text)
        else:
            yield from _check_identical(entry, registered)


def _check_identical(entry: DocumentEntry, registered: DocumentEntry) -> Iterator[Problem]:
    # Not what is registered: who only knows a uniqueId is told nothing about its document.
    what = f"document {entry.unique_id} is registered already with another"
    if entry.hash and registered.hash and entry.hash.lower() != registered.hash.lower():
        text = f"{what} hash than {entry.hash}"
        yield problem("XDSNonIdenticalHash", entry, "uniqueId.hash", text)
    if entry.size.isdigit() and entry.size.lstrip("0") != registered.size.lstrip("0"):
        text = f"{what} size than {entry.size}"
        yield problem("XDSNonIdenticalSize", entry, "uniqueId.size", text)


def check_patients(context: Context, codes: CodeSets | None, *, accept_unknown: bool) -> Iterator[Problem]:
    """Each patient of the request is known from the feed, and not merged into another (3.8.4.2.4)."""
    for cx in dict.fromkeys(one.patient_id for one in context.identified if one.patient_id):
        try:
            patient = PatientId.parse(cx)
        except ValueError:
            continue  # reported as a format
        status = context.facts.patient_status(patient)
        if status == "subsumed":
            reason = "was merged into another patient id"
        elif accept_unknown or (status == "active" and (codes is None or codes.admits_authority(patient.authority))):
            continue
        elif status == "active":
            reason = "is of an assigning authority that this domain does not share"
        else:
            reason = "is not known here"
        text = f"patient id {cx} {reason}"
        yield Problem("XDSUnknownPatientId", text, location=cx, rule=f"PATIENT.{status}")
