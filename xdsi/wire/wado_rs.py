"""WADO-RS on the wire: paths and Accept headers in, multipart/related and DICOM JSON out.

DICOM PS3.18 sections 8.7 (media types), 10.4 (retrieve transaction), annex F (DICOM JSON); RAD TF-2 4.107.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence

from xdsi.domain.errors import IntegrityLost, MalformedMessage
from xdsi.domain.wado import (
    DICOM,
    DICOM_JSON,
    JPEG,
    OCTETS,
    PNG,
    Acceptable,
    Representation,
    WadoAnswer,
    WadoPart,
    WadoRequest,
)
from xdsi.spec import dicom
from xdsi.wire.dicom_metadata import metadata
from xdsi.wire.http import HttpAnswer, HttpRequest, MediaRange, plain, read_accept
from xdsi.wire.wado_view import read_view

_UID = r"[0-9]+(?:\.[0-9]+)*"
_PATH = re.compile(
    r"/studies/(?P<study>[^/]+)(?:/series/(?P<series>[^/]+)(?:/instances/(?P<instance>[^/]+))?)?"
    r"(?P<rest>/metadata|/rendered|/frames/[^/]+(?:/rendered)?|/bulkdata/.+)?/?"
)
_UID_FORM = re.compile(_UID)
_BULKDATA = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,6}/[0-9A-Fa-f]{8}){0,32}")
_SYNTAX = re.compile(rf"\*|{_UID}")
_MAX_FRAMES = 10_000
FRAME_TYPES = {
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
}
"""media type of compressed frames -> the transfer syntax meant where none is named (PS3.18 table 8.7.3-5)"""


def read_request(http: HttpRequest) -> WadoRequest | None:
    """What is asked for; None for a path that is no resource, MalformedMessage for one that is badly written."""
    found = _PATH.fullmatch(http.path)
    if found is None:
        return None
    uids = [found[name] or "" for name in ("study", "series", "instance")]
    for uid in uids:
        if uid and (len(uid) > 64 or not _UID_FORM.fullmatch(uid)):
            raise MalformedMessage(f"{uid!r} is not a UID", location=http.path)
    rest = (found["rest"] or "").split("/")[1:]
    word = rest[0] if rest else "instances"
    if word in ("frames", "bulkdata") and not uids[2]:
        return None
    frames: tuple[int, ...] = ()
    path: tuple[int, ...] = ()
    if word == "frames":
        frames = _frames(rest[1])
        word = "rendered" if rest[2:] else "frames"
    elif word == "bulkdata":
        path = _bulkdata("/".join(rest[1:]))
    representation = Representation(word)
    accept = tuple(_acceptable(representation, _ranges(http)))
    return WadoRequest(
        study_uid=uids[0],
        series_uid=uids[1],
        sop_uid=uids[2],
        representation=representation,
        accept=accept,
        frames=frames,
        path=path,
        view=read_view(http, accept[0].media_type if accept else JPEG)
        if representation is Representation.RENDERED
        else WadoRequest(study_uid="").view,
    )


def _ranges(http: HttpRequest) -> tuple[MediaRange, ...]:
    """The parameter counts where there is one: who gives it cannot set the header (PS3.18 8.3.3.1)."""
    return read_accept(http.one("accept") or http.headers.get("accept", ""))


def _frames(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]{1,6}(,[0-9]{1,6})*", text):
        raise MalformedMessage(f"{text!r} is not a list of frame numbers", location="frames", expected="1,2,3")
    frames = tuple(dict.fromkeys(int(number) for number in text.split(",")))
    if 0 in frames or len(frames) > _MAX_FRAMES:
        raise MalformedMessage("frames count from 1", location="frames", expected=f"at most {_MAX_FRAMES} frames")
    return frames


def _bulkdata(text: str) -> tuple[int, ...]:
    if not _BULKDATA.fullmatch(text):
        raise MalformedMessage(f"{text!r} is not the path of an element", location="bulkdata", expected="7FE00010")
    parts = text.split("/")
    return tuple(int(part, 10 if number % 2 else 16) for number, part in enumerate(parts))


def _acceptable(representation: Representation, ranges: Sequence[MediaRange]) -> Iterator[Acceptable]:
    for one in ranges:
        multipart = one.media_type in ("multipart/related", "multipart/*")
        wanted = one.parameters.get("type", "").lower() if multipart else one.media_type
        inner = MediaRange(wanted or "*/*", {}, one.q)
        syntax = one.parameters.get("transfer-syntax", "")
        if syntax and not _SYNTAX.fullmatch(syntax):
            raise MalformedMessage(f"{syntax!r} is not a UID", location="Accept", expected="a transfer syntax or *")
        if representation is Representation.INSTANCES:
            if inner.covers(DICOM):
                yield Acceptable(DICOM, syntax or dicom.EXPLICIT_LE, multipart or "*" in one.media_type, one.q)
        elif representation is Representation.METADATA:
            if not multipart and (inner.covers(DICOM_JSON) or inner.covers("application/json")):
                yield Acceptable(DICOM_JSON, q=one.q)
        elif representation is Representation.RENDERED:
            for picture in (JPEG, PNG):
                if inner.covers(picture):
                    yield Acceptable(picture, multipart=multipart, q=one.q)
        elif inner.covers(OCTETS):
            whole = representation is Representation.BULKDATA
            yield Acceptable(OCTETS, "" if whole else syntax or dicom.EXPLICIT_LE, multipart or "*" in wanted, one.q)
        elif representation is Representation.FRAMES and wanted in FRAME_TYPES:
            yield Acceptable(wanted, syntax or FRAME_TYPES[wanted], multipart, one.q)


# -- out


def write_answer(answer: WadoAnswer, request: WadoRequest | None, http: HttpRequest) -> HttpAnswer:
    """The answer on its way: each part opened in its turn."""
    if not answer.parts:
        problems = answer.outcome.errors
        return plain(answer.status, problems[0].context if problems else "nothing here")
    assert request is not None
    headers = (("Warning", f'299 - "{len(answer.outcome.errors)} left out"'),) if answer.outcome.errors else ()
    if request.representation is Representation.METADATA:
        body = _json(answer.parts, http.url)
        return HttpAnswer(status=answer.status, content_type=DICOM_JSON, body=body, headers=headers)
    if not answer.multipart:
        (part,) = answer.parts
        size = part.document.size if part.document.size > 0 else None
        return HttpAnswer(
            status=answer.status,
            content_type=_content_type(part),
            body=exactly(part),
            length=size,
            headers=(*headers, ("Content-Location", _location(part, http.url, request))),
        )
    boundary = f"xdsi-{secrets.token_hex(16)}"
    heads = [_head(part, boundary, _location(part, http.url, request)) for part in answer.parts]
    end = f"--{boundary}--\r\n".encode()
    length: int | None = None
    if all(part.document.size > 0 for part in answer.parts):
        length = len(end) + sum(len(head) + 2 for head in heads) + sum(part.document.size for part in answer.parts)
    return HttpAnswer(
        status=answer.status,
        content_type=f'multipart/related; type="{answer.parts[0].media_type}"; boundary="{boundary}"',
        body=_multipart(answer.parts, heads, end),
        length=length,
        headers=headers,
    )


def _content_type(part: WadoPart) -> str:
    return f"{part.media_type}; transfer-syntax={part.transfer_syntax}" if part.transfer_syntax else part.media_type


def _location(part: WadoPart, url: str, request: WadoRequest) -> str:
    """Where this part is alone; UIDs come from images, and only what is one goes into a header."""
    uids = (request.study_uid, part.series_uid, part.instance.sop_instance_uid)
    if not all(_UID_FORM.fullmatch(uid) for uid in uids):
        return url
    place = f"{url}/studies/{uids[0]}/series/{uids[1]}/instances/{uids[2]}"
    if request.representation is Representation.RENDERED:
        return f"{place}/frames/{part.frame}/rendered" if part.frame else f"{place}/rendered"
    if request.representation is Representation.BULKDATA:
        return f"{place}/bulkdata/" + "/".join(
            str(step) if number % 2 else f"{step:08X}" for number, step in enumerate(request.path)
        )
    return f"{place}/frames/{part.frame}" if part.frame else place


def _head(part: WadoPart, boundary: str, location: str) -> bytes:
    return (
        f"--{boundary}\r\nContent-Type: {_content_type(part)}\r\nContent-Location: {location}\r\n"
        "MIME-Version: 1.0\r\n\r\n"
    ).encode("ascii")


def _multipart(parts: Iterable[WadoPart], heads: Iterable[bytes], end: bytes) -> Iterator[bytes]:
    for part, head in zip(parts, heads, strict=True):
        yield head
        yield from exactly(part)
        yield b"\r\n"
    yield end


def exactly(part: WadoPart) -> Iterator[bytes]:
    """The bytes of a part; one that turns out to be of another size breaks the answer off."""
    size = 0
    for chunk in part.document.open():
        size += len(chunk)
        yield chunk
    if part.document.size > 0 and size != part.document.size:
        raise IntegrityLost(f"{part.instance.sop_instance_uid} has {size} bytes, not {part.document.size}")


def _json(parts: Iterable[WadoPart], url: str) -> Iterator[bytes]:
    before = b"["
    for part in parts:
        yield before + json.dumps(metadata(part.document.open(), url), separators=(",", ":")).encode()
        before = b",\n"
    yield b"]"
