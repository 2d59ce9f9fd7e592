"""Each command as scripts use it: one JSON object on standard output, and an exit status."""

from __future__ import annotations

import base64
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

from tests import audit_samples, trusted
from tests.certificates import identity
from tests.imaging import FILES, STUDIES
from tests.servers import Server, envelope, exchange, free_port, http, wait_until
from tests.time_stamping import stamping
from xdsi import app
from xdsi.actors.manifest_publisher import Published, Result
from xdsi.actors.study_publisher import Considered, StudyPublisher
from xdsi.cli import main
from xdsi.domain.outcome import Problem, Severity
from xdsi.domain.subject import Peer
from xdsi.rules import audit_alerts
from xdsi.rules.audit import events_for
from xdsi.settings import load
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.transport import pki
from xdsi.transport.syslog_collector import Collector
from xdsi.transport.tls import TlsFiles, client_context, server_context

AUTHORITY = "2.999.1.5"
CT = "1.3.6.1.4.1.5962.1.1.0.0.0.1196530851.28319.0.1"
XR = "1.3.6.1.4.1.5962.1.1.0.0.0.1196527414.5534.0.1"
DOE = f"77654033^^^&{AUTHORITY}&ISO"


def xdsi(*arguments: str | Path, config: Path | None = None) -> tuple[int, dict[str, Any]]:
    """A command with `--json`: its exit status and its object."""
    named = ["--config", str(config)] if config else []
    out = io.StringIO()
    with redirect_stdout(out):
        status = main(["--json", *named, *map(str, arguments)])
    answer: dict[str, Any] = json.loads(out.getvalue())
    assert [key for key in answer if key != "trace"] == ["status", "items", "message"]
    assert answer["status"] == ("ok" if status == 0 else "failed")
    return status, answer


def done(*arguments: str | Path, config: Path | None = None) -> list[dict[str, Any]]:
    status, answer = xdsi(*arguments, config=config)
    assert status == 0, answer
    items: list[dict[str, Any]] = answer["items"]
    return items


def failed(*arguments: str | Path, config: Path | None = None) -> str:
    status, answer = xdsi(*arguments, config=config)
    assert status == 1, answer
    return str(answer["message"])


def wrong_usage(*arguments: str) -> str:
    err = io.StringIO()
    with pytest.raises(SystemExit) as caught, redirect_stderr(err):
        main(list(arguments))
    assert caught.value.code == 2
    return err.getvalue()


# -- usage


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "required: COMMAND"),
        (("nonsense",), "invalid choice"),
        (("patient",), "required: ACTION"),
        (("find",), "required: PATIENT"),
        (("find", "P1"), "not a patient identifier of the form ID^^^&OID&ISO"),
        (("publish", "--confidentiality", "N"), "'N' is not CODE^^SCHEME"),
        (("fetch", "x"), "required: --out"),
        (("serve", "--port", "many"), "invalid int value"),
        (("serve", "--profile", "closed"), "invalid choice"),
        (("audit", "search", "--outcome", "3"), "invalid choice"),
        (("token", "issue", "--issuer", "a"), "required: --key"),
        (("patient", "add", DOE, "--birth-date", "01.01.1970"), "is not a date such as 1970-01-31 or 19700131"),
        (("patient", "add", DOE, "--birth-date", "1970-02-30"), "is not a date such as 1970-01-31 or 19700131"),
        (("patient", "add", DOE, "--birth-date", "1970010"), "is not a date such as 1970-01-31 or 19700131"),
        (("patient", "add", DOE, "--sex", "female"), "invalid choice"),
    ],
)
def test_wrong_usage_has_a_status_of_its_own(arguments: tuple[str, ...], complaint: str) -> None:
    assert complaint in wrong_usage(*arguments)


def test_without_json_people_are_spoken_to(tmp_path: Path) -> None:
    out, problems = io.StringIO(), io.StringIO()
    file = tmp_path / "xdsi.toml"
    file.write_text(f"[server]\ndata_dir = '{tmp_path / 'd'}'\n")
    with redirect_stdout(out), redirect_stderr(problems):
        assert main(["--config", str(file), "patient", "add", DOE]) == 0
        assert main(["--config", str(file), "patient", "list"]) == 0
        assert main(["--config", str(file), "explain", "0" * 32]) == 1
    assert "Patients" in out.getvalue()
    assert f"no trace {'0' * 32} in {tmp_path / 'd'}; the node that answered keeps it" in problems.getvalue()


@pytest.mark.parametrize(
    "reading",
    [
        ("patient", "list"),
        ("consent", "list", DOE),
        ("consent", "explain", "--patient", DOE, "--subject", "dr", "--role", "a^^1.2"),
        ("repository", "hold", "list"),
        ("repository", "verify"),
        ("source", "queue"),
        ("db", "export", "/tmp/none"),
        ("audit", "search"),
        ("audit", "verify"),
        ("explain", "0" * 32),
    ],
    ids=" ".join,
)
def test_a_command_that_reads_makes_no_store(tmp_path: Path, reading: tuple[str, ...]) -> None:
    config = settings(tmp_path)
    message = failed(*reading, config=config)
    assert message.startswith(f"nothing is kept in {tmp_path / 'data'}: there is no {tmp_path / 'data'}/xdsi.sqlite3")
    assert "--data DIR" in message
    assert f"nothing is kept in {tmp_path / 'other'}" in failed(*reading, "--data", tmp_path / "other", config=config)
    assert list(tmp_path.iterdir()) == [config]


def test_a_command_that_reads_is_told_the_data_folder(tmp_path: Path) -> None:
    done("patient", "add", DOE, config=settings(tmp_path))
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text(f"[server]\ndata_dir = '{tmp_path / 'nothing'}'\n")
    (one,) = done("patient", "list", "--data", tmp_path / "data", config=elsewhere)
    assert one["patient"] == DOE
    assert done("consent", "list", DOE, "--data", tmp_path / "data", config=elsewhere) == []
    records = done("audit", "search", "--data", tmp_path / "data", config=elsewhere)
    assert "ITI-44" in {record["transaction"] for record in records}


def test_a_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, capsys.readouterr().out.startswith("xdsi ")) == (0, True)


# -- keys and tokens


def test_pki_init_makes_an_authority_once(tmp_path: Path) -> None:
    made = {item["name"]: item for item in done("pki", "init", tmp_path / "pki")}
    assert set(made) == {"ca", "hub", "hospital-a", "hospital-b", "consumer", "idp", "stranger-ca", "stranger"}
    for name, item in made.items():
        assert pki.load(tmp_path / "pki", name).sha256 == item["sha256"]
        assert (tmp_path / "pki" / f"{name}.key").stat().st_mode & 0o077 == 0
    assert "holds an authority already" in failed("pki", "init", tmp_path / "pki")


def test_pki_signer_makes_a_patients_certificate_once(tmp_path: Path) -> None:
    folder, patient = tmp_path / "pki", "../P 1^^^&2.999.9&ISO"
    assert "holds no authority; `xdsi pki init" in failed("pki", "signer", folder, patient)
    done("pki", "init", folder)
    (made,) = done("pki", "signer", folder, patient)
    assert made == {
        "key": str(folder / "patient-.._P_1.key"), "certificate": str(folder / "patient-.._P_1.pem"),
    }  # fmt: skip
    assert Path(made["key"]).stat().st_mode & 0o077 == 0
    certificate = pki.load(folder, "patient-.._P_1").certificate
    (serial,) = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    assert serial.value == "../P 1"
    certificate.verify_directly_issued_by(pki.load(folder, "ca").certificate)
    assert "exists already" in failed("pki", "signer", folder, patient)


def test_a_token_needs_its_key(tmp_path: Path) -> None:
    message = failed(
        "token", "issue", "--issuer", "i", "--key", tmp_path / "no.key", "--cert", tmp_path / "no.pem", "--user", "u",
        "--organization-id", "urn:oid:2.999", "--role", "a^^1.2", "--purpose", "b^^1.2", "--out", tmp_path / "t.xml",
    )  # fmt: skip
    assert "no.key" in message
    assert not (tmp_path / "t.xml").exists()


def test_a_token_says_what_it_was_asked_to(tmp_path: Path) -> None:
    one = identity("idp", "2048")
    (tmp_path / "i.key").write_bytes(one.key_pem)
    (tmp_path / "i.pem").write_bytes(one.cert_pem)
    out = tmp_path / "t.xml"
    items = done(
        "token", "issue", "--issuer", "urn:i", "--key", tmp_path / "i.key", "--cert", tmp_path / "i.pem", "--user",
        "dr", "--user-name", "Dr Who", "--organization-id", "urn:oid:2.999", "--role", "a^^1.2", "--role", "c^^1.3",
        "--purpose", "b^^1.2", "--patient", DOE, "--audience", "urn:oid:2.999.9", "--lifetime", "60", "--out", out,
    )  # fmt: skip
    assert items == [{"file": str(out)}]
    text = out.read_text()
    for said in ("urn:i<", "dr<", "Dr Who", 'code="a"', 'code="c"', "77654033", "urn:oid:2.999.9<"):
        assert said in text


# -- patients


def settings(folder: Path, text: str = "") -> Path:
    file = folder / "xdsi.toml"
    file.write_text(f"[server]\ndata_dir = '{folder / 'data'}'\n{text}", "utf-8")
    return file


def test_patients_are_added_merged_and_listed(tmp_path: Path) -> None:
    config = settings(tmp_path)
    a, b = (f"{name}^^^&2.999.1.1&ISO" for name in "AB")
    assert done("patient", "add", a, "--name", "Doe^Jo", "--birth-date", "19700101", "--sex", "F", config=config) == []
    done("patient", "add", b, config=config)
    done("patient", "merge", b, a, config=config)
    assert done("patient", "list", config=config) == [
        {"patient": a, "status": "active", "survivor": "", "name": "Doe^Jo"},
        {"patient": b, "status": "subsumed", "survivor": a, "name": ""},
    ]
    status, again = xdsi("patient", "merge", b, a, config=config)
    assert (status, b in again["message"]) == (1, True)
    # What an operator does is audited like what a feed does.
    records = done("audit", "search", "--patient", b, config=config)
    assert {(item["transaction"], item["outcome"]) for item in records} == {("ITI-44", 0), ("ITI-44", 8)}


def test_a_domain_takes_its_own_identifiers_only(tmp_path: Path) -> None:
    config = settings(tmp_path, "[domain]\npatient_id_authority = '2.999.1.1'\n")
    done("patient", "add", "A^^^&2.999.1.1&ISO", config=config)
    done("patient", "add", "A^^^&2.999.1.2&ISO", config=config)
    assert [item["patient"] for item in done("patient", "list", config=config)] == ["A^^^&2.999.1.1&ISO"]


def test_another_hub_is_told_by_its_url(open_server: Server, tmp_path: Path) -> None:
    config = settings(tmp_path)
    patient = "CLI1^^^&2.999.1.1&ISO"
    done("patient", "add", patient, "--url", open_server.url("identity"), config=config)
    beside = tmp_path / "hub.toml"
    beside.write_text(f"[server]\ndata_dir = '{open_server.data}'\n")
    assert patient in [item["patient"] for item in done("patient", "list", config=beside)]
    assert done("patient", "list", "--data", tmp_path / "data", config=config) == []


@pytest.mark.parametrize(
    ("said", "known"),
    [("1970-01-31", "19700131"), ("19700131", "19700131"), ("1970-01", "197001"), ("1970", "1970"), ("", "")],
)
def test_a_birth_date_arrives(tmp_path: Path, said: str, known: str) -> None:
    config = settings(tmp_path)
    done("patient", "add", DOE, "--birth-date", said, "--sex", "f", config=config)
    with app.Parts(load(config)) as parts:
        (one,) = parts.identities.list()
    assert (one.demographics.birth_date or "", one.demographics.sex) == (known, "F")


def test_it_is_said_where_a_patient_was_announced(open_server: Server, tmp_path: Path) -> None:
    config, url = settings(tmp_path), open_server.url("identity")
    _, here = xdsi("patient", "add", "CLI2^^^&2.999.1.1&ISO", config=config)
    assert here["message"] == f"accepted, and kept in this node's own store in {tmp_path / 'data'}"
    _, there = xdsi("patient", "add", "CLI2^^^&2.999.1.1&ISO", "--url", url, config=config)
    assert there["message"] == f"accepted by {url}"


@pytest.mark.parametrize("action", [("add", DOE), ("merge", DOE, f"1^^^&{AUTHORITY}&ISO")])
def test_a_node_without_registry_and_identities_has_no_patients_of_its_own(
    tmp_path: Path, action: tuple[str, ...]
) -> None:
    config = tmp_path / "hospital.toml"
    config.write_text(f"[server]\ndata_dir = '{tmp_path / 'data'}'\nactors = ['imaging-source']\n")
    message = failed("patient", *action, config=config)
    assert "server.actors: imaging-source" in message
    assert "--url" in message
    assert not (tmp_path / "data").exists()


def test_a_hub_that_is_away_is_a_failure_not_a_traceback(tmp_path: Path) -> None:
    message = failed("patient", "add", DOE, "--url", "http://127.0.0.1:9/services/identity", config=settings(tmp_path))
    assert "http://127.0.0.1:9/services/identity cannot be reached" in message


# -- publish, find, fetch


@pytest.fixture(scope="module")
def hospital(open_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings of a hospital beside the open server, with the images that the server gives out."""
    return settings(
        tmp_path_factory.mktemp("hospital"),
        f"""
[domain]
patient_id_authority = "{AUTHORITY}"
[imaging_source]
pacs = "folder:{STUDIES}"
repository_url = "{open_server.url("repository")}"
[consumer]
registry_url = "{open_server.url("registry")}"
[consumer.repositories]
"2.999.1.2" = "{open_server.url("repository")}"
[consumer.sources]
"2.999.1.3" = "{open_server.url("imaging-source")}"
""",
    )


def test_a_query_names_its_trace(hospital: Path, open_server: Server) -> None:
    status, answer = xdsi("find", "NOBODY^^^&2.999.1.1&ISO", config=hospital)
    assert (status, answer["items"]) == (0, [])
    wait_until(lambda: xdsi("explain", answer["trace"], "--data", open_server.data)[0] == 0)


def titles(hospital: Path) -> list[str]:
    return sorted(item["title"] for item in done("find", DOE, config=hospital))


def test_a_study_is_published_found_and_fetched(hospital: Path, open_server: Server, tmp_path: Path) -> None:
    (published,) = done("publish", CT, config=hospital)
    assert (published["result"], published["instances"], published["problems"]) == ("published", 4, [])
    (found,) = [item for item in done("find", DOE, config=hospital) if item["entryUUID"] == published["entry"]]
    assert found["uniqueId"] == published["document"]
    assert found["formatCode"] == "1.2.840.10008.5.1.4.1.1.88.59"
    assert any(value.startswith(f"{CT}^^^^") for value in found["referenceIdList"])

    (unchanged,) = done("publish", CT, config=hospital)
    assert (unchanged["result"], unchanged["entry"]) == ("unchanged", published["entry"])

    items = done("fetch", published["entry"], "--out", tmp_path / "images", config=hospital)
    assert len(items) == 5
    manifest, *images = (Path(item["file"]) for item in items)
    assert pydicom.dcmread(manifest).SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.59"
    pacs = FolderPacs(STUDIES)
    study = pacs.study(CT)
    assert study is not None
    kept = {one.sop_instance_uid: b"".join(pacs.open(one)) for one in study.instances}
    assert {item["instance"]: Path(item["file"]).read_bytes() for item in items[1:]} == kept
    assert {path.parent for path in (manifest, *images)} == {tmp_path / "images" / CT}

    beside = tmp_path / "hub.toml"
    beside.write_text(f"[server]\ndata_dir = '{open_server.data}'\n")
    wait_until(lambda: xdsi("explain", published["trace"], config=beside)[0] == 0)
    (explained,) = done("explain", published["trace"], config=beside)
    assert explained["transaction"] == "ITI-41"
    sent = done("audit", "search", "--trace", published["trace"], config=hospital)
    assert [(item["transaction"], item["outcome"]) for item in sent] == [("RAD-68", 0)]


def test_publishing_again_replaces(hospital: Path) -> None:
    (first,) = done("publish", XR, config=hospital)
    before = titles(hospital)
    code = "R^restricted^2.16.840.1.113883.5.25"
    (second,) = done("publish", XR, "--again", "--confidentiality", code, config=hospital)
    assert (second["result"], second["entry"] != first["entry"]) == ("replaced", True)
    assert titles(hospital) == before
    (found,) = [item for item in done("find", DOE, config=hospital) if item["entryUUID"] == second["entry"]]
    assert found["confidentiality"] == ["R^^2.16.840.1.113883.5.25"]
    assert first["entry"] not in [item["entryUUID"] for item in done("find", DOE, config=hospital)]


def test_confidentiality_of_a_published_study_replaces_its_entry(hospital: Path) -> None:
    (first,) = done("publish", CT, config=hospital)
    code = "R^restricted^2.16.840.1.113883.5.25"
    (second,) = done("publish", CT, "--confidentiality", code, config=hospital)
    assert (second["result"], second["entry"] != first["entry"]) == ("replaced", True)
    (unchanged,) = done("publish", CT, config=hospital)
    assert (unchanged["result"], unchanged["entry"]) == ("unchanged", second["entry"])


def test_what_was_registered_although_its_answer_was_lost_is_registered_once(hospital: Path) -> None:
    for again in ((), ("--again",)):
        (first,) = done("publish", XR, *again, config=hospital)
        before = titles(hospital)
        with app.Parts(load(hospital)) as parts:
            kept = parts.publications.newest(XR)
            assert kept is not None
            parts.publications.keep(replace(kept, state="sending"))
        (second,) = done("publish", XR, config=hospital)
        assert (second["entry"], second["problems"], titles(hospital)) == (first["entry"], [], before)
        assert done("publish", XR, config=hospital)[0]["result"] == "unchanged"


def test_one_entry_that_cannot_be_had_does_not_keep_the_others(
    hospital: Path, open_server: Server, tmp_path: Path
) -> None:
    (published,) = done("publish", CT, config=hospital)
    unknown = "urn:uuid:00000000-0000-4000-8000-00000000dead"
    status, answer = xdsi("fetch", unknown, published["document"], "--out", tmp_path, config=hospital)
    assert status == 1
    trace = answer["items"][0]["trace"]
    assert answer["items"][0] == {"entry": unknown, "problem": f"not found [trace {trace}]", "trace": trace}
    wait_until(lambda: xdsi("explain", trace, "--data", open_server.data)[0] == 0)
    assert len([item for item in answer["items"] if "file" in item]) == 5


def test_a_source_that_is_not_configured_is_told(hospital: Path, tmp_path: Path) -> None:
    (published,) = done("publish", CT, config=hospital)
    elsewhere = tmp_path / "x.toml"
    elsewhere.write_text(hospital.read_text().replace('"2.999.1.3" =', '"2.999.1.9" ='))
    status, answer = xdsi("fetch", published["entry"], "--out", tmp_path / "out", config=elsewhere)
    assert status == 1
    assert answer["items"][-1]["problem"] == "imaging source 2.999.1.3 is not configured; known: 2.999.1.9"


def test_a_dry_run_says_what_would_be_published_and_why(hospital: Path) -> None:
    (planned,) = done("publish", CT, "--dry-run", config=hospital)
    assert planned["result"] in ("published", "replaced", "unchanged")
    assert (planned["modalities"], planned["reasons"]) == (["CT"], ["modality CT"])
    before = len(titles(hospital))
    chosen = hospital.with_name("rule.toml")
    chosen.write_text(hospital.read_text() + "[publishing]\nmodalities = ['US']\nmax_age_days = 30\n")
    everything = [one for one in done("publish", "--dry-run", config=chosen) if "study" in one]
    assert len(everything) == 7
    assert {one["result"] for one in everything} == {"not chosen"}
    assert all(len(one["reasons"]) == 2 for one in everything), "that of the modality, and that of the age"
    status, answer = xdsi("publish", CT, config=chosen)
    assert (status, answer["items"][0]["result"]) == (1, "not chosen")
    assert len(titles(hospital)) == before
    (planned,) = done("publish", CT, "--dry-run", "--whatever-the-rule", config=chosen)
    assert planned["reasons"] == ["asked for, whatever the rule says"]


def test_a_comparison_says_when_the_registry_was_not_asked(hospital: Path) -> None:
    status, answer = xdsi("source", "reconcile", "--dry-run", config=hospital)
    assert status == 0
    assert answer["message"].endswith("the registry was not asked: imaging_source.registry_url is not set")


def test_a_study_of_two_patients_is_withheld_with_the_reason(hospital: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        dataset = pydicom.dcmread(FILES / "CT_small.dcm")
        dataset.StudyInstanceUID, dataset.PatientID = "2.25.4710", f"P{number}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.4710.{number}"
        dataset.save_as(tmp_path / f"{number}.dcm")
    mixed = tmp_path / "mixed.toml"
    mixed.write_text(hospital.read_text().replace(f"folder:{STUDIES}", f"folder:{tmp_path}"))
    status, answer = xdsi("publish", "2.25.4710", "--dry-run", config=mixed)
    assert (status, answer["items"][0]["result"]) == (1, "withheld")
    assert answer["items"][0]["reasons"] == ["files of study 2.25.4710 name different patients"]


def test_a_study_that_is_not_there(hospital: Path) -> None:
    assert failed("publish", "1.2.3", config=hospital) == "not in the PACS: 1.2.3"


def test_a_repository_that_is_away(hospital: Path, tmp_path: Path) -> None:
    text = hospital.read_text().replace("[server]\n", f"[server]\nport = 1\n# {tmp_path}\n")
    lines = ["repository_url = 'http://127.0.0.1:9/'" if line.startswith("repository_url") else line
             for line in text.splitlines()]  # fmt: skip
    away = tmp_path / "away.toml"
    away.write_text("\n".join(lines).replace(str(hospital.parent / "data"), str(tmp_path / "data")))
    status, answer = xdsi("publish", CT, config=away)
    assert (status, [item["result"] for item in answer["items"]]) == (1, ["unavailable"])


def test_of_what_the_registry_warned_is_shown_as_a_warning(hospital: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = (Problem("XDSRegistryMetadataError", "odd code", severity=Severity.WARNING), Problem("B", "not that"))
    done_with = Published(result=Result.PUBLISHED, study_instance_uid=CT, problems=problems)
    monkeypatch.setattr(StudyPublisher, "publish", lambda self, uid, **_: Considered(uid, published=done_with))
    (item,) = done("publish", CT, config=hospital)
    assert [(one["severity"], one["context"]) for one in item["problems"]] == [
        ("warning", "odd code"), ("error", "not that"),
    ]  # fmt: skip
    out = io.StringIO()
    with redirect_stdout(out):
        assert main(["--config", str(hospital), "publish", CT]) == 0
    assert " warning: odd code; not that" in out.getvalue()


@pytest.mark.parametrize(
    ("arguments", "key"),
    [(("publish",), "imaging_source.repository_url"), (("find", DOE), "consumer.registry_url"),
     (("fetch", "2.9", "--out", "/tmp/x"), "consumer.registry_url")],
)  # fmt: skip
def test_what_is_not_configured_is_named(tmp_path: Path, arguments: tuple[str, ...], key: str) -> None:
    status, answer = xdsi(*arguments, config=settings(tmp_path))
    assert status == 1
    assert key in answer["message"] + json.dumps(answer["items"])


def test_emergencies_are_found_with_their_reasons(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(f"[server]\ndata_dir = '{tmp_path / 'data'}'\n")
    asked = replace(audit_samples.SUBJECT, emergency_reason="unconscious")
    with app.Parts(load(config, {})) as parts:
        for emergency in (False, True):
            found = audit_samples.facts("ITI-18", emergency=emergency, subject=asked)
            parts.trail.append(events_for(found), trace="")
    assert len(done("audit", "search", config=config)) > 1
    (item,) = done("audit", "search", "--emergencies", config=config)
    assert item["patient"] == audit_samples.PATIENT
    assert item["told"].startswith("ITI-18: unconscious [trace ")
    assert done("audit", "search", "--emergencies", "--since", "2999-01-01T00:00Z", config=config) == []


def test_a_token_is_explained(tmp_path: Path) -> None:
    done("pki", "init", tmp_path / "pki")
    config = tmp_path / "hub.toml"
    config.write_text(f"[[saml.issuer]]\nname = 'idp'\ncertificates = ['{tmp_path}/pki/idp.pem']\n")
    token = tmp_path / "token.xml"
    done(
        "token", "issue", "--issuer", "idp", "--key", tmp_path / "pki/idp.key", "--cert", tmp_path / "pki/idp.pem",
        "--user", "dr", "--organization-id", "urn:oid:2.999.5", "--role", "HCP^^2.999.40", "--purpose",
        "ETREAT^^2.16.840.1.113883.5.8", "--reason", "unconscious", "--out", token,
    )  # fmt: skip
    items = done("token", "explain", token, config=config)
    assert {item["outcome"] for item in items if "check" in item} == {"met"}
    (reason,) = [item for item in items if item.get("attribute", "").endswith("emergency-reason")]
    assert (reason["values"], reason["use"]) == (["unconscious"], "used")
    assert "it would be refused: signature, time" in failed(
        "token", "explain", token, "--at", "2020-01-01T00:00Z", config=config
    )
    header = tmp_path / "header"
    header.write_bytes(b"Authorization: IHE-SAML " + base64.b64encode(token.read_bytes()))
    again = done("token", "explain", header, config=config)
    assert [item for item in again if item.get("check") != "time"] == [
        item for item in items if item.get("check") != "time"
    ], "the same but for the moment of asking"
    config.write_text("")
    assert "issuer" in failed("token", "explain", token, config=config)


def test_without_settings_a_token_is_judged_as_the_hub_of_the_folder_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done("pki", "init", tmp_path / "elsewhere")
    pki, token = tmp_path / "elsewhere", tmp_path / "token.xml"
    done(
        "token", "issue", "--issuer", "urn:xdsi:demonstration:idp", "--key", pki / "idp.key", "--cert", pki / "idp.pem",
        "--user", "dr", "--organization-id", "urn:oid:2.999.5", "--role", "HCP^^2.999.40", "--purpose",
        "TREAT^^2.16.840.1.113883.5.8", "--out", token,
    )  # fmt: skip
    told = failed("token", "explain", token)
    assert "no issuer is trusted without settings" in told
    assert "xdsi-data" in told
    assert "--config" in told
    (tmp_path / "xdsi-data").mkdir()
    pki.rename(tmp_path / "xdsi-data" / "pki")  # as a first start leaves it
    done("token", "explain", token)


def test_an_access_token_is_explained(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(trusted.key_set(trusted.SIGNER))
    config = tmp_path / "hub.toml"
    config.write_text(f"[[jwt.issuer]]\nname = '{trusted.ISSUER}'\njwks = '{tmp_path}/keys.json'\n")
    token = tmp_path / "token.jwt"
    token.write_text(f"Bearer {trusted.token()}\n")
    items = done("token", "explain", token, config=config)
    assert {item["outcome"] for item in items if "check" in item} == {"met"}
    (role,) = [item for item in items if item.get("attribute", "").endswith("subject_role")]
    assert (role["values"], role["use"]) == ([f"{trusted.DOCTOR}^^{trusted.SNOMED}"], "required")
    assert "it would be refused: time" in failed("token", "explain", token, "--at", "2020-01-01T00:00Z", config=config)
    config.write_text("")
    assert "issuer, key, signature" in failed("token", "explain", token, config=config)


# -- consent, on a hub that asks for it


def statement(role: str) -> str:
    return f"role={role}^^2.16.840.1.113883.6.96"


@pytest.fixture
def folder(full_server: Server, tmp_path: Path) -> Path:
    """Where a hospital, a consumer and a patient of the full server keep their settings and keys."""
    own = full_server.data / "pki"
    if not (own / "patient-CONSENT.pem").exists():
        done("pki", "signer", own, "CONSENT^^^&2.999.1.1&ISO")

    def tls(name: str) -> str:
        return f"[tls]\ncertificate = '{own}/{name}.pem'\nkey = '{own}/{name}.key'\nclient_ca = '{own}/ca.pem'\n"

    for name in ("hospital-a", "consumer"):
        (tmp_path / f"{name}.toml").write_text(
            f"[server]\ndata_dir = '{tmp_path / name}'\n{tls(name)}"
            f"[imaging_source]\nrepository_url = '{full_server.url('repository')}'\n"
            f"[consumer]\nregistry_url = '{full_server.url('registry')}'\nassertion = '{tmp_path / 'token.xml'}'\n"
        )
    (tmp_path / "hub.toml").write_text(
        f"[server]\ndata_dir = '{full_server.data}'\n[consent]\nsigner_ca = '{own / 'ca.pem'}'\n"
    )
    done(
        "token", "issue", "--issuer", "urn:xdsi:demonstration:idp", "--key", own / "idp.key", "--cert",
        own / "idp.pem", "--user", "dr", "--organization-id", "urn:oid:2.999.1.10", "--role",
        "112247003^^2.16.840.1.113883.6.96", "--purpose", "TREAT^^2.16.840.1.113883.5.8", "--out",
        tmp_path / "token.xml",
    )  # fmt: skip
    return tmp_path


def test_a_policy_that_a_running_hub_does_not_know_yet_is_told(tmp_path: Path) -> None:
    """It is read when a hub starts; the command reads what the file says now."""
    policy = tmp_path / "policies" / "floor" / "never.toml"
    policy.parent.mkdir(parents=True)
    policy.write_text('id = "2.999.7"\n[[rule]]\nname = "never"\neffect = "deny"\nconfidentiality = "V^^2.999.20"\n')
    config = settings(tmp_path, f"[consent]\npolicies = '{policy.parent.parent}'\n")
    with app.Parts(load(config)) as parts:
        start, trail = app.utc_now(), parts.trail

        def told() -> str:
            asked = ("consent", "explain", "--patient", DOE, "--subject", "dr", "--role", "a^^1.2")
            status, answer = xdsi(*asked, config=config)
            assert status == 0
            return str(answer["message"])

        written = (start + timedelta(hours=1)).timestamp()
        os.utime(policy, (written, written))
        assert told() == "0 documents, 0 permitted"  # nothing has served here
        trail.append((audit_alerts.started(parts.site, start),), trace="")
        assert told().endswith(f"which decides without the change until its next: {policy}")
        trail.append((audit_alerts.started(parts.site, start + timedelta(hours=2)),), trace="")
        assert told() == "0 documents, 0 permitted"


def test_a_consent_is_granted_listed_and_revoked(full_server: Server, folder: Path) -> None:
    patient = "CONSENT^^^&2.999.1.1&ISO"
    own = full_server.data / "pki"
    signing = ("--key", own / "patient-CONSENT.key", "--cert", own / "patient-CONSENT.pem")
    hub, hospital, consumer = (folder / f"{name}.toml" for name in ("hub", "hospital-a", "consumer"))
    done("patient", "add", patient, config=hub)

    (granted,) = done("consent", "grant", patient, "--permit", statement("112247003"), *signing, config=hospital)
    (listed,) = done("consent", "list", patient, config=hub)
    assert (listed["entry"], listed["status"], listed["active"]) == (granted["entry"], "valid", True)
    assert listed["says"] == "permit"
    seen = {item["uniqueId"] for item in done("find", patient, config=consumer)}
    assert granted["document"] in seen

    # What the decision rests on, for the person who found it and for another one.
    asked = ("consent", "explain", "--patient", patient, "--subject", "dr", "--role")
    explained = done(*asked, "112247003^^2.16.840.1.113883.6.96", config=hub)
    assert {item["document"] for item in explained if item["decision"] == "permit"} == seen
    assert {(item["rule"], item["consent"]) for item in explained} == {("permit-1", granted["document"])}
    others = done(*asked, "PORTER^^2.999.40", config=hub)
    assert {(item["decision"], item["rule"]) for item in others} == {("deny", "default")}

    # Who looked at what is the patient's, and nobody else did.
    begun = done("audit", "search", "--patient", patient, "--user", "dr", "--outcome", "0", config=hub)
    assert {(item["transaction"], item["patient"], item["user"]) for item in begun} == {("ITI-18", patient, "dr")}
    assert done("audit", "search", "--patient", patient, "--user", "dr.hyde", config=hub) == []
    last = begun[-1]["time"]
    assert done("audit", "search", "--patient", patient, "--user", "dr", "--until", last, config=hub) == begun[:-1]

    (revoked,) = done("consent", "revoke", patient, granted["entry"], *signing, config=hospital)
    assert done("find", patient, config=consumer) == []
    after = done(*asked, "112247003^^2.16.840.1.113883.6.96", config=hub)
    assert {(item["decision"], item["consent"]) for item in after} == {("deny", revoked["document"])}
    assert [(item["entry"], item["says"]) for item in done("consent", "list", patient, config=hub)] == [
        (revoked["entry"], "deny")
    ]


def test_a_consent_that_accepts_a_policy_of_the_domain(full_server: Server, folder: Path) -> None:
    """BPPC: the hub reads and verifies it; it grants what the library has under that id, and here that is nothing."""
    patient = "CONSENT^^^&2.999.1.1&ISO"
    own = full_server.data / "pki"
    signing = ("--key", own / "patient-CONSENT.key", "--cert", own / "patient-CONSENT.pem")
    hub, hospital, consumer = (folder / f"{name}.toml" for name in ("hub", "hospital-a", "consumer"))
    done("patient", "add", patient, config=hub)
    (granted,) = done(
        "consent", "grant", patient, "--accept", "2.999.1.7.1", "--name", "Roe^Ann", "--until", "2999-01-01", *signing,
        config=hospital,
    )  # fmt: skip
    listed = {item["entry"]: item for item in done("consent", "list", patient, config=hub)}
    assert (listed[granted["entry"]]["status"], listed[granted["entry"]]["active"]) == ("valid", True)
    assert done("find", patient, config=consumer) == []
    done("consent", "revoke", patient, granted["entry"], *signing, config=hospital)


@pytest.fixture
def served() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("what", ["PKCS#12", "locked PEM", "enveloping", "scan", "stamped"])
def test_a_consent_is_signed_with_what_there_is(
    full_server: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: ExitStack, what: str
) -> None:
    patient = "CONSENT^^^&2.999.1.1&ISO"
    own = full_server.data / "pki"
    hub, hospital = (folder / f"{name}.toml" for name in ("hub", "hospital-a"))
    done("patient", "add", patient, config=hub)
    key = load_pem_private_key((own / "patient-CONSENT.key").read_bytes(), None)
    certificate = x509.load_pem_x509_certificate((own / "patient-CONSENT.pem").read_bytes())
    lock = BestAvailableEncryption(b"secret")
    said, secret = ["--permit", ""], tmp_path / "secret"
    signing = ["--key", own / "patient-CONSENT.key", "--cert", own / "patient-CONSENT.pem"]
    secret.write_text("secret\n")
    match what:
        case "PKCS#12":
            (tmp_path / "ann.p12").write_bytes(serialize_key_and_certificates(b"Ann", key, certificate, None, lock))
            signing = ["--key", tmp_path / "ann.p12", "--pass-file", secret]
        case "locked PEM":
            locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
            (tmp_path / "ann.key").write_bytes(locked)
            signing[1] = tmp_path / "ann.key"
            monkeypatch.setenv("XDSI_SIGNING_PASS", "secret")
        case "enveloping":
            signing.append("--enveloping")
        case "scan":
            (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4 signed")
            said = ["--accept", "2.999.1.7.1", "--name", "Roe^Ann", "--scan", tmp_path / "paper.pdf"]
        case "stamped":
            authority = served.enter_context(stamping(tmp_path / "tsa"))
            hospital.write_text(f"{hospital.read_text()}[consent]\ntimestamp_url = '{authority.url}'\n")
    (granted,) = done("consent", "grant", patient, *said, *signing, config=hospital)
    listed = {item["entry"]: item for item in done("consent", "list", patient, config=hub)}
    assert (listed[granted["entry"]]["status"], listed[granted["entry"]]["active"]) == ("valid", True)
    done("consent", "revoke", patient, granted["entry"], *signing, config=hospital)


POLICY = """
id = "2.999.1.7.1"
[[rule]]
name = "doctors"
effect = "permit"
role = "HCP^^2.999.40"
"""
CASES = """
[[case]]
name = "a doctor"
expect = "permit"
acknowledges = ["2.999.1.7.1"]
subject = { role = "HCP^^2.999.40" }
document = { patient = "P1^^^&2.999.1.1&ISO" }
"""


def test_policies_are_tested(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    (policies / "library").mkdir(parents=True)
    config = tmp_path / "hub.toml"
    config.write_text(f"[consent]\npolicies = '{policies}'\n")
    assert "`xdsi --config FILE policy test`" in failed("policy", "test")
    (policies / "library" / "1.toml").write_text(POLICY)
    assert "no test in" in failed("policy", "test", config=config)
    (policies / "1.test.toml").write_text(CASES)
    (item,) = done("policy", "test", config=config)
    assert (item["case"], item["ok"], item["decided"]) == ("a doctor", True, "permit doctors")
    (policies / "library" / "1.toml").write_text(POLICY.replace("HCP", "NURSE"))
    assert "1 case, 1 failed" in failed("policy", "test", config=config)
    (policies / "library" / "1.toml").write_text(POLICY.replace("effect", "efect"))
    assert "efect" in failed("config", "check", config=config)


def test_that_the_files_of_tls_were_read_again_is_audited(full_server: Server) -> None:
    own = full_server.data / "pki"
    node = TlsFiles(certificate=own / "consumer.pem", key=own / "consumer.key", peer_ca=own / "ca.pem")
    for content, told, outcome in (
        (b"nothing", f"changed files of TLS cannot be used, the former stay in force: TLS: certificate {own}", 8),
        ((own / "hub.pem").read_bytes(), "the files of TLS were read again", 0),
    ):
        fresh = own / "fresh"
        fresh.write_bytes(content)
        fresh.replace(own / "hub.pem")
        with full_server.connect(client_context(node)):
            pass
        wait_until(
            lambda told=told, outcome=outcome: any(told in one for one in changes(full_server, outcome=outcome)), 60
        )


def changes(server: Server, *, outcome: int) -> list[str]:
    """What the audit trail tells of changes of configuration that came out so."""
    found = done("audit", "search", "--data", server.data, "--limit", "1000", "--outcome", outcome)
    return [item["told"] for item in found if item["event"] == "Security Configuration"]


@pytest.fixture
def collector(full_server: Server, tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """An audit collector with the hub's certificate: its address, and what it got."""
    own, received = full_server.data / "pki", []
    files = TlsFiles(certificate=own / "hub.pem", key=own / "hub.key", peer_ca=own / "ca.pem")

    def store(raw: bytes, peer: Peer) -> int:
        received.append(raw)
        return len(received)

    server = Collector("127.0.0.1", 0, server_context(files), store)
    server.start()
    yield f"tls://127.0.0.1:{server.port}", received
    server.stop()


def test_what_a_command_recorded_is_at_the_collector_when_it_ends(
    folder: Path, collector: tuple[str, list[bytes]]
) -> None:
    url, received = collector
    config = folder / "consumer.toml"
    config.write_text(f"{config.read_text()}[audit]\nsend = '{url}'\nsource_id = 'the-consumer'\n")
    done("find", "NOBODY^^^&2.999.1.1&ISO", config=config)
    assert any(b"the-consumer" in raw and b"ITI-18" in raw for raw in received)
    # Nothing is sent twice; and what a collector that is away did not get goes with the next command.
    many = len(received)
    config.write_text(config.read_text().replace(url, "tls://127.0.0.1:9"))
    done("find", "NOBODY^^^&2.999.1.1&ISO", config=config)
    assert len(received) == many
    config.write_text(config.read_text().replace("tls://127.0.0.1:9", url))
    done("find", "NOBODY^^^&2.999.1.1&ISO", config=config)
    assert len(received) == many + 2


def test_whose_certificate_is_not_trusted_learns_which_file_is_asked(full_server: Server, folder: Path) -> None:
    own, patient = full_server.data / "pki", "NOBODY^^^&2.999.1.1&ISO"
    text = (folder / "consumer.toml").read_text()
    (folder / "other.toml").write_text(text.replace(f"{own}/ca.pem", f"{own}/stranger-ca.pem"))
    message = failed("find", patient, config=folder / "other.toml")
    assert f"{full_server.url('registry')}: its certificate is not trusted: " in message
    assert f"trusted is {own}/stranger-ca.pem (tls.client_ca)" in message
    files = f"certificate = '{own}/consumer.pem'\nkey = '{own}/consumer.key'\nca = '{own}/stranger-ca.pem'\n"
    (folder / "own.toml").write_text(text + files)
    assert "stranger-ca.pem (consumer.ca)" in failed("find", patient, config=folder / "own.toml")
    stranger = text.replace(f"{own}/consumer.", f"{own}/stranger.")
    (folder / "stranger.toml").write_text(stranger)
    message = failed("find", patient, config=folder / "stranger.toml")
    assert f"shown is {own}/stranger.pem (tls.certificate)" in message
    (folder / "none.toml").write_text(f"[server]\ndata_dir = '{folder}/none'\n{text[text.index('[consumer]') :]}")
    assert "authorities of the public web, for want of settings" in failed("find", patient, config=folder / "none.toml")


@pytest.mark.parametrize("command", [("find", "NOBODY^^^&2.999.1.1&ISO"), ("fetch", "1.2.3", "--out", "/tmp/none")])
def test_who_sent_no_assertion_learns_where_it_would_come_from(folder: Path, command: tuple[str, ...]) -> None:
    config = folder / "consumer.toml"
    config.write_text("\n".join(line for line in config.read_text().splitlines() if "assertion" not in line))
    status, answer = xdsi(*command, config=config)
    said = answer["message"] or answer["items"][0]["problem"]
    assert status == 1
    assert said.endswith("no identity assertion was sent, because consumer.assertion names none")
    assert "[trace " in said


def test_an_assertion_that_lives_too_long_is_told_of(folder: Path, full_server: Server) -> None:
    own = full_server.data / "pki"
    issue = (
        "token", "issue", "--issuer", "urn:i", "--key", own / "idp.key", "--cert", own / "idp.pem", "--user", "dr",
        "--organization-id", "urn:oid:2.999", "--role", "a^^1.2", "--purpose", "b^^1.2", "--out", folder / "t.xml",
    )  # fmt: skip
    _, longest = xdsi(*issue, "--lifetime", "3600")
    assert longest["message"].endswith("t.xml: valid for 3600 s")
    _, longer = xdsi(*issue, "--lifetime", "7200")
    assert "longer than the 3600 s of saml.max_lifetime_seconds" in longer["message"]


def test_a_second_server_on_a_data_folder_is_refused(open_server: Server) -> None:
    message = failed("serve", "--profile", "open", "--port", str(free_port()), "--data", open_server.data)
    assert message.startswith(f"settings: another server keeps its data in {open_server.data}; valid: ")
    # Commands are no servers.
    done("audit", "search", "--limit", "1", "--data", open_server.data)


def test_a_consent_says_something(folder: Path) -> None:
    files = ("--key", folder / "k", "--cert", folder / "c")
    complaint = failed("consent", "grant", DOE, *files, config=folder / "hospital-a.toml")
    assert "at least one --permit, --deny or --accept" in complaint


@pytest.mark.parametrize(
    ("what", "complaint"),
    [(("--permit", "role"), "'role' is not KEY=VALUE"), (("--permit", "role=doctor"), "is not CODE^^SCHEME"),
     (("--deny", "colour=red"), "unknown key 'colour'; known: role, purpose,")],
)  # fmt: skip
def test_a_statement_that_says_nothing_is_wrong_usage(
    what: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["consent", "grant", DOE, *what, "--key", "k", "--cert", "c"])
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


# -- operate


def test_the_trail_is_searched_and_verified(open_server: Server, tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(f"[server]\ndata_dir = '{open_server.data}'\n")
    other = exchange(open_server, http(b"id=1", Content_Type="application/x-www-form-urlencoded")).trace
    wait_until(lambda: xdsi("explain", other, config=config)[0] == 0)
    out = io.StringIO()
    with redirect_stdout(out):
        main(["--config", str(config), "explain", other])
    assert " no transaction from " in out.getvalue()
    trace = exchange(open_server, http(envelope("urn:ihe:iti:2007:RegistryStoredQuery", b"<x/>"))).trace
    (record,) = done("audit", "search", "--trace", trace, "--outcome", "8", config=config)
    assert set(record) == {
        "record", "time", "node", "direction", "transaction", "event", "outcome", "user", "patient", "trace", "told",
    }  # fmt: skip
    assert record["node"] == "xdsi"
    assert done("audit", "search", "--trace", trace, "--outcome", "0", config=config) == []
    assert done("audit", "search", "--since", "2999-01-01T00:00:00+00:00", config=config) == []
    assert len(done("audit", "search", "--limit", "1", config=config)) == 1
    status, answer = xdsi("audit", "verify", config=config)
    assert (status, answer["message"].endswith(": whole")) == (0, True)
    shown = len(done("audit", "search", "--limit", "100000", config=config))
    assert f", {shown} of what happened and " in answer["message"], "the other ones are no news to anybody"
    message = failed("explain", "0" * 32, config=config)
    assert message == f"no trace {'0' * 32} in {open_server.data}; the node that answered keeps it"


def test_a_record_that_was_changed_is_told_in_a_sentence_by_which_it_is_found(tmp_path: Path) -> None:
    config = tmp_path / "hub.toml"
    config.write_text(f"[server]\ndata_dir = '{tmp_path / 'data'}'\n")
    settings, trace = load(config, {}), "0123456789abcdef" * 2
    with app.Parts(settings) as parts:
        parts.trail.append(events_for(audit_samples.facts("ITI-18")), trace=trace)
    with closing(sqlite3.connect(settings.server.data_dir / "xdsi.sqlite3")) as database, database:
        database.execute("UPDATE audit_record SET user_id = 'somebody else' WHERE trace = ?", (trace,))
    (record,) = done("audit", "search", "--trace", trace, config=config)
    status, answer = xdsi("audit", "verify", config=config)
    (found,) = answer["items"]
    assert (status, found["tampering"], found["first"]) == (1, "changed", found["last"])
    about = f"record {record['record']} ({record['time'][:23]}"
    assert found["finding"].startswith(about)
    rest = f", ITI-18, trace {trace}) does not have its hash [changed: chain {found['chain']}, place {found['first']}]"
    assert found["finding"].endswith(rest)
    assert answer["message"].endswith(f": {found['finding']}")
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        assert main(["--config", str(config), "audit", "verify"]) == 1
    assert found["finding"] in out.getvalue()
