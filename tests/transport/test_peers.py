"""transport/peers: a certificate counts when the connection or a trusted proxy shows it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from tests.certificates import identity
from xdsi.domain.subject import Node, Peer
from xdsi.transport.peers import nodes_by_fingerprint, peer_of_request

HOSPITAL = identity("hospital", "2048")
NODE = Node(name="hospital", certificate_sha256=HOSPITAL.sha256)
NODES = nodes_by_fingerprint([NODE])
PEM = HOSPITAL.cert_pem.decode()
PROXY = "10.1.2.3"


def seen(header: str | None, address: str = PROXY, **arguments: object) -> Peer:
    given = {"proxy_header": "X-Client-Cert", "proxy_addresses": ["10.1.0.0/16", "2001:db8::1"]} | arguments
    environ = {"REMOTE_ADDR": address} | ({"HTTP_X_CLIENT_CERT": header} if header is not None else {})
    return peer_of_request(NODES, **given)(environ)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "header",
    [quote(PEM), PEM.replace("\n", " "), PEM, base64.b64encode(HOSPITAL.cert_der).decode()],
    ids=["URL-encoded", "spaces", "lines", "base64 alone"],
)
def test_a_trusted_proxy_shows_the_certificate(header: str) -> None:
    peer = seen(header)
    assert (peer.certificate_sha256, peer.node, peer.address) == (HOSPITAL.sha256, NODE, PROXY)
    assert peer.certificate_subject == "CN=hospital"


@pytest.mark.parametrize("address", ["10.2.0.1", "192.0.2.1", "2001:db8::2", "", "unix"])
def test_nobody_else_is_believed(address: str) -> None:
    assert seen(quote(PEM), address) == Peer(address=address)


def test_a_proxy_may_have_an_address_of_the_new_kind() -> None:
    assert seen(quote(PEM), "2001:db8::1").node == NODE


@pytest.mark.parametrize("header", ["", "nonsense", "-----BEGIN CERTIFICATE-----", f"{quote(PEM)},{quote(PEM)}", "ü"])
def test_what_is_no_certificate_is_nobody(header: str) -> None:
    """Nor is it the proxy, whose own certificate says nothing of who asks."""
    assert seen(header) == Peer(address=PROXY, unshown=True)


def test_a_certificate_that_nobody_registered_is_no_node() -> None:
    peer = seen(quote(identity("stranger", "2048").cert_pem.decode()))
    assert (peer.node, bool(peer.certificate_sha256)) == (None, True)


def test_without_a_proxy_the_header_means_nothing() -> None:
    assert seen(quote(PEM), proxy_header="") == Peer(address=PROXY)
    assert seen(quote(PEM), proxy_addresses=[]) == Peer(address=PROXY)


def test_a_proxy_that_shows_none_stands_for_nobody() -> None:
    assert seen(None) == Peer(address=PROXY, unshown=True)
    assert seen(None, "192.0.2.1") == Peer(address="192.0.2.1"), "who comes by himself"


def test_a_certificate_that_ended_is_not_shown() -> None:
    """A proxy looked at it once, and its connections and sessions last."""
    ended = identity("former", end=datetime(2024, 6, 1, tzinfo=UTC))
    nodes = nodes_by_fingerprint([Node(name="former", certificate_sha256=ended.sha256)])
    ask = peer_of_request(nodes, proxy_header="X-Client-Cert", proxy_addresses=[PROXY])
    peer = ask({"REMOTE_ADDR": PROXY, "HTTP_X_CLIENT_CERT": quote(ended.cert_pem.decode())})
    assert peer == Peer(address=PROXY, certificate_subject="CN=former", unshown=True)


def test_networks_that_are_none_are_told_at_once() -> None:
    with pytest.raises(ValueError):
        peer_of_request(NODES, proxy_header="X", proxy_addresses=["proxy.example"])
