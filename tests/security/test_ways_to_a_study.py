"""Every way to a study that was not consented to, tried with a valid client certificate and a valid assertion.

Each attempt is made against a running hub with its hospital, twice: on the study of a patient who consented to nothing,
where it must give nothing away, and, where it is a right request as such, on a study that the asker may see, where it
must arrive: so that an attempt that fails for a slip of its own is noticed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import requests

from tests.security import ways_of_asking, ways_to_documents, ways_to_images
from tests.security.asking import Asker
from tests.security.targets import URGENT, Target, gives_away
from tests.security.ways import RIGHT, TRICKS
from tests.servers import wait_until
from tests.trusted import Trusted
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED

FILLED_BY = (ways_of_asking, ways_to_documents, ways_to_images)


@pytest.mark.parametrize("way", [*RIGHT, *TRICKS])
def test_nothing_is_given_away(trusted: Trusted, hidden: Target, way: str) -> None:
    for answer in (RIGHT | TRICKS)[way](Asker(trusted), hidden):
        told = gives_away(answer, hidden)
        assert not told, (answer.request.url, answer.status_code, told, answer.content[:2000])
        assert not _may_be_kept(answer), answer.request.url


def _may_be_kept(answer: requests.Response) -> bool:
    """Whether a cache between here and the hub might give the answer to somebody else (RFC 9111)."""
    path = urlsplit(answer.url).path
    asks = path.startswith(("/dicom-web/", "/wado")) or answer.request.method == "POST"
    return asks and answer.headers["Content-Type"] != "text/html" and answer.headers.get("Cache-Control") != "no-store"


@pytest.mark.parametrize("way", RIGHT)
def test_on_what_may_be_seen_the_way_leads_there(trusted: Trusted, visible: Target, way: str) -> None:
    for answer in RIGHT[way](Asker(trusted), visible):
        assert answer.status_code == 200, answer.content[:2000]
        assert gives_away(answer, visible), (answer.request.url, answer.content[:2000])
        assert not _may_be_kept(answer), answer.request.url


@pytest.mark.parametrize("way", RIGHT)
def test_what_is_hidden_answers_as_what_is_not_there(trusted: Trusted, hidden: Target, way: str) -> None:
    """Same status, same headers, same length and text but for what was asked and the trace."""
    absent = _absent(hidden)
    for one, other in zip(RIGHT[way](Asker(trusted), hidden), RIGHT[way](Asker(trusted), absent), strict=True):
        assert one.status_code == other.status_code
        assert {name.lower() for name in one.headers} == {name.lower() for name in other.headers}
        assert _shape(one, hidden) == _shape(other, absent)


def _absent(it: Target) -> Target:
    """The same with identifiers of nothing, as long as the real ones."""

    def changed(text: str) -> str:
        return text[:-1] + ("1" if text[-1] != "1" else "2")

    return replace(
        it,
        study=changed(it.study),
        series=changed(it.series),
        instance=changed(it.instance),
        entry_uuid=changed(it.entry_uuid),
        unique_id=changed(it.unique_id),
        set_uuid=changed(it.set_uuid),
        set_id=changed(it.set_id),
    )


def _shape(answer: requests.Response, asked: Target) -> str:
    text = answer.content.decode("utf-8", "replace")
    for said in (asked.entry_uuid, asked.unique_id, asked.set_uuid, asked.set_id, asked.instance, asked.study):
        text = text.replace(said, "ASKED")
    text = re.sub(r"urn:uuid:[0-9a-f-]{36}", "UUID", text)
    return re.sub(r"[0-9a-f]{32}", "TRACE", text)


def test_nothing_was_changed(trusted: Trusted, hidden: Target) -> None:
    for _ in TRICKS["changing what is registered"](Asker(trusted), hidden):
        pass
    there = Asker(trusted, URGENT).query(
        uuids.GET_DOCUMENTS, ("$XDSDocumentEntryUniqueId", [f"('{hidden.unique_id}')"])
    )
    assert hidden.entry_uuid.encode() in there.content
    assert f'status="{APPROVED}"'.encode() in there.content
    assert Asker(trusted, URGENT).retrieve(hidden.unique_id).content.count(b"DocumentResponse>") == 2


def test_an_attempt_is_on_record(trusted: Trusted, hidden: Target) -> None:
    """Who tried what is found by the operator: as an audit record, and as the rule that refused."""
    answer = Asker(trusted).retrieve(hidden.unique_id)
    trace = answer.headers["Xdsi-Trace"]
    wait_until(lambda: len(trusted.audited(trace)) > 1)
    assert trusted.audited(trace) == [("110144", 4), ("ITI-43", 8)]
    assert '"permit": false' in trusted.explained(trace)


def test_documents_of_two_patients_in_one_request_are_on_record_apart(
    trusted: Trusted, visible: Target, hidden: Target
) -> None:
    """One is given out and one is not; each record names its patient."""
    answer = Asker(trusted).retrieve(visible.unique_id, hidden.unique_id)
    assert b"PartialSuccess" in answer.content
    trace = answer.headers["Xdsi-Trace"]
    wait_until(lambda: len(trusted.audited(trace)) > 2)
    records = [one for one in trusted.command("audit", "search", "--trace", trace) if one["transaction"] == "ITI-43"]
    told = sorted((one["outcome"], one["patient"]) for one in records)
    assert told == [(0, visible.patient), (8, hidden.patient)]


def test_there_are_many() -> None:
    assert len(FILLED_BY) == 3
    assert len(RIGHT) + len(TRICKS) > 30
