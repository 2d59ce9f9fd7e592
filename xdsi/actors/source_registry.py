"""The hospital at the registry: asks what became of its manifests, and takes back those of studies that are no more.

ITI TF-2: 3.18 (GetDocuments, GetSubmissionSets, GetAssociations), Metadata Update 3.57 (Update DocumentEntry Status),
Remove Metadata 3.62.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from xdsi.actors.manifest_publisher import Attempt
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.domain.metadata import Association, DocumentEntry, Extra, RegistryObject, Slot, SubmissionSet
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import Clock
from xdsi.domain.removal import RemovalRequest
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.domain.submission import Submission
from xdsi.exchange import Called, Channel, Client, call
from xdsi.rules import stored_query as query_rules
from xdsi.rules.update.operations import NEW_STATUS, ORIGINAL_STATUS
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti57_update_document_set as iti57
from xdsi.transactions import iti62_remove_metadata as iti62
from xdsi.wire.ebxml import query

_AT_ONCE = 50
UNSEEN = "STUDY.withdrawal.unseen"
"""rule of a problem with an entry that the registry does not show"""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRegistry:
    """One registry. `client` is made for each call, for an assertion lives for minutes only."""

    client: Callable[[], Client]
    channel: Channel
    profile: ImagingProfile
    clock: Clock

    def statuses(self, attempts: Iterable[Attempt]) -> Mapping[str, str]:
        """availabilityStatus of the entries of attempts by entryUUID; absent where not registered, or not shown."""
        return {uuid: one.availability_status for uuid, one in self._entries(attempts).items()}

    def _entries(self, attempts: Iterable[Attempt]) -> dict[str, DocumentEntry]:
        """A registry gives out whole entries of one patient at a time only (XDSResultNotSinglePatient)."""
        wanted: dict[str, list[str]] = {}
        for attempt in attempts:
            wanted.setdefault(attempt.patient, []).extend(one.entry_uuid for one in attempt.current)
        found: dict[str, DocumentEntry] = {}
        for ids in wanted.values():
            for start in range(0, len(ids), _AT_ONCE):
                some = ids[start : start + _AT_ONCE]
                for one in self._query(uuids.GET_DOCUMENTS, "$XDSDocumentEntryEntryUUID", some):
                    if isinstance(one, DocumentEntry):
                        found[one.entry_uuid] = one
        return found

    def contradicts(self, attempt: Attempt) -> bool:
        """Whether the registry shows a SubmissionSet under the attempt's uniqueId that is not the attempt's.

        What it does not show says nothing: policy may hide it from us.
        """
        ids = tuple(one.entry_uuid for one in attempt.current)
        shown = [one for one in self._query(uuids.GET_SUBMISSION_SETS, "$uuid", ids) if isinstance(one, SubmissionSet)]
        return bool(shown) and all(one.unique_id != attempt.submission_set for one in shown)

    def deprecate(self, attempt: Attempt) -> Outcome:
        """Set the documents of an attempt to Deprecated; done already is done.

        Of documents that the registry does not show it is told that they may stand.
        """
        shown = self._entries([attempt])
        unseen = _unseen([attempt], shown)
        wanted = [one.entry_uuid for one in shown.values() if one.availability_status == APPROVED]
        if not wanted:
            return Outcome.of(unseen)
        now = self.clock()
        whole = SubmissionSet(
            entry_uuid=new_entry_uuid(),
            unique_id=new_oid(),
            source_id=self.profile.source_id,
            # Whoever was merged since is another patient at the registry.
            patient_id=shown[wanted[0]].patient_id,
            submission_time=now.strftime("%Y%m%d%H%M%S"),
            content_type_code=self.profile.content_type_code,
            title="Study no longer available",
        )
        slots = Extra((Slot(ORIGINAL_STATUS, (APPROVED,)), Slot(NEW_STATUS, (DEPRECATED,))))
        triggers = tuple(
            Association(
                entry_uuid=new_entry_uuid(),
                type=uuids.UPDATE_AVAILABILITY_STATUS,
                source=whole.entry_uuid,
                target=one,
                extra=slots,
            )
            for one in wanted
        )
        submission = Submission(submission_sets=(whole,), associations=triggers)
        called = self._guarded(lambda: call(self.client(), iti57.TRANSACTION, submission, self.channel))
        called.close()
        return Outcome.of([*called.answer.problems, *unseen])

    def remove(self, attempts: Sequence[Attempt], seen: Callable[[], None] = lambda: None) -> Outcome:
        """Make the registry forget the documents of attempts, their Associations and their SubmissionSets.

        `seen` is called when it showed them, before it is asked. Of documents of the first that it does not show it is
        told that they may stand; former ones may have been removed before.
        """
        known = self._entries(attempts)
        unseen = _unseen(attempts[:1], known)
        if not known:
            return Outcome.of(unseen)
        objects: list[RegistryObject] = []
        for patient in dict.fromkeys(one.patient for one in attempts):
            ids = [
                doc.entry_uuid
                for one in attempts
                if one.patient == patient
                for doc in one.current
                if doc.entry_uuid in known
            ]
            for start in range(0, len(ids), _AT_ONCE):
                some = tuple(ids[start : start + _AT_ONCE])
                objects += self._query(uuids.GET_ASSOCIATIONS, "$uuid", some)
                objects += self._query(uuids.GET_SUBMISSION_SETS, "$uuid", some)
        sets = {one.submission_set for one in attempts}
        beside = (
            one.entry_uuid
            for one in objects
            if isinstance(one, Association) or (isinstance(one, SubmissionSet) and one.unique_id in sets)
        )
        request = RemovalRequest(tuple(dict.fromkeys([*known, *beside])))
        seen()
        called = self._guarded(lambda: call(self.client(), iti62.TRANSACTION, request, self.channel))
        called.close()
        return Outcome.of([*called.answer.outcome.problems, *unseen])

    def _query(self, query_id: str, name: str, ids: Iterable[str]) -> Sequence[RegistryObject]:
        request = query_rules.encode(StoredQuery(query_id, ReturnType.LEAF_CLASS, {name: (tuple(ids),)}))
        called = self._guarded(lambda: call(self.client(), iti18.TRANSACTION, request, self.channel))
        try:
            errors = called.answer.outcome.errors
            if errors:
                raise Unavailable("; ".join(f"{one.code}: {one.context}" for one in errors))
            return query.objects(called.reply.message)
        finally:
            called.close()

    @staticmethod
    def _guarded(ask: Callable[[], Called[_T]]) -> Called[_T]:
        try:
            return ask()
        except (MalformedMessage, SoapFault) as error:
            raise Unavailable(f"the registry does not answer: {error}") from error


def _unseen(attempts: Iterable[Attempt], shown: Collection[str]) -> list[Problem]:
    return [
        Problem(
            "UnresolvedReferenceException",
            f"the registry does not show {one.entry_uuid}: it was removed there, or policy hides it from this hospital",
            location=one.entry_uuid,
            rule=UNSEEN,
        )
        for attempt in attempts
        for one in attempt.current
        if one.entry_uuid not in shown
    ]
