"""`/validator`: paste, choose or drop a file, and see what is wrong in it, each line marked.

The same as `xdsi validate`. What is given is judged in memory and forgotten: nothing is stored, logged or sent on, and
the page loads nothing from elsewhere. It works without scripts; with them a file can be dropped.
"""

from __future__ import annotations

import threading
from io import BytesIO
from typing import Final

from flask import Blueprint, Response, make_response, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from xdsi.domain.findings import Report
from xdsi.validation import VALIDATORS, by_key, validate
from xdsi.web.form_safety import HEADERS, same_origin
from xdsi.web.marked_lines import excerpt

MAX_BYTES: Final = 8 * 1024 * 1024
"""of a file; the command takes larger ones"""
_OVERHEAD = 64 * 1024
"""of the form around it"""
_AT_ONCE = 2
_PATIENCE = 10.0


def validator() -> Blueprint:
    """The page."""
    page = Blueprint(
        "validator", __name__, template_folder="templates", static_folder="static", static_url_path="/validator/static"
    )
    turns = threading.BoundedSemaphore(_AT_ONCE)

    @page.after_request
    def harden(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @page.get("/validator")
    def show() -> str:
        return _page()

    @page.post("/validator")
    def judge() -> Response:
        if not same_origin():
            return _told("the form was not sent from this page", 403)
        if request.content_length is None:
            return _told("the size of the request is not given", 411)
        if request.content_length > MAX_BYTES + _OVERHEAD:
            return _told(f"the file is too large; at most {MAX_BYTES} bytes, or the command xdsi validate", 413)
        try:
            raw, name, kind = _given()
        except RequestEntityTooLarge:
            return _told(f"the file is too large; at most {MAX_BYTES} bytes", 413)
        except ValueError:
            return _told("the form cannot be read", 400)
        if not raw:
            return _told("no file was chosen and nothing was pasted", 400)
        if not turns.acquire(timeout=_PATIENCE):
            return _told("others are being served; try again in a moment", 503)
        try:
            report = validate(raw, key=kind if by_key(kind) else "")
        finally:
            turns.release()
        return make_response(_page(report=report, raw=raw, name=name, kind=kind))

    return page


def _in_memory(
    total_content_length: int | None,
    content_type: str | None,
    filename: str | None,
    content_length: int | None = None,
) -> BytesIO:
    """Where a part of the form waits."""
    return BytesIO()


def _given() -> tuple[bytes, str, str]:
    """The bytes to judge, the name of the file, and the kind that was chosen; nothing touches a disk."""
    parser = FormDataParser(
        stream_factory=_in_memory,
        max_form_memory_size=MAX_BYTES,
        max_content_length=MAX_BYTES + _OVERHEAD,
        max_form_parts=10,
        silent=False,
    )
    _, form, files = parser.parse(request.stream, request.mimetype, request.content_length, request.mimetype_params)
    kind = form.get("kind", "")
    file = files.get("file")
    content = file.read() if file is not None else b""
    if content:
        return content, (file.filename or "file") if file is not None else "file", kind
    # Forms send every line end as CR LF.
    return form.get("text", "").replace("\r\n", "\n").encode(), "what was pasted", kind


def _told(message: str, status: int) -> Response:
    response = make_response(_page(message=message), status)
    response.headers["Connection"] = "close"
    return response


def _page(*, report: Report | None = None, raw: bytes = b"", name: str = "", kind: str = "", message: str = "") -> str:
    lines = excerpt(raw, report.findings) if report is not None else ()
    return render_template(
        "validator.html", report=report, lines=lines, name=name, kind=kind, message=message,
        kinds=[(one.key, one.name) for one in VALIDATORS], limit=MAX_BYTES // 1024 // 1024,
    )  # fmt: skip
