"""Health and metrics for operators; no patient data.

`/health/live`: the process answers. `/health/ready`: it can do its work. `/metrics`: Prometheus text format.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from flask import Flask, Response, jsonify, request

from xdsi.web.publishing_queue import PublishingQueue, publishing_queue
from xdsi.web.validator import validator

METRICS: Final = "metrics"
"""what a node is permitted that reads the counts at the port of the services"""
Check = Callable[[], str]
"""Returns empty text when all is well, else what is wrong."""


class Metrics:
    """Counts by name and labels; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()

    def count(self, name: str, **labels: str) -> None:
        """One more."""
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += 1

    def text(self) -> str:
        """Prometheus exposition format."""
        with self._lock:
            counts = sorted(self._counts.items())
        lines: list[str] = []
        seen: set[str] = set()
        for (name, labels), value in counts:
            if name not in seen:
                seen.add(name)
                lines.append(f"# TYPE {name} counter")
            shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
            lines.append(f"{name}{{{shown}}} {value}" if shown else f"{name} {value}")
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def operations(
    checks: Mapping[str, Check],
    metrics: Metrics,
    *,
    services: Mapping[str, str] = MappingProxyType({}),
    with_validator: bool = False,
    counts_for: Callable[[Mapping[str, Any]], bool] = lambda environ: True,
    queue: PublishingQueue | None = None,
) -> Flask:
    """The pages; `checks` are named and run at each request of `/health/ready`, `services` are names by URL.

    `counts_for` says of a request's environment whether it is shown the counts (docs/decisions/0018). `queue` is of
    the studies to be published, where that is shown.
    """
    app = Flask("xdsi.web", static_folder=None)
    if with_validator:
        app.register_blueprint(validator())
    if queue is not None:
        app.register_blueprint(publishing_queue(queue))

    @app.get("/health/live")
    def live() -> Response:
        return jsonify(status="live")

    @app.get("/health/ready")
    def ready() -> tuple[Response, int]:
        found = {name: check() for name, check in checks.items()}
        well = not any(found.values())
        state = {name: problem or "ok" for name, problem in found.items()}
        return jsonify(status="ready" if well else "not ready", checks=state), 200 if well else 503

    @app.get("/metrics")
    def show_metrics() -> Response:
        if not counts_for(request.environ):
            return Response(f"counts are for nodes that are permitted {METRICS}\n", 403, mimetype="text/plain")
        return Response(metrics.text(), mimetype="text/plain; version=0.0.4")

    @app.get("/")
    def index() -> Response:
        lines = ["xdsi is running", *(f"{url}?wsdl  {name}" for url, name in services.items())]
        if with_validator:
            lines.append("/validator  judges files")
        if queue is not None:
            lines.append("/publishing  the queue of studies to be published")
        return Response("\n".join(lines) + "\n", mimetype="text/plain")

    return app
