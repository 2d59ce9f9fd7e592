"""storage/identities: the port's promises, kept by the database and by the store in memory that other tests use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from tests.memory_identities import MemoryIdentities
from xdsi.domain.errors import Refused
from xdsi.domain.identifiers import PatientId
from xdsi.domain.identity import Demographics, PatientIdentities, PatientStatus, PersonName
from xdsi.storage.database import open_database, reading, upgrade, writing
from xdsi.storage.identities import SqlPatientIdentities, key_of, keys_of_chain
from xdsi.storage.tables import patient as rows

A, B, C, D, E = (PatientId(letter, "2.999.3") for letter in "ABCDE")
SAID = Demographics(name=PersonName(family="Doe", given="Jane"), birth_date="19850730", sex="F")
NOTHING = Demographics()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'registry.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def database(engine: Engine) -> SqlPatientIdentities:
    moments = iter(datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(1000))
    return SqlPatientIdentities(engine, clock=lambda: next(moments))


@pytest.fixture(params=["memory", "database"])
def identities(request: pytest.FixtureRequest) -> PatientIdentities:
    return MemoryIdentities() if request.param == "memory" else request.getfixturevalue("database")


def filled(identities: PatientIdentities, *patients: PatientId) -> None:
    for patient in patients:
        identities.add(patient, NOTHING)


def test_an_identifier_is_unknown_until_it_is_added(identities: PatientIdentities) -> None:
    assert identities.status(A) is PatientStatus.UNKNOWN
    assert not identities.known(A)
    identities.add(A, SAID, "ADT")
    assert identities.status(A) is PatientStatus.ACTIVE
    assert identities.known(A)


@pytest.mark.parametrize("other", [PatientId("A", "2.999.4"), PatientId("a", "2.999.3"), PatientId("A ", "2.999.3")])
def test_an_identifier_is_exactly_itself(identities: PatientIdentities, other: PatientId) -> None:
    identities.add(A, NOTHING)
    assert not identities.known(other)


def test_what_is_said_is_kept_what_is_not_stays_and_what_is_empty_goes(identities: PatientIdentities) -> None:
    identities.add(A, SAID, "ADT")
    identities.add(A, NOTHING)
    (known,) = identities.list()
    assert (known.patient, known.demographics, known.source) == (A, SAID, "ADT")
    identities.add(A, Demographics(birth_date="", sex="M"), "LAB")
    (known,) = identities.list()
    assert known.demographics == Demographics(name=SAID.name, birth_date=None, sex="M")
    assert known.source == "LAB"
    identities.add(A, Demographics(name=PersonName()))
    assert identities.list()[0].demographics.name is None


def test_a_merge_ends_one_identifier_and_names_the_other(identities: PatientIdentities) -> None:
    filled(identities, A, B)
    identities.merge(A, B)
    assert (identities.status(A), identities.status(B)) == (PatientStatus.SUBSUMED, PatientStatus.ACTIVE)
    assert identities.survivor_of(A) == identities.survivor_of(B) == B
    assert identities.aliases(A) == identities.aliases(B) == (B, A)
    assert [known.survivor for known in identities.list()] == [B, None]


def test_merges_chain_and_branch(identities: PatientIdentities) -> None:
    filled(identities, A, B, C, D, E)
    identities.merge(A, B)
    identities.merge(C, B)
    identities.merge(B, D)
    for member in (A, B, C, D):
        assert identities.survivor_of(member) == D
        aliases = identities.aliases(member)
        assert (aliases[0], set(aliases)) == (D, {A, B, C, D})
    assert identities.aliases(E) == (E,)


def test_an_unknown_identifier_has_no_aliases_and_survives_itself(identities: PatientIdentities) -> None:
    assert identities.aliases(A) == ()
    assert identities.survivor_of(A) == A


@pytest.mark.parametrize(
    ("subsumed", "survivor"),
    [
        pytest.param(A, C, id="already subsumed"),
        pytest.param(C, A, id="into a subsumed one"),
        pytest.param(B, A, id="ring"),
        pytest.param(B, B, id="itself"),
        pytest.param(D, B, id="unknown"),
        pytest.param(B, D, id="into an unknown one"),
    ],
)
def test_a_merge_needs_two_active_identifiers(
    identities: PatientIdentities, subsumed: PatientId, survivor: PatientId
) -> None:
    filled(identities, A, B, C)
    identities.merge(A, B)
    before = identities.list()
    with pytest.raises(Refused):
        identities.merge(subsumed, survivor)
    assert identities.list() == before


def test_adding_a_subsumed_identifier_again_does_not_revive_it(identities: PatientIdentities) -> None:
    filled(identities, A, B)
    identities.merge(A, B)
    identities.add(A, SAID)
    assert identities.status(A) is PatientStatus.SUBSUMED


def test_the_list_is_in_order_and_in_pages(identities: PatientIdentities) -> None:
    filled(identities, C, A, B)
    assert [k.patient for k in identities.list()] == [C, A, B]
    assert [k.patient for k in identities.list(limit=2)] == [C, A]
    assert [k.patient for k in identities.list(limit=2, after=A)] == [B]


def test_times_are_kept(database: SqlPatientIdentities) -> None:
    database.add(A, SAID)
    database.add(A, NOTHING)
    (known,) = database.list()
    assert known.created == datetime(2025, 1, 1, tzinfo=UTC)
    assert known.updated == datetime(2025, 1, 2, tzinfo=UTC)


def test_a_key_is_made_once_and_never_changes(engine: Engine, database: SqlPatientIdentities) -> None:
    with writing(engine) as connection:
        assert key_of(connection, A, create=False) is None
        key = key_of(connection, A, create=True)
        assert key is not None
        assert key_of(connection, A, create=True) == key
    assert database.known(A)
    (known,) = database.list()
    assert (known.demographics, known.created) == (NOTHING, None)
    database.add(A, SAID)
    database.add(B, SAID)
    database.merge(A, B)
    with reading(engine) as connection:
        assert key_of(connection, A, create=False) == key


def test_keys_of_a_chain(engine: Engine, database: SqlPatientIdentities) -> None:
    filled(database, A, B, C, D)
    database.merge(A, B)
    database.merge(B, C)
    with reading(engine) as connection:
        a, b, c, d = (key_of(connection, p, create=False) for p in (A, B, C, D))
        for member in (A, B, C):
            assert keys_of_chain(connection, member) == (c, a, b)
        assert keys_of_chain(connection, D) == (d,)
        assert keys_of_chain(connection, E) == ()


def test_a_ring_in_the_table_does_not_hang_a_query(engine: Engine, database: SqlPatientIdentities) -> None:
    filled(database, A, B)
    with writing(engine) as connection:
        a, b = (key_of(connection, p, create=False) for p in (A, B))
        connection.execute(update(rows).where(rows.c.key == a).values(survivor_key=b))
        connection.execute(update(rows).where(rows.c.key == b).values(survivor_key=a))
    assert database.aliases(A) == ()


def test_a_merge_makes_the_consent_epoch_of_both_grow(engine: Engine, database: SqlPatientIdentities) -> None:
    filled(database, A, B, C)
    database.merge(A, B)
    with reading(engine) as connection:
        assert list(connection.execute(select(rows.c.consent_epoch).order_by(rows.c.key)).scalars()) == [1, 1, 0]


def test_within_a_transaction_everything_is_its_part(engine: Engine, database: SqlPatientIdentities) -> None:
    def abandoned() -> None:
        with writing(engine) as connection:
            inside = database.within(connection)
            filled(inside, A, B)
            inside.merge(A, B)
            assert inside.survivor_of(A) == B
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        abandoned()
    assert database.list() == ()


def test_of_two_merges_in_opposite_directions_one_is_refused(engine: Engine, database: SqlPatientIdentities) -> None:
    filled(database, A, B)
    start = threading.Barrier(2, timeout=60)
    outcomes: list[bool] = []

    def merge(subsumed: PatientId, survivor: PatientId) -> None:
        start.wait()
        try:
            SqlPatientIdentities(engine).merge(subsumed, survivor)
            outcomes.append(True)
        except Refused:
            outcomes.append(False)

    threads = [threading.Thread(target=merge, args=pair) for pair in ((A, B), (B, A))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, True]
    assert {database.status(A), database.status(B)} == {PatientStatus.ACTIVE, PatientStatus.SUBSUMED}


def test_many_may_add_the_same_identifier_at_once(engine: Engine, database: SqlPatientIdentities) -> None:
    start = threading.Barrier(4, timeout=60)
    keys: list[int | None] = []

    def add() -> None:
        start.wait()
        with writing(engine) as connection:
            keys.append(key_of(connection, A, create=True))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 4
    assert len(set(keys)) == 1
