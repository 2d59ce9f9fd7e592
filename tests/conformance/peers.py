"""A peer that answers Success to everything, and keeps what it was sent."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from xdsi.conformance import cases, templates

SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
KIND = cases.kinds()["ITI-42"]


def envelope(body: str, action: str = KIND.reply, headers: str = "") -> bytes:
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in templates.NAMESPACES.items())
    return (
        f'<soap:Envelope {declared}><soap:Header><wsa:Action soap:mustUnderstand="1">{action}</wsa:Action>'
        f"<wsa:RelatesTo>urn:uuid:1</wsa:RelatesTo>{headers}</soap:Header><soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()


def response(status: str = SUCCESS, errors: str = "", highest: str = "") -> str:
    listed = f"<rs:RegistryErrorList{highest}>{errors}</rs:RegistryErrorList>" if errors else ""
    return f'<rs:RegistryResponse status="{status}">{listed}</rs:RegistryResponse>'


class Peer(ThreadingHTTPServer):
    """Keeps what it was sent, and answers with Success."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[dict[str, str], bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Peer

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(({name.lower(): text for name, text in self.headers.items()}, body))
        found = re.search(rb"MessageID>([^<]*)<", body)
        raw = envelope(response(), cases.kinds()["ITI-41"].reply)
        raw = raw.replace(b"urn:uuid:1", found[1] if found else b"")
        self.send_response(200)
        self.send_header("Content-Type", "application/soap+xml")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@contextmanager
def answering() -> Iterator[Peer]:
    """A peer for as long as the block lasts."""
    server = Peer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
