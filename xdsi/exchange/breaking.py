"""Answers that break off: what is on record as given out was not, and that is put on record, too (ITI-20)."""

from __future__ import annotations

import logging
from dataclasses import replace

from xdsi.domain.audit import AuditOutcome
from xdsi.domain.errors import Unavailable
from xdsi.exchange.row import Actor, Trace
from xdsi.rules import audit as audit_rules

log = logging.getLogger("xdsi.exchange")


def broke_off(actor: Actor, trace: Trace, error: BaseException) -> None:
    """Record the exchange once more, as a failure; its operator is told why."""
    log.error("trace %s: the answer broke off: %s", trace.id, error)
    facts = trace.recorded
    if facts is None:
        return
    # What was decided is on record already.
    failed = replace(
        facts,
        documents=tuple(replace(one, outcome=AuditOutcome.SERIOUS_FAILURE) for one in facts.documents),
        studies=tuple(replace(one, outcome=AuditOutcome.SERIOUS_FAILURE) for one in facts.studies),
        outcome=AuditOutcome.SERIOUS_FAILURE,
        partial=False,
        outcome_description="the answer broke off, not all of it was sent",
        denied=(),
        emergency=False,
    )
    try:
        actor.trail.append(audit_rules.events_for(failed), trace=trace.id)
    except Unavailable as unavailable:
        log.error("trace %s: a failure could not be audited: %s", trace.id, unavailable)
