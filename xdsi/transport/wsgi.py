"""One WSGI application of all parts: SOAP and REST endpoints by their path, everything else for the web pages."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from xdsi.domain.errors import SoapFault
from xdsi.transport.rest import RestEndpoint
from xdsi.transport.soap_server import SoapEndpoint
from xdsi.transport.wsdl import schema, wsdl_for
from xdsi.wire import soap

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def compose(
    endpoints: Iterable[SoapEndpoint], pages: WsgiApp, *, base_url: str, rest: Iterable[RestEndpoint] = ()
) -> WsgiApp:
    """Route by path; a GET on a SOAP endpoint gives its WSDL and schemas."""
    below = tuple(rest)
    by_path: Mapping[str, SoapEndpoint] = {endpoint.actor.role.path: endpoint for endpoint in endpoints}

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        endpoint = by_path.get(path.rstrip("/"))
        for one in below:
            if one.covers(path):
                return one(environ, start_response)
        reads = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        if endpoint is not None and not reads:
            return endpoint(environ, start_response)
        trace = secrets.token_hex(16)
        start = _tracing(start_response, trace)
        if endpoint is not None:
            return _description(endpoint, environ, start, base_url)
        if path.startswith("/services/") and not reads:
            known = ", ".join(sorted(by_path))
            fault = SoapFault("Sender", f"no service at this path; known: {known}")
            return _answer(start, "404 Not Found", soap.CONTENT_TYPE, soap.write_fault(fault, trace=trace), close=True)
        return pages(environ, start)

    return application


def _tracing(start_response: Callable[..., Any], trace: str) -> Callable[..., Any]:
    """Every answer carries a trace, though there is nothing to explain about a page."""

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        return start_response(status, [*headers, ("Xdsi-Trace", trace)], *rest)

    return start


def _description(
    endpoint: SoapEndpoint, environ: Mapping[str, Any], start_response: Callable[..., Any], base_url: str
) -> Iterable[bytes]:
    role = endpoint.actor.role
    location = base_url.rstrip("/") + role.path
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    asked = {name.lower(): value for name, value in query.items()}
    try:
        if "wsdl" in asked:
            return _answer(start_response, "200 OK", "text/xml; charset=UTF-8", wsdl_for(role.wsdl, location))
        if "xsd" in asked:
            return _answer(start_response, "200 OK", "text/xml; charset=UTF-8", schema(asked["xsd"], location))
    except LookupError as error:
        return _answer(start_response, "404 Not Found", "text/plain; charset=UTF-8", f"{error}\n".encode())
    text = f"{role.name}: POST SOAP 1.2 messages here; the WSDL is at {location}?wsdl\n"
    return _answer(start_response, "200 OK", "text/plain; charset=UTF-8", text.encode())


def _answer(
    start_response: Callable[..., Any], status: str, content_type: str, body: bytes, *, close: bool = False
) -> Iterable[bytes]:
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    if close:
        # The request was not read.
        headers.append(("Connection", "close"))
    start_response(status, headers)
    return [body]
