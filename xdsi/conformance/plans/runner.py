"""Plays test plans: what each step sends, what it keeps for later ones, and what was not as the plan expects."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from lxml import etree

from .. import answers, messages, mllp, sending
from ..answers import Answer, BadAnswer
from ..cases import kinds, known_values
from ..endpoint import ANNOUNCING, Endpoint
from ..folders import inside
from ..messages import HttpRequest
from ..model import MLLP, Case, Expectation, Kind, Step
from ..results import Exchange
from ..sending import Received
from ..templates import NAMESPACES, Values
from . import expectations, metadata, reading
from .post import message, provide
from .reading import FEED, TRANSACTIONS, place, unmapped_of

_SUBMISSIONS = frozenset({"ITI-41", "ITI-42", "ITI-57", "ITI-61", "ITI-92"})
Observer = Callable[[Exchange], None]


@dataclass
class Done:
    """What one step left for others."""

    uuids: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)
    patient: str = ""
    answer: Answer | None = None


@dataclass
class Report:
    """What came of one test."""

    deviations: list[str] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    """what the plan asks for and the runner cannot do"""


@dataclass
class _State:
    """What one test has come to."""

    number: str
    report: Report = field(default_factory=Report)
    done: dict[tuple[str, str], Done] = field(default_factory=dict)
    patient: str = ""
    """the one of the step before"""
    patients: dict[str, str] = field(default_factory=dict)


class Plans:
    """A folder of tests, played against one endpoint; each test has patients of its own."""

    def __init__(
        self, folder: Path, endpoint: Endpoint, *, case: Case | None = None, observe: Observer | None = None
    ) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self._states: dict[str, _State] = {}
        self._session = endpoint.session()
        self._values = Values({**known_values(), **endpoint.values}, {}, endpoint.patients)
        self._case, self._observe = case, observe
        self.about = case.name if case is not None else ""
        """the test that is played for its own sake"""
        self._count = itertools.count(1)
        self._names: dict[str, str] = {}
        """identifiers of patients, and what they are called in templates"""

    def close(self) -> None:
        """End the connections."""
        self._session.close()

    def run(self, number: str, *sections: str) -> Report:
        """Play a test, or some of its sections; what another test of the folder has done already is not done again."""
        return self._played(number, sections).report

    def _played(self, number: str, sections: tuple[str, ...] = ()) -> _State:
        if number not in self._states:
            state = self._states[number] = _State(number)
            for section in sections or reading.sections(self.folder / number):
                _Section(self, state, section).run()
        return self._states[number]

    def other(self, number: str) -> _State | None:
        """Another test that a plan refers to, played; None where the folder has it not."""
        inside(self.folder / number, self.folder)
        return self._played(number) if reading.sections(self.folder / number) else None

    def others(self, number: str) -> dict[str, Report]:
        """What came of the tests that this one builds on."""
        return {name: state.report for name, state in self._states.items() if name != number}

    def file(self, path: Path) -> bytes:
        """A file that a plan names; one outside of the folder of plans is nobody's business."""
        return inside(path, self.folder).read_bytes()

    def patient(self, *, announced: bool = True) -> str:
        """Another patient; announced by ITI-44 where the endpoint asks for that."""
        name = f"plan{next(self._count)}"
        identifier = self._values.expand(f"${{patient:{name}}}", xml=False)
        self._names[identifier] = name
        if self.endpoint.feed and announced:
            self.announce(f"announce patient {identifier}", identifier)
        return identifier

    def announce(self, told: str, identifier: str) -> str:
        """Announce one of the patients that were made up here; why that was not accepted, empty where it was."""
        transaction, request = ANNOUNCING[self.endpoint.feed_by]
        kind = kinds()[transaction]
        step = replace(self._step(told, kind), request=request)
        case = self._case or reading.case_of(self.folder)
        self._values.given.update(patient_name=self._names[identifier], security=self._security(step))
        url = self.endpoint.url(kind.actor)
        try:
            if kind.packaging == MLLP:
                return self._announce_by_hl7_v2(step, mllp.build(case, step, url, self._values))
            answer = self._exchange(step, messages.build(case, step, url, self._values))
        except BadAnswer as error:
            return str(error)
        code = answer.text("//hl7:acknowledgement/hl7:typeCode/@code")
        return "" if code in ("AA", "CA") else f"acknowledgement {code or 'none'}, expected CA"

    def _announce_by_hl7_v2(self, step: Step, request: HttpRequest) -> str:
        began = time.perf_counter()
        came = mllp.sent(
            request, self.endpoint.shown_by(step), self.endpoint.limits, authorities=self.endpoint.authorities
        )
        self._tell(step, request, came, None, began)
        if came.trouble:
            return came.trouble
        code = mllp.read(came.body).field("MSA-1")
        return "" if code == "AA" else f"acknowledgement {code or 'none'}, expected AA"

    def send(self, name: str, transaction: str, body: etree._Element, parts: Mapping[str, bytes]) -> Answer:
        """Send a message of a plan; BadAnswer where none comes back, or one that cannot be taken apart."""
        kind = kinds()[transaction]
        step = self._step(name, kind)
        return self._exchange(step, message(kind, self.endpoint.url(kind.actor), body, parts, self._security(step)))

    def send_bytes(self, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send an ITI-41 that was captured."""
        kind = kinds()["ITI-41"]
        url = self.endpoint.url(kind.actor)
        request = HttpRequest(url, dict(headers), body, chunked=False, message_id="", envelope=b"")
        return self._exchange(self._step(name, kind), request)

    def _security(self, step: Step) -> str:
        return self.endpoint.header(step, self._values)

    @staticmethod
    def _step(name: str, kind: Kind) -> Step:
        return Step(name, kind, kind.actor, kind.packaging, "", kind.action, Expectation())

    def _exchange(self, step: Step, request: HttpRequest) -> Answer:
        began = time.perf_counter()
        came = sending.send(self._session, request, self.endpoint.limits, self.endpoint.shown_by(step))
        answer: Answer | None = None
        try:
            if came.trouble:
                raise BadAnswer(came.trouble)
            answer = answers.read(came.http, came.headers, came.body)
            return answer
        finally:
            self._tell(step, request, came, answer, began)

    def _tell(self, step: Step, request: HttpRequest, came: Received, answer: Answer | None, began: float) -> None:
        if self._observe is not None and self._case is not None:
            spent = time.perf_counter() - began
            self._observe(Exchange(self._case, step, request, came.http, came.headers, came.body, answer, spent))


class _Section:
    """One section of a test."""

    def __init__(self, plans: Plans, state: _State, name: str) -> None:
        self.plans, self.state, self.name = plans, state, name
        self.folder = plans.folder / state.number / name
        self.log = etree.Element("TestResults")

    def run(self) -> None:
        plan = metadata.parse((self.folder / reading.PLAN).read_bytes())
        for step in plan.iter("TestStep"):
            self._step(step)

    def _step(self, step: etree._Element) -> None:
        id_ = step.get("id", "")
        logged = etree.SubElement(self.log, "TestStep", {"id": id_})
        if "reset_patient_id" in id_:
            self.state.patient = ""
        self.state.report.unmapped.extend(f"{place(self.name, id_)}: {what}" for what in unmapped_of(step))
        for action in step.iterchildren("*"):
            if action.tag in {"NewPatientId", "AltPatientId"}:
                self.state.patient = self.plans.patient(announced=action.tag == "NewPatientId")
            elif action.tag == FEED:
                self._feed(step, action)
            elif action.tag in TRANSACTIONS:
                self._transaction(step, action, logged)
            elif action.tag == "NullTransaction":
                self._deviate(step, *expectations.assertions(action, self.log, self._known(action)))
            elif action.tag == "HttpTransaction" and action.get("type") == "pr.b":
                self._captured(step, action)
            elif action.tag == "XmlDetailTransaction":
                self._details(step, action)

    def _deviate(self, step: etree._Element, *found: str) -> None:
        self.state.report.deviations.extend(f"{place(self.name, step.get('id', ''))}: {one}" for one in found)

    def _told(self, step: etree._Element) -> str:
        """The name under which an exchange is shown; those of other tests bear their number."""
        name = place(self.name, step.get("id", ""))
        return name if self.plans.about in ("", self.state.number) else f"{self.state.number} {name}"

    def _transaction(self, step: etree._Element, action: etree._Element, logged: etree._Element) -> None:
        done = self.state.done[self.name, step.get("id", "")] = Done()
        if action.find("WaitBefore") is not None:
            time.sleep(1.1)  # lastUpdateTime has seconds
        transaction = TRANSACTIONS[str(action.tag)]
        root = self._message(transaction, action, done)
        self._keep_reports(action, done, root, "InputMetadata")
        parts: dict[str, bytes] = {}
        if transaction == "ITI-41":
            named = {one.get("id", ""): (one.text or "").strip() for one in action.iterchildren("Document")}
            root, parts = provide(
                root, {done.uuids.get(id_, id_): self.plans.file(self.folder / file) for id_, file in named.items()}
            )
        try:
            answer = self.plans.send(self._told(step), transaction, root, parts)
        except BadAnswer as error:
            self._deviate(step, str(error))
            return
        done.answer = answer
        body = answer.all("/soap:Envelope/soap:Body/*")
        result = etree.SubElement(etree.SubElement(logged, str(action.tag)), "Result")
        result.extend(metadata.parse(etree.tostring(one)) for one in body)
        if body:
            self._keep_reports(action, done, body[0], "Result")
        symbols = self._known(action)
        self._deviate(step, *expectations.outcome(step, answer))
        for expected in action.iterchildren("ExpectedContents"):
            self._deviate(step, *expectations.contents(expected, answer, lambda use: dict(self._symbols(use))))
        self._deviate(step, *self._documents(action, answer, symbols))
        self._deviate(step, *expectations.assertions(action, self.log, symbols))

    def _feed(self, step: etree._Element, action: etree._Element) -> None:
        """The patient of the steps that follow is announced, or a new one; not where nobody takes announcements."""
        actor = kinds()[ANNOUNCING[self.plans.endpoint.feed_by][0]].actor
        absent = self.plans.endpoint.absent.get(actor, "")
        if absent or self.plans.endpoint.patients is not None:
            why = absent or "the patients are those that the endpoint knows"
            self.state.report.unmapped.append(f"{place(self.name, step.get('id', ''))}: {FEED}: {why}")
            return
        if action.find("CreateNewPatientId") is not None or not self.state.patient:
            self.state.patient = self.plans.patient(announced=False)
        done = self.state.done[self.name, step.get("id", "")] = Done(patient=self.state.patient)
        done.reports["$patientid$"] = self.state.patient
        trouble = self.plans.announce(self._told(step), self.state.patient)
        if trouble:
            self._deviate(step, trouble)

    def _captured(self, step: etree._Element, action: etree._Element) -> None:
        """A message as somebody's client once sent it, bytes and headers."""
        lines = (line.partition(":") for line in (action.findtext("Headers") or "").strip().splitlines())
        headers = {name.strip(): text.strip() for name, colon, text in lines if colon}
        body = self.plans.file(self.folder / (action.findtext("BodyFile") or "").strip())
        try:
            answer = self.plans.send_bytes(self._told(step), headers, body)
        except BadAnswer as error:
            self._deviate(step, str(error))
            return
        self._deviate(step, *expectations.outcome(step, answer))

    def _details(self, step: etree._Element, action: etree._Element) -> None:
        """Checks of an earlier answer that are named rather than written out."""
        for check in action.iter("Assert"):
            response = check.find("TestResponse")
            section = (response.get("testDir", "") if response is not None else "").rpartition("/")[2]
            earlier = self._done(
                self.state.number, self.name if section == "THIS" else section,
                response.get("step", "") if response is not None else "",
            )  # fmt: skip
            process = check.get("process", "")
            if process not in expectations.DETAILS:
                continue
            if earlier.answer is None:
                self._deviate(step, f"no answer to look at, expected {process}")
            else:
                self._deviate(step, *expectations.DETAILS[process](step, check, earlier.answer))

    def _message(self, transaction: str, action: etree._Element, done: Done) -> etree._Element:
        """The metadata file of an action, made ready to be sent."""
        symbols = dict(self._symbols(action))
        root = metadata.parse(self.plans.file(self.folder / (action.findtext("MetadataFile") or "").strip()))
        if root.tag.startswith(f"{{{metadata.OLD_RS}"):
            root = metadata.as_ebrim_3(root)
        if root.tag == f"{{{NAMESPACES['xds']}}}ProvideAndRegisterDocumentSetRequest":
            (root,) = root.findall(f"{{{NAMESPACES['lcm']}}}SubmitObjectsRequest")
        if "$patientid$" in symbols:
            self.state.patient = symbols["$patientid$"]
        self.state.patient = self.state.patient or self.plans.patient()
        symbols.setdefault("$patientid$", self.state.patient)
        done.patient = done.reports["$patientid$"] = self.state.patient
        if transaction in _SUBMISSIONS and action.find("NoPatientId") is None:
            metadata.set_patients(root, self.state.patient)
        metadata.fill(root, symbols)
        if action.find("CleanParams") is not None:
            metadata.clean(root)
        if transaction in _SUBMISSIONS:
            exempt = {one.get("id") for one in action.iterchildren("NoAssignUids")}
            schemes = {one.get("value") for one in action.iterfind("AssignUuids/Exclude")}
            done.uids.update(metadata.unique_ids(root, exempt, schemes))
            assign = action.find("AssignUuids") is not None
            done.uuids.update(metadata.entry_uuids(root) if assign else metadata.symbolic_ids(root))
        return root

    @staticmethod
    def _keep_reports(action: etree._Element, done: Done, root: etree._Element, section: str) -> None:
        for report in action.iterchildren("Report"):
            if report.get("section") == section:
                # An element of its own is its own document, so that a path from // stays inside it.
                found = metadata.parse(etree.tostring(root)).getroottree().xpath((report.text or "").strip())
                if isinstance(found, list) and found:
                    value = found[0]
                    text = value.text if isinstance(value, etree._Element) else str(value)
                    done.reports[report.get("name", "")] = text or ""

    def _documents(self, action: etree._Element, answer: Answer, symbols: Mapping[str, str]) -> Iterator[str]:
        """Documents that are not those that the plan submitted."""
        references = action.findall("ReferenceDocument")
        if not references or not answer.all("//xds:DocumentResponse"):
            return
        try:
            found = {document.id: document.content for document in answer.documents()}
        except BadAnswer as error:
            yield str(error)
            return
        for reference in references:
            uid = metadata.filled(reference.get("uid", ""), symbols)
            file = self.folder.parent / (reference.text or "").strip()
            if uid not in found:
                yield f"no document {uid}"
            elif file.is_file() and found[uid] != self.plans.file(file):
                yield f"other bytes than {reference.text}"

    def _known(self, action: etree._Element) -> dict[str, str]:
        return {"$DATE$": datetime.now(UTC).strftime("%Y%m%d"), **dict(self._symbols(action))}

    def _symbols(self, action: etree._Element) -> Iterator[tuple[str, str]]:
        """What the plan takes from other steps: (place to be filled in, value)."""
        for use in action.iter("UseReport"):
            name, symbol = use.get("reportName", ""), use.get("useAs", "")
            section = use.get("section", "")
            section = self.name if section == "THIS" else section
            number = use.get("test") or self.state.number
            if number != self.state.number and name == "$patientid$":
                # The patient that another test announces is one of its own for each test that uses it.
                if number not in self.state.patients:
                    self.state.patients[number] = self.plans.patient()
                yield symbol, self.state.patients[number]
                continue
            found = self._done(number, section, use.get("step", ""))
            reported = (
                found.reports.get(name) or found.uuids.get(name.removesuffix("_uuid"))
                or found.uids.get(name.removesuffix("_uid"))
            )  # fmt: skip
            yield symbol, reported or symbol
        for use in (*action.iterchildren("UseId"), *([action] if action.tag == "UseId" else [])):
            *path, section = use.get("testdir", self.name).split("/")
            number = next((part for part in reversed(path) if re.match(r"\w", part)), self.state.number)
            found = self._done(number, section, use.get("step", ""))
            assigned = {"AssignedUuids": found.uuids, "AssignedUids": found.uids}.get(use.get("section", ""), {})
            value = found.patient if use.get("section") == "AssignedPatientId" else assigned.get(use.get("id", ""))
            symbol = use.get("symbol", "")
            yield symbol, value or symbol
        for use in action.iterchildren("UseRepositoryUniqueId"):
            yield use.get("symbol", ""), self._repository_of(use)

    def _repository_of(self, use: etree._Element) -> str:
        """The repositoryUniqueId of an entry that an earlier answer told of; of its first where the id is symbolic."""
        *path, section = use.get("testdir", self.name).split("/")
        number = next((part for part in reversed(path) if re.match(r"\w", part)), self.state.number)
        found = self._done(number, section, use.get("step", ""))
        entries = [] if found.answer is None else found.answer.all("//rim:ExtrinsicObject")
        chosen = [one for one in entries if one.get("id") == found.uuids.get(use.get("id", ""))] or entries
        values = [
            value.text or ""
            for one in chosen
            for slot in one.iterchildren(metadata.rim("Slot"))
            if slot.get("name") == "repositoryUniqueId"
            for value in slot.iter(metadata.rim("Value"))
        ]
        return next(iter(values), use.get("symbol", ""))

    def _done(self, number: str, section: str, step: str) -> Done:
        state = self.state if number == self.state.number else self.plans.other(number)
        if state is None:
            return Done()
        named = (done for (_, name), done in state.done.items() if name == step)
        return state.done.get((section, step)) or next(named, Done())
