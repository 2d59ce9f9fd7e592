"""Updates of others through the rules, IHE's and Open eHealth Integration Platform's: what they lack, and why.

The registry has what IHE's example of a query found before.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.oracles import corpus
from tests.rules.registered import Registered
from tests.rules.test_update import PORTS
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.submission import Submission
from xdsi.rules import update as rules
from xdsi.wire import xml
from xdsi.wire.ebxml import query, submission
from xdsi.wire.message import Message

IHE, IPF = "ihe-iti-info-examples/MU/example01/update.xml", "ipf/xds/SubmitObjectsRequest_ebrs30_update.xml"
STATUS_OF = "urn:uuid:e0985823-dc50-45a5-a6c8-a11a829893bd"


def read(*parts: str) -> Message:
    return Message((xml.parse(corpus(*parts).read_bytes()),))


def before() -> DocumentEntry:
    (entry,) = query.objects(read("ihe-iti-info-examples", "MU", "example01", "query_result.xml"))
    assert isinstance(entry, DocumentEntry)
    return entry


def judged(name: str, known: Registered, codes: rules.Codes) -> tuple[list[str], Submission | None]:
    sent = submission.decode(read(*name.split("/")))
    request = rules.prepared(sent) if codes is rules.RESTRICTED else sent
    outcome, registration = rules.decide(rules.Context.about(request, known), known, PORTS, codes)
    return [one.rule for one in outcome.problems], registration.submission if registration else None


_ELSEWHERE = "it also changes the status of an object that is not in the example"
_RESTRICTED = "that is not for a restricted update, and it makes the document Offline"
FOUND = {
    (IHE, "UPDATE"): ([], ""),
    (IHE, "RESTRICTED"): ([], ""),
    (IPF, "UPDATE"): (["ASSOC.targetObject.unresolved"], _ELSEWHERE),
    (IPF, "RESTRICTED"): (["ASSOC.restricted", "DE.documentAvailability.changed"], _RESTRICTED),
}


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "kind"), FOUND)
def test_updates_of_others(name: str, kind: str) -> None:
    problems, stored = judged(name, Registered(before()), getattr(rules, kind))
    assert problems == FOUND[name, kind][0]
    if stored is not None:
        (entry,) = stored.document_entries
        assert (entry.logical_id, entry.version) == (before().logical_id, 2)
        assert entry.class_code != before().class_code


@pytest.mark.oracle
def test_where_that_object_is_there_its_status_changes() -> None:
    other = replace(before(), entry_uuid=STATUS_OF, logical_id=STATUS_OF, unique_id="2.999.1")
    problems, stored = judged(IPF, Registered(before(), other), rules.UPDATE)
    assert problems == []
    assert stored is not None
