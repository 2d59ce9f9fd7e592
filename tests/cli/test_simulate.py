"""`xdsi simulate`: each actor is started and spoken to, each fault is seen, and what was recorded can be validated."""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from werkzeug.serving import make_server

from tests import message_samples as samples
from tests.servers import environment, wait_until
from xdsi.app import simulation
from xdsi.app.simulated_messages import message, submission
from xdsi.cli import main
from xdsi.domain.errors import MalformedMessage, SecurityFault
from xdsi.domain.findings import Level
from xdsi.domain.identifiers import PatientId
from xdsi.domain.imaging import ImagingRequest, SeriesRequest, StudyRequest
from xdsi.domain.retrieval import DocumentRequest
from xdsi.spec import namespaces as ns
from xdsi.storage.exchange_recorder import ExchangeRecorder
from xdsi.transport import pki
from xdsi.transport.simulator import FaultLayer, LocalServer, Switches, _body
from xdsi.validation import validate
from xdsi.validation.packaging import unpack
from xdsi.wire import mtom, simulated_faults, soap, xml
from xdsi.wire.ebxml.imaging import encode_request
from xdsi.wire.jwt_token import JwtTrust, read_token
from xdsi.wire.message import Packaging

IMAGES = Path(__file__).resolve().parent.parent / "conformance" / "dicom"
PATIENT = PatientId("SIM1", "2.999.1.1")
FIND = samples.envelope("ITI-18", samples.QUERY)
SOAP_TYPE = {"Content-Type": soap.CONTENT_TYPE}


@contextmanager
def simulating(folder: Path, actor: str, *options: str) -> Iterator[dict[str, Any]]:
    """A simulated server as its users run it."""
    command = [sys.executable, "-m", "xdsi", "simulate", actor, "--record", str(folder / "record"), *options]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment())
    try:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], 90)
        line = process.stdout.readline() if readable else ""
        assert line, (folder / "log").read_text()
        yield json.loads(line)
    finally:
        process.terminate()
        assert process.wait(60) == 0, (folder / "log").read_text()
        if process.stdout is not None:
            process.stdout.close()


def post(url: str, body: bytes, headers: dict[str, str] = SOAP_TYPE) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(url, data=body, headers=headers, timeout=60)


def index(folder: Path) -> list[dict[str, Any]]:
    """What was recorded."""
    return [json.loads(line) for line in (folder / "record" / "index.jsonl").read_text().splitlines()]


def test_a_registry_and_repository_answer_and_their_faults_are_switched(tmp_path: Path) -> None:
    with simulating(tmp_path, "repository") as told:
        url = told["base_url"]
        provide = message("ITI-41", submission(PATIENT, "hello", source_id="2.999.3"), to=url)
        answer = post(f"{url}/services/repository", provide.body, dict(provide.headers))
        assert b"ResponseStatusType:Success" in answer.content
        assert requests.put(told["switch"], data="partial wrong-id", timeout=60).text == "partial\nwrong-id\n"
        found = post(f"{url}/services/registry", FIND)
        assert ns.PARTIAL_SUCCESS in found.text
        assert "urn:uuid:0<" in found.text
        assert requests.put(told["switch"], data="nothing", timeout=60).status_code == 400
        assert requests.put(told["switch"], data="", timeout=60).text == ""
        assert ns.SUCCESS in post(f"{url}/services/registry", FIND).text
    first, second, third = index(tmp_path)
    assert [one["faults"] for one in (first, second, third)] == [[], ["partial", "wrong-id"], []]
    assert all(one["milliseconds"] > 0 for one in (first, second, third))
    # What was recorded is validated as it lies there.
    kinds = []
    for name in (first["request"], first["response"], third["request"], third["response"]):
        report = validate((tmp_path / "record" / name).read_bytes())
        assert report.findings == (), name
        kinds.append(report.about)
    assert kinds == [
        "ITI-41 Provide and Register Document Set-b, request", "ITI-41 Provide and Register Document Set-b, answer",
        "ITI-18 Registry Stored Query, request", "ITI-18 Registry Stored Query, answer",
    ]  # fmt: skip


def test_an_imaging_source_gives_images_and_withholds_one_where_it_is_told_to(tmp_path: Path) -> None:
    images = {one.SOPInstanceUID: one for one in (pydicom.dcmread(IMAGES / name) for name in ("a-1.dcm", "a-2.dcm"))}
    first, second = images.values()
    asked = tuple(DocumentRequest("", "2.999.1.3", uid) for uid in images)
    series = SeriesRequest(first.SeriesInstanceUID, asked)
    request = ImagingRequest((StudyRequest(first.StudyInstanceUID, (series,)),), ("1.2.840.10008.1.2.1",))
    with simulating(tmp_path, "imaging-source", "--dicom", str(IMAGES)) as told:
        url = f"{told['base_url']}/services/imaging-source"
        one = f"{first.StudyInstanceUID}/{first.SeriesInstanceUID}/{first.SOPInstanceUID}"
        client = ["--endpoint", url, "--record", str(tmp_path / "client"), "--image", one]
        assert main(["simulate", "imaging-consumer", *client]) == 0
        for faults in ("", "partial"):
            assert requests.put(told["switch"], data=faults, timeout=60).ok
            both = message("RAD-69", encode_request(request, Packaging.MTOM), to=url)
            post(url, both.body, dict(both.headers))
    answers = []
    for exchange in index(tmp_path):
        assert exchange["answered"] == "HTTP/1.1 200 OK"
        recorded = [(tmp_path / "record" / exchange[side]).read_bytes() for side in ("request", "response")]
        # The answer of RAD-69 has the Action and the body of ITI-43.
        assert [validate(raw).about for raw in recorded] == [IMAGING, "ITI-43 Retrieve Document Set, answer"]
        assert [one.rule for raw in recorded for one in validate(raw).findings if one.level is Level.ERROR] == []
        parts = [b"".join(part.open()) for part in unpack(recorded[1]).parts.values()]
        answers.append([pydicom.dcmread(BytesIO(part)) for part in parts])
        assert (ns.PARTIAL_SUCCESS.encode() in recorded[1]) == (exchange["faults"] == ["partial"])
    assert [[image.SOPInstanceUID for image in answer] for answer in answers] == [
        [first.SOPInstanceUID], [first.SOPInstanceUID, second.SOPInstanceUID], [first.SOPInstanceUID],
    ]  # fmt: skip
    for image in (image for answer in answers for image in answer):
        assert image.PixelData == images[image.SOPInstanceUID].PixelData


# -- the faults of answers, each seen by a client

ANSWER = samples.envelope(
    "ITI-42", f"<rs:RegistryResponse xmlns:rs='{ns.RS}' status=\"{ns.SUCCESS}\"/>".encode(), request=False
)


@contextmanager
def faulty(folder: Path, *on: str, answer: bytes = ANSWER, delay: float = 0.2) -> Iterator[str]:
    """A server that answers always the same, with faults."""

    def inner(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", soap.CONTENT_TYPE)])
        return [answer]

    switches = Switches(simulated_faults.ANSWERS, on)
    layer = FaultLayer(inner, switches, ExchangeRecorder(folder / "record"), delay=delay)
    server = LocalServer(layer, address="127.0.0.1", port=0)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}/services/registry"
    finally:
        server.stop()


SEEN: dict[str, str] = {
    "wrong-id": "<wsa:RelatesTo>urn:uuid:0</wsa:RelatesTo>",
    "wrong-action": ">urn:simulated</wsa:Action>",
    "partial": ns.PARTIAL_SUCCESS,
    "failure": "XDSRegistryError",
    "busy": "XDSRegistryBusy",
    "fault": "soap:Fault",
    "page": "Bad Gateway",
    "wrong-type": "RegistryResponse",
    "slow": "RegistryResponse",
    "no-id": "RegistryResponse",
}


@pytest.mark.parametrize("name", SEEN)
def test_a_fault_is_seen_by_a_client(tmp_path: Path, name: str) -> None:
    with faulty(tmp_path, name) as url:
        answer = post(url, FIND)
    assert SEEN[name] in answer.text
    if name in ("partial", "failure", "busy"):
        assert [
            one.rule for one in validate(answer.content).findings if not one.rule.startswith("RESPONSE.errorCode")
        ] == []
    assert ("RelatesTo" in answer.text) == (name not in ("no-id", "page", "fault"))
    assert (answer.headers["Content-Type"] == "text/plain") == (name == "wrong-type")
    assert answer.status_code == {"fault": 500, "page": 502}.get(name, 200)
    (kept,) = index(tmp_path)
    assert kept["faults"] == [name]
    assert kept["milliseconds"] >= (200 if name == "slow" else 0)
    assert answer.content in (tmp_path / "record" / kept["response"]).read_bytes()


def test_a_malformed_answer_is_no_xml(tmp_path: Path) -> None:
    with faulty(tmp_path, "malformed") as url, pytest.raises(MalformedMessage):
        xml.parse(post(url, FIND).content)


@pytest.mark.parametrize("name", ["no-answer", "truncated"])
def test_a_connection_that_ends_is_noticed(tmp_path: Path, name: str) -> None:
    with (
        faulty(tmp_path, name) as url,
        pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)),
    ):
        post(url, FIND)


def test_altered_bytes_are_other_bytes(tmp_path: Path) -> None:
    whole = samples.envelope("ITI-43", samples.RETRIEVED, request=False)
    with faulty(tmp_path, "altered", answer=whole) as url:
        answer = post(url, FIND).content
    assert answer != whole
    assert len(answer) == len(whole)
    assert validate(answer).findings == ()
    parts = simulated_faults.ANSWERS["altered"].apply
    assert parts is not None
    multipart = samples.mtom(head=False)
    changed = parts(simulated_faults.HttpMessage(200, (), multipart)).body
    assert [one.rule for one in validate(changed).findings] == ["DE.hash.document"]


# -- clients

RECEIVED: list[tuple[dict[str, str], bytes]] = []


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Takes whatever comes."""
    RECEIVED.clear()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        RECEIVED.append(({"type": environ["CONTENT_TYPE"]}, _body(environ)))
        start_response("200 OK", [("Content-Type", soap.CONTENT_TYPE)])
        return [ANSWER]

    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/x"
    server.shutdown()
    thread.join()
    server.server_close()


IMAGING = "RAD-69 Retrieve Imaging Document Set, request"
REQUEST_FAULTS = {
    "": [],
    "slow": [],
    "wrong-id": [],
    "no-action": ["SOAP.wsa.Action"],
    "wrong-action": ["SOAP.wsa.Action"],
    "malformed": ["file.form"],
    "partial": ["MTOM.parts"],
    "soap-1.1": ["SOAP.VersionMismatch"],
    "wrong-type": ["SOAP.content-type"],
}


@pytest.mark.parametrize("name", REQUEST_FAULTS)
def test_a_document_source_sends_with_each_fault(tmp_path: Path, endpoint: str, name: str) -> None:
    options = ["--fault", name] if name else []
    sent = [
        "simulate",
        "document-source",
        "--endpoint",
        endpoint,
        "--record",
        str(tmp_path / "record"),
        "--delay",
        "0.2",
    ]
    assert main([*sent, "--count", "2", "--interval", "0", *options]) == 0
    assert len(RECEIVED) == 2
    kept = index(tmp_path)
    assert [one["faults"] for one in kept] == [[name] if name else []] * 2
    raw = (tmp_path / "record" / kept[0]["request"]).read_bytes()
    assert RECEIVED[0][1] in raw
    rules = [one.rule for one in validate(raw).findings]
    assert rules[:1] == REQUEST_FAULTS[name][:1]
    ids = [re.search(rb"MessageID>([^<]*)<", body) for _, body in RECEIVED]
    if all(ids):
        assert (len({one[1] for one in ids if one}) == 1) == (name == "wrong-id")


@pytest.mark.parametrize(
    ("options", "about"),
    [
        (["document-consumer"], "ITI-18 Registry Stored Query, request"),
        (["document-consumer", "--document", "2.999.1.2:2.999.10.1"], "ITI-43 Retrieve Document Set, request"),
        (["imaging-consumer", "--image", "2.999.5/2.999.5.1/2.999.5.1.1"], IMAGING),
    ],
)  # fmt: skip
def test_a_consumer_asks(tmp_path: Path, endpoint: str, options: list[str], about: str) -> None:
    (tmp_path / "assertion.xml").write_bytes(samples.assertion())
    given = [
        "--endpoint",
        endpoint,
        "--record",
        str(tmp_path / "record"),
        "--assertion",
        str(tmp_path / "assertion.xml"),
    ]
    assert main(["simulate", *options, *given]) == 0
    report = validate((tmp_path / "record" / index(tmp_path)[0]["request"]).read_bytes())
    assert (report.about, report.findings) == (about, ())


def test_a_prepared_message_is_sent_as_it_is(tmp_path: Path, endpoint: str) -> None:
    (tmp_path / "message").write_bytes(b"<x/>")
    given = ["--endpoint", endpoint, "--record", str(tmp_path / "record"), "--message", str(tmp_path / "message")]
    assert main(["simulate", "document-consumer", *given, "--content-type", "text/xml"]) == 0
    assert RECEIVED == [({"type": "text/xml"}, b"<x/>")]


@pytest.mark.parametrize("actor", ["document-source", "document-consumer"])
def test_a_recorded_request_is_sent_again(tmp_path: Path, endpoint: str, actor: str) -> None:
    """Its body under its Content-Type, multipart (ITI-41) or not (ITI-18)."""
    given = ["simulate", actor, "--endpoint", endpoint, "--record", str(tmp_path / "record")]
    assert main(given) == 0
    recorded = tmp_path / "record" / index(tmp_path)[0]["request"]
    assert main([*given, "--message", str(recorded)]) == 0
    first, again = RECEIVED
    assert first == again


def test_a_multipart_body_without_headers_is_sent_as_one(tmp_path: Path, endpoint: str) -> None:
    made = message("ITI-41", submission(PATIENT, "hello", source_id="2.999.3"), to=endpoint)
    (tmp_path / "message").write_bytes(made.body)
    given = ["--endpoint", endpoint, "--record", str(tmp_path / "record"), "--message", str(tmp_path / "message")]
    assert main(["simulate", "document-source", *given]) == 0
    ((headers, sent),) = RECEIVED
    assert sent == made.body
    assert mtom.parse_content_type(headers["type"])[1]["boundary"].encode() in made.body


@pytest.mark.parametrize(("status", "code"), [("Success", 0), ("PartialSuccess", 1), ("Failure", 1)])
@pytest.mark.parametrize("multipart", [False, True])
def test_what_an_answer_reports_is_told_and_decides_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: str, code: int, multipart: bool
) -> None:
    error = "<rs:RegistryError errorCode='XDSRegistryError' codeContext='why' severity='x'/>"
    errors = f"<rs:RegistryErrorList>{error}</rs:RegistryErrorList>" if code else ""
    body = f"<rs:RegistryResponse xmlns:rs='{ns.RS}' status=\"{ns.SUCCESS}\">{errors}</rs:RegistryResponse>"
    body = body.replace("Success", status)
    if multipart:
        body = f"<xdsb:RetrieveDocumentSetResponse xmlns:xdsb='{ns.XDS}'>{body}</xdsb:RetrieveDocumentSetResponse>"
    answer = samples.envelope("ITI-43" if multipart else "ITI-42", body.encode(), request=False)
    if multipart:
        writer = mtom.MultipartWriter(action="urn:ihe:iti:2007:RetrieveDocumentSetResponse")
        answer = b"".join(writer.message((answer,), ()))
    with faulty(tmp_path, answer=answer) as url:
        given = ["--endpoint", url, "--record", str(tmp_path / "client")]
        assert main(["--json", "simulate", "document-consumer", *given]) == code
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert item == {"answer": "HTTP/1.1 200 OK", "status": status, "told": ["XDSRegistryError: why"] * code}


def test_the_reason_of_a_fault_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with simulating(tmp_path, "registry") as told:
        (tmp_path / "message").write_bytes(b"<x/>")
        given = ["--endpoint", f"{told['base_url']}/services/registry", "--record", str(tmp_path / "client")]
        assert main(["simulate", "document-consumer", *given, "--message", str(tmp_path / "message")]) == 1
    out = capsys.readouterr().out
    assert "1: HTTP/1.1 400" in out
    assert "[trace " in out


def test_an_endpoint_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert main(["simulate", "document-consumer", "--endpoint", "http://127.0.0.1:9/x", "--record", str(tmp_path)]) == 1


# -- assertions and audit

ASSERTIONS = {
    "": [],
    "expired": ["SAML.signature.expired", "?SAML.expired"],  # the issuer's certificate is of a moment ago
    "long": ["?SAML.lifetime"],
    "unsigned": ["SAML.unsigned"],
    "altered": ["SAML.signature.value"],
    "no-role": ["SAML.attributes"],
    "not-yet": [], "wrong-audience": [], "wrong-issuer": [], "wrong-key": [], "slow": [],
}  # fmt: skip


TOKENS = {
    "": "", "slow": "",
    "expired": "MessageExpired", "not-yet": "InvalidSecurityToken", "long": "InvalidSecurityToken",
    "unsigned": "UnsupportedAlgorithm", "altered": "FailedCheck", "no-role": "InvalidSecurityToken",
    "wrong-audience": "FailedAuthentication", "wrong-issuer": "FailedAuthentication",
    "wrong-key": "FailedAuthentication",
}  # fmt: skip
"""fault -> the code with which an access token that has it is refused"""


def test_a_provider_of_access_tokens_issues_with_each_fault(tmp_path: Path) -> None:
    assert set(TOKENS) - {""} == set(simulated_faults.TOKENS)
    pki.create_demonstration(tmp_path)
    stranger = (tmp_path / "stranger.key").read_bytes() + b"\0" + (tmp_path / "stranger.pem").read_bytes()
    switches = Switches(simulated_faults.ASSERTIONS)
    provider = simulation.AssertionProvider(
        switches, issuer="urn:idp", key=(tmp_path / "idp.key").read_bytes(),
        certificate=(tmp_path / "idp.pem").read_bytes(), stranger=stranger,
    )  # fmt: skip
    said: dict[str, str] = {}

    def get(path: str) -> bytes:
        query = "user=jekyll&audience=urn:oid:2.999.9"
        environ = {"PATH_INFO": path, "QUERY_STRING": query}
        return b"".join(provider(environ, lambda status, headers: said.update({path: dict(headers)["Content-Type"]})))

    trust = JwtTrust.of({"urn:idp": get("/keys")}, ["urn:oid:2.999.9"])
    for fault, code in TOKENS.items():
        switches.set([fault] if fault else [])
        raw = get("/token")
        if code:
            with pytest.raises(SecurityFault) as refused:
                read_token(raw, trust, now=datetime.now(UTC))
            assert (fault, refused.value.wsse_code) == (fault, code)
        else:
            subject = read_token(raw, trust, now=datetime.now(UTC)).subject
            assert (subject.user_id, subject.organization_id) == ("jekyll", "urn:oid:2.999.5")
            assert [one.code for one in (*subject.roles, *subject.purposes)] == ["112247003", "TREAT"]
    assert said == {"/keys": "application/jwk-set+json", "/token": "application/jwt"}


def test_a_provider_of_assertions_issues_with_each_fault(tmp_path: Path) -> None:
    assert set(ASSERTIONS) - {""} == set(simulated_faults.ASSERTIONS)
    pki.create_demonstration(tmp_path)
    key, certificate = (tmp_path / "idp.key").read_bytes(), (tmp_path / "idp.pem").read_bytes()
    stranger = (tmp_path / "stranger.key").read_bytes() + b"\0" + (tmp_path / "stranger.pem").read_bytes()
    switches = Switches(simulated_faults.ASSERTIONS)
    provider = simulation.AssertionProvider(
        switches, issuer="urn:idp", key=key, certificate=certificate, stranger=stranger
    )
    recorder = ExchangeRecorder(tmp_path / "record")
    server = simulation.assertion_provider(provider, switches, recorder, port=0, delay=0.2)
    server.start()
    url = f"http://127.0.0.1:{server.port}"
    raws = {}
    try:
        assert requests.get(f"{url}/certificate", timeout=60).content == certificate
        for name in ASSERTIONS:
            assert requests.put(f"{url}/simulator/faults", data=name, timeout=60).ok
            raws[name] = requests.get(f"{url}/assertion?user=jekyll&audience=urn:oid:2.999.9", timeout=60).content
        requests.put(f"{url}/simulator/faults", data="", timeout=60)
        assert requests.get(f"{url}/assertion?role=x", timeout=60).status_code == 400
    finally:
        server.stop()
    for name, rules in ASSERTIONS.items():
        report = validate(raws[name])
        assert [f"?{one.rule}" if one.level == "warning" else one.rule for one in report.findings] == rules, name
    assert b"jekyll" in raws[""]
    assert b"urn:oid:2.999.9" in raws[""]
    assert b"urn:simulated:elsewhere" in raws["wrong-audience"]
    assert b"urn:simulated:unknown" in raws["wrong-issuer"]
    own = "".join(certificate.decode().split()[2:-2])
    assert own in "".join(raws[""].decode().split())
    assert own not in "".join(raws["wrong-key"].decode().split())


@contextmanager
def collecting(folder: Path, *on: str, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[Any]]]:
    """A collector, and what it tells."""
    told: list[Any] = []
    switches = Switches(simulated_faults.AUDIT, on)
    recorder = ExchangeRecorder(folder / "record")
    sink = simulation.audit_collector(
        switches, recorder, lambda by, report: told.append((by, report)), port=0, tls=tls, delay=0.1
    )
    sink.start()
    try:
        yield sink.port, told
    finally:
        sink.stop()


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
def test_a_collector_takes_records_shows_and_judges_them(tmp_path: Path, way: str) -> None:
    context = None
    if way == "tls":
        pki.create_demonstration(tmp_path / "pki")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "pki/hub.pem", tmp_path / "pki/hub.key")
    framed = samples.audit_syslog()
    wrong = samples.audit_syslog(samples.audit_message().replace(b"EventOutcomeIndicator", b"Outcome"))
    with collecting(tmp_path, "slow", tls=context) as (port, told):
        if way == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for one in (framed, wrong):
                    sender.sendto(one.partition(b" ")[2], ("127.0.0.1", port))
        else:
            with socket.create_connection(("127.0.0.1", port)) as plain:
                trusting = ssl.create_default_context(cafile=str(tmp_path / "pki/ca.pem")) if context else None
                talk = trusting.wrap_socket(plain, server_hostname="127.0.0.1") if trusting else plain
                with talk:
                    talk.sendall(framed + wrong)
        wait_until(lambda: len(told) == 2, 30)
    first, second = index(tmp_path)
    assert first["asked"] == told[0][0] == f"{way} 127.0.0.1"
    assert first["findings"] == []
    assert "SCHEMA" in second["findings"][0]
    assert validate((tmp_path / "record" / first["request"]).read_bytes()).findings == ()


def test_a_collector_drops_connections_where_it_is_told_to(tmp_path: Path) -> None:
    with collecting(tmp_path, "drop") as (port, _), socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(samples.audit_syslog())
        sender.settimeout(30)
        assert sender.recv(1) == b""
    assert len(index(tmp_path)) == 1


def test_a_deaf_collector_reads_nothing(tmp_path: Path) -> None:
    with collecting(tmp_path, "deaf") as (port, told), socket.create_connection(("127.0.0.1", port)) as sender:
        sender.sendall(samples.audit_syslog())
        sender.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sender.recv(1)
        assert told == []


# -- usage


def test_faults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "simulate", "--list-faults"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert {item["actor"] for item in items} == set(simulation.ACTORS)
    assert all(item["text"] for item in items)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["registry", "--fault", "nothing"], "no fault 'nothing'"),
        (["imaging-source"], "--dicom"),
        (["document-source"], "--endpoint"),
        (["imaging-consumer", "--endpoint", "http://x"], "--image"),
        ([], "no ACTOR"),
    ],
)
def test_what_is_missing_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], told: str
) -> None:
    assert main(["simulate", *given, "--record", str(tmp_path)]) == 1
    assert told in capsys.readouterr().err
