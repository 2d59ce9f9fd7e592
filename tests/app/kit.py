"""Runs test plans of the NIST toolkit against a registry of ours, in-process: what the kit would do over the network.

Places to be filled in are filled in, symbolic ids and uniqueIds are assigned as the plan says, and what a step reports
is at hand for later steps. What is not as the plan expects is listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from tests.rules.test_submission_oracles import OLD_RS, as_ebrim_3
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.domain.subject import Caller, Peer
from xdsi.exchange import Actor, Trace, run
from xdsi.spec.namespaces import APPROVED, DEPRECATED, RIM
from xdsi.wire import xml
from xdsi.wire.message import Message, Packaging
from xdsi.wire.xml import E

TRANSACTIONS = {
    "RegisterTransaction": "ITI-42",
    "RegisterODDETransaction": "ITI-61",
    "MuTransaction": "ITI-57",
    "RmuTransaction": "ITI-92",
    "RemoveMetadataTransaction": "ITI-62",
    "StoredQueryTransaction": "ITI-18",
    "MPQTransaction": "ITI-51",
    "XCQTransaction": "ITI-18",
}
CALLER = Caller(peer=Peer(address="192.0.2.7"))
_MARKERS = {
    "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd": "SubmissionSets",
    "urn:uuid:d9d542f3-6cc4-48b6-8870-ea235fbc94c2": "Folders",
}
_CONTENTS: dict[str, dict[str, int]] = {
    "None": {},
    "SSwithOneDoc": {"SubmissionSets": 1, "Documents": 1, "Associations": 1},
    "SSwithTwoDoc": {"SubmissionSets": 1, "Documents": 2, "Associations": 2},
    "SSwithOneDocOneFol": {"SubmissionSets": 1, "Documents": 1, "Folders": 1, "Associations": 4},
    "OneDocDep": {"Documents": 1},
    "OneDocApp": {"Documents": 1},
}
_STATUSES = {"OneDocDep": DEPRECATED, "DocDep": DEPRECATED, "OneDocApp": APPROVED, "DocApp": APPROVED}


@dataclass
class Done:
    """What one step left for others."""

    uuids: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    reports: dict[str, str] = field(default_factory=dict)


@dataclass
class Kit:
    """Runs the tests of a folder of the kit, each with its own patients; `actor` is the registry."""

    folder: Path
    actor: Actor
    done: dict[tuple[str, str], Done] = field(default_factory=dict)
    deviations: list[str] = field(default_factory=list)
    last: etree._Element | None = None
    patient: str = ""
    """the one of the step before"""

    def run(self, *sections: str) -> list[str]:
        """The deviations of a test, section after section."""
        index = (self.folder / "index.idx").read_text().split()
        for section in sections or index:
            plan = etree.parse(self.folder / section / "testplan.xml").getroot()
            for step in plan.iter("TestStep"):
                self._step(section, step)
        return self.deviations

    def _step(self, section: str, step: etree._Element) -> None:
        name = f"{section}/{step.get('id')}"
        for action in step:
            if action.tag in TRANSACTIONS:
                self._transaction(section, step, action, name)
            elif action.tag == "NullTransaction":
                self._assert(action, name, dict(self._symbols(section, action)))

    def _transaction(self, section: str, step: etree._Element, action: etree._Element, name: str) -> None:
        done = self.done[section, step.get("id", "")] = Done()
        symbols = dict(self._symbols(section, action))
        text = (self.folder / section / action.findtext("MetadataFile", "")).read_bytes().strip()
        root = xml.parse(re.sub(rb"<!--.*?-->", b"", text, flags=re.DOTALL), huge=True)
        root = as_ebrim_3(root) if root.tag.startswith(f"{{{OLD_RS}") else root
        self.patient = symbols.setdefault("$patientid$", self.patient or self._patient("default"))
        done.reports["$patientid$"] = self.patient
        if action.find("NoPatientId") is None:
            _set_patients(root, self.patient)
        _fill(root, symbols)
        if action.find("CleanParams") is not None:
            _clean(root)
        if TRANSACTIONS[action.tag] in {"ITI-42", "ITI-57", "ITI-61", "ITI-92"}:
            _assign(root, action, done)
        self._report(action, done, root, "InputMetadata")
        answer = self._send(TRANSACTIONS[action.tag], root)
        self.last = answer
        self._report(action, done, answer, "Result")
        self._compare(step, answer, name)
        for contents in action.iter("ExpectedContents"):
            self._contents(contents, answer, name, lambda use: dict(self._symbols(section, use)))
        self._assert(action, name, symbols)

    def _send(self, number: str, root: etree._Element) -> etree._Element:
        transaction = next(one for one in self.actor.role.transactions if one.number == number)
        message = Message((xml.parse(etree.tostring(root), huge=True),))
        payload = run(self.actor, transaction, message, CALLER, packaging=Packaging.SIMPLE, trace=Trace())
        return xml.parse(b"".join(payload.body), huge=True)

    def _patient(self, name: str) -> str:
        return f"{self.folder.name}-{name}^^^&1.3.6.1.4.1.21367.13.20.1000&ISO"

    def _symbols(self, section: str, action: etree._Element) -> Iterator[tuple[str, str]]:
        """What the plan takes from other steps: (place to be filled in, value)."""
        for use in action.iter("UseReport"):
            name, symbol = use.get("reportName", ""), use.get("useAs", "")
            if use.get("test") and use.get("test") != self.folder.name:
                yield symbol, self._patient(use.get("test", ""))
            else:
                found = self.done.get((use.get("section", ""), use.get("step", "")), Done())
                yield symbol, found.reports.get(name) or found.uuids.get(name.removesuffix("_uuid"), symbol)
        for use in action.iterchildren("UseId"):
            other = use.get("testdir", section).rpartition("/")[2]
            found = self.done.get((other, use.get("step", "")), Done())
            known = found.uuids if use.get("section") == "AssignedUuids" else found.uids
            yield use.get("symbol", ""), known.get(use.get("id", ""), use.get("symbol", ""))

    @staticmethod
    def _report(action: etree._Element, done: Done, root: etree._Element, section: str) -> None:
        for report in action.iterchildren("Report"):
            if report.get("section") == section:
                found = root.getroottree().xpath((report.text or "").strip())
                if found:
                    value = found[0]
                    done.reports[report.get("name", "")] = value.text if hasattr(value, "text") else str(value)

    def _compare(self, step: etree._Element, answer: etree._Element, name: str) -> None:
        status = answer.get("status", "").rpartition(":")[2]
        codes = sorted({str(code) for code in answer.xpath("//@errorCode")})
        expected = step.findtext("ExpectedStatus", "").strip()
        if status != expected:
            self.deviations.append(f"{name}: {status} {codes}, expected {expected}")
        for code in step.iterchildren("ExpectedErrorCode"):
            if (code.text or "").strip() not in codes:
                self.deviations.append(f"{name}: {codes}, expected {code.text}")

    def _contents(
        self,
        expected: etree._Element,
        answer: etree._Element,
        name: str,
        symbols: Callable[[etree._Element], Mapping[str, str]],
    ) -> None:
        counts = _counts(answer)
        for one in expected.iterchildren("*"):
            wanted = _CONTENTS.get(one.tag)
            if one.get("count"):
                wanted = {one.tag: int(one.get("count", ""))}
            if wanted is not None:
                found = counts if not one.get("count") else {one.tag: counts.get(one.tag, 0)}
                if found != wanted:
                    self.deviations.append(f"{name}: {found}, expected {wanted}")
            if one.tag in _STATUSES:
                statuses = {entry.get("status") for entry in answer.iter(E(RIM, "ExtrinsicObject"))}
                if statuses - {_STATUSES[one.tag]}:
                    self.deviations.append(f"{name}: {sorted(map(str, statuses))}, expected {one.tag}")
            for group in one.iterchildren("Include", "MustOnlyInclude"):
                ids = {value for entry in group for value in symbols(entry).values()}
                found_ids = {entry.get("id") for entry in answer.iter(E(RIM, "ExtrinsicObject"))}
                if not ids <= found_ids or (group.tag == "MustOnlyInclude" and ids != found_ids):
                    self.deviations.append(f"{name}: {len(found_ids)} entries, not those expected")

    def _assert(self, action: etree._Element, name: str, symbols: Mapping[str, str]) -> None:
        for check in action.iter("Assert"):
            text = check.text or ""
            for symbol, value in symbols.items():
                text = text.replace(symbol, value)
            assert self.last is not None
            if not self.last.getroottree().xpath(f"boolean({text.strip()})"):
                self.deviations.append(f"{name}: {check.get('id')}")


def _set_patients(root: etree._Element, patient: str) -> None:
    for one in root.iter(E(RIM, "ExternalIdentifier")):
        if _label(one).endswith(".patientId"):
            one.set("value", patient)


def _label(identifier: etree._Element) -> str:
    label = identifier.find(f"{E(RIM, 'Name')}/{E(RIM, 'LocalizedString')}")
    return "" if label is None else label.get("value", "")


def _fill(root: etree._Element, symbols: Mapping[str, str]) -> None:
    for element in root.iter("*"):
        for attribute, value in element.attrib.items():
            if "$" in value:
                element.set(attribute, _filled(value, symbols))
        if element.text and "$" in element.text:
            element.text = _filled(element.text, symbols)


def _clean(root: etree._Element) -> None:
    """Without the parameters for which the plan has no value."""
    for slot in list(root.iter(E(RIM, "Slot"))):
        if any("$" in value.text for value in slot.iter(E(RIM, "Value"))):
            slot.getparent().remove(slot)


def _filled(text: str, symbols: Mapping[str, str]) -> str:
    for symbol, value in symbols.items():
        text = text.replace(symbol, value)
    return text


def _assign(root: etree._Element, action: etree._Element, done: Done) -> None:
    """New uniqueIds and, where the plan says so, UUIDs in place of symbolic ids."""
    exempt = {one.get("id") for one in action.iterchildren("NoAssignUids")}
    for one in root.iter(E(RIM, "ExternalIdentifier")):
        owner = one.get("registryObject", "")
        if _label(one).endswith(".uniqueId") and not ({owner, None} & exempt):
            one.set("value", new_oid())
            done.uids[owner] = one.get("value", "")
        elif _label(one).endswith(".uniqueId"):
            done.uids[owner] = one.get("value", "")
    if action.find("AssignUuids") is None:
        return
    for tag in ("ExtrinsicObject", "RegistryPackage", "Association"):
        for one in root.iter(E(RIM, tag)):
            id_ = one.get("id") or f"unnamed{len(done.uuids)}"
            done.uuids[id_] = id_ if id_.startswith("urn:uuid:") else new_entry_uuid()
            one.set("id", done.uuids[id_])
    for element in root.iter("*"):
        for attribute in ("registryObject", "classifiedObject", "sourceObject", "targetObject"):
            if element.get(attribute) in done.uuids:
                element.set(attribute, done.uuids[element.get(attribute, "")])


def _counts(answer: etree._Element) -> dict[str, int]:
    counts: dict[str, int] = {}

    def count(name: str) -> None:
        counts[name] = counts.get(name, 0) + 1

    for _ in answer.iter(E(RIM, "ExtrinsicObject")):
        count("Documents")
    for _ in answer.iter(E(RIM, "Association")):
        count("Associations")
    for _ in answer.iter(E(RIM, "ObjectRef")):
        count("ObjectRefs")
    for package in answer.iter(E(RIM, "RegistryPackage")):
        for node in package.iter(E(RIM, "Classification")):
            if node.get("classificationNode") in _MARKERS:
                count(_MARKERS[node.get("classificationNode", "")])
    return counts
