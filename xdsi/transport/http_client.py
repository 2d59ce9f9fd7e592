"""HTTP towards a PACS or another service: time limits, retries of what may be asked twice, our own TLS, credentials.

Whatever goes wrong is `Unavailable`; an answer that breaks off never looks like a whole one.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import requests.adapters
import urllib3.exceptions
from urllib3.util import Retry

from xdsi.domain.errors import Unavailable
from xdsi.transport.http_ahead import AskingAhead, Place, Whole
from xdsi.transport.http_kept import Connections, TlsConnections
from xdsi.transport.pace import Pace, in_pieces

READ_SIZE = 256 * 1024
_JSON_LIMIT = 512 * 1024 * 1024
_SAID = 64 * 1024


class TlsAdapter(requests.adapters.HTTPAdapter):
    """Connections with our own TLS context instead of the library's defaults."""

    def __init__(self, context: ssl.SSLContext | None, retries: Retry | int = 0) -> None:
        self._context = context
        super().__init__(pool_connections=16, pool_maxsize=32, max_retries=retries)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Give the pool our context."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": Connections, "https": TlsConnections}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Our context verifies already; the library would load the public authorities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAccess:
    """How a server is reached: credentials (user and password, or a bearer token), TLS, limits."""

    user: str = ""
    password: str = ""
    token: str = ""
    authorization: str = ""
    """the whole header, instead of a token"""
    tls: ssl.SSLContext | None = None
    connect_seconds: float = 5.0
    read_seconds: float = 60.0
    minimum_rate: float = 0.0
    """bytes a second that an answer has to come at, `read_seconds` apart; 0: any"""
    retries: int = 3


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer that is being read."""

    status: int
    """200 or 404"""
    content_type: str
    chunks: Iterator[bytes]


class HttpClient:
    """Asks one server. Threads may share it; connections are kept. Redirects are not followed."""

    def __init__(self, url: str, access: HttpAccess) -> None:
        self.url = url.rstrip("/")
        self._timeout = (access.connect_seconds, access.read_seconds)
        self._rate = access.minimum_rate
        self._session = requests.Session()
        # Proxies and credentials of the environment are for the world, not for the hospital's own archive.
        self._session.trust_env = False
        if access.authorization:
            self._session.headers["Authorization"] = access.authorization
        elif access.token:
            self._session.headers["Authorization"] = f"Bearer {access.token}"
        elif access.user:
            self._session.headers["Authorization"] = _basic(access.user, access.password)
        retries = Retry(
            total=access.retries, redirect=0, other=0, backoff_factor=0.2, raise_on_status=False,
            status_forcelist=(429, 502, 503, 504), allowed_methods=("GET", "POST"),
        )  # fmt: skip
        self._session.mount("http://", TlsAdapter(None, retries))
        self._once = requests.Session()
        self._once.trust_env = False
        self._tls = access.tls or ssl.create_default_context()
        self._once.mount("https://", TlsAdapter(self._tls))
        self._session.mount("https://", TlsAdapter(self._tls, retries))

    def json(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        body: object = None,
        *,
        may_be_absent: bool = False,
    ) -> Any:
        """The JSON at a path, by POST where there is a body (questions only, for they may be asked again).

        None for 204 (No Content). 404 is Unavailable, for a wrong address is no empty archive; None instead where
        what is asked for `may_be_absent`.
        """
        headers = {"Accept": "application/dicom+json, application/json"}
        with self._answer(path, params, headers, body) as answer:
            if answer is None or (answer.status == 404 and may_be_absent):
                return None
            if answer.status == 404:
                raise Unavailable(f"{self.url}{path} is not there")
            read = bytearray()
            for chunk in answer.chunks:
                read += chunk
                if len(read) > _JSON_LIMIT:
                    raise Unavailable(f"{self.url}{path}: the answer is longer than {_JSON_LIMIT} bytes")
        try:
            found = json.loads(read)
        except ValueError as error:
            raise Unavailable(f"{self.url}{path}: the answer is not JSON: {error}") from error
        if found is None:
            raise Unavailable(f"{self.url}{path}: the answer is null")
        return found

    @contextmanager
    def stream(self, path: str, accept: str) -> Iterator[HttpAnswer]:
        """What lies at a path, as it comes; Unavailable where there is nothing."""
        with self._answer(path, None, {"Accept": accept}, None) as answer:
            if answer is None or answer.status == 404:
                raise Unavailable(f"{self.url}{path} is not there")
            yield answer

    def ahead(self, places: Sequence[Place], accept: str) -> Iterator[Whole | None]:
        """What lies at each place, in order and asked for before its turn; None for what is better asked by `stream`.

        That is a large file, or one that could not be had at once.
        """
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        if "Authorization" in self._session.headers:
            headers["Authorization"] = str(self._session.headers["Authorization"])
        connect, read = self._timeout
        asking = AskingAhead(
            self.url, headers, tls=self._tls, connect_seconds=connect, read_seconds=read, minimum_rate=self._rate
        )
        return asking.answers(places)

    def store(
        self,
        path: str,
        content_type: str,
        body: Iterable[bytes],
        accept: str = "application/dicom+json, application/json",
    ) -> tuple[int, bytes]:
        """Send content to be kept; the status and the beginning of the answer. It is sent once, whatever happens."""
        headers = {"Content-Type": content_type, "Accept": accept}
        content = b"".join(body)
        try:
            with self._once.post(
                self.url + path, data=content, headers={**self._session.headers, **headers},
                timeout=self._timeout, stream=True, allow_redirects=False,
            ) as response:  # fmt: skip
                return response.status_code, response.raw.read(_SAID, decode_content=True) or b""
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(f"{self.url} cannot be reached: {_reason(error)}") from error

    @contextmanager
    def _answer(
        self, path: str, params: Mapping[str, str] | None, headers: Mapping[str, str], body: object
    ) -> Iterator[HttpAnswer | None]:
        url = self.url + path
        # Compressed answers hide where they end early; images are compressed already.
        given = {"Accept-Encoding": "identity", **headers}
        method = "GET" if body is None else "POST"
        try:
            response = self._session.request(
                method, url, params=params, json=body, headers=given, timeout=self._timeout, stream=True,
                allow_redirects=False,
            )  # fmt: skip
        except requests.RequestException as error:
            raise Unavailable(f"{self.url} cannot be reached: {_reason(error)}") from error
        with response:
            if response.status_code == 204:
                yield None
            elif response.status_code not in (200, 404):
                hint = {401: ", the credentials are not accepted", 403: ", the credentials do not suffice"}
                raise Unavailable(
                    f"{url} answers with HTTP status {response.status_code}{hint.get(response.status_code, '')}"
                )
            else:
                yield HttpAnswer(
                    response.status_code, response.headers.get("Content-Type", ""), self._chunks(url, response)
                )

    def _chunks(self, url: str, response: requests.Response) -> Iterator[bytes]:
        pace = Pace(self._timeout[1], self._rate)
        try:
            yield from in_pieces(lambda size: response.raw.read1(size, decode_content=True), pace, READ_SIZE)
        except (urllib3.exceptions.HTTPError, requests.RequestException, OSError) as error:
            raise Unavailable(f"{url} broke off its answer: {_reason(error)}") from error


def _basic(user: str, password: str) -> str:
    """Credentials as a header (RFC 7617), in Latin-1 where that has the characters, as most servers take them."""
    said = f"{user}:{password}"
    try:
        raw = said.encode("latin-1")
    except UnicodeEncodeError:
        raw = said.encode()
    return "Basic " + base64.b64encode(raw).decode("ascii")


def _reason(error: BaseException) -> str:
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    return str(cause) or type(cause).__name__
