"""Registrations by sixteen clients, with an open loop of queries beside them: a process of its own.

`python -m tests.bench.storm --port N --seconds 10 --clients 16 --rate 100 --queries FILE...` prints JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import sys
import threading
import time
import uuid
from pathlib import Path

from tests import builders
from tests.bench.asking import PATH, TYPE, p95
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.wire import soap
from xdsi.wire.message import Packaging

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")
_MARKS = ("@@ENTRY@@", "@@SET@@", "@@MESSAGE@@", "@@PATIENT@@")


def template(url: str) -> bytes:
    """One SubmissionSet, one DocumentEntry, one HasMember."""
    entry = builders.document_entry("doc1", unique_id="@@ENTRY@@", patient_id="@@PATIENT@@")
    own = builders.submission_set("ss1", unique_id="@@SET@@", patient_id="@@PATIENT@@")
    payload = iti42.TRANSACTION.request.encode(builders.submission(entry, sets=[own]), Packaging.SIMPLE)
    pieces = soap.write_envelope(
        iti42.TRANSACTION.trigger, payload.body, message_id="@@MESSAGE@@", to=url, reply_to_anonymous=True
    )
    return b"".join(pieces)


class Mould:
    """Submissions alike but for their ids and patients, cast with as little work as can be."""

    def __init__(self, template: bytes) -> None:
        self._pieces = re.split(b"(%s)" % b"|".join(mark.encode() for mark in _MARKS), template)

    def cast(self, die: random.Random, patients: int) -> bytes:
        """Another submission, for one of the patients of the population."""
        number = die.randrange(1, patients)
        patient = f"B{number + (number % 100 == 0)}^^^&amp;2.999.1.1&amp;ISO"
        values = (f"2.25.{die.getrandbits(120)}", f"2.25.{die.getrandbits(120)}", f"urn:uuid:{uuid.uuid4()}", patient)
        filling = {mark.encode(): value.encode() for mark, value in zip(_MARKS, values, strict=True)}
        return b"".join([filling.get(piece, piece) for piece in self._pieces])


class Line:
    """One kept connection that leaves the processors to the server: no more is read of an answer than its length."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, body: bytes) -> tuple[float, bytes]:
        """Seconds until the whole answer is there, and the answer with its head."""
        began = time.perf_counter()
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)
        answer = bytearray()
        end, length = -1, 0
        while end < 0 or len(answer) < length:
            received = self._socket.recv(262144)
            if not received:
                raise ConnectionError("the server closed the connection")
            answer += received
            if end < 0 and (end := answer.find(b"\r\n\r\n")) >= 0:
                found = _LENGTH.search(answer, 0, end)
                if found is None or not answer.startswith(b"HTTP/1.1 200 "):
                    raise RuntimeError(f"not an answer with a length: {bytes(answer[:2000])!r}")
                length = end + 4 + int(found[1])
        return time.perf_counter() - began, bytes(answer)

    def close(self) -> None:
        """End it."""
        self._socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rate", type=float, default=100, help="queries a second")
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--queries", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    mould = Mould(template(f"http://127.0.0.1:{given.port}/services/registry"))
    asked = [file.read_bytes() for file in given.queries]
    until = time.perf_counter() + given.seconds
    done: list[float] = []
    refused: list[str] = []
    answered: list[float] = []

    def register(seed: int) -> None:
        client, die = Line(given.port), random.Random(f"{seed}:{time.time_ns()}")
        while time.perf_counter() < until:
            took, answer = client.ask(mould.cast(die, given.patients))
            if b"ResponseStatusType:Success" in answer:
                done.append(took)
            else:
                refused.append(answer[:2500].decode(errors="replace"))
        client.close()

    def query(which: int, of: int) -> None:
        # A share of a fixed timetable: a late answer does not delay the next question of anybody else.
        client, at = Line(given.port), which
        began = time.perf_counter()
        while (due := began + at / given.rate) < until:
            time.sleep(max(0.0, due - time.perf_counter()))
            client.ask(asked[at % len(asked)])
            answered.append(time.perf_counter() - due)
            at += of
        client.close()

    threads = [threading.Thread(target=register, args=(number,)) for number in range(given.clients)]
    if asked and given.rate:
        threads += [threading.Thread(target=query, args=(number, 16)) for number in range(16)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    sys.stdout.write(
        json.dumps(
            {
                "registrations": len(done) / seconds,
                "registration_p95": p95(done) if done else None,
                "refused": len(refused),
                "first_refusal": refused[0] if refused else "",
                "queries": len(answered) / seconds,
                "query_p95": p95(answered) if answered else None,
            }
        )
    )


if __name__ == "__main__":
    main()
