"""What arrives damaged: random damage to good messages, which readers must take or refuse in their own words, in time.

`python -m tests.faults.fuzz --minutes 60` is the long form. A message that a reader fails on is kept in the folder
`fuzz/` beside this file, whose content the test runs first.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from lxml import etree

from xdsi.domain.errors import MalformedMessage, SoapFault
from xdsi.wire import mtom, soap, xml
from xdsi.wire.ebxml import document_removal, imaging, provision, query, removal, response, retrieve, submission
from xdsi.wire.message import Message

SAMPLES = Path(__file__).parents[1] / "samples" / "bodies"
FOUND = Path(__file__).parent / "fuzz"
SECONDS = 5.0
"""of processor time for one message of a few kilobytes; it takes some milliseconds"""
BOUNDARY = "frontier"
CONTENT_TYPE = f'multipart/related; type="application/xop+xml"; start="<root>"; boundary="{BOUNDARY}"'
_DECODERS: tuple[Callable[[Message], object], ...] = (
    submission.decode, provision.decode, query.decode_request, removal.decode, document_removal.decode,
    retrieve.decode_request, imaging.decode_request, retrieve.decode_answer, response.decode,
)  # fmt: skip
_WORDS = (
    b"--frontier", b"--frontier--", b"\r\n", b"\r\n\r\n", b"Content-ID: <root>\r\n", b"cid:", b"%00", b"\x00", b"\xff",
    b"<", b">", b"</", b"/>", b"&amp;", b"&#0;", b"<![CDATA[", b"]]>", b"<!DOCTYPE a>", b"<?xml version='1.1'?>", b'"',
    b'xmlns="', b'id="', b"urn:uuid:", b"<i:Include xmlns:i='http://www.w3.org/2004/08/xop/include' href='cid:a'/>",
    b"Content-Transfer-Encoding: base64\r\n", b"9" * 400,
)  # fmt: skip
_TEXTS = (
    "", " ", "1", "-1", "9" * 40, "urn:uuid:", "urn:uuid:00000000-0000-4000-8000-000000000000", "2.999.1",
    "P^^^&2.999.1&ISO", "^^^&&ISO", "20260102030405", "19991399", "('a','b')", "('", "'x'", "%", "text/plain", "[]",
    "a" * 300, "\u202e", "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved", "sourcePatientId", "cid:a",
)  # fmt: skip
_MOST_ELEMENTS = 400


def multipart(raw: bytes) -> None:
    """A multipart message in pieces of many sizes, and what is in it."""
    reader = mtom.MultipartReader(CONTENT_TYPE, mtom.MultipartLimits(message=1 << 20))
    root, parts, name, is_root = bytearray(), {}, "", False
    step = 1 + len(raw) // 7
    chunks = [raw[at : at + step] for at in range(0, len(raw), step)]
    events = [event for chunk in chunks for event in reader.feed(chunk)] + reader.close()
    for event in events:
        if isinstance(event, mtom.PartStart):
            name, is_root = event.content_id, event.is_root
            if not is_root:
                parts[name] = None
        elif isinstance(event, mtom.PartData) and is_root:
            root += event.data
    found = soap.read_envelope(bytes(root))
    mtom.find_includes(found.root, parts)


def envelope(raw: bytes) -> None:
    """A SOAP envelope, and its Body by every decoder."""
    _decode(Message(soap.read_envelope(raw).body))


def body(raw: bytes) -> None:
    """What a Body holds, by every decoder."""
    _decode(Message((xml.parse(raw),)))


def _decode(message: Message) -> None:
    for decode in _DECODERS:
        try:
            decode(message)
        except (MalformedMessage, SoapFault):
            continue


def tree(raw: bytes) -> None:
    """A good Body whose elements, attributes and text were exchanged as the bytes say, by every decoder."""
    _decode(Message((regrown(raw),)))


def regrown(raw: bytes) -> etree._Element:
    """The first byte chooses a sample, each three after it one change."""
    root = etree.fromstring(_samples()[raw[0] % len(_samples())] if raw else _samples()[0])
    names = _names()
    for at in range(1, len(raw) - 2, 3):
        way, which, what = raw[at : at + 3]
        elements = list(root.iter(etree.Element))
        one, other = elements[which * len(elements) >> 8], elements[what * len(elements) >> 8]
        attribute = sorted(one.attrib)[what % len(one.attrib)] if one.attrib else "id"
        match way % 8:
            case 0 if one is not root:
                one.getparent().remove(one)
            case 1 if len(elements) < _MOST_ELEMENTS and not len(other):
                one.append(copy.deepcopy(other))
            case 2:
                one.text = _TEXTS[what % len(_TEXTS)]
            case 3:
                one.set(attribute, _TEXTS[which % len(_TEXTS)])
            case 4:
                one.attrib.pop(attribute, None)
            case 5:
                one.tag = names[what % len(names)]
            case 6:
                one.set("id", other.get("id", ""))
            case 7 if len(elements) < _MOST_ELEMENTS:
                etree.SubElement(one, names[what % len(names)])
    return root


@cache
def _samples() -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(SAMPLES.glob("*.xml")))


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted({str(one.tag) for raw in _samples() for one in etree.fromstring(raw).iter(etree.Element)}))


def vocabulary() -> list[bytes]:
    """Words that mean something to a reader."""
    names = {name.rpartition("}")[2].encode() for name in _names()}
    return [*_WORDS, *sorted(names), *(text.encode() for text in _TEXTS if text)]


READERS: dict[str, Callable[[bytes], None]] = {
    "multipart": multipart, "envelope": envelope, "body": body, "tree": tree
}  # fmt: skip


def seeds() -> dict[str, list[bytes]]:
    """Good messages to start from."""
    bodies = [path.read_bytes() for path in sorted(SAMPLES.glob("*.xml"))]
    envelopes = [b"".join(soap.write_envelope("urn:ihe:iti:2007:RegistryStoredQuery", one)) for one in bodies]
    include = b'<x:x xmlns:x="urn:x"><i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:a"/></x:x>'
    rooted = [b"".join(soap.write_envelope("urn:ihe:iti:2007:RetrieveDocumentSet", one + include)) for one in bodies]
    wrapped = [
        b"--frontier\r\nContent-Type: application/xop+xml\r\nContent-ID: <root>\r\n\r\n" + one + b"\r\n--frontier\r\n"
        b"Content-Type: text/plain\r\nContent-ID: <a>\r\n\r\nhello\r\n--frontier--\r\n"
        for one in rooted
    ]
    changes = [bytes([number, *range(30)]) for number in range(len(bodies))]
    return {"multipart": wrapped, "envelope": envelopes, "body": bodies, "tree": changes}


def damaged(good: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """A message with a few things wrong with it."""
    raw = bytearray(good)
    for _ in range(chance.randint(1, 6)):
        at, length = chance.randrange(len(raw) + 1), chance.choice((1, 2, 8, 40, 300))
        way = chance.randrange(6)
        if way == 0:
            raw[at : at + length] = b""
        elif way == 1:
            raw[at:at] = chance.choice(_WORDS)
        elif way == 2:
            raw[at:at] = raw[at : at + length] * chance.choice((1, 2, 50))
        elif way == 3:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            raw[at:at] = other[start : start + length]
        elif way == 4:
            raw[at : at + 1] = bytes([chance.randrange(256)])
        else:
            raw = raw[:at] if chance.random() < 0.2 else raw
    return bytes(raw)


def failure(reader: str, raw: bytes) -> str:
    """What is wrong with how a reader took a message; empty where nothing is."""
    began = time.process_time()
    try:
        READERS[reader](raw)
    except (MalformedMessage, SoapFault):
        pass
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    took = time.process_time() - began
    return f"took {took:.1f} s" if took > SECONDS else ""


def tried(count: int | None, seconds: float, seed: int) -> Iterator[tuple[str, bytes, str]]:
    """Damaged messages with what was wrong with how they were taken: so many, or until the time is over."""
    chance, start, until = random.Random(seed), seeds(), time.monotonic() + seconds
    number = 0
    while number < count if count is not None else time.monotonic() < until:
        reader = chance.choice(sorted(start))
        raw = damaged(chance.choice(start[reader]), start[reader], chance)
        yield reader, raw, failure(reader, raw)
        number += 1


def main(arguments: list[str] | None = None) -> int:
    """Damage for some minutes; 1 when a reader failed."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args(arguments)
    count = failed = 0
    for reader, raw, wrong in tried(None, given.minutes * 60, given.seed):
        count += 1
        if wrong:
            failed += 1
            FOUND.mkdir(exist_ok=True)
            (FOUND / f"{reader}-{hashlib.sha256(raw).hexdigest()[:16]}").write_bytes(raw)
            sys.stdout.write(f"  {reader}: {wrong}\n")
    sys.stdout.write(f"{count} damaged messages, {failed} failures\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
