"""storage/serial: policy trees survive as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain import consent
from xdsi.domain.codes import Code
from xdsi.domain.consent import (
    Apply,
    Designator,
    Effect,
    Literal,
    Match,
    Policy,
    Reference,
    Rule,
    Section,
    Target,
)
from xdsi.domain.identifiers import InstanceIdentifier
from xdsi.storage.serial import from_json, to_json

text = st.text(max_size=8)
codes = st.builds(Code, text, text, text)
values = text | codes | st.builds(InstanceIdentifier, text, text)
matches = st.builds(Match, attribute=text, value=values, function=text, must_be_present=st.booleans())
sections = st.lists(st.lists(matches, max_size=2).map(tuple), max_size=2).map(tuple)
targets = st.builds(Target, subjects=sections, resources=sections, actions=sections, environments=sections)
leaves = st.builds(Literal, value=values | st.booleans(), data_type=text) | st.builds(
    Designator, section=st.sampled_from(Section), attribute=text, data_type=text, must_be_present=st.booleans()
)
expressions = st.recursive(
    leaves,
    lambda inner: st.builds(Apply, function=text, arguments=st.lists(inner, max_size=3).map(tuple)),
    max_leaves=5,
)
rules = st.builds(Rule, id=text, effect=st.sampled_from(Effect), target=targets, condition=st.none() | expressions)
policies = st.recursive(
    st.builds(Policy, id=text, combining=text, children=st.lists(rules, max_size=2).map(tuple), target=targets),
    lambda inner: st.builds(
        Policy,
        id=text,
        combining=text,
        children=st.lists(inner | st.builds(Reference, text), max_size=3).map(tuple),
        target=targets,
    ),
    max_leaves=4,
)


@given(policies)
def test_policies_come_back(policy: Policy) -> None:
    again = from_json(to_json(policy))
    assert again == policy
    # What equality does not look at comes back, too.
    assert repr(again) == repr(policy)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1,
        "ü",
        (),
        ("a", ("b",)),
        frozenset({Code("a", "b"), Code("c", "d")}),
        {Code("a", "b"): ("x",)},
        datetime(2024, 1, 2, tzinfo=UTC),
        date(2024, 1, 2),
        Effect.DENY,
    ],
)
def test_plain_values_come_back(value: object) -> None:
    assert from_json(to_json(value)) == value


def test_every_dataclass_of_the_consent_domain_is_known() -> None:
    for name, found in vars(consent).items():
        if isinstance(found, type) and dataclasses.is_dataclass(found) and found.__module__ == consent.__name__:
            with pytest.raises(ValueError, match=name):
                from_json(json.dumps({"$": name, "no such field": 1}))


def test_fields_with_their_default_are_left_out() -> None:
    assert json.loads(to_json(Policy(id="p", combining="c"))) == {"$": "Policy", "id": "p", "combining": "c"}


def test_rows_written_before_a_field_existed_still_read() -> None:
    assert from_json('{"$":"Rule","id":"r","effect":{"$":"Effect","value":"Deny"}}') == Rule(id="r", effect=Effect.DENY)


@pytest.mark.parametrize(
    "raw", ['{"$":"Path","a":1}', '{"$":"Effect","value":"Maybe"}', '{"x":1}', '{"$":"Policy"}', "{"]
)
def test_other_text_is_refused(raw: str) -> None:
    with pytest.raises(ValueError):
        from_json(raw)


@dataclass(frozen=True)
class Stranger:
    a: int = 1


@pytest.mark.parametrize("value", [Stranger(), object(), b"bytes"])
def test_other_classes_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        to_json(value)
