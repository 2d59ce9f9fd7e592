"""WADO-URI on the wire: one instance asked for by query parameters.

DICOM PS3.18 section 9; RAD TF-2 4.55.
"""

from __future__ import annotations

import re
from dataclasses import replace

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.wado import DICOM, JPEG, PNG, Acceptable, Representation, View, WadoAnswer, WadoRequest
from xdsi.spec import dicom
from xdsi.wire.http import HttpAnswer, HttpRequest, MediaRange, plain, read_accept
from xdsi.wire.wado_rs import exactly
from xdsi.wire.wado_view import quality, side, window_of

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_REFUSED = {
    "annotation": "annotations are not drawn",
    "presentationUID": "presentation states are not applied",
    "presentationSeriesUID": "presentation states are not applied",
}
_VIEWED = ("frameNumber", "rows", "columns", "region", "windowCenter", "windowWidth", "imageQuality")


def read_request(http: HttpRequest) -> WadoRequest | None:
    """What is asked for, its forms in the order of preference; None for a path below the one that is served."""
    if http.path.strip("/"):
        return None
    if http.one("requestType") != "WADO":
        raise MalformedMessage("not a WADO request", location="requestType", expected="WADO")
    for name, text in _REFUSED.items():
        if http.one(name):
            raise MalformedMessage(text, location=name, expected="no such parameter")
    if http.one("anonymize") not in ("", "no"):
        raise MalformedMessage("instances are not anonymized", location="anonymize", expected="no such parameter")
    syntax = http.one("transferSyntax")
    if syntax and not _UID.fullmatch(syntax):
        raise MalformedMessage(f"{syntax!r} is not a UID", location="transferSyntax")
    view = _view(http)
    return WadoRequest(
        study_uid=_uid(http, "studyUID"),
        series_uid=_uid(http, "seriesUID"),
        sop_uid=_uid(http, "objectUID"),
        accept=tuple(_forms(http, syntax, viewed=any(http.one(name) for name in _VIEWED))),
        view=view,
    )


def form_of(request: WadoRequest, form: Acceptable) -> WadoRequest:
    """The request for one of its forms; instances that cannot be had as asked come uncompressed (PS3.18 9.1.2.2.4)."""
    if form.media_type != DICOM:
        return replace(
            request,
            representation=Representation.RENDERED,
            accept=(form,),
            view=replace(request.view, media_type=form.media_type),
            frames=(request.view.frame,) if request.view.frame > 1 else (),
        )
    plainest = Acceptable(DICOM, dicom.EXPLICIT_LE, q=0.5)
    return replace(request, accept=(form, plainest))


def _uid(http: HttpRequest, name: str) -> str:
    """A UID; one that is none is like one that is not known (404)."""
    uid = http.one(name)
    return uid if len(uid) <= 64 and _UID.fullmatch(uid) else ""


def _forms(http: HttpRequest, syntax: str, *, viewed: bool) -> list[Acceptable]:
    asked = http.one("contentType")
    if asked:
        ranges: tuple[MediaRange, ...] = read_accept(asked)
        fitting = read_accept(http.headers.get("accept", ""))
    else:
        ranges, fitting = read_accept(http.headers.get("accept", "")), (MediaRange("*/*", {}),)
    forms: list[Acceptable] = []
    for one in ranges:
        # A picture is what the parameter is for where nothing is said; of an object that is none, the object.
        for media_type in (JPEG, PNG, DICOM):
            known = any(form.media_type == media_type for form in forms)
            welcome = any(other.covers(media_type) for other in fitting)
            if one.covers(media_type) and welcome and not known and not (viewed and media_type == DICOM):
                forms.append(Acceptable(media_type, (syntax or dicom.EXPLICIT_LE) if media_type == DICOM else ""))
    return forms


def _view(http: HttpRequest) -> View:
    rows, columns = http.one("rows"), http.one("columns")
    center, width = http.one("windowCenter"), http.one("windowWidth")
    if bool(center) is not bool(width):
        raise MalformedMessage("windowCenter and windowWidth come together", location="windowCenter")
    frame = http.one("frameNumber")
    if frame and not re.fullmatch(r"[1-9][0-9]{0,5}", frame):
        raise MalformedMessage(f"{frame!r} is not a frame number", location="frameNumber", expected="1 or more")
    return View(
        frame=int(frame or 1),
        width=side(columns, "columns") if columns else None,
        height=side(rows, "rows") if rows else None,
        region=_region(http.one("region")),
        window=window_of(center, width, "windowCenter") if center else None,
        quality=quality(http.one("imageQuality"), "imageQuality"),
    )


def _region(text: str) -> tuple[float, float, float, float] | None:
    if not text:
        return None
    parts = text.split(",")
    try:
        left, top, right, bottom = (float(part) for part in parts)
    except ValueError as error:
        raise MalformedMessage(f"{text!r} is not a region", location="region", expected="four decimals") from error
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise MalformedMessage(f"{text!r} is not a region", location="region", expected="0 <= left < right <= 1")
    return left, top, right, bottom


def write_answer(answer: WadoAnswer, request: WadoRequest | None, http: HttpRequest) -> HttpAnswer:
    """The one part that is given out."""
    if not answer.parts:
        problems = answer.outcome.errors
        return plain(answer.status, problems[0].context if problems else "nothing here")
    (part,) = answer.parts
    return HttpAnswer(
        status=200,
        content_type=part.media_type,
        body=exactly(part),
        length=part.document.size if part.document.size > 0 else None,
    )
