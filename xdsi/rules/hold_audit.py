"""Audit messages about legal holds: who placed or ended one, on what, and why (DICOM PS3.15 A.5.3.11)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from xdsi.domain.audit import ActiveParticipant, AuditEvent, AuditSite, ObjectDetail, ParticipantObject
from xdsi.domain.holds import HeldKind, Hold
from xdsi.rules import audit_parts as parts
from xdsi.rules.audit_alerts import system_event
from xdsi.spec import audit_events as table


def placed(site: AuditSite, time: datetime, hold: Hold) -> AuditEvent:
    """A hold was placed."""
    until = f" until {hold.until.isoformat()}" if hold.until is not None else ""
    return _changed(site, time, hold, hold.placed_by, f"placed{until}: {hold.reason}")


def ended(site: AuditSite, time: datetime, hold: Hold, by: str, reason: str) -> AuditEvent:
    """A hold was ended by somebody."""
    return _changed(site, time, hold, by, f"ended: {reason}")


def _changed(site: AuditSite, time: datetime, hold: Hold, by: str, what: str) -> AuditEvent:
    text = f"legal hold {hold.number} on {hold.kind} {hold.target} {what}"
    detail = ObjectDetail.of(table.ALERT_DESCRIPTION, text)
    if hold.kind is HeldKind.PATIENT:
        held = parts.patient_object(hold.target, detail)
    else:
        held = ParticipantObject(
            id=hold.target, id_type=parts.code(table.REPORT_NUMBER), type_code="2", role="3", details=(detail,)
        )
    operator = ActiveParticipant(user_id=by, requestor=True)
    own = parts.process(site, parts.code(table.APPLICATION))
    event = system_event(table.HOLD_CHANGED, site, time, participants=[operator, own], objects=[held])
    return replace(event, outcome_description=text)
