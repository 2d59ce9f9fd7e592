"""A hub behind a real nginx that ends TLS, asks for certificates without insisting, and keeps what it may.

RFC 9111 (what a shared cache may keep), RFC 9112 section 11.2 (requests that are read in two ways); ITI TF-2 3.19.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.security import nginx, ways_of_asking, ways_to_documents, ways_to_images
from tests.security.asking import Asker, all_of, of_patient
from tests.security.nginx import BARRED, HEADER
from tests.security.targets import URGENT, Target, gives_away
from tests.security.test_requests import TWO_LENGTHS
from tests.security.ways import RIGHT, TRICKS
from tests.servers import REPOSITORY, free_port, serving
from tests.trusted import Trusted, settings, token
from xdsi.spec import uuids
from xdsi.transport import pki

PAGE = REPOSITORY / "docs" / "proxy.md"
FILLED_BY = (ways_of_asking, ways_to_documents, ways_to_images)
TRICKED = ("after an answer to somebody else", "other methods and parts", "paths that go elsewhere")


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusted]:
    """The same hub as everywhere here, behind nginx; all that is asked, by its operator too, goes through it."""
    folder = tmp_path_factory.mktemp("proxied")
    port, own = free_port(), free_port()
    # For commands, which connect as the hub does.
    (folder / "hub.toml").write_text(settings(folder, port))
    served = re.sub(r"\[tls\]\n(.*\n){3}", f"[tls]\nproxy_header = '{HEADER}'\nproxy_addresses = ['127.0.0.1']\n",
                    settings(folder, own), count=1)  # fmt: skip
    signing = f"[consent]\ndecision_certificate = '{folder / 'pki' / 'hub.pem'}'\n"
    (folder / "proxied.toml").write_text(served.replace("[consent]\n", signing))
    with (
        serving(folder / "data", config=folder / "proxied.toml", port=own) as server,
        nginx.before(own, port, folder / "pki", folder / "nginx"),
    ):
        seen = replace(server, port=port, ready={"base_url": f"https://127.0.0.1:{port}"})
        hub = Trusted(seen, folder)
        hub.furnish()
        _OWN_PORTS[hub.server.base_url] = own
        yield hub
        hub.session.close()


_OWN_PORTS: dict[str, int] = {}
"""where a hub itself is, behind its nginx"""


def urgent(hub: Trusted) -> str:
    return Asker(hub, URGENT).authorization


# -- caches


def test_nginx_keeps_what_it_may(trusted: Trusted) -> None:
    """Or else the tests below would show nothing."""
    for _ in range(2):
        answer = trusted.session.get(f"{trusted.server.base_url}/services/registry?wsdl", timeout=60)
    assert answer.headers["X-Cache"] == "HIT"


@pytest.mark.parametrize(
    "below", ["/dicom-web{path}", "/dicom-web{path}/metadata", "/dicom-web{path}/rendered", "/wado"]
)
def test_what_one_was_given_is_not_kept_for_another(trusted: Trusted, hidden: Target, below: str) -> None:
    """Nor what another was refused: after the refusal, who may see it sees it."""
    path = below.format(path=hidden.path)
    if below == "/wado":
        path += f"?requestType=WADO&studyUID={hidden.study}&seriesUID={hidden.series}&objectUID={hidden.instance}"
    conditions = {"If-None-Match": "*", "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    seen: list[int] = []
    for authorization, more in (
        (None, {}),
        (urgent(trusted), {}),
        (None, {}),
        (None, conditions),
        ("", {}),
        (None, conditions),
    ):
        answer = trusted.get(path, authorization, "", **more)
        assert answer.headers["X-Cache"] in ("MISS", "BYPASS", "EXPIRED"), answer.headers
        assert answer.headers["Cache-Control"] == "no-store"
        assert {one.strip() for one in answer.headers["Vary"].split(",")} >= {"Authorization", "Accept"}
        assert answer.status_code == 200 or gives_away(answer, hidden) == []
        seen.append(answer.status_code)
    assert seen == [404, 200, 404, 404, 401, 404]


def test_a_message_is_answered_anew(trusted: Trusted, hidden: Target) -> None:
    """Where a cache takes POST for a question, too: all SOAP messages to an actor have one address."""
    found = [
        Asker(trusted, who).query(uuids.FIND_DOCUMENTS, *of_patient(hidden.patient)).content.count(b"ExtrinsicObject ")
        for who in (URGENT, Asker(trusted).subject, URGENT)
    ]
    assert found == [1, 0, 1]
    images = [Asker(trusted, who).images(all_of(hidden.study)) for who in (URGENT, Asker(trusted).subject)]
    assert [b"DICM" in one.content for one in images] == [True, False]
    assert {one.headers["Cache-Control"] for one in images} == {"no-store"}


@pytest.mark.parametrize("asked", ["bytes=0-199", "bytes=-512", "bytes=0-0,-1", "bytes=99999999-"])
def test_a_part_of_an_image_is_given_to_who_may_see_the_whole(
    trusted: Trusted, hidden: Target, visible: Target, asked: str
) -> None:
    """nginx cuts parts out of answers by itself."""
    part = trusted.get(f"/dicom-web{visible.path}", None, "", Range=asked)
    assert part.status_code in {"bytes=99999999-": (416,), "bytes=0-0,-1": (200, 206)}.get(asked, (206,))
    refused = trusted.get(f"/dicom-web{hidden.path}", None, "", Range=asked)
    assert (refused.status_code, gives_away(refused, hidden)) == (404, [])


# -- ways to a study


@pytest.mark.parametrize("way", [*RIGHT, *TRICKED])
def test_nothing_is_given_away(trusted: Trusted, hidden: Target, way: str) -> None:
    for answer in (RIGHT | TRICKS)[way](Asker(trusted), hidden):
        told = gives_away(answer, hidden)
        assert not told, (answer.request.url, answer.status_code, told, answer.content[:2000])


def test_what_may_be_seen_is_seen_through_it(trusted: Trusted, visible: Target) -> None:
    for way in ("find documents of the patient", "retrieve the manifest", "images by soap", "images by rest"):
        for answer in RIGHT[way](Asker(trusted), visible):
            assert answer.status_code == 200
            assert gives_away(answer, visible)


# -- requests that are read in two ways


@pytest.mark.parametrize("lengths", TWO_LENGTHS)
def test_a_request_with_two_lengths_brings_no_other_in(trusted: Trusted, visible: Target, lengths: str) -> None:
    """Behind it lies one for a path that nginx lets nobody through to; the next asker gets the answer to his own."""
    smuggled = f"GET {BARRED} HTTP/1.1\r\nHost: x\r\nX: "
    head = f"POST /services/registry HTTP/1.1\r\nHost: x\r\nContent-Type: application/soap+xml\r\n{lengths}\r\n"
    for body in (b"0\r\n\r\n", b"5\r\nabcde\r\n0\r\n\r\n"):
        told = raw(trusted, head.encode() + body + smuggled.encode())
        assert b"xdsi_" not in told
        assert b"# TYPE" not in told
    answer = trusted.get(f"/dicom-web{visible.path}/metadata", None, "application/dicom+json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/dicom+json")
    assert visible.instance in answer.text


def test_the_barred_path_is_there_behind_it(trusted: Trusted) -> None:
    direct = _OWN_PORTS[trusted.server.base_url]
    own = pki.load(trusted.pki, "hub").certificate_file.read_text()
    answer = requests.get(f"http://127.0.0.1:{direct}{BARRED}", headers={HEADER: quote(own)}, timeout=60)
    assert "# TYPE" in answer.text
    assert trusted.session.get(trusted.server.base_url + BARRED, timeout=60).status_code == 403


def raw(hub: Trusted, octets: bytes, *, certificate: bool = True) -> bytes:
    """What comes back on a connection until it is closed."""
    context = hub.context() if certificate else ssl.create_default_context(cafile=str(hub.pki / "ca.pem"))
    answer = b""
    with hub.server.connect(context) as connection:
        connection.settimeout(5)
        with suppress(OSError):
            connection.sendall(octets)
            while piece := connection.recv(65536):
                answer += piece
    return answer


# -- certificates


@pytest.mark.parametrize(
    "name", [HEADER, HEADER.lower(), HEADER.replace("-", "_"), f"{HEADER} ", f" {HEADER}", f"X: y\r\n{HEADER}"]
)
@pytest.mark.parametrize("certificate", [True, False], ids=["with a certificate", "without one"])
def test_a_certificate_in_a_header_of_ones_own_counts_for_nothing(
    trusted: Trusted, name: str, certificate: bool
) -> None:
    """The hub's own node may publish and read figures; the client names its certificate, by any spelling, and is not
    that node."""
    own = quote(pki.load(trusted.pki, "hub").certificate_file.read_text())
    request = f"GET /{{}} HTTP/1.1\r\nHost: x\r\n{name}: {own}\r\nConnection: close\r\n\r\n"
    # Another spelling of the barred path, which nginx lets through and the hub does not know.
    assert b"# TYPE" not in raw(trusted, request.format("Metrics").encode(), certificate=certificate)
    feed = (
        "POST /services/identity HTTP/1.1\r\nHost: x\r\nContent-Type: application/soap+xml\r\n"
        f"{name}: {own}\r\nConnection: close\r\nContent-Length: {{}}\r\n\r\n{{}}"
    )
    message = (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing">'
        "<s:Header><a:Action>urn:hl7-org:v3:PRPA_IN201301UV02</a:Action></s:Header><s:Body><x/></s:Body></s:Envelope>"
    )
    told = raw(trusted, feed.format(len(message), message).encode(), certificate=certificate)
    assert b"FailedAuthentication" in told or told.startswith(b"HTTP/1.1 400"), told


@pytest.mark.parametrize("way", ["find documents of the patient", "retrieve the manifest", "images by soap"])
def test_an_assertion_alone_opens_nothing(trusted: Trusted, visible: Target, way: str) -> None:
    """nginx lets clients without a certificate through; the hub lets none of them in (ITI-19)."""
    bare = Trusted(trusted.server, trusted.folder)
    session = requests.Session()
    session.trust_env = False
    session.verify = str(trusted.pki / "ca.pem")
    bare.__dict__["session"] = session
    for answer in RIGHT[way](Asker(bare), visible):
        assert b"FailedAuthentication" in answer.content
        assert gives_away(answer, visible) == []
    refused = bare.get(f"/dicom-web{visible.path}")
    assert refused.status_code == 401
    assert trusted.audited(refused.headers["Xdsi-Trace"])
    session.close()


def test_each_request_of_the_proxys_connection_is_of_who_is_named_in_it(trusted: Trusted) -> None:
    """A proxy sends the requests of all its clients over few connections, one behind the other: none is the next one's.

    Figures are for the hub's own node alone; who is named twice, or otherwise than by the header, is nobody.
    """
    hub, consumer = (quote(pki.load(trusted.pki, name).certificate_file.read_text()) for name in ("hub", "consumer"))
    turns = [
        (f"{HEADER}: {hub}\r\n", 200),
        (f"{HEADER}: {consumer}\r\n", 403),
        ("", 403),
        (f"{HEADER}: {hub}\r\n", 200),
        (f"{HEADER}: {consumer}\r\n{HEADER}: {hub}\r\n", 403),
        (f"{HEADER}: {hub}\r\n{HEADER}: {consumer}\r\n", 403),
        (f"{HEADER}: {consumer}\r\n{HEADER.replace('-', '_')}: {hub}\r\n", 403),
        (f"{HEADER}: \r\n", 403),
        (f"{HEADER}: {hub}\r\nConnection: close\r\n", 200),
    ]
    requests_ = [f"GET /metrics HTTP/1.1\r\nHost: x\r\n{shown}\r\n".encode() for shown, _ in turns]
    expected = [status for _, status in turns]
    for pipelined in (True, False):
        with socket.create_connection(("127.0.0.1", _OWN_PORTS[trusted.server.base_url]), timeout=60) as connection:
            answer = b""
            if pipelined:
                connection.sendall(b"".join(requests_))
            else:
                for number, request in enumerate(requests_, 1):
                    connection.sendall(request)
                    while answer.count(b"HTTP/1.1 ") < number:
                        piece = connection.recv(65536)
                        assert piece
                        answer += piece
            while piece := connection.recv(65536):
                answer += piece
        assert [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3})", answer)] == expected


def test_a_strangers_certificate_ends_at_nginx(trusted: Trusted) -> None:
    context = ssl.create_default_context(cafile=str(trusted.pki / "ca.pem"))
    context.load_cert_chain(trusted.pki / "stranger.pem", trusted.pki / "stranger.key")
    request = f"GET /services/registry?wsdl HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n\r\n".encode()
    with trusted.server.connect(context) as connection:
        connection.settimeout(10)
        connection.sendall(request)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")


# -- the page for operators


def test_nginx_takes_what_the_page_says(trusted: Trusted, tmp_path: Path) -> None:
    (block,) = re.findall(r"^```nginx\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert f"proxy_set_header        {HEADER} $ssl_client_escaped_cert;" in block
    assert nginx.complains(block.replace("pki/", f"{trusted.pki}/"), tmp_path) == ""
    assert "unknown directive" in nginx.complains(block.replace("ssl_verify_client", "ssl_verify_clients"), tmp_path)
