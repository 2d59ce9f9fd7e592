"""Whether a consent document and its metadata tell the same story: where they do not, the consent does not count.

ITI TF-3 5.1.2 (BPPC metadata), APPC 5.6.3 (APPC metadata). What was signed is the document: a difference is an
error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from xdsi.domain.consent import ConsentFacts
from xdsi.domain.identifiers import PatientId
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Problem
from xdsi.spec import xacml

ERROR = "XDSRegistryMetadataError"


def check(
    facts: ConsentFacts,
    entry: DocumentEntry,
    *,
    linked: Callable[[PatientId], Collection[PatientId]] | None = None,
) -> Iterator[Problem]:
    """Every difference between what the document says and what its entry says.

    `linked` gives all identifiers of the person whom a patient identifier stands for.
    """
    if facts.document_id != entry.unique_id:
        yield _problem(
            entry, "consent.id", f"the document calls itself {facts.document_id}, its uniqueId is {entry.unique_id}"
        )
    try:
        patient = PatientId.parse(entry.patient_id)
    except ValueError:
        yield _problem(entry, "consent.patient", f"patientId {entry.patient_id!r} is not an identifier")
    else:
        person = {patient, *(linked(patient) if linked else ())}
        others = [one.cx for one in facts.patients if one not in person]
        if others or not facts.patients:
            named = ", ".join(others) or "nobody"
            yield _problem(entry, "consent.patient", f"the consent is about {named}, its patientId is {patient.cx}")
    yield from _references(facts, entry)


def _references(facts: ConsentFacts, entry: DocumentEntry) -> Iterator[Problem]:
    """eventCodeList repeats the accepted policies; for BPPC it holds nothing else."""
    codes = {code.code.removeprefix("urn:oid:") for code in entry.event_codes}
    references = {reference.removeprefix("urn:oid:") for reference in facts.references}
    missing = sorted(references - codes)
    if missing:
        yield _problem(entry, "consent.policies", f"eventCodeList lacks the accepted policies {', '.join(missing)}")
    format_code = entry.format_code.code if entry.format_code else ""
    more = sorted(codes - references)
    if more and format_code in (xacml.BPPC_FORMAT, xacml.BPPC_SCAN_FORMAT):
        yield _problem(
            entry, "consent.policies", f"eventCodeList names {', '.join(more)}, which the document does not accept"
        )


def _problem(entry: DocumentEntry, rule: str, context: str) -> Problem:
    return Problem(ERROR, context, location=entry.entry_uuid, rule=rule)
