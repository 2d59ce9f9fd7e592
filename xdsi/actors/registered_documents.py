"""The repository's question to a registry elsewhere: which documents it knows (ITI TF-2: 3.18, GetDocuments)."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from xdsi.domain.errors import MalformedMessage, SoapFault, Unavailable
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.exchange import Channel, Client, call
from xdsi.rules import stored_query as rules
from xdsi.spec import uuids
from xdsi.transactions import iti18_registry_stored_query as iti18


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredDocuments:
    """One registry. `client` is made for each call, for an assertion lives for minutes only."""

    client: Callable[[], Client]
    channel: Channel

    def __call__(self, unique_ids: Sequence[str]) -> Set[str]:
        """Those that the registry knows, whatever their status; raises Unavailable unless it says so of each."""
        # One by one: a reference does not tell which uniqueId it is for, and entries come of one patient only.
        return {unique_id for unique_id in unique_ids if self._is_registered(unique_id)}

    def _is_registered(self, unique_id: str) -> bool:
        named = {"$XDSDocumentEntryUniqueId": ((unique_id,),)}
        request = rules.encode(StoredQuery(uuids.GET_DOCUMENTS, ReturnType.OBJECT_REF, named))
        try:
            called = call(self.client(), iti18.TRANSACTION, request, self.channel)
        except (MalformedMessage, SoapFault) as error:
            raise Unavailable(f"the registry did not say what it knows: {error}") from error
        try:
            if problems := called.answer.outcome.problems:
                raise Unavailable("; ".join(f"{one.code}: {one.context}" for one in problems))
            return bool(called.answer.object_refs)
        finally:
            called.close()
