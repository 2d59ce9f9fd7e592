"""The demonstration from end to end, and its output by independent oracles."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from lxml import etree

from tests.imaging import run
from tests.oracles import corpus, official_schema, schema_importing, schema_of
from xdsi.spec import xacml
from xdsi.spec.namespaces import SAMLP

SOAP = "{http://www.w3.org/2003/05/soap-envelope}"
XOP = "{http://www.w3.org/2004/08/xop/include}"
HL7 = "{urn:hl7-org:v3}"
DECISIONS = "XACMLAuthzDecisionQuery"
SAML_XACML = ("saml-xacml", "schema")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder a demonstration left behind; XDSI_DEMO_OUT names one that was played already."""
    if os.environ.get("XDSI_DEMO_OUT"):
        return Path(os.environ["XDSI_DEMO_OUT"])
    out = tmp_path_factory.mktemp("demo") / "demo-out"
    command = [sys.executable, "-m", "xdsi", "demo", "--out", str(out)]
    played = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert played.returncode == 0, played.stdout[-6000:] + played.stderr[-3000:]
    return out


def messages(demo: Path) -> Iterator[tuple[str, etree._Element]]:
    """The envelope of every recorded message."""
    for file in sorted((demo / "messages").iterdir()):
        raw = file.read_bytes()
        if file.suffix == ".mime":
            boundary, _, rest = raw.partition(b"\r\n")
            raw = rest.partition(b"\r\n\r\n")[2].partition(b"\r\n" + boundary)[0]
        yield file.name, etree.fromstring(raw)


def test_every_step_comes_as_expected(demo: Path) -> None:
    summary = json.loads((demo / "summary.json").read_text("utf-8"))
    assert len(summary) > 50
    assert [row for row in summary if not row["ok"]] == []
    assert {"step", "expected", "got", "ok"} == set(summary[0])


def test_no_server_outlives_a_demonstration_that_is_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "xdsi", "demo", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        try:
            assert demo.stdout is not None
            for line in demo.stdout:
                if line.startswith("Patients"):
                    break
            endpoints = json.loads((tmp_path / "out" / "endpoints.json").read_text("utf-8"))
            ports = [urlsplit(endpoints[node][actor]).port for node, actor in
                     (("hub", "registry"), ("hospital-a", "imaging-source"), ("hospital-b", "repository"))]  # fmt: skip
            for port in ports:
                socket.create_connection(("127.0.0.1", port or 0), 5).close()
            demo.send_signal(signal.SIGTERM)
            demo.stdout.read()
            assert demo.wait(60) == 130
        finally:
            demo.kill()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port or 0), 5)


def test_what_must_fail_is_among_the_steps(demo: Path) -> None:
    got = {row["got"] for row in json.loads((demo / "summary.json").read_text("utf-8"))}
    wanted = {
        "wsse:InvalidSecurity",
        "wsse:MessageExpired",
        "wsse:FailedCheck",
        "no connection",
        "Failure XDSUnknownPatientId",
        "Failure XDSRegistryMetadataError",
        "Failure XDSDocumentUniqueIdError",
        "Failure InvalidDocumentContent",
        "Failure XDSRepositoryError",
    }
    assert wanted <= got


def test_the_output_is_as_documented(demo: Path) -> None:
    for name in ("ca", "hub", "hospital-a", "hospital-b", "consumer", "idp", "patient-a", "stranger"):
        assert (demo / "pki" / f"{name}.pem").is_file()
        assert (demo / "pki" / f"{name}.key").stat().st_mode & 0o077 == 0
    endpoints = json.loads((demo / "endpoints.json").read_text("utf-8"))
    assert {"hub", "hospital-a", "hospital-b", "patients"} <= set(endpoints)
    names = [file.name for file in (demo / "messages").iterdir()]
    assert all(re.fullmatch(r"\d{3,}-[A-Z]+-\d+-(request|response)\.(xml|mime)", name) for name in names), names
    fetched = {file.name for file in (demo / "images").iterdir()}
    assert all(any((demo / "images" / name).glob("*.dcm")) for name in fetched)
    # What was handed in is apart from what was got: the consumer saw nothing of these.
    assert {"d-cardiology.kos.dcm", "e-us.kos.dcm", "b-us-abdomen.kos.dcm"} <= {
        file.name for file in (demo / "published").iterdir()
    }
    assert not fetched & {"d-cardiology", "e-us", "b-us-abdomen"}


def test_the_transactions_of_the_story_are_recorded(demo: Path) -> None:
    recorded = {"-".join(file.name.split("-")[1:3]) for file in (demo / "messages").iterdir()}
    assert {"ITI-18", "ITI-41", "ITI-42", "ITI-43", "ITI-44", "ITI-79", "RAD-69"} <= recorded


@pytest.mark.oracle
def test_every_soap_message_is_valid_by_the_official_schemas(demo: Path) -> None:
    seen: set[str] = set()
    for name, envelope in messages(demo):
        assert envelope.tag == f"{SOAP}Envelope", name
        (body,) = envelope.iterchildren(f"{SOAP}Body")
        for element in body:
            # As its own document, so that nothing around it takes part in validation.
            alone = etree.fromstring(etree.tostring(element, with_tail=False))
            # XOP stands for base64 (XOP 1.0, section 3): the Infoset is what the schema speaks of.
            for include in list(alone.iter(f"{XOP}Include")):
                include.getparent().text = "AAAA"
                include.getparent().remove(include)
            kind = etree.QName(alone).localname
            if alone.tag == f"{SOAP}Fault":
                continue
            schema = _schema_for(alone)
            assert schema.validate(alone), f"{name}: {kind}: {schema.error_log.last_error}"
            seen.add(kind)
    assert {
        "AdhocQueryRequest",
        "AdhocQueryResponse",
        "SubmitObjectsRequest",
        "ProvideAndRegisterDocumentSetRequest",
        "RegistryResponse",
        "RetrieveDocumentSetRequest",
        "RetrieveDocumentSetResponse",
        "RetrieveImagingDocumentSetRequest",
        "PRPA_IN201301UV02",
        "MCCI_IN000002UV01",
        DECISIONS,
        "Response",
    } <= seen


def _schema_for(element: etree._Element) -> etree.XMLSchema:
    name = etree.QName(element)
    if element.tag.startswith(HL7):
        folder = corpus("schemas", "ihe-iti-info", "schema", "HL7V3", "NE2008", "multicacheschemas")
        (file,) = folder.glob(f"{name.localname}.xsd")
        return schema_of(*file.relative_to(corpus("schemas")).parts)
    if name.localname == DECISIONS:
        return schema_of(*SAML_XACML, "xacml-2.0-profile-saml2.0-v2-schema-protocol-wd-14.xsd")
    if name.localname == "Response":
        return schema_importing(
            protocol=(SAMLP, corpus("schemas", *SAML_XACML, "sstc-saml-schema-protocol-2.0.xsd")),
            statement=(
                xacml.ASSERTION_V2,
                corpus("schemas", *SAML_XACML, "xacml-2.0-profile-saml2.0-v2-schema-assertion-wd-14.xsd"),
            ),
        )
    return official_schema()


@pytest.mark.component
def test_every_manifest_passes_dciodvfy(demo: Path) -> None:
    manifests = sorted((demo / "published").glob("*.kos.dcm"))
    assert len(manifests) >= 7
    for manifest in manifests:
        errors = [line for line in run("dciodvfy", manifest) if line.startswith("Error")]
        assert errors == [], f"{manifest.name}: {errors}"


@pytest.mark.oracle
def test_every_audit_record_is_valid_by_the_dicom_schema(demo: Path) -> None:
    schema = schema_of("dicom-audit", "ipf-dicom2017c.xsd")
    records = sorted((demo / "audit").glob("*.xml"))
    assert len(records) > 100
    for record in records:
        document = etree.fromstring(record.read_bytes())
        assert schema.validate(document), f"{record.name}: {schema.error_log.last_error}"
