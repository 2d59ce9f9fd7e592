"""`xdsi fetch` against real servers: both ways, interrupted, with a DICOMDIR and a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest
from PIL import Image
from pydicom.fileset import FileSet

from tests.cli.test_commands import done, failed, settings, xdsi
from tests.imaging import STUDIES
from tests.servers import Server
from tests.transport.test_rest import kept
from tests.trusted import CT, DOE, MR, Trusted, token

AUTHORITY = "2.999.1.5"


@pytest.fixture(scope="module")
def hospital(open_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hospital beside the open server, which fetches by either way."""
    return settings(
        tmp_path_factory.mktemp("fetching"),
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
[consumer.dicomweb]
"2.999.1.3" = "{open_server.base_url}/dicom-web"
""",
    )


@pytest.fixture(scope="module")
def entry(hospital: Path) -> str:
    """A published manifest."""
    (published,) = done("publish", CT, "--again", config=hospital)
    return str(published["entry"])


def images(items: list[dict[str, Any]]) -> dict[str, bytes]:
    return {item["instance"]: Path(item["file"]).read_bytes() for item in items if "instance" in item}


@pytest.mark.parametrize("by", ["rad69", "wado-rs"])
def test_all_that_is_listed_arrives_bit_for_bit(hospital: Path, entry: str, tmp_path: Path, by: str) -> None:
    items = done("fetch", entry, "--out", tmp_path, "--by", by, "--workers", "2", config=hospital)
    assert images(items) == kept(CT)
    trail = done("audit", "search", config=hospital)
    number = "RAD-69" if by == "rad69" else "RAD-107"
    assert any((item["transaction"], item["outcome"]) == (number, 0) for item in trail)


def test_what_an_interruption_left_is_completed(hospital: Path, entry: str, tmp_path: Path) -> None:
    done("fetch", entry, "--out", tmp_path, config=hospital)
    first, second, *_ = sorted((tmp_path / CT).glob("1.*.dcm"))
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / CT).glob("1.*.dcm")}
    first.unlink()
    second.write_bytes(second.read_bytes()[:-100])
    (tmp_path / CT / f".{first.name}.abcd").write_bytes(b"left by a crash")
    items = done("fetch", entry, "--out", tmp_path, config=hospital)
    assert images(items) == kept(CT)
    untouched = times.keys() - {first, second}
    assert all(path.stat().st_mtime_ns == times[path] for path in untouched)


def test_a_file_set_and_a_contact_sheet(hospital: Path, entry: str, tmp_path: Path) -> None:
    media, sheet = tmp_path / "media", tmp_path / "sheet.png"
    done(
        "fetch", entry, "--out", tmp_path / "out", "--dicomdir", media, "--contact-sheet", sheet, config=hospital
    )  # fmt: skip
    file_set = FileSet(media / "DICOMDIR")
    assert {str(one.SOPInstanceUID) for one in file_set} == set(kept(CT))
    for one in file_set:
        name = Path(one.path).relative_to(media)
        assert all(len(part) <= 8 and part == part.upper() for part in name.parts), "a File ID (PS3.10 8.5)"
        expected = kept(CT)[str(one.SOPInstanceUID)]
        assert pydicom.dcmread(one.path).PixelData == pydicom.dcmread(pydicom.filebase.DicomBytesIO(expected)).PixelData
    file_set._stage["t"].cleanup()
    picture = Image.open(sheet)
    assert (picture.format, picture.size) == ("PNG", (2 * 168 + 8, 2 * 182 + 8))
    assert len(set(picture.convert("L").tobytes())) > 20, "it shows something"
    status, answer = xdsi("fetch", entry, "--out", tmp_path / "out", "--dicomdir", media, config=hospital)
    assert (status, "is not empty" in str(answer["items"])) == (1, True), "a folder of others is not written over"


def test_wrong_usage(hospital: Path, entry: str, tmp_path: Path) -> None:
    assert "1 or more" in failed("fetch", entry, "--out", tmp_path, "--workers", "0", config=hospital)


@pytest.mark.parametrize("credential", ["token", "assertion"])
def test_a_consumer_shows_who_asks_by_wado(trusted: Trusted, tmp_path: Path, credential: str) -> None:
    """Over mutual TLS: RAD-69 is not configured, and the other patient's images do not come."""
    (tmp_path / "token").write_text(token())
    trusted.saml()
    base, own = trusted.server.base_url, trusted.pki
    shown = f"token = '{tmp_path / 'token'}'\n" if credential == "token" else ""
    file = settings(
        tmp_path,
        f"[consumer]\nregistry_url = '{base}/services/registry'\n"
        f"certificate = '{own}/consumer.pem'\nkey = '{own}/consumer.key'\nca = '{own}/ca.pem'\n"
        f"assertion = '{trusted.folder}/112247003.xml'\n{shown}"
        f"[consumer.repositories]\n'2.999.1.2' = '{base}/services/repository'\n"
        f"[consumer.dicomweb]\n'2.999.1.3' = '{base}/dicom-web'\n",
    )
    found = done("find", DOE, config=file)
    (manifest,) = [item for item in found if any(CT in value for value in item["referenceIdList"])]
    items = done("fetch", manifest["entryUUID"], "--out", tmp_path / "out", config=file)
    assert images(items) == kept(CT)
    assert not any(MR in value for item in found for value in item["referenceIdList"])
