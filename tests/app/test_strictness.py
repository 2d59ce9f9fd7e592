"""A hub that goes live with imperfect senders: what it tolerates, and of which transactions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lxml import etree

from tests import builders
from tests.app import records
from tests.wire.ebxml.bodies import body_of, received
from xdsi.app import Parts
from xdsi.domain.identifiers import new_entry_uuid
from xdsi.domain.metadata import DocumentEntry
from xdsi.exchange import Trace, Transaction, run
from xdsi.settings import Domain, Registry, Server, Settings
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, FAILURE, RIM, RS, SUCCESS
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.transactions import iti57_update_document_set as iti57
from xdsi.transactions import iti61_register_on_demand_document_entry as iti61
from xdsi.wire.ebxml import query, submission
from xdsi.wire.message import Packaging, Payload

CODES = ("class_code", "format_code", "healthcare_facility_type_code", "practice_setting_code", "type_code")
POOR = dict.fromkeys(CODES) | {"language_code": "", "source_patient_id": "", "creation_time": ""}
"""an entry without whatever a registry can do without"""


def answered(parts: Parts, transaction: Transaction, sent: Payload) -> etree._Element:
    payload = run(
        parts.registry_actor, transaction, received(sent), records.DOCTOR, packaging=Packaging.SIMPLE, trace=Trace()
    )
    return etree.fromstring(body_of(payload))


def register(
    parts: Parts, transaction: Transaction, entry: DocumentEntry, unique_id: str, **of_link: str
) -> tuple[str, set[str], set[str]]:
    """Status, severities and places of what is said of a submission."""
    own = builders.submission_set("ss1", unique_id=unique_id, content_type_code=None)
    link = builders.has_member("ss1", entry.entry_uuid, "Original", **of_link)
    request = builders.submission(entry, sets=[own], associations=[link], linked=False)
    answer = answered(parts, transaction, submission.encode(request, Packaging.SIMPLE))
    errors = list(answer.iter(f"{{{RS}}}RegistryError"))
    severities = {one.get("severity", "").rpartition(":")[2] for one in errors}
    return answer.get("status", ""), severities, {one.get("location", "").rpartition("/")[2] for one in errors}


def test_each_transaction_is_as_strict_as_the_settings_say(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """ITI TF-3 4.3.1: what a sender must give is warned of in ITI-42, logged in ITI-61 and refused in ITI-57."""
    parts = Parts(
        Settings(
            server=Server(data_dir=tmp_path, actors=("registry",)),
            domain=Domain(profile="open", accept_unknown_patients=True),
            registry=Registry(strictness="warn", strictness_of={"ITI-57": "reject", "ITI-61": "log"}),
        )
    )
    try:
        first = builders.document_entry(new_entry_uuid(), unique_id="2.999.61.1", **POOR)
        status, severities, places = register(parts, iti42.TRANSACTION, first, "2.999.60.1")
        assert (status, severities) == (SUCCESS, {"Warning"})
        assert places == {
            "classCode", "formatCode", "healthcareFacilityTypeCode", "practiceSettingCode", "typeCode", "languageCode",
            "sourcePatientId", "creationTime", "contentTypeCode",
        }  # fmt: skip
        on_demand = builders.on_demand_entry(new_entry_uuid(), unique_id="2.999.61.2", class_code=None)
        assert register(parts, iti61.TRANSACTION, on_demand, "2.999.60.2") == (SUCCESS, set(), set())
        told = f": tolerated: DE.classCode.required at {on_demand.entry_uuid}/classCode"
        (line,) = [one for one in caplog.messages if one.endswith(told)]
        assert re.fullmatch("trace [0-9a-f]{32}: ITI-61 from 192.0.2.7", line.removesuffix(told))
        new = builders.document_entry("new", unique_id="2.999.61.1", logical_id=first.entry_uuid, **POOR)
        status, severities, _ = register(parts, iti57.TRANSACTION, new, "2.999.60.3", previous_version="1")
        assert (status, severities) == (FAILURE, {"Error"})
        unfit = builders.document_entry(new_entry_uuid(), unique_id="2.999.61.3", confidentiality_codes=())
        status, _, places = register(parts, iti42.TRANSACTION, unfit, "2.999.60.4")
        assert (status, "confidentialityCode" in places) == (FAILURE, True)
        slots = (
            ("$XDSDocumentEntryPatientId", (f"'{builders.PATIENT}'",)),
            ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",)),
        )
        asked = query.encode_request(query.AdhocQuery(uuids.FIND_DOCUMENTS, "LeafClass", slots), Packaging.SIMPLE)
        found = answered(parts, iti18.TRANSACTION, asked)
        assert [one.get("id") for one in found.iter(f"{{{RIM}}}ExtrinsicObject")] == [first.entry_uuid]
        assert "" not in {"".join(one.itertext()) for one in found.iter(f"{{{RIM}}}Slot")}
    finally:
        parts.engine.dispose()
