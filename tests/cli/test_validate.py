"""`xdsi validate` from the command line."""

import json
from pathlib import Path

import pytest

from tests.imaging import fhir_manifest, mado_manifest, manifest
from xdsi.cli import main


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    contents = {
        "kos.dcm": manifest(),
        "mado.dcm": mado_manifest(),
        "mado.json": fhir_manifest(),
        "cut.dcm": manifest()[:700],
        "other.txt": b"hello",
        "warned.dcm": manifest(retrieve_location_uid=""),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def test_right_files_are_valid(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", *(str(files[name]) for name in ("kos.dcm", "mado.dcm", "mado.json"))]) == 0
    assert capsys.readouterr().out.count("no finding") == 3


def test_an_error_anywhere_is_refused_and_all_files_are_judged(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["cut.dcm", "kos.dcm", "other.txt"]
    assert main(["--json", "validate", *(str(files[name]) for name in names), str(files["kos.dcm"]) + "x"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == "failed"
    assert [(item["valid"], [one["rule"] for one in item["findings"]]) for item in answer["items"]] == [
        (False, ["file.form"]),
        (True, []),
        (False, ["file.kind"]),
        (False, ["file.read"]),
    ]


def test_a_warning_is_told_and_not_refused(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(files["warned.dcm"])]) == 0
    told = capsys.readouterr().out
    assert "1 warning" in told
    assert "(0040,A375)[1].(0008,1115)[1].(0040,E011)" in told
    assert "RAD TF-2 4.69.4.1.2" in told


def test_without_a_file_the_usage_is_wrong() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["validate"])
    assert stopped.value.code == 2
