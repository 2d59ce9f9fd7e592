"""The decision by itself, beside few consents and beside many: `make bench-trust CONSENTS=10000000`.

A thousand consents are signed documents that were published to a hub, which verified them. The rest are copies of
those in the hub's tables, made inside SQLite: each of another patient, under other ids, its policy naming that patient.
What no decision reads is left out of the copies: the fragment of a DocumentEntry, and its rows in the tables that find
objects by id and code.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import content, hub
from tests.bench.asking import p95
from xdsi.domain.codes import Code
from xdsi.domain.consent import Action, DomainPolicy, Resource
from xdsi.domain.identifiers import PatientId
from xdsi.domain.subject import Subject
from xdsi.storage.database import open_database
from xdsi.storage.packed import pack, unpack
from xdsi.storage.registry import SqlRegistry
from xdsi.storage.tables import metadata
from xdsi.transactions.iti79_authorization_decisions_query import PolicyDecisions

SIGNED, SMALL = 1000, 10_000
ENTRIES = 10
"""documents in each question"""
_BATCH = 100
"""copies of all that was signed in one transaction"""
RADIOLOGIST = Subject(
    user_id="dr.weber",
    issuer=hub.ISSUER,
    assertion_id="_1",
    user_name="Dr Wanda Weber",
    organization="National eHealth platform",
    organization_id="urn:oid:2.999.30",
    roles=(hub.RADIOLOGIST,),
    purposes=(hub.TREATMENT,),
)
NURSE = Subject(user_id="n.stein", issuer=hub.ISSUER, assertion_id="_2", roles=(Code("NURSE", "2.999.20"),))


def sign(folder: Path) -> Path:
    """Publish the signed consents to a hub; its database once it has stopped."""
    with hub.full_hub(folder) as full:
        content.consent_to_all(full, range(1, SIGNED + 1))
    database = folder / "data" / "xdsi.sqlite3"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (valid,) = connection.execute("SELECT count(*) FROM consent WHERE status = 'valid'").fetchone()
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    if valid != SIGNED:
        raise RuntimeError(f"{valid} of {SIGNED} consents are valid")
    return database


def multiply(database: Path, path: Path, count: int, say: Callable[[str], None]) -> Path:
    """A copy of the database with as many consents, one for each patient."""
    shutil.copyfile(database, path)
    began = time.monotonic()
    with sqlite3.connect(path, isolation_level=None) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-400000", "foreign_keys=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function("copied", 2, _copied, deterministic=True)
        (step,) = connection.execute("SELECT max(key) FROM patient").fetchone()
        statements = [_patients(), _rows("document_entry"), _rows("consent")]
        copies = count // SIGNED
        for first in range(1, copies, _BATCH):
            connection.execute("BEGIN")
            for statement in statements:
                connection.execute(statement, {"step": step, "first": first, "end": min(first + _BATCH, copies)})
            connection.execute("COMMIT")
        connection.execute("ANALYZE")
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    say(f"  {count} consents: {path.stat().st_size / 2**30:.2f} GiB, made in {time.monotonic() - began:.0f} s")
    return path


_COPIES = (
    "WITH RECURSIVE copies (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM copies WHERE n + 1 < :end) "
    "INSERT INTO {table} ({columns}) SELECT {values} FROM copies CROSS JOIN {source}"
)


def _patients() -> str:
    values = "key + n * :step, authority, substr(id, 1, 8) || n || substr(id, 8), status, consent_epoch"
    source = "patient WHERE key <= :step ORDER BY n, key"
    columns = "key, authority, id, status, consent_epoch"
    return _COPIES.format(table="patient", columns=columns, values=values, source=source)


def _rows(table: str) -> str:
    def value(column: str) -> str:
        if column == "patient_key":
            return "o.patient_key + n * :step"
        if column in ("id", "entry_uuid", "logical_id", "unique_id"):
            return f"copied(o.{column}, n)"
        if column == "fragment":
            return "x''"
        if column == "policy":
            named = "p.id || '\"'"
            return f"replace(o.policy, {named}, substr(p.id, 1, 8) || n || substr(p.id, 8) || '\"')"
        return f"o.{column}"

    columns = [column.name for column in metadata.tables[table].c]
    chosen = "" if table == "consent" else " AND o.id IN (SELECT entry_uuid FROM consent WHERE patient_key <= :step)"
    source = f"{table} o JOIN patient p ON p.key = o.patient_key WHERE o.patient_key <= :step{chosen}"
    return _COPIES.format(table=table, columns=", ".join(columns), values=", ".join(map(value, columns)), source=source)


def _copied(stored: str | bytes, number: int) -> str | bytes:
    """Another id for each copy, as text or packed as the original is."""
    if isinstance(stored, str):
        return f"{stored}.{number}"
    text = unpack(stored)
    return pack(f"urn:uuid:{number:08x}{text[17:]}" if text.startswith("urn:uuid:") else f"{text}.{number}")


class Side:
    """One database with the questions that are put to it."""

    def __init__(self, path: Path, count: int, questions: int) -> None:
        self.name = f"{count} consents"
        self.engine = open_database(f"sqlite:///{path}")
        self.registry = SqlRegistry(self.engine)
        self._decisions = PolicyDecisions(DomainPolicy(), self.registry)
        numbers = random.Random(count).sample(range(count), questions)
        self.patients = [PatientId.parse(_cx(number)) for number in numbers]
        self.now = datetime.now(UTC)

    def ask(self, patient: PatientId) -> tuple[float, float]:
        """Milliseconds by the clock and of the processor for ten documents of a patient, in a snapshot of their own."""
        resources = [
            Resource(unique_id=f"2.999.1.{number}", repository_unique_id="2.999.1.2", entry_uuid=f"urn:uuid:{number}",
                     patient=patient)
            for number in range(ENTRIES)
        ]  # fmt: skip
        began, spent = time.perf_counter(), time.thread_time()
        with self.registry.reading() as session:
            decisions = self._decisions.decide_for(RADIOLOGIST, Action.QUERY, resources, self.now, session)
        took = (time.perf_counter() - began) * 1000, (time.thread_time() - spent) * 1000
        if not all(one.permit and one.document for one in decisions):
            raise RuntimeError(f"{patient.cx}: {decisions}")
        return took

    def check(self, patient: PatientId) -> None:
        """The consent permits whom it names, and nobody else."""
        resource = Resource(unique_id="2.999.1", repository_unique_id="2.999.1.2", entry_uuid="urn:uuid:1",
                            patient=patient)  # fmt: skip
        with self.registry.reading() as session:
            (refused,) = self._decisions.decide_for(NURSE, Action.QUERY, [resource], self.now, session)
            (consent,) = session.consents(patient)
        if refused.permit or patient.id not in str(consent.policy):
            raise RuntimeError(f"{patient.cx}: {refused}, {consent}")


def _cx(number: int) -> str:
    copy, original = divmod(number, SIGNED)
    one = hub.patient(original + 1)
    return one if copy == 0 else f"{one[:8]}{copy}{one[7:]}"


def compare(folder: Path, count: int, questions: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The same questions beside SMALL and beside `count` consents, in turns: first answers, and second ones."""
    folder.mkdir(parents=True, exist_ok=True)
    signed = sign(folder / "signed")
    counts = (SMALL, count)
    sides = [
        Side(multiply(signed, folder / f"{one}.sqlite3", one, say), one, min(questions, one // 2)) for one in counts
    ]
    found: dict[str, Any] = {"consents": counts, "signed": SIGNED, "questions": questions}
    for side in sides:
        for patient in side.patients[:20]:
            side.check(patient)
    say(f"  {'decision on ten entries':<24} {'median':>16} {'p95':>16} {'processor':>16}   ratio of medians")
    for round_name in ("first", "again"):
        took: list[list[tuple[float, float]]] = [[], []]
        for pair in zip(*(side.patients for side in sides), strict=False):
            for side, patient, values in zip(sides, pair, took, strict=True):
                values.append(side.ask(patient))
        found[round_name] = _figures(took)
        median, worst, spent = (found[round_name][key] for key in ("median_ms", "p95_ms", "processor_ms"))
        say(
            f"  {round_name:<24} {median[0]:7.2f} {median[1]:7.2f} ms {worst[0]:5.2f} {worst[1]:7.2f} ms"
            f" {spent[0]:6.2f} {spent[1]:7.2f} ms   {median[1] / median[0]:.2f}, processor {spent[1] / spent[0]:.2f}"
        )
    for side in sides:
        side.engine.dispose()
    return found


def _figures(took: Sequence[Sequence[tuple[float, float]]]) -> dict[str, Any]:
    return {
        "median_ms": [statistics.median(clock for clock, _ in side) for side in took],
        "p95_ms": [p95([clock for clock, _ in side]) for side in took],
        "processor_ms": [statistics.median(spent for _, spent in side) for side in took],
    }
