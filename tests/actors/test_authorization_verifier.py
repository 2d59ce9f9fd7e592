"""The hub asked for decisions: it fails closed, and an answer is used again only for what it was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.audit_samples import SITE
from tests.certificates import identity
from tests.transactions.ports import CALLER, NOW, clock
from tests.wire.ebxml.bodies import received
from xdsi.actors import authorization_verifier as verifier
from xdsi.actors.authorization_verifier import HubDecisions, PermitAll
from xdsi.domain.consent import Action, Decision, DecisionAnswer, DecisionRequest, Resource
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.identifiers import PatientId
from xdsi.domain.subject import Caller, Peer
from xdsi.exchange import Client, Reply, Transaction
from xdsi.transactions import iti79_authorization_decisions_query as iti79
from xdsi.wire import authorization
from xdsi.wire.authorization_answer import encode_answer
from xdsi.wire.message import Packaging, Payload
from xdsi.wire.xmldsig import TrustedKey

HUB, OTHER = identity("hub", "2048"), identity("other-hub", "2048")
ONE = Resource(unique_id="2.1", repository_unique_id="2.999.1.2")
TWO = Resource(unique_id="2.2", repository_unique_id="2.999.1.2")
DOCTOR = replace(CALLER, assertion=b"<doctor/>")


class Trail:
    def append(self, events: Sequence[Any], *, trace: str, connection: Any = None) -> Sequence[int]:
        return ()


@dataclass
class Hub:
    """Answers as it is told to, signed."""

    denied: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    error: Exception | None = None
    signer: Any = HUB
    query_id: str = ""
    asked: list[DecisionRequest] = field(default_factory=list)
    closed: int = 0
    url: str = "https://hub.example/services/authorization"

    def send(
        self, transaction: Transaction[Any, Any], payload: Payload, packaging: Packaging, security: bytes = b""
    ) -> Reply:
        if self.error is not None:
            raise self.error
        request = authorization.decode_query(received(payload).body)
        self.asked.append(request)
        resources = tuple(one for one in request.resources if one.unique_id not in self.silent)
        answer = DecisionAnswer({
            one.unique_id: Decision(permit=one.unique_id not in self.denied, policy="p", rule="r") for one in resources
        })  # fmt: skip
        request = replace(request, resources=resources, query_id=self.query_id or request.query_id)
        signed = encode_answer(
            answer, request, issuer="hub", key_pem=self.signer.key_pem, cert_pem=self.signer.cert_pem, now=NOW
        )
        return Reply(received(Payload((signed,))), self, "ab" * 16)  # type: ignore[arg-type]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as the cache sees it: change the one value."""
    now = [1000.0]
    monkeypatch.setattr(verifier.time, "monotonic", lambda: now[0])

    class Now:
        @staticmethod
        def now(zone: Any) -> Any:
            return NOW

    monkeypatch.setattr(verifier, "datetime", Now)
    return now


def asking(
    hub: Hub, *, cache: float = 5.0, offline: float = 0.0, trust: Sequence[TrustedKey] = (TrustedKey.of(HUB.cert_pem),)
) -> HubDecisions:
    client = Client(site=SITE, trail=Trail(), clock=clock)
    return HubDecisions(client, hub, lambda: trust, require_signed=True, cache_seconds=cache, offline_seconds=offline)


def decided(decisions: HubDecisions, *resources: Resource, caller: Caller = DOCTOR) -> list[bool]:
    found = decisions.decide(caller, Action.RETRIEVE_IMAGING, resources, NOW, None)
    return [one.permit for one in found]


def test_each_resource_gets_the_hubs_decision(moment: list[float]) -> None:
    hub = Hub(denied=frozenset({"2.2"}))
    assert decided(asking(hub), ONE, TWO, ONE) == [True, False, True]
    assert hub.closed == 1
    assert hub.asked[0].action is Action.RETRIEVE_IMAGING


def test_a_decision_tells_where_its_reasons_are(moment: list[float]) -> None:
    hub = Hub(denied=frozenset({"2.1"}))
    (decision,) = asking(hub).decide(DOCTOR, Action.RETRIEVE_IMAGING, [ONE], NOW, None)
    assert decision.rule == f"Deny by ITI-79 [trace {'ab' * 16}]"


def test_nobody_is_asked_about_nothing_or_for_nobody(moment: list[float]) -> None:
    hub = Hub()
    assert decided(asking(hub)) == []
    assert decided(asking(hub), ONE, caller=Caller(peer=Peer(address=""))) == [False]
    assert hub.asked == []


def test_what_the_answer_leaves_out_is_denied(moment: list[float]) -> None:
    assert decided(asking(Hub(silent=frozenset({"2.1"}))), ONE, TWO) == [False, True]


@pytest.mark.parametrize("error", [Unavailable("away"), SoapFault("Receiver", "no"), MalformedMessage("what?")])
def test_without_an_answer_nothing_is_permitted(moment: list[float], error: Exception) -> None:
    assert decided(asking(Hub(error=error)), ONE) == [False]


def test_an_answer_of_somebody_else_is_not_believed(moment: list[float]) -> None:
    (decision,) = asking(Hub(signer=OTHER)).decide(DOCTOR, Action.RETRIEVE_IMAGING, [ONE], NOW, None)
    assert not decision.permit
    assert decision.rule.startswith("hub-unavailable: it answers, but its answer cannot be used: ")
    assert "no trusted key verifies the signature" in decision.rule


def test_a_hub_with_a_new_certificate_is_believed_once_that_is_trusted(moment: list[float]) -> None:
    trust = [TrustedKey.of(HUB.cert_pem)]
    decisions = asking(Hub(signer=OTHER), trust=trust)
    assert decided(decisions, ONE) == [False]
    trust.append(TrustedKey.of(OTHER.cert_pem))
    assert decided(decisions, ONE) == [True]


def test_of_an_endless_reason_a_beginning_is_told(moment: list[float]) -> None:
    (decision,) = asking(Hub(error=SoapFault("Receiver", "no" * 5000))).decide(
        DOCTOR, Action.RETRIEVE_IMAGING, [ONE], NOW, None
    )
    assert len(decision.rule) < 500


def test_an_answer_to_another_question_is_not_believed(moment: list[float]) -> None:
    hub = Hub(query_id="_another")
    assert decided(asking(hub), ONE) == [False]
    assert len({request.query_id for request in hub.asked}) == 1


def test_every_question_has_an_id_of_its_own(moment: list[float]) -> None:
    hub = Hub()
    decisions = asking(hub, cache=0.0)
    decided(decisions, ONE)
    decided(decisions, ONE)
    assert len({request.query_id for request in hub.asked}) == 2


# -- an answer is used again for seconds


def test_within_its_time_an_answer_is_used_again(moment: list[float]) -> None:
    hub = Hub(denied=frozenset({"2.2"}))
    decisions = asking(hub)
    assert decided(decisions, ONE, TWO) == [True, False]
    moment[0] += 4.9
    assert decided(decisions, TWO, ONE) == [False, True]
    assert len(hub.asked) == 1
    moment[0] += 0.2
    hub.denied = frozenset({"2.1"})
    assert decided(decisions, ONE, TWO) == [False, True]
    assert len(hub.asked) == 2


def test_only_what_is_not_known_is_asked_for(moment: list[float]) -> None:
    hub = Hub()
    decisions = asking(hub)
    decided(decisions, ONE)
    decided(decisions, ONE, TWO)
    assert [one.unique_id for one in hub.asked[1].resources] == ["2.2"]


def test_an_answer_is_not_used_for_another_question(moment: list[float]) -> None:
    hub = Hub()
    decisions = asking(hub)
    decided(decisions, ONE)
    for other in (
        replace(ONE, repository_unique_id="2.999.1.9"),
        replace(ONE, patient=PatientId("P1", "2.999.1.1")),
        replace(ONE, reference_ids=("1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID",)),
    ):
        decided(decisions, other)
    decided(decisions, ONE, caller=replace(DOCTOR, assertion=b"<other/>"))
    decisions.decide(DOCTOR, Action.RETRIEVE, [ONE], NOW, None)
    assert len(hub.asked) == 6


@pytest.mark.parametrize(("cache", "kept"), [(600.0, 60.0), (0.0, 0.0), (1.0, 1.0)])
def test_a_minute_is_the_longest(moment: list[float], cache: float, kept: float) -> None:
    hub = Hub()
    decisions = asking(hub, cache=cache)
    decided(decisions, ONE)
    moment[0] += max(kept - 0.1, 0.0)
    decided(decisions, ONE)
    assert len(hub.asked) == (1 if kept else 2)
    moment[0] += 0.2
    decided(decisions, ONE)
    assert len(hub.asked) == (2 if kept else 3)


def test_with_the_hub_away_an_answer_is_used_as_long_as_the_settings_say(moment: list[float]) -> None:
    hub = Hub(denied=frozenset({"2.2"}))
    decisions = asking(hub, offline=30.0)
    decided(decisions, ONE, TWO)
    hub.error = Unavailable("away")
    moment[0] += 34.0
    assert decided(decisions, ONE, TWO) == [True, False]
    moment[0] += 2.0
    assert decided(decisions, ONE, TWO) == [False, False]


def test_an_unbelievable_answer_is_no_reason_to_use_an_old_one(moment: list[float]) -> None:
    hub = Hub()
    decisions = asking(hub, offline=30.0)
    decided(decisions, ONE)
    moment[0] += 10.0
    hub.signer = OTHER
    assert decided(decisions, ONE) == [False]


def test_the_cache_does_not_grow_without_end(moment: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "_CACHED_AT_MOST", 10)
    decisions = asking(Hub())
    for number in range(50):
        decided(decisions, replace(ONE, unique_id=f"2.{number}"))
    assert len(decisions._kept) <= 11


def test_the_open_profile_permits_everything() -> None:
    decisions = PermitAll()
    assert decisions.reveals_everything
    assert [one.permit for one in decisions.decide(DOCTOR, Action.QUERY, [ONE, TWO], NOW, None)] == [True, True]
    assert not asking(Hub()).reveals_everything


def test_the_question_names_the_subject(moment: list[float]) -> None:
    hub = Hub()
    decided(asking(hub), ONE)
    assert iti79.TRANSACTION.number == "ITI-79"
    assert hub.asked[0].subject_attributes
