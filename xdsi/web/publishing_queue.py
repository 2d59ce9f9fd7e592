"""`/publishing`: the queue of studies to be published, what was set aside with the reason, and a button to try again.

The same as `xdsi source queue`. Reasons name studies and may name patients: it is shown to nodes that are permitted
`publishing`, and to everybody in the open profile, which hides nothing. It works without scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from xdsi.actors.publication_queue import Job
from xdsi.web.form_safety import HEADERS, same_origin

PUBLISHING: Final = "publishing"
"""what a node is permitted that may see the queue and have studies tried again"""
_FORM: Final = 64 * 1024
_SHOWN: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishingQueue:
    """What the page works with; `shown_to` says of a request's environment whether it may see it."""

    jobs: Callable[[], Sequence[Job]]
    retry: Callable[[Sequence[str]], Sequence[str]]
    """lets studies be tried at once, all that were set aside where none is named; those that there are"""
    shown_to: Callable[[Mapping[str, Any]], bool]


def publishing_queue(queue: PublishingQueue) -> Blueprint:
    """The page."""
    page = Blueprint("publishing", __name__, template_folder="templates", static_folder="static",
                     static_url_path="/publishing/static")  # fmt: skip

    @page.before_request
    def admit() -> Response | None:
        if queue.shown_to(request.environ):
            return None
        told = f"the queue is for nodes that are permitted {PUBLISHING}\n"
        return Response(told, 403, mimetype="text/plain")

    @page.after_request
    def harden(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @page.get("/publishing")
    def show() -> str:
        jobs = sorted(queue.jobs(), key=lambda one: (one.state != "dead", one.due))
        rows = [(job, _time(job.due), _time(job.since)) for job in jobs[:_SHOWN]]
        dead = sum(job.state == "dead" for job in jobs)
        return render_template("publishing.html", rows=rows, dead=dead, more=len(jobs) - len(rows))

    @page.post("/publishing")
    def retry() -> Response:
        if not same_origin():
            return make_response("the form was not sent from this page\n", 403)
        request.max_content_length = _FORM
        studies = request.form.getlist("study")
        if not studies and "all" not in request.form:
            return make_response("no study is named\n", 400)
        queue.retry(studies)
        # Loading the page again must not send the form again.
        return make_response(redirect(url_for("publishing.show"), 303))

    return page


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
