"""No key, token or assertion in a log, at any level, whatever becomes of the request; patients by identifier alone."""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.app.test_trust import DOCTOR, HOSPITAL, NEW, OLD, OTHER, QUERY, Files, issued
from tests.builders import document_entry, submission, submission_set
from tests.servers import envelope
from xdsi import app, settings
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.wire.message import Packaging
from xdsi.wire.saml import security_header

NAME = "Nachname-Streng-Geheim"
PROXIED = '[tls]\nproxy_header = "X-Client-Certificate"\nproxy_addresses = ["127.0.0.1"]\n'


@pytest.fixture
def application(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[app.Application]:
    # Before anything is made: some libraries ask once how much is logged.
    caplog.set_level(logging.DEBUG)
    files = Files(tmp_path)
    files.configure(
        hospital=HOSPITAL, extra='[domain]\naccept_unknown_patients = true\n[server]\nactors = ["registry"]'
    )
    files.write(files.config, files.config.read_bytes().replace(b"[tls]\n", PROXIED.encode()))
    chosen = settings.replaced(settings.load(files.config, {}), "server", data_dir=tmp_path / "data")
    app.prepare(chosen)
    built = app.build(chosen)
    yield built
    built.parts.close()


def ask(application: app.Application, body: bytes, certificate: bytes = HOSPITAL.cert_pem) -> str:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/services/registry", "SCRIPT_NAME": "", "QUERY_STRING": "",
        "CONTENT_TYPE": "application/soap+xml; charset=UTF-8", "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http", "REMOTE_ADDR": "127.0.0.1", "SERVER_NAME": "hub",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_X_CLIENT_CERTIFICATE": quote(certificate.decode()),
    }  # fmt: skip
    return b"".join(application.wsgi(environ, lambda *answer: None)).decode()


def query(assertion: bytes) -> bytes:
    return envelope(iti18.TRANSACTION.trigger, b"".join(QUERY), security=security_header(assertion))


def registration(**changes: Any) -> bytes:
    entry = replace(document_entry(), title=NAME, **changes)
    payload = iti42.TRANSACTION.request.encode(submission(entry, sets=[submission_set("set")]), Packaging.SIMPLE)
    return envelope(iti42.TRANSACTION.trigger, b"".join(payload.body))


def test_what_is_secret_is_in_no_log(
    application: app.Application, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken, altered, of a stranger, truncated, refused by rules, and when the hub itself fails."""
    good, strange = issued(OLD), issued(NEW)
    altered = good.replace(DOCTOR.user_id.encode(), b"mr.hyde")
    assert "AdhocQueryResponse" in ask(application, query(good))
    for wrong in (altered, strange):
        assert "FailedCheck" in ask(application, query(wrong))
    assert "Fault" in ask(application, query(good)[:-200])
    assert "ResponseStatusType:Success" in ask(application, registration())
    assert "ResponseStatusType:Failure" in ask(application, registration(mime_type=""))
    assert "FailedAuthentication" in ask(application, registration(), OTHER.cert_pem)

    def fail(*arguments: object, **named: object) -> None:
        raise RuntimeError("the hub fails")

    with monkeypatch.context() as broken:
        broken.setattr("xdsi.rules.stored_query_answer.select", fail)
        assert "internal failure" in ask(application, query(good))
    logged = "\n".join(logging.Formatter("%(name)s %(message)s").format(one) for one in caplog.records)
    assert "the hub fails" in logged
    for assertion in (good, altered, strange):
        (signature,) = re.findall(rb"<ds:SignatureValue>(.*?)</ds:SignatureValue>", assertion, re.DOTALL)
        for piece in (b"".join(signature.split())[:32], base64.b64encode(assertion)[:32], b"AttributeStatement"):
            assert piece.decode() not in "".join(logged.split())
    for one in (OLD, NEW, HOSPITAL):
        assert one.key_pem.decode().splitlines()[1] not in logged
    assert "PRIVATE KEY" not in logged
    assert NAME not in logged
    assert DOCTOR.user_name not in logged
