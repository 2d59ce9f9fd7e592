"""Publishes those studies of an archive that the hospital's rule chooses, each as the archive has it now."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from xdsi.actors.manifest_publisher import ManifestPublisher, Published, Result
from xdsi.actors.on_demand_manifests import OnDemandManifests
from xdsi.domain.codes import Code
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Study
from xdsi.domain.outcome import Problem
from xdsi.domain.ports import Clock, Pacs
from xdsi.rules.publication import PublicationRule, Verdict, judge

_NOTHING = Verdict(publish=False, reasons=("it is not in the archive, or nothing of it is shared",))


@dataclass(frozen=True, slots=True)
class Considered:
    """A study, what the rule says of it, and what was done or would be; no study where the archive has none."""

    study_instance_uid: str
    study: Study | None = None
    verdict: Verdict = _NOTHING
    published: Published | None = None
    withheld: str = ""
    """why a study that the archive has cannot be served"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPublisher:
    """Applies a rule to an archive. With `on_demand` studies are announced, else their manifests are published."""

    pacs: Pacs
    rule: PublicationRule
    publisher: ManifestPublisher
    on_demand: OnDemandManifests | None
    clock: Clock
    reported: Callable[[Study], bool] = lambda study: False
    """whether a message has said that a study's report is final"""
    withdraw: Callable[[str], str] = lambda uid: "it was published for another patient, and that manifest stands"
    """takes back what was published of a study; what is left to say, empty when it is done"""
    withdraw_reports: Callable[[str], str] = lambda uid: ""
    """takes back those reports of a study that are gone from it; what is left to say, empty when it is done"""
    owes_reports: Callable[[str], bool] = lambda uid: False
    """whether there are such reports"""
    alone: Callable[[str], AbstractContextManager[None]] = lambda uid: nullcontext()
    """keeps everybody else from publishing and withdrawing a study, or raises Unavailable"""

    def publish(
        self,
        uid: str,
        *,
        confidentiality_codes: tuple[Code, ...] = (),
        again: bool = False,
        whatever_the_rule: bool = False,
    ) -> Considered:
        """Publish a study where the rule says so, as the archive has it now."""
        with self.alone(uid):
            return self._published(uid, confidentiality_codes, again=again, whatever_the_rule=whatever_the_rule)

    def _published(
        self, uid: str, confidentiality_codes: tuple[Code, ...], *, again: bool, whatever_the_rule: bool
    ) -> Considered:
        considered = self._considered(uid, whatever_the_rule=whatever_the_rule)
        study = considered.study
        if study is None or not considered.verdict.publish:
            return considered
        if self.on_demand is not None:
            return replace(considered, published=self.on_demand.announce(study, again=again))
        if left := self._of_another_patient(study):
            problem = Problem("XDSPatientIdDoesNotMatch", left, location=uid, rule="STUDY.patient.changed")
            refused = Published(result=Result.REFUSED, study_instance_uid=uid, problems=(problem,))
            return replace(considered, published=refused)
        codes = confidentiality_codes
        published = self.publisher.publish(study, confidentiality_codes=codes, again=again)
        return replace(considered, published=self._without_reports_that_are_gone(published))

    def plan(self, uid: str, *, again: bool = False, whatever_the_rule: bool = False) -> Considered:
        """What `publish` would do, without doing it."""
        considered = self._considered(uid, whatever_the_rule=whatever_the_rule)
        study = considered.study
        if study is None or not considered.verdict.publish:
            return considered
        planned = self.publisher.plan(study, again=again)
        if self.on_demand is not None and planned.result is not Result.REFUSED:
            planned = replace(planned, result=Result.ANNOUNCED)
        return replace(considered, published=planned)

    def _without_reports_that_are_gone(self, published: Published) -> Published:
        """What was published beside an earlier manifest and is in the archive no more goes when this one stands."""
        uid = published.study_instance_uid
        if published.result not in (Result.PUBLISHED, Result.REPLACED, Result.UNCHANGED) or not self.owes_reports(uid):
            return published
        try:
            left, result = self.withdraw_reports(uid), Result.REFUSED
        except Unavailable as error:
            left, result = f"a report that is gone from the study stands: {error}", Result.UNAVAILABLE
        if not left:
            return published
        problem = Problem("XDSRegistryError", left, location=uid, rule="STUDY.report.gone")
        return replace(published, result=result, problems=(*published.problems, problem))

    def _of_another_patient(self, study: Study) -> str:
        """A manifest replaces none of another patient: that is withdrawn first; what keeps it from that, else empty."""
        uid = study.study_instance_uid
        former = self.publisher.publications.newest(uid)
        if former is None or self.publisher.check(study):
            return ""
        if self.publisher.entry_of(study).patient_id == former.patient:
            return ""
        return self.withdraw(uid)

    def _considered(self, uid: str, *, whatever_the_rule: bool) -> Considered:
        study = self.pacs.reread(uid)
        if study is None:
            return self._nothing(uid)
        verdict = judge(study, self.rule, today=self.clock().date(), reported=self.reported(study))
        if whatever_the_rule and not verdict.publish:
            verdict = Verdict(publish=True, reasons=("asked for, whatever the rule says",))
        return Considered(uid, study, verdict)

    def _nothing(self, uid: str) -> Considered:
        """No study, and why where it is there but cannot be served, such as that its files are of two patients."""
        found = {reason for place, reason in self.pacs.skipped() if place == uid or uid in reason.split()}
        if not found:
            return Considered(uid)
        withheld = "; ".join(sorted(found))
        return Considered(uid, verdict=Verdict(publish=False, reasons=(withheld,)), withheld=withheld)
