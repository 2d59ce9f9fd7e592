"""A test of a domain's policy: a question, the consents that are in force, and what the answer has to be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from xdsi.domain.consent import Action, Resource
from xdsi.domain.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCase:
    """One `[[case]]` of a file `NAME.test.toml`."""

    name: str
    subject: Subject
    action: Action
    resource: Resource
    permit: bool
    rule: str = ""
    """the rule that has to decide; empty where any may"""
    acknowledges: tuple[str, ...] = ()
    """ids of library policies that the patient accepted, as in a BPPC consent"""
    consents: tuple[str, ...] = ()
    """files of consent documents (APPC or BPPC) beside the test, taken as validly signed"""
    at: datetime | None = None
    line: int = 0
    """where it begins in its file; 0 where that is not known"""
