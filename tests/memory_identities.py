"""The store of patient identities in memory, for tests of what stands on its port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xdsi.domain.errors import Refused
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import Demographics, KnownPatient, PatientStatus


class MemoryIdentities:
    """Behaves as the port says; `rows` is for assertions."""

    def __init__(self, *active: PatientId) -> None:
        self.rows: dict[PatientId, KnownPatient] = {}
        for patient in active:
            self.add(patient, Demographics())

    def known(self, patient: PatientId) -> bool:
        return self.status(patient) is PatientStatus.ACTIVE

    def status(self, patient: PatientId) -> PatientStatus:
        return self.rows[patient].status if patient in self.rows else PatientStatus.UNKNOWN

    def add(self, patient: PatientId, demographics: Demographics, source: str = "") -> None:
        former = self.rows.get(patient)
        if former is None:
            former = KnownPatient(
                patient=patient,
                status=PatientStatus.ACTIVE,
                survivor=None,
                demographics=Demographics(),
                source="",
                created=None,
                updated=None,
            )
        old = former.demographics
        merged = Demographics(
            name=_told(demographics.name, old.name),
            birth_date=_told(demographics.birth_date, old.birth_date),
            sex=_told(demographics.sex, old.sex),
        )
        self.rows[patient] = replace(former, demographics=merged, source=source or former.source)

    def merge(self, subsumed: PatientId, survivor: PatientId) -> None:
        for patient in (subsumed, survivor):
            if not self.known(patient):
                raise Refused(f"{patient.cx} is not an active identifier")
        if subsumed == survivor:
            raise Refused(f"{subsumed.cx} cannot be merged into itself")
        self.rows[subsumed] = replace(self.rows[subsumed], status=PatientStatus.SUBSUMED, survivor=survivor)

    def survivor_of(self, patient: PatientId) -> PatientId:
        while patient in self.rows and (into := self.rows[patient].survivor) is not None:
            patient = into
        return patient

    def aliases(self, patient: PatientId) -> tuple[PatientId, ...]:
        if patient not in self.rows:
            return ()
        survivor = self.survivor_of(patient)
        return (survivor, *(p for p in self.rows if p != survivor and self.survivor_of(p) == survivor))

    def list(self, *, limit: int = 1000, after: PatientId | None = None) -> Sequence[KnownPatient]:
        patients = [*self.rows]
        start = patients.index(after) + 1 if after is not None else 0
        return tuple(self.rows[p] for p in patients[start : start + limit])


def _told(new, old):  # type: ignore[no-untyped-def]
    if new is None:
        return old
    return new if new and any(getattr(new, "parts", (new,))) else None
