"""The hospital at the registry: asks what became of its manifests, and takes back those of studies that are no more.

ITI TF-2: 3.18 (GetDocuments, GetSubmissionSets, GetAssociations), Metadata Update 3.57 (Update DocumentEntry Status),
Remove Metadata 3.62.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from xdsi.actors.manifest_publisher import Attempt
from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.domain.metadata import Association, DocumentEntry, Extra, RegistryObject, Slot, SubmissionSet
from xdsi.domain.outcome import Outcome
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
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRegistry:
    """One registry. `client` is made for each call, for an assertion lives for minutes only."""

    client: Callable[[], Client]
    channel: Channel
    profile: ImagingProfile
    clock: Clock

    def statuses(self, attempts: Iterable[Attempt]) -> Mapping[str, str]:
        """availabilityStatus of the entries of attempts by entryUUID; absent where not registered, or not shown to us.

        A registry gives out whole entries of one patient at a time only (XDSResultNotSinglePatient).
        """
        wanted: dict[str, list[str]] = {}
        for attempt in attempts:
            wanted.setdefault(attempt.patient, []).extend(one.entry_uuid for one in attempt.current)
        found: dict[str, str] = {}
        for ids in wanted.values():
            for start in range(0, len(ids), _AT_ONCE):
                some = ids[start : start + _AT_ONCE]
                for one in self._query(uuids.GET_DOCUMENTS, "$XDSDocumentEntryEntryUUID", some):
                    if isinstance(one, DocumentEntry):
                        found[one.entry_uuid] = one.availability_status
        return found

    def contradicts(self, attempt: Attempt) -> bool:
        """Whether the registry shows a SubmissionSet under the attempt's uniqueId that is not the attempt's.

        What it does not show says nothing: policy may hide it from us.
        """
        ids = tuple(one.entry_uuid for one in attempt.current)
        shown = [one for one in self._query(uuids.GET_SUBMISSION_SETS, "$uuid", ids) if isinstance(one, SubmissionSet)]
        return bool(shown) and all(one.unique_id != attempt.submission_set for one in shown)

    def deprecate(self, attempt: Attempt) -> Outcome:
        """Set the documents of an attempt to Deprecated; done already is done."""
        ids = [one.entry_uuid for one in attempt.current]
        statuses = self.statuses([attempt])
        wanted = [one for one in ids if statuses.get(one) != DEPRECATED]
        if not wanted:
            return Outcome()
        now = self.clock()
        whole = SubmissionSet(
            entry_uuid=new_entry_uuid(),
            unique_id=new_oid(),
            source_id=self.profile.source_id,
            patient_id=attempt.patient,
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
        return called.answer

    def remove(self, attempt: Attempt) -> Outcome:
        """Make the registry forget the documents of an attempt, their Associations and their SubmissionSet."""
        known = self.statuses([attempt])
        if not known:
            return Outcome()
        objects = [
            *self._query(uuids.GET_ASSOCIATIONS, "$uuid", tuple(known)),
            *self._query(uuids.GET_SUBMISSION_SETS, "$uuid", tuple(known)),
        ]
        beside = (
            one.entry_uuid
            for one in objects
            if isinstance(one, Association)
            or (isinstance(one, SubmissionSet) and one.unique_id == attempt.submission_set)
        )
        request = RemovalRequest(tuple(dict.fromkeys([*known, *beside])))
        called = self._guarded(lambda: call(self.client(), iti62.TRANSACTION, request, self.channel))
        called.close()
        return called.answer.outcome

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """What becomes of manifests of studies that are gone: `keep`, `deprecate` or `remove`."""

    way: str
    registry: Callable[[], SourceRegistry]
    newest: Callable[[str], Attempt | None]
    keep: Callable[[Attempt], None]

    def __call__(self, uid: str) -> str:
        """Withdraw what was published of a study; what is left to say, empty when all is well."""
        attempt = self.newest(uid)
        if attempt is None:
            return ""
        if self.way == "keep":
            return "the study is gone from the archive, or nothing of it is shared any more; its manifest stands"
        registry = self.registry()
        outcome = registry.remove(attempt) if self.way == "remove" else registry.deprecate(attempt)
        if outcome.errors:
            reasons = "; ".join(f"{one.code}: {one.context}" for one in outcome.errors)
            return f"its manifest could not be withdrawn: {reasons}"
        # Those that it replaced do not speak for the study either.
        while attempt is not None:
            self.keep(replace(attempt, state="withdrawn"))
            attempt = self.newest(uid)
        return ""
