"""The HTTP front end: gunicorn threads with socket deadlines, one TLS context, audited handshakes.

gunicorn's threaded worker streams bodies both ways but sets no socket timeout, makes a TLS context per connection,
holds a thread through the handshake, and waits for a peer to close on the thread that accepts all others; the subclass
here does better, because a slow peer must not hold a thread, a context costs a millisecond, and a peer without a
certificate must not keep the others waiting.
"""

from __future__ import annotations

import errno
import gc
import logging
import multiprocessing
import secrets
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn import http, util
from gunicorn.app.base import BaseApplication
from gunicorn.http.body import LengthReader
from gunicorn.http.errors import ParseException
from gunicorn.workers import gthread

from xdsi.domain.errors import ConfigurationError, SoapFault
from xdsi.transport.flag import Flag
from xdsi.transport.http_pace import Deadlines, PacedSocket
from xdsi.transport.http_request import PlainRequest
from xdsi.transport.processors import choose_processor, stay_on_processor
from xdsi.transport.tls import ReloadingContext, TlsFiles, shown_by, still_admits
from xdsi.wire import soap

log = logging.getLogger("xdsi.http")

_LARGE = 256 * 1024
"""who reads so much at once wants a document"""
_COLLECT_AFTER = 10_000
"""objects made since the last look for garbage; a request leaves a few dozen that refer to each other"""
_READ = 16 * 1024
"""bytes at a time; many requests have no more, head and body"""
_TOGETHER = 64 * 1024
"""bytes of a body at most that goes out together with the head of its answer"""
_STAY_MILLISECONDS = 250
"""a client that asks one thing after the other sends the next within, and so does one of several that share the work"""

_LOOK_SECONDS = 1.0
"""between two looks at who has a connection and may not stay"""

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Connection(gthread.TConn):  # type: ignore[misc]
    """A connection with deadlines that reports failed handshakes."""

    deadlines = Deadlines()
    slow_peers = threading.Semaphore(4)
    wanted = Flag()
    """up while others wait for a thread"""
    report: Callable[[str, str], None] | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.sock: Any
        self.paced: PacedSocket | None = None
        self.timeout = time.monotonic() + self.deadlines.opening_seconds
        self._secured = not self.cfg.is_ssl
        self._shaken = self._secured

    def ready(self) -> bool:
        """Get as far as the bytes at hand allow; True when a request can be read. Never waits for the peer."""
        if self._shaken:
            return True
        try:
            if not self._secured:
                self.sock.settimeout(0)
                context = self.cfg.ssl_context(self.cfg, None)
                self.sock = context.wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
                self._secured = True
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            if self.report is not None:
                type(self).report(str(self.client[0]), str(error))  # type: ignore[misc]
            raise
        self._shaken = True
        self.parser = http.get_parser(self.cfg, self.sock, self.client)
        # The handshake ends before the request begins.
        return False

    def trusted(self) -> bool:
        """Whether who is at the other end would be let in now, and a line of the log where not; never waits."""
        if not self.cfg.is_ssl or still_admits(self.cfg.ssl_context(self.cfg, None), self.sock):
            return True
        self.tell_farewell()
        return False

    def tell_farewell(self) -> None:
        """Note whose connection is closed because he would not be let in, or not by the files of now."""
        try:
            shown = shown_by(self.sock)
        except ValueError:
            shown = None  # he went away by himself
        whose = f"{shown.subject!r}, SHA-256 {shown.sha256}" if shown is not None else "none"
        log.info("%s: connection closed: who was let in has to come again; certificate: %s", str(self.client[0]), whose)

    def init(self) -> None:
        super().init()
        if self.paced is None:
            self.paced = PacedSocket(
                self.sock,
                str(self.client[0]),
                self.deadlines,
                slots=self.slow_peers,
                wanted=self.wanted,
                in_records=self.cfg.is_ssl,
                connected=self.trusted,
            )
            self.parser.unreader.sock = self.paced
            self.parser.unreader.mxchunk = _READ
            self.parser.mesg_class = PlainRequest
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.paced.restart()
        self.sock.settimeout(self.paced.step)

    def at_hand(self) -> bool:
        """Bytes of the next request were read along with the last one: its socket may never become readable."""
        return bool(self.parser.unreader.buf.getvalue()) or (self.cfg.is_ssl and bool(self.sock.pending()))

    def close(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature is gunicorn's
        """Wait for the peer to close in a thread apart; where too many do so already, do not wait."""
        if self.paced is not None:
            self.paced.release()
        if graceful and _LINGERING.acquire(blocking=False):
            threading.Thread(target=self._linger, daemon=True).start()
        else:
            super().close()

    def _linger(self) -> None:
        try:
            self.sock.settimeout(None)
            util.close_graceful(self.sock)
        except OSError as error:
            log.debug("close: %s", error)
        finally:
            _LINGERING.release()


_LINGERING = threading.BoundedSemaphore(64)


def require_port(address: str, port: int) -> None:
    """Say at once that a port is taken; gunicorn tries for seconds. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ConfigurationError(f"server.port: {address}:{port} cannot be had: {error.strerror}") from error


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker with our connections: one gets a thread only while it has sent something.

    A thread that has answered stays with its connection for a moment, unless somebody waits for a thread: the next
    request is then served without a turn of the thread that waits for all connections.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._engaged = 0
        """connections that have a thread or wait for one; counted by the main thread alone"""
        self._wanted = Flag()
        """up while more of them are engaged than there are threads, and once the worker stops"""
        self._threads: int = self.cfg.threads
        self._look_again = 0.0

    def init_process(self) -> None:
        """Serve, from here on in a process of its own."""
        self._wanted.make()
        # Settings stay as they are; gunicorn asks for some twenty with each request, and looks each up in three steps.
        self.cfg.__dict__.update((name, setting.get()) for name, setting in self.cfg.settings.items())
        super().init_process()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop: nobody stays with a connection."""
        super().handle_exit(sig, frame)
        self._wanted.put(up=True)

    def is_parent_alive(self) -> bool:
        """Whether the arbiter is there; without it this worker stops, and nobody stays with a connection."""
        if super().is_parent_alive():
            return True
        self.alive = False
        self._wanted.put(up=True)
        return False

    def enqueue_req(self, conn: _Connection) -> None:
        """Have a thread see to a connection."""
        self._engage(1)
        super().enqueue_req(conn)

    def _engage(self, change: int) -> None:
        self._engaged += change
        self._wanted.put(up=self._engaged > self._threads or not self.alive)

    def accept(self, listener: Any) -> None:
        """Accept one connection and wait for its first bytes."""
        try:
            client_sock, client_addr = listener.accept()
        except OSError as error:
            log.debug("accept: %s", error)
            return
        self.nr_conns += 1
        conn = _Connection(self.cfg, client_sock, client_addr, listener.getsockname())
        conn.wanted = self._wanted
        self._await(conn)

    def _await(self, conn: _Connection) -> None:
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: _Connection) -> Any:
        """Get on with the handshake, or with a request; runs in a thread."""
        try:
            if not conn.ready():
                return gthread._DEFER
        except OSError as error:
            log.debug("handshake with %s: %s", conn.client, error)
            return False
        kept = conn.trusted() and self._answered(conn)
        while kept is True and self._next(conn):
            kept = conn.trusted() and self._answered(conn)
        return kept

    def _answered(self, conn: _Connection) -> Any:
        """Serve one request; a slow peer keeps his slot no longer."""
        try:
            return super().handle(conn)
        finally:
            if conn.paced is not None:
                conn.paced.release()

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature is gunicorn's
        """Close connections that nothing was asked on for long, or whose peer would not be let in any more.

        Who notices that before he asks again connects anew, and loses nothing.
        """
        super().murder_keepalived(force)
        if not self.cfg.is_ssl or time.monotonic() < self._look_again:
            return
        self._look_again = time.monotonic() + _LOOK_SECONDS
        context = self.cfg.ssl_context(self.cfg, None)
        for conn in [one for one in self.keepalived_conns if not still_admits(context, one.sock)]:
            self.keepalived_conns.remove(conn)
            self.poller.unregister(conn.sock)
            self.nr_conns -= 1
            conn.tell_farewell()
            conn.close()

    def _next(self, conn: _Connection) -> bool:
        """Stay with a connection that was answered; True when the next request begins, False to wait elsewhere."""
        if self._wanted.up or not self.alive:
            return False
        if conn.at_hand():
            return True
        waiting = select.poll()
        waiting.register(conn.sock, select.POLLIN)
        waiting.register(self._wanted, select.POLLIN)
        come = waiting.poll(_STAY_MILLISECONDS)
        # Who was woken because he was wanted may find that others left sooner: nothing was asked of him all the same.
        return not self._wanted.up and any(end == conn.sock.fileno() for end, _ in come)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Refuse what is no HTTP as everything else is refused: by a fault with a trace."""
        trace = secrets.token_hex(16)
        if isinstance(exc, ParseException):
            log.info("trace %s: no HTTP request from %s: %s", trace, addr, exc)
            fault, status = SoapFault("Sender", f"not an HTTP request that is taken: {exc}"), "400 Bad Request"
        else:
            log.error("trace %s: unexpected failure", trace, exc_info=exc)
            fault, status = SoapFault("Receiver", "internal failure"), "500 Internal Server Error"
        body = soap.write_fault(fault, trace=trace)
        head = (
            f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {soap.CONTENT_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nXdsi-Trace: {trace}\r\n\r\n"
        )
        try:
            client.sendall(head.encode() + body)
        except OSError as error:
            log.debug("trace %s: the fault did not arrive: %s", trace, error)

    def finish_request(self, conn: _Connection, fs: Any) -> None:
        """Wait for more of a handshake, or end as gunicorn does."""
        self._engage(-1)
        result = None if fs.cancelled() or fs.exception() is not None else fs.result()
        if result is gthread._DEFER and self.alive:
            self._await(conn)
        elif result is True and conn.at_hand():
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, fs)


def _heeding_close(app: WsgiApp) -> WsgiApp:
    """gunicorn drops the header, announces keep-alive and may close all the same; this tells it to announce it.

    A body that cannot be read is an OSError for the application, whatever gunicorn calls it; and what is answered goes
    out under the same deadlines, where gunicorn would write to the socket itself.
    """

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if any(name.lower() == "connection" and value.lower() == "close" for name, value in headers):
                response.force_close()
            return start_response(status, headers, *rest)

        response = start_response.__self__  # type: ignore[attr-defined]
        response.sock = response.req.unreader.sock
        environ["wsgi.input"] = _Body(environ["wsgi.input"])
        environ["xdsi.connected"] = response.sock.connected
        if response.sock.is_slow and not response.sock.connected():
            raise ConnectionResetError(errno.ECONNRESET, "who was let in has to come again")
        answer = app(environ, start)
        at_once = isinstance(answer, list) and len(answer) == 1 and len(answer[0]) <= _TOGETHER
        return _at_once(response, answer[0]) if at_once else answer  # type: ignore[index]

    return application


class _Gathered(bytearray):
    """What gunicorn would send."""

    sendall = bytearray.extend


def _at_once(response: Any, body: bytes) -> Iterator[bytes]:
    """Send the head of an answer with its body; gunicorn sends it by itself, and wakes the receiver for it alone."""
    paced, response.sock = response.sock, _Gathered()
    try:
        response.write(body)
        gathered = response.sock
    finally:
        response.sock = paced
    paced.sendall(gathered)
    yield from ()


class _Body:
    """The body of a request; a sender whose chunks are none did not send it whole."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes | bytearray:
        """Like a file's, all of it where no size is given (PEP 3333); raises OSError."""
        try:
            if size >= _LARGE and isinstance(self._body.reader, LengthReader) and not self._body.buf.tell():
                return self._straight(self._body.reader, size)
            data: bytes = self._body.read(size)
        except ParseException as error:
            raise OSError(f"the body cannot be read: {error}") from error
        return data

    def _straight(self, reader: Any, size: int) -> bytearray:
        """From the socket into what is returned: gunicorn's buffers copy each byte of a body six times."""
        data = bytearray(min(size, reader.length))
        begun = reader.unreader.take_buffered()
        filled = min(len(begun), len(data))
        data[:filled] = begun[:filled]
        if len(begun) > filled:
            reader.unreader.unread(begun[filled:])
        try:
            with memoryview(data) as view:
                while filled < len(data) and (more := reader.unreader.sock.recv_into(view[filled:])):
                    filled += more
        except BaseException:
            # Where the next request begins is not known: the connection is not used again.
            self._body.failed = True
            raise
        reader.length -= len(data)
        del data[filled:]
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


class HttpServer(BaseApplication):  # type: ignore[misc]
    """Serve a WSGI application until stopped.

    `make_app` is called in each worker after the fork, so that no database connection is shared between processes.
    `report_handshake(address, reason)` is told of every failed TLS handshake, `when_ready` is called once, when the
    first worker can serve. Each worker stays on one of `processors`, where some are given.
    """

    def __init__(
        self,
        make_app: Callable[[], WsgiApp],
        *,
        address: str,
        port: int,
        tls: TlsFiles | None,
        workers: int = 1,
        threads: int = 16,
        processors: Sequence[int] = (),
        report_handshake: Callable[[str, str], None] | None = None,
        tls_changed: Callable[[str], None] | None = None,
        tls_unusable: Callable[[str], None] | None = None,
        when_ready: Callable[[], None] | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._make_app = make_app
        self._address = address
        self._port = port
        self._tls = tls
        self._workers = workers
        self._threads = threads
        self._tls_changed = tls_changed or log.warning
        self._tls_unusable = tls_unusable or log.error
        self._processors = tuple(processors)
        self._when_ready = when_ready
        self._said = multiprocessing.Value("b", 0)
        _Connection.report = staticmethod(report_handshake) if report_handshake else None
        _Connection.slow_peers = threading.Semaphore(max(1, threads // 4))
        if deadlines is not None:
            _Connection.deadlines = deadlines
        super().__init__()

    def load_config(self) -> None:
        """gunicorn's settings."""
        host = f"[{self._address}]" if ":" in self._address else self._address
        settings: dict[str, Any] = {
            "bind": [f"{host}:{self._port}"],
            "workers": self._workers,
            "threads": self._threads,
            "worker_class": "xdsi.transport.http_server.Worker",
            "worker_connections": 1000,
            "keepalive": 75,
            # The arbiter's own time limit is for hung workers; threads have deadlines of their own.
            "timeout": 120,
            "graceful_timeout": 10,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "limit_request_line": 8190,
            "limit_request_fields": 100,
            "limit_request_field_size": 65536,
            "preload_app": False,
            "control_socket_disable": True,
        }
        if self._tls is not None:
            context = ReloadingContext(self._tls, changed=self._tls_changed, unusable=self._tls_unusable)
            settings["certfile"] = str(self._tls.certificate)
            settings["keyfile"] = str(self._tls.key)
            settings["cert_reqs"] = ssl.CERT_REQUIRED
            settings["ca_certs"] = str(self._tls.peer_ca)
            settings["ssl_context"] = lambda _config, _default: context()
        if self._processors:
            settings["pre_fork"] = partial(choose_processor, self._processors)
            settings["post_fork"] = stay_on_processor
        settings["post_worker_init"] = lambda _worker: self._ready()
        known = self.cfg.settings
        for key, value in settings.items():
            if key in known:
                self.cfg.set(key, value)

    def _ready(self) -> None:
        """In each worker, once it has its application; workers that replace others are no news."""
        with self._said.get_lock():
            if self._when_ready is not None and not self._said.value:
                self._said.value = 1
                self._when_ready()

    def load(self) -> WsgiApp:
        """The application, made in the worker; its `Connection: close` is heeded."""
        application = _heeding_close(self._make_app())
        # What is made by now stays for good: looking through all of it for garbage takes a tenth of a second each time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER)
        return application
