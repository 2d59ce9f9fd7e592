"""Authorization Decisions Verifier: a node that holds documents or images asks the hub before it gives them out.

ITI SeR: ITI-79. It fails closed: no answer in time, no disclosure.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lxml import etree

from xdsi.domain.consent import Action, Decision, DecisionAnswer, DecisionRequest, Resource
from xdsi.domain.errors import MalformedMessage, Refused, SoapFault, Unavailable
from xdsi.domain.ports import RegistrySession
from xdsi.domain.subject import Caller
from xdsi.exchange import Channel, Client, call
from xdsi.rules.policy_attributes import attributes_of
from xdsi.transactions import iti79_authorization_decisions_query as iti79
from xdsi.wire.authorization_answer import decode_answer
from xdsi.wire.xmldsig import TrustedKey

log = logging.getLogger("xdsi.iti79")

_NO_SUBJECT = Decision(permit=False, policy="access", rule="no-assertion")
_NO_ANSWER = Decision(permit=False, policy="access", rule="hub-unavailable")
_CACHED_AT_MOST = 10_000
_TOLD = 400
"""characters of what is wrong with an answer; the log has all of it"""


class PermitAll:
    """The open profile: no consent, no subject."""

    reveals_everything = True

    def decide(
        self,
        caller: Caller,
        action: Action,
        resources: Sequence[Resource],
        now: datetime,
        session: RegistrySession | None,
    ) -> Sequence[Decision]:
        """Permit everything."""
        return [Decision(permit=True, policy="open", rule="open-profile")] * len(resources)


@dataclass(frozen=True, slots=True)
class _Kept:
    decision: Decision
    at: float


class HubDecisions:
    """Asks the hub by ITI-79 and uses an answer again for a few seconds.

    `cache_seconds` bounds how long a revocation may go unnoticed here (at most 60); `offline_seconds` is added while
    the hub cannot be reached. `trust` says whose answers are believed when one comes.
    """

    reveals_everything = False

    def __init__(
        self,
        client: Client,
        channel: Channel,
        trust: Callable[[], Sequence[TrustedKey]],
        *,
        require_signed: bool,
        cache_seconds: float,
        offline_seconds: float,
    ) -> None:
        self._client = client
        self._channel = channel
        self._trust = trust
        self._require_signed = require_signed
        self._cache_seconds = min(cache_seconds, 60.0)
        self._offline_seconds = offline_seconds
        self._kept: dict[bytes, _Kept] = {}
        self._lock = threading.Lock()

    def decide(
        self,
        caller: Caller,
        action: Action,
        resources: Sequence[Resource],
        now: datetime,
        session: RegistrySession | None,
    ) -> Sequence[Decision]:
        """One decision per resource, in order."""
        if not resources:
            return []
        if caller.subject is None:
            return [_NO_SUBJECT] * len(resources)
        keys = [_key(caller, action, resource) for resource in resources]
        moment = time.monotonic()
        decisions = [self._known(key, moment, self._cache_seconds) for key in keys]
        missing = [index for index, decision in enumerate(decisions) if decision is None]
        if missing:
            asked = tuple(resources[index] for index in missing)
            for index, decision in zip(missing, self._ask(caller, action, asked, keys, missing), strict=True):
                decisions[index] = decision
        return [decision or _NO_ANSWER for decision in decisions]

    def _ask(
        self,
        caller: Caller,
        action: Action,
        resources: tuple[Resource, ...],
        keys: Sequence[bytes],
        missing: Sequence[int],
    ) -> list[Decision]:
        assert caller.subject is not None
        request = DecisionRequest(
            subject_attributes=attributes_of(caller.subject),
            action=action,
            resources=resources,
            patient=caller.subject.patient,
            # The answer must name the question: one given to somebody else is of no use.
            query_id=f"_{uuid.uuid4()}",
        )
        # Counted from here: what the hub decided may have been revoked while the answer was on its way.
        asked_at = time.monotonic()
        try:
            called = call(self._client, iti79.transaction(self._reader(request.query_id)), request, self._channel)
        except Unavailable as error:
            log.warning("%s", error)
            moment = time.monotonic()
            patience = self._cache_seconds + self._offline_seconds
            return [self._known(keys[index], moment, patience) or _NO_ANSWER for index in missing]
        except (MalformedMessage, Refused, SoapFault) as error:
            log.error("the hub's answer cannot be used: %s", error)
            unusable = f"{_NO_ANSWER.rule}: it answers, but its answer cannot be used: {str(error)[:_TOLD]}"
            return [replace(_NO_ANSWER, rule=unusable)] * len(resources)
        called.close()
        # The hub's reasons are the hub's: whoever asks for them here is told under which trace they are there.
        where = f" by ITI-79 [trace {called.reply.trace}]" if called.reply.trace else " by ITI-79"
        answers = {
            unique_id: replace(decision, rule=decision.rule + where)
            for unique_id, decision in called.answer.answer.decisions.items()
        }
        decisions = [answers.get(resource.unique_id, _NO_ANSWER) for resource in resources]
        with self._lock:
            if len(self._kept) > _CACHED_AT_MOST:
                self._kept.clear()
            for index, decision in zip(missing, decisions, strict=True):
                self._kept[keys[index]] = _Kept(decision, asked_at)
        return decisions

    def _reader(self, query_id: str) -> iti79.ReadAnswer:
        def read(element: etree._Element) -> DecisionAnswer:
            return decode_answer(
                element,
                self._trust(),
                require_signed=self._require_signed,
                query_id=query_id,
                now=self._client.clock(),
            )

        return read

    def _known(self, key: bytes, moment: float, patience: float) -> Decision | None:
        kept = self._kept.get(key)
        return kept.decision if kept is not None and moment - kept.at < patience else None


def _key(caller: Caller, action: Action, resource: Resource) -> bytes:
    # The whole assertion: no attribute that the decision may have used is left out.
    digest = hashlib.sha256(caller.assertion)
    patient = resource.patient.cx if resource.patient else ""
    for part in (action, resource.repository_unique_id, resource.unique_id, patient, *resource.reference_ids):
        digest.update(b"\0" + part.encode())
    return digest.digest()
