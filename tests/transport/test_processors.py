"""transport/processors: where the settings name processors, each worker stays on one of them."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from tests.bench.processes import free_port
from xdsi.domain.errors import ConfigurationError
from xdsi.transport.http_server import HttpServer
from xdsi.transport.processors import choose_processor, require_processors


def _application(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = json.dumps(sorted(os.sched_getaffinity(0))).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _serve(port: int, processors: tuple[int, ...], ready: Any) -> None:
    HttpServer(
        lambda: _application, address="127.0.0.1", port=port, tls=None, processors=processors, when_ready=ready.set
    ).run()


@pytest.mark.parametrize("named", [False, True])
def test_the_threads_of_a_worker_stay_on_the_processor_that_was_named(*, named: bool) -> None:
    """Given a server with or without `processors`, when a thread of it answers, it may run there or anywhere."""
    usable = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    ready, port = context.Event(), free_port()
    process = context.Process(target=_serve, args=(port, (usable[-1],) if named else (), ready))
    process.start()
    try:
        assert ready.wait(30)
        answer = requests.get(f"http://127.0.0.1:{port}/", headers={"Connection": "close"}, timeout=20).json()
    finally:
        process.terminate()
        process.join(30)
    assert answer == ([usable[-1]] if named else usable)


@pytest.mark.parametrize(
    ("named", "running", "chosen"),
    [
        ((3,), [], 3),
        ((3,), [3, 3], 3),
        ((0, 1), [], 0),
        ((0, 1), [0], 1),
        ((0, 1), [0, 1], 0),
        ((0, 1, 2), [2, 0], 1),
        ((0, 1), [1, 0, 1], 0),
    ],
)
def test_a_new_worker_goes_where_the_fewest_are(named: tuple[int, ...], running: list[int], chosen: int) -> None:
    """Given the workers that run, also after one of them ended, a new one takes the place that has the fewest."""
    arbiter = SimpleNamespace(WORKERS={pid: SimpleNamespace(processor=one) for pid, one in enumerate(running)})
    worker = SimpleNamespace()
    choose_processor(named, arbiter, worker)
    assert worker.processor == chosen


def test_a_processor_that_is_not_there_is_refused_by_its_number() -> None:
    usable = os.sched_getaffinity(0)
    require_processors(())
    require_processors(sorted(usable))
    with pytest.raises(ConfigurationError, match=rf"server\.processors: there is no {max(usable) + 1}; valid: "):
        require_processors((min(usable), max(usable) + 1))
