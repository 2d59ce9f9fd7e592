"""RAD-16 Retrieve Images: an application entity has images sent to itself by C-MOVE.

RAD TF-2: 4.16; DICOM PS3.4 C.4.2. One decision per manifest, for the organisation that the entity is bound to. What may
not be seen is no match, like what is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from xdsi.domain.audit import ExchangeFacts, StudyFacts
from xdsi.domain.consent import Action, Resource
from xdsi.domain.errors import Unavailable
from xdsi.domain.imaging import Instance
from xdsi.domain.move import MoveAnswer, Moved, MoveRequest
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import RegistrySession
from xdsi.exchange import Call, Located, Transaction
from xdsi.rules.image_access import ImagingPorts, manifest_of

NOT_THERE = Problem("no-match", "no such study, series or instance", rule="RAD16.instance")


def locate(request: MoveRequest, ports: ImagingPorts, session: RegistrySession) -> Located:
    """The instances asked for, each with the number of its decision; the resources are their studies' manifests."""
    found: list[tuple[Moved, int]] = []
    resources: list[Resource] = []
    for study_uid in dict.fromkeys(request.study_uids):
        # First the instances, then the judgement of their study: what is written anew after it does not open any more.
        instances = list(_instances(study_uid, request, ports))
        resource = manifest_of(study_uid, ports) if instances else None
        if resource is not None:
            found.extend((one, len(resources)) for one in instances)
            resources.append(resource)
    return Located(tuple(resources), tuple(found))


def _instances(study_uid: str, request: MoveRequest, ports: ImagingPorts) -> Iterator[Moved]:
    if request.sop_uids:
        (series_uid,) = request.series_uids
        for uid in dict.fromkeys(request.sop_uids):
            instance = _located(study_uid, series_uid, uid, ports)
            if instance is not None:
                yield Moved(study_uid, series_uid, instance)
        return
    study = ports.instances.study(study_uid)
    for series in study.series if study else ():
        if not request.series_uids or series.series_instance_uid in request.series_uids:
            for instance in series.instances:
                # Which transfer syntax it is kept in has to be proposed to the destination.
                known = (
                    instance
                    if instance.transfer_syntax_uid
                    else _located(study_uid, series.series_instance_uid, instance.sop_instance_uid, ports)
                )
                if known is not None:
                    yield Moved(study_uid, series.series_instance_uid, known)


def _located(study_uid: str, series_uid: str, sop_uid: str, ports: ImagingPorts) -> Instance | None:
    """The instance; one that cannot be read at present as its study has it, for it is one that does not arrive."""
    try:
        return ports.instances.locate(study_uid, series_uid, sop_uid)
    except Unavailable:
        study = ports.instances.study(study_uid)
        found = [
            instance
            for series in (study.series if study else ())
            if series.series_instance_uid == series_uid
            for instance in series.instances
            if instance.sop_instance_uid == sop_uid
        ]
        return found[0] if found else None


def handle(call: Call[MoveRequest]) -> MoveAnswer:
    """What of it is permitted."""
    ports: ImagingPorts = call.ports
    permitted = tuple(one for one, decision in call.located.state or () if call.decisions[decision].permit)
    if len(permitted) > ports.max_instances:
        most = f"at most {ports.max_instances} instances may be asked for at once (limits.instances)"
        return MoveAnswer(outcome=Outcome.of((Problem("limit", most, rule="RAD16.limit"),), delivered=0))
    problems = () if permitted else (NOT_THERE,)
    return MoveAnswer(outcome=Outcome.of(problems, delivered=len(permitted)), instances=permitted)


def refuse(request: MoveRequest | None, problems: Sequence[Problem]) -> MoveAnswer:
    """Nothing is sent."""
    return MoveAnswer(outcome=Outcome.of(problems, delivered=0))


def facts(request: MoveRequest, answer: MoveAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """Each study asked for, with what is sent of it; one of which nothing is sent is a failure."""
    studies: list[StudyFacts] = []
    for study_uid in dict.fromkeys(request.study_uids):
        sent = [one for one in answer.instances if one.study_uid == study_uid] if answer else []
        classes: dict[str, list[str]] = {}
        for one in sent:
            classes.setdefault(one.instance.sop_class_uid, []).append(one.instance.sop_instance_uid)
        studies.append(
            StudyFacts(
                study_instance_uid=study_uid,
                instances=tuple((name, tuple(uids)) for name, uids in classes.items()) or (("", request.sop_uids),),
                series=tuple(dict.fromkeys(one.series_uid for one in sent)) or request.series_uids,
                outcome=0 if sent else 8,
            )
        )
    return replace(base, studies=tuple(studies))


def unsent(answer: MoveAnswer, failed: Sequence[str], base: ExchangeFacts) -> ExchangeFacts:
    """What was on record as sent and did not arrive after all."""
    missing = set(failed)
    studies = tuple(
        StudyFacts(
            study_instance_uid=study_uid,
            instances=(
                ("", tuple(one.instance.sop_instance_uid for one in answer.instances
                           if one.study_uid == study_uid and one.instance.sop_instance_uid in missing)),
            ),
            outcome=8,
        )
        for study_uid in dict.fromkeys(
            one.study_uid for one in answer.instances if one.instance.sop_instance_uid in missing
        )
    )  # fmt: skip
    return replace(base, studies=studies, outcome=8, outcome_description=f"{len(missing)} instances did not arrive")


TRANSACTION = Transaction(
    number="RAD-16",
    name="Retrieve Images",
    locate=locate,
    handle=handle,
    refuse=refuse,
    facts=facts,
    action=Action.RETRIEVE_IMAGING,
    malformed_code="identifier",
    unavailable_code="unavailable",
)
