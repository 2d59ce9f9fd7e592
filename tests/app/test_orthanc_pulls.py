"""Orthanc's own DICOMweb client pulls a study over mutual TLS with an access token, and gets what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.archives import Orthanc, running_orthanc
from tests.transport.test_rest import kept
from tests.trusted import CT, MR, PORTER, Trusted, token


def pulled(orthanc: Orthanc, server: str, study_uid: str) -> bool:
    """Have it retrieve a study from one of its DICOMweb servers."""
    body = {"Resources": [{"Study": study_uid}], "Synchronous": True}
    return requests.post(f"{orthanc.dicom_web}/servers/{server}/retrieve", json=body, timeout=60).ok


def files(orthanc: Orthanc) -> dict[str, bytes]:
    """Every instance that it holds, by SOP Instance UID."""
    found = requests.get(f"{orthanc.url}/instances?expand", timeout=60).json()
    return {
        one["MainDicomTags"]["SOPInstanceUID"]: requests.get(
            f"{orthanc.url}/instances/{one['ID']}/file", timeout=60
        ).content
        for one in found
    }


@pytest.mark.component
def test_orthanc_pulls_what_was_consented_to_and_nothing_else(trusted: Trusted, tmp_path: Path) -> None:
    def server(role: str) -> dict[str, object]:
        return {
            "Url": f"{trusted.server.base_url}/dicom-web/",
            "HttpHeaders": {"Authorization": f"Bearer {token(role)}"},
            "CertificateFile": str(trusted.pki / "consumer.pem"),
            "CertificateKeyFile": str(trusted.pki / "consumer.key"),
        }

    servers = {"doctor": server("112247003"), "porter": server(PORTER)}
    with running_orthanc(
        tmp_path / "orthanc",
        DicomWeb={"Enable": True, "Servers": servers},
        HttpsVerifyPeers=True,
        HttpsCACertificates=str(trusted.pki / "ca.pem"),
    ) as orthanc:
        assert not pulled(orthanc, "porter", CT)
        assert not pulled(orthanc, "doctor", MR)
        assert files(orthanc) == {}
        assert pulled(orthanc, "doctor", CT)
        assert files(orthanc) == kept(CT), "bit for bit"
