"""The SOAP 1.2 service layer: spyne, boxed (ITI TF-2 Appendix V.3).

spyne finds operations by the body element, which several IHE transactions share, reads whole requests into memory and
cannot write MTOM. So its protocol is replaced here: requests are streamed and dispatched on wsa:Action, the body
elements are handed through as they are, and the answer is bytes or a generator of bytes. Nothing else imports spyne.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

from spyne import Application, ServiceBase, const, rpc
from spyne.interface import InterfaceDocuments
from spyne.model import Any as AnyType
from spyne.model.fault import Fault
from spyne.protocol.soap import Soap12
from spyne.server.http import HttpTransportContext
from spyne.server.wsgi import WsgiApplication, WsgiMethodContext

from xdsi.domain.computing import OneComputes
from xdsi.domain.errors import MalformedMessage, SoapFault
from xdsi.domain.ports import Spool
from xdsi.domain.subject import Peer
from xdsi.domain.submission import Document
from xdsi.exchange import Actor, Trace, Transaction, admit, as_fault, broke_off, keep, require_still, run
from xdsi.spec import namespaces as ns
from xdsi.transport.ahead import ahead
from xdsi.transport.large_questions import LARGE, Turns
from xdsi.transport.soap_request import SETTINGS, Received, Recording, SoapLimits, chunks_of, discard, whole
from xdsi.wire import mtom, soap
from xdsi.wire.message import Message, Packaging, Payload
from xdsi.wire.xml import LIMIT as ROOT_LIMIT

log = logging.getLogger("xdsi.soap")

_SENDING = 64
_LONG_SECONDS = 5.0
"""after which it is looked again whether who asks would be let in"""
_TNS = "urn:xdsi:actors"
# spyne collects garbage by itself every second, in each thread that ends a request then: 90 ms without an answer.
const.MIN_GC_INTERVAL = float("inf")


class _FaultInside(Fault):  # type: ignore[misc]
    """Carries our fault through spyne."""

    def __init__(self, fault: SoapFault) -> None:
        super().__init__("Server", fault.reason)
        self.soap_fault = fault


class _Http(HttpTransportContext):  # type: ignore[misc]
    """The HTTP request as spyne sees it: the WSGI environment, without a copy of its headers."""

    def __init__(self, parent: Any, transport: Any, environ: dict[str, Any], content_type: str) -> None:
        super().__init__(parent, transport, environ, content_type)
        self.req_env = environ


class _Context(WsgiMethodContext):  # type: ignore[misc]
    """An exchange as spyne sees it, without what takes most of its time: events, and a guard of attribute names."""

    HttpTransportContext = _Http
    __setattr__ = object.__setattr__

    def fire_event(self, event: str, *args: Any, **named: Any) -> None:
        """Nobody listens."""


class _Server(WsgiApplication):  # type: ignore[misc]
    """spyne's WSGI application; the answer goes to the HTTP server as it is: with its length, and closed when left."""

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any], wsgi_url: str | None = None
    ) -> Iterable[bytes]:
        """Answer one request."""
        (ctx,) = self.generate_contexts(_Context(self, environ, soap.CONTENT_TYPE))
        if ctx.in_error is None:
            self.get_in_object(ctx)
            self.get_out_object(ctx)
        error = ctx.in_error or ctx.out_error
        if error is None:
            try:
                self.get_out_string(ctx)
            except Exception as failure:
                error = ctx.out_error = _FaultInside(_as_fault(failure, ctx.udc.trace))
        if error is not None:
            refusal: Iterable[bytes] = self.handle_error(ctx, (), error, start_response)
            return refusal
        start_response("200 OK", list(ctx.transport.resp_headers.items()))
        answer: Iterable[bytes] = ctx.out_string
        # spyne's objects refer to each other, and would keep a request and its answer until garbage is collected.
        ctx.udc = ctx.in_body_doc = ctx.in_object = ctx.out_object = ctx.out_document = ctx.out_string = None
        return answer


class _Protocol(Soap12):  # type: ignore[misc]
    """spyne's SOAP 1.2 protocol with everything between HTTP and the transaction replaced."""

    def __init__(self, endpoint: SoapEndpoint) -> None:
        super().__init__()
        self._endpoint = endpoint

    def create_in_document(self, ctx: Any, charset: str | None = None) -> None:
        """Read, verify and take apart the request; raises a fault that spyne hands to `serialize`."""
        received = self._endpoint.begin()
        ctx.udc = received
        ctx.transport.resp_headers["Xdsi-Trace"] = received.trace.id
        try:
            self._endpoint.receive(ctx.transport.req_env, received)
        except Exception as error:
            if not isinstance(error, OSError):
                discard(ctx.transport.req_env, self._endpoint.limits)
            raise _FaultInside(_as_fault(error, received.trace)) from error

    def decompose_incoming_envelope(self, ctx: Any, message: str = Soap12.REQUEST) -> None:
        """Name the operation by wsa:Action."""
        ctx.in_header_doc = None
        ctx.in_body_doc = ctx.udc
        ctx.method_request_string = f"{{{_TNS}}}{_operation(ctx.udc.transaction)}"

    def generate_method_contexts(self, ctx: Any) -> list[Any]:
        """The context itself: there is one operation, so that nobody needs a copy."""
        (ctx.descriptor,) = self.get_call_handles(ctx)
        return [ctx]

    def deserialize(self, ctx: Any, message: str) -> None:
        """Hand the request through."""
        ctx.in_object = ctx.udc

    def serialize(self, ctx: Any, message: str) -> None:
        """Hand the answer through."""
        ctx.out_document = ctx.out_object[0] if ctx.out_error is None else ctx.out_error

    def create_out_string(self, ctx: Any, out_string_encoding: str = "utf8") -> None:
        """The bytes of the answer, or of the fault."""
        self._endpoint.send(ctx)

    def fault_to_http_response_code(self, fault: Fault) -> str:
        """400 for Sender faults, 500 for Receiver faults."""
        status = fault.soap_fault.http_status if isinstance(fault, _FaultInside) else 500
        return {400: "400 Bad Request", 415: "415 Unsupported Media Type", 408: "408 Request Timeout"}.get(
            status, "500 Internal Server Error"
        )


def _operation(transaction: Transaction[Any, Any]) -> str:
    return transaction.number.replace("-", "_")


def _as_fault(error: BaseException, trace: Trace) -> SoapFault:
    if isinstance(error, TimeoutError):
        return SoapFault("Sender", "the request took too long to arrive", detail=str(error), http_status=408)
    if isinstance(error, OSError):
        return SoapFault("Sender", "the request did not arrive whole", detail=str(error))
    if isinstance(error, MalformedMessage) and error.limit in SETTINGS:
        return SoapFault("Sender", f"{error} ({SETTINGS[error.limit]})")
    return as_fault(error, trace)


class SoapEndpoint:
    """One actor at one path, as a WSGI application.

    With `one_computes` small questions are answered in turns, from their decoding until their record is to be written.
    """

    def __init__(
        self,
        actor: Actor,
        *,
        make_spool: Callable[[], Spool],
        peer_of: Callable[[Mapping[str, Any]], Peer],
        limits: SoapLimits | None = None,
        record: Callable[[str], Recording] | None = None,
        observe: Callable[[str, str], None] = lambda transaction, outcome: None,
        one_computes: OneComputes | None = None,
    ) -> None:
        self.actor = actor
        self.make_spool = make_spool
        self._peer_of = peer_of
        self.limits = limits or SoapLimits()
        self._record = record
        self._observe = observe
        application = Application(
            [_service(actor)],
            tns=_TNS,
            name=actor.role.name.replace(" ", ""),
            in_protocol=_Protocol(self),
            out_protocol=_Protocol(self),
            documents_container=InterfaceDocuments,
        )
        self._wsgi = _Server(application, max_content_length=self.limits.message_bytes)
        self._wsgi.doc.wsdl11 = None
        self._turns = Turns()
        self._one_computes = one_computes
        # A thread for each answer with documents that is being sent; they are started when there are some.
        self._ahead = ThreadPoolExecutor(_SENDING, thread_name_prefix="ahead")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one HTTP request."""
        result: Iterable[bytes] = self._wsgi(environ, start_response)
        return result

    # -- in

    def begin(self) -> Received:
        """A request arrives: a trace, a spool, and a recording where the settings ask for one."""
        trace = Trace()
        return Received(trace, self.make_spool(), recording=self._record(trace.id) if self._record else None)

    def receive(self, environ: Mapping[str, Any], received: Received) -> None:
        """Fill `received` from the HTTP request, verifying the sender before attachments are taken."""
        received.connected = environ.get("xdsi.connected", received.connected)
        if environ["REQUEST_METHOD"] != "POST":
            raise SoapFault("Sender", "only POST is served here; the WSDL is at ?wsdl")
        if environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
            raise SoapFault("Sender", "Content-Encoding is not accepted", http_status=415)
        content_type = environ.get("CONTENT_TYPE", "")
        media_type, parameters = mtom.parse_content_type(content_type)
        chunks = chunks_of(environ, self.limits, received.recording)
        if media_type == "multipart/related":
            kind = parameters.get("type", "application/xop+xml").lower()
            if kind not in ("application/xop+xml", "application/soap+xml"):
                raise SoapFault("Sender", f"multipart of type {kind!r} is not accepted", http_status=415)
            received.packaging = Packaging.MTOM
            self._receive_mtom(content_type, chunks, environ, received)
        elif media_type in ("application/soap+xml", "text/xml"):
            self._open(whole(chunks, self.limits.simple_bytes), environ, received)
            received.message = Message(received.envelope.body)  # type: ignore[union-attr]
        else:
            raise SoapFault(
                "Sender",
                f"Content-Type {media_type!r} is not accepted; expected application/soap+xml or multipart/related",
                http_status=415,
            )

    def _open(self, raw: bytes, environ: Mapping[str, Any], received: Received) -> None:
        huge = len(raw) > ROOT_LIMIT
        limit = max(self.limits.simple_bytes, self.limits.multipart.root)
        try:
            envelope = soap.read_envelope(
                raw, limit=limit, huge=huge, shape=self.limits.shape, max_markup=self.limits.markup
            )
        except SoapFault:
            received.message_id = soap.message_id_of(raw, limit=limit, huge=huge)
            raise
        received.message_id = envelope.message_id
        received.reply_to = envelope.reply_to
        received.envelope = envelope
        received.size = len(raw)
        transaction = self.actor.find(envelope.action)
        if transaction is None:
            raise SoapFault(
                "Sender",
                f"action {envelope.action!r} is not served here",
                subcode=(ns.WSA, "ActionNotSupported"),
            )
        received.transaction = transaction
        if received.recording is not None:
            received.recording.name(transaction.number, received.packaging)
        peer = self._peer_of(environ)
        received.caller = admit(self.actor, transaction, envelope, peer, received.trace)

    def _receive_mtom(
        self, content_type: str, chunks: Iterator[bytes], environ: Mapping[str, Any], received: Received
    ) -> None:
        reader = mtom.MultipartReader(content_type, self.limits.multipart)
        parts: dict[str, Document] = {}
        root = bytearray()
        unverified = 0
        part: Any = None
        name = ""

        def take(events: Iterable[Any]) -> None:
            nonlocal part, name, unverified
            for event in events:
                if isinstance(event, mtom.PartStart):
                    name = event.content_id
                    part = root if event.is_root else received.spool.part()
                elif isinstance(event, mtom.PartData):
                    if part is root:
                        root.extend(event.data)
                    else:
                        part.write(event.data)
                        if received.caller is None:
                            unverified += len(event.data)
                            if unverified > self.limits.unverified_bytes:
                                raise MalformedMessage(
                                    "too many bytes before the root part", expected="root first", limit="unverified"
                                )
                elif isinstance(event, mtom.PartEnd):
                    if part is root:
                        self._open(bytes(root), environ, received)
                    else:
                        parts[name] = part.finish()

        for chunk in chunks:
            take(reader.feed(chunk))
        take(reader.close())
        envelope = received.envelope
        if envelope is None:
            raise MalformedMessage("the root part is missing", expected="the part named by start, or the first")
        mtom.find_includes(envelope.root, parts)
        received.message = Message(envelope.body, parts)

    # -- through

    def answer(self, received: Received) -> Payload:
        """Run the exchange."""
        assert received.transaction is not None
        assert received.caller is not None
        transaction = received.transaction
        asks = not (transaction.writes or transaction.changes)
        # Who changes something takes turns where it is changed, and should not wait for who only reads.
        size = received.size if asks else 0
        in_turn = self._one_computes.turn if self._one_computes and asks and size < LARGE else nullcontext
        try:
            if asks and time.monotonic() - received.since > _LONG_SECONDS:
                # What was begun in time is taken to its end, but nothing is given out any more.
                connected = received.connected()
                require_still(self.actor, transaction, received.caller, received.trace, connected=connected)
            with self._turns.one(size), in_turn():
                return run(
                    self.actor,
                    transaction,
                    received.take(),
                    received.caller,
                    packaging=received.packaging,
                    trace=received.trace,
                    reply_to=received.reply_to,
                    message_id=received.message_id,
                )
        except Exception as error:
            raise _FaultInside(_as_fault(error, received.trace)) from error

    # -- out

    def send(self, ctx: Any) -> None:
        """Set the answer's headers and bytes."""
        received: Received = ctx.udc
        headers = ctx.transport.resp_headers
        relates_to = received.message_id
        # For who asked, and for now: a cache on the way gives it to nobody else, whatever it takes POST for.
        headers["Cache-Control"] = "no-store"
        number = received.transaction.number if received.transaction else "none"
        if ctx.out_error is not None:
            error = ctx.out_error
            fault = error.soap_fault if isinstance(error, _FaultInside) else _as_fault(error, received.trace)
            log.info("trace %s: fault %s: %s %s", received.trace.id, fault.code, fault.reason, fault.detail)
            if not received.trace.kept:
                received.trace.note("fault", reason=fault.reason, detail=fault.detail)
                keep(self.actor, received.trace, self._peer_of(ctx.transport.req_env), number)
            headers["Content-Type"] = soap.CONTENT_TYPE
            # The rest of the request may not have been read: the connection cannot be used again.
            headers["Connection"] = "close"
            ctx.out_string = [soap.write_fault(fault, relates_to=relates_to, trace=received.trace.id)]
            received.spool.close()
        else:
            payload: Payload = ctx.out_document
            assert received.transaction is not None
            length: int | None = None
            pieces = soap.write_envelope(received.transaction.reply, payload.body, relates_to=relates_to)
            packaging = payload.packaging or received.packaging
            if packaging is Packaging.MTOM:
                writer = mtom.MultipartWriter()
                headers["Content-Type"] = writer.content_type
                root = b"".join(pieces)
                length = writer.content_length(len(root), payload.attachments)
                pieces = writer.message((root,), payload.attachments)
            else:
                headers["Content-Type"] = soap.CONTENT_TYPE
            if payload.attachments:
                ctx.out_string = _closing(self.actor, (), ahead(pieces, self._ahead), received)
            else:
                ctx.out_string, length = _answer(self.actor, pieces, received)
            if length is not None:
                headers["Content-Length"] = str(length)
        if received.recording is not None:
            ctx.out_string = _recorded(ctx.out_string, received.recording)
        self._observe(number, "fault" if ctx.out_error is not None else received.trace.status.word)


def _answer(actor: Actor, pieces: Iterator[bytes], received: Received) -> tuple[Iterable[bytes], int | None]:
    """A small answer as one piece, with its length; a large one piece by piece."""
    head: list[bytes] = []
    size = 0
    for piece in pieces:
        head.append(piece)
        size += len(piece)
        if size > 1024 * 1024:
            return _closing(actor, head, pieces, received), None
    received.spool.close()
    return [b"".join(head)], size


def _closing(actor: Actor, head: Iterable[bytes], rest: Iterator[bytes], received: Received) -> Iterator[bytes]:
    began = time.perf_counter()
    try:
        yield from head
        yield from rest
    except Exception as error:
        broke_off(actor, received.trace, error)
        raise
    finally:
        received.spool.close()
        log.debug("trace %s: streamed in %.1f ms", received.trace.id, (time.perf_counter() - began) * 1000)


def _recorded(stream: Iterable[bytes], recording: Recording) -> Iterator[bytes]:
    try:
        for piece in stream:
            recording.response(piece)
            yield piece
    finally:
        recording.close()


def _service(actor: Actor) -> type[ServiceBase]:
    """A spyne service with one operation per transaction; each hands its request to the endpoint."""

    def operation(name: str) -> Any:
        def call(ctx: Any, request: Any) -> Any:
            return ctx.app.in_protocol._endpoint.answer(ctx.udc)

        call.__name__ = name
        return rpc(AnyType, _returns=AnyType, _body_style="bare")(call)

    # The three interactions of ITI-44 are one operation here: the row is found by wsa:Action.
    members = {_operation(t): operation(_operation(t)) for t in actor.role.transactions}
    name = actor.role.name.replace(" ", "") + "Service"
    service: type[ServiceBase] = type(ServiceBase)(name, (ServiceBase,), members)
    return service
