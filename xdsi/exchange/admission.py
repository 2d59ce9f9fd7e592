"""The first step of an exchange: who asks, and may he ask at all, before anything of the request is used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from xdsi.domain.audit import Side
from xdsi.domain.errors import SecurityFault
from xdsi.domain.subject import Caller, Peer, Subject
from xdsi.exchange.record import facts_of, keep
from xdsi.exchange.row import Access, Actor, Trace, Transaction
from xdsi.rules import audit as audit_rules
from xdsi.wire import saml
from xdsi.wire.http_authorization import read_authorization
from xdsi.wire.jwt_token import JwtTrust
from xdsi.wire.soap import Envelope

log = logging.getLogger("xdsi.exchange")


def admit(actor: Actor, transaction: Transaction[Any, Any], envelope: Envelope, peer: Peer, trace: Trace) -> Caller:
    """Verify who sends a SOAP message, before anything of the request is used.

    Raises SecurityFault where the node is not permitted or the token refused, which is audited here.
    """

    def read(trust: saml.SamlTrust, tokens: JwtTrust) -> saml.VerifiedAssertion:
        now = actor.access.clock()
        return saml.read_assertion(envelope.security, trust, now=now, peer_certificate_sha256=peer.certificate_sha256)

    return _admit(actor, transaction, peer, trace, read, shown=bool(envelope.security))


def admit_http(
    actor: Actor, transaction: Transaction[Any, Any], authorization: str, peer: Peer, trace: Trace
) -> Caller:
    """The same for a REST request, by its Authorization header."""

    def read(trust: saml.SamlTrust, tokens: JwtTrust) -> saml.VerifiedAssertion:
        access = actor.access
        return read_authorization(
            authorization, trust, tokens, now=access.clock(), peer_certificate_sha256=peer.certificate_sha256
        )

    return _admit(actor, transaction, peer, trace, read, shown=bool(authorization))


def admit_peer(
    actor: Actor, transaction: Transaction[Any, Any], peer: Peer, subject: Subject | None, detail: str, trace: Trace
) -> Caller:
    """The same for a peer that has no words for who asks, and is itself bound to a subject by the settings.

    Without a subject it is refused, `detail` saying why.
    """

    def read(trust: saml.SamlTrust, tokens: JwtTrust) -> saml.VerifiedAssertion:
        if subject is None:
            raise SecurityFault("FailedAuthentication", detail)
        return saml.VerifiedAssertion(subject, repr(subject).encode())

    return _admit(actor, transaction, peer, trace, read, shown=True, reusable=True)


def _admit(
    actor: Actor,
    transaction: Transaction[Any, Any],
    peer: Peer,
    trace: Trace,
    read: Callable[[saml.SamlTrust, JwtTrust], saml.VerifiedAssertion],
    *,
    shown: bool,
    reusable: bool = False,
) -> Caller:
    access = actor.access
    node = peer.node
    try:
        if peer.unshown and access.nodes_required:
            raise SecurityFault("FailedAuthentication", "the proxy shows no client certificate")
        if not transaction.assertion_required:
            if access.nodes_required and not peer.may(transaction.number):
                why = peer.why_not(transaction.number)
                log.warning("trace %s: %s: %s", trace.id, peer.address, why)
                raise SecurityFault("FailedAuthentication", why)
            if not shown:
                trace.note("admit", node=node.name if node else "")
                return Caller(peer=peer)
        trust, tokens = access.lists()
        if trust is None:
            return Caller(peer=peer)
        verified = read(trust, tokens)
        subject = verified.subject
        if not reusable:
            _check_replay(access, verified)
    except SecurityFault as fault:
        _audit(actor, transaction, peer, trace, fault)
        raise
    # By its issuer's ID: who looks for uses of one assertion finds them all, whether or not a second one is refused.
    trace.note("admit", user=subject.audit_name, node=node.name if node else "", assertion=subject.assertion_id)
    return Caller(peer=peer, subject=subject, assertion=verified.raw)


def require_still(
    actor: Actor, transaction: Transaction[Any, Any], caller: Caller, trace: Trace, *, connected: bool
) -> None:
    """Look again at who was admitted and then took his time, before he is answered.

    `connected`: by what is trusted now. Raises SecurityFault, which is audited here.
    """
    access = actor.access
    until = caller.subject.not_on_or_after if caller.subject is not None else None
    trust, _ = access.lists()
    if not connected:
        fault = SecurityFault("FailedAuthentication", "the connection was made by what is not trusted any more")
    elif until is not None and trust is not None and access.clock() >= until + trust.clock_skew:
        fault = SecurityFault("MessageExpired", f"the assertion ended at {until.isoformat()}, before its message did")
    else:
        return
    _audit(actor, transaction, caller.peer, trace, fault)
    raise fault


def _audit(actor: Actor, transaction: Transaction[Any, Any], peer: Peer, trace: Trace, fault: SecurityFault) -> None:
    trace.note("refused", fault=fault.wsse_code, detail=fault.detail)
    facts = facts_of(actor, transaction, Caller(peer=peer), trace, Side.SERVER)
    facts = replace(facts, outcome=8, token_refused=f"{fault.wsse_code}: {fault.detail}")
    keep(actor, trace, peer, transaction.number)
    actor.trail.append(audit_rules.events_for(facts), trace=trace.id)


def _check_replay(access: Access, verified: saml.VerifiedAssertion) -> None:
    subject = verified.subject
    if access.replay is None:
        if verified.one_time_use:
            raise SecurityFault("FailedAuthentication", "an assertion for one use, where uses are not remembered")
        return
    until = subject.not_on_or_after or access.clock()
    if access.replay(subject.issuer, subject.assertion_id, until + timedelta(minutes=5)):
        raise SecurityFault("FailedAuthentication", f"assertion {subject.assertion_id} was used before")
