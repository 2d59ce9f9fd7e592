"""TLS contexts for every socket: BCP 195 suites, client certificates, reload without a restart (ITI TF-2 3.19.6)."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509

from xdsi.domain.errors import ConfigurationError
from xdsi.wire.revocation import Covered, read_lists

log = logging.getLogger("xdsi.tls")

# The TLS 1.2 suites of ITI TF-2 3.19.6.2.3 (BCP 195); TLS 1.3 suites are all allowed.
CIPHERS = "ECDHE+AESGCM:DHE+AESGCM"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: own certificate (with chain) and key, trusted authorities of the peers, revocation lists."""

    certificate: Path
    key: Path
    peer_ca: Path
    crl: Path | None = None

    def stamps(self) -> tuple[tuple[int, int], ...]:
        """Changes whenever one of the files does."""
        present = [p for p in (self.certificate, self.key, self.peer_ca, self.crl) if p is not None]
        # For each request of a kept connection: a Path would cost more than the look.
        found = [os.stat(p) for p in present]  # noqa: PTH116
        return tuple([(one.st_mtime_ns, one.st_size) for one in found])


class _Context(ssl.SSLContext):
    """A context that knows until when a peer may stay whom it let in."""

    lists: Covered | None = None
    """of revocation; without them nobody is looked for in one"""

    def __init__(self, purpose: int) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._ends: dict[str, float] = {}

    def end_of(self, end: ssl.SSLSocket | ssl.SSLObject) -> float:
        """When the first certificate ends of the chain by which the peer was let in, or the list of its issuer.

        In seconds since 1970.

        Of a session that is resumed OpenSSL keeps the certificate alone, not the chain: the earliest end of those
        counts that were verified with this certificate. The session itself is not looked at: each look at one costs 5
        KB of memory that Python (3.11) does not give back.
        """
        # Public from Python 3.13 on.
        chain = end._sslobj.get_verified_chain()  # type: ignore[union-attr]
        der = end.getpeercert(binary_form=True) or b""
        if not chain:
            return self._ends.get(fingerprint(der), -math.inf)
        until = min(float(ssl.cert_time_to_seconds(one.get_info()["notAfter"])) for one in chain)
        if self.lists is not None:
            until = min(until, _end_of_list(self.lists, der))
        if end.version() == "TLSv1.2":
            self._remember(fingerprint(der), until)
        return until

    def _remember(self, certificate: str, until: float) -> None:
        with self._lock:
            known = self._ends.pop(certificate, math.inf)
            self._ends[certificate] = min(known, until) if known > time.time() else until
            if len(self._ends) > _PEERS:
                del self._ends[next(iter(self._ends))]


_PEERS = 32 * 1024
"""more than OpenSSL keeps sessions of one context"""


_Kind = TypeVar("_Kind", bound=_Context)


@contextmanager
def _naming_who_failed(end: ssl.SSLSocket | ssl.SSLObject) -> Iterator[None]:
    """Add to the error of a handshake which certificate it was that is not trusted, such as one that was revoked.

    Whoever shows a certificate has not proved yet that it is his own, nor that who is named in it has signed it.
    """
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        # Public from Python 3.13 on; kept by OpenSSL whatever came of it.
        chain = end._sslobj.get_verified_chain() or ()  # type: ignore[union-attr]
        for shown in chain[:1]:
            error.strerror = f"{error.strerror or error.verify_message}; certificate shown, not proved: {_told(shown)}"
        raise


_SUBJECT = 200
"""characters that are told of what a stranger calls himself"""


def _told(certificate: Any) -> str:
    sha256 = fingerprint(ssl.PEM_cert_to_DER_cert(certificate.public_bytes()))
    try:
        said = certificate.get_info()
    except (ValueError, OSError):
        return f"SHA-256 {sha256}"  # nothing in it can be read
    return f"subject {subject_of(said)[:_SUBJECT]!r}, serial {said.get('serialNumber', '')}, SHA-256 {sha256}"


class AdmittedSocket(ssl.SSLSocket):
    """A server's end of a connection."""

    admitted_until = -math.inf
    """when the peer's chain or list ends, in seconds since 1970; nobody was let in before the handshake"""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of ssl.SSLSocket
        """Shake hands, and remember for how long that is good."""
        with _naming_who_failed(self):
            super().do_handshake(block)
        self.admitted_until = self.context.end_of(self)  # type: ignore[attr-defined]


class _AdmittedObject(ssl.SSLObject):
    """The same without a socket."""

    admitted_until = -math.inf

    def do_handshake(self) -> None:
        with _naming_who_failed(self):
            super().do_handshake()
        self.admitted_until = self.context.end_of(self)  # type: ignore[attr-defined]


def _context(purpose: int, files: TlsFiles, kind: type[_Kind]) -> _Kind:
    context = kind(purpose)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    for what, file in (("certificate", files.certificate), ("key", files.key)):
        with _named(f"{what} {file}"):
            file.open("rb").close()

    def encrypted() -> str:
        raise ConfigurationError(f"TLS: key {files.key} is encrypted; valid: a key without a pass phrase")

    with _named(f"certificate {files.certificate} with key {files.key}"):
        context.load_cert_chain(files.certificate, files.key, password=encrypted)
    with _named(f"authorities {files.peer_ca}"):
        context.load_verify_locations(files.peer_ca)
    if files.crl is not None:
        with _named(f"revocation list {files.crl} (tls.crl)"):
            context.load_verify_locations(files.crl)
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
            context.lists = Covered(read_lists(files.crl.read_bytes()))
    # A directly trusted node certificate need not be a root (ITI-19 asks for both ways of trust).
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


def _end_of_list(lists: Covered, der: bytes) -> float:
    """When the last revocation list of a certificate's issuer ends, in seconds since 1970."""
    now = time.time()
    try:
        certificate = x509.load_der_x509_certificate(der)
        until = lists.until(certificate, now)
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension) as error:
        log.warning("TLS: of whom a certificate is cannot be read, who bears it may not stay: %s", error)
        return -math.inf
    if until <= now:
        issuer = certificate.issuer.rfc4514_string()
        log.warning("TLS: no revocation list of %r is current, who has a certificate of it may not stay", issuer)
    return until


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise ConfigurationError(f"TLS: {what} cannot be used: {error.reason or 'not PEM'}") from error
    except OSError as error:
        raise ConfigurationError(f"TLS: {what} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"TLS: {what} cannot be used: {error}") from error


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """For a listening socket; a client without a trusted certificate fails in the handshake."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, files, _Context)
    context.verify_mode = ssl.CERT_REQUIRED
    # A ticket says nothing of the chain that was verified, and one of TLS 1.3 is exchanged for the next without end:
    # sessions are resumed in TLS 1.2 only, and known by their ids. Nor is anybody else let in by the same connection.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    context.sslsocket_class, context.sslobject_class = AdmittedSocket, _AdmittedObject
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """For an outgoing connection; the peer must be trusted and bear the name that was called."""
    try:
        stamps = files.stamps()
    except OSError:
        stamps = ()  # which of them is not there is told by who reads them
    context = _context(ssl.PROTOCOL_TLS_CLIENT, files, ClientContext)
    context.check_hostname = True
    context.follow(files, stamps)
    return context


class ClientContext(_Context):
    """A client's context that shows and trusts what its files say when a connection is made."""

    def follow(self, files: TlsFiles, stamps: tuple[tuple[int, int], ...]) -> None:
        """Look at the files from now on; `stamps` are those from before they were read."""
        self._files, self._stamps = files, stamps
        self._latest: ssl.SSLContext | None = None

    def now(self) -> ssl.SSLContext:
        """The context that the next connection is made by; this one until a file changes."""
        try:
            stamps = self._files.stamps()
        except OSError:
            stamps = self._stamps
        if stamps != self._stamps:
            with self._lock:
                if stamps != self._stamps:
                    self._read_again(stamps)
        return self._latest or self

    def _read_again(self, stamps: tuple[tuple[int, int], ...]) -> None:
        try:
            fresh = _context(ssl.PROTOCOL_TLS_CLIENT, self._files, _Context)
        except ConfigurationError as error:
            log.error("changed TLS files are not usable for connections to others, the former stay in force: %s", error)
        else:
            fresh.check_hostname = self.check_hostname
            fresh.verify_mode = self.verify_mode
            self._latest = fresh
            log.info("TLS files changed: %s is shown to others", self._files.certificate)
        self._stamps = stamps

    def wrap_socket(self, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        """A connection by what the files say now."""
        context = self.now()
        return super().wrap_socket(*arguments, **named) if context is self else context.wrap_socket(*arguments, **named)

    def made(self, sock: ssl.SSLSocket) -> bool:
        """Whether a connection was made by what the files say now; one that was not shows a former certificate."""
        return sock.context is self.now()


def archive_context(*, ca: Path | None, certificate: tuple[Path, Path] | None) -> ssl.SSLContext:
    """For connections to the hospital's own archive, which need not know client certificates.

    Without `ca` the authorities of the system are trusted.
    """
    context = ssl.create_default_context()
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with _named(f"authorities {ca}"):
            context.load_verify_locations(ca)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        with _named(f"certificate {certificate[0]} with key {certificate[1]}"):
            context.load_cert_chain(*certificate)
    return context


class ReloadingContext:
    """A server context that is made anew when its files change; who was let in by the old one has to come again.

    `changed` is told that it was, `unusable` that it could not be.
    """

    def __init__(
        self,
        files: TlsFiles,
        *,
        changed: Callable[[str], None] = log.warning,
        unusable: Callable[[str], None] = log.error,
    ) -> None:
        self._files = files
        self._changed, self._unusable = changed, unusable
        self._lock = threading.Lock()
        self._stamps = files.stamps()
        self._context = server_context(files)

    def __call__(self) -> ssl.SSLContext:
        """The context to use for the next connection."""
        try:
            stamps = self._files.stamps()
        except OSError:
            return self._context
        if stamps != self._stamps:
            with self._lock:
                if stamps != self._stamps:
                    try:
                        self._context = server_context(self._files)
                        self._stamps = stamps
                        self._changed("the files of TLS were read again")
                    except ConfigurationError as error:
                        self._stamps = stamps
                        self._unusable(f"changed files of TLS cannot be used, the former stay in force: {error}")
        return self._context


@dataclass(frozen=True, slots=True)
class Shown:
    """The certificate that a peer has shown."""

    sha256: str
    subject: str
    until: float
    """when it ends, in seconds since 1970"""


_KEPT = 1024
_shown: dict[bytes, Shown] = {}
"""by all bytes of a certificate: what it says does not change"""


def shown_by(sock: ssl.SSLSocket | ssl.SSLObject) -> Shown | None:
    """What a peer has shown in the handshake, or in the one whose session it resumed; ValueError once it went away."""
    der = sock.getpeercert(binary_form=True)
    if not der:
        return None
    known = _shown.get(der)
    if known is None:
        said = sock.getpeercert() or {}
        end = said.get("notAfter")
        until = float(ssl.cert_time_to_seconds(end)) if isinstance(end, str) else math.inf
        known = Shown(fingerprint(der), subject_of(dict(said)), until)
        if len(_shown) >= _KEPT:
            _shown.clear()
        _shown[der] = known
    return known


def still_admits(context: ssl.SSLContext, sock: ssl.SSLSocket | ssl.SSLObject) -> bool:
    """Whether a peer that was let in may stay: the files are those of then, and neither its chain nor its list ended.

    A handshake is over in a moment, but connections last, and who resumes a session is not verified anew.
    """
    return sock.context is context and time.time() < getattr(sock, "admitted_until", -math.inf)


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate, lower-case hexadecimal: how nodes are known."""
    return hashlib.sha256(der).hexdigest()


def subject_of(peer_certificate: dict[str, object] | None) -> str:
    """The subject of `SSLSocket.getpeercert()` as one line."""
    if not peer_certificate:
        return ""
    names: list[str] = []
    for relative_name in peer_certificate.get("subject", ()):  # type: ignore[attr-defined]
        names.extend(f"{key}={value}" for key, value in relative_name)
    return ", ".join(names)
