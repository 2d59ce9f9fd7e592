"""storage/audit_writer: grouping, failures, periodic work."""

from __future__ import annotations

import threading

import pytest

from xdsi.domain.errors import Unavailable
from xdsi.storage.audit_writer import GroupWriter

NEVER = 1_000_000_000.0


def nothing() -> None:
    """Periodic work that does not matter."""


def test_an_item_in_preparation_is_waited_for() -> None:
    """The writer holds the first item back until the second, which is being prepared, is there."""
    groups: list[list[int]] = []
    preparing, prepared, go_on = threading.Event(), threading.Event(), threading.Event()

    def write(items: list[int]) -> list[int]:
        groups.append(items)
        return items

    def slow() -> int:
        preparing.set()
        assert go_on.wait(30)
        return 2

    def quick() -> int:
        prepared.set()
        return 1

    writer: GroupWriter[int, int] = GroupWriter(write, tick=nothing, interval=NEVER, linger=30)
    second = threading.Thread(target=writer.submit, args=(slow,))
    second.start()
    assert preparing.wait(30)
    first = threading.Thread(target=writer.submit, args=(quick,))
    first.start()
    assert prepared.wait(30)
    while writer._coming > 1:
        pass
    go_on.set()
    first.join()
    second.join()
    writer.close()
    assert sorted(groups[0]) == [1, 2]


def test_the_wait_has_an_end() -> None:
    go_on = threading.Event()
    preparing = threading.Event()

    def stuck() -> int:
        preparing.set()
        assert go_on.wait(30)
        return 2

    writer: GroupWriter[int, int] = GroupWriter(lambda items: items, tick=nothing, interval=NEVER, linger=0.001)
    other = threading.Thread(target=writer.submit, args=(stuck,))
    other.start()
    assert preparing.wait(30)
    assert writer.submit(lambda: 1) == 1
    go_on.set()
    other.join()
    writer.close()


def test_a_failure_goes_to_the_one_it_belongs_to() -> None:
    def write(items: list[int]) -> list[int]:
        if 3 in items:
            raise ZeroDivisionError
        return [item * 10 for item in items]

    writer: GroupWriter[int, int] = GroupWriter(write, tick=nothing, interval=NEVER)
    results: dict[int, object] = {}

    def submit(number: int) -> None:
        try:
            results[number] = writer.submit(lambda: number)
        except ZeroDivisionError as error:
            results[number] = type(error)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert results == {0: 0, 1: 10, 2: 20, 3: ZeroDivisionError, 4: 40, 5: 50}


def test_where_the_database_is_away_nobody_tries_alone() -> None:
    attempts = 0

    def write(items: list[int]) -> list[int]:
        nonlocal attempts
        attempts += 1
        raise Unavailable("away")

    writer: GroupWriter[int, int] = GroupWriter(write, tick=nothing, interval=NEVER)
    with pytest.raises(Unavailable):
        writer.submit(lambda: 1)
    assert attempts == 1
    writer.close()


def test_what_is_not_written_in_time_is_unavailable() -> None:
    release = threading.Event()

    def write(items: list[int]) -> list[int]:
        assert release.wait(30)
        return items

    writer: GroupWriter[int, int] = GroupWriter(write, tick=nothing, interval=NEVER, timeout=0.01)
    with pytest.raises(Unavailable, match="not written within"):
        writer.submit(lambda: 1)
    release.set()
    writer.close()


def test_an_item_that_cannot_be_prepared_holds_nobody_up() -> None:
    writer: GroupWriter[int, int] = GroupWriter(lambda items: items, tick=nothing, interval=NEVER, linger=1000)
    with pytest.raises(ZeroDivisionError):
        writer.submit(lambda: 1 // 0)
    assert writer.submit(lambda: 1) == 1
    writer.close()


def test_periodic_work_goes_on_after_a_failure_and_is_done_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    ticks = 0
    enough = threading.Event()

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 3:
            enough.set()
        if ticks < 3:
            raise ZeroDivisionError

    writer: GroupWriter[int, int] = GroupWriter(lambda items: items, tick=tick, interval=0.001)
    assert enough.wait(30)
    writer.close()
    assert ticks > 3
    assert "periodic work failed" in caplog.text


def test_nothing_is_taken_after_the_end() -> None:
    writer: GroupWriter[int, int] = GroupWriter(lambda items: items, tick=nothing, interval=NEVER)
    writer.close()
    writer.close()
    with pytest.raises(Unavailable):
        writer.submit(lambda: 1)
