"""docs/getting-started.md as a reader has it: its commands, in its order, with its settings, on ports that are free."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers import PATIENCE, environment, free_port
from xdsi import settings

pytestmark = pytest.mark.timeout(300)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "getting-started.md"
TEXT = PAGE.read_text("utf-8")
OWN_TERMINAL = "# in a terminal of its own\n"
MANIFEST = "1.2.840.10008.5.1.4.1.1.88.59"


@dataclass
class Reader:
    """Somebody who types what the page says into terminals of one folder."""

    folder: Path
    ports: dict[str, str]
    servers: list[subprocess.Popen[str]] = field(default_factory=list)

    def type(self, block: str) -> str:
        """Run a block of commands; returns what it shows."""
        for name, port in self.ports.items():
            block = block.replace(name, port)
        if block.startswith(OWN_TERMINAL):
            return self._leave_running(block.removeprefix(OWN_TERMINAL).strip())
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=self.folder, env=self._environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}"
        return done.stdout

    def _leave_running(self, command: str) -> str:
        if command == "xdsi serve":
            command += f" --port {self.ports['8443']}"
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self._environment(), text=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        self.servers.append(process)
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], PATIENCE)
        line = process.stdout.readline() if readable else ""
        assert line.startswith("{"), command
        return line

    def _environment(self) -> dict[str, str]:
        programs = Path(sys.executable).parent
        # As wide as a reader's terminal may be: narrow ones show lists, and a row is looked for below.
        return {**environment(), "PATH": f"{programs}:{os.environ['PATH']}", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each block of the page shows, by its first words after the setting of the scene."""
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"the page's commands need {program}")
    if not (Path(sys.executable).parent / "xdsi").exists():
        pytest.skip("xdsi is not installed beside this Python")
    folder = tmp_path_factory.mktemp("reader")
    reader = Reader(folder, {"8443": str(free_port()), "8444": str(free_port())})
    output: dict[str, str] = {"folder": str(folder)}
    try:
        for heading, block in blocks("sh"):
            if "TRACE" in block:
                block = block.replace("TRACE", re.findall(r"trace ([0-9a-f]{32})", output["A consumer"])[-1])
            for line in block.splitlines(keepends=True) if "ENTRY" in block else [block]:
                if "ENTRY" in line:
                    (row,) = [row for row in output[heading].splitlines() if MANIFEST in row]
                    line = line.replace("ENTRY", re.findall(r"urn:uuid:[0-9a-f-]+", row)[-1])
                output[heading] = output.get(heading, "") + reader.type(line)
        yield output
    finally:
        for server in reader.servers:
            server.terminate()
        for server in reader.servers:
            server.wait(PATIENCE)
            assert server.stdout is not None
            server.stdout.close()


def blocks(kind: str) -> list[tuple[str, str]]:
    """The blocks of code of a kind, each with the heading it stands under."""
    found, heading = [], ""
    for match in re.finditer(rf"^## ([^\n]+)$|^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        heading = match[1] or heading
        if match[2]:
            found.append((heading, match[2]))
    return found


def test_a_hub_is_ready(shown: dict[str, str]) -> None:
    assert '"status":"ready"' in shown["The hub"]
    made = {path.stem for path in (Path(shown["folder"]) / "xdsi-data" / "pki").glob("*.pem")} - {"patient-P1"}
    named = set(re.findall(r"`([a-z-]+)`", re.findall(r"^\| file.*?\n\n", TEXT, re.MULTILINE | re.DOTALL)[0]))
    assert made == named


def test_a_hospital_publishes(shown: dict[str, str]) -> None:
    assert "the settings are in order" in shown["A hospital"]
    assert "accepted" in shown["A hospital"]
    assert "published" in shown["A hospital"]


def test_without_consent_nothing_is_found_and_the_operator_sees_why(shown: dict[str, str]) -> None:
    assert "0 documents" in shown["A consumer"]
    assert "permit=False" in shown["A consumer"]
    assert "rule=default" in shown["A consumer"]
    assert "it would be taken" in shown["A consumer"]


def test_with_consent_the_images_are_fetched(shown: dict[str, str]) -> None:
    assert "valid" in shown["A consent"]
    assert "3 documents" in shown["A consent"]
    assert len(list((Path(shown["folder"]) / "fetched").glob("*/*.dcm"))) == 2


def test_the_trail_is_whole(shown: dict[str, str]) -> None:
    assert "dr.weber" in shown["What happened"]
    assert shown["What happened"].rstrip().endswith(": whole")


def test_the_settings_of_a_hub_are_valid(tmp_path: Path) -> None:
    (block,) = [text for _, text in blocks("toml")]
    block = re.sub(r'sha256 = "[^"]+"', f'sha256 = "{"0" * 64}"', block)
    file = tmp_path / "hub.toml"
    file.write_text(block)
    assert settings.load(file, {}).node[0].name == "hospital-a"
    assert set(tomllib.loads(block)) == {"tls", "consent", "saml", "node"}
