"""What RAD-107 and RAD-55 have in common: the instances of a request, and the form in which each is given out.

DICOM PS3.18 sections 8.7.8 (negotiation) and 10.4.3 (responses). A problem's code is an HTTP status. What a caller may
not see is answered as what is not there.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsi.domain.audit import ExchangeFacts, StudyFacts
from xdsi.domain.errors import MalformedMessage, Refused, Unavailable
from xdsi.domain.imaging import Instance, Study
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.submission import Document
from xdsi.domain.wado import OCTETS, Acceptable, Representation, WadoAnswer, WadoPart, WadoRequest
from xdsi.rules.image_access import ANY_SYNTAX, Delivery, ImagingPorts, WadoPorts
from xdsi.spec import dicom

NATIVE = frozenset({dicom.IMPLICIT_LE, dicom.EXPLICIT_LE, dicom.DEFLATED_EXPLICIT_LE, dicom.EXPLICIT_BE})
COMPRESSED = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    **{f"1.2.840.10008.1.2.4.{n}": "image/jpeg" for n in (50, 51, 57, 70)},
    **{f"1.2.840.10008.1.2.4.{n}": "image/jls" for n in (80, 81)},
    **{f"1.2.840.10008.1.2.4.{n}": "image/jp2" for n in (90, 91)},
}
"""transfer syntax -> media type of its frames (PS3.18 table 8.7.3-5)"""


@dataclass(frozen=True, slots=True)
class Found:
    """An instance that is asked for."""

    series_uid: str
    instance: Instance


NOTHING = Problem("404", "no such study, series or instance", rule="WADO.instance")
NO_FORM = Problem("406", "no acceptable form is made here", rule="WADO.accept")


def instances_of(request: WadoRequest, ports: ImagingPorts) -> tuple[Found, ...]:
    """The instances that a request is about, as the PACS holds them."""
    if request.sop_uid:
        one = ports.instances.locate(request.study_uid, request.series_uid, request.sop_uid)
        return (Found(request.series_uid, one),) if one is not None else ()
    study: Study | None = ports.instances.study(request.study_uid)
    return tuple(
        Found(series.series_instance_uid, instance)
        for series in (study.series if study else ())
        if request.series_uid in ("", series.series_instance_uid)
        for instance in series.instances
    )


class _Maker:
    """Makes the parts of one answer, within a time."""

    def __init__(self, request: WadoRequest, ports: WadoPorts) -> None:
        self._request = request
        self._ports = ports
        self._delivery = Delivery(ports.images)
        self._preferences = [
            [one.transfer_syntax for one in request.accept if one.q == q]
            for q in dict.fromkeys(one.q for one in request.accept)
        ]
        self._seconds = 0.0

    def parts(self, found: Found) -> list[WadoPart]:
        """What is given out of an instance; raises Unavailable, Refused, MalformedMessage or LookupError."""
        request = self._request
        instance = found.instance if found.instance.transfer_syntax_uid else self._located(found)
        found = replace(found, instance=instance)
        # Raises while this instance can still be answered for; once the status is written it is too late.
        opened = self._ports.images.instances.open(instance)
        if request.representation is Representation.INSTANCES:
            given = self._delivery.deliver_best(instance, opened, self._preferences)
            syntax = _made_syntax(self._preferences) if given.made else instance.transfer_syntax_uid
            return [self._part(found, request.accept[0].media_type, given.document, syntax)]
        if request.representation is Representation.METADATA:
            document = Document(open=lambda: opened, size=0)
            return [self._part(found, request.accept[0].media_type, document)]
        if self._seconds > self._ports.images.transcoding_seconds:
            raise Refused("too much to make at once, ask for less")
        began = time.perf_counter()
        try:
            return self._made(found)
        finally:
            self._seconds += time.perf_counter() - began

    def _located(self, found: Found) -> Instance:
        """An instance of which the study did not say the transfer syntax."""
        uid, series_uid = found.instance.sop_instance_uid, found.series_uid
        located = self._ports.images.instances.locate(self._request.study_uid, series_uid, uid)
        if located is None:
            raise Unavailable(f"{uid} has gone")
        return located

    def _made(self, found: Found) -> list[WadoPart]:
        request, pictures = self._request, self._ports.pictures
        if request.representation is Representation.RENDERED:
            view = request.view
            return [
                self._part(
                    found, view.media_type, pictures.rendered(found.instance, replace(view, frame=n or 1)), "", n
                )
                for n in request.frames or (0,)
            ]
        if request.representation is Representation.BULKDATA:
            return [self._part(found, OCTETS, pictures.bulkdata(found.instance, request.path))]
        native = _native_frames(found.instance, request.accept)
        made = pictures.frames(found.instance, request.frames, native=native)
        return [
            self._part(found, COMPRESSED.get(syntax, OCTETS), document, syntax, n)
            for n, (syntax, document) in zip(request.frames, made, strict=True)
        ]

    @staticmethod
    def _part(found: Found, media_type: str, document: Document, transfer_syntax: str = "", frame: int = 0) -> WadoPart:
        return WadoPart(
            instance=found.instance,
            series_uid=found.series_uid,
            media_type=media_type,
            transfer_syntax=transfer_syntax,
            document=document,
            frame=frame,
        )


def _made_syntax(preferences: Sequence[Sequence[str]]) -> str:
    """The syntax that was made, where that is certain: transcoding chooses among those that can be."""
    wanted = {syntax for group in preferences for syntax in group if syntax in NATIVE}
    return next(iter(wanted)) if len(wanted) == 1 else ""


def _native_frames(instance: Instance, accept: Sequence[Acceptable]) -> bool:
    """Whether frames leave decompressed; raises Refused where neither they nor the kept ones will do."""
    stored = instance.transfer_syntax_uid
    kept_type = COMPRESSED.get(stored, OCTETS)
    for one in accept:
        if one.media_type == OCTETS and one.transfer_syntax in NATIVE:
            return True
        if one.media_type == OCTETS and one.transfer_syntax == ANY_SYNTAX:
            return stored in NATIVE or kept_type == OCTETS
        if one.media_type == kept_type and one.transfer_syntax in (stored, ANY_SYNTAX):
            return False
    raise Refused(f"frames in {stored} are not made in the forms asked for")


def refused(problem: Problem) -> WadoAnswer:
    """Nothing, for one reason."""
    return WadoAnswer(outcome=Outcome.of((problem,), delivered=0))


def give_out(request: WadoRequest, found: Sequence[Found], ports: WadoPorts, *, multipart: bool) -> WadoAnswer:
    """The instances found, each in the most welcome form that can be made; none is the same as none permitted."""
    if not found:
        return refused(NOTHING)
    maker = _Maker(request, ports)
    parts: list[WadoPart] = []
    problems: list[Problem] = []
    for one in found:
        uid = one.instance.sop_instance_uid
        try:
            parts.extend(maker.parts(one))
        except Unavailable:
            problems.append(Problem("503", "an instance cannot be read at present", uid, rule="WADO.unreadable"))
        except LookupError as error:
            problems.append(Problem("404", str(error.args[0]), uid, rule="WADO.part"))
        except (MalformedMessage, Refused) as error:
            problems.append(Problem("406", f"no acceptable form can be made: {error}", uid, rule="WADO.form"))
    return WadoAnswer(outcome=Outcome.of(problems, delivered=len(parts)), parts=tuple(parts), multipart=multipart)


def described(request: WadoRequest, answer: WadoAnswer | None, base: ExchangeFacts, location: str) -> ExchangeFacts:
    """The study asked for, split into what was given out and what was not; each instance once."""
    given: dict[str, dict[str, None]] = {}
    series: dict[str, None] = {}
    for part in answer.parts if answer else ():
        given.setdefault(part.instance.sop_class_uid, {})[part.instance.sop_instance_uid] = None
        series[part.series_uid] = None
    studies: list[StudyFacts] = []
    if given:
        studies.append(
            StudyFacts(
                study_instance_uid=request.study_uid,
                instances=tuple((sop_class, tuple(uids)) for sop_class, uids in given.items()),
                series=tuple(series),
                repository_unique_id=location,
            )
        )
    errors = answer.outcome.errors if answer else ()
    if errors or not given:
        known = {uid for uids in given.values() for uid in uids}
        missing = tuple(dict.fromkeys(one.location for one in errors if one.location and one.location not in known))
        studies.append(
            StudyFacts(
                study_instance_uid=request.study_uid,
                instances=(("", missing or ((request.sop_uid,) if request.sop_uid else ())),),
                series=(request.series_uid,) if request.series_uid else (),
                repository_unique_id=location,
                outcome=8,
            )
        )
    return replace(base, studies=tuple(studies))
