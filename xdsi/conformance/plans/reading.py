"""Plans as they lie on disk: which folders are tests, what their steps ask for, and what of it nothing here can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lxml import etree

from ..cases import kinds
from ..model import Case, Expectation, Step
from . import expectations, metadata

PLAN, INDEX = "testplan.xml", "index.idx"
TRANSACTIONS = {
    "RegisterTransaction": "ITI-42",
    "RegisterODDETransaction": "ITI-61",
    "MuTransaction": "ITI-57",
    "RmuTransaction": "ITI-92",
    "RemoveMetadataTransaction": "ITI-62",
    "StoredQueryTransaction": "ITI-18",
    "MPQTransaction": "ITI-51",
    "XCQTransaction": "ITI-18",
    "ProvideAndRegisterTransaction": "ITI-41",
    "RetrieveTransaction": "ITI-43",
    "ImagingDocSetRetrieveTransaction": "RAD-69",
    "RdTransaction": "ITI-86",
}
FEED = "PatientIdentityFeedTransaction"
"""a patient is announced, by ITI-44 or ITI-8 as the endpoint has it"""
_ANNOUNCING = "ITI-44-add"
_OF_A_STEP = frozenset({
    "AltPatientId", "ExpectedErrorCode", "ExpectedErrorMessage", "ExpectedStatus", "Goal", "NewPatientId", "Rule",
    "Standard",
})  # fmt: skip
# The last row has no effect on what is sent: the version is always b, a drawing, a comparison that the ids imply.
_OF_A_TRANSACTION = frozenset({
    "Assertions", "AssignUuids", "CleanParams", "Document", "ExpectedContents", "MetadataFile", "NoAssignUids",
    "NoPatientId", "ReferenceDocument", "Report", "UseId", "UseReport", "UseRepositoryUniqueId", "WaitBefore",
    "InteractionSequence", "NoMetadata", "ParseMetadata", "ReferenceMetadata", "XDSb",
})  # fmt: skip


def tests(folder: Path) -> tuple[Path, ...]:
    """The tests of a folder: itself, or those that lie in it; none where it holds no plan."""
    if sections(folder):
        return (folder,)
    return tuple(path for path in sorted(folder.iterdir()) if path.is_dir() and sections(path))


def sections(test: Path) -> tuple[str, ...]:
    """The sections of a test in order, each once; one without a name where the plan lies in the test's own folder."""
    if not test.is_dir():
        return ()
    found = [path.name for path in sorted(test.iterdir()) if _of_its_own(path / PLAN, test)]
    index = test / INDEX
    if found and _of_its_own(index, test):
        listed = index.read_text(encoding="utf-8", errors="replace").split()
        return tuple(name for name in dict.fromkeys(listed) if name in found) or tuple(found)
    return tuple(found) or (("",) if _of_its_own(test / PLAN, test) else ())


def _of_its_own(file: Path, test: Path) -> bool:
    """Whether it is a file, and no link to one elsewhere."""
    return file.is_file() and file.resolve().is_relative_to(test.resolve())


def place(section: str, step: str) -> str:
    """How a step is named in reports."""
    return f"{section}/{step}" if section else step


def case_of(test: Path) -> Case:
    """A test as a case of a run; what cannot be mapped stands in `unmapped`."""
    steps: list[Step] = []
    unmapped: list[str] = []
    rules: list[str] = []
    codes: set[str] = set()
    for section in sections(test):
        try:
            plan = metadata.parse((test / section / PLAN).read_bytes())
        except (OSError, etree.XMLSyntaxError) as error:
            unmapped.append(f"{section or test.name}: not readable: {error}")
            continue
        rules += [" ".join(text.split()) for one in plan.iter("Goal", "Rule") if (text := one.text or "").strip()]
        codes.update((one.text or "").strip() for one in plan.iter("ExpectedErrorCode", "ExpectedErrorMessage"))
        for step in plan.iter("TestStep"):
            steps.extend(_steps(section, step))
            unmapped.extend(f"{place(section, step.get('id', ''))}: {what}" for what in unmapped_of(step))
    return Case(
        name=test.name,
        title=_title(test) or next(iter(rules), "") or "a test plan",
        clause=f"test plan {test.name}",
        scope="profile",
        needs=frozenset(
            ({"strict-patients"} if "XDSUnknownPatientId" in codes else set())
            | ({"removal"} if any(one.kind.name == "ITI-86" for one in steps) else set())
        ),
        feed=True,
        folder=test,
        documents={},
        values={},
        # Where nobody takes announcements, a plan is played without: it needs that actor if it does nothing else.
        steps=tuple(step for step in steps if step.kind.name != _ANNOUNCING) or tuple(steps),
        plan=True,
        unmapped=tuple(unmapped),
    )


def unmapped_of(step: etree._Element) -> Iterator[str]:
    """What a step asks for and nothing here can do; it is left out, and everything else of the step is played."""
    for action in step.iterchildren("*"):
        tag = str(action.tag)
        if tag in TRANSACTIONS:
            yield from _unknown(action, _OF_A_TRANSACTION)
        elif tag == "NullTransaction":
            yield from _unknown(action, frozenset({"Assertions", "UseReport", "UseId"}))
        elif tag == "HttpTransaction" and action.get("type") == "pr.b":
            yield from _unknown(action, frozenset({"BodyFile", "Headers"}))
        elif tag == "XmlDetailTransaction":
            names = (one.get("process", "") for one in action.iter("Assert"))
            yield from (name or "Assert" for name in names if name not in expectations.DETAILS)
        elif tag == FEED:
            yield from _unknown(action, frozenset({"CreateNewPatientId", "NoMetadata", "Report", "XDSb"}))
        elif tag not in _OF_A_STEP:
            yield tag


def _unknown(action: etree._Element, known: frozenset[str]) -> Iterator[str]:
    for child in action.iterchildren("*"):
        if child.tag not in known:
            yield f"{action.tag}/{child.tag}"
    for expected in action.iterchildren("ExpectedContents"):
        yield from (f"ExpectedContents/{one.tag}" for one in expected if not expectations.looked_at(one))
    for check in action.iter("Assert"):
        if not (check.text or "").strip():
            yield f"Assert {check.get('process') or check.get('id', '')}"


def _steps(section: str, step: etree._Element) -> Iterator[Step]:
    names: Mapping[str, str] = {**TRANSACTIONS, "HttpTransaction": "ITI-41", FEED: _ANNOUNCING}
    for action in step.iterchildren("*"):
        name = names.get(str(action.tag))
        if name is None or (action.tag == "HttpTransaction" and action.get("type") != "pr.b"):
            continue
        kind = kinds()[name]
        yield Step(
            name=place(section, step.get("id", "")),
            kind=kind,
            actor=kind.actor,
            packaging=kind.packaging,
            request=(action.findtext("MetadataFile") or action.findtext("BodyFile") or "").strip(),
            action=kind.action,
            expect=Expectation(status=(step.findtext("ExpectedStatus") or "").strip()),
        )


def _title(test: Path) -> str:
    path = test / "readme.txt"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if _of_its_own(path, test) else []
    return next((" ".join(line.split()) for line in lines if line.strip()), "")
