"""What a simulated peer keeps of an exchange: all of it but what lets somebody in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from xdsi.storage.exchange_recorder import ExchangeRecorder

SECRET = "s3cret-value"
LINE = "GET /wado?requestType=WADO&studyUID=1.2 HTTP/1.1"


def kept(folder: Path, line: str = LINE, header: tuple[str, str] = ("Accept", "*/*")) -> str:
    """Everything in the folder after one exchange."""
    recorder = ExchangeRecorder(folder)
    recorder.exchange(line, [header], b"", "HTTP/1.1 200 OK", [header], b"body", began=datetime.now(UTC))
    return "".join(path.read_text() for path in sorted(folder.iterdir()))


@pytest.mark.parametrize(
    "name", ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Auth-Token", "X-Api-Key"]
)
def test_credentials_in_headers_are_left_out(name: str, tmp_path: Path) -> None:
    assert SECRET not in kept(tmp_path, header=(name, SECRET))


@pytest.mark.parametrize("parameter", ["token", "access_token", "apikey", "password", "client_secret", "key"])
def test_credentials_in_query_strings_are_left_out(parameter: str, tmp_path: Path) -> None:
    for line in (f"GET /wado?{parameter}={SECRET} HTTP/1.1", f"GET /wado?a=b&{parameter}={SECRET}&c=d HTTP/1.1"):
        text = kept(tmp_path, line)
        assert SECRET not in text
        assert f"{parameter}=(left-out)" in text
    assert SECRET not in kept(tmp_path, header=("Referer", f"http://h/?{parameter}={SECRET}"))


def test_everything_else_is_kept(tmp_path: Path) -> None:
    text = kept(tmp_path, header=("Content-Type", 'multipart/related; start="<a>"; boundary=b'))
    assert LINE in text
    assert 'multipart/related; start="<a>"; boundary=b' in text
    assert "body" in text
