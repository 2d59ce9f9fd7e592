from datetime import datetime

import pytest

from tests.audit_samples import NOW, PATIENT
from xdsi.domain.audit import (
    ActiveParticipant,
    AuditAction,
    AuditEvent,
    AuditSite,
    AuditSource,
    ObjectDetail,
    ParticipantObject,
)
from xdsi.domain.codes import Code

QUERY = Code("110112", "DCM", "Query")
PROCESS = ActiveParticipant(user_id="https://a", requestor=True, roles=(Code("110153", "DCM", "Source Role ID"),))
PERSON = ActiveParticipant(user_id="jdupont", requestor=True, roles=(Code("1", "2.999", "doctor"),))


def event(**changes: object) -> AuditEvent:
    attributes: dict[str, object] = {
        "event": QUERY,
        "action": AuditAction.EXECUTE,
        "time": NOW,
        "participants": (PROCESS,),
        "source": AuditSource(source_id="hub"),
    }
    return AuditEvent(**attributes | changes)  # type: ignore[arg-type]


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        event(time=datetime(2026, 1, 1))


def test_an_event_without_participants_is_refused() -> None:
    with pytest.raises(ValueError, match="participant"):
        event(participants=())


def test_an_object_has_a_name_or_a_query() -> None:
    with pytest.raises(ValueError, match="not both"):
        ParticipantObject(id="1", id_type=QUERY, name="n", query=b"")


def test_the_user_is_the_person_where_one_took_part() -> None:
    assert event(participants=(PROCESS, PERSON)).user_id == "jdupont"
    assert event().user_id == "https://a"
    assert event(participants=(ActiveParticipant(user_id="x", requestor=False),)).user_id == ""


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ((Code("ITI-18", "IHE Transactions"),), "ITI-18"),
        ((Code("x", "local"), Code("ITI-43", "IHE Transactions")), "ITI-43"),
        ((Code("110144", "DCM"),), "110144"),
        ((), "110112"),
    ],
)
def test_the_transaction_is_the_event_type_of_ihe(types: tuple[Code, ...], expected: str) -> None:
    assert event(types=types).transaction == expected


def test_the_patient_is_the_object_in_that_role() -> None:
    patient = ParticipantObject(id=PATIENT, id_type=Code("2", "RFC-3881"), type_code="1", role="1")
    study = ParticipantObject(id="2.999.6", id_type=Code("110180", "DCM"), type_code="2", role="3")
    assert event(objects=(study, patient)).patient == PATIENT
    assert event(objects=(study,)).patient == ""


def test_details_take_any_text() -> None:
    assert ObjectDetail.of("t", "\ud800é").value == "?é".encode()


def test_endpoints_are_below_the_base() -> None:
    site = AuditSite(source_id="s", host="h", process_id="1", base_url="https://h:8443/")
    assert site.endpoint("/services/registry") == "https://h:8443/services/registry"
