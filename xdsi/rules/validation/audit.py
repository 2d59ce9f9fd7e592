"""What an audit message of an IHE transaction has to say beside its form.

ITI TF-2 3.20.7 and the security considerations of each transaction, as `spec.audit_events` has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from xdsi.domain.audit import AuditEvent
from xdsi.spec.audit_events import DESTINATION, IHE_TRANSACTIONS, SOURCE, TRANSACTIONS

GENERAL: Final = "ITI TF-2 3.20.7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing that is not as the transaction has it; `element` is where, by its local name."""

    rule: str
    element: str
    text: str
    expected: str
    clause: str


def check(event: AuditEvent) -> Iterator[Flaw]:
    """Everything that is not as the transaction of the event has it; nothing of events that are no transaction."""
    number = next((one.code for one in event.types if one.scheme == IHE_TRANSACTIONS), "")
    row = TRANSACTIONS.get(number)
    if row is None:
        return
    clause = f"security audit considerations of {number}; {GENERAL}"
    events = {(one.event.code, one.action) for one in (row.client, row.server)}
    if event.event.code not in {code for code, _ in events}:
        wanted = " or ".join(dict.fromkeys(f"{one.event.code} {one.event.text}" for one in (row.client, row.server)))
        yield Flaw(
            rule="AUDIT.EventID",
            element="EventID",
            expected=wanted,
            clause=clause,
            text=f"the event of {number} is {event.event.code}",
        )
    else:
        actions = {action for code, action in events if code == event.event.code and action}
        if actions and event.action is not None and event.action.value not in actions:
            yield Flaw(
                rule="AUDIT.EventActionCode",
                element="EventIdentification",
                expected=" or ".join(sorted(actions)),
                text=f"EventActionCode of {number} is {event.action.value}",
                clause=clause,
            )
    roles = [role.code for one in event.participants for role in one.roles]
    for term in (SOURCE, DESTINATION):
        if term.code not in roles:
            yield Flaw(
                rule=f"AUDIT.participant.{term.code}",
                element="AuditMessage",
                clause=clause,
                text=f"no participant with the role {term.code}",
                expected=f"{term.code}, DCM, {term.text}",
            )
    if not any(one.requestor for one in event.participants):
        yield Flaw(
            rule="AUDIT.requestor",
            element="ActiveParticipant",
            text="no participant is the requestor",
            expected="UserIsRequestor true for who asked",
            clause=clause,
        )
