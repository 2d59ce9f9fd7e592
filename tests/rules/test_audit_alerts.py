from tests.audit_samples import NOW, SITE, SUBJECT
from xdsi.domain.subject import Peer
from xdsi.rules import audit_alerts as alerts

STRANGER = Peer(address="192.0.2.66", certificate_sha256="ab" * 32, certificate_subject="commonName=stranger")


def test_start_and_stop_name_the_application_and_who_launched_it() -> None:
    event = alerts.started(SITE, NOW, launcher="root")
    assert (event.event.code, event.action, event.types[0].code) == ("110100", "E", "110120")
    assert [(who.user_id, who.roles[0].code, who.requestor) for who in event.participants] == [
        ("https://hub.example.org:8443", "110150", False),
        ("root", "110151", True),
    ]
    assert alerts.stopped(SITE, NOW).types[0].code == "110121"
    assert len(alerts.stopped(SITE, NOW).participants) == 1


def test_a_refused_node_is_named_by_its_certificate() -> None:
    event = alerts.node_refused(SITE, NOW, STRANGER, "unknown authority", endpoint="https://hub/services/registry")
    assert (event.event.code, event.types[0].code, event.outcome) == ("110113", "110126", 8)
    assert event.participants[0].user_id == "commonName=stranger"
    assert event.participants[1].user_id == "https://hub/services/registry"
    (node,) = event.objects
    assert (node.id, node.id_type.code) == ("ab" * 32, "110182")
    assert [(detail.type, detail.value) for detail in node.details] == [("Alert Description", b"unknown authority")]


def test_a_node_without_certificate_is_named_by_its_address() -> None:
    event = alerts.node_refused(SITE, NOW, Peer(address="192.0.2.66"), "no certificate")
    assert event.participants[0].user_id == event.objects[0].id == "192.0.2.66"


def test_recording_stops_and_starts() -> None:
    stopped = alerts.recording_stopped(SITE, NOW, "disk full")
    assert (stopped.types[0].code, stopped.outcome, stopped.outcome_description) == ("110133", 8, "disk full")
    assert (alerts.recording_started(SITE, NOW).types[0].code, alerts.recording_started(SITE, NOW).outcome) == (
        "110134",
        0,
    )


def test_a_document_that_is_not_what_was_stored_is_a_serious_failure() -> None:
    event = alerts.document_lost(SITE, NOW, "2.999.7.1", "its hash is another")
    assert (event.event.code, event.outcome) == ("110113", 8)
    assert event.outcome_description == "document 2.999.7.1: its hash is another"
    assert event.objects[0].id == "2.999.7.1"


def test_a_change_of_configuration_names_who_and_what() -> None:
    by_person = alerts.configuration_changed(SITE, NOW, "policy", "default deny", subject=SUBJECT)
    assert by_person.user_id == "jdupont"
    assert by_person.objects[0].id == "policy"
    by_itself = alerts.configuration_changed(SITE, NOW, "tls", "new certificate")
    assert (by_itself.user_id, by_itself.outcome) == (SITE.base_url, 0)
    assert alerts.configuration_changed(SITE, NOW, "tls", "no certificate", failed=True).outcome == 8
