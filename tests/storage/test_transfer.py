"""storage/transfer: what is exported comes back as it was, on either engine, and nothing is overwritten or dropped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests import builders
from tests.storage import registered
from tests.storage.test_migrations import filled
from tests.storage.worlds import QUERIES, Dice, expected, query_for
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.storage import tables as t
from xdsi.storage.database import open_database, reading, writing
from xdsi.storage.registry import SqlRegistry
from xdsi.storage.transfer import exporting, importing
from xdsi.storage.wording import long_status
from xdsi.wire.ebxml.packing import unpack

OTHER = "P2^^^&2.999.1.1&ISO"


def everything(engine: Engine) -> dict[str, list[Any]]:
    """All rows, with patients by their identifiers instead of keys."""
    found: dict[str, list[Any]] = {}
    with reading(engine) as connection:
        names = {row.key: (row.authority, row.id) for row in connection.execute(sa.select(t.patient))}
        for table in (t.patient, t.patient_demographics, t.identifier, *t.PARTITIONED):
            rows = []
            for row in connection.execute(sa.select(table)).mappings():
                plain = {name: unpack(value) if name == "fragment" else value for name, value in row.items()}
                plain.update({name: names.get(row[name]) for name in row if name.endswith("_key")})
                plain.pop("key", None)
                rows.append(sorted(plain.items()))
            found[table.name] = sorted(rows, key=repr)
    return found


def exported(engine: Engine) -> list[str]:
    return list(exporting.export(engine))


@pytest.fixture
def targets(new_engine: Engine, sqlite_template: Path, tmp_path: Path) -> Any:
    """Two empty registries: of the engine's own kind, and SQLite."""
    shutil.copy(sqlite_template, tmp_path / "other.db")
    other = open_database(f"sqlite:///{tmp_path / 'other.db'}")
    yield new_engine, other
    other.dispose()


def registry_with_history(engine: Engine) -> Any:
    """Merges, replaced and updated entries, folders, associations to another patient's entry, a consent."""
    die = Dice(21)
    world = filled(engine, die, count=8)
    old = registered.entry()
    new = registered.entry()
    theirs = registered.entry(patient_id=OTHER)
    with SqlRegistry(engine).writing() as session:
        session.save(registered.submission(old, patient_id=builders.PATIENT))
        session.save(registered.submission(theirs, patient_id=OTHER))
        link = registered.association(uuids.RPLC, new.entry_uuid, old.entry_uuid)
        session.save(registered.submission(new, associations=[link]))
        session.deprecate([old.entry_uuid])
        reference = registered.submission_set()
        to_theirs = registered.member(reference.entry_uuid, theirs.entry_uuid)
        session.save(Submission((reference,), (), (), (to_theirs,)))
        version = registered.entry(logical_id=new.entry_uuid, version=2, unique_id=new.unique_id)
        session.save(registered.submission(version))
    return world


def test_everything_comes_back(engine: Engine, targets: tuple[Engine, Engine]) -> None:
    world = registry_with_history(engine)
    before = everything(engine)
    lines = exported(engine)
    header, end = json.loads(lines[0]), json.loads(lines[-1])["end"]
    objects = sum(len(before[name]) for name in ("submission_set", "document_entry", "folder", "association"))
    assert (header["patients"], header["entries"]) == (len(before["patient"]), len(before["document_entry"]))
    assert end == {"patients": len(before["patient"]), "objects": objects}
    for target in targets:
        report = importing.load(target, lines)
        assert (report.patients, report.objects) == (len(before["patient"]), objects)
        assert (report.consents, report.conflicts, report.present) == (1, 0, 0)
        assert everything(target) == before
        for query_id in QUERIES:
            die = Dice(query_id)
            query = query_for(die, world, query_id)
            with SqlRegistry(target).reading() as session:
                found = {one.id for one in session.find(query)} & world.ids
            assert found == expected(query, world), query.parameters


def test_a_stream_can_be_read_again(engine: Engine, targets: tuple[Engine, Engine]) -> None:
    registry_with_history(engine)
    lines = exported(engine)
    target = targets[0]
    first = importing.load(target, lines)
    before = everything(target)
    again = importing.load(target, lines)
    assert (again.patients, again.objects, again.conflicts) == (0, 0, 0)
    assert again.present == first.objects + first.consents
    assert everything(target) == before


def test_many_patients_go_in_one_unit_of_work_and_one_patient_in_several(
    engine: Engine, targets: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry_with_history(engine)
    monkeypatch.setattr(importing, "OBJECTS_AT_ONCE", 9)
    monkeypatch.setattr(exporting, "PATIENTS_AT_ONCE", 2)
    report = importing.load(targets[0], exported(engine))
    assert report.conflicts == 0
    assert everything(targets[0]) == everything(engine)


def test_what_contradicts_the_registry_is_told_and_left_out(engine: Engine, targets: tuple[Engine, Engine]) -> None:
    entry, other = registered.entry(title="mine"), registered.entry()
    with SqlRegistry(engine).writing() as session:
        session.save(registered.submission(entry, other, unique_id="2.999.11.77"))
    target = targets[0]
    with SqlRegistry(target).writing() as session:
        # The same ids with other words, by somebody else.
        theirs = DocumentEntry(**{**_attributes(entry), "title": "theirs"})
        session.save(registered.submission(theirs, unique_id="2.999.11.77"))
    before = everything(target)
    report = importing.load(target, exported(engine))
    told = {(one["kind"], one["id"]): one["reason"] for one in report.told}
    assert told["document_entry", entry.entry_uuid] == "is registered already with other content"
    sets = [reason for (kind, _), reason in told.items() if kind == "submission_set"]
    assert sets == ["the uniqueId 2.999.11.77 is registered already"]
    links = [reason for (kind, _), reason in told.items() if kind == "association"]
    assert len(links) == 2
    assert all("begins at" in reason for reason in links)
    assert report.conflicts == len(report.told) == 4
    assert report.objects == 1, "the other entry"
    after = everything(target)
    added = [row for row in after["document_entry"] if row not in before["document_entry"]]
    assert [dict(row)["id"] for row in added] == [other.entry_uuid]
    assert after["submission_set"] == before["submission_set"]


def test_a_patient_who_was_merged_differently_is_left_alone(engine: Engine, targets: tuple[Engine, Engine]) -> None:
    with SqlRegistry(engine).writing() as session:
        session.save(registered.submission(registered.entry()))
    lines = exported(engine)
    target = targets[0]
    importing.load(target, lines)
    with writing(target) as connection:
        key = connection.execute(t.patient.insert().values(authority="2.999.1.1", id="S").returning(t.patient.c.key))
        merged = {"status": "subsumed", "survivor_key": key.scalar_one()}
        connection.execute(t.patient.update().where(t.patient.c.id == "P1").values(merged))
    before = everything(target)
    report = importing.load(target, lines)
    assert [one["kind"] for one in report.told] == [
        "patient", "submission_set", "document_entry", "association",
    ]  # fmt: skip
    assert everything(target) == before


def _attributes(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def _changed(lines: list[str], kind: str, **changes: Any) -> list[str]:
    number = next(number for number, line in enumerate(lines) if kind in json.loads(line))
    content = json.loads(lines[number])[kind]
    return [*lines[:number], json.dumps({kind: {**content, **changes}}), *lines[number + 1 :]]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda lines: ["\n"], "not JSON"),
        (lambda lines: ["{}", *lines[1:]], "not a line"),
        (lambda lines: [lines[0].replace('"version":2', '"version":1'), *lines[1:]], "of version 2"),
        (lambda lines: [*lines[:2], "not json", *lines[2:]], "not JSON.* at line 3"),
        (lambda lines: [*lines[:2], '{"thing": {}}', *lines[2:]], "'thing' is nothing.* at line 3"),
        (lambda lines: [lines[0], *lines[2:]], "before any patient at line 2"),
        (lambda lines: lines[:-1], "breaks off"),
        (lambda lines: _changed(lines, "document_entry", version="1"), "version cannot be '1'"),
        (lambda lines: _changed(lines, "document_entry", latest=1), "latest cannot be 1"),
        (lambda lines: _changed(lines, "document_entry", status=None), "status cannot be None"),
        (lambda lines: _changed(lines, "document_entry", fragment="%%"), "not base64"),
        (lambda lines: _changed(lines, "document_entry", fragment="AQ=="), "does not end"),
        (lambda lines: _changed(lines, "document_entry", code=[["event"]]), "code is not a list of rows"),
        (lambda lines: _changed(lines, "document_entry", colour="red"), "unknown: colour"),
        (lambda lines: _changed(lines, "patient", id=7), "id cannot be 7"),
    ],
)
def test_what_is_no_stream_is_refused_by_line(
    sqlite_engine: Engine, sqlite_template: Path, tmp_path: Path, spoil: Any, complaint: str
) -> None:
    with SqlRegistry(sqlite_engine).writing() as session:
        session.save(registered.submission(registered.entry()))
    lines = exported(sqlite_engine)
    shutil.copy(sqlite_template, tmp_path / "target.db")
    target = open_database(f"sqlite:///{tmp_path / 'target.db'}")
    with pytest.raises(MalformedMessage, match=complaint):
        importing.load(target, spoil(lines))
    # What is right can be read afterwards.
    assert importing.load(target, lines).conflicts == 0
    assert everything(target) == everything(sqlite_engine)
    target.dispose()


def test_bytes_that_are_no_text(sqlite_engine: Engine) -> None:
    with pytest.raises(MalformedMessage, match="not UTF-8 at line 1"):
        importing.load(sqlite_engine, importing.text_lines([b"\xff\n"]))


def test_statuses_are_those_of_the_registry(engine: Engine, targets: tuple[Engine, Engine]) -> None:
    old = registered.entry()
    with SqlRegistry(engine).writing() as session:
        session.save(registered.submission(old))
        session.deprecate([old.entry_uuid])
    importing.load(targets[0], exported(engine))
    with SqlRegistry(targets[0]).reading() as session:
        assert session.objects([old.entry_uuid])[old.entry_uuid].availability_status == long_status("Deprecated")
