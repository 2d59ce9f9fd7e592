"""National rules are data: value sets, token rules, expressions, fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import message_samples as samples
from tests.validation.faults import check
from xdsi.domain.errors import ConfigurationError
from xdsi.validation import Terms, read_profile, validate

RULES = """
name = "example"
mime_types = ["application/dicom", "text/plain"]

[codes.classCode]
"2.999.20" = ["REPORTS", "IMAGES"]

[token]
required = ["urn:ihe:iti:xca:2010:homeCommunityId"]

[[xpath]]
rule = "title"
context = "//rim:ExtrinsicObject"
test = "rim:Name/rim:LocalizedString/@xml:lang = 'fr'"
text = "the title is not in French"
expected = "a LocalizedString with xml:lang fr"
clause = "national guide 4.1"
level = "warning"

[[field]]
segment = "PID"
field = 3
matches = "[0-9]{11}"
text = "PID-3 is no national number"
expected = "eleven digits"
clause = "national guide 5.2"
"""


@pytest.fixture
def terms(tmp_path: Path) -> Terms:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    return Terms(profile=read_profile(file))


def test_expressions_are_asked_of_every_place(terms: Terms) -> None:
    check(samples.submitted(), "?PROFILE.title", "ExtrinsicObject", terms=terms)
    check(samples.envelope("ITI-42", samples.submitted()), "?PROFILE.title", "ExtrinsicObject", terms=terms)


def test_value_sets_count(terms: Terms) -> None:
    report = validate(samples.submitted(mime_type="image/png"), terms=terms)
    assert [one.rule for one in report.findings] == ["DE.mimeType.value-set", "PROFILE.title"]
    assert validate(samples.submitted(mime_type="image/png")).findings == ()


def test_fields_of_segments(terms: Terms) -> None:
    check(samples.adt(), "PROFILE.field.1", "PID-3.1", terms=terms)
    assert validate(samples.adt().replace(b"P1^", b"85073003328^"), terms=terms).findings == ()


def test_attributes_of_tokens(terms: Terms) -> None:
    check(samples.assertion(), "SAML.attributes", "AttributeStatement", terms=terms)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[xpath]]\ncontext = '//['\ntest = '1'\ntext = 'x'", "Invalid expression"),
        ("[[xpath]]\ncontext = '//x:y'\ntest = '1'\ntext = 'x'", ""),
        ("[[xpath]]\ntest = '1'\ntext = 'x'", "context is missing"),
        ("[[field]]\nsegment = 'PID'\nfield = 1\nmatches = '('\ntext = 'x'", "missing )"),
        ("[[field]]\nsegment = 'PID'\nfield = 'x'\ntext = 'x'", "x"),
        ("[token]\nbase = 'atlantis'", "atlantis"),
        ("[[xpath]]\ncontext = '/*'\ntest = '1'\ntext = 'x'\nlevel = 'bad'", "bad"),
        ("[[xpath]]\ncontext = '/*'\ntest = '1'\ntext = 'x'\nlevel = 'bad'", "level is 'bad'; valid: error, warning"),
        (
            "[[xpath]]\ncontext = '/*'\ntest = '1'\ntext = 'x'\nclauses = 'y'",
            "xpath 1: unknown key 'clauses'; valid: clause",
        ),
        ("[[field]]\nsegment = 'PID'\nfield = 1\nmatch = 'a'\ntext = 'x'", "field 1: unknown key 'match'; valid:"),
        ("[[field]]\nfield = 1\ntext = 'x'", "field 1: segment is missing"),
        ("[token]\nrequire = ['x']", "token: unknown key 'require'"),
        ("unknown = 1", "unknown"),
        ("[codes]\nclassCode = 1", "classCode"),
        ("= 1", "rules.toml"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_mistake(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"rules\.toml") as refused:
        read_profile(file)
    assert named in str(refused.value)
