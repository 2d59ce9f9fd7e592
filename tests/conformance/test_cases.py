"""The cases as they lie on disk, and the templates that their requests are made of."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from xdsi.conformance import FEATURES, FOLDER, Case, TemplateError, cases, load, load_case, templates
from xdsi.conformance.templates import Values

CASES = load()


# -- the cases as they lie there


def test_there_are_cases_of_every_transaction() -> None:
    spoken = {step.kind.name for case in CASES for step in case.steps}
    assert spoken == set(cases.kinds())
    assert len(CASES) >= 200
    assert {case.name[:2] for case in CASES} == {f"{number:02}" for number in range(16)}
    assert len({case.name[:4] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_says_why_it_is_there_and_has_no_idle_file(case: Case) -> None:
    text = " ".join((case.folder / "README.md").read_text(encoding="utf-8").split())
    assert text.startswith(f"# {case.name[:4]} {case.title} ")
    for heading in ("- **Purpose:** ", f"- **Clause:** {case.clause}", "- **Preconditions:** "):
        assert heading in text
    assert case.needs <= set(FEATURES)
    used = {"README.md", "expectation.toml"}
    used.update(name for step in case.steps for name in (step.request, step.envelope, step.http.body))
    assert {path.name for path in case.folder.iterdir()} <= used


def test_no_shared_file_is_idle() -> None:
    named = "".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*") if path.suffix in (".xml", ".toml"))
    code = "".join(path.read_text(encoding="utf-8") for path in Path(cases.__file__).parent.glob("*.py"))
    assert [path.name for path in cases.SHARED.iterdir() if path.name not in named + code] == []


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("", "title is missing"),
        ('title = "x"\nclause = "y"', "step is missing"),
        ('title = "x"\nclause = "y"\nscope = "maybe"\nstep = []', "scope"),
        ('title = "x"\nclause = "y"\nsteps = []\nstep = []', "unknown keys .'steps'"),
        ('title = "x"\nclause = "y"\n[[step]]\ntransaction = "ITI-99"', "ITI-99"),
        ('title = "x"\nclause = "y"\n[[step]]\ntransaction = "ITI-18"\nrequest = "find.xml"', "one of status"),
        ('title = "x"\nclause = "y"\n[[step]]\ntransaction = "ITI-18"\nexpect.status = "Success"', "request or"),
        (
            'title = "x"\nclause = "y"\n[[step]]\ntransaction = "ITI-18"\nrequest = "find.xml"\n'
            'expect = { status = "Success", error = {} }',
            "unknown keys .'error'",
        ),
        (
            'title = "x"\nclause = "y"\n[[step]]\ntransaction = "ITI-41"\nrequest = "find.xml"\nattach = ["a"]\n'
            'expect.status = "Success"',
            "no document 'a'",
        ),
        (
            'title = "x"\nclause = "y"\n[[step]]\ntransaction = "ITI-18"\nrequest = "find.xml"\n'
            'change = [{ at = "/*" }]\nexpect.status = "Success"',
            "a change is",
        ),
    ],
)
def test_a_case_that_is_written_wrongly_is_not_loaded(tmp_path: Path, table: str, why: str) -> None:
    folder = tmp_path / "9999-wrong"
    folder.mkdir()
    (folder / "expectation.toml").write_text(table)
    with pytest.raises(TemplateError, match=why):
        load_case(folder)


# -- templates


@pytest.fixture
def values() -> Values:
    return Values({"cx": "P1^^^&2.999.1&ISO", "pattern": "${cx}!", "id": "outer"}, {"report": b"abc"})


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("<a>${cx}</a>", "<a>P1^^^&amp;2.999.1&amp;ISO</a>"),
        ("<a>${raw:cx}</a>", "<a>P1^^^&2.999.1&ISO</a>"),
        ("${pattern}", "P1^^^&amp;2.999.1&amp;ISO!"),
        ("${nothing|something &lt;}", "something &lt;"),
        ("${nothing|${id}}", "outer"),
        ("${size:report} ${base64:report} ${text:report}", "3 YWJj abc"),
        ("${sha1:report}", hashlib.sha1(b"abc").hexdigest()),
        ("${filler:3}", "xxx"),
        ("$XDSDocumentEntryStatus", "$XDSDocumentEntryStatus"),
        ('<?include one.xml id="in ${cx}"?>', "[in P1^^^&amp;2.999.1&amp;ISO]"),
        ('<?include one.xml if="" id="x"?>', ""),
        ('<?include one.xml if="${nothing|}" id="x"?>', ""),
        ("<?include one.xml?>", "[outer]"),
        ('<?begin two.xml name="x"?><b/><?end?>', "{x:<b/>}"),
        ('<?begin two.xml name="x"?><?begin two.xml name="y"?>${id}<?end?><?end?>', "{x:{y:outer}}"),
        ('<?begin two.xml name="${nothing|x}"?><?include one.xml id="1"?>+<?end?>', "{x:[1]+}"),
        ('<?include two.xml name="x"?>', "{x:}"),
    ],
)  # fmt: skip
def test_templates(values: Values, template: str, text: str) -> None:
    files = {"one.xml": "[${id}]", "two.xml": "{${name}:${raw:content}}"}
    assert templates.render(template, files.__getitem__, values) == text


def test_an_included_file_sees_nothing_of_the_file_around_it(values: Values) -> None:
    files = {"one.xml": "<?include two.xml?>", "two.xml": "${colour|none}"}
    assert templates.render('<?include one.xml colour="red"?>', files.__getitem__, values) == "none"


@pytest.mark.parametrize("template", ["${nothing}", "${size:nothing}", "${raw:nothing}"])
def test_a_placeholder_of_nothing_is_an_error(values: Values, template: str) -> None:
    with pytest.raises(TemplateError):
        values.expand(template)


def test_ids_are_the_same_in_a_run_and_fresh_in_the_next(values: Values) -> None:
    text = "${uuid:a} ${oid:a} ${patient} ${patient:other} ${run}"
    again = Values({}, {})
    assert values.expand(text) == values.expand(text)
    assert not set(values.expand(text).split()) & set(again.expand(text).split())
    assert re.fullmatch(r"2\.25\.[0-9]{1,39}", values.expand("${oid:a}"))
    assert values.expand("${id_of:}", xml=False) == values.expand("${patient}", xml=False).partition("^")[0]


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        ({"at": "//b", "remove": True}, '<a c="1"><d/></a>'),
        ({"at": "//b", "set": "${id}"}, '<a c="1"><b>outer</b><d/></a>'),
        ({"at": "/a/@c", "set": "2"}, '<a c="2"><b>x</b><d/></a>'),
        ({"at": "/a/@c", "remove": True}, "<a><b>x</b><d/></a>"),
        ({"at": "//d", "append": "<e/>"}, '<a c="1"><b>x</b><d><e/></d></a>'),
        ({"at": "//d", "before": "<e/>"}, '<a c="1"><b>x</b><e/><d/></a>'),
    ],
)
def test_changes(values: Values, edit: dict[str, object], changed: str) -> None:
    assert templates.change('<a c="1"><b>x</b><d/></a>', [edit], values) == changed


def test_a_change_that_finds_nothing_is_an_error(values: Values) -> None:
    with pytest.raises(TemplateError, match="nothing is at //x"):
        templates.change("<a/>", [{"at": "//x", "remove": True}], values)
