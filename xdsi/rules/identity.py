"""What an identity feed may change: only identifiers of the affinity domain, and merges that keep the chain sound.

ITI TF-2: 3.8.4.1.4, 3.8.4.2.4, 3.44.4.1.4, 3.44.4.2.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from xdsi.domain.identifiers import PatientId, is_oid
from xdsi.domain.identity import (
    ANY_AUTHORITY,
    FeedEvent,
    FeedProblem,
    IdentityChange,
    PatientIdentityFeed,
    PatientStatus,
)
from xdsi.spec.hl7 import DATA_TYPE_ERROR, UNKNOWN_KEY_IDENTIFIER

StatusOf = Callable[[PatientId], PatientStatus]


@dataclass(frozen=True, slots=True)
class IdentityDomain:
    """The identification domain of the affinity domain, as configured (3.8.4.1.4.1)."""

    authority: str
    """its OID, or ANY_AUTHORITY"""
    namespace: str = ""

    def localise(self, patient: PatientId) -> PatientId | None:
        """The identifier with the domain's OID where it belongs to the domain, else None.

        An identifier without OID is filled in when it has no namespace either or has the domain's.
        """
        if self.authority == ANY_AUTHORITY:
            return patient if is_oid(patient.authority) else None
        if patient.authority == self.authority:
            return patient
        if patient.authority in ("", self.namespace):
            return PatientId(patient.id, self.authority)
        return None


def in_domain(feed: PatientIdentityFeed, domain: IdentityDomain) -> PatientIdentityFeed:
    """The same event with the domain's identifiers only, each with its OID (3.8.4.1.4)."""
    return replace(feed, patients=_localised(feed.patients, domain), prior=_localised(feed.prior, domain))


def decide(
    feed: PatientIdentityFeed, status: StatusOf, domain: IdentityDomain, *, update_registers: bool
) -> IdentityChange:
    """What the event is to change, or every reason against it.

    `update_registers`: whether an UPDATE makes an unknown identifier known, as ITI-44 has it (3.44.4.1.4) and ITI-8
    has not (3.8.4.1.4: A08 shall be ignored).
    """
    local = in_domain(feed, domain)
    ignored = tuple(p for p in (*feed.patients, *feed.prior) if domain.localise(p) is None)
    problems = [
        *(_unusable(p, "patients") for p in local.patients if not _usable(p)),
        *(_unusable(p, "prior") for p in local.prior if not _usable(p)),
    ]
    if feed.kind is FeedEvent.MERGE:
        return _decide_merge(local, status, domain, problems, ignored)
    register = local.patients
    if feed.kind is FeedEvent.UPDATE and not update_registers:
        register = tuple(p for p in register if status(p) is PatientStatus.ACTIVE)
    else:
        problems += [
            FeedProblem(
                UNKNOWN_KEY_IDENTIFIER, f"{p.cx} was merged into another patient", "patients", "feed.patient.subsumed"
            )
            for p in register
            if status(p) is PatientStatus.SUBSUMED
        ]
    return IdentityChange(register=() if problems else register, problems=tuple(problems), ignored=ignored)


def _decide_merge(
    local: PatientIdentityFeed,
    status: StatusOf,
    domain: IdentityDomain,
    problems: list[FeedProblem],
    ignored: tuple[PatientId, ...],
) -> IdentityChange:
    survivors, prior = local.patients, local.prior
    if domain.authority == ANY_AUTHORITY:
        # PID-3 may list the person's identifiers of many domains: those count that MRG-1 speaks of.
        survivors = tuple(p for p in survivors if p.authority in {q.authority for q in prior}) or survivors
    for name, found, role in (("patients", survivors, "surviving"), ("prior", prior, "subsumed")):
        if len(found) != 1:
            text = f"the {role} identifier must be exactly one of the domain {domain.authority}, found {len(found)}"
            rule = f"merge.{role}.{'authority' if not found else 'several'}"
            problems.append(FeedProblem(UNKNOWN_KEY_IDENTIFIER, text, name, rule))
        problems += [_not_active(p, status(p), name, role) for p in found if status(p) is not PatientStatus.ACTIVE]
    if len(survivors) == len(prior) == 1:
        if survivors == prior:
            text = f"{prior[0].cx} cannot be merged into itself"
            problems.append(FeedProblem(UNKNOWN_KEY_IDENTIFIER, text, "prior", "merge.identical"))
        elif survivors[0].authority != prior[0].authority:
            text = "the subsumed and the surviving identifier are of different authorities"
            problems.append(FeedProblem(UNKNOWN_KEY_IDENTIFIER, text, "prior", "merge.authorities"))
    if problems:
        return IdentityChange(problems=tuple(problems), ignored=ignored)
    return IdentityChange(merge=(prior[0], survivors[0]), ignored=ignored)


def _not_active(patient: PatientId, status: PatientStatus, location: str, role: str) -> FeedProblem:
    why = "was merged already" if status is PatientStatus.SUBSUMED else "is not known"
    text = f"the {role} identifier {patient.cx} {why}"
    return FeedProblem(UNKNOWN_KEY_IDENTIFIER, text, location, f"merge.{role}.{status.value}")


def _localised(patients: tuple[PatientId, ...], domain: IdentityDomain) -> tuple[PatientId, ...]:
    found = (domain.localise(p) for p in patients)
    return tuple(dict.fromkeys(p for p in found if p is not None))


def _usable(patient: PatientId) -> bool:
    """Whether metadata could ever name this identifier (ITI TF-3 table 4.2.3.1.7-2)."""
    try:
        return PatientId.parse(patient.cx) == patient and patient.id.isprintable() and patient.id.strip() == patient.id
    except ValueError:
        return False


def _unusable(patient: PatientId, location: str) -> FeedProblem:
    text = f"the identifier {patient.id!r} has characters that a CX cannot carry"
    return FeedProblem(DATA_TYPE_ERROR, text, location, "feed.patient.form")
