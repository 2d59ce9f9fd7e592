"""C-ECHO and C-MOVE as cases write them (RAD TF-2 4.16; PS3.4 A, C.4.2): what is asked, and the answer judged."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from re import fullmatch

from .checks import Complaint, file_meta
from .messages import HttpRequest
from .model import Delivered, Expectation, Step
from .sending import Limits, Received
from .templates import Values

_COUNTS = "PS3.4 C.4.2.1.6, C.4.2.2.1; PS3.7 9.1.4"
KEPT = "0000"
"""status of a C-STORE that leaves the instance with its receiver; B... are warnings"""


@dataclass(frozen=True)
class Entities:
    """Who speaks to whom: the imaging source, and the entity of the runner that asks and takes images."""

    url: str
    """dicom://HOST:PORT or, with TLS, dicoms://HOST:PORT"""
    called: str = "XDSI"
    calling: str = "CONFORMANCE"
    host: str = "127.0.0.1"
    """where images are taken"""
    port: int = 0


@dataclass(frozen=True)
class Asked:
    """One exchange, its values filled in."""

    entities: Entities
    verb: str
    destination: str = ""
    level: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    stores: tuple[str, ...] = (KEPT,)
    """statuses for the instances that come, one after the other; the last for all that follow"""

    @property
    def text(self) -> str:
        """For people."""
        said = f"C-{self.verb.upper()}-RQ from {self.entities.calling} to {self.entities.called}\n"
        if self.verb == "echo":
            return said
        keys = "".join(f"{name}: {text}\n" for name, text in self.keys.items())
        return f"{said}Move Destination: {self.destination}\nQueryRetrieveLevel: {self.level}\n{keys}"


@dataclass(frozen=True)
class Arrived:
    """An instance that was sent to the runner."""

    uid: str
    content: bytes
    """as a DICOM file"""
    status: str
    """what it was answered"""


@dataclass(frozen=True)
class DimseAnswer:
    """What became of an exchange."""

    rejected: str = ""
    """of an association: result, source and reason (PS3.8 9.3.4)"""
    status: str = ""
    """of the last response, four hexadecimal digits"""
    counts: Mapping[str, int | None] = field(default_factory=dict)
    arrived: tuple[Arrived, ...] = ()

    @property
    def text(self) -> str:
        """For people."""
        if self.rejected:
            return f"A-ASSOCIATE-RJ {self.rejected}\n"
        counts = "".join(f", {name} {count}" for name, count in self.counts.items() if count is not None)
        images = "".join(f"C-STORE-RQ {one.uid}, answered {one.status}\n" for one in self.arrived)
        return f"{images}status {self.status}{counts}\n"


@dataclass(frozen=True)
class Came(Received):
    """The same as it is received."""

    answer: DimseAnswer | None = None


REJECTED: Mapping[str, str] = {"calling": "result 1, source 1, reason 3", "called": "result 1, source 1, reason 7"}
"""AE title that is not recognized -> A-ASSOCIATE-RJ (PS3.8 table 9-21)"""


def asked(step: Step, entities: Entities, values: Values) -> Asked:
    """What a step asks for."""
    given = step.dimse
    own = Entities(
        url=entities.url,
        called=values.expand(given.called, xml=False) or entities.called,
        calling=values.expand(given.calling, xml=False) or entities.calling,
        host=entities.host,
        port=entities.port,
    )
    return Asked(
        entities=own,
        verb=given.verb,
        destination=values.expand(given.destination, xml=False) or own.calling,
        level=given.level,
        keys={name: values.expand(text, xml=False) for name, text in given.keys.items()},
        stores=tuple(given.stores) or (KEPT,),
    )


def build(one: Asked) -> HttpRequest:
    """It as a report shows it."""
    body = one.text.encode()
    method = f"C-{one.verb.upper()}"
    return HttpRequest(one.entities.url, {}, body, chunked=False, message_id="", envelope=body, method=method)


def sent(one: Asked, shown: tuple[str, str] | None, limits: Limits, *, authorities: str | bool) -> Came:
    """The exchange, with what hinders it as `trouble`."""
    # pynetdicom is slow to load, and few runs need it.
    from . import association

    return association.exchange(one, shown, limits, authorities if isinstance(authorities, str) else "")


def complaints(answer: DimseAnswer, expected: Expectation, values: Values) -> Iterator[Complaint]:
    """What is not as the case expects it, and what every last response of a C-MOVE owes."""
    wanted = expected.dimse
    if wanted.rejected or answer.rejected:
        meant = REJECTED.get(wanted.rejected, "")
        if answer.rejected != meant:
            found = f"rejected: {answer.rejected}" if answer.rejected else f"an association, and {answer.text.strip()}"
            yield Complaint(f"A-ASSOCIATE-RJ, {meant}" if meant else "an association", found)
        return
    if not fullmatch(wanted.status, answer.status):
        yield Complaint(f"status {wanted.status}", answer.text.strip())
    for name, count in answer.counts.items():
        number = getattr(wanted, name)
        if number is not None and (count or 0) != number:
            yield Complaint(f"{number} sub-operations {name}", answer.text.strip(), _COUNTS)
    taken = Counter("completed" if one.status == KEPT else "warning" for one in answer.arrived if _kept(one))
    for name in ("completed", "warning"):
        count = answer.counts.get(name)
        if count is not None and count != taken[name]:
            yield Complaint(f"{name}: the {taken[name]} that were answered so", answer.text.strip(), _COUNTS)
    yield from _documents(answer, expected, values)


def _kept(one: Arrived) -> bool:
    return one.status == KEPT or one.status.startswith("B")


def _documents(answer: DimseAnswer, expected: Expectation, values: Values) -> Iterator[Complaint]:
    uids = [one.uid for one in answer.arrived]
    if expected.documents is not None and len(uids) != expected.documents:
        yield Complaint(f"{expected.documents} instances", f"{len(uids)}: {uids}")
    for wanted in expected.delivered:
        uid = values.expand(wanted.id, xml=False)
        found = [one for one in answer.arrived if one.uid == uid]
        if len(found) != 1:
            yield Complaint(f"instance {uid}, once", f"{uids}")
        for one in found:
            yield from _delivered(wanted, one, values)


def _delivered(wanted: Delivered, one: Arrived, values: Values) -> Iterator[Complaint]:
    if wanted.document and not _same(one.content, values.document(wanted.document)):
        yield Complaint(f"{one.uid} with the attributes of {wanted.document}", f"another of {len(one.content)} bytes")
    syntax = file_meta(one.content, 0x10)
    if wanted.transfer_syntax and syntax != wanted.transfer_syntax:
        yield Complaint(f"{one.uid} in transfer syntax {wanted.transfer_syntax}", syntax or "none")


def _same(one: bytes, other: bytes) -> bool:
    """True where two DICOM files hold the same attributes, each in a transfer syntax of its own."""
    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dcmread(BytesIO(one)) == dcmread(BytesIO(other))
        except Exception:  # whatever an instance of unknown origin makes the library do
            return False
