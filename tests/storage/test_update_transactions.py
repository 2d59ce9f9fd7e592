"""ITI-57 on a database: what is stored is what the rules planned, and of several at the same moment one is stored."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from tests import builders
from tests.builders import OTHER_PATIENT
from tests.rules.updates import bound, status_of, submits, update
from tests.storage.registered import association, entry, find_documents, folder, member, submission
from tests.storage.statements import watched
from tests.transactions.ports import clock, served
from xdsi.domain.errors import Rejected
from xdsi.domain.metadata import DocumentEntry, Folder
from xdsi.domain.outcome import Outcome
from xdsi.domain.registration import RegisterPorts
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.storage.registry import SqlRegistry
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.transactions import iti57_update_document_set as iti57

PORTS = RegisterPorts(clock=clock, consents=None, accept_unknown_patients=True)


@pytest.fixture
def registry(engine: Engine) -> SqlRegistry:
    return SqlRegistry(engine)


def save(registry: SqlRegistry, *submissions: Submission) -> None:
    for one in submissions:
        with registry.writing() as session:
            session.save(one)


def updated(registry: SqlRegistry, request: Submission) -> Outcome:
    with registry.writing() as session:
        answer: Outcome = served(iti57.TRANSACTION, request, PORTS, session)
    return answer


def new_version(of: Any, id_: str = "new", **changes: Any) -> Any:
    return replace(of, entry_uuid=id_, version=None, availability_status="", **changes)


def test_a_new_version_and_what_follows_it_are_stored(registry: SqlRegistry) -> None:
    first, appended, case = entry(), entry(), folder()
    inside, appends = member(case.entry_uuid, first.entry_uuid), association(
        uuids.APND, appended.entry_uuid, first.entry_uuid
    )  # fmt: skip
    save(registry, submission(first, appended, folders=(case,), associations=(inside, appends)))
    request = update(new_version(first, title="corrected"), unique_id="2.999.11.7777")
    assert updated(registry, request) == Outcome()
    with registry.reading() as session:
        former, latest = session.versions([first.logical_id])[first.logical_id]
        links = session.associations_of([latest.entry_uuid])
        (touched,) = session.objects([case.entry_uuid]).values()
        found = [one.id for one in session.find(find_documents())]
    assert isinstance(latest, DocumentEntry)
    assert (former.availability_status, latest.availability_status, latest.version) == (DEPRECATED, APPROVED, 2)
    assert latest.title == "corrected"
    ends = {(one.type, one.source) for one in links}
    assert ends >= {(uuids.HAS_MEMBER, case.entry_uuid), (uuids.APND, appended.entry_uuid)}
    assert [one.previous_version for one in links if one.previous_version] == ["1"]
    assert isinstance(touched, Folder)
    assert touched.last_update_time == PORTS.now()
    assert sorted(found) == sorted([latest.entry_uuid, appended.entry_uuid])


def test_an_entry_moves_to_another_patient(registry: SqlRegistry) -> None:
    first, case = entry(), folder()
    inside = member(case.entry_uuid, first.entry_uuid)
    save(registry, submission(first, folders=(case,), associations=(inside,)))
    moved = {"patient_id": OTHER_PATIENT}
    request = update(
        new_version(first, **moved), bound(AssociationPropagation="no"),
        new_version(case, "case", **moved), bound("case", status="", AssociationPropagation="no"),
        replace(member("case", "new"), entry_uuid="in", availability_status=""), submits("in"),
        unique_id="2.999.11.7778", **moved,
    )  # fmt: skip
    assert updated(registry, request) == Outcome()
    with registry.reading() as session:
        assert session.find(find_documents()) == []
        (found,) = session.find(find_documents(OTHER_PATIENT))
        (held,) = session.folders_of(found.id)
        assert [one.patient_id for one in session.versions([first.logical_id])[first.logical_id]] == [
            first.patient_id, OTHER_PATIENT,
        ]  # fmt: skip
    assert (held.logical_id, held.version) == (case.logical_id, 2)


@pytest.mark.parametrize("kind", ["version", "status"])
def test_of_several_at_the_same_moment_one_is_stored(
    registry: SqlRegistry, another_engine: Callable[[], Engine], kind: str
) -> None:
    """3.57.4.1.3.3: PreviousVersion and OriginalStatus are those that the registry has when it stores."""
    first = entry()
    save(registry, submission(first))
    others = [SqlRegistry(another_engine()) for _ in range(4)]
    barrier = threading.Barrier(len(others), timeout=60)

    def run(number: int) -> str:
        change = new_version(first) if kind == "version" else status_of(first.entry_uuid)
        request = update(change, unique_id=f"2.999.11.{8000 + number}")
        barrier.wait()
        try:
            outcome = updated(others[number], request)
        except Rejected as rejected:
            outcome = Outcome.of(rejected.problems)
        return " ".join(one.code for one in outcome.problems)

    with ThreadPoolExecutor(len(others)) as pool:
        codes = sorted(pool.map(run, range(len(others))))
    expected = {"version": "XDSMetadataVersionError", "status": "XDSMetadataUpdateError"}[kind]
    assert codes == ["", *[expected] * (len(others) - 1)]
    with registry.reading() as session:
        versions = [one.version for one in session.versions([first.logical_id])[first.logical_id]]
    assert versions == ([1, 2] if kind == "version" else [1])


def registered_by(registry: SqlRegistry, request: Submission) -> bool:
    """Whether ITI-42 takes it."""
    try:
        with registry.writing() as session:
            return bool(served(iti42.TRANSACTION, request, PORTS, session).accepted)
    except Rejected:
        return False


def number_of(type_: str) -> int:
    return 7001 + (type_ == uuids.APND)


def related(type_: str, target: str, number: int) -> Submission:
    """A submission of a document that relates to a registered one."""
    return builders.submission(
        builders.document_entry("fresh", unique_id=f"2.999.10.{number_of(type_)}.{number}"),
        sets=[builders.submission_set("ss", unique_id=f"2.999.11.{number_of(type_)}.{number}")],
        associations=[builders.association(type_, "fresh", target)],
    )


@pytest.mark.parametrize("other", ["a new version", "an addendum"])
def test_what_meets_a_replacement_is_before_or_after_it(
    registry: SqlRegistry, another_engine: Callable[[], Engine], other: str
) -> None:
    """ITI TF-3 4.2.2.2.3: nothing of a replaced document stays Approved, whoever was at work on it at that moment."""
    rival = SqlRegistry(another_engine())
    targets = [entry() for _ in range(8)]
    save(registry, *(submission(one) for one in targets))
    barrier = threading.Barrier(2, timeout=60)

    def replaces() -> list[bool]:
        done = []
        for number, target in enumerate(targets):
            barrier.wait()
            done.append(registered_by(registry, related(uuids.RPLC, target.entry_uuid, number)))
        return done

    def rivals() -> list[bool]:
        done = []
        for number, target in enumerate(targets):
            barrier.wait()
            if other == "an addendum":
                done.append(registered_by(rival, related(uuids.APND, target.entry_uuid, number)))
            else:
                request = update(new_version(target), unique_id=f"2.999.11.{9000 + number}")
                done.append(updated(rival, request).accepted)
        return done

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(replaces), pool.submit(rivals)
        both = [one and another for one, another in zip(first.result(), second.result(), strict=True)]
    with registry.reading() as session:
        for target, taken in zip(targets, both, strict=True):
            if other == "an addendum":
                sources = [one.source for one in session.related_to([target.entry_uuid], [uuids.APND])]
                found: list[Any] = list(session.objects(sources).values())
            else:
                found = session.versions([target.logical_id])[target.logical_id][1:]
            assert all(one.availability_status == DEPRECATED for one in found if taken)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("change", ["a replacement", "a new version"])
def test_a_change_and_a_reference_do_not_wait_for_each_other(
    registry: SqlRegistry, another_engine: Callable[[], Engine], change: str
) -> None:
    """PostgreSQL looks for deadlocks a second after the wait began: that they end well is not enough."""
    rival = SqlRegistry(another_engine())
    targets = [entry() for _ in range(12)]
    save(registry, *(submission(one) for one in targets))
    barrier = threading.Barrier(2, timeout=60)

    def changes() -> None:
        for number, target in enumerate(targets):
            barrier.wait()
            if change == "a replacement":
                registered_by(registry, related(uuids.RPLC, target.entry_uuid, number))
            else:
                assert updated(registry, update(new_version(target), unique_id=f"2.999.11.{9000 + number}")).accepted

    def refers() -> None:
        for number, target in enumerate(targets):
            made = builders.submission(
                builders.document_entry("fresh", unique_id=f"2.999.10.77.{number}"),
                sets=[builders.submission_set("ss", unique_id=f"2.999.11.77.{number}")],
                associations=[builders.has_member("ss", target.entry_uuid, "Reference")],
            )
            barrier.wait()
            registered_by(rival, made)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(changes), pool.submit(refers)]:
            done.result()


def test_a_long_chain_of_documents_takes_no_more_statements(registry: SqlRegistry, engine: Engine) -> None:
    """Who updates holds the only writer of SQLite meanwhile."""
    counts = []
    for number, length in enumerate((3, 40)):
        documents, fresh = [entry() for _ in range(length)], [entry() for _ in range(3)]
        links = [association(uuids.APND, a.entry_uuid, b.entry_uuid) for a, b in pairwise(documents)]
        save(registry, submission(*documents, *fresh, associations=tuple(links)))
        pairs = [
            (builders.association(uuids.APND, one.entry_uuid, documents[0].entry_uuid, f"a{n}"), submits(f"a{n}"))
            for n, one in enumerate(fresh)
        ]
        request = update(*[one for pair in pairs for one in pair], unique_id=f"2.999.11.{7800 + number}")
        heard: list[str] = []
        with watched(engine, lambda _, text, __, heard=heard: heard.append(str(text))):
            assert updated(registry, request) == Outcome()
        counts.append(len(heard))
    assert counts[0] == counts[1]
