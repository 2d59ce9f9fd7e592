"""storage/audit_writer: grouping, failures, periodic work."""

from __future__ import annotations

import threading
import time

import pytest

from xdsi.domain.computing import OneComputes
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


def test_others_compute_while_a_record_is_written() -> None:
    """A question holds its turn until its record is prepared, and not while it waits for the disk."""
    turns = OneComputes(patience=1000)
    seen: list[tuple[str, bool]] = []

    def prepare() -> int:
        seen.append(("prepare", turns.held))
        return 1

    def write(items: list[int]) -> list[int]:
        seen.append(("write", turns.held))
        return items

    writer: GroupWriter[int, int] = GroupWriter(write, tick=nothing, interval=NEVER)
    with turns.turn():
        assert writer.submit(prepare) == 1
    writer.close()
    assert seen == [("prepare", True), ("write", False)]


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


def waiting_for(writer: GroupWriter[int, int], count: int) -> None:
    """Until so many items wait behind the one that is being written."""
    until = time.monotonic() + 30
    while len(writer._queue) < count:
        assert time.monotonic() < until
        time.sleep(0.001)


class Gate:
    """A `write` that is held up at its first group, and keeps what it was given."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.groups: list[list[int]] = []
        self.threads: list[threading.Thread] = []
        self.entered, self.opened = threading.Event(), threading.Event()
        self.failure = failure

    def write(self, items: list[int]) -> list[int]:
        self.groups.append(items)
        self.threads.append(threading.current_thread())
        if len(self.groups) == 1:
            self.entered.set()
            assert self.opened.wait(30)
            if self.failure is not None:
                raise self.failure
        return items


def submitting(writer: GroupWriter[int, int], number: int, results: dict[int, object]) -> threading.Thread:
    """A thread that submits a number and keeps what became of it."""

    def submit() -> None:
        try:
            results[number] = writer.submit(lambda: number)
        except BaseException as error:
            results[number] = error

    thread = threading.Thread(target=submit)
    thread.start()
    return thread


def test_who_submits_writes_and_the_first_who_came_meanwhile_writes_for_all_of_them() -> None:
    gate, results = Gate(), dict[int, object]()
    writer: GroupWriter[int, int] = GroupWriter(gate.write, tick=nothing, interval=NEVER)
    threads = [submitting(writer, 0, results)]
    assert gate.entered.wait(30)
    for number in range(1, 5):
        threads.append(submitting(writer, number, results))
        waiting_for(writer, number)
    gate.opened.set()
    for thread in threads:
        thread.join()
    writer.close()
    assert gate.groups == [[0], [1, 2, 3, 4]]
    assert gate.threads == threads[:2]
    assert results == {number: number for number in range(5)}


def test_what_is_not_written_in_time_is_unavailable_and_written_all_the_same() -> None:
    gate, results = Gate(), dict[int, object]()
    writer: GroupWriter[int, int] = GroupWriter(gate.write, tick=nothing, interval=NEVER, timeout=0.01)
    first = submitting(writer, 1, results)
    assert gate.entered.wait(30)
    with pytest.raises(Unavailable, match="not written within"):
        writer.submit(lambda: 2)
    gate.opened.set()
    first.join()
    writer.close()
    assert gate.groups == [[1], [2]]
    assert results == {1: 1}


def test_who_gave_up_is_not_waited_for_by_those_behind() -> None:
    gate, results = Gate(), dict[int, object]()
    writer: GroupWriter[int, int] = GroupWriter(gate.write, tick=nothing, interval=NEVER, timeout=0.01)
    first = submitting(writer, 1, results)
    assert gate.entered.wait(30)
    with pytest.raises(Unavailable):
        writer.submit(lambda: 2)
    writer._timeout = 30
    third = submitting(writer, 3, results)
    waiting_for(writer, 2)
    gate.opened.set()
    first.join()
    third.join()
    writer.close()
    assert gate.groups == [[1], [2, 3]]
    assert gate.threads == [first, third]
    assert results == {1: 1, 3: 3}


def test_a_thread_that_is_ended_while_it_writes_leaves_nobody_waiting() -> None:
    gate, results = Gate(SystemExit("ended")), dict[int, object]()
    writer: GroupWriter[int, int] = GroupWriter(gate.write, tick=nothing, interval=NEVER)
    first = submitting(writer, 1, results)
    assert gate.entered.wait(30)
    second = submitting(writer, 2, results)
    waiting_for(writer, 1)
    gate.opened.set()
    first.join()
    second.join()
    writer.close()
    assert isinstance(results[1], SystemExit)
    assert results[2] == 2


def test_who_shares_the_group_of_a_thread_that_is_ended_is_told_that_nobody_knows() -> None:
    results = dict[int, object]()
    hold = Gate()

    def write(items: list[int]) -> list[int]:
        if items != [0]:
            raise SystemExit
        return hold.write(items)

    writer: GroupWriter[int, int] = GroupWriter(write, tick=nothing, interval=NEVER)
    threads = [submitting(writer, 0, results)]
    assert hold.entered.wait(30)
    for number in (1, 2):
        threads.append(submitting(writer, number, results))
        waiting_for(writer, number)
    hold.opened.set()
    for thread in threads:
        thread.join()
    writer.close()
    assert isinstance(results[1], SystemExit)
    assert isinstance(results[2], Unavailable)
    assert results[2].uncertain


def test_what_was_submitted_before_the_end_is_written_before_the_last_periodic_work() -> None:
    gate, results, ticks = Gate(), dict[int, object](), list[int]()
    writer: GroupWriter[int, int] = GroupWriter(
        gate.write, tick=lambda: ticks.append(sum(map(len, gate.groups))), interval=NEVER
    )
    threads = [submitting(writer, 1, results)]
    assert gate.entered.wait(30)
    for number in (2, 3):
        threads.append(submitting(writer, number, results))
        waiting_for(writer, number - 1)
    closing = threading.Thread(target=writer.close)
    closing.start()
    while not writer._closed:
        time.sleep(0.001)
    gate.opened.set()
    for thread in (*threads, closing):
        thread.join()
    assert results == {1: 1, 2: 2, 3: 3}
    assert ticks[-1] == 3


def test_periodic_work_has_its_turn_among_writers_without_end_and_never_beside_one() -> None:
    at_work = threading.Lock()
    ticks = 0
    enough = threading.Event()

    def alone() -> None:
        assert at_work.acquire(blocking=False)
        time.sleep(0)
        at_work.release()

    def tick() -> None:
        nonlocal ticks
        alone()
        ticks += 1
        if ticks == 20:
            enough.set()

    def write(items: list[int]) -> list[int]:
        alone()
        return items

    writer: GroupWriter[int, int] = GroupWriter(write, tick=tick, interval=0.0001)

    def submit_without_end() -> None:
        while not enough.is_set():
            assert writer.submit(lambda: 1) == 1

    threads = [threading.Thread(target=submit_without_end) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert enough.wait(30)
    for thread in threads:
        thread.join()
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
