"""The other side of a throughput ratio: the least WSGI application on the same server, answering bytes of a file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from xdsi.transport.http_server import HttpServer, WsgiApp
from xdsi.transport.tls import TlsFiles


def application(answer: bytes, content_type: str) -> WsgiApp:
    """Reads the request and answers the same bytes each time."""
    headers = [("Content-Type", content_type), ("Content-Length", str(len(answer)))]

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", headers)
        return [answer]

    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--answer", type=Path, required=True)
    parser.add_argument("--content-type", required=True)
    parser.add_argument("--pki", type=Path, help="folder with hub.pem, hub.key and ca.pem; none: plain HTTP")
    given = parser.parse_args()
    tls = None
    if given.pki:
        tls = TlsFiles(certificate=given.pki / "hub.pem", key=given.pki / "hub.key", peer_ca=given.pki / "ca.pem")
    answer = given.answer.read_bytes()
    HttpServer(
        lambda: application(answer, given.content_type),
        address="127.0.0.1",
        port=given.port,
        tls=tls,
        workers=given.workers,
        threads=given.threads,
    ).run()


if __name__ == "__main__":
    main()
