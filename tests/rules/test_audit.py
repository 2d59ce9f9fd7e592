from dataclasses import replace

import pytest

from tests.audit_samples import (
    DENIED,
    MERGE,
    NODE,
    NOW,
    OTHER_PATIENT,
    PATIENT,
    SITE,
    SUBJECT,
    facts,
    rich_facts,
)
from xdsi.domain.audit import (
    ActiveParticipant,
    AuditAction,
    AuditEvent,
    AuditOutcome,
    DocumentFacts,
    ParticipantObject,
    QueryFacts,
    Side,
    StudyFacts,
)
from xdsi.rules.audit import events_for
from xdsi.spec import audit_events as table

ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"
BOTH = (Side.CLIENT, Side.SERVER)


def only(events: tuple[AuditEvent, ...]) -> AuditEvent:
    (event,) = events
    return event


def with_role(event: AuditEvent, role: str) -> ActiveParticipant:
    (found,) = [who for who in event.participants if any(code.code == role for code in who.roles)]
    return found


def ids(event: AuditEvent, role: str = "3") -> list[str]:
    return [thing.id for thing in event.objects if thing.role == role and thing.type_code == "2"]


def details(thing: ParticipantObject) -> list[tuple[str, str]]:
    return [(detail.type, detail.value.decode()) for detail in thing.details]


# Sheet of DICOM event id and action per side: ITI TF-2 3.x.5; RAD transactions by fielded actors.
EXPECTED = {
    "ITI-8": ("110110", "E", "110110", "E"),
    "ITI-9": ("110112", "E", "110112", "E"),
    "ITI-18": ("110112", "E", "110112", "E"),
    "ITI-38": ("110112", "E", "110112", "E"),
    "ITI-39": ("110107", "C", "110106", "R"),
    "ITI-41": ("110106", "R", "110107", "C"),
    "ITI-42": ("110106", "R", "110107", "C"),
    "ITI-43": ("110107", "C", "110106", "R"),
    "ITI-51": ("110112", "E", "110112", "E"),
    "ITI-53": ("110106", "R", "110107", "C"),
    "ITI-57": ("110106", "U", "110107", "U"),
    "ITI-61": ("110106", "R", "110107", "C"),
    "ITI-62": ("110110", "D", "110110", "D"),
    "ITI-79": ("110112", "E", "110112", "E"),
    "ITI-86": ("110110", "D", "110110", "D"),
    "ITI-92": ("110106", "U", "110107", "U"),
    "RAD-55": ("110103", "R", "110104", "R"),
    "RAD-68": ("110106", "R", "110107", "C"),
    "RAD-69": ("110103", "C", "110104", "R"),
    "RAD-75": ("110103", "C", "110104", "R"),
    "RAD-107": ("110103", "R", "110104", "R"),
}


@pytest.mark.parametrize("number", EXPECTED)
def test_event_and_action_of_each_side(number: str) -> None:
    client, server = (events_for(rich_facts(number, side, documents=()))[0] for side in BOTH)
    assert (client.event.code, client.action, server.event.code, server.action) == EXPECTED[number]
    assert client.types[0] == server.types[0]
    assert (client.types[0].code, client.types[0].scheme) == (number, "IHE Transactions")


def test_the_server_side_of_a_query() -> None:
    event = only(events_for(rich_facts("ITI-18")))
    source, destination = with_role(event, "110153"), with_role(event, "110152")
    assert source == ActiveParticipant(
        user_id=ANONYMOUS,
        user_name="hospital-a",
        requestor=True,
        roles=source.roles,
        network_id="192.0.2.7",
        network_type="2",
    )
    assert destination.user_id == "https://hub.example.org:8443/services/registry"
    assert (destination.requestor, destination.alternative_user_id) == (False, "4711")
    assert (destination.network_id, destination.network_type) == ("hub.example.org", "1")
    person = event.participants[2]
    assert (person.user_id, person.user_name) == ("jdupont", "dr<jdupont@https://idp.example.org>")
    assert person.roles == SUBJECT.roles
    assert event.purposes == SUBJECT.purposes
    assert event.source.source_id == SITE.source_id
    assert event.source.types[0].code == "4"
    query = event.objects[1]
    assert (query.type_code, query.role, query.query) == ("2", "24", b"<query:AdhocQueryRequest/>")
    assert query.id_type.code == "ITI-18"
    assert details(query) == [
        ("QueryEncoding", "UTF-8"),
        ("urn:ihe:iti:xca:2010:homeCommunityId", "urn:oid:2.999.9"),
    ]


def test_the_client_side_names_its_own_process() -> None:
    event = only(
        events_for(
            facts("ITI-42", Side.CLIENT, reply_to="https://rep/reply", endpoint="https://reg.example.org/x",
                  peer_address="", subject=None, submission_set="2.999.11.1")
        )
    )  # fmt: skip
    source, destination = with_role(event, "110153"), with_role(event, "110152")
    assert (source.user_id, source.alternative_user_id) == ("https://rep/reply", "4711")
    assert (source.network_id, source.network_type) == ("hub.example.org", "1")
    assert (destination.user_id, destination.alternative_user_id) == ("https://reg.example.org/x", "")
    assert (destination.network_id, destination.network_type) == ("reg.example.org", "1")
    assert ids(event, "20") == ["2.999.11.1"]
    assert len(event.participants) == 2


@pytest.mark.parametrize("side", BOTH)
def test_the_repository_is_the_source_of_a_retrieve(side: Side) -> None:
    event = only(events_for(facts("ITI-43", side, documents=(DocumentFacts(unique_id="2.999.5.1"),))))
    source, destination = with_role(event, "110153"), with_role(event, "110152")
    assert (source.user_id, source.requestor) == ("https://hub.example.org:8443/services/registry", False)
    assert (destination.user_id, destination.requestor) == (ANONYMOUS, True)


@pytest.mark.parametrize("side", BOTH)
def test_images_follow_the_direction_of_the_call(side: Side) -> None:
    event = only(events_for(rich_facts("RAD-69", side)))
    assert with_role(event, "110153").requestor
    assert not with_role(event, "110152").requestor


def test_documents_name_their_repository_and_community() -> None:
    event = events_for(rich_facts("ITI-43"))[0]
    assert details(event.objects[1]) == [
        ("Repository Unique ID", "2.999.1.2"),
        ("ihe:homeCommunityID", "urn:oid:2.999.9"),
    ]
    assert (event.objects[1].id_type.code, event.objects[1].id_type.scheme) == ("9", "RFC-3881")


def test_successes_and_failures_are_apart() -> None:
    good, bad = events_for(rich_facts("ITI-43"))
    assert (good.outcome, ids(good)) == (AuditOutcome.SUCCESS, ["2.999.5.1"])
    assert (bad.outcome, ids(bad)) == (AuditOutcome.SERIOUS_FAILURE, ["2.999.5.2"])
    assert good.outcome_description == ""
    assert bad.outcome_description == "[trace 0123456789abcdef0123456789abcdef]"


def test_nothing_was_given_out_where_the_whole_exchange_failed() -> None:
    event = only(events_for(rich_facts("ITI-43", outcome=8, outcome_description="registry away")))
    assert event.outcome is AuditOutcome.SERIOUS_FAILURE
    assert ids(event) == ["2.999.5.1", "2.999.5.2"]
    assert event.outcome_description.startswith("registry away [trace")


def test_a_partial_query_gives_two_messages() -> None:
    good, bad = events_for(rich_facts("ITI-18", partial=True, outcome_description="one repository away"))
    assert (good.outcome, bad.outcome) == (AuditOutcome.SUCCESS, AuditOutcome.MINOR_FAILURE)
    assert good.objects == bad.objects


def test_one_message_for_each_patient() -> None:
    events = events_for(rich_facts("ITI-51", patients=(PATIENT, OTHER_PATIENT, PATIENT)))
    assert [event.patient for event in events] == [PATIENT, OTHER_PATIENT]
    assert all(event.objects[1].role == "24" for event in events)


def test_documents_of_two_patients_go_to_their_own_messages() -> None:
    documents = (
        DocumentFacts(unique_id="2.999.5.1", patient=PATIENT),
        DocumentFacts(unique_id="2.999.5.2", patient=OTHER_PATIENT),
        DocumentFacts(unique_id="2.999.5.3"),
    )
    events = events_for(facts("ITI-43", patients=(), documents=documents))
    assert [(event.patient, ids(event)) for event in events] == [
        (PATIENT, ["2.999.5.1"]),
        (OTHER_PATIENT, ["2.999.5.2"]),
        ("", ["2.999.5.3"]),
    ]


def test_a_document_of_nobody_known_is_not_the_patients_whose_document_was_asked_for_with_it() -> None:
    documents = (DocumentFacts(unique_id="2.999.5.1", patient=PATIENT), DocumentFacts(unique_id="2.999.5.3", outcome=8))
    events = events_for(facts("ITI-43", patients=(), documents=documents, outcome=8, partial=True))
    assert [(event.patient, ids(event)) for event in events] == [(PATIENT, ["2.999.5.1"]), ("", ["2.999.5.3"])]


def test_a_request_without_a_known_patient_is_reported_all_the_same() -> None:
    event = only(events_for(facts("ITI-18", patients=(), outcome=8, outcome_description="malformed")))
    assert event.objects == ()
    assert event.outcome is AuditOutcome.SERIOUS_FAILURE


def test_long_lists_of_documents_are_spread_over_messages() -> None:
    documents = tuple(DocumentFacts(unique_id=f"2.999.5.{number}") for number in range(120))
    events = events_for(facts("ITI-43", documents=documents))
    assert [len(ids(event)) for event in events] == [50, 50, 20]
    assert [uid for event in events for uid in ids(event)] == [document.unique_id for document in documents]
    assert {event.patient for event in events} == {PATIENT}


def test_studies_name_their_instances() -> None:
    study = only(events_for(rich_facts("RAD-69"))).objects[1]
    assert (study.id, study.id_type.code) == ("2.999.6", "110180")
    assert details(study) == [
        ("Repository Unique Id", "2.999.1.3"),
        ("ihe:homeCommunityID", "urn:oid:2.999.9"),
        ("Series Instance Unique Id", "2.999.6.1"),
        ("ihe:DocumentUniqueId", "2.999.6.1.1"),
        ("ihe:DocumentUniqueId", "2.999.6.1.2"),
    ]
    (description,) = study.descriptions
    assert description.accessions == ("A77",)
    assert [(one.uid, one.number, one.instances) for one in description.sop_classes] == [
        ("1.2.840.10008.5.1.4.1.1.2", 2, ("2.999.6.1.1", "2.999.6.1.2"))
    ]


def test_the_same_study_is_one_object() -> None:
    study = rich_facts("RAD-69").studies[0]
    other = StudyFacts(study_instance_uid="2.999.6", instances=(("", ("2.999.6.1.3",)),))
    event = only(events_for(rich_facts("RAD-69", studies=(study, other))))
    assert ids(event) == ["2.999.6"]
    assert ("ihe:DocumentUniqueId", "2.999.6.1.3") in details(event.objects[1])
    assert sum(one.number for one in event.objects[1].descriptions[0].sop_classes) == 2


def test_large_studies_are_spread_over_messages() -> None:
    instances = tuple(f"2.999.6.1.{number}" for number in range(250))
    studies = (
        StudyFacts(study_instance_uid="2.999.6", instances=(("1.2.3", instances),)),
        StudyFacts(study_instance_uid="2.999.7", instances=(("1.2.3", ("2.999.7.1",)),)),
        StudyFacts(study_instance_uid="2.999.8"),
    )
    events = events_for(facts("RAD-107", studies=studies))
    assert [ids(event) for event in events] == [["2.999.6"], ["2.999.6"], ["2.999.6", "2.999.7", "2.999.8"]]
    named = [
        uid for event in events for thing in event.objects[1:] for one in thing.descriptions
        for count in one.sop_classes for uid in count.instances
    ]  # fmt: skip
    assert named == [*instances, "2.999.7.1"]


def test_a_long_query_is_cut_and_known_by_its_hash() -> None:
    query = QueryFacts(id="urn:uuid:1", request=b"x" * 50_000)
    thing = only(events_for(facts("ITI-18", query=query))).objects[1]
    assert thing.query == b"x" * 20_000
    assert ("truncated", "50000") in details(thing)
    assert any(type_ == "SHA-256" and len(value) == 64 for type_, value in details(thing))


@pytest.mark.parametrize(("number", "detail"), [("ITI-8", "MSH-10"), ("ITI-44", "II")])
def test_a_feed_names_its_message(number: str, detail: str) -> None:
    event = only(events_for(facts(number, message_id="MSG-1", action=AuditAction.UPDATE)))
    assert event.action is AuditAction.UPDATE
    assert details(event.objects[0]) == [(detail, "MSG-1")]


@pytest.mark.parametrize("number", ["ITI-8", "ITI-44"])
def test_a_merge_deletes_one_and_updates_the_other(number: str) -> None:
    gone, kept = events_for(facts(number, patients=(), message_id="MSG-1", merge=MERGE))
    assert (gone.action, gone.patient) == (AuditAction.DELETE, OTHER_PATIENT)
    assert (kept.action, kept.patient) == (AuditAction.UPDATE, PATIENT)
    assert gone.objects[0].details == kept.objects[0].details != ()


def test_hl7_names_facility_and_application() -> None:
    event = only(events_for(facts("ITI-8", reply_to="HOSP|ADT", endpoint="HUB|XDSI", action=AuditAction.CREATE)))
    assert [who.user_id for who in event.participants[:2]] == ["HOSP|ADT", "HUB|XDSI"]


def test_removed_objects_are_of_their_kind() -> None:
    event = only(events_for(rich_facts("ITI-62")))
    entry, association = event.objects[1:]
    assert entry.id_type.code == "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
    assert association.id_type.code == "urn:ihe:iti:2007:AssociationType:RPLC"
    assert {entry.life_cycle, association.life_cycle} == {"15"}


def test_removed_documents_name_their_repository_in_another_way() -> None:
    event = events_for(rich_facts("ITI-86"))[0]
    assert details(event.objects[1])[0] == ("urn:ihe:iti:xds:2007:repositoryUniqueId", "2.999.1.2")
    assert event.objects[1].life_cycle == "15"


def test_a_decision_names_who_asked_and_what_was_said() -> None:
    event = only(events_for(rich_facts("ITI-79")))
    assert [(thing.type_code, thing.role, thing.id) for thing in event.objects[1:]] == [
        ("1", "11", "jdupont"),
        ("2", "24", "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"),
        ("2", "13", "2.999.5.1"),
        ("2", "13", "2.999.5.2"),
    ]
    assert details(event.objects[4]) == [("decision", "Deny")]


def test_reading_the_trail_names_the_trail() -> None:
    event = only(events_for(facts("ITI-81", endpoint="https://hub/audit", patients=())))
    assert (event.event.code, event.action) == ("110101", "R")
    assert (event.objects[0].id, event.objects[0].name) == ("https://hub/audit", "Security Audit Log")


def test_a_record_about_a_record_is_not_made() -> None:
    assert events_for(facts("ITI-20")) == ()


def test_an_unknown_transaction_is_refused() -> None:
    with pytest.raises(ValueError, match="ITI-999"):
        events_for(facts("ITI-999"))


def test_a_refused_token_is_the_only_event() -> None:
    event = only(events_for(facts("ITI-18", subject=None, outcome=8, token_refused="FailedCheck: digest differs")))
    assert (event.event.code, event.types[0].code, event.outcome) == ("110113", "110143", 8)
    assert event.user_id == "hospital-a"
    assert "FailedCheck: digest differs" in event.outcome_description
    assert "[trace " in event.outcome_description


def test_a_claimed_identity_is_named_with_its_token() -> None:
    event = only(events_for(facts("ITI-18", token_refused="MessageExpired")))
    assert event.user_id == "jdupont"
    assert (event.objects[0].id, event.objects[0].role) == ("_a1", "13")
    assert event.outcome is AuditOutcome.SERIOUS_FAILURE


def test_denied_resources_add_an_alert() -> None:
    own, alert = events_for(rich_facts("ITI-18", denied=(("2.999.5.1", DENIED), ("2.999.5.2", DENIED))))
    assert own.event.code == "110112"
    assert (alert.event.code, alert.types[0].code, alert.outcome) == ("110113", "110144", 4)
    assert (alert.patient, alert.user_id) == (PATIENT, "jdupont")
    assert ids(alert) == ["2.999.5.1", "2.999.5.2"]
    assert ids(alert, "13") == ["2.999.30.1", "_a1"]
    assert ids(alert, "24") == ["urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"]
    consent = next(thing for thing in alert.objects if thing.id == "2.999.30.1")
    assert details(consent) == [("policy", "urn:policy:1"), ("rule", "r1")]
    assert with_role(alert, "110150").alternative_user_id == "4711"
    assert alert.purposes == SUBJECT.purposes
    assert any(who.user_id == NODE.name for who in alert.participants)


def test_denials_without_a_consent_document_name_the_policy() -> None:
    denied = (("2.999.5.1", replace(DENIED, document="")),)
    alert = events_for(facts("ITI-43", denied=denied))[-1]
    assert "urn:policy:1" in ids(alert, "13")


def test_denials_are_one_patient_to_a_message() -> None:
    documents = (
        DocumentFacts(unique_id="2.999.5.1", patient=PATIENT, outcome=4),
        DocumentFacts(unique_id="2.999.5.2", patient=OTHER_PATIENT, outcome=4),
    )
    denied = tuple((document.unique_id, DENIED) for document in documents)
    events = events_for(facts("ITI-43", patients=(), documents=documents, denied=denied))
    assert [(event.event.code, event.patient, ids(event)) for event in events] == [
        ("110106", PATIENT, ["2.999.5.1"]),
        ("110106", OTHER_PATIENT, ["2.999.5.2"]),
        ("110113", PATIENT, ["2.999.5.1"]),
        ("110113", OTHER_PATIENT, ["2.999.5.2"]),
    ]
    assert {event.outcome for event in events} == {AuditOutcome.MINOR_FAILURE}


def test_an_emergency_adds_an_alert_with_its_purpose() -> None:
    alert = events_for(facts("ITI-18", emergency=True))[-1]
    assert (alert.types[0].code, alert.outcome, alert.patient) == ("110127", 0, PATIENT)
    assert alert.purposes == SUBJECT.purposes
    asked = replace(SUBJECT, emergency_reason="found\nunconscious")
    alert = events_for(facts("ITI-18", emergency=True, subject=asked))[-1]
    assert "ITI-18: found unconscious" in alert.outcome_description


def test_every_event_keeps_the_rules_of_all() -> None:
    for number in table.TRANSACTIONS:
        for side in BOTH:
            for event in events_for(rich_facts(number, side, denied=(("2.999.5.1", DENIED),), emergency=True)):
                assert event.time == NOW
                assert sum(thing.is_patient for thing in event.objects) == 1
                assert sum(not who.requestor for who in event.participants) == 1
                if event.types[0].scheme == "IHE Transactions":
                    assert with_role(event, "110153") != with_role(event, "110152")
