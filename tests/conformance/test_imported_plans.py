"""Folders of test plans as suites of a run: what is mapped, what is not, and how both are reported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from tests.oracles import corpus
from tests.servers import Server
from xdsi.cli import main
from xdsi.conformance import (
    Case,
    Endpoint,
    Report,
    TemplateError,
    Verdict,
    cases_of,
    chosen,
    junit,
    load,
    messages,
    page,
    play_all,
    subjects,
)
from xdsi.conformance.cases import known_values
from xdsi.conformance.templates import NAMESPACES, Values

SUBMIT = """<TestPlan><Test>load/submit</Test><TestStep id="one"><Goal>A document to look for</Goal>
<ExpectedStatus>Success</ExpectedStatus><RegisterTransaction><XDSb/><AssignUuids/><MetadataFile>{file}</MetadataFile>
</RegisterTransaction></TestStep></TestPlan>"""
FIND = """<TestPlan><Test>find/all</Test><TestStep id="query"><ExpectedStatus>Success</ExpectedStatus>
<StoredQueryTransaction><UseReport test="load" section="submit" step="one" reportName="$entry$" useAs="$entry$"/>
<UseId testdir="../load/submit" step="one" section="AssignedUuids" id="{id}" symbol="$uuid$"/>
<MetadataFile>query.xml</MetadataFile><ExpectedContents><Documents count="{count}"/></ExpectedContents>{more}
</StoredQueryTransaction></TestStep><TestStep id="later"><SimTransaction/></TestStep></TestPlan>"""
QUERY = """<query:AdhocQueryRequest xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
 xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><query:ResponseOption returnType="LeafClass"/>
<rim:AdhocQuery id="urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"><rim:Slot name="$XDSDocumentEntryEntryUUID">
<rim:ValueList><rim:Value>('$uuid$')</rim:Value></rim:ValueList></rim:Slot></rim:AdhocQuery>
</query:AdhocQueryRequest>"""
UNMAPPED = ("all/later: SimTransaction",)


def _submission() -> tuple[bytes, str]:
    """The metadata of a case, and the id of the document in it."""
    (case,) = chosen(load(), ["0101"])
    step = case.steps[0]
    documents = {name: document.content for name, document in case.documents.items()}
    values = Values({**known_values(), **case.values, **step.values, "security": ""}, documents)
    envelope = etree.fromstring(messages.build(case, step, "http://h/x", values).envelope)
    (found,) = envelope.iter(f"{{{NAMESPACES['lcm']}}}SubmitObjectsRequest")
    (entry,) = found.iter(f"{{{NAMESPACES['rim']}}}ExtrinsicObject")
    return etree.tostring(found), str(entry.get("id"))


def plans(folder: Path, *, count: int = 1, more: str = "", file: str = "metadata.xml") -> Path:
    metadata, id_ = _submission()
    plan = FIND.format(id=id_, count=count, more=more)
    for section, text in (("load/submit", SUBMIT.format(file=file)), ("find/all", plan)):
        (folder / section).mkdir(parents=True)
        (folder / section / "testplan.xml").write_text(text)
    (folder / "load" / "submit" / "metadata.xml").write_bytes(metadata)
    (folder / "find" / "all" / "query.xml").write_text(QUERY)
    (folder / "find" / "readme.txt").write_text("Find what was loaded\n\nMore about it.\n")
    return folder


def played(folder: Path, endpoint: Endpoint, name: str = "") -> Report:
    return play_all(chosen(cases_of(str(folder)), [name] if name else []), endpoint)


@pytest.fixture
def endpoint(open_server: Server) -> Endpoint:
    return Endpoint(base_url=open_server.base_url)


def test_a_folder_of_plans_is_a_suite_and_so_is_one_plan(tmp_path: Path) -> None:
    cases = cases_of(str(plans(tmp_path)))
    assert [(case.name, case.title, case.transactions, case.unmapped) for case in cases] == [
        ("find", "Find what was loaded", ("ITI-18",), UNMAPPED),
        ("load", "A document to look for", ("ITI-42",), ()),
    ]
    assert [case.name for case in cases_of(str(tmp_path / "load"))] == ["load"]
    assert {actor for case in cases for actor in subjects(case)} == {"registry"}


def test_a_folder_without_case_and_plan_is_told(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="no test plan"):
        cases_of(str(tmp_path))


def test_plans_are_played_with_what_they_build_on_and_reported_like_cases(tmp_path: Path, endpoint: Endpoint) -> None:
    report = played(plans(tmp_path), endpoint)
    assert [(one.case.name, one.verdict, one.findings) for one in report.results] == [
        ("find", Verdict.PASSED, ()),
        ("load", Verdict.PASSED, ()),
    ]
    assert [one.step for one in report.results[0].exchanges] == ["load submit/one", "all/query"]
    assert report.results[0].reason == "not mapped: all/later: SimTransaction"
    suite = etree.fromstring(junit.document(report))[0]
    assert suite.findtext("testcase/system-out") == "not mapped: all/later: SimTransaction"
    assert "not mapped: all/later: SimTransaction" in page.document(report).decode()


@pytest.mark.parametrize(
    ("change", "step", "expected", "found"),
    [
        ({"count": 2}, "all/query", "{'Documents': 2}", "{'Documents': 1}"),
        (
            {"more": '<Assertions><Assert id="nobody">1 = 2</Assert></Assertions>'},
            "all/query",
            "what the plan says",
            "nobody",
        ),
        ({"file": "../../../elsewhere.xml"}, "the plan", "a plan that can be played", "outside of"),
        ({"file": "nothing.xml"}, "the plan", "a plan that can be played", "nothing.xml"),
    ],
    ids=["contents", "assertion", "file outside of the folder", "no such file"],
)
def test_what_is_not_as_a_plan_says_is_a_finding(
    tmp_path: Path, endpoint: Endpoint, change: dict[str, str], step: str, expected: str, found: str
) -> None:
    (tmp_path / "elsewhere.xml").write_bytes(_submission()[0])
    (result,) = played(plans(tmp_path / "kit", **change), endpoint, "find").results  # type: ignore[arg-type]
    (finding,) = result.findings
    assert (result.verdict, finding.step, finding.expected) == (Verdict.FAILED, step, expected)
    assert found in finding.found


def test_a_failure_of_what_a_plan_builds_on_is_told_with_it(tmp_path: Path, endpoint: Endpoint) -> None:
    folder = plans(tmp_path, count=2)
    plan = folder / "load" / "submit" / "testplan.xml"
    plan.write_text(plan.read_text().replace("Success", "Failure"))
    (result,) = played(folder, endpoint, "find").results
    assert [one.step for one in result.findings] == ["load submit/one", "all/query"]


def test_a_plan_of_which_nothing_can_be_mapped_is_skipped(tmp_path: Path, endpoint: Endpoint) -> None:
    plan = tmp_path / "gateway" / "testplan.xml"
    plan.parent.mkdir()
    plan.write_text('<TestPlan><TestStep id="ask"><IGQTransaction/></TestStep></TestPlan>')
    (result,) = played(tmp_path, endpoint).results
    assert result.verdict is Verdict.SKIPPED
    assert "ask: IGQTransaction" in result.reason


def test_a_plan_that_is_no_xml_is_told(tmp_path: Path) -> None:
    plan = tmp_path / "broken" / "section" / "testplan.xml"
    plan.parent.mkdir(parents=True)
    plan.write_text("<TestPlan>")
    (case,) = cases_of(str(tmp_path))
    assert not case.steps
    assert case.unmapped[0].startswith("section: not readable")


def test_patients_are_announced_or_taken_from_those_that_are_known(tmp_path: Path, endpoint: Endpoint) -> None:
    known = replace(endpoint, patients=["K1^^^&2.999.1&ISO"])
    folder = plans(tmp_path)
    first, second = (played(folder, known, "load").results[0] for _ in range(2))
    assert b"K1^^^&amp;2.999.1&amp;ISO" in first.exchanges[0].request
    assert second.verdict is Verdict.SKIPPED
    announced = played(folder, replace(endpoint, feed=True), "load").results[0]
    assert announced.verdict is Verdict.PASSED
    assert [b"PRPA_IN201301UV02" in one.request for one in announced.exchanges] == [True, False]


def test_import_says_of_each_plan_what_could_not_be_mapped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "conformance", "import", str(plans(tmp_path))]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["plan"], one["transactions"], one["unmapped"]) for one in told["items"]] == [
        ("find", ["ITI-18"], list(UNMAPPED)),
        ("load", ["ITI-42"], []),
    ]
    assert "2 plans: 1 mapped whole, 1 in part, 0 not at all" in told["message"]
    assert main(["conformance", "import", str(tmp_path / "nothing")]) == 1


@pytest.mark.oracle
def test_every_published_plan_is_read_and_says_what_is_not_mapped() -> None:
    cases: tuple[Case, ...] = cases_of(str(corpus("nist-toolkit2", "testkit", "tests")))
    assert len(cases) >= 100
    assert [case.name for case in cases if not case.steps and not case.unmapped] == []
    assert [one for case in cases for one in case.unmapped if "not readable" in one] == []
    by_name = {case.name: case for case in cases}
    assert by_name["11996"].needs == {"strict-patients"}
    assert by_name["12346"].unmapped == ()
    assert all("IGQTransaction" in one for one in by_name["15808"].unmapped if "SingleDocumentFind" in one)


ENTITIES = '<!DOCTYPE TestPlan [<!ENTITY e SYSTEM "file:///etc/hostname"><!ENTITY f "lol">]>'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{ENTITIES}<TestPlan><TestStep id='&f;'/></TestPlan>", "document type"),
        (f"<!-- x -->{ENTITIES}<TestPlan>&e;</TestPlan>", "document type"),
    ],
)
def test_a_plan_with_entities_is_not_mapped(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "find" / "all").mkdir(parents=True)
    (tmp_path / "find" / "all" / "testplan.xml").write_text(text)
    (case,) = cases_of(str(tmp_path))
    assert why in str(case.unmapped)


def test_plans_read_nothing_outside_of_their_folder(tmp_path: Path) -> None:
    folder = plans(tmp_path / "plans")
    away = plans(tmp_path / "away")
    unreached = Endpoint("http://127.0.0.1:1")
    plan = folder / "find" / "all" / "testplan.xml"
    whole = plan.read_text()
    plan.write_text(whole.replace('test="load"', 'test="../away/load"'))
    (result,) = played(folder, unreached, "find").results
    assert "lies outside of" in str(result.findings[0])
    plan.write_text(whole.replace("query.xml", "/etc/hostname"))
    (result,) = played(folder, unreached, "find").results
    assert "lies outside of" in str(result.findings)
    plan.unlink()
    plan.symlink_to(away / "find" / "all" / "testplan.xml")
    assert [case.name for case in cases_of(str(folder))] == ["load"]
