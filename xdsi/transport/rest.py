"""REST endpoints: a GET goes through the same exchange as a SOAP message, and its answer streams.

RFC 9110; contract of docs/policy.md: no or a bad token is 401, what may not be seen is 404 like what is not there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

from xdsi.domain.errors import MalformedMessage, SecurityFault, SoapFault, Unavailable
from xdsi.domain.outcome import Status
from xdsi.domain.subject import Peer
from xdsi.exchange import Actor, Trace, Transaction, admit_http, as_fault, broke_off, keep, serve
from xdsi.wire.http import HttpAnswer, HttpRequest, plain
from xdsi.wire.http_authorization import challenges

log = logging.getLogger("xdsi.rest")

_FOR_ONE_CALLER = (
    # Also of refusals: what one may not see another may, and the same one after a consent.
    ("Cache-Control", "no-store"),
    ("Vary", "Authorization, Accept"),
    ("X-Content-Type-Options", "nosniff"),
)
_QUERY_LIMIT = 8 * 1024
_FIELDS = 200

Req = TypeVar("Req")
Resp = TypeVar("Resp")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestService(Generic[Req, Resp]):
    """A transaction as it is read from a GET and written as its answer; None is a path that is no resource."""

    transaction: Transaction[Req, Resp]
    read: Callable[[HttpRequest], Req | None]
    write: Callable[[Resp, Req | None, HttpRequest], HttpAnswer]


class RestEndpoint:
    """Answers requests below the path of one actor."""

    def __init__(
        self,
        actor: Actor,
        service: RestService[Any, Any],
        *,
        peer_of: Callable[[Mapping[str, Any]], Peer],
        observe: Callable[[str, str], None],
    ) -> None:
        self.actor = actor
        self.path = actor.role.path
        self._service = service
        self._peer_of = peer_of
        self._observe = observe

    def covers(self, path: str) -> bool:
        """True for a path of this endpoint."""
        return path == self.path or path.startswith(f"{self.path}/")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        trace = Trace()
        answer = self._answered(environ, trace)
        phrase = HTTPStatus(answer.status).phrase
        headers = [("Content-Type", answer.content_type), ("Xdsi-Trace", trace.id), *answer.headers]
        headers += _FOR_ONE_CALLER
        if answer.length is not None:
            headers.append(("Content-Length", str(answer.length)))
        start_response(f"{answer.status} {phrase}", headers)
        self._observe(self._service.transaction.number, _outcome(answer, trace))
        if environ["REQUEST_METHOD"] == "HEAD":
            _close(answer.body)
            return ()
        return self._watched(answer.body, trace)

    def _watched(self, body: Iterable[bytes], trace: Trace) -> Iterator[bytes]:
        try:
            yield from body
        except Exception as error:
            broke_off(self.actor, trace, error)
            raise
        finally:
            _close(body)

    def _answered(self, environ: Mapping[str, Any], trace: Trace) -> HttpAnswer:
        transaction = self._service.transaction
        peer = self._peer_of(environ)
        try:
            if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
                return plain(405, "only GET is served here", (("Allow", "GET, HEAD"),))
            caller = admit_http(self.actor, transaction, environ.get("HTTP_AUTHORIZATION", ""), peer, trace)
            http = self._request(environ)
            return self._served(http, caller, trace)
        except Exception as error:
            fault = as_fault(error, trace)
            log.info("trace %s: %s %s", trace.id, fault.reason, fault.detail)
            keep(self.actor, trace, peer, transaction.number)
            if isinstance(error, SecurityFault):
                asked = bool(environ.get("HTTP_AUTHORIZATION"))
                headers = tuple(("WWW-Authenticate", one) for one in challenges(refused=asked))
                return plain(401, f"{fault.reason} [trace {trace.id}]", headers)
            return plain(_status(error, fault), f"{fault.reason} [trace {trace.id}]")

    def _served(self, http: HttpRequest, caller: Any, trace: Trace) -> HttpAnswer:
        service = self._service
        asked: list[Any] = []

        def read() -> Any:
            request = service.read(http)
            if request is None:
                raise SoapFault("Sender", "no resource at this path", http_status=404)
            asked.append(request)
            return request

        answer: HttpAnswer = serve(
            self.actor,
            service.transaction,
            caller,
            read=read,
            write=lambda response: service.write(response, asked[0] if asked else None, http),
            trace=trace,
        )
        return answer

    def _request(self, environ: Mapping[str, Any]) -> HttpRequest:
        raw = environ.get("QUERY_STRING", "")
        if len(raw) > _QUERY_LIMIT:
            raise MalformedMessage("the query is too long", expected=f"at most {_QUERY_LIMIT} characters")
        try:
            query = parse_qsl(raw, keep_blank_values=True, max_num_fields=_FIELDS)
        except ValueError as error:
            raise MalformedMessage(f"the query cannot be read: {error}") from error
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        path = str(environ.get("PATH_INFO", ""))[len(self.path) :]
        url = self.actor.site.endpoint(self.path)
        return HttpRequest(path=path, query=tuple(query), headers=headers, url=url)


def _outcome(answer: HttpAnswer, trace: Trace) -> str:
    """What an exchange is counted as; a refusal is its sender's matter, a failure ours."""
    if answer.status < HTTPStatus.BAD_REQUEST:
        return trace.status.word
    return "refused" if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR else Status.FAILURE.word


def _status(error: BaseException, fault: SoapFault) -> int:
    return 503 if isinstance(error.__cause__ or error, Unavailable) else fault.http_status


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()
