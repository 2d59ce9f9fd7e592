"""rules/remembered_questions: what is remembered of a question never changes its answer."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.policies import confidentiality, deny, match, permit, policy, policy_set, role
from xdsi.domain.codes import Code
from xdsi.domain.consent import (
    Action,
    Apply,
    Consent,
    Decision,
    Designator,
    DomainPolicy,
    Literal,
    Policy,
    Reference,
    Resource,
    Section,
    SignatureStatus,
)
from xdsi.domain.identifiers import PatientId
from xdsi.domain.subject import Subject
from xdsi.rules import consent as rules
from xdsi.rules import remembered_questions
from xdsi.rules.policy_needs import needs_of
from xdsi.spec import xacml
from xdsi.storage import consents
from xdsi.storage.serial import to_json

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
A, B = PatientId("A", "2.999.1.1"), PatientId("B", "2.999.1.1")
DOCTOR = Subject(user_id="dr", issuer="i", assertion_id="_1", roles=(Code("HCP", "2.999.40"),), patient=A)
NURSE = replace(DOCTOR, user_id="n", roles=(Code("NURSE", "2.999.40"),), patient=None)
DOMAIN = DomainPolicy()
ANY = policy(permit(who=role("HCP")), name="any")
PLAIN = policy(permit(who=role("HCP")), deny(what=confidentiality("V")), name="plain")
DOCUMENTS = [
    Resource(unique_id=f"1.{number}", patient=patient, confidentiality_codes=(Code(code, "2.16.840.1.113883.5.25"),))
    for number, (patient, code) in enumerate([(A, "N"), (A, "V"), (B, "N"), (B, "V")])
]


def consent(one: Policy, patient: PatientId = A, **changes: Any) -> Consent:
    given: dict[str, Any] = {"entry_uuid": "urn:uuid:1", "status": SignatureStatus.VALID, "signed_at": NOW}
    return Consent(unique_id=f"2.999.{one.id}", patient=patient, policy=one, **given | changes)


@pytest.fixture
def worked_out(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The questions that were worked out, in a memory of their own."""
    asked: list[datetime] = []

    def ask(*arguments: Any) -> Any:
        asked.append(arguments[-1])
        return rules._question(*arguments)

    monkeypatch.setattr(rules, "_remembered_question", remembered_questions.RememberedQuestions(ask))
    return asked


def decided(
    consents: list[Consent],
    *,
    now: datetime = NOW,
    who: Any = DOCTOR,
    domain: DomainPolicy = DOMAIN,
    action: Action = Action.QUERY,
) -> list[Decision]:
    return rules.decide(who, action, DOCUMENTS[:2], consents, domain, now)


def test_the_same_question_is_worked_out_once(worked_out: list[datetime]) -> None:
    given = [consent(PLAIN)]
    answers = [decided(given, now=NOW + timedelta(minutes=minute)) for minute in range(5)]
    assert [[one.permit for one in answer] for answer in answers] == [[True, False]] * 5
    assert len(worked_out) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"who": NURSE},
        {"who": replace(DOCTOR, assertion_id="_2")},
        {"action": Action.RETRIEVE},
        {"domain": DomainPolicy(id="other")},
        {"consents": []},
        {"consents": [consent(PLAIN), consent(ANY)]},
    ],
    ids=["person", "assertion", "action", "domain", "revoked", "another consent"],
)
def test_another_question_is_another(worked_out: list[datetime], change: dict[str, Any]) -> None:
    """An equal object that is not the same one is another one, too."""
    first: dict[str, Any] = {"consents": [consent(PLAIN)]}
    decided(**first)
    decided(**first | change)
    assert len(worked_out) == 2


def test_a_consent_that_begins_or_ends_is_seen_at_that_very_moment(worked_out: list[datetime]) -> None:
    hour = timedelta(hours=1)
    given = [
        consent(PLAIN, valid_from=NOW, valid_until=NOW + 3 * hour),
        consent(policy(deny(), name="not now"), valid_from=NOW + hour, valid_until=NOW + 2 * hour),
    ]
    tick = timedelta(microseconds=1)
    edges = [NOW + number * hour for number in range(4)]
    times = [edge + change for edge in edges for change in (-tick, 0 * tick, tick)]
    order = [*times, *reversed(times), *random.Random(7).sample(times, len(times))]
    expected = [edges[0] <= now < edges[3] and not edges[1] <= now < edges[2] for now in order]
    assert [decided(given, now=now)[0].permit for now in order] == expected
    assert len(worked_out) < len(order)


_TODAY = Designator(section=Section.ENVIRONMENT, attribute=xacml.CURRENT_DATE, data_type=xacml.DATE)
_CONDITION = Apply(
    function=xacml.AND,
    arguments=(
        Apply(
            function=next(name for name, data_type in xacml.IS_IN.items() if data_type == xacml.DATE),
            arguments=(Literal(value="2024-05-01", data_type=xacml.DATE), _TODAY),
        ),
    ),
)
_WHEN = match(xacml.CURRENT_DATE, "2024-05-01")
IN_MAY = {
    "target": policy(permit(), name="may", when=_WHEN),
    "target of a rule": policy(permit(when=_WHEN), name="may"),
    "condition": policy(permit(condition=_CONDITION), name="may"),
    "inside": policy_set(policy(permit(condition=_CONDITION)), name="may"),
}


@pytest.mark.parametrize("form", IN_MAY)
def test_a_policy_that_looks_at_the_time_is_asked_each_time(worked_out: list[datetime], form: str) -> None:
    given = [consent(IN_MAY[form])]
    times = [NOW, NOW + timedelta(days=1), NOW]
    assert [decided(given, now=now)[0].permit for now in times] == [True, False, True]
    assert len(worked_out) == 3


@pytest.mark.parametrize("place", ["floor", "organizations", "referable"])
def test_a_policy_of_the_domain_that_looks_at_the_time_is_asked_each_time(
    worked_out: list[datetime], place: str
) -> None:
    """Wherever it stands, and whether or not it is referred to by way of others."""
    timed = policy(deny(when=_WHEN), permit(), name="timed")
    domain = DomainPolicy(**{place: {"timed": timed} if place == "referable" else (timed,)})
    given = [consent(policy_set(Reference("timed"), name="refers") if place == "referable" else ANY)]
    times = [NOW, NOW + timedelta(days=1), NOW]
    assert [decided(given, now=now, domain=domain)[0].permit for now in times] == [False, True, False]


def test_attributes_of_another_system_are_not_remembered(worked_out: list[datetime]) -> None:
    """They may be changed by who gave them."""
    given, who = [consent(PLAIN)], dict(rules.attributes_of(DOCTOR))
    assert decided(given, who=who)[0].permit
    who[xacml.ROLE] = (Code("NURSE", "2.999.40"),)
    assert not decided(given, who=who)[0].permit
    assert len(worked_out) == 2


def test_each_patient_is_a_question_of_its_own(worked_out: list[datetime]) -> None:
    given = [consent(PLAIN), consent(policy(deny(), name="no"), B)]
    who = replace(DOCTOR, patient=None)
    for _ in range(2):
        answers = rules.decide(who, Action.QUERY, DOCUMENTS, given, DOMAIN, NOW)
        assert [one.permit for one in answers] == [True, False, False, False]
    # The same person by both identifiers: the denial of one is that of the other.
    answers = rules.decide(who, Action.QUERY, DOCUMENTS, given, DOMAIN, NOW, linked=lambda patient: (A, B))
    assert not any(one.permit for one in answers)


def test_one_long_code_makes_a_policy_large(worked_out: list[datetime]) -> None:
    """Given a code of many characters, which is one value, then nothing is kept for it either."""
    given = [consent(policy(permit(who=role("HCP")), deny(what=confidentiality("V" * 100_000)), name="long"))]
    for _ in range(2):
        assert decided(given)[0].permit
    assert len(worked_out) == 2


def test_large_policies_are_kept_nowhere(worked_out: list[datetime]) -> None:
    rules_of_many = [permit(f"rule {number}", who=role(f"ROLE-{number}")) for number in range(400)]
    given = [consent(policy(*rules_of_many, permit(who=role("HCP")), name="large"))]
    for _ in range(3):
        assert decided(given)[0].permit
    assert len(worked_out) == 3


@pytest.mark.parametrize("count", range(10, 130, 8))
def test_what_is_remembered_of_policies_is_of_those_that_are_kept(count: int) -> None:
    """Given a policy that storage makes anew for each snapshot, then nothing that follows from it is remembered."""
    one = policy(*[permit(f"{number}", who=role(f"R{number}")) for number in range(count)], name="l")
    assert needs_of(one).large or len(to_json(one)) <= consents._KEPT_LENGTH


def test_a_consent_that_is_gone_is_not_taken_for_a_new_one() -> None:
    """Objects are known by where they lie, and where one was another may come to lie."""
    no = policy(deny(), name="no")
    for number in range(200):
        one = PLAIN if number % 2 else no
        assert decided([consent(one)])[0].permit is (one is PLAIN), number


def test_many_patients_are_asked_about_each_with_his_own_consents(worked_out: list[datetime]) -> None:
    """Given a question about many patients, then nobody else's is forgotten for it, and none is kept."""
    patients = [PatientId(str(number), "2.999.1.1") for number in range(40)]
    given = [consent(policy(deny(), name="no") if n % 2 else PLAIN, one) for n, one in enumerate(patients)]
    documents = [Resource(unique_id=f"1.{n}", patient=one) for n, one in enumerate(patients)]
    who = replace(DOCTOR, patient=None)
    for _ in range(2):
        answers = rules.decide(who, Action.QUERY, documents, given, DOMAIN, NOW)
        assert [one.permit for one in answers] == [n % 2 == 0 for n in range(40)]
    memory: Any = rules._remembered_question
    assert memory._kept == {}


def test_it_is_bounded(worked_out: list[datetime], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_questions, "MOST", 3)
    given = [consent(PLAIN)]
    askers = [replace(DOCTOR, assertion_id=f"_{number}") for number in range(5)]
    for _ in range(2):
        assert all(decided(given, who=who)[0].permit for who in askers)
    memory: Any = rules._remembered_question
    assert len(memory._kept) <= 3
