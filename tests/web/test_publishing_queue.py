"""/publishing: what was set aside with its reason, and the button that has it tried again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from xdsi.actors.publication_queue import Job
from xdsi.web.operations import Metrics, operations
from xdsi.web.publishing_queue import PublishingQueue

WAITS = Job(
    study_instance_uid="1.2.3", state="waiting", due=1_800_000_000.0, since=1_700_000_000.0, generation=1, attempts=2,
    origin="changes", reason="the repository cannot be reached",
)  # fmt: skip
DEAD = replace(WAITS, study_instance_uid="1.2.4", state="dead", attempts=20, reason="<b>no patient & nobody</b>")


@dataclass
class Page:
    jobs: Sequence[Job] = (WAITS, DEAD)
    permitted: bool = True
    retried: list[list[str]] = field(default_factory=list)

    def _retry(self, uids: Sequence[str]) -> Sequence[str]:
        self.retried.append(list(uids))
        return uids

    def _shown(self, environ: Mapping[str, Any]) -> bool:
        return self.permitted

    @property
    def client(self) -> FlaskClient:
        queue = PublishingQueue(jobs=lambda: self.jobs, retry=self._retry, shown_to=self._shown)
        return operations({}, Metrics(), queue=queue).test_client()


def test_what_was_set_aside_comes_first_with_its_reason() -> None:
    text = Page().client.get("/publishing").text
    assert "1 set aside, 1 waiting." in text
    assert text.index("1.2.4") < text.index("1.2.3")
    assert "&lt;b&gt;no patient &amp; nobody&lt;/b&gt;" in text
    assert "the repository cannot be reached" in text
    assert "2027-01-15 08:00:00" in text


def test_an_empty_queue() -> None:
    text = Page(jobs=()).client.get("/publishing").text
    assert "Nothing waits, and nothing was set aside." in text
    assert "<button" not in text


def test_a_long_queue_says_that_there_is_more() -> None:
    text = Page(jobs=[replace(DEAD, study_instance_uid=f"1.2.{n}") for n in range(600)]).client.get("/publishing").text
    assert "600 set aside, 0 waiting." in text
    assert "100 more are not shown" in text


def test_each_button_has_its_study_tried_again_and_one_all_that_were_set_aside() -> None:
    page = Page()
    shown = page.client.get("/publishing").text
    assert re.findall(r'name="study" value="([^"]*)"', shown) == ["1.2.4", "1.2.3"]
    done = page.client.post("/publishing", data={"study": "1.2.4"})
    assert (done.status_code, done.headers["Location"]) == (303, "/publishing")
    page.client.post("/publishing", data={"all": "1"})
    assert page.retried == [["1.2.4"], []]


@pytest.mark.parametrize(
    ("headers", "data", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, {"all": "1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, {"all": "1"}, 403),
        ({}, {}, 400),
        ({}, {"study": "1.2.3", "more": "x" * 100_000}, 413),
    ],
)
def test_what_does_not_come_from_the_page_does_nothing(
    headers: dict[str, str], data: dict[str, str], status: int
) -> None:
    page = Page()
    assert page.client.post("/publishing", data=data, headers=headers).status_code == status
    assert page.retried == []


def test_who_is_not_permitted_sees_nothing_and_does_nothing() -> None:
    page = Page(permitted=False)
    for answer in (page.client.get("/publishing"), page.client.post("/publishing", data={"all": "1"})):
        assert answer.status_code == 403
        assert "1.2.4" not in answer.text
    assert page.retried == []


def test_where_nothing_is_published_there_is_no_such_page() -> None:
    assert operations({}, Metrics()).test_client().get("/publishing").status_code == 404
