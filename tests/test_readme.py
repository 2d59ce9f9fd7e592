"""README.md and wsdl/README.md as a reader has them: their examples, in their order, against an open profile."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import REPOSITORY, Server, environment

TEXT = (REPOSITORY / "README.md").read_text("utf-8")
PATIENT = "P1^^^&amp;2.999.9&amp;ISO"


def examples(heading: str) -> list[str]:
    """The commands under a heading of README.md, without those that install or start something."""
    section = re.split(r"^## ", TEXT.partition(f"## {heading}\n")[2], flags=re.MULTILINE)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if " serve " not in block]


def typed(block: str, server: Server, folder: Path) -> str:
    """What a block shows in a folder that looks like a clone."""
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"the page's commands need {program}")
    block = block.replace("http://127.0.0.1:8080", server.base_url)
    programs = {"xdsi": f"{sys.executable} -m xdsi", "python": sys.executable}
    block = re.sub(r"\.venv/bin/(xdsi|python)", lambda match: programs[match[1]], block)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], cwd=folder, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{block}\n{done.stdout}"
    return done.stdout


def test_a_reader_publishes_finds_and_runs_a_case(open_server: Server, tmp_path: Path) -> None:
    (tmp_path / "tests").symlink_to(REPOSITORY / "tests")
    example = (REPOSITORY / "wsdl" / "README.md").read_text("utf-8")
    (script,) = re.findall(r"^```python\n(.*?)^```$", example, re.MULTILINE | re.DOTALL)
    script = script.replace("https://hub.example:8443", open_server.base_url)
    (tmp_path / "example.py").write_text(script)
    with_zeep = ".venv/bin/python example.py"
    assert typed(with_zeep, open_server, tmp_path) == ""

    publish, by_hand, conformance = examples("Try it with your own client")
    shown = typed(publish, open_server, tmp_path)
    assert "published" in shown
    assert "1 document," in shown
    assert "<rim:ExtrinsicObject" in typed(by_hand, open_server, tmp_path)
    assert PATIENT in by_hand
    (line,) = typed(with_zeep, open_server, tmp_path).splitlines()
    assert line.startswith("urn:uuid:")
    assert "1 pass" in typed(f"{conformance.rstrip()} 0101", open_server, tmp_path)
