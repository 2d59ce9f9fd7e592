"""Stored queries of others (ITI-18) through the rules: what they get wrong is listed, each with the reason.

NIST toolkit, IHE and Open eHealth Integration Platform samples; the queries of ITI-51 are tested with that transaction.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests import builders
from tests.oracles import sample_messages
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.stored_query import AdhocQuery
from xdsi.rules import stored_query
from xdsi.spec.namespaces import QUERY
from xdsi.spec.stored_queries import ITI51, REGISTRY_QUERIES
from xdsi.wire import xml
from xdsi.wire.ebxml import query as codec
from xdsi.wire.message import Message

_PLACE = re.compile(r"\$\w+\$")
_ID = "urn:uuid:6f0c0c9a-8d3a-4c0e-9a39-1d3d9b0d9c52"


def filled(asked: AdhocQuery) -> AdhocQuery:
    """The places of the kit filled in as it does: the patient, one of the ids; other Slots with a place left out."""
    slots: list[tuple[str, tuple[str, ...]]] = []
    row, chosen = REGISTRY_QUERIES.get(asked.query_id), ""
    for name, values in asked.slots:
        if not any(_PLACE.search(value) for value in values):
            slots.append((name, values))
        elif name.lower().endswith("patientid"):
            slots.append((name, tuple(_PLACE.sub(builders.PATIENT, value) for value in values)))
        elif name == "$uuid" or (row is not None and name in row.one_of and not chosen):
            chosen = name
            slots.append((name, tuple(_PLACE.sub(_ID, value) for value in values)))
    return replace(
        asked,
        slots=tuple(slots),
        return_type=_PLACE.sub("LeafClass", asked.return_type),
    )


@pytest.mark.oracle
def test_queries_of_others() -> None:
    found: dict[str, list[tuple[str, str]]] = {}
    kinds = set()
    for name, element in sample_messages(xml.E(QUERY, "AdhocQueryRequest")):
        try:
            asked = codec.decode_request(Message((element,)))
        except MalformedMessage:
            continue  # listed where they are read
        if asked.query_id in ITI51 or "/utilities/" in name:
            continue  # those are templates without values, which tests of the kit fill in
        kinds.add(asked.query_id)
        checked = stored_query.check(filled(asked), queries=REGISTRY_QUERIES)
        found[name] = sorted((one.rule, one.code) for one in checked.problems)
    assert len(found) > 130
    assert len(kinds) >= 12, "most of the stored queries have a sample"
    assert {name: problems for name, problems in found.items() if problems} == {
        name: row[0] for name, row in FLAWED.items()
    }


_CODING = ("QUERY.parameter.coding", "XDSRegistryError")
_REQUIRED = ("QUERY.required", "XDSStoredQueryMissingParam")
_KIT = "nist-toolkit2/testkit"
FLAWED: dict[str, tuple[list[tuple[str, str]], str]] = {
    **{
        f"ihe-iti-info-examples/XDS.b/RegistryStoredQueryRequest{form}.xml#1": (
            [_CODING, _CODING, _REQUIRED],
            "patient id without quotes, typographic quotes, a code without its scheme; ResponseStatusType where "
            "StatusType belongs (TF-2 3.18.4.1.2.3.5 and .6)",
        )
        for form in ("", "_SOAP")
    },
    f"{_KIT}/tests/11897/classcode_scheme_mismatch/query.xml#1": ([_CODING], "refused on purpose"),
}  # fmt: skip
