"""A server that commits faults: a layer around a WSGI application that changes answers, and records every exchange.

Faults are switched while it runs: `GET /simulator/faults` lists those that are on, `PUT` with names, a line each, sets
them. For tests on loopback addresses only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from io import BytesIO
from typing import Any, Protocol

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from xdsi.transport.wsgi import WsgiApp
from xdsi.wire.simulated_faults import Fault, HttpMessage

LIMIT = 256 * 1024 * 1024
"""bytes of a request or an answer"""
SWITCH = "/simulator/faults"


class Recorder(Protocol):
    """Keeps exchanges."""

    def exchange(
        self, request_line: str, request_headers: Iterable[tuple[str, str]], request: bytes, status_line: str,
        headers: Iterable[tuple[str, str]], answer: bytes, *, began: datetime, faults: Iterable[str] = (),
    ) -> int:  # fmt: skip
        """Keep one exchange."""


class Switches:
    """Which faults are on; threads may share it."""

    def __init__(self, known: Mapping[str, Fault], on: Collection[str] = ()) -> None:
        self.known = known
        self._on: tuple[str, ...] = ()
        self.set(on)

    def set(self, names: Collection[str]) -> None:
        """Switch these on and all others off; LookupError for one that is not known."""
        unknown = [name for name in names if name not in self.known]
        if unknown:
            raise LookupError(f"no fault {unknown[0]!r}; there are {', '.join(self.known)}")
        self._on = tuple(dict.fromkeys(names))

    @property
    def on(self) -> tuple[str, ...]:
        """Those that are on."""
        return self._on


class FaultLayer:
    """A WSGI application with faults."""

    def __init__(self, inner: WsgiApp, switches: Switches, recorder: Recorder | None, *, delay: float) -> None:
        self._inner = inner
        self._switches = switches
        self._recorder = recorder
        self._delay = delay

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request, with the faults that are on."""
        began = datetime.now(UTC)
        request = _body(environ)
        if environ.get("PATH_INFO") == SWITCH:
            return self._switch(environ["REQUEST_METHOD"], request, start_response)
        on = self._switches.on
        inner = {**environ, "wsgi.input": BytesIO(request), "CONTENT_LENGTH": str(len(request))}
        inner.pop("HTTP_TRANSFER_ENCODING", None)
        answer = self._answer(inner)
        for name in on:
            apply = self._switches.known[name].apply
            answer = apply(answer) if apply is not None else answer
        if "slow" in on:
            time.sleep(self._delay)
        sent = answer.body if answer.send is None else answer.body[: answer.send]
        headers = [one for one in answer.headers if one[0].lower() not in ("content-length", "connection")]
        headers += [("Content-Length", str(len(answer.body))), ("Connection", "close")]
        status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
        silent = "no-answer" in on
        if self._recorder is not None:
            line = f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '/')} HTTP/1.1"
            self._recorder.exchange(
                line, _headers(environ), request, "" if silent else f"HTTP/1.1 {status}", () if silent else headers,
                b"" if silent else sent, began=began, faults=on,
            )  # fmt: skip
        if silent:
            raise ConnectionAbortedError("simulated: no answer")
        start_response(status, headers)
        return [sent]

    def _switch(self, method: str, body: bytes, start_response: Callable[..., Any]) -> Iterable[bytes]:
        status = "200 OK"
        try:
            if method == "PUT":
                self._switches.set(body.decode("utf-8", "replace").split())
            told = "".join(f"{name}\n" for name in self._switches.on)
        except LookupError as error:
            status, told = "400 Bad Request", f"{error.args[0]}\n"
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(told.encode())))])
        return [told.encode()]

    def _answer(self, environ: dict[str, Any]) -> HttpMessage:
        said: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], None]:
            said.append((status, headers))
            return lambda data: None

        pieces = self._inner(environ, start)
        try:
            body = b"".join(pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
        status, headers = said[-1]
        return HttpMessage(int(status.split()[0]), tuple(headers), body)


def _body(environ: Mapping[str, Any]) -> bytes:
    """The request's body, within the limit."""
    length = environ.get("CONTENT_LENGTH")
    if not length and not environ.get("wsgi.input_terminated"):
        return b""
    body: bytes = environ["wsgi.input"].read(min(int(length or LIMIT), LIMIT))
    return body


def _headers(environ: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [(name[5:].replace("_", "-").title(), str(value)) for name, value in environ.items() if name[:5] == "HTTP_"]
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            found.append((name.replace("_", "-").title(), str(environ[name])))
    return found


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - named so by werkzeug
        """Every exchange is recorded; it need not be logged, too."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """A fault that ends the connection is no error."""
        self.close_connection = True


class LocalServer:
    """Serves a WSGI application on a loopback address, in threads."""

    def __init__(self, application: WsgiApp, *, address: str, port: int) -> None:
        self._server: BaseWSGIServer = make_server(
            address, port, application, threaded=True, request_handler=_Handler, passthrough_errors=True
        )
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="simulator", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._thread.join(timeout=10)
        self._server.server_close()
