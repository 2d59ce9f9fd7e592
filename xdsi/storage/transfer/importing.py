"""Reads lines into a database, empty or not: what is there already stays as it is, and what contradicts it is told.

Objects are written in units of work of some hundreds, each all or nothing; after a failure the same stream can be read
again, because what is registered already in the same words is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import BindParameter, bindparam, func, insert, select, update
from sqlalchemy.engine import Connection, Engine, Row
from sqlalchemy.exc import IntegrityError

from xdsi.domain.errors import MalformedMessage
from xdsi.storage import bulk, lists
from xdsi.storage import tables as t
from xdsi.storage.database import reading, writing
from xdsi.storage.routes import IdKind
from xdsi.storage.rows import identifiers_of
from xdsi.storage.transfer import lines
from xdsi.storage.wording import in_batches
from xdsi.wire.ebxml.packing import unpack

OBJECTS_AT_ONCE: Final = 500
TOLD: Final = 1000
"""conflicts that are kept to be told; the others are counted"""

_values: BindParameter[Any] = bindparam("values", expanding=True)
_TAKEN: Final = select(t.identifier).where(t.identifier.c.value.in_(_values), t.identifier.c.tie == "")
_NAMED: Final = select(t.patient).where(t.patient.c.authority == bindparam("a"), t.patient.c.id == bindparam("i"))


@dataclass
class Report:
    """What came of a stream."""

    patients: int = 0
    """made known"""
    objects: int = 0
    """registered"""
    present: int = 0
    """objects that were registered already, in the same words"""
    consents: int = 0
    conflicts: int = 0
    told: list[dict[str, str]] = field(default_factory=list)

    def conflict(self, kind: str, id_: str, reason: str) -> None:
        """Something that was not taken in."""
        self.conflicts += 1
        if len(self.told) < TOLD:
            self.told.append({"kind": kind, "id": id_, "reason": reason})

    def add(self, other: Report) -> None:
        """Count what came of a part of the stream."""
        self.patients += other.patients
        self.objects += other.objects
        self.present += other.present
        self.consents += other.consents
        self.conflicts += other.conflicts
        self.told += other.told[: TOLD - len(self.told)]


@dataclass
class _Object:
    letter: str
    row: dict[str, Any]
    parts: dict[str, list[tuple[Any, ...]]]
    target: tuple[str, str] | None
    """the patient of an association's target, where it is another"""


@dataclass
class _Patient:
    """A patient of the stream and what was read of it so far; the first part of it tells of the patient itself."""

    named: tuple[str, str]
    survivor: tuple[str, str] | None
    values: dict[str, Any]
    demographics: dict[str, Any] | None
    objects: list[_Object] = field(default_factory=list)
    consents: list[dict[str, Any]] = field(default_factory=list)

    @property
    def cx(self) -> str:
        authority, id_ = self.named
        return f"{id_}^^^&{authority}&ISO"


def load(
    engine: Engine, stream: Iterable[str], progress: Callable[[int, int], None] = lambda done, total: None
) -> Report:
    """Take in all lines; MalformedMessage for what is not one, with everything before it taken in."""
    return _Import(engine, progress).read(stream)


class _Import:
    def __init__(self, engine: Engine, progress: Callable[[int, int], None]) -> None:
        self._engine = engine
        self._progress = progress
        self.report = Report()
        self._pending: list[_Patient] = []
        self._size = self._entries = self._all_entries = 0
        with reading(engine) as connection:
            self._first_key: int = (connection.execute(select(func.max(t.patient.c.key))).scalar() or 0) + 1

    def read(self, stream: Iterable[str]) -> Report:
        numbered = enumerate(stream, 1)
        number, line = next(numbered, (1, "null"))
        kind, header = lines.read(line, number)
        if kind != "header" or header.get("xdsi") != "metadata" or header.get("version") != lines.VERSION:
            raise MalformedMessage(f"not a stream of metadata of version {lines.VERSION}", location="line 1")
        self._all_entries = int(header.get("entries") or 0)
        try:
            for number, line in numbered:
                kind, content = lines.read(line, number)
                if kind == "end":
                    return self.report
                self._take(kind, content, number)
        finally:
            self._flush()
        raise MalformedMessage("the stream breaks off: its last line is missing", location=f"line {number}")

    def _take(self, kind: str, content: dict[str, Any], number: int) -> None:
        if kind == "patient":
            self._pending.append(_patient(content, number))
            self._size += 1
        elif not self._pending:
            raise MalformedMessage(f"{kind} before any patient", location=f"line {number}")
        elif kind == "consent":
            self._pending[-1].consents.append({c.name: lines.value(content, c, number) for c in lines.CONSENT})
        elif (letter := lines.LETTERS.get(kind)) is not None:
            self._pending[-1].objects.append(_object(letter, content, number))
            self._entries += letter == "D"
            self._size += 1
        else:
            raise MalformedMessage(f"{kind!r:.40} is nothing that is known", location=f"line {number}")
        if self._size >= OBJECTS_AT_ONCE:
            last = self._pending[-1]
            self._flush()
            # More of the same patient may follow.
            self._pending = [replace(last, objects=[], consents=[])]

    def _flush(self) -> None:
        """Write what was read; once more where somebody else wrote the same at the same moment."""
        pending, self._pending, self._size = self._pending, [], 0
        for attempt in (1, 2):
            unit = _Unit(self._first_key)
            try:
                with writing(self._engine) as connection:
                    unit.write(connection, pending)
            except IntegrityError:
                if attempt == 2:
                    raise
            else:
                break
        self.report.add(unit.report)
        self._progress(self._entries, self._all_entries)


class _Unit:
    """One unit of work of an import."""

    def __init__(self, first_key: int) -> None:
        self.report = Report()
        self._first_key = first_key
        self._accepted: dict[str, _Object] = {}
        self._sole: set[str] = set()
        self._taken: dict[str, Row[Any]] = {}
        self._rows: dict[str, list[tuple[Any, ...]]] = {}

    def write(self, connection: Connection, pending: Sequence[_Patient]) -> None:
        """Some patients and what they have; all or nothing but for what is in conflict."""
        self._look_up(connection, [one for patient in pending for one in patient.objects])
        consents: list[tuple[int, dict[str, Any]]] = []
        for patient in pending:
            key = self._patient(connection, patient)
            if key is None:
                for one in patient.objects:
                    kind = lines.OBJECTS[one.letter].name
                    self.report.conflict(kind, one.row["id"], f"its patient {patient.cx} is in conflict")
                continue
            for one in patient.objects:
                self._object(connection, one, key)
            consents += [(key, values) for values in patient.consents]
        for table in (t.identifier, *lines.OBJECTS.values(), t.code):
            if table.name in self._rows:
                bulk.insert(connection, table, self._rows[table.name])
        self.report.objects += len(self._accepted)
        for key, values in consents:
            self._consent(connection, key, values)

    def _look_up(self, connection: Connection, objects: Sequence[_Object]) -> None:
        """What is registered of that which the objects name."""
        wanted = dict.fromkeys(one.row["id"] for one in objects)
        wanted.update(dict.fromkeys(one.row["source" if one.letter == "A" else "unique_id"] for one in objects))
        for values in in_batches(wanted):
            self._taken.update((row.value, row) for row in connection.execute(_TAKEN, {"values": values}))

    def _patient(self, connection: Connection, patient: _Patient) -> int | None:
        """The patient's key; None where it is another here than in the stream."""
        survivor = self._key(connection, *patient.survivor) if patient.survivor is not None else None
        key = self._key(connection, *patient.named)
        row = connection.execute(select(t.patient).where(t.patient.c.key == key)).one()
        if key < self._first_key:
            status = patient.values["status"]
            if (row.status, row.survivor_key) == (status, survivor):
                return key
            reason = f"is {row.status} here and {status} in the stream, or merged into another"
            self.report.conflict("patient", patient.cx, reason)
            return None
        values = patient.values | {"survivor_key": survivor}
        connection.execute(update(t.patient).where(t.patient.c.key == key).values(values))
        if patient.demographics is not None:
            at = t.patient_demographics.c.patient_key == key
            if connection.execute(select(t.patient_demographics.c.patient_key).where(at)).first() is None:
                connection.execute(insert(t.patient_demographics).values(patient_key=key, **patient.demographics))
        return key

    def _key(self, connection: Connection, authority: str, id_: str) -> int:
        """The key of an identifier, which becomes known where it is not."""
        row = connection.execute(_NAMED, {"a": authority, "i": id_}).first()
        if row is not None:
            return int(row.key)
        self.report.patients += 1
        made = insert(t.patient).values(authority=authority, id=id_).returning(t.patient.c.key)
        return int(connection.execute(made).scalar_one())

    def _object(self, connection: Connection, one: _Object, key: int) -> None:
        row = one.row
        kind = lines.OBJECTS[one.letter].name
        if one.letter == "A":
            row["target_patient_key"] = key if one.target is None else self._key(connection, *one.target)
        identifiers = list(identifiers_of(one.letter, row, key, lists.read(row.get("reference_ids", ""))))
        sole = {found["value"] for found in identifiers if found["kind"] == IdKind.UNIQUE and not found["tie"]}
        if (there := self._accepted.get(row["id"])) is not None:
            self._again(kind, row["id"], same=there == one)
        elif (at := self._taken.get(row["id"])) is not None:
            self._again(kind, row["id"], same=_same(connection, one, at, key))
        elif sole & self._sole or sole & self._taken.keys():
            self.report.conflict(kind, row["id"], f"the uniqueId {row['unique_id']} is registered already")
        elif one.letter == "A" and row["source"] not in self._accepted and row["source"] not in self._taken:
            self.report.conflict(kind, row["id"], f"it begins at {row['source']}, which is not registered")
        else:
            self._accepted[row["id"]] = one
            self._sole |= sole
            _put(self._rows, one, key, identifiers)

    def _consent(self, connection: Connection, key: int, values: dict[str, Any]) -> None:
        """A consent beside its entry; the patient's epoch grows, because decisions may change."""
        at = (t.consent.c.patient_key == key) & (t.consent.c.entry_uuid == values["entry_uuid"])
        there = connection.execute(select(*lines.CONSENT).where(at)).mappings().first()
        if there is not None:
            self._again("consent", values["entry_uuid"], same=dict(there) == values)
            return
        connection.execute(insert(t.consent).values(patient_key=key, **values))
        self.report.consents += 1
        if key < self._first_key:
            grown = {"consent_epoch": t.patient.c.consent_epoch + 1}
            connection.execute(update(t.patient).where(t.patient.c.key == key).values(grown))

    def _again(self, kind: str, id_: str, *, same: bool) -> None:
        if same:
            self.report.present += 1
        else:
            self.report.conflict(kind, id_, "is registered already with other content")


def _patient(content: dict[str, Any], number: int) -> _Patient:
    named = _identifier(content, number)
    demographics = content.get("demographics")
    if named is None or not isinstance(demographics, dict | None):
        raise MalformedMessage("not a patient", location=f"line {number}")
    values = {c.name: lines.value(content, c, number) for c in (t.patient.c.status, t.patient.c.consent_epoch)}
    if demographics is not None:
        demographics = {c.name: lines.value(demographics, c, number) for c in lines.DEMOGRAPHICS}
    return _Patient(named, _identifier(content.get("survivor"), number), values, demographics)


def _object(letter: str, content: dict[str, Any], number: int) -> _Object:
    row = {column.name: lines.value(content, column, number) for column in lines.columns_of(letter)}
    row["fragment"] = lines.fragment(content, number)
    try:
        unpack(row["fragment"])
    except ValueError as error:
        raise MalformedMessage(str(error), location=f"line {number}") from error
    known = {*row, "target_patient", *(part.name for part in lines.PARTS[letter])}
    if strange := sorted(content.keys() - known):
        raise MalformedMessage(f"unknown: {', '.join(strange):.80}", location=f"line {number}")
    parts = {part.name: lines.parts(content, part, number) for part in lines.PARTS[letter]}
    return _Object(letter, row, parts, _identifier(content.get("target_patient"), number))


def _put(rows: dict[str, list[tuple[Any, ...]]], one: _Object, key: int, identifiers: Iterable[dict[str, Any]]) -> None:
    def add(table: Any, values: dict[str, Any]) -> None:
        rows.setdefault(table.name, []).append(tuple(values[column.name] for column in table.c))

    for found in identifiers:
        add(t.identifier, found)
    add(lines.OBJECTS[one.letter], one.row | {"patient_key": key})
    for name, parts in one.parts.items():
        rows.setdefault(name, []).extend((key, one.row["id"], *part) for part in parts)


def _same(connection: Connection, one: _Object, at: Row[Any], key: int) -> bool:
    """Whether an object that is registered already says the same as the one that was read."""
    if (at.object_kind, at.patient_key) != (one.letter, key):
        return False
    table = lines.OBJECTS[one.letter]
    there = connection.execute(
        select(table).where(table.c.patient_key == key, table.c.id == one.row["id"])
    ).mappings().first()  # fmt: skip
    if there is None:
        return False
    left, right = dict(there), {**one.row, "patient_key": key}
    return unpack(left.pop("fragment")) == unpack(right.pop("fragment")) and left == right


def _identifier(found: Any, number: int) -> tuple[str, str] | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        raise MalformedMessage("not an identifier of a patient", location=f"line {number}")
    return lines.value(found, t.patient.c.authority, number), lines.value(found, t.patient.c.id, number)


def text_lines(stream: Iterable[bytes]) -> Iterator[str]:
    """Lines of bytes as text; MalformedMessage where they are not UTF-8."""
    for number, line in enumerate(stream, 1):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise MalformedMessage("not UTF-8", location=f"line {number}") from error
