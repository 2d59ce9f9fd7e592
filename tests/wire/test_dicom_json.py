"""Data sets in JSON, as archives write them, rightly or not: what can be read of one is read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain.errors import MalformedMessage
from xdsi.spec import tags
from xdsi.wire.dicom_json import dataset, orthanc_dataset, records

NAME, NUMBER = "00100010", "00200013"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ({"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "X"}]}, b"Doe^Jane=X"),
        ({"vr": "PN", "Value": {"Alphabetic": "Doe^Jane"}}, b"Doe^Jane"),
        ({"vr": "PN", "Value": "Doe^Jane"}, b"Doe^Jane"),
        ({"vr": "ZZ", "Value": ["Doe^Jane"]}, b"Doe^Jane"),
        ({"vr": "PN", "Value": [None]}, b""),
        ({"vr": "PN", "Value": None}, b""),
        ({"vr": "PN"}, b""),
        ({"vr": "PN", "Value": ["M\ud800ller"]}, b"M?ller"),
    ],
)
def test_a_value_in_whatever_form(member: Any, value: bytes) -> None:
    assert dataset({NAME: member})[tags.PATIENT_NAME] == value


def test_the_values_beside_a_wrong_one_stay() -> None:
    (found,) = records([{NAME: {"vr": "PN", "Value": [7.0]}, NUMBER: {"vr": "IS", "Value": ["12"]}, "x": 1}])
    assert found.number(tags.INSTANCE_NUMBER) == 12
    assert found[tags.PATIENT_NAME] == b"7"
    with pytest.raises(MalformedMessage, match="no array"):
        dataset({NUMBER: {"vr": "IS", "Value": 12}})


def test_items_of_a_sequence_that_are_none_are_left_out() -> None:
    codes = {"vr": "SQ", "Value": [None, "x", {"00080100": {"vr": "SH", "Value": ["A"]}}]}
    (item,) = dataset({"00081032": codes})[0x00081032]
    assert item.code(0x00080100) == "A"
    assert dataset({"00081032": {"vr": "SQ", "Value": "x"}})[0x00081032] == []
    assert orthanc_dataset({"0008,1032": {"Type": "Sequence", "Value": "x"}})[0x00081032] == []


@pytest.mark.parametrize("answer", [None, {}, "x", 3])
def test_what_is_no_answer_to_a_search(answer: object) -> None:
    with pytest.raises(MalformedMessage):
        list(records(answer))


MEMBERS = [NAME, "00081032", "Value", "vr", "Alphabetic"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(MEMBERS), inner),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_any_json_is_read_or_malformed(value: Any) -> None:
    for read in (dataset, orthanc_dataset):
        try:
            read({NAME: value, "00081032": {"vr": "SQ", "Value": value}, "0010,0010": {"Value": value}})
        except MalformedMessage:
            continue
