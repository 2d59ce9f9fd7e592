"""Many answers of many documents at once: what a process holds for them stays within bounds."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import sqlalchemy as sa

from tests.app.repository_client import RepositoryClient
from tests.servers import Server, envelope, http, serving
from xdsi.domain.identifiers import new_oid
from xdsi.spec.namespaces import SUCCESS
from xdsi.storage.database import open_database, writing
from xdsi.storage.tables import document as rows

RETRIEVE = "urn:ihe:iti:2007:RetrieveDocumentSet"
REPOSITORY = "2.999.1.2"
DOCUMENTS = 1300
SIZE = 20_000
AT_ONCE = 8
MOST_GROWTH = 32 * 1024 * 1024


def private_memory(server: Server) -> int:
    """Of the worker, what is its own: pages of the database's file are shared, and counted for each connection."""
    (worker,) = server.workers
    status = Path(f"/proc/{worker}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


def named_alike(data: Path, unique_id: str) -> list[str]:
    """Let many uniqueIds name the bytes that one does."""
    engine = open_database(f"sqlite:///{data / 'xdsi.sqlite3'}")
    names = [new_oid() for _ in range(DOCUMENTS)]
    with writing(engine) as connection:
        (row,) = connection.execute(sa.select(rows).where(rows.c.unique_id == unique_id)).mappings()
        connection.execute(sa.insert(rows), [{**row, "unique_id": name} for name in names])
    engine.dispose()
    return names


def request(names: list[str]) -> bytes:
    wanted = "".join(
        f"<x:DocumentRequest><x:RepositoryUniqueId>{REPOSITORY}</x:RepositoryUniqueId>"
        f"<x:DocumentUniqueId>{name}</x:DocumentUniqueId></x:DocumentRequest>"
        for name in names
    )
    body = f'<x:RetrieveDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007">{wanted}</x:RetrieveDocumentSetRequest>'
    root = envelope(RETRIEVE, body.encode())
    message = b"--b\r\nContent-ID: <r>\r\nContent-Type: application/xop+xml\r\n\r\n" + root + b"\r\n--b--\r\n"
    return http(
        message,
        path="/services/repository",
        Content_Type='multipart/related; type="application/xop+xml"; start="<r>"; boundary="b"',
    )


def beginning_of(sock: socket.socket) -> bytes:
    received = b""
    while len(received) < 4096 and (data := sock.recv(4096)):
        received += data
    return received


def rest_of(sock: socket.socket) -> int:
    size = 0
    while data := sock.recv(1 << 20):
        size += len(data)
    return size


def test_eight_answers_of_1300_documents_at_once(tmp_path: Path) -> None:
    """Given eight who have asked and read a little, memory is looked at while all of their answers are on the way."""
    with serving(tmp_path / "data", "--profile", "open") as server:
        client, unique_id = RepositoryClient(server, tmp_path), new_oid()
        assert client.provide(unique_id, b"x" * SIZE).accepted
        asked = request(named_alike(server.data, unique_id))
        with server.connect() as first:
            first.sendall(asked)
            assert rest_of(first) > DOCUMENTS * SIZE
        before = private_memory(server)
        with ExitStack() as open_ones:
            socks = [open_ones.enter_context(server.connect()) for _ in range(AT_ONCE)]
            for sock in socks:
                sock.sendall(asked)
            for sock in socks:
                assert SUCCESS.encode() in beginning_of(sock)
            assert private_memory(server) - before < MOST_GROWTH
            for sock in socks:
                assert rest_of(sock) > DOCUMENTS * SIZE - 8192
        assert private_memory(server) - before < MOST_GROWTH
