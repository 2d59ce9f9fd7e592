"""What the audit record of a submission says: its patient and its SubmissionSet.

ITI TF-2: 3.42.5, 3.61.5; Metadata Update 3.57.7.1.
"""

from __future__ import annotations

from dataclasses import replace

from xdsi.domain.audit import ExchangeFacts
from xdsi.domain.outcome import Outcome
from xdsi.domain.submission import Submission


def describe(request: Submission, answer: Outcome | None, base: ExchangeFacts) -> ExchangeFacts:
    """Complete the facts of an exchange; `answer` None means that none came."""
    if len(request.submission_sets) != 1:
        return replace(base, outcome=8)
    submission_set = request.submission_set
    return replace(
        base,
        patients=(submission_set.patient_id,) if submission_set.patient_id else (),
        submission_set=submission_set.unique_id,
        outcome=0 if answer is not None and answer.accepted else 8,
    )
