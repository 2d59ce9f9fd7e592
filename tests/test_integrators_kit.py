"""The integrators' pages (conformance, validate, simulate, their part of README.md): each command, as it is typed.

The commands are those of the pages, with somebody's URL in place of theirs; a command without a row here fails, and so
does a row whose command left the pages. What plays hundreds of cases plays one of those that it means.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import message_samples as samples
from tests.certificates import identity
from tests.cli.test_simulate import simulating
from tests.conformance.test_imported_plans import plans
from tests.servers import REPOSITORY, Server
from xdsi.cli import main

PAGES = ("docs/conformance.md", "docs/validate.md", "docs/simulate.md")
_COMMAND = re.compile(r"^(?:\$ |    )?((?:cat \S+ \| )?(?:env/bin/)?(?:xdsi|pytest) .*?)(?:\s{2,}#.*)?$", re.MULTILINE)
PATIENT = "4711^^^&2.999.1.5&ISO"


def commands() -> list[str]:
    """All that the pages tell somebody to type, each once."""
    readme = (
        (REPOSITORY / "README.md").read_text("utf-8").partition("## Test somebody's endpoint")[2].partition("\n## ")[0]
    )
    texts = [(REPOSITORY / page).read_text("utf-8") for page in PAGES]
    blocks = [block for text in (*texts, readme) for block in re.findall(r"^```(?:sh)?\n(.*?)^```$", text, re.M | re.S)]
    indented = [line for text in texts for line in text.splitlines() if line.startswith("    ")]
    return list(dict.fromkeys(found for block in (*blocks, *indented) for found in _COMMAND.findall(block)))


@dataclass(frozen=True)
class Row:
    """What is typed besides, and what comes."""

    says: tuple[str, ...]
    more: str = ""
    status: int = 0


RUN = "xdsi conformance run --endpoint URL"
ROWS: dict[str, Row] = {
    "env/bin/xdsi conformance run --endpoint https://hub.example:8443 --actor registry --html report.html": Row(
        ("1 case for http", "pass  0101-register-and-find", "written: report.html", "1 pass"), "0101",
    ),
    "env/bin/xdsi conformance run --endpoint http://127.0.0.1:8080": Row(("1 pass",), "0101"),
    "xdsi conformance list": Row(("0101-register-and-find", "RAD TF-2", "ruling", "strict-patients")),
    "xdsi conformance list --actor imaging-source": Row(("RAD-69", "RAD-107")),
    "xdsi conformance show 0104": Row(("# 0104", "**Purpose:**", "**Clause:**", "replacement.xml")),
    f"{RUN} 0104": Row(("pass  0104-replace", "1 pass")),
    f"{RUN} --case 04 --case '*-replace'": Row(("pass  04", "case"), "--only ruling"),
    f"{RUN} --suite mtom": Row(("pass  0304-inline-in-mtom",), "0304"),
    f"{RUN} --suite ./our-cases": Row(("pass  9001-our-patient", "1 pass")),
    f"{RUN} --suite our-cases": Row(("pass  9001-our-patient", "our integration handbook, 3.2")),
    "xdsi conformance import testkit/tests": Row(("12346", "not mapped", "ITI-42", "play them with: xdsi")),
    f"{RUN} --suite testkit/tests": Row(("12346", "pass")),
    f"{RUN} --suite testkit/tests --actor registry --case 1199 --html report.html": Row(
        ("11990", "1 pass", "written: report"),
    ),
    f"{RUN} --suite testkit/tests/12346": Row(("12346",)),
    "xdsi validate request.xml": Row(("request.xml: SOAP message: ITI-42", "no finding")),
    "cat answer.mime | xdsi validate --format json -": Row(('"kind": "SOAP message"', '"valid": true')),
    "xdsi validate --as hl7v2 --profile national.toml message.txt": Row(
        ("PROFILE.field.1", "PID-3 is no national number", "eleven digits", "national guide 5.2"), status=1,
    ),
    "xdsi simulate --list-faults": Row(("slow", "partial", "imaging-source")),
}  # fmt: skip
_TRIED = "a test of its own"
APART = {
    'env/bin/xdsi serve --profile open --port 8080 --data ./xdsi-open --dicom "$images"': "the server of these tests",
    "xdsi simulate repository --port 9000 --fault slow --delay 5": _TRIED,
    f"{RUN} --suite imaging --dimse dicom://HOST:11112 --dimse-listen 11113": "tests/conformance/test_dimse.py",
    "xdsi simulate document-source --endpoint http://127.0.0.1:9000/services/repository --count 10": _TRIED,
    "pytest --xdsi-endpoint https://hub.example:8443 --xdsi-actor registry --xdsi-options '--pki ./pki'": _TRIED,
    "pytest --xdsi-endpoint https://hub.example:8443 --xdsi-suite ./our-cases --junitxml=report.xml": _TRIED,
}


def block(page: str, begins: str) -> str:
    """A block of TOML in a page."""
    found = re.findall(r"^```toml\n(.*?)^```$", (REPOSITORY / page).read_text("utf-8"), re.M | re.S)
    (one,) = [text for text in found if text.startswith(begins)]
    return str(one)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, open_server: Server) -> Iterator[Path]:
    """An integrator's folder, with the files that the pages name."""
    place = tmp_path_factory.mktemp("integrator")
    case = place / "our-cases" / "9001-our-patient"
    case.mkdir(parents=True)
    (case / "expectation.toml").write_text(block("docs/conformance.md", "# our-cases/9001-our-patient"))
    plans(place / "testkit" / "tests")
    (place / "testkit" / "tests" / "load").rename(place / "testkit" / "tests" / "11990")
    (place / "testkit" / "tests" / "find").rename(place / "testkit" / "tests" / "12346")
    plan = place / "testkit" / "tests" / "12346" / "all" / "testplan.xml"
    plan.write_text(plan.read_text().replace("load", "11990"))
    (place / "request.xml").write_bytes(samples.envelope("ITI-42", samples.submitted()))
    (place / "answer.mime").write_bytes(samples.mtom())
    (place / "message.txt").write_bytes(samples.adt())
    (place / "national.toml").write_text(block("docs/validate.md", "name = "))
    pki = place / "pki"
    pki.mkdir()
    for name in ("idp", "consumer", "ca"):
        pair = identity("integrator", "2048")
        (pki / f"{name}.pem").write_bytes(pair.cert_pem)
        (pki / f"{name}.key").write_bytes(pair.key_pem)
    before = Path.cwd()
    os.chdir(place)
    send = ["simulate", "document-source", "--endpoint", f"{open_server.base_url}/services/repository"]
    assert main([*send, "--patient", PATIENT]) == 0
    yield place
    os.chdir(before)


def typed(command: str, url: str) -> list[str]:
    """The arguments of `xdsi`, with the URL of a server that is there."""
    command = re.sub(r"https://hub\.example:8443|http://127\.0\.0\.1:8080|\bURL\b", url, command)
    return shlex.split(command.rpartition("| ")[2].removeprefix("env/bin/"))[1:]


def test_every_command_of_the_pages_is_tried() -> None:
    assert sorted(commands()) == sorted([*ROWS, *APART])


@pytest.mark.parametrize("command", ROWS)
def test_a_command_says_what_the_page_says(
    command: str, folder: Path, open_server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = ROWS[command]
    monkeypatch.chdir(folder)
    # A narrow terminal breaks what is looked for into lines.
    monkeypatch.setenv("COLUMNS", "200")
    if command.startswith("cat "):
        content = (folder / command.split()[1]).read_bytes()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    status = main([*typed(command, open_server.base_url), *row.more.split()])
    said = capsys.readouterr()
    assert status == row.status, said.err
    for text in row.says:
        assert text in said.out + said.err


def test_a_peer_and_somebody_who_sends_to_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve, send = [one for one in APART if one.startswith("xdsi simulate")]
    capsys.readouterr()
    options = shlex.split(serve.replace("--port 9000 ", "").replace("--delay 5", "--delay 0.1"))[3:]
    with simulating(folder, "repository", *options) as ready:
        assert set(ready) >= {"base_url", "record", "faults", "switch"}
        assert ready["faults"] == ["slow"]
        send = send.replace("http://127.0.0.1:9000", ready["base_url"]).replace("--count 10", "--count 2 --interval 0")
        assert main(["--json", *shlex.split(send)[1:], "--record", str(folder / "sent")]) == 0
        kept = (Path(ready["record"]) / "index.jsonl").read_text().splitlines()
    assert len(json.loads(capsys.readouterr().out)["items"]) == 2
    assert len(kept) == 2
    assert set(json.loads(kept[0])) >= {
        "number", "began", "milliseconds", "asked", "answered", "faults", "request", "response",
    }  # fmt: skip


def test_cases_in_a_hospitals_own_tests(folder: Path, open_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    by_case, by_suite = [one for one in APART if one.startswith("pytest ")]
    for command, more in ((by_case, ["--xdsi-case", "0101"]), (by_suite, [])):
        given = [*typed(command, open_server.base_url), *more, "-p", "no:cacheprovider", "-q"]
        assert pytest.main(given) == pytest.ExitCode.OK, command
    assert (folder / "report.xml").is_file()
