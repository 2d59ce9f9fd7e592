"""wire/audit_fhir: each record as a FHIR AuditEvent that an independent model of the standard takes."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent as Model
from hypothesis import given
from hypothesis import strategies as st

from tests.audit_samples import DENIED, NOW, OTHER_PATIENT, PATIENT, SITE, SUBJECT, facts, rich_facts
from xdsi.domain.audit import AuditEvent, ObjectDetail, Side
from xdsi.domain.subject import Peer
from xdsi.rules import audit_alerts
from xdsi.rules.audit import events_for
from xdsi.spec.audit_events import TRANSACTIONS
from xdsi.wire import audit, audit_fhir


def encoded(event: AuditEvent) -> dict[str, Any]:
    """As it leaves: by way of the stored message, judged by the model of FHIR (R4B; AuditEvent is that of R4)."""
    raw = audit_fhir.encode(audit.decode(audit.encode(event)))
    model = Model.model_validate_json(raw)
    read: dict[str, Any] = json.loads(raw)
    # The model keeps everything and adds nothing: there is no element that FHIR does not know.
    assert json.loads(model.model_dump_json(exclude_none=True)).keys() | {"resourceType"} == read.keys()
    for one in read.get("entity", ()):
        assert not ("name" in one and "query" in one)  # sev-1
    return read


def one(transaction: str, **changes: Any) -> dict[str, Any]:
    (event,) = events_for(facts(transaction, **changes))
    return encoded(event)


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("transaction", sorted(TRANSACTIONS))
def test_every_transaction_makes_valid_resources(transaction: str, side: Side) -> None:
    for event in events_for(rich_facts(transaction, side)):
        assert encoded(event)["subtype"]


@pytest.mark.parametrize(
    "event",
    [
        audit_alerts.started(SITE, NOW),
        audit_alerts.stopped(SITE, NOW, launcher="root"),
        audit_alerts.configuration_changed(SITE, NOW, "lists of trust", "read again", subject=SUBJECT),
        audit_alerts.node_refused(SITE, NOW, Peer(address="192.0.2.7"), "unknown authority"),
        audit_alerts.document_lost(SITE, NOW, "2.999.1", "rotten"),
        audit_alerts.recording_stopped(SITE, NOW, "disk full"),
        *events_for(facts("ITI-18", outcome=8, token_refused="FailedCheck: altered", subject=None)),
        *events_for(facts("ITI-43", denied=(("2.999.9", DENIED),))),
    ],
    ids=lambda event: event.event.code + (event.types[0].code if event.types else ""),
)
def test_events_of_the_system_are_valid(event: AuditEvent) -> None:
    assert encoded(event)["agent"]


def test_the_event_itself() -> None:
    said = one("ITI-18", outcome=8, outcome_description="not available")
    assert said["type"] == {
        "system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110112", "display": "Query",
    }  # fmt: skip
    assert [(code["system"], code["code"]) for code in said["subtype"]] == [("urn:ihe:event-type-code", "ITI-18")]
    assert (said["action"], said["recorded"], said["outcome"]) == ("E", "2026-02-03T10:11:12.345Z", "8")
    assert said["outcomeDesc"].startswith("not available [trace ")


def test_who_asked() -> None:
    """Issuer and NameID apart, roles and purpose as codes."""
    (person,) = (agent for agent in one("ITI-18")["agent"] if agent.get("name") == SUBJECT.audit_name)
    assert person["who"]["identifier"] == {"system": "https://idp.example.org", "value": "jdupont"}
    assert person["requestor"] is True
    assert person["type"]["coding"][0]["code"] == "IRCP"
    assert person["role"][0]["coding"][0] == {
        "system": "http://snomed.info/sct", "code": "112247003", "display": "Medical doctor",
    }  # fmt: skip
    assert person["purposeOfUse"][0]["coding"][0]["code"] == "TREAT"


def test_which_systems_took_part() -> None:
    agents = {
        agent["type"]["coding"][0]["code"]: agent
        for agent in one("ITI-18")["agent"]
        if "IRCP" not in str(agent["type"])
    }
    assert set(agents) == {"110152", "110153"}
    assert agents["110153"]["network"] == {"address": "192.0.2.7", "type": "2"}
    assert agents["110152"]["who"]["identifier"]["value"] == "https://hub.example.org:8443/services/registry"
    assert agents["110152"]["requestor"] is False


def test_whom_it_was_about() -> None:
    (patient, *_) = one("ITI-18")["entity"]
    assert patient["what"] == {"type": "Patient", "identifier": {"system": "urn:oid:2.999.1.1", "value": "P1"}}
    assert patient["type"]["code"] == patient["role"]["code"] == "1"
    several = events_for(facts("ITI-51", patients=(PATIENT, OTHER_PATIENT)))
    assert [encoded(event)["entity"][0]["what"]["identifier"]["value"] for event in several] == ["P1", "P2"]


def test_what_was_asked() -> None:
    """The query byte for byte, with its details."""
    (event,) = events_for(rich_facts("ITI-18"))
    (query,) = (entity for entity in encoded(event)["entity"] if "query" in entity)
    (object_,) = (thing for thing in event.objects if thing.query is not None)
    assert object_.query is not None
    assert base64.b64decode(query["query"]) == object_.query
    details = {detail["type"]: base64.b64decode(detail["valueBase64Binary"]) for detail in query["detail"]}
    assert details["QueryEncoding"] == b"UTF-8"


def test_images_are_named() -> None:
    (event,) = events_for(rich_facts("RAD-69"))
    entities = encoded(event)["entity"]
    (study, *_) = (
        one
        for one in entities
        if one["what"]["identifier"].get("type", {}).get("coding", [{}])[0].get("code") == "110180"
    )
    kinds = {detail["type"] for detail in study["detail"]}
    assert {"SOPClass", "SOPInstanceUID"} <= kinds


def test_who_reports() -> None:
    source = one("ITI-18")["source"]
    assert (source["site"], source["observer"]["identifier"]["value"]) == ("2.999.1", "xds-hub-1")
    assert source["type"][0]["system"] == "http://terminology.hl7.org/CodeSystem/security-source-type"


@given(
    text=st.text(max_size=40),
    user=st.text(min_size=1, max_size=40),
    detail=st.text(max_size=20),
    value=st.binary(max_size=40),
)
def test_whatever_text_comes_the_resource_is_valid(text: str, user: str, detail: str, value: bytes) -> None:
    (event,) = events_for(facts("ITI-18", subject=replace(SUBJECT, user_id=user), outcome_description=text))
    thing = replace(event.objects[0], details=(ObjectDetail(detail, value),), sensitivity=text)
    Model.model_validate_json(audit_fhir.encode(replace(event, objects=(thing,))))
