"""Who is at the other end of a connection: the client certificate, directly or through a trusted proxy (ITI-19)."""

from __future__ import annotations

import binascii
import ipaddress
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from cryptography import x509

from xdsi.domain.subject import Node, Peer
from xdsi.transport.tls import Shown, fingerprint, shown_by


def nodes_by_fingerprint(nodes: Iterable[Node]) -> dict[str, Node]:
    """The nodes of the settings, by the SHA-256 of their certificates."""
    return {node.certificate_sha256: node for node in nodes}


def peer_of_socket(sock: Any, address: str, nodes: Mapping[str, Node]) -> Peer:
    """The peer of a connected socket, plain or TLS."""
    if not isinstance(sock, ssl.SSLSocket):
        return Peer(address=address)
    try:
        shown = shown_by(sock)
    except ValueError:
        shown = None  # it went away: then nothing shows any more who it was
    if shown is None:
        return Peer(address=address)
    return Peer(
        address=address,
        certificate_sha256=shown.sha256,
        certificate_subject=shown.subject,
        node=nodes.get(shown.sha256),
    )


def peer_of_request(
    nodes: Mapping[str, Node], *, proxy_header: str = "", proxy_addresses: Iterable[str] = ()
) -> Callable[[Mapping[str, Any]], Peer]:
    """A function from a WSGI environment to the peer.

    `proxy_header` is believed only from `proxy_addresses` (networks or addresses): from anybody else it is ignored.
    """
    key = "HTTP_" + proxy_header.upper().replace("-", "_") if proxy_header else ""
    trusted = [ipaddress.ip_network(text, strict=False) for text in proxy_addresses]

    @lru_cache(maxsize=1024)
    def is_proxy(address: str) -> bool:
        return _is_in(address, trusted)

    def peer(environ: Mapping[str, Any]) -> Peer:
        address = environ.get("REMOTE_ADDR", "")
        if key and is_proxy(address):
            # Of a proxy's own certificate nothing follows: it is not the one who asks.
            return _forwarded(environ.get(key, ""), address, nodes)
        return peer_of_socket(environ.get("gunicorn.socket"), address, nodes)

    return peer


def _is_in(address: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(known in network for network in networks)


def _forwarded(value: str, address: str, nodes: Mapping[str, Node]) -> Peer:
    """The certificate as a proxy writes it: PEM, URL-encoded (nginx) or with its line breaks as spaces."""
    try:
        shown = _certificate(value)
    except (binascii.Error, ValueError):
        return Peer(address=address, unshown=True)
    if time.time() >= shown.until:
        # The proxy let it in once, and connections last.
        return Peer(address=address, certificate_subject=shown.subject, unshown=True)
    return Peer(
        address=address,
        certificate_sha256=shown.sha256,
        certificate_subject=shown.subject,
        node=nodes.get(shown.sha256),
    )


@lru_cache(maxsize=1024)
def _certificate(value: str) -> Shown:
    """The certificate in a header: what a text says of itself does not change."""
    pem = unquote(value)
    body = pem.replace("-----BEGIN CERTIFICATE-----", "").replace("-----END CERTIFICATE-----", "")
    der = binascii.a2b_base64("".join(body.split()), strict_mode=True)
    certificate = x509.load_der_x509_certificate(der)
    until = certificate.not_valid_after_utc.timestamp()
    return Shown(fingerprint(der), certificate.subject.rfc4514_string(), until)
