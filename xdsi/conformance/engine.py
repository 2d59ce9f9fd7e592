"""Plays cases against an endpoint and says what is not as expected; a black box that knows messages, not servers.

`load()` gives the cases, `run(case, endpoint)` the findings; no findings is a pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from . import answers, checks, decisions, dimse, messages, mllp, plans, rest, sending
from .answers import Answer, BadAnswer
from .cases import kinds, known_values
from .dimse import DimseAnswer
from .endpoint import ANNOUNCING, Endpoint
from .messages import HttpRequest
from .mllp import Acknowledgement
from .model import DIMSE, MLLP, REST, Case, Expectation, Step
from .results import Exchange, Finding
from .sending import Received
from .templates import TemplateError, Values

AnyAnswer = Answer | rest.RestAnswer | Acknowledgement | DimseAnswer
Observer = Callable[[Exchange], None]


def run(case: Case, endpoint: Endpoint, *, observe: Observer | None = None) -> tuple[Finding, ...]:
    """Play the steps of a case in order; ids are fresh each time, so that it can be repeated on a living system."""
    if case.plan:
        return plans.played(case, endpoint, observe)[0]
    documents = {name: document.content for name, document in case.documents.items()}
    values = Values({**known_values(), **endpoint.values}, documents, endpoint.patients)
    values.given.update({name: text for name, text in case.values.items() if name not in endpoint.values})
    findings: list[Finding] = []
    fed: set[str] = set()
    with endpoint.session() as session:
        playing = _Playing(case, endpoint, session, values, observe)
        for step in case.steps:
            before = dict(values.given)
            values.given.update(step.values)
            time.sleep(step.wait)
            try:
                request = playing.request(step)
                if endpoint.feed and case.feed:
                    findings.extend(playing.announce(fed))
                findings.extend(playing.play(step, request))
            except TemplateError as error:
                if not findings:
                    raise
                findings.append(Finding(step.name, "the values of earlier steps", str(error), case.clause))
            made = {name: values.given[name] for name in step.expect.capture if name in values.given}
            values.given = {**before, **made}
    return tuple(findings)


class _Playing:
    """One case at one endpoint."""

    def __init__(
        self, case: Case, endpoint: Endpoint, session: sending.Session, values: Values, observe: Observer | None
    ) -> None:
        self.case, self.endpoint, self.session, self.values = case, endpoint, session, values
        self.observe = observe

    def request(self, step: Step) -> HttpRequest:
        """The message of a step, with the assertion that belongs to it."""
        url = self.endpoint.url(step.actor)
        if step.packaging == DIMSE:
            return dimse.build(dimse.asked(step, self.endpoint.entities, self.values))
        if step.packaging == MLLP:
            return mllp.build(self.case, step, url, self.values)
        if step.packaging == REST:
            request = messages.build(self.case, step, url, self.values)
            shown = self.endpoint.authorization(step, self.values)
            if shown and "Authorization" not in request.headers:
                request.headers["Authorization"] = shown
            return request
        self.values.given["security"] = self.endpoint.header(step, self.values)
        return messages.build(self.case, step, url, self.values)

    def play(self, step: Step, request: HttpRequest) -> Iterator[Finding]:
        """Send it and judge what comes."""
        began = time.perf_counter()
        answer: AnyAnswer | None = None
        came = self._sent(step, request)
        why = came.trouble
        try:
            if not why:
                answer = self._read(step, came)
        except BadAnswer as error:
            why = str(error)
        if self.observe is not None:
            told = answer if isinstance(answer, Answer) else None
            spent = time.perf_counter() - began
            self.observe(Exchange(self.case, step, request, came.http, came.headers, came.body, told, spent))
        if answer is None:
            yield Finding(step.name, "an answer", why, self.case.clause)
            return
        for one in self._complaints(step, request, answer):
            yield Finding(step.name, one.expected, one.found, one.clause or self.case.clause)

    def _complaints(self, step: Step, request: HttpRequest, answer: AnyAnswer) -> Iterator[checks.Complaint]:
        features = self.endpoint.features
        if isinstance(answer, rest.RestAnswer):
            yield from rest.complaints(answer, step.expect, self.values, traced="trace" in features)
            return
        if isinstance(answer, DimseAnswer):
            yield from dimse.complaints(answer, step.expect, self.values)
            return
        if isinstance(answer, Acknowledgement):
            yield from mllp.complaints(answer, request, step.expect, self.values)
            return
        # A server cannot relate a fault to a message that it could not read.
        readable = not (step.expect.fault or step.expect.refused)
        yield from checks.every_answer(
            answer, step.kind, request.message_id, readable=readable, traced="trace" in features
        )
        yield from checks.expectation(answer, step.expect, self.values, explains="explains" in features)
        if step.expect.decisions:
            yield from decisions.complaints(answer, step.expect.decisions, request.envelope, self.values)
        yield from checks.captures(answer, step.expect, self.values, self.values.given.__setitem__)

    def _sent(self, step: Step, request: HttpRequest) -> Received:
        shown, named, limits = self.endpoint.shown_by(step), self.endpoint.authorities, self.endpoint.limits
        if step.packaging == DIMSE:
            asked = dimse.asked(step, self.endpoint.entities, self.values)
            return dimse.sent(asked, shown, limits, authorities=named)
        if step.packaging != MLLP:
            return sending.send(self.session, request, limits, shown)
        return mllp.sent(request, shown, limits, authorities=named, pieces=step.mllp.pieces)

    @staticmethod
    def _read(step: Step, came: Received) -> AnyAnswer:
        if isinstance(came, dimse.Came) and came.answer is not None:
            return came.answer
        if step.packaging == MLLP:
            return mllp.read(came.body)
        return (rest.read if step.packaging == REST else answers.read)(came.http, came.headers, came.body)

    def announce(self, fed: set[str]) -> Iterator[Finding]:
        """Announce the patients that the coming request is the first to name."""
        transaction, request = ANNOUNCING[self.endpoint.feed_by]
        kind = kinds()[transaction]
        for name in self.values.patients():
            if name in fed:
                continue
            fed.add(name)
            step = Step(
                name=f"announce patient {name or 'one'}",
                kind=kind,
                actor=kind.actor,
                packaging=kind.packaging,
                request=request,
                action=kind.action,
                expect=Expectation(acknowledgement="AA" if kind.packaging == MLLP else "CA"),
            )
            before = dict(self.values.given)
            self.values.given["patient_name"] = name
            try:
                yield from self.play(step, self.request(step))
            finally:
                self.values.given = before
