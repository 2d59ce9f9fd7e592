"""The wheel carries all that the program needs: installed alone, it serves its WSDL and passes a conformance case."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

SCRIPT = """
import json, subprocess, sys, tempfile
from pathlib import Path
import xdsi
assert "site-packages" in xdsi.__file__ and Path(xdsi.__file__).is_relative_to(sys.prefix), xdsi.__file__
from xdsi.domain.packaged import resources
assert (resources("wsdl") / "iti18.wsdl").is_file() and (resources("schemas") / "rim.xsd").is_file()
from xdsi import conformance
import socket
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
with tempfile.TemporaryDirectory() as data:
    command = [sys.executable, "-m", "xdsi", "serve", "--profile", "open", "--port", str(port), "--data", data]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        ready = json.loads(server.stdout.readline())
        case = next(one for one in conformance.load() if one.name.startswith("0101"))
        findings = conformance.run(case, conformance.Endpoint(base_url=ready["base_url"]))
        options = ["--xdsi-endpoint", ready["base_url"], "--xdsi-case", "0101", "--xdsi-case", "0502"]
        played = subprocess.run([sys.executable, "-m", "pytest", "-q", *options, data], capture_output=True, text=True)
    finally:
        server.terminate()
        server.wait(timeout=20)
assert not findings, findings
assert "2 passed" in played.stdout, played.stdout + played.stderr
print("passed", case.name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy so that nothing is left in it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, files):
        if (REPOSITORY / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((REPOSITORY / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder)], cwd=source, check=True, capture_output=True, text=True
    )
    # A folder that no `packages` names is told in forty lines to everybody who installs this.
    assert "absent from" not in done.stderr, done.stderr
    (built,) = folder.glob("xdsi-*.whl")
    return built


def test_the_wheel_carries_wsdl_schemas_and_cases(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "xdsi/resources/wsdl/iti43.wsdl" in names
    assert "xdsi/resources/schemas/rim.xsd" in names
    assert any(name.startswith("xdsi/resources/conformance/0101") for name in names)
    assert not any(name.startswith("tests/") for name in names)


def test_installed_alone_it_serves_and_passes_a_case(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)],
        check=True,
    )
    # The dependencies come from this environment by path; an editable installation there is not followed.
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done = subprocess.run([str(python), "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "passed" in done.stdout
