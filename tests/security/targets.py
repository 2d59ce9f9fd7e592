"""A study that somebody is after: its identifiers, which he may know, and what an answer would give away."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from io import BytesIO

import pydicom
import requests
from lxml import etree

from tests.security.asking import ETREAT, JEKYLL, Asker, archive, quoted
from tests.trusted import Trusted
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, RIM

URGENT = replace(JEKYLL, purposes=(ETREAT,), emergency_reason="to know what there is")
"""by whom the tests learn what the attacker must not"""


@dataclass(frozen=True)
class Target:
    """A published study. Everything here but the pixels is taken to be known to the attacker."""

    patient: str
    study: str
    series: str
    instance: str
    entry_uuid: str
    unique_id: str
    set_uuid: str
    set_id: str
    identifiers: frozenset[bytes]
    """of the study and its registry objects; none of them is told to who did not say it himself"""
    pixels: tuple[bytes, ...]

    @property
    def path(self) -> str:
        """Of the instance, below /dicom-web."""
        return f"/studies/{self.study}/series/{self.series}/instances/{self.instance}"


_FOUND: dict[tuple[str, str], Target] = {}


def target(hub: Trusted, patient: str, study_uid: str) -> Target:
    """What the hub has of a patient's study, as an emergency is shown it."""
    key = (hub.server.base_url, study_uid)
    if key not in _FOUND:
        _FOUND[key] = _target(hub, patient, study_uid)
    return _FOUND[key]


def _target(hub: Trusted, patient: str, study_uid: str) -> Target:
    everything = Asker(hub, URGENT).query(
        uuids.GET_ALL,
        ("$patientId", [quoted(patient)]),
        *((f"$XDS{kind}Status", [f"('{APPROVED}')"]) for kind in ("DocumentEntry", "SubmissionSet", "Folder")),
    )
    root = etree.fromstring(everything.content, etree.XMLParser())
    (entry,) = [
        one
        for one in root.iter(f"{{{RIM}}}ExtrinsicObject")
        if one.get("mimeType") == "application/dicom" and study_uid in etree.tostring(one).decode()
    ]
    found = archive().study(study_uid)
    assert found is not None
    series = found.series[0]
    files = [b"".join(archive().open(one)) for one in found.instances]
    unique_id = _identifier(entry)
    (sets,) = {
        one.get("sourceObject", "")
        for one in root.iter(f"{{{RIM}}}Association")
        if one.get("targetObject") == entry.get("id")
    }
    (package,) = [one for one in root.iter(f"{{{RIM}}}RegistryPackage") if one.get("id") == sets]
    names = {str(pydicom.dcmread(BytesIO(raw), stop_before_pixels=True).PatientName) for raw in files}
    hashes = re.findall(r'name="hash".*?<(?:\w+:)?Value>(\w+)<', etree.tostring(entry).decode(), re.DOTALL)
    told = {
        entry.get("id", ""), unique_id, sets, _identifier(package), study_uid, *hashes, *names,
        *(one.series_instance_uid for one in found.series), *(one.sop_instance_uid for one in found.instances),
    }  # fmt: skip
    return Target(
        patient=patient,
        study=study_uid,
        series=series.series_instance_uid,
        instance=series.instances[0].sop_instance_uid,
        entry_uuid=entry.get("id", ""),
        unique_id=unique_id,
        set_uuid=sets,
        set_id=_identifier(package),
        identifiers=frozenset(one.encode() for one in told if one),
        pixels=tuple(_telling(one.PixelData) for raw in files if "PixelData" in (one := pydicom.dcmread(BytesIO(raw)))),
    )


_MARKS = (b"DocumentResponse>", b"<rim:ExtrinsicObject", b"image/jpeg", b"image/png")
_UNIQUE_IDS = ("2e82c1f6-a085-4c72-9da3-8640a32e42ab", "96fdda7c-d067-4183-912e-bf5ee74998a8")


def _identifier(one: etree._Element) -> str:
    (found,) = [
        item.get("value", "")
        for item in one.iter(f"{{{RIM}}}ExternalIdentifier")
        if item.get("identificationScheme", "").endswith(_UNIQUE_IDS)
    ]
    return found


def _telling(pixels: bytes) -> bytes:
    """A part of an image that occurs nowhere else."""
    middle = len(pixels) // 2
    return bytes(pixels[middle : middle + 48])


def gives_away(answer: requests.Response, wanted: Target) -> list[bytes]:
    """What an answer tells of a study, beyond what was said in asking for it."""
    said = (answer.request.url or "").encode() + str(answer.request.headers).encode()
    body = answer.request.body
    said += body if isinstance(body, bytes) else (body or "").encode()
    told = answer.content + str(answer.headers).encode() + answer.url.encode()
    found = [one for one in wanted.identifiers if one in told and one not in said]
    found += [one for one in wanted.pixels if one in told]
    found += [
        mark for mark in (b"DocumentResponse>", b"<rim:ExtrinsicObject", b"image/jpeg", b"image/png") if mark in told
    ]
    if answer.headers.get("Content-Type", "").startswith(("multipart/", "application/dicom", "image/", "video/")):
        # An envelope with its problems alone is no image.
        found += [b"a part"] if b"DICM" in answer.content else []
    return found
