"""Whether a registry accepts an update of its metadata, and what follows from it.

Metadata Update 3.57.4.1.3, Restricted Metadata Update 3.92.4.1. All problems are found, never the first only; whether
the result is of one patient and leads in no circle shows when everything else is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.registration import RegisterPorts, Registration
from xdsi.rules.submission import identifiers, relationships, structure
from xdsi.rules.submission.context import problem
from xdsi.rules.submission.metadata import by_strictness, check_metadata, limited
from xdsi.rules.update import circles, preconditions, propagation, reconciliation, restricted
from xdsi.rules.update.codes import RECONCILIATION, RESTRICTED, UPDATE, UPDATE_ERROR, Codes
from xdsi.rules.update.context import Context, Facts
from xdsi.rules.update.operations import Operations, read
from xdsi.rules.update.plan import plan
from xdsi.rules.update.propagation import Surroundings
from xdsi.spec import uuids

__all__ = ["RESTRICTED", "UPDATE", "Codes", "Context", "Facts", "decide", "prepared"]

_TYPES = uuids.RELATIONSHIPS | {uuids.HAS_MEMBER, uuids.UPDATE_AVAILABILITY_STATUS, uuids.SUBMIT_ASSOCIATION}

prepared = restricted.prepared


def decide(context: Context, facts: Facts, ports: RegisterPorts, codes: Codes) -> tuple[Outcome, Registration | None]:
    """The problems of an update, and what it changes where it is accepted; `codes` are those of the transaction."""
    if codes is RESTRICTED:
        context = restricted.named(context)
    operations = read(context, codes)
    around = Surroundings.of(operations.versions, facts)
    found = [
        *context.submission.findings,
        *_check_request(context, operations),
        *by_strictness(check_metadata(context.submission, column=None, codes=ports.codes), ports.strictness),
        *operations.problems,
        *preconditions.check(context, operations, codes),
        *(
            restricted.check(context, operations, ports.home_community_id)
            if codes is RESTRICTED
            else propagation.check(operations.versions, around)
        ),
        *identifiers.check_request(context),
        *identifiers.check_packages(context, context.submission.submission_sets),
        *identifiers.check_patients(context, ports.codes, accept_unknown=ports.accept_unknown_patients),
        *relationships.check_patient_of_request(context, RECONCILIATION),
    ]
    # location is the entryUUID of the object, not one of its attributes (3.57.4.2).
    located = [replace(one, location=one.location.partition("/")[0]) for one in found]
    outcome = Outcome.of(limited(located, UPDATE_ERROR))
    if not outcome.accepted:
        return outcome, None
    planned = plan(context.submission, operations, around, facts, ports)
    refused = (*circles.check(facts, planned), *reconciliation.check(planned, context, around, facts))
    if refused:
        return Outcome.of(limited((*outcome.problems, *refused), UPDATE_ERROR)), None
    return outcome, planned.registration


def _check_request(context: Context, operations: Operations) -> Iterator[Problem]:
    """What has to be right in any update, whatever it asks for."""
    yield from structure.check_set(context)
    yield from structure.check_ids(context)
    for association in context.submission.associations:
        yield from structure.check_form(context, association, _TYPES)
        yield from structure.check_status(context, association)
    for one in context.submission.submission_sets:
        if one.entry_uuid in context.registered:
            text = f"an object with the id {one.entry_uuid} is registered already; a new SubmissionSet needs a new UUID"
            yield problem(structure.METADATA_ERROR, one, "entryUUID.registered", text)
    asked = operations.versions or operations.statuses or operations.associations
    if not (asked or operations.problems or context.submission.findings):
        yield Problem(UPDATE_ERROR, "the request asks for no update", location=structure.OBJECTS, rule="UPDATE.empty")
