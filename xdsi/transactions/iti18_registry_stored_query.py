"""ITI-18 Registry Stored Query: a consumer finds what the registry holds, as far as consent lets it.

ITI TF-2: 3.18.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsi.domain.audit import ExchangeFacts
from xdsi.domain.consent import Action
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import RegistrySession
from xdsi.domain.stored_query import AdhocQuery, QueryAnswer
from xdsi.exchange import Call, Codec, Located, Transaction
from xdsi.rules import stored_query_answer as rules
from xdsi.rules.stored_query_answer import QueryPorts
from xdsi.spec.stored_queries import REGISTRY_QUERIES
from xdsi.wire.ebxml import query


def locate(request: AdhocQuery, ports: QueryPorts, session: RegistrySession) -> Located:
    """Check the query and select; consent decides on the DocumentEntries among the results."""
    selection = rules.select(request, ports, session, REGISTRY_QUERIES)
    return Located(selection.resources, selection)


def weigh(located: Located, ports: QueryPorts, session: RegistrySession) -> Located:
    """Add what decides on the results that are no DocumentEntries."""
    selection = rules.weigh(located.state, session)
    return located if selection is located.state else Located(selection.resources, selection)


def handle(call: Call[AdhocQuery]) -> QueryAnswer:
    """Answer with what is permitted (3.18.4.1.3)."""
    return rules.answer(call.located.state, call.ports, call.session, call.permitted)


def refuse(request: AdhocQuery | None, problems: Sequence[Problem]) -> QueryAnswer:
    """No results."""
    return QueryAnswer(Outcome.of(problems))


def facts(request: AdhocQuery, answer: QueryAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """The query as asked, and the patient it names (3.18.5.1)."""
    return rules.describe(request, answer, base)


TRANSACTION = Transaction(
    number="ITI-18",
    name="Registry Stored Query",
    trigger="urn:ihe:iti:2007:RegistryStoredQuery",
    reply="urn:ihe:iti:2007:RegistryStoredQueryResponse",
    request=Codec(query.decode_request, query.encode_request),
    response=Codec(query.decode_answer, query.encode_answer),
    locate=locate,
    weigh=weigh,
    handle=handle,
    refuse=refuse,
    facts=facts,
    action=Action.QUERY,
    unavailable_code="XDSRegistryBusy",
)
