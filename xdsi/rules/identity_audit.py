"""What the audit record of an identity feed says: the patient, and for a merge both identifiers.

ITI TF-2: 3.8.5, 3.44.5.
"""

from __future__ import annotations

from dataclasses import replace

from xdsi.domain.audit import AuditAction, ExchangeFacts, MergeFacts
from xdsi.domain.identity import FeedAnswer, FeedEvent, PatientIdentityFeed


def describe(feed: PatientIdentityFeed, answer: FeedAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """Complete the facts of an exchange; `answer` None means that none came."""
    merge = None
    if feed.kind is FeedEvent.MERGE and feed.subsumed is not None and feed.survivor is not None:
        merge = MergeFacts(subsumed=feed.subsumed.cx, surviving=feed.survivor.cx)
    return replace(
        base,
        patients=() if merge else tuple(patient.cx for patient in feed.patients[:1]),
        merge=merge,
        message_id=feed.message_id,
        action=AuditAction.CREATE if feed.kind is FeedEvent.ADD else AuditAction.UPDATE,
        outcome=0 if answer is not None and answer.accepted else 8,
    )
