"""The whole program over sockets: a plain client of the open profile, and what a first start lets in."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
import zeep
from lxml import etree

from tests import builders
from tests.servers import Server, envelope, exchange, free_port, http, serving, start, wait_until
from xdsi.cli import main
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.submission import Submission
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, LCM, SUCCESS, WSSE
from xdsi.transport import pki
from xdsi.wire import saml_issue
from xdsi.wire.ebxml import query, submission
from xdsi.wire.message import Packaging

REGISTER = "urn:ihe:iti:2007:RegisterDocumentSet-b"
QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
FEED = "urn:hl7-org:v3:PRPA_IN201301UV02"


def patient(number: int) -> str:
    return f"APP{number}^^^&2.999.1.1&ISO"


def entry(number: int, **changes: Any) -> DocumentEntry:
    given = {"unique_id": new_oid(), "patient_id": patient(number), "hash": "", "size": ""}
    return builders.document_entry(new_entry_uuid(), **given | changes)


def submitted(one: DocumentEntry) -> Submission:
    own = builders.submission_set(new_entry_uuid(), unique_id=new_oid(), patient_id=one.patient_id)
    return builders.submission(one, sets=[own])


def registration(one: DocumentEntry) -> bytes:
    """The body of an ITI-42."""
    whole = replace(one, hash=builders.HELLO_SHA1, size="5")
    return b"".join(submission.encode(submitted(whole), Packaging.SIMPLE).body)


def find_documents(number: int, return_type: str = "LeafClass") -> bytes:
    """The body of an ITI-18."""
    slots = (
        ("$XDSDocumentEntryPatientId", (f"'{patient(number)}'",)),
        ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",)),
    )
    request = query.AdhocQuery(uuids.FIND_DOCUMENTS, return_type, slots)
    return b"".join(query.encode_request(request, Packaging.SIMPLE).body)


def xdsi(*arguments: str) -> dict[str, Any]:
    """One command of the program, as an operator gives it; its answer with `--json`."""
    out = io.StringIO()
    with redirect_stdout(out):
        status = main(["--json", *arguments])
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer | {"exit": status}


def settings_of(server: Server, folder: Path) -> Path:
    """A settings file for commands beside a running server."""
    file = folder / "beside.toml"
    file.write_text(f"[server]\ndata_dir = '{server.data}'\n", "utf-8")
    return file


def explained(server: Server, trace: str, folder: Path) -> str:
    """What `xdsi explain` says of an exchange; traces are written behind the answer."""
    said: dict[str, Any] = {}

    def there() -> bool:
        said.update(xdsi("--config", str(settings_of(server, folder)), "explain", trace))
        return bool(said["exit"] == 0)

    wait_until(there)
    return json.dumps(said["items"])


# -- a plain client


def test_the_first_line_says_where_and_who(open_server: Server) -> None:
    assert open_server.ready == {
        "base_url": f"http://127.0.0.1:{open_server.port}",
        "data": str(open_server.data),
        "ids": {"home": "urn:oid:2.999.1", "repository": "2.999.1.2", "location": "2.999.1.3"},
    }


@cache
def client_of(url: str) -> zeep.Client:
    return zeep.Client(f"{url}?wsdl")


def as_said_by(client: zeep.Client, raw: bytes, namespace: str, name: str) -> Any:
    """A message as objects of the client, which writes it in its own way."""
    return client.get_element(f"{{{namespace}}}{name}").parse(etree.fromstring(raw), client.wsdl.types)


def test_a_client_made_from_the_served_descriptions_publishes_finds_and_fetches(open_server: Server) -> None:
    repository, registry = client_of(open_server.url("repository")), client_of(open_server.url("registry"))
    one = entry(1, comments="made by hand")
    raw = b"".join(submission.encode(submitted(one), Packaging.SIMPLE).body)
    submit = as_said_by(repository, raw, LCM, "SubmitObjectsRequest")
    provided = repository.service["DocumentRepository_ProvideAndRegisterDocumentSet-b"](
        SubmitObjectsRequest=submit, Document=[{"_value_1": b"hello", "id": one.entry_uuid}]
    )
    assert provided.status == SUCCESS

    found = registry.service["DocumentRegistry_RegistryStoredQuery"](
        ResponseOption={"returnType": "LeafClass", "returnComposedObjects": True},
        AdhocQuery={
            "id": uuids.FIND_DOCUMENTS,
            "Slot": [
                {"name": "$XDSDocumentEntryPatientId", "ValueList": {"Value": [f"'{one.patient_id}'"]}},
                {"name": "$XDSDocumentEntryStatus", "ValueList": {"Value": [f"('{APPROVED}')"]}},
            ],
        },
    )
    assert found.status == SUCCESS
    (item,) = found.RegistryObjectList._value_1
    extrinsic = item["ExtrinsicObject"]
    slots = {slot.name: slot.ValueList.Value for slot in extrinsic.Slot}
    assert (extrinsic.id, extrinsic.mimeType, extrinsic.status) == (one.entry_uuid, "text/plain", APPROVED)
    assert slots["size"] == ["5"]
    assert slots["hash"] == [builders.HELLO_SHA1]
    assert slots["repositoryUniqueId"] == ["2.999.1.2"]
    assert extrinsic.Description.LocalizedString[0].value == "made by hand"

    fetched = repository.service["DocumentRepository_RetrieveDocumentSet"](
        DocumentRequest=[{"RepositoryUniqueId": "2.999.1.2", "DocumentUniqueId": one.unique_id}]
    )
    assert fetched.RegistryResponse.status == SUCCESS
    assert [(got.mimeType, got.Document) for got in fetched.DocumentResponse] == [("text/plain", b"hello")]


def test_a_client_made_from_the_served_descriptions_registers(open_server: Server) -> None:
    registry = client_of(open_server.url("registry"))
    submit = as_said_by(registry, registration(entry(2)), LCM, "SubmitObjectsRequest")
    answer = registry.service["DocumentRegistry_RegisterDocumentSet-b"](RegistryObjectList=submit.RegistryObjectList)
    assert answer.status == SUCCESS
    again = registry.service["DocumentRegistry_RegisterDocumentSet-b"](RegistryObjectList=submit.RegistryObjectList)
    errors = {error.errorCode for error in again.RegistryErrorList.RegistryError}
    assert "XDSDuplicateUniqueIdInRegistry" in errors


def test_every_actor_describes_itself_and_its_schemas(open_server: Server) -> None:
    for actor in ("registry", "repository", "imaging-source", "identity"):
        url = open_server.url(actor)
        got = requests.get(f"{url}?wsdl", timeout=30)
        assert (got.status_code, got.headers["Content-Type"]) == (200, "text/xml; charset=UTF-8")
        addresses = re.findall(r'address location="([^"]*)"', got.text)
        assert addresses
        assert set(addresses) == {url}
        for schema in set(re.findall(r'schemaLocation="([^"]*)"', got.text)):
            assert requests.get(schema, timeout=30).status_code == 200


def test_operations_need_no_message(open_server: Server) -> None:
    live = requests.get(f"{open_server.base_url}/health/live", timeout=30)
    ready = requests.get(f"{open_server.base_url}/health/ready", timeout=30)
    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert (ready.status_code, ready.json()["checks"]) == (200, {"database": "ok", "documents": "ok"})
    exchange(open_server, http(envelope(QUERY, find_documents(3))))
    metrics = requests.get(f"{open_server.base_url}/metrics", timeout=30).text
    assert re.search(r'^xdsi_exchanges_total\{outcome="success",transaction="ITI-18"\} [1-9]', metrics, re.MULTILINE)


def test_the_open_profile_understands_a_security_header_and_ignores_it(open_server: Server) -> None:
    security = f'<w:Security xmlns:w="{WSSE}" xmlns:s="http://www.w3.org/2003/05/soap-envelope" s:mustUnderstand="1"/>'
    answer = exchange(open_server, http(envelope(QUERY, find_documents(3), security=security.encode())))
    assert (answer.status, SUCCESS in answer.text) == (200, True)


def test_exchanges_are_audited_and_explained(open_server: Server, tmp_path: Path) -> None:
    answer = exchange(open_server, http(envelope(QUERY, find_documents(4))))
    assert re.fullmatch("[0-9a-f]{32}", answer.trace)
    beside = str(settings_of(open_server, tmp_path))
    (record,) = xdsi("--config", beside, "audit", "search", "--trace", answer.trace)["items"]
    assert (record["transaction"], record["outcome"], record["patient"]) == ("ITI-18", 0, patient(4))
    steps = [step["step"] for step in json.loads(explained(open_server, answer.trace, tmp_path))[0]["steps"]]
    assert steps == ["decode", "decide", "handle"] or steps[:1] == ["decode"]
    assert xdsi("--config", beside, "audit", "verify")["status"] == "ok"


def test_the_open_profile_stays_on_loopback(tmp_path: Path) -> None:
    for address in ("0.0.0.0", "192.0.2.1", "::", "example.org"):
        refused = xdsi("serve", "--profile", "open", "--address", address, "--data", str(tmp_path / "d"))
        assert refused["exit"] == 1
        assert address in refused["message"]
    assert not (tmp_path / "d").exists()


def test_two_servers_do_not_take_one_port(open_server: Server, tmp_path: Path) -> None:
    port = str(open_server.port)
    refused = xdsi("serve", "--profile", "open", "--port", port, "--data", str(tmp_path / "d"))
    assert (refused["exit"], port in refused["message"]) == (1, True)
    assert "Address already in use" in refused["message"]
    assert not (tmp_path / "d").exists()


# -- a first start


def tls(server: Server, name: str, *, ca: str = "ca") -> ssl.SSLContext:
    """How a node of the demonstration's authority connects; an empty name bears no certificate."""
    folder = server.data / "pki"
    context = ssl.create_default_context(cafile=str(folder / f"{ca}.pem"))
    context.check_hostname = True
    if name:
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def token(server: Server, folder: Path, *options: str) -> bytes:
    """What `xdsi token issue` makes."""
    out = folder / "token.xml"
    own = server.data / "pki"
    made = xdsi(
        "token", "issue", "--issuer", "urn:xdsi:demonstration:idp", "--key", str(own / "idp.key"), "--cert",
        str(own / "idp.pem"), "--user", "dr", "--organization-id", "urn:oid:2.999.1.10", "--role",
        "112247003^^2.16.840.1.113883.6.96", "--purpose", "TREAT^^2.16.840.1.113883.5.8", "--out", str(out), *options,
    )  # fmt: skip
    assert made == {"status": "ok", "items": [{"file": str(out)}], "message": f"{out}: valid for 300 s", "exit": 0}
    return out.read_bytes()


def asked(server: Server, node: str, action: str, body: bytes, assertion: bytes = b"") -> Any:
    security = saml_issue.security_header(assertion) if assertion else b""
    return exchange(server, http(envelope(action, body, security=security)), tls=tls(server, node))


def refused_handshakes(server: Server, folder: Path) -> list[dict[str, Any]]:
    beside = str(settings_of(server, folder))
    items = xdsi("--config", beside, "audit", "search", "--outcome", "8", "--limit", "10000")["items"]
    return [item for item in items if item["transaction"] == "110126"]


def handshake(server: Server, context: ssl.SSLContext) -> bytes:
    with server.connect(context) as sock:
        sock.sendall(http(envelope(QUERY, find_documents(1))))
        data: bytes = sock.recv(1000)
        return data


def test_who_bears_no_certificate_of_the_authority_fails_in_the_handshake_and_is_audited(
    full_server: Server, tmp_path: Path
) -> None:
    before = len(refused_handshakes(full_server, tmp_path))
    for context in (tls(full_server, ""), tls(full_server, "stranger")):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            assert handshake(full_server, context)
    wait_until(lambda: len(refused_handshakes(full_server, tmp_path)) >= before + 2)
    told = [item["told"] for item in refused_handshakes(full_server, tmp_path)]
    assert [one for one in told if "; certificate shown, not proved: subject " in one and "stranger" in one]


def test_the_server_proves_itself_too(full_server: Server) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        full_server.connect(tls(full_server, "consumer", ca="stranger-ca"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_present_versions_of_tls_are_spoken(full_server: Server, version: ssl.TLSVersion) -> None:
    context = tls(full_server, "consumer")
    context.minimum_version = context.maximum_version = version
    answer = exchange(full_server, http(b"", method="GET", path="/health/live"), tls=context)
    assert answer.status == 200


def test_an_assertion_is_required_to_see(full_server: Server, tmp_path: Path) -> None:
    answer = asked(full_server, "consumer", QUERY, find_documents(1))
    assert (answer.status, "wsse:InvalidSecurity" in answer.text) == (400, True)
    assert f"[trace {answer.trace}]" in answer.text
    assert "0 assertions" not in answer.text
    assert "0 assertions, expected one" in explained(full_server, answer.trace, tmp_path)


def test_an_issued_token_is_accepted(full_server: Server, tmp_path: Path) -> None:
    answer = asked(full_server, "consumer", QUERY, find_documents(1), token(full_server, tmp_path))
    assert (answer.status, SUCCESS in answer.text) == (200, True)
    beside = str(settings_of(full_server, tmp_path))
    (record,) = xdsi("--config", beside, "audit", "search", "--trace", answer.trace)["items"]
    assert record["user"] == "dr"


@pytest.mark.parametrize(
    ("options", "change", "code"),
    [
        ((), lambda raw: raw.replace(b">dr<", b">xx<"), "FailedCheck"),
        (("--audience", "urn:oid:2.999.9"), lambda raw: raw, "FailedAuthentication"),
        (("--issuer", "somebody"), lambda raw: raw, "FailedAuthentication"),
        ((), lambda raw: raw + raw, "InvalidSecurity"),
    ],
)
def test_another_token_is_not(
    full_server: Server, tmp_path: Path, options: tuple[str, ...], change: Callable[[bytes], bytes], code: str
) -> None:
    answer = asked(full_server, "consumer", QUERY, find_documents(1), change(token(full_server, tmp_path, *options)))
    assert (answer.status, f"wsse:{code}" in answer.text) == (400, True)
    assert "security token refused [trace" in answer.text


def test_publishing_is_bound_to_nodes(full_server: Server, tmp_path: Path) -> None:
    body = registration(entry(5))
    for assertion in (b"", token(full_server, tmp_path)):
        refused = asked(full_server, "consumer", REGISTER, body, assertion)
        assert (refused.status, "wsse:FailedAuthentication" in refused.text) == (400, True)
    assert "is not permitted ITI-42" in explained(full_server, refused.trace, tmp_path)
    # A node that may publish gets as far as the registry's own rules: no feed announced the patient.
    admitted = asked(full_server, "hospital-a", REGISTER, body)
    assert (admitted.status, "XDSUnknownPatientId" in admitted.text) == (200, True)


def test_a_document_is_hidden_until_somebody_permits_it(full_server: Server, tmp_path: Path) -> None:
    beside = str(settings_of(full_server, tmp_path))
    assert xdsi("--config", beside, "patient", "add", patient(6))["status"] == "ok"
    one = entry(6)
    assert SUCCESS in asked(full_server, "hospital-a", REGISTER, registration(one)).text
    answer = asked(full_server, "consumer", QUERY, find_documents(6), token(full_server, tmp_path))
    assert SUCCESS in answer.text
    assert one.unique_id not in answer.text
    assert '"permit": false' in explained(full_server, answer.trace, tmp_path)


def test_certificates_are_exchanged_without_a_restart(full_server: Server) -> None:
    folder = full_server.data / "pki"
    former = {name: (folder / name).read_bytes() for name in ("hub.pem", "hub.key")}

    def served() -> bytes:
        with full_server.connect(tls(full_server, "consumer")) as sock:
            assert isinstance(sock, ssl.SSLSocket)
            return sock.getpeercert(binary_form=True) or b""

    first = served()
    with full_server.connect(tls(full_server, "consumer")) as kept:
        try:
            fresh = pki.issue_node(pki.load(folder, "ca"), folder, "hub")
            wait_until(lambda: served() != first)
            assert served() == ssl.PEM_cert_to_DER_cert(fresh.certificate_file.read_text())
            (folder / "hub.pem").write_text("no certificate")
            assert served() != first
        finally:
            for name, content in former.items():
                (folder / name).write_bytes(content)
        wait_until(lambda: served() == first)
        # Who was let in with the files of before has to come again.
        assert kept.recv(100) == b""
    with full_server.connect(tls(full_server, "consumer")) as again:
        again.sendall(http(b"", method="GET", path="/health/live"))
        assert again.recv(100).startswith(b"HTTP/1.1 200")


def test_a_second_start_keeps_its_keys(full_server: Server) -> None:
    from xdsi.cli.serve import first_start
    from xdsi.settings import Settings, replaced

    chosen = replaced(Settings(), "server", data_dir=full_server.data)
    files = sorted((full_server.data / "pki").iterdir())
    before = [file.read_bytes() for file in files]
    assert first_start(chosen) == first_start(chosen)
    assert [file.read_bytes() for file in files] == before
    assert all(file.stat().st_mode & 0o077 == 0 for file in files if file.suffix == ".key")


# -- ends


def registering(server: Server, number: int, stop: threading.Event) -> list[str]:
    """Register one document after the other; the entryUUIDs that were acknowledged."""
    acknowledged: list[str] = []
    with suppress(OSError):
        while not stop.is_set():
            one = entry(number)
            if SUCCESS in exchange(server, http(envelope(REGISTER, registration(one)))).text:
                acknowledged.append(one.entry_uuid)
    return acknowledged


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def registered(server: Server, number: int) -> set[str]:
    answer = exchange(server, http(envelope(QUERY, find_documents(number, "ObjectRef"))))
    return set(re.findall(r'ObjectRef id="([^"]*)"', answer.text))


@pytest.mark.parametrize("end", ["stop", "kill", "kill the worker"])
def test_what_was_acknowledged_is_there_after_the_end(data: Path, end: str) -> None:
    server = start(data, "--profile", "open")
    stop = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(registering, server, 7, stop) for _ in range(4)]
        wait_until(lambda: len(registered(server, 7)) > 20)
        if end == "stop":
            assert server.stop() == 0
        elif end == "kill":
            server.kill()
        else:
            (worker,) = server.workers
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: server.workers not in ([], [worker]))
        stop.set()
        acknowledged = {id_ for one in running for id_ in one.result(60)}
    if end != "kill the worker":
        server = start(data, "--profile", "open", port=server.port)
    try:
        assert len(acknowledged) > 20
        assert acknowledged <= registered(server, 7)
        beside = str(settings_of(server, data.parent))
        assert xdsi("--config", beside, "audit", "verify")["status"] == "ok"
        audited = xdsi("--config", beside, "audit", "search", "--limit", "100000")["items"]
        entries = sum(item["transaction"] == "ITI-42" and item["outcome"] == 0 for item in audited)
        assert entries >= len(acknowledged)
    finally:
        server.stop()


def test_what_runs_beside_http_moves_to_another_worker(data: Path) -> None:
    """One worker holds the ports of the feed and of operations; when it dies, another takes them."""
    operations = free_port()
    config = data.parent / "workers.toml"
    config.write_text(f"[server]\nworkers = 2\noperations_port = {operations}\nmllp_port = {free_port()}\n")

    def live() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{operations}/health/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    with serving(data, "--profile", "open", config=config) as server:
        wait_until(live)
        for worker in server.workers:
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda gone=worker: gone not in server.workers and len(server.workers) == 2)  # type: ignore[misc]
            wait_until(live)
        assert registered(server, 1) == set()


def test_a_graceful_stop_answers_who_is_being_served(data: Path) -> None:
    with serving(data, "--profile", "open") as server:
        request = http(envelope(QUERY, find_documents(1)))
        with server.connect() as sock:
            sock.sendall(request[:-100])
            time.sleep(0.3)
            server.process.terminate()
            time.sleep(0.3)
            sock.sendall(request[-100:])
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        assert server.wait() == 0
    log = server.log.read_text()
    assert "Traceback" not in log
    with serving(data, "--profile", "open") as again:
        beside = str(settings_of(again, data.parent))
        kinds = [item["transaction"] for item in xdsi("--config", beside, "audit", "search")["items"]]
        assert kinds.count("110120") == 2
        assert kinds.count("110121") == 1
