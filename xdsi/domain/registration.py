"""What an accepted request changes in a registry, all of it or nothing, and how that is carried out.

ITI TF-2 3.42.4.1.3.3.5 (registration), Metadata Update 3.57.4.1.3 (update). Rules say what is to change; carrying it
out shows whether somebody else was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from xdsi.domain.codes import CodeSets
from xdsi.domain.consent import Consent
from xdsi.domain.errors import Rejected
from xdsi.domain.identifiers import is_entry_uuid, new_entry_uuid
from xdsi.domain.metadata import DocumentEntry, RegistryObject
from xdsi.domain.outcome import Problem
from xdsi.domain.ports import Clock, ConsentIntake, RegistrySession
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPorts:
    """What the transactions that register or update metadata work with."""

    clock: Clock
    consents: ConsentIntake | None
    accept_unknown_patients: bool
    codes: CodeSets | None = None
    strictness: str = "reject"
    home_community_id: str = ""
    new_uuid: Callable[[], str] = new_entry_uuid

    def now(self) -> str:
        """The time as DTM text to the second, UTC."""
        return self.clock().strftime("%Y%m%d%H%M%S")


def hold_related(submission: Submission, session: RegistrySession) -> None:
    """Let nobody change the documents that new ones relate to, from before they are judged until the commit.

    Who appends to a document while another replaces it would append to what is deprecated.
    """
    targets = [one.target for one in submission.associations if one.type in uuids.RELATIONSHIPS]
    registered = [id_ for id_ in dict.fromkeys(targets) if is_entry_uuid(id_)]
    if registered:
        session.lock(registered)


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A registered object gets another availabilityStatus, if it still has the original one."""

    entry_uuid: str
    original: str
    new: str
    too_late: Problem
    """what to answer where it has not"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The changes of one request; `submission` has its final ids, with the associations that follow from it."""

    submission: Submission
    now: str
    """DTM"""
    deprecate: tuple[str, ...] = ()
    """entries to deprecate"""
    replaced: Mapping[str, Problem] = field(default_factory=dict)
    """those of them that must still be Approved, and what to answer for one that is not"""
    superseded: Mapping[str, Problem] = field(default_factory=dict)
    """versions that the submission has the next of, and what to answer for one that is no longer the latest"""
    statuses: tuple[StatusChange, ...] = ()
    touched_folders: tuple[str, ...] = ()
    """registered Folders that receive a document"""
    reviewed: tuple[str, ...] = ()
    """entries that are looked at anew where they are consents, because their signatures change"""

    def carry_out(self, session: RegistrySession, consents: ConsentIntake | None) -> None:
        """Write everything; Rejected, with nothing written, where somebody was faster or a consent is refused."""
        verified: Sequence[Consent] = ()
        if consents is not None:
            refused, verified = consents.examine(self.submission, session)
            if refused:
                raise Rejected(tuple(refused))
        too_late = self._overtaken(session)
        if too_late:
            raise Rejected(too_late)
        session.save(self.submission)
        session.touch_folders(self.touched_folders, self.now)
        for consent in verified:
            session.save_consent(consent)
        review(self.reviewed, session, consents)

    def _overtaken(self, session: RegistrySession) -> tuple[Problem, ...]:
        deprecated = set(session.deprecate(self.deprecate))
        problems = [problem for id_, problem in self.replaced.items() if id_ not in deprecated]
        if self.superseded:
            done = set(session.supersede(tuple(self.superseded)))
            problems += [problem for id_, problem in self.superseded.items() if id_ not in done]
        for change in self.statuses:
            if not session.set_status((change.entry_uuid,), change.original, change.new):
                problems.append(change.too_late)
        return tuple(problems)


def review(entry_uuids: Sequence[str], session: RegistrySession, consents: ConsentIntake | None) -> None:
    """Verify consents anew whose signatures have changed; one that no signature stands for grants nothing any more."""
    if consents is None or not entry_uuids:
        return
    entries = tuple(one for one in session.objects(entry_uuids).values() if isinstance(one, DocumentEntry))
    signatures = [one for one in session.related_to(entry_uuids, (uuids.SIGNS,)) if _stands(one)]
    signers = session.objects([one.source for one in signatures])
    standing = tuple(one for one in signatures if one.source in signers and _stands(signers[one.source]))
    _, verified = consents.examine(Submission(document_entries=entries, associations=standing), session)
    for consent in verified:
        session.save_consent(consent)


def _stands(one: RegistryObject) -> bool:
    return one.availability_status == APPROVED
