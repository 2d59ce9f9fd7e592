"""Who may change what, on a registry as it is put together: ITI-57, ITI-62 and ITI-92 by consent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.app.records import (
    CLINIC,
    DOCTOR,
    NONE,
    RECORDS,
    RESTRICTED,
    STRANGER,
    WHOLE,
    ask,
    every_query,
    give,
    id_of,
    made,
    register,
    submissions,
)
from tests.policies import confidentiality, match, organization, permit, policy
from tests.rules.updates import bound, status_of, update
from tests.wire.ebxml.bodies import received
from xdsi.app import Parts
from xdsi.domain.consent import Action, Rule
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.outcome import Outcome, Status
from xdsi.domain.removal import RemovalRequest
from xdsi.domain.stored_query import ReturnType
from xdsi.domain.subject import Caller
from xdsi.exchange import Trace, Transaction, run
from xdsi.spec import xacml
from xdsi.transactions import iti57_update_document_set as iti57
from xdsi.transactions import iti62_remove_metadata as iti62
from xdsi.transactions import iti92_restricted_update_document_set as iti92
from xdsi.wire.message import Packaging

STEWARD = DOCTOR
"""of the organisation that may update"""


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """The record WHOLE: the clinic may do everything with what is ordinary, others may read it; NONE has no consent."""
    parts = made(tmp_path)
    for patient in (WHOLE, NONE):
        register(parts, patient)
    reading = permits("query", "retrieve", what=confidentiality("N"))
    give(parts, WHOLE, policy(*permits(who=organization(CLINIC), what=confidentiality("N")), *reading))
    yield parts
    parts.engine.dispose()


def permits(*actions: str, **parts: Any) -> list[Rule]:
    """A rule for each action (all of them by default): a permit that names none opens no change."""
    return [permit(name, action=match(xacml.ACTION_ID, name), **parts) for name in actions or tuple(Action)]


def sent(parts: Parts, who: Caller, row: Transaction[Any, Any], request: Any) -> Outcome:
    payload = run(
        parts.registry_actor, row, received(row.request.encode(request, Packaging.SIMPLE)), who,
        packaging=Packaging.SIMPLE, trace=Trace(),
    )  # fmt: skip
    answer = row.response.decode(received(payload))
    return answer if isinstance(answer, Outcome) else answer.outcome  # type: ignore[no-any-return]


def entry(patient: Any, name: str) -> DocumentEntry:
    entries = [one for submission in submissions(patient) for one in submission.document_entries]
    return next(one for one in entries if one.entry_uuid == id_of(patient, name))


def next_version(patient: Any, name: str, previous: str = "1", **changes: Any) -> list[Any]:
    one = entry(patient, name)
    given = {"entry_uuid": "new", "logical_id": one.entry_uuid, "version": None}
    return [replace(one, **given | changes), bound(previous=previous)]


def request(*objects: Any, patient: Any = WHOLE) -> Any:
    return update(*objects, unique_id="2.999.11.900", patient_id=patient.cx)


def shown(parts: Parts, who: Caller, patient: Any = WHOLE) -> set[str]:
    """The titles of everything that any query shows, at any MetadataLevel."""
    titles = set()
    for query in every_query(patient).values():
        _, objects, _ = ask(parts.registry_actor, who, query, ReturnType.LEAF_CLASS)
        titles |= {one.title for one in objects if isinstance(one, DocumentEntry)}
    return titles


def codes(outcome: Outcome) -> list[str]:
    return [one.code for one in outcome.problems]


@pytest.mark.parametrize("row", [iti57.TRANSACTION, iti92.TRANSACTION], ids=["ITI-57", "ITI-92"])
def test_who_may_update_does_and_who_may_only_read_does_not(parts: Parts, row: Transaction[Any, Any]) -> None:
    asked = request(*next_version(WHOLE, "A", title="corrected"))
    refused = sent(parts, STRANGER, row, asked)
    unknown = sent(parts, STRANGER, row, request(*next_version(NONE, "A", title="corrected"), patient=NONE))
    assert codes(refused) == codes(unknown) != []
    assert "corrected" not in shown(parts, STEWARD)
    assert sent(parts, STEWARD, row, asked).problems == ()
    assert "corrected" in shown(parts, STEWARD) & shown(parts, STRANGER)


def test_what_is_hidden_answers_as_what_is_not_there(parts: Parts) -> None:
    """To the letter, but for the ids and the trace."""

    def answers(name: str, id_: str) -> list[tuple[str, str]]:
        one = next_version(WHOLE, name)
        objects = [replace(one[0], logical_id=id_, unique_id="2.999.10.901"), one[1]]
        texts = []
        for asked in (request(*objects), request(status_of(id_)), request(*next_version(WHOLE, "A"), status_of(id_))):
            problems = sent(parts, STEWARD, iti57.TRANSACTION, asked).problems
            texts += [(one.code, one.context.partition(" [trace")[0].replace(id_, "ID")) for one in problems]
        problems = sent(parts, STEWARD, iti62.TRANSACTION, RemovalRequest((id_,))).problems
        return texts + [(one.code, one.context.partition(" [trace")[0].replace(id_, "ID")) for one in problems]

    nowhere = "urn:uuid:00000000-0000-4000-8000-999999999999"
    assert answers("B", id_of(WHOLE, "B")) == answers("B", nowhere) != []


def test_a_new_confidentiality_hides_every_version(parts: Parts) -> None:
    title = "title of A"
    assert title in shown(parts, STRANGER)
    asked = request(*next_version(WHOLE, "A", confidentiality_codes=(RESTRICTED,)))
    assert sent(parts, STEWARD, iti92.TRANSACTION, asked).problems == ()
    assert title not in shown(parts, STRANGER) | shown(parts, STEWARD)
    again = request(*next_version(WHOLE, "A", previous="2"))
    assert sent(parts, STEWARD, iti92.TRANSACTION, again).status is Status.FAILURE, "nor may it be taken back"


@pytest.mark.parametrize("way", ["ITI-57", "ITI-62"])
def test_a_consent_that_is_deprecated_or_removed_ends_at_once(parts: Parts, way: str) -> None:
    """Its document is D (tests/app/records)."""
    own = id_of(WHOLE, "D")
    assert shown(parts, STRANGER) != set()
    everything = [one.entry_uuid for submission in submissions(WHOLE) for one in submission.objects]
    give(parts, WHOLE, policy(permit(), *permits()))
    asked: tuple[Transaction[Any, Any], Any] = (
        (iti57.TRANSACTION, request(status_of(own)))
        if way == "ITI-57"
        else (iti62.TRANSACTION, RemovalRequest(tuple(everything)))
    )
    assert sent(parts, STEWARD, *asked).problems == ()
    assert shown(parts, STRANGER) == shown(parts, STEWARD) == set()


def test_records_are_not_joined_by_an_update(parts: Parts) -> None:
    """A document goes into another record only with a permit there."""
    moved: Sequence[Any] = next_version(WHOLE, "A", patient_id=NONE.cx)
    outcome = sent(parts, STEWARD, iti57.TRANSACTION, request(*moved, patient=NONE))
    assert set(codes(outcome)) == {"UnresolvedReferenceException", "XDSMetadataVersionError"}
    assert RECORDS.index(NONE) == 2
