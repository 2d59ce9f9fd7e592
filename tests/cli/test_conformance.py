"""`xdsi conformance`: what an integrator types, and what he is told."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lxml import etree

from tests.certificates import identity
from tests.conformance.peers import Peer, answering
from tests.servers import Server
from xdsi.cli import main
from xdsi.cli.serve import ISSUER
from xdsi.conformance import options
from xdsi.conformance.tokens import stranger


@pytest.fixture
def peer() -> Iterator[Peer]:
    with answering() as server:
        yield server


def url(peer: Peer) -> str:
    return f"http://127.0.0.1:{peer.server_port}"


def typed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, and what stands on standard output and standard error."""
    status = main(["conformance", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_cases_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = typed(capsys, "list", "0101", "--actor", "registry")
    assert (status, "0101-register-and-find" in out, "1 case" in out) == (0, True, True)
    status, out, _ = typed(capsys, "show", "0104")
    assert status == 0
    assert "# 0104 Replacement deprecates what it replaces" in out
    assert "replacement.xml" in out
    assert typed(capsys, "show", "9999")[0] == 1


def test_a_line_for_each_case_and_their_number(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = typed(capsys, "run", "--endpoint", url(peer), "0101", "0701")
    assert status == 1
    assert "FAIL  0101-register-and-find" in out
    assert "skip  0701-one-image" in out
    assert "needs images" in out
    assert "1 FAIL, 1 skip" in err
    assert "no DocumentEntry" not in out


def test_what_the_system_has_is_found_out(open_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = typed(capsys, "run", "--endpoint", open_server.base_url, "--case", "0013", "--case", "0607")
    assert status == 0
    assert "with trace: answers carry Xdsi-Trace" in out
    assert "1 pass, 1 skip" in out
    assert "no authorization here" not in out, "no case asks for it"


def test_reports_are_written(open_server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    junit, page = tmp_path / "r.xml", tmp_path / "r.html"
    arguments = ["--endpoint", open_server.base_url, "--junit", str(junit), "--html", str(page), "0101", "0023"]
    assert typed(capsys, "run", *arguments)[0] == 0
    suite = etree.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "0", "1")
    assert "urn:ihe:iti:2007:RegisterDocumentSet-b" in page.read_text()


def test_a_program_gets_one_object(open_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "conformance", "run", "--endpoint", open_server.base_url, "0101"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(item["case"], item["verdict"], item["findings"]) for item in said["items"]] == [
        ("0101-register-and-find", "passed", [])
    ]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["99*"], "no case is meant by '99*'"),
        (["0101", "99*"], "no case is meant by '99*'"),
        (["--only", "ruling", "0101"], "no case is left"),
        (["--actor", "repository", "0101"], "among those about repository"),
        (["--suite", "nothing"], "neither a suite"),
        (["--path", "registry"], "expected --path ACTOR=URL"),
        (["--path", "library=/x"], "expected one of registry"),
        (["--issuer-key", "x.pem"], "--issuer-key needs --issuer-cert"),
        (["--patient-id", "P1"], "is no patient identifier"),
        (["--assertion", "/nowhere"], "--assertion /nowhere"),
        (["--endpoint", "https://grace:pw@h"], "https://(not shown)@h: no user and password in a URL"),
        (["--endpoint", "htps://grace:pw@h"], "'htps://(not shown)@h': expected http://HOST:PORT"),
        (["--path", "registry=https://grace:pw@h/x"], "https://(not shown)@h/x: no user and password"),
        (["--endpoint", "http://h?token=pw"], "http://h?token=(not shown) has a path"),
        (["--path", "registry=foo"], "--path registry=foo: expected a path that begins with /"),
        (["--html", "/"], "/: no file can be written there"),
        (["--deadline", "0"], "--deadline 0: expected more than 0"),
        (["--max-answer", "-1"], "--max-answer -1: expected more than 0"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(options: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = typed(capsys, "run", "--endpoint", "http://127.0.0.1:1", *options)
    assert (status, why in err) == (1, True), err
    assert "pw" not in err


@pytest.mark.parametrize(
    ("text", "why"),
    [("no XML", "there is no assertion in it"), ("", "there is no assertion in it"), ("<Assertion>", "is not XML")],
)
def test_a_file_without_an_assertion_is_told(
    text: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "assertion.xml").write_text(text)
    options = ["--endpoint", "http://127.0.0.1:1", "--assertion", str(tmp_path / "assertion.xml")]
    status, _, err = typed(capsys, "run", *options)
    assert (status, why in err, err.count("\n")) == (1, True, 1), err


def test_a_key_that_makes_no_assertions_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = {"ours": identity("ours", "2048"), "other": identity("other"), "curve": identity("curve")}
    for name, pair in pairs.items():
        (tmp_path / f"{name}.key").write_bytes(pair.key_pem)
        (tmp_path / f"{name}.pem").write_bytes(pair.cert_pem)
    (tmp_path / "none").write_text("nothing")
    for key, certificate, why in (
        ("none", "ours.pem", "none: "),
        ("ours.key", "none", "none: "),
        ("ours.key", "other.pem", "other.pem is not the certificate of"),
        ("curve.key", "curve.pem", "curve.key: expected an RSA key"),
    ):
        options = ["--issuer-key", str(tmp_path / key), "--issuer-cert", str(tmp_path / certificate)]
        status, _, err = typed(capsys, "run", "--endpoint", "http://127.0.0.1:1", *options)
        assert (status, "--issuer-key, --issuer-cert: " in err, why in err) == (1, True, True), err
        assert err.count("\n") == 1, err


@contextmanager
def tls_server(folder: Path) -> Iterator[str]:
    """A server whose certificate nobody trusts."""
    pair = identity("localhost")
    (folder / "server.pem").write_bytes(pair.cert_pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_is_down_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = typed(capsys, "run", "--endpoint", "http://127.0.0.1:1", "01")
    assert (status, err.count("\n")) == (1, 1)
    assert "http://127.0.0.1:1/services/registry cannot be reached: connection refused" in err


def test_a_server_that_is_not_trusted_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tls_server(tmp_path) as where:
        status, _, err = typed(capsys, "run", "--endpoint", where, "01")
    assert (status, err.count("\n")) == (1, 1)
    assert "certificate is not trusted" in err
    assert "--ca FILE" in err


def test_a_page_that_is_no_soap_service_is_told(open_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    where = f"{open_server.base_url}/health/live"
    status, _, err = typed(capsys, "run", "--endpoint", where, "--actor", "registry")
    assert status == 1
    assert f"{where} is no SOAP 1.2 service: HTTP 405" in err
    plain = open_server.base_url.replace("http://", "https://")
    assert "speaks no TLS" in typed(capsys, "run", "--endpoint", plain)[2]


def test_no_secret_of_a_url_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = ["--html", str(tmp_path / "r.html"), "--junit", str(tmp_path / "r.xml")]
    where = ["--endpoint", "http://127.0.0.1:1/x?token=s3cret", "--actor", "registry"]
    assert "s3cret" not in "".join(map(str, typed(capsys, "run", *where, "0101")))
    with answering() as peer:
        where[1] = f"{url(peer)}/x?token=s3cret"
        said = typed(capsys, "run", *where, *written, "0101")
    assert b"token=s3cret" in peer.requests[-1][1]
    assert "s3cret" not in "".join(map(str, said))
    for file in tmp_path.iterdir():
        assert "s3cret" not in file.read_text()


def test_a_path_without_its_actor_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = typed(capsys, "run", "--endpoint", "http://127.0.0.1:1/services/registry", "0104")
    assert (status, err.count("\n")) == (1, 1)
    assert "name it with --actor" in err


def test_a_server_that_wants_assertions_is_told(full_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    pki = full_server.data / "pki"
    certificates = ["--ca", str(pki / "ca.pem"), "--tls-cert", str(pki / "consumer.pem")]
    where = ["--endpoint", full_server.base_url]
    assert "asks for a client certificate" in typed(capsys, "run", *where, *certificates[:2])[2]
    certificates += ["--tls-key", str(pki / "consumer.key")]
    status, _, err = typed(capsys, "run", *where, *certificates)
    assert (status, "asks for an identity assertion" in err) == (1, True)
    status, out, _ = typed(
        capsys, "run", *where, "--pki", str(pki), "--suite", "xua", "--case", "1401", "--case", "1402"
    )
    assert (status, "2 pass" in out) == (0, True)


def test_assertions_are_made_or_taken_from_a_file(
    peer: Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "idp.key").write_bytes(stranger().key)
    (tmp_path / "idp.pem").write_bytes(stranger().certificate)
    signing = ["--issuer-key", str(tmp_path / "idp.key"), "--issuer-cert", str(tmp_path / "idp.pem")]
    typed(capsys, "run", "--endpoint", url(peer), *signing, "--issuer", "urn:mine", "--feature", "open", "0101")
    assert b"<saml:Issuer>urn:mine</saml:Issuer>" in peer.requests[-1][1]
    (tmp_path / "a.xml").write_text('<?xml version="1.0"?>\n<a:Assertion xmlns:a="urn:x">me</a:Assertion>')
    own = ["--assertion", str(tmp_path / "a.xml"), "--feature", "open"]
    typed(capsys, "run", "--endpoint", url(peer), *own, "0101")
    assert b'Security xmlns:wsse="' in peer.requests[-1][1]
    assert b'<a:Assertion xmlns:a="urn:x">me</a:Assertion>' in peer.requests[-1][1]


def test_patients_that_the_system_knows_are_used_once(
    open_server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = f"P{tmp_path.name}"
    (tmp_path / "patients").write_text(f"# known\n{own}2^^^&2.999.1&ISO\n")
    named = ["--patient-id", f"{own}1^^^&2.999.1&ISO", "--patients", str(tmp_path / "patients")]
    status, out, _ = typed(capsys, "run", "--endpoint", open_server.base_url, *named, "0101", "0102", "0104")
    assert status == 0
    assert "2 pass, 1 skip" in out
    assert "none is left of those named" in out


def test_the_url_of_one_actor_is_enough(open_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    where = f"{open_server.base_url}/services/repository"
    status, out, _ = typed(capsys, "run", "--endpoint", where, "--actor", "repository", "0502", "0301")
    assert status == 0
    assert "pass  0502" in out
    assert "no URL is known of it (--path registry=URL)" in out
    more = ["--path", f"registry={open_server.base_url}/services/registry"]
    assert "1 pass" in typed(capsys, "run", "--endpoint", where, "--actor", "repository", *more, "0301")[1]


def test_paths_and_values_are_taken(peer: Peer, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--path", "registry=/here", "--value", "repository=2.999.55", "--only", "profile", "--feature", "open"]
    assert typed(capsys, "run", "--endpoint", url(peer), *own, "0101")[0] == 1
    assert any(b"2.999.55" in body for _, body in peer.requests)
    assert f"{url(peer)}/here".encode() in peer.requests[0][1]


def test_a_folder_of_ones_own_cases_is_a_suite(
    open_server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "9001-nobody"
    own.mkdir()
    (own / "expectation.toml").write_text(
        'title = "Nobody"\nclause = "ours"\n[[step]]\ntransaction = "ITI-18"\nrequest = "find.xml"\n'
        'expect = { status = "Success", xpath = [{ path = "//rim:ExtrinsicObject", count = 1 }] }\n'
    )
    status, out, _ = typed(capsys, "run", "--endpoint", open_server.base_url, "--suite", str(tmp_path))
    assert status == 1
    assert "FAIL  9001-nobody" in out
    assert "1 at //rim:ExtrinsicObject" in out


def test_assertions_are_of_the_issuer_whom_a_first_start_trusts() -> None:
    assert options.ISSUER == ISSUER
