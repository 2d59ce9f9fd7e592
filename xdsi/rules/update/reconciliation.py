"""Whether everything that is connected after an update is of one patient.

Metadata Update 3.57.4.1.3.4: SubmissionSets, Approved Folders and Approved DocumentEntries that Approved Associations
connect; what is there by reference or deprecated does not count. Versions of one object may differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xdsi.domain.metadata import Association, RegistryObject, with_changes
from xdsi.domain.outcome import Problem
from xdsi.rules.submission.context import name_of, problem
from xdsi.rules.submission.structure import REFERENCE
from xdsi.rules.update.codes import RECONCILIATION
from xdsi.rules.update.context import Context, Facts
from xdsi.rules.update.plan import Plan
from xdsi.rules.update.propagation import Surroundings
from xdsi.spec.namespaces import APPROVED, DEPRECATED


def check(plan: Plan, context: Context, around: Surroundings, facts: Facts) -> Iterator[Problem]:
    """Every connection that would join two patients."""
    known = _afterwards(plan, {**around.others, **context.registered})
    missing = [end for one, _ in plan.connected for end in (one.source, one.target) if end not in known]
    known |= _afterwards(plan, facts.objects(missing))
    told = _known_to_the_asker(plan, context)
    for association, reason in plan.connected:
        yield from _check(association, known, reason, told)
    for one, reason in plan.approved:
        links = [link for link in facts.associations_of([one.entry_uuid]) if _counts(link, plan)]
        ends = _afterwards(plan, facts.objects(list({end for link in links for end in (link.source, link.target)})))
        for link in links:
            yield from _check(link, ends, reason, told)


def _afterwards(plan: Plan, registered: Mapping[str, RegistryObject]) -> dict[str, RegistryObject]:
    """Registered objects with the status they will have, and the new ones."""
    changes = dict.fromkeys(plan.registration.superseded, DEPRECATED)
    changes |= {one.entry_uuid: one.new for one in plan.registration.statuses}
    found = {
        id_: with_changes(one, availability_status=changes[id_]) if id_ in changes else one
        for id_, one in registered.items()
    }
    return found | {one.entry_uuid: one for one in plan.registration.submission.objects}


def _counts(link: Association, plan: Plan) -> bool:
    changes = {one.entry_uuid: one.new for one in plan.registration.statuses}
    by_reference = link.submission_set_status == (REFERENCE,)
    return changes.get(link.entry_uuid, link.availability_status) == APPROVED and not by_reference


def _known_to_the_asker(plan: Plan, context: Context) -> frozenset[str]:
    """Ids that an answer may tell; an Association that may be seen has ends that may."""
    links = [one for one in context.registered.values() if isinstance(one, Association)]
    ends = [end for link in links for end in (link.source, link.target)]
    return frozenset([*context.registered, *ends, *(one.entry_uuid for one in plan.registration.submission.objects)])


def _check(
    association: Association,
    known: Mapping[str, RegistryObject],
    reason: RegistryObject,
    told: frozenset[str],
) -> Iterator[Problem]:
    source, target = known.get(association.source), known.get(association.target)
    if source is None or target is None or isinstance(source, Association) or isinstance(target, Association):
        return
    if {source.availability_status, target.availability_status} != {APPROVED} or source.patient_id == target.patient_id:
        return
    ends = (
        f"{one.entry_uuid} of patient {one.patient_id}" if one.entry_uuid in told else "an object of another patient"
        for one in (source, target)
    )
    yield problem(RECONCILIATION, reason, "patientId", f"{name_of(association.type)} would join {' and '.join(ends)}")
