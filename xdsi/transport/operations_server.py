"""The operations port: health and metrics alone, plain HTTP on loopback, for probes that bear no certificate."""

from __future__ import annotations

import threading

from werkzeug.serving import WSGIRequestHandler, make_server

from xdsi.transport.wsgi import WsgiApp


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Probes come every few seconds; a line for each helps nobody."""


class OperationsServer:
    """Serves the pages of `web.operations` on 127.0.0.1."""

    def __init__(self, port: int, pages: WsgiApp) -> None:
        self._port = port
        self._pages = pages
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._server = make_server("127.0.0.1", self._port, self._pages, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, name="operations", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join(timeout=5)
            self._server.server_close()
