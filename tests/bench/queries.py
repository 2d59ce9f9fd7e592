"""FindDocuments against the same bytes from a bare WSGI application on the same HTTP server."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import content, hub
from tests.bench.figures import Comparison, Side, alternate
from tests.bench.load import CONNECTIONS, Load
from tests.bench.processes import Server, free_port, python, running
from xdsi.transport.tls import client_context

_PATH = "/services/registry"
_TYPE = "application/soap+xml; charset=UTF-8"


def open_profile(folder: Path, *, rounds: int, seconds: float) -> Comparison:
    """Plain HTTP, no assertion, no consent; audit on."""
    with hub.open_hub(folder) as running_hub:
        return _compare(
            running_hub,
            "FindDocuments, ten entries, LeafClass, plain HTTP",
            "xdsi serve --profile open (SQLite)",
            aim=0.5,
            rounds=rounds,
            seconds=seconds,
        )


def full_profile(folder: Path, *, rounds: int, seconds: float) -> Comparison:
    """Mutual TLS, an assertion in each request, a consent for each patient; audit on."""
    with hub.full_hub(folder) as running_hub:
        return _compare(
            running_hub,
            "FindDocuments, ten entries, LeafClass, TLS + SAML + consent",
            "xdsi serve, full profile (SQLite)",
            aim=None,
            rounds=rounds,
            seconds=seconds,
        )


def _compare(
    running_hub: hub.Hub, title: str, name: str, *, aim: float | None, rounds: int, seconds: float
) -> Comparison:
    folder = running_hub.folder
    content.fill(running_hub)
    messages = content.write_queries(running_hub, folder / "queries")
    answer = b""
    for _ in range(2):  # warm
        for message in messages:
            answer = _ask(running_hub, message.read_bytes())
            if answer.count(b"<rim:ExtrinsicObject ") != content.FOUND:
                raise RuntimeError(f"not {content.FOUND} entries: {answer[:2000]!r}")
    (folder / "answer.xml").write_bytes(answer)
    pki = running_hub.pki if running_hub.full else None
    load = Load(messages, _PATH, seconds, folder, pki)
    with _bare(folder, pki) as bare:
        ours, other = alternate(rounds, load.measure(running_hub.server), load.measure(bare))
    notes = {
        "answer": f"{len(answer)} bytes",
        "client": f"{load.client}, {CONNECTIONS} connections",
        "server": f"{hub.WORKERS} worker, {hub.THREADS} threads, both sides",
    }
    return Comparison(
        title, "requests/s", Side(name, ours), Side("bare WSGI application, same server", other), aim, notes
    )


def _ask(running_hub: hub.Hub, message: bytes) -> bytes:
    port = running_hub.server.port
    connection = http.client.HTTPConnection("127.0.0.1", port)
    if running_hub.full:
        context = client_context(hub.tls_files(running_hub.pki, "consumer"))
        connection = http.client.HTTPSConnection("localhost", port, context=context)
    connection.request("POST", _PATH, message, {"Content-Type": _TYPE})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status != 200:
        raise RuntimeError(f"status {response.status}: {answer[:2000]!r}")
    return answer


@contextmanager
def _bare(folder: Path, pki: Path | None) -> Iterator[Server]:
    port = free_port()
    command = python("tests.bench.bare", "--port", str(port), "--answer", folder / "answer.xml")
    command += ["--content-type", _TYPE, "--workers", str(hub.WORKERS), "--threads", str(hub.THREADS)]
    if pki is not None:
        command += ["--pki", pki]
    with running(command, port=port, tls=pki is not None, log=folder / "bare.log") as server:
        yield server
