"""storage/audit_verify and audit_links: every kind of tampering is found, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.storage.audit_setting import all_rows, event, found, heads, opened, tamper, written
from xdsi.domain.audit_records import Direction, Tampering
from xdsi.storage.audit_chain import GENESIS, LINKS, Head, content, read_links, record_hash, write_links
from xdsi.storage.database import writing
from xdsi.storage.tables import audit_chain_head, audit_record

RECORD = audit_record.c
HEAD = audit_chain_head.c


@pytest.fixture
def chain(engine: sa.Engine) -> str:
    """Five records of a process that has ended."""
    return written(engine, 5) + "/0"


def at(chain: str, sequence: int) -> sa.ColumnElement[bool]:
    return sa.and_(RECORD.chain == chain, RECORD.sequence == sequence)


def row(engine: sa.Engine, chain: str, sequence: int) -> dict[str, Any]:
    (found,) = [one for one in all_rows(engine) if (one.chain, one.sequence) == (chain, sequence)]
    return dict(found._mapping)


def rewrite(engine: sa.Engine, chain: str, first: int, last: int, **changes: Any) -> None:
    """Change a record and give every record from there on the hash that fits: a forger who knows how it is done."""
    previous = row(engine, chain, first)["previous_hash"]
    for sequence in range(first, last + 1):
        forged = {**row(engine, chain, sequence), "previous_hash": previous}
        if sequence == first:
            forged |= changes
        previous = forged["hash"] = record_hash(forged)
        tamper(engine, sa.update(audit_record).where(at(chain, sequence)).values(forged))


def test_an_untouched_trail_is_intact(engine: sa.Engine, chain: str) -> None:
    seen: list[int] = []
    with opened(engine, "other") as trail:
        trail.append([event()], trace="t")
        with writing(engine) as connection:
            trail.append([event()], trace="t", connection=connection)
        report = trail.verify(progress=seen.append)
    assert report.intact
    assert report.records == seen[-1] >= 8
    assert report.chains >= 4
    assert report.heads[chain] == (5, row(engine, chain, 5)["hash"])
    assert found(engine) == []


def test_an_empty_trail_is_intact(engine: sa.Engine) -> None:
    assert found(engine) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"xml": b"<AuditMessage/>"},
        {"time": "2026-02-03T10:11:13.345000Z"},
        {"patient": "P9^^^&2.999.1.1&ISO"},
        {"user_id": "somebody else"},
        {"outcome": 4},
        {"trace": "other"},
        {"transaction": "ITI-43"},
        {"direction": "received"},
        {"peer": "x"},
        {"hash": "f" * 64},
    ],
)
def test_a_changed_record_is_found(engine: sa.Engine, chain: str, changes: dict[str, Any]) -> None:
    tamper(engine, sa.update(audit_record).where(at(chain, 3)).values(changes))
    findings = found(engine)
    assert findings[0] == (Tampering.CHANGED, chain, 3, 3)
    # A false hash does not fit the next record either.
    assert findings[1:] == ([(Tampering.DISPLACED, chain, 4, 4)] if "hash" in changes else [])


def test_text_cannot_move_from_one_column_to_the_next(engine: sa.Engine, chain: str) -> None:
    old = row(engine, chain, 2)
    values = {"patient": old["patient"] + old["user_id"], "user_id": ""}
    tamper(engine, sa.update(audit_record).where(at(chain, 2)).values(values))
    assert found(engine) == [(Tampering.CHANGED, chain, 2, 2)]


def test_a_changed_record_with_a_fitting_hash_is_found_by_the_next(engine: sa.Engine, chain: str) -> None:
    rewrite(engine, chain, 3, 3, user_id="somebody else")
    assert found(engine) == [(Tampering.DISPLACED, chain, 4, 4)]


def test_a_chain_rewritten_to_its_end_is_found_by_the_link(engine: sa.Engine, chain: str) -> None:
    rewrite(engine, chain, 3, 5, user_id="somebody else")
    tamper(engine, sa.update(audit_chain_head).where(HEAD.chain == chain).values(hash=row(engine, chain, 5)["hash"]))
    assert found(engine) == [(Tampering.TAIL, chain, 5, 5)]


def test_removed_records_are_found(engine: sa.Engine, chain: str) -> None:
    tamper(engine, sa.delete(audit_record).where(RECORD.chain == chain, RECORD.sequence.in_([2, 3])))
    assert found(engine) == [(Tampering.REMOVED, chain, 2, 3)]


def test_a_removed_beginning_is_found(engine: sa.Engine, chain: str) -> None:
    tamper(engine, sa.delete(audit_record).where(at(chain, 1)))
    assert found(engine) == [(Tampering.REMOVED, chain, 1, 1)]


def test_a_removed_record_whose_place_was_closed_is_found(engine: sa.Engine, chain: str) -> None:
    tamper(engine, sa.delete(audit_record).where(at(chain, 2)))
    for sequence in (3, 4, 5):
        tamper(engine, sa.update(audit_record).where(at(chain, sequence)).values(sequence=sequence - 1))
    assert (Tampering.DISPLACED, chain, 2, 2) in found(engine)


def test_reordered_records_are_found(engine: sa.Engine, chain: str) -> None:
    for place, target in ((2, 99), (3, 2), (99, 3)):
        tamper(engine, sa.update(audit_record).where(at(chain, place)).values(sequence=target))
    assert found(engine) == [(Tampering.DISPLACED, chain, place, place) for place in (2, 3, 4)]


def test_exchanged_contents_are_found(engine: sa.Engine, chain: str) -> None:
    second, third = row(engine, chain, 2)["xml"], row(engine, chain, 3)["xml"]
    tamper(engine, sa.update(audit_record).where(at(chain, 2)).values(xml=third))
    tamper(engine, sa.update(audit_record).where(at(chain, 3)).values(xml=second))
    assert found(engine) == [(Tampering.CHANGED, chain, 2, 2), (Tampering.CHANGED, chain, 3, 3)]


def test_an_inserted_record_is_found(engine: sa.Engine, chain: str) -> None:
    forged = {**row(engine, chain, 5), "sequence": 6}
    del forged["id"]
    tamper(engine, sa.insert(audit_record).values(forged))
    assert found(engine) == [(Tampering.DISPLACED, chain, 6, 6)]


def test_a_record_before_the_first_is_found(engine: sa.Engine, chain: str) -> None:
    forged = {**row(engine, chain, 5), "sequence": 0, "previous_hash": GENESIS}
    del forged["id"]
    forged["hash"] = record_hash(forged)
    tamper(engine, sa.insert(audit_record).values(forged))
    assert (Tampering.DISPLACED, chain, 0, 0) in found(engine)


def test_a_missing_tail_is_found(engine: sa.Engine, chain: str) -> None:
    tamper(engine, sa.delete(audit_record).where(RECORD.chain == chain, RECORD.sequence > 3))
    assert found(engine) == [(Tampering.TAIL, chain, 4, 5)]


def test_a_missing_tail_is_found_by_the_link_where_the_list_was_adjusted(engine: sa.Engine, chain: str) -> None:
    tamper(engine, sa.delete(audit_record).where(RECORD.chain == chain, RECORD.sequence > 3))
    values = {"sequence": 3, "hash": row(engine, chain, 3)["hash"]}
    tamper(engine, sa.update(audit_chain_head).where(HEAD.chain == chain).values(values))
    assert found(engine) == [(Tampering.TAIL, chain, 4, 5)]


def test_a_missing_tail_stays_missing_when_others_go_on(engine: sa.Engine, chain: str) -> None:
    tamper(engine, sa.delete(audit_record).where(RECORD.chain == chain, RECORD.sequence > 3))
    tamper(engine, sa.update(audit_chain_head).where(HEAD.chain == chain).values(closed=False, linked=False))
    for host in ("second", "third"):
        written(engine, 2, host)
    assert found(engine) == [(Tampering.TAIL, chain, 4, 5)]


def test_a_missing_chain_is_found(engine: sa.Engine, chain: str) -> None:
    tamper(engine, sa.delete(audit_record).where(RECORD.chain == chain))
    tamper(engine, sa.delete(audit_chain_head).where(HEAD.chain == chain))
    assert found(engine) == [(Tampering.TAIL, chain, 1, 5)]


def test_a_process_wiped_out_with_its_links_is_found_by_another(engine: sa.Engine, chain: str) -> None:
    links = chain.removesuffix("/0") + LINKS
    written(engine, 1, "second")
    tamper(engine, sa.delete(audit_record).where(RECORD.chain.in_([chain, links])))
    tamper(engine, sa.delete(audit_chain_head).where(HEAD.chain.in_([chain, links])))
    assert found(engine) == [(Tampering.TAIL, links, 1, 1)]


def test_a_changed_link_is_found(engine: sa.Engine, chain: str) -> None:
    links = chain.removesuffix("/0") + LINKS
    tamper(engine, sa.update(audit_record).where(at(links, 1)).values(xml=b""))
    assert found(engine) == [(Tampering.CHANGED, links, 1, 1)]


def test_a_chain_that_is_not_listed_is_found(engine: sa.Engine, chain: str) -> None:
    tamper(engine, sa.delete(audit_chain_head).where(HEAD.chain == chain))
    assert found(engine) == [(Tampering.TAIL, chain, 0, 0)]


def test_the_tail_of_a_running_process_shows_as_a_gap(engine: sa.Engine) -> None:
    with opened(engine) as trail:
        for number in range(3):
            trail.append([event(number)], trace="t")
        tamper(engine, sa.delete(audit_record).where(at(f"{trail.chain}/0", 3)))
        trail.append([event(4)], trace="t")
    assert (Tampering.REMOVED, f"{trail.chain}/0", 3, 3) in found(engine)


def test_a_crashed_process_is_linked_by_the_next(engine: sa.Engine) -> None:
    """Its chains are open and its head was never listed; whoever starts next names the head it finds."""
    with opened(engine, "crashed") as trail:
        trail.append([event(1)], trace="t")
        chain = f"{trail.chain}/0"
        written(engine, 1, "next")
        naming = [one for one in all_rows(engine) if one.chain.startswith("next-") and one.direction == "link"]
        assert chain in {head.chain for one in naming for head in read_links(one.xml)}
    written(engine, 1, "later")
    tamper(engine, sa.delete(audit_record).where(at(chain, 1)))
    assert (Tampering.TAIL, chain, 1, 1) in found(engine)


def test_heads_kept_elsewhere_find_what_nothing_inside_can(engine: sa.Engine, chain: str) -> None:
    with opened(engine, "verifier") as trail:
        kept = dict(trail.verify().heads)
    tamper(engine, sa.delete(audit_record))
    tamper(engine, sa.delete(audit_chain_head))
    assert found(engine) == []
    assert (Tampering.TAIL, chain, 1, 5) in found(engine, known=kept)


def test_a_process_that_moves_again_is_linked_again(engine: sa.Engine) -> None:
    with opened(engine, link_seconds=0.001) as trail:
        for expected in (1, 2, 3):
            trail.append([event(expected)], trace="t")
            while heads(engine)[f"{trail.chain}/0"].sequence < expected:
                pass
        assert heads(engine)[f"{trail.chain}/0"].linked
    links = [one for one in all_rows(engine) if one.chain.endswith(LINKS)]
    assert len(links) == 3
    assert [head.sequence for one in links for head in read_links(one.xml)] == [1, 2, 3]


def test_two_idle_processes_do_not_link_each_other_for_ever(engine: sa.Engine) -> None:
    with opened(engine, "a", link_seconds=0.001) as a, opened(engine, "b", link_seconds=0.001) as b:
        for trail in (a, b):
            trail.append([event()], trace="t")
        while not all(heads(engine)[f"{trail.chain}/0"].linked for trail in (a, b)):
            pass
        a.append([event()], trace="t")
        while heads(engine)[f"{a.chain}/0"].sequence < 2:
            pass
    assert len([one for one in all_rows(engine) if one.direction == "link"]) <= 6
    assert found(engine) == []


def test_links_are_read_as_they_were_written() -> None:
    named = [Head("host name-1-a/0", 12, "0f" * 32), Head("b/links", 1, "aa" * 32)]
    assert read_links(write_links(named)) == named
    assert read_links(b"\xff\nx y z\n1 short chain\n-1 " + b"a" * 64 + b" c\n") == []


def test_every_covered_column_has_a_place_in_the_table() -> None:
    made, _ = Head("c").follow(content(xml=b"", time=event().time, direction=Direction.SENT))
    assert set(made) <= {column.name for column in audit_record.columns}


def test_reading_the_trail_adds_nothing_to_it(engine: sa.Engine, chain: str) -> None:
    before = len(all_rows(engine))
    with opened(engine, "reader") as trail:
        assert trail.verify().intact
        assert trail.search()
    assert len(all_rows(engine)) == before
