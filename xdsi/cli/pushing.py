"""`xdsi fetch --push`: what was fetched goes into the local archive under the hospital's own identifiers."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from xdsi import app
from xdsi.cli.command import Terminal
from xdsi.cli.keep import patient
from xdsi.domain.audit import ExchangeFacts, Side, StudyFacts
from xdsi.domain.errors import ConfigurationError, MalformedMessage, Unavailable
from xdsi.domain.identifiers import PatientId, is_oid
from xdsi.domain.metadata import DocumentEntry
from xdsi.rules import audit as audit_rules
from xdsi.transport.image_push import Image, ImagePush
from xdsi.wire.dicom_header import read_header
from xdsi.wire.local_identity import LocalIdentity, localize


def add(fetch: argparse.ArgumentParser) -> None:
    """Declare the options."""
    fetch.add_argument(
        "--push", action="store_true",
        help="also send the images to the archive of imaging_source.pacs (C-STORE, STOW-RS or Orthanc)",
    )  # fmt: skip
    fetch.add_argument(
        "--local-id", type=patient, metavar="PATIENT",
        help="the patient's identifier here, ID^^^&OID&ISO; without it that of imaging_source.patient_ids",
    )  # fmt: skip
    fetch.add_argument("--accession", default="", metavar="NUMBER", help="the accession number of the order here")
    fetch.add_argument("--accession-issuer", default="", metavar="OID", help="who issued it; else accession_authority")


def complaint(given: argparse.Namespace) -> str:
    """What is wrong with the options; empty where nothing is."""
    if len(given.accession) > 16 or "\\" in given.accession:
        return "--accession has at most 16 characters and no backslash"
    if given.accession_issuer and not is_oid(given.accession_issuer):
        return "--accession-issuer is an OID"
    return ""


def identity_for(parts: app.Parts, given: argparse.Namespace, entry: DocumentEntry) -> LocalIdentity:
    """By what the patient of an entry is known here; ConfigurationError where nobody says."""
    source = parts.settings.imaging_source
    domain = _patient(entry.patient_id)
    local = given.local_id or next((own for own, other in parts.patient_ids.items() if other == domain), None)
    if local is None and domain is not None and domain.authority == source.patient_id_authority:
        local = domain
    if local is None:
        shown = domain.cx if domain is not None else "nobody"
        raise ConfigurationError(f"{shown} has no identifier here: --local-id, or imaging_source.patient_ids")
    foreign = _patient(entry.source_patient_id)
    known = tuple(one for one in (foreign, domain) if one is not None)
    institution = next((one for author in entry.authors for one in author.institutions), "")
    return LocalIdentity(
        patient=local,
        accession=given.accession,
        accession_issuer=(given.accession_issuer or source.accession_authority) if given.accession else "",
        foreign_issuer=foreign.authority if foreign is not None else "",
        known_as=known,
        source=institution.partition("^")[0] or entry.repository_unique_id,
        system=source.organization_name,
    )


def _patient(text: str) -> PatientId | None:
    try:
        return PatientId.parse(text)
    except ValueError:
        return None


def push(
    parts: app.Parts, way: ImagePush, files: Sequence[Path], local: LocalIdentity, terminal: Terminal
) -> list[dict[str, Any]]:
    """Send files; an item for each, and our side of it on record."""
    images: list[Image] = []
    studies: dict[str, str] = {}
    for file in files:
        with file.open("rb") as opened:
            header = read_header(opened)
        (instance,) = header.instances
        studies[instance.sop_instance_uid] = header.study_instance_uid
        images.append(
            Image(
                instance.sop_instance_uid,
                instance.sop_class_uid,
                instance.transfer_syntax_uid,
                _reader(file, local, parts),
            )
        )
    items: list[dict[str, Any]] = []
    try:
        with terminal.progress() as progress:
            for uid, problem in progress.track(way.send(images), total=len(images), description="pushing"):
                item: dict[str, Any] = {"pushed": uid}
                items.append(item | ({"entry": uid, "problem": f"not pushed: {problem}"} if problem else {}))
    except Unavailable as error:
        done = {item["pushed"] for item in items}
        items += [
            {"pushed": one.uid, "entry": one.uid, "problem": f"not pushed: {error}"}
            for one in images
            if one.uid not in done
        ]
    _record(parts, way, local, items, images, studies)
    return items


def _reader(file: Path, local: LocalIdentity, parts: app.Parts) -> Callable[[], Dataset]:
    def read() -> Dataset:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset = dcmread(file)
                localize(dataset, local, app.utc_now())
            except (ValueError, TypeError, AttributeError, KeyError, OSError) as error:
                raise MalformedMessage(f"{file}: {error}") from error
        return dataset

    return read


def _record(
    parts: app.Parts,
    way: ImagePush,
    local: LocalIdentity,
    items: Sequence[dict[str, Any]],
    images: Sequence[Image],
    studies: dict[str, str],
) -> None:
    classes = {one.uid: one.sop_class_uid for one in images}
    facts: list[StudyFacts] = []
    for study in dict.fromkeys(studies.values()):
        for failed in (False, True):
            uids = [
                item["pushed"] for item in items
                if studies[item["pushed"]] == study and bool(item.get("problem")) is failed
            ]  # fmt: skip
            grouped: dict[str, list[str]] = {}
            for uid in uids:
                grouped.setdefault(classes[uid], []).append(uid)
            if uids:
                found = tuple((name, tuple(some)) for name, some in grouped.items())
                facts.append(
                    StudyFacts(
                        study_instance_uid=study, instances=found, patient=local.patient.cx, outcome=8 if failed else 0
                    )
                )
    exchange = ExchangeFacts(
        transaction="RAD-61",
        side=Side.CLIENT,
        endpoint=way.place,
        site=parts.site,
        time=app.utc_now(),
        patients=(local.patient.cx,),
        studies=tuple(facts),
        outcome_description=next((item["problem"] for item in items if item.get("problem")), ""),
        partial=True,
    )
    parts.trail.append(audit_rules.events_for(exchange), trace="")
