"""The cases as they lie on disk, and the templates that their requests are made of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from xdsi.conformance import FEATURES, FOLDER, Case, TemplateError, cases, load, load_case, templates
from xdsi.conformance.templates import Values

CASES = load()


# -- the cases as they lie there


def test_there_are_cases_of_every_transaction() -> None:
    spoken = {step.kind.name for case in CASES for step in case.steps}
    assert spoken == set(cases.kinds())
    assert len(CASES) >= 200
    assert {case.name[:2] for case in CASES} == {f"{number:02}" for number in range(18)}
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
        ('title = "x"\nclause = "y"\nstep = []', "step is an empty list"),
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


FIND = 'title = "x"\nclause = "y"\n{more}\n[[step]]\ntransaction = "ITI-18"\nrequest = "one.xml"\n{step}\n{expect}\n'
SUCCESS = 'expect.status = "Success"'
CLOSED = {
    "scope": ({"more": 'scope = "profil"'}, "9999-wrong: scope is 'profil'", "'profile'"),
    "needs": ({"more": 'needs = ["image"]'}, "needs is 'image'", "'images'"),
    "transaction": ({"step": 'transaction = "ITI-421"'}, "step 1: transaction is 'ITI-421'", "'ITI-42'"),
    "actor": ({"step": 'actor = "regsitry"'}, "step 1: actor is 'regsitry'", "'registry'"),
    "packaging": ({"step": 'packaging = "mtomm"'}, "step 1: packaging is 'mtomm'", "'mtom'"),
    "mtom.root": ({"step": 'mtom.root = "lats"'}, "step 1.mtom: root is 'lats'", "'last'"),
    "assertion.key": ({"step": 'assertion.key = "strange"'}, "assertion: key is 'strange'", "'stranger'"),
    "assertion.wrap": ({"step": 'assertion.wrap = "advise"'}, "assertion: wrap is 'advise'", "'advice'"),
    "expect.status": ({"expect": 'expect.status = "Succes"'}, "step 1.expect: status is 'Succes'", "'Success'"),
    "expect.fault": ({"expect": 'expect.fault = "Senders"'}, "expect: fault is 'Senders'", "'Sender'"),
    "expect.subcode": ({"expect": 'expect = { fault = "Sender", subcode = "wse:X" }'}, "subcode is 'wse'", "'wsse'"),
    "expect.packaging": ({"expect": f'{SUCCESS}\nexpect.packaging = "simpel"'}, "packaging is 'simpel'", "'simple'"),
    "expect.acknowledgement": ({"expect": 'expect.acknowledgement = "CAA"'}, "acknowledgement is 'CAA'", "'CA'"),
    "a key": ({"expect": f'{SUCCESS}\nexpect.error = {{}}'}, "expect: unknown keys ['error']", "'errors'"),
    "a key of a part": ({"step": 'part = [{ document = "a", typ = "b" }]'}, "part 1: unknown keys ['typ']", "'type'"),
    "a key of an XPath": (
        {"expect": f'{SUCCESS}\nexpect.xpath = [{{ path = "/x", equal = "b" }}]'}, "xpath 1: unknown keys", "'equals'",
    ),
    "request": ({"step": 'request = "on.xml"'}, "step 1: request: no file 'on.xml'", "'one.xml'"),
}  # fmt: skip


def loading(
    folder: Path, more: str = "", step: str = "", expect: str = SUCCESS,
    files: Mapping[str, str] = MappingProxyType({}), link: Path | None = None,
) -> str:  # fmt: skip
    """What is said of a case that cannot be loaded."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    if link is not None:
        (folder / "link.xml").symlink_to(link)
    text = FIND.format(more=more, step=step, expect=expect)
    for key in ("transaction", "request"):
        if f"{key} =" in step:
            text = re.sub(f"^{key} = .*\n", "", text, count=1, flags=re.MULTILINE)
    (folder / "expectation.toml").write_text(text)
    (folder / "one.xml").write_text("<a/>")
    with pytest.raises(TemplateError) as refused:
        load_case(folder)
    return str(refused.value)


@pytest.mark.parametrize("name", CLOSED)
def test_a_misspelt_value_is_told_with_those_there_are(name: str, tmp_path: Path) -> None:
    change, where, meant = CLOSED[name]
    told = loading(tmp_path / "9999-wrong", **change)
    assert told.startswith(str(tmp_path / "9999-wrong" / "expectation.toml: "))
    assert where in told
    assert f"is {meant} meant?" in told
    if "unknown" not in told and "no file" not in told:
        assert "expected one of" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"more": "values = 5"}, "9999-wrong: values is 5: expected a table"),
        ({"more": "needs = 5"}, "9999-wrong: needs is 5: expected a list"),
        ({"more": 'feed = "no"'}, "9999-wrong: feed is 'no': expected true or false"),
        ({"more": "documents.a.size = -1"}, "documents.a: size is -1: expected a number of bytes"),
        ({"more": "documents.a = {}"}, "documents.a: expected one of file, size and text"),
        ({"more": 'documents = "a"'}, "documents: expected a table"),
        ({"step": 'wait = "long"'}, "step 1: wait is 'long': expected a number"),
        ({"step": 'http.encoding = "utf-99"'}, "step 1.http: encoding is 'utf-99'"),
        ({"step": 'http.chunked = "yes"'}, "step 1.http: chunked is 'yes': expected true or false"),
        ({"step": "part = [{}]"}, "step 1.part 1: document is missing"),
        ({"expect": 'expect = { status = "Failure", errors.X = "many" }'}, "errors.X is 'many': expected a number"),
        ({"expect": 'expect = { fault = "Sender", subcode = "X" }'}, "subcode is 'X': expected a name with its prefix"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told(change: dict[str, str], told: str, tmp_path: Path) -> None:
    assert told in loading(tmp_path / "9999-wrong", **change)


SECRET = "../secret.txt"
ELSEWHERE = {
    "a document": {"more": f'documents.a.file = "{SECRET}"'},
    "a document by its whole path": {"more": 'documents.a.file = "/etc/hostname"'},
    "a request": {"step": f'request = "{SECRET}"'},
    "a request by its whole path": {"step": 'request = "/etc/hostname"'},
    "an envelope": {"step": f'envelope = "{SECRET}"'},
    "a body": {"step": f'http.body = "{SECRET}"'},
    "a link": {"step": 'request = "link.xml"'},
    "a document that is a link": {"more": 'documents.a.file = "link.xml"'},
    "an include": {"step": 'request = "including.xml"'},
    "a begin": {"step": 'request = "beginning.xml"'},
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_case_reads_no_file_of_others(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("<a>of others</a>")
    case = tmp_path / "9999-wrong"
    files = {
        "including.xml": "<?include ../../../../../../../../../etc/hostname?>",
        "beginning.xml": '<?begin /etc/hostname x="y"?><?end?>',
    }
    told = loading(case, **ELSEWHERE[name], files=files, link=tmp_path / "secret.txt")
    assert told.startswith(str(case / "expectation.toml: 9999-wrong"))
    assert "lies outside of the case's folder and of what cases share" in told
    assert next(key for key in ("request", "envelope", "http.body", "file") if key in str(ELSEWHERE[name])) in told


def test_a_case_whose_expectations_are_a_link_to_elsewhere_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "of-others.toml").write_text(FIND.format(more="", step="", expect=SUCCESS))
    case = tmp_path / "9999-wrong"
    case.mkdir()
    (case / "expectation.toml").symlink_to(tmp_path / "of-others.toml")
    with pytest.raises(TemplateError, match="lies outside of"):
        load_case(case)


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
