"""Who is told when consent was overridden in an emergency: the patient and the data protection officer.

docs/policy.md section 8. The notice is made from the audit record, so that nothing can be recorded and not told.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsi.domain.audit import AuditEvent
from xdsi.domain.notification import Notice, Recipient
from xdsi.rules import audit_parts as parts
from xdsi.spec import audit_events as table

EMERGENCY_ACCESS = "emergency-access"


def of_event(event: AuditEvent, trace: str) -> Sequence[Notice]:
    """The notices that an audit record makes necessary: none for most."""
    if parts.code(table.BREAK_GLASS.type) not in event.types:
        return ()
    asker, *others = event.participants
    content = {
        "event": EMERGENCY_ACCESS,
        "time": event.time.isoformat(),
        "patient": event.patient,
        "user": asker.user_id,
        "name": asker.user_name,
        "roles": [str(role) for role in asker.roles],
        "purposes": [str(purpose) for purpose in event.purposes],
        "node": others[0].user_id if others else "",
        "told": event.outcome_description,
        "trace": trace,
    }
    recipients = [*([Recipient.PATIENT] if event.patient else ()), Recipient.OFFICER]
    return tuple(Notice(recipient=one, patient=event.patient, content=content) for one in recipients)
