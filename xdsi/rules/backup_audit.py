"""Audit messages about backups: who took or restored one, and when (DICOM PS3.15 A.5.3.11)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from xdsi.domain.audit import ActiveParticipant, AuditEvent, AuditSite
from xdsi.rules import audit_parts as parts
from xdsi.rules.audit_alerts import system_event
from xdsi.spec import audit_events as table


def event(site: AuditSite, time: datetime, by: str, text: str) -> AuditEvent:
    """A backup was taken, or put back, by an operator."""
    operator = ActiveParticipant(user_id=by, requestor=True)
    own = parts.process(site, parts.code(table.APPLICATION))
    what = parts.security_object("backup", (table.ALERT_DESCRIPTION, text))
    event = system_event(table.BACKUP, site, time, participants=[operator, own], objects=[what])
    return replace(event, outcome_description=text)
