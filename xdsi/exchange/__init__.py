"""One exchange: the order of steps every transaction follows, on the server's side and on the client's.

    admit   who asks: client certificate, node, assertion (ITI-19, ITI-40)
    decode  wire -> domain
    locate  what the request would reveal or change
    weigh   what the decision on it rests on, where anybody decides
    decide  consent and policy, one decision per resource
    handle  the transaction's own rules and effects
    audit   durable before the first byte of the answer (ITI-20)
    encode  domain -> wire

A transaction that reveals or changes data cannot be served without its decision: `serve` is the only way in, and `run`
is what it is called for SOAP messages.
"""

from xdsi.exchange.admission import admit, admit_http, admit_peer, require_still
from xdsi.exchange.breaking import broke_off
from xdsi.exchange.client import Called, Channel, Client, Reply, call
from xdsi.exchange.record import facts_of, keep
from xdsi.exchange.row import (
    Access,
    Actor,
    Call,
    Codec,
    Located,
    Role,
    Trace,
    TraceLog,
    Transaction,
    no_unit_of_work,
)
from xdsi.exchange.server import as_fault, run, serve

__all__ = [
    "Access",
    "Actor",
    "Call",
    "Called",
    "Channel",
    "Client",
    "Codec",
    "Located",
    "Reply",
    "Role",
    "Trace",
    "TraceLog",
    "Transaction",
    "admit",
    "admit_http",
    "admit_peer",
    "as_fault",
    "broke_off",
    "call",
    "facts_of",
    "keep",
    "no_unit_of_work",
    "require_still",
    "run",
    "serve",
]
