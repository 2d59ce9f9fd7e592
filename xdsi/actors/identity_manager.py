"""The receiver of patient identity feeds: ITI-44 over SOAP, ITI-8 over MLLP (ITI TF-1: 5.1.3)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from xdsi.domain.audit import AuditSite, AuditTrail, ExchangeFacts, Side
from xdsi.domain.identity import FeedAnswer, FeedProblem, PatientIdentityFeed
from xdsi.domain.ports import Clock
from xdsi.domain.subject import Peer
from xdsi.exchange import Role, Trace, TraceLog
from xdsi.rules import audit as audit_rules
from xdsi.rules import identity_audit
from xdsi.rules.identity import in_domain
from xdsi.spec.hl7 import INTERNAL_ERROR
from xdsi.transactions import iti08_patient_identity_feed as iti08
from xdsi.transactions import iti44_patient_identity_feed_v3 as iti44

log = logging.getLogger("xdsi.iti8")

ROLE = Role(
    name="Patient Identity Manager",
    path="/services/identity",
    wsdl="identity",
    transactions=iti44.TRANSACTIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hl7v2Feed:
    """The ITI-8 end of the same actor: one message in, its acknowledgement out, audited."""

    ports: iti44.FeedPorts
    clock: Clock
    trail: AuditTrail
    traces: TraceLog
    site: AuditSite
    nodes_required: bool

    def __call__(self, raw: bytes, peer: Peer) -> bytes:
        """Answer one message."""
        trace = Trace()
        now: datetime = self.clock()
        answer = iti08.respond(raw, self._serve(peer, trace), now)
        self.traces.append(
            trace.id,
            {
                "transaction": "ITI-8",
                "peer": peer.address,
                "node": peer.node.name if peer.node else "",
                "user": "",
                "steps": trace.steps,
            },
        )
        return answer

    def _serve(self, peer: Peer, trace: Trace) -> Callable[[PatientIdentityFeed], FeedAnswer]:
        def serve(feed: PatientIdentityFeed) -> FeedAnswer:
            facts = ExchangeFacts(
                transaction="ITI-8",
                side=Side.SERVER,
                time=self.clock(),
                site=self.site,
                endpoint=f"{feed.receiver.facility}|{feed.receiver.name}",
                reply_to=f"{feed.sender.facility}|{feed.sender.name}",
                peer_address=peer.address,
                node=peer.node,
                trace=trace.id,
            )
            why = peer.why_not("ITI-8") if self.nodes_required and not peer.may("ITI-8") else ""
            if why:
                trace.note("refused", detail=why)
                log.warning("trace %s: %s: %s", trace.id, peer.address, why)
                answer = FeedAnswer(
                    accepted=False,
                    problems=(FeedProblem(INTERNAL_ERROR, f"not permitted [trace {trace.id}]", rule="node"),),
                )
            else:
                domain = self.ports.domain
                answer = iti08.handle(feed, self.ports.identities, domain.authority, namespace=domain.namespace)
                trace.note("handle", accepted=answer.accepted)
            described = identity_audit.describe(in_domain(feed, self.ports.domain), answer, facts)
            if answer.problems:
                described = replace(described, outcome_description=why or answer.problems[0].text)
            self.trail.append(audit_rules.events_for(described), trace=trace.id)
            return answer

        return serve
