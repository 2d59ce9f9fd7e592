"""Files that mean harm: whatever the bytes are, there is an answer, and it does not cost much."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import message_samples as samples
from tests.servers import environment
from xdsi.spec import namespaces as ns
from xdsi.validation import MAX_FINDINGS, VALIDATORS, validate

FILES = {name: raw for name, (_, raw) in samples.files().items()}
SUBMIT = f"<l:SubmitObjectsRequest xmlns:l='{ns.LCM}' xmlns:r='{ns.RIM}'><r:RegistryObjectList>"
END = "</r:RegistryObjectList></l:SubmitObjectsRequest>"
HOSTILE: dict[str, bytes] = {
    "entities": b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><Envelope>&c;</Envelope>',
    "external entity": b'<!DOCTYPE Envelope SYSTEM "file:///etc/passwd"><Envelope/>',
    "deep": SUBMIT.encode() + b"<r:Slot>" * 5000,
    "deep and whole": (SUBMIT + "<r:Slot>" * 5000 + "</r:Slot>" * 5000 + END).encode(),
    "wide": (SUBMIT + "<x/>" * 60_000 + END).encode(),
    "many attributes": (SUBMIT + "<x " + " ".join(f"a{n}='1'" for n in range(5000)) + "/>" + END).encode(),
    "many wrong entries": (SUBMIT + "<r:ExtrinsicObject id='a'/>" * 2_000 + END).encode(),
    "many slots": (SUBMIT + "<r:Association>" + "<r:Slot/>" * 60_000 + "</r:Association>" + END).encode(),
    "many objects": (SUBMIT + ("<r:Association>" + "<r:Slot/>" * 990 + "</r:Association>") * 8 + END).encode(),
    "many parts": b"--b\r\nContent-Type: text/xml\r\n\r\n<Envelope/>\r\n" * 10_000,
    "endless header": b"Content-Type: multipart/related; boundary=" + b"b" * 1_000_000,
    "many segments": b"MSH|^~\\&|a|b|c|d|20260504||ADT^A04|1|P|2.3.1\r" + b"PID|1\r" * 60_000,
    "one long segment": b"MSH|^~\\&" + b"|" * 3_000_000,
    "json": b"[" * 200_000,
    "count of nothing": b"999999999 <13>1 - - - - - - x",
    "nothing": b"",
    "zeros": b"\0" * 1_000_000,
    "a declaration without an end": b"<?xml " + b" " * 1_000_000,
    "comments": b"<!--" + b"-" * 1_000_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_answered(name: str) -> None:
    raw = HOSTILE[name]
    for key in ("", *(one.key for one in VALIDATORS if not raw or len(raw) < 10_000)):
        report = validate(raw, key=key)
        assert not report.valid
        assert len(report.findings) <= MAX_FINDINGS + 1
        assert "root:" not in str(report.findings)


@pytest.mark.parametrize("name", ["many slots"])
def test_a_hostile_file_takes_little_time_and_memory(name: str) -> None:
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_CPU, (30, 30));"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30));"
        "from xdsi.validation import validate; validate(sys.stdin.buffer.read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=HOSTILE[name], capture_output=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr[-500:]


SIGNS = [b"<", b"/>", b'"', b"&amp;", b"|", b"\r\n", b"--parts"]


@settings(max_examples=60)
@given(st.data())
def test_no_damage_makes_a_validator_fail(data: st.DataObject) -> None:
    raw = FILES[data.draw(st.sampled_from(sorted(FILES)))]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        length = data.draw(st.integers(0, 40))
        piece = data.draw(
            st.binary(max_size=12) | st.sampled_from([b"<", b"/>", b'"', b"&amp;", b"|", b"\r\n", b"--parts"])
        )
        raw = raw[:at] + piece + raw[at + length :]
    for one in validate(raw).findings:
        assert one.text
        assert one.rule


@given(st.binary(max_size=200), st.sampled_from([one.key for one in VALIDATORS]))
def test_any_bytes_can_be_judged_as_anything(raw: bytes, key: str) -> None:
    assert validate(raw, key=key).findings


def test_an_hl7_message_of_a_million_components_is_refused_at_once() -> None:
    report = validate(b"MSH|^~\\&|A|B|C|D|20240101||ADT^A04|1|P|2.3.1\rPID|||" + b"^" * 1_000_000 + b"\r")
    assert [one.text for one in report.findings] == ["too many fields and components"]
