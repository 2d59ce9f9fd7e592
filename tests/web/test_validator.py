"""The page /validator: what it shows, what it refuses, and that it keeps nothing and loads nothing from elsewhere."""

from __future__ import annotations

import re
import tempfile
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests import message_samples as samples
from tests.servers import exchange, http, serving
from xdsi.web import validator
from xdsi.web.marked_lines import WHOLE, excerpt
from xdsi.web.operations import Metrics, operations

WRONG = samples.pretty(samples.submitted(hash="zz"))


@pytest.fixture
def client() -> FlaskClient:
    return operations({}, Metrics(), with_validator=True).test_client()


def given(raw: bytes, name: str = "message.xml", **more: str) -> dict[str, Any]:
    """A form as a browser sends it, made by hand: a client of the tests would keep large ones in files."""
    parts = [f'name="{key}"\r\n\r\n{value}'.encode() for key, value in more.items()]
    if raw:
        parts.append(f'name="file"; filename="{name}"\r\n\r\n'.encode() + raw)
    body = b"".join(b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--b--\r\n"
    return {"data": body, "content_type": "multipart/form-data; boundary=b"}


def test_a_file_is_judged_and_its_line_marked(client: FlaskClient) -> None:
    page = client.post("/validator", **given(WRONG))
    text = unescape(page.get_data(as_text=True))
    assert page.status_code == 200
    assert "Not valid." in text
    assert "DE.hash.format" in text
    (number, line) = re.findall(r'<tr id="L(\d+)" class="marked error"><th>\d+</th><td><mark>(.*?)</mark>', text)[0]
    assert line.strip() == '<rim:Slot name="hash">'
    assert f'<a href="#L{number}">' in text


def test_what_is_pasted_is_judged(client: FlaskClient) -> None:
    text = samples.adt().decode().replace("\r", "\r\n")
    page = client.post("/validator", **given(b"", text=text))
    assert "HL7 v2 message: ADT^A04" in page.get_data(as_text=True)
    assert "No finding." in page.get_data(as_text=True)


def test_a_file_can_be_judged_as_another_kind(client: FlaskClient) -> None:
    page = client.post("/validator", **given(b"PID|1", kind="hl7v2"))
    assert "does not begin with MSH" in page.get_data(as_text=True)


def test_what_a_file_says_is_text_and_never_markup(client: FlaskClient) -> None:
    hostile = b"<SubmitObjectsRequest><script>alert(1)</script></SubmitObjectsRequest>"
    page = client.post("/validator", **given(hostile, name="<img src=x onerror=alert(1)>.xml"))
    text = page.get_data(as_text=True)
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("path", ["/validator", "/validator/static/validator.js", "/validator/static/validator.css"])
def test_nothing_comes_from_elsewhere(client: FlaskClient, path: str) -> None:
    answer = client.get(path, buffered=True)
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "http" not in answer.get_data(as_text=True).replace("http-equiv", "")


def test_nothing_is_kept(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: Any, **named: Any) -> Any:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refused)
    page = client.post("/validator", **given(b"MSH|" + b"x" * 3_000_000))
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"


REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "too much text": (given(b"", text="x" * (validator.MAX_BYTES + 1)), 413),
    "too large a file": (given(b"x" * (validator.MAX_BYTES + 70_000)), 413),
    "nothing": (given(b""), 400),
    "nothing pasted": (given(b"", text=""), 400),
    "no form": ({"data": b"x", "content_type": "text/plain"}, 400),
    "the form of another site": (given(b"", text="x") | {"headers": {"Origin": "https://elsewhere.example"}}, 403),
    "sent by another site": (given(b"", text="x") | {"headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
    "many fields": (given(b"", **{f"n{number}": "x" for number in range(50)}), 413),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_taken_is_told(client: FlaskClient, name: str) -> None:
    request, status = REFUSED[name]
    answer = client.post("/validator", **request)
    assert answer.status_code == status
    assert 'role="alert"' in answer.get_data(as_text=True)


def test_those_who_come_while_others_are_served_are_asked_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validator, "_PATIENCE", 0.01)
    app: Flask = operations({}, Metrics(), with_validator=True)
    asked: list[int] = []

    def slow(raw: bytes, **named: Any) -> Any:
        if len(asked) < 2:
            asked.append(app.test_client().post("/validator", **given(WRONG)).status_code)
        return judge(raw, **named)

    judge = validator.validate
    monkeypatch.setattr(validator, "validate", slow)
    assert app.test_client().post("/validator", **given(WRONG)).status_code == 200
    assert 503 in asked


def test_a_large_file_is_shown_around_what_was_found() -> None:
    raw = b"\n" * 5000 + WRONG
    (one,) = [line for line in excerpt(raw, validator.validate(WRONG).findings) if line.mark]
    assert one.number <= 5000
    lines = excerpt(b"x\n" * 10_000, ())
    assert lines == ()
    assert len(excerpt(b"x\n" * (WHOLE - 1), ())) == WHOLE


def test_an_image_is_not_shown_as_text() -> None:
    assert excerpt(b"\0" * 128 + b"DICM" + b"\n\n", ()) == ()


@pytest.mark.parametrize(("chosen", "status"), [("auto", 200), ("off", 404)])
def test_a_server_has_the_page_where_its_settings_say_so(tmp_path: Path, chosen: str, status: int) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(f"[server]\nvalidator = '{chosen}'\n")
    with serving(tmp_path / "data", "--profile", "open", config=config) as server:
        answer = exchange(server, http(b"", path="/validator", method="GET", length=""))
        assert answer.status == status
        body = b"--b\r\nContent-Disposition: form-data; name=text\r\n\r\nMSH|\r\n--b--\r\n"
        told = exchange(server, http(body, path="/validator", Content_Type="multipart/form-data; boundary=b"))
        assert told.status == status
        assert ("MSH" in told.text) == (status == 200)
