"""`xdsi db export` and `import`: files, streams, what is told."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage import registered
from xdsi.cli import main
from xdsi.storage.database import open_database
from xdsi.storage.registry import SqlRegistry


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A registry with an entry, and an empty one beside it."""
    for name in ("full", "empty"):
        (tmp_path / f"{name}.toml").write_text(f'[server]\ndata_dir = "{tmp_path / name}"\n')
    assert main(["--config", str(tmp_path / "full.toml"), "db", "upgrade"]) == 0
    engine = open_database(f"sqlite:///{tmp_path / 'full' / 'xdsi.sqlite3'}")
    with SqlRegistry(engine).writing() as session:
        session.save(registered.submission(registered.entry(title="Ärztin")))
    engine.dispose()
    return tmp_path


def run(folder: Path, which: str, *arguments: str) -> int:
    options = ["--json"] if "--json" in arguments else []
    rest = [one for one in arguments if one != "--json"]
    return main(["--config", str(folder / f"{which}.toml"), *options, *rest])


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.jsonl.gz"])
def test_a_file_goes_out_and_in(settings: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = settings / name
    assert run(settings, "full", "db", "export", str(file)) == 0
    opened = gzip.open if name.endswith(".gz") else open
    with opened(file, "rt", encoding="utf-8") as stream:
        assert [next(iter(json.loads(line))) for line in stream] == [
            "xdsi", "patient", "submission_set", "document_entry", "association", "end",
        ]  # fmt: skip
    capsys.readouterr()
    assert run(settings, "empty", "--json", "db", "import", str(file)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["items"] == [{"patients": 1, "objects": 3, "present": 0, "consents": 0, "conflicts": 0}]
    assert list(settings.glob("*.part")) == []


def test_conflicts_are_an_exit_status(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = settings / "metadata.jsonl"
    run(settings, "full", "db", "export", str(file))
    lines = file.read_text("utf-8").replace('"creation_time":"2024', '"creation_time":"2023').splitlines(keepends=True)
    file.write_text("".join(lines), "utf-8")
    capsys.readouterr()
    assert run(settings, "full", "--json", "db", "import", str(file)) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["items"][0]["conflicts"], told["items"][0]["present"]) == ("failed", 1, 2)
    assert told["items"][1]["reason"] == "is registered already with other content"


def test_a_pipe_from_one_registry_to_another(settings: Path) -> None:
    command = [sys.executable, "-m", "xdsi", "--config"]
    out = subprocess.run(
        [*command, str(settings / "full.toml"), "db", "export", "-"], check=True, capture_output=True, timeout=60
    )
    done = subprocess.run(
        [*command, str(settings / "empty.toml"), "db", "import", "-"], input=out.stdout, check=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert b"3 objects" in done.stdout


def test_an_export_that_breaks_off_leaves_no_file(settings: Path) -> None:
    assert run(settings, "full", "db", "export", str(settings / "no" / "such" / "folder")) == 1
    assert run(settings, "empty", "db", "import", str(settings / "missing.jsonl")) == 1


def test_a_broken_stream_names_the_line(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = settings / "metadata.jsonl"
    file.write_text("nonsense\n", "utf-8")
    assert run(settings, "empty", "db", "import", str(file)) == 1
    assert "line 1" in capsys.readouterr().err
