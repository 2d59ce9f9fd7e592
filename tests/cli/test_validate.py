"""`xdsi validate` from the command line."""

import io
import json
from pathlib import Path

import pytest

from tests import message_samples
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


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(message_samples.envelope("ITI-18", b"<x/>"))))
    assert main(["validate", "--format", "json", "-"]) == 1
    (item,) = json.loads(capsys.readouterr().out)["items"]
    assert (item["file"], item["kind"], item["about"]) == ("-", "SOAP message", "ITI-18 Registry Stored Query, request")
    (found,) = item["findings"]
    assert found == {
        "level": "error",
        "rule": "SOAP.body",
        "line": 1,
        "place": "/Envelope/Body/x",
        "finding": "x in a message whose Action is urn:ihe:iti:2007:RegistryStoredQuery",
        "expected": "AdhocQueryRequest",
        "clause": "ITI-18 Registry Stored Query",
    }


def test_a_file_is_judged_as_what_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "cut.txt"
    file.write_bytes(b"PID|1||P1")
    assert main(["validate", "--as", "hl7v2", str(file)]) == 1
    assert "the message does not begin with MSH" in capsys.readouterr().out


def test_the_rules_of_a_country_come_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rules.toml").write_text("[codes.classCode]\n'2.999.20' = ['IMAGES']\n")
    (tmp_path / "message.xml").write_bytes(message_samples.submitted())
    assert main(["validate", str(tmp_path / "message.xml")]) == 0
    assert main(["validate", "--profile", str(tmp_path / "rules.toml"), str(tmp_path / "message.xml")]) == 1
    assert "DE.classCode.value-set" in capsys.readouterr().out
    (tmp_path / "rules.toml").write_text("what = 1")
    assert main(["validate", "--profile", str(tmp_path / "rules.toml"), str(tmp_path / "message.xml")]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"profile {tmp_path / 'rules.toml'}: unknown key 'what'")
    assert "settings" not in told
