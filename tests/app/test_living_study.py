"""A study between a hospital with Orthanc and a hub, over TLS with assertions and consent: what is true is found.

IHE RAD TF-2 4.66 (Rejection Note Stored) and TF-1 18 (Imaging Document Source); ITI TF-2 3.57 and 3.62. At each step:
who has the patient's consent finds one manifest, and all that it names arrives as the archive has it; who has none
sees nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests import imaging
from tests.archives import Orthanc, running_orthanc
from tests.cli.test_commands import done, xdsi
from tests.imaging import FILES
from tests.servers import PATIENCE, REPOSITORY, Server, free_port, serving, wait_until
from tests.trusted import DOCTOR, PORTER, PURPOSES, SNOMED
from xdsi import app, settings
from xdsi.actors.manifest_publisher import Attempt
from xdsi.domain.imaging import ImagedPatient
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.transport import pki

DOMAIN, LOCAL = "2.999.1.5", "2.999.10.1"
JO, JANE = f"JO^^^&{DOMAIN}&ISO", f"JANE^^^&{DOMAIN}&ISO"


@dataclass
class Image:
    """What the hospital's archive says of an image, by its number; the first digit is its series."""

    study: str
    number: int
    patient: str = "LOCAL-JO"
    description: str = "Thorax"
    accession: str = "A1"

    @property
    def series(self) -> str:
        return f"{self.study}.{self.number // 10}"

    @property
    def uid(self) -> str:
        return f"{self.series}.{self.number}"

    @property
    def content(self) -> bytes:
        dataset = pydicom.dcmread(FILES / "CT_small.dcm")
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study, self.series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = self.uid
        dataset.PatientID, dataset.InstanceNumber = self.patient, self.number
        dataset.StudyDescription, dataset.AccessionNumber = self.description, self.accession
        file = BytesIO()
        dataset.save_as(file)
        return file.getvalue()


def rejection_note(code: str, *images: Image) -> bytes:
    """A Key Object Selection that names images under a title of IOCM."""
    (series,) = imaging.study().series
    named = {one.series: tuple(other for other in images if other.series == one.series) for one in images}
    of = replace(
        imaging.study(patient=ImagedPatient(id=images[0].patient)),
        study_instance_uid=images[0].study,
        series=tuple(
            replace(
                series,
                series_instance_uid=uid,
                instances=tuple(
                    imaging.Instance(sop_class_uid=imaging.CT_CLASS, sop_instance_uid=one.uid) for one in members
                ),
            )
            for uid, members in named.items()
        ),
    )
    number = f"{images[0].study}.9.{code}"
    note = imaging.manifest(of, sop_instance_uid=number, series_instance_uid=f"{images[0].study}.9")
    return note.replace(b"113030", code.encode())


@dataclass
class Network:
    """A hub, a hospital with an Orthanc, and who asks."""

    folder: Path
    hub: Server
    orthanc: Orthanc
    entries: list[str] = field(default_factory=list)
    """all manifests that were ever found"""
    parts: app.Parts | None = None
    """the hospital's own records, while it is at work"""

    def do(self, node: str, *arguments: str | Path) -> list[dict[str, Any]]:
        """A command with the settings of a node."""
        return done(*arguments, config=self.folder / f"{node}.toml")

    def store(self, *images: Image) -> None:
        self.orthanc.store(*(one.content for one in images))

    def delete(self, study: str) -> None:
        self.orthanc.delete(f"/studies/{self.orthanc.lookup(study)}")

    def found(self, study: str, patient: str, by: str = "doctor") -> list[dict[str, Any]]:
        """The manifests of a study that somebody finds of a patient."""
        items = self.do(by, "find", patient)
        return [one for one in items if any(study in value for value in one["referenceIdList"])]

    def has(self, patient: str, *images: Image) -> dict[str, Any]:
        """Wait until a new manifest is found, of exactly these images, and have all of it; what was found of it."""
        study, last = images[0].study, [""]
        got: dict[str, bytes] = {}
        entry: dict[str, Any] = {}

        def arrived() -> bool:
            newest = self.newest(study)
            if newest is None or newest.entry_uuid in (*self.entries, *last):
                return False
            entries = self.found(study, patient)
            if [one["entryUUID"] for one in entries] != [newest.entry_uuid]:
                return False
            entry.update(entries[0])
            out = self.folder / "fetched" / str(len(self.entries))
            status, answer = xdsi("fetch", entry["entryUUID"], "--out", out, config=self.folder / "doctor.toml")
            instances = [one for one in answer["items"] if "instance" in one]
            if status != 0 or {one["instance"] for one in instances} != {one.uid for one in images}:
                # A manifest of what was there meanwhile: it will be replaced.
                last.append(entry["entryUUID"] if status == 0 else "")
                return False
            got.update({one["instance"]: Path(one["file"]).read_bytes() for one in instances})
            return True

        wait_until(arrived, PATIENCE)
        assert got == {one.uid: one.content for one in images}
        self.entries.append(entry["entryUUID"])
        self.hides(study, patient, self.entries[-1])
        return entry

    def hides(self, study: str, patient: str, entry: str) -> None:
        """Who has no consent sees nothing, not even by its id."""
        assert self.found(study, patient, by="porter") == []
        self.gives_nothing(entry, by="porter")

    def gives_nothing(self, *entries: str, by: str = "doctor") -> None:
        out = self.folder / "nothing"
        for entry in entries:
            status, answer = xdsi("fetch", entry, "--out", out, config=self.folder / f"{by}.toml")
            assert status == 1, answer
        images = [path for path in out.rglob("*.dcm") if not path.name.startswith("manifest")]
        assert not images

    def newest(self, study: str) -> Attempt | None:
        """What the hospital has published of a study."""
        assert self.parts is not None
        return self.parts.publications.newest(study)

    def at_the_registry(self, attempt: Attempt) -> str | None:
        assert self.parts is not None
        return self.parts.source_registry.statuses([attempt]).get(attempt.entry_uuid)

    def withdraws(self, study: str, patient: str) -> None:
        """Wait until nothing of a study is published any more; then nothing is found."""
        wait_until(lambda: self.newest(study) is None, PATIENCE)
        assert self.found(study, patient) == []

    @contextmanager
    def hospital(self, deleted: str) -> Iterator[None]:
        """The hospital at work, with one of the settings for studies that are gone."""
        config = self.folder / "hospital.toml"
        port = free_port()
        config.write_text(hospital_settings(self.folder, self.hub.port, port, self.orthanc.url, deleted))
        for name in ("doctor", "porter"):
            (self.folder / f"{name}.toml").write_text(consumer_settings(self.folder, self.hub.port, port, name))
        with (
            serving(self.folder / "hospital", config=config, port=port),
            app.Parts(settings.load(config, {})) as self.parts,
        ):
            yield


def hub_settings(folder: Path, port: int) -> str:
    own = folder / "pki"
    return f"""
[server]
port = {port}
data_dir = '{folder}/hub'
actors = ['registry', 'repository', 'identity', 'authorization']
[domain]
patient_id_authority = '{DOMAIN}'
[consent]
signer_ca = '{own}/ca.pem'
policies = '{folder}/policies'
{tls(folder, "hub")}
[[node]]
name = 'hub'
sha256 = '{pki.load(own, "hub").sha256}'
permits = ['ITI-41', 'ITI-42', 'ITI-44']
[[node]]
name = 'hospital-a'
sha256 = '{pki.load(own, "hospital-a").sha256}'
organization_id = 'urn:oid:2.999.5'
permits = ['ITI-41', 'ITI-57', 'ITI-62', 'ITI-79']
"""


def hospital_settings(folder: Path, hub: int, port: int, orthanc: str, deleted: str) -> str:
    services = f"https://127.0.0.1:{hub}/services"
    return f"""
[server]
port = {port}
data_dir = '{folder}/hospital'
actors = ['imaging-source']
[domain]
patient_id_authority = '{DOMAIN}'
{tls(folder, "hospital-a")}
[consent]
decision_trust = ['{folder}/pki/hub.pem']
[imaging_source]
pacs = 'orthanc:{orthanc}'
repository_url = '{services}/repository'
registry_url = '{services}/registry'
assertion = '{folder}/publisher.xml'
patient_id_authority = '{LOCAL}'
patient_ids = '{folder}/patients.toml'
organization_id = 'urn:oid:2.999.5'
decision_url = '{services}/authorization'
decision_cache_seconds = 0.0
[pacs]
remember_seconds = 0.2
[publishing]
automatic = true
deleted = '{deleted}'
stable_seconds = 0.3
changes_seconds = 0.2
compare_seconds = 0.5
retry_seconds = 0.2
"""


def tls(folder: Path, name: str) -> str:
    own = folder / "pki"
    return (
        f"[tls]\ncertificate = '{own}/{name}.pem'\nkey = '{own}/{name}.key'\nclient_ca = '{own}/ca.pem'\n"
        f"[[saml.issuer]]\nname = 'idp'\ncertificates = ['{own}/idp.pem']"
    )


def consumer_settings(folder: Path, hub: int, hospital: int, name: str) -> str:
    own, services = folder / "pki", f"https://127.0.0.1:{hub}/services"
    return f"""
[server]
data_dir = '{folder}/consumer'
[domain]
patient_id_authority = '{DOMAIN}'
[consumer]
registry_url = '{services}/registry'
assertion = '{folder}/{name}.xml'
certificate = '{own}/consumer.pem'
key = '{own}/consumer.key'
ca = '{own}/ca.pem'
[consumer.repositories]
'2.999.1.2' = '{services}/repository'
[consumer.sources]
'2.999.1.3' = 'https://127.0.0.1:{hospital}/services/imaging-source'
"""


def documented_policy() -> str:
    """What docs/archives.md says that a hub has to permit."""
    text = (REPOSITORY / "docs/archives.md").read_text()
    policy = next(part for part in text.split("```")[1::2] if part.startswith("toml\nid = "))
    tomllib.loads(policy.removeprefix("toml\n"))
    return policy.removeprefix("toml\n")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Hub and archive, two patients who have consented that doctors see their images, and assertions."""
    folder = tmp_path_factory.mktemp("living")
    pki.create_demonstration(folder / "pki")
    (folder / "patients.toml").write_text(
        f'"LOCAL-JO^^^&{LOCAL}&ISO" = "{JO}"\n"LOCAL-JANE^^^&{LOCAL}&ISO" = "{JANE}"\n'
    )
    (folder / "policies/organizations").mkdir(parents=True)
    (folder / "policies/organizations/hospital-a.toml").write_text(documented_policy())
    port = free_port()
    (folder / "hub.toml").write_text(hub_settings(folder, port))
    with (
        running_orthanc(folder / "orthanc") as orthanc,
        serving(folder / "hub", config=folder / "hub.toml", port=port) as hub,
    ):
        made = Network(folder, hub, orthanc)
        for name, role in (
            ("doctor", f"{DOCTOR}^^{SNOMED}"),
            ("porter", f"{PORTER}^^{SNOMED}"),
            ("publisher", "publisher^^2.999.5.1"),
        ):
            made.do(
                "hub", "token", "issue", "--issuer", "idp", "--key", folder / "pki/idp.key", "--cert",
                folder / "pki/idp.pem", "--user", name, "--organization-id", "urn:oid:2.999.5", "--role", role,
                "--purpose", f"TREAT^^{PURPOSES}", "--lifetime", "3600", "--out", folder / f"{name}.xml",
            )  # fmt: skip
        for patient in (JO, JANE):
            made.do("hub", "patient", "add", patient)
            (signer,) = made.do("hub", "pki", "signer", folder / "pki", patient)
            made.do(
                "hub", "consent", "grant", patient, "--permit", f"role={DOCTOR}^^{SNOMED}", "--key", signer["key"],
                "--cert", signer["certificate"], "--url", hub.url("repository"),
            )  # fmt: skip
        yield made


# Each of its steps waits for what three processes do.
@pytest.mark.timeout(600)
def test_after_each_thing_that_befalls_a_study_the_consumer_has_what_is_true(network: Network) -> None:
    study = "2.25.7711"
    first, second, third, late = (Image(study, number) for number in (11, 12, 13, 14))
    blurred = (Image(study, 21), Image(study, 22))
    with network.hospital("deprecate"):
        network.store(first, second, third, *blurred)
        network.has(JO, first, second, third, *blurred)

        # More comes, as the study goes on.
        network.store(late)
        network.has(JO, first, second, third, late, *blurred)

        # An image is rejected for quality, then a whole series for patient safety.
        network.orthanc.store(rejection_note("113001", second))
        network.has(JO, first, third, late, *blurred)
        network.orthanc.store(rejection_note("113037", *blurred))
        network.has(JO, first, third, late)

        # The description and the accession number are corrected.
        images = [replace(one, description="Thorax nativ", accession="A2") for one in (first, third, late)]
        network.store(*images)
        corrected = network.has(JO, *images)
        assert any(value.startswith("A2^") for value in corrected["referenceIdList"])

        # It was another patient's: she is found with it, and he not any more.
        network.delete(study)
        images = [replace(one, patient="LOCAL-JANE") for one in images]
        network.store(*images)
        network.has(JANE, *images)
        assert network.found(study, JO) == []

        # The domain learns that both are one person: what is hers is found by his identifier.
        network.do("hub", "patient", "merge", JANE, JO)
        (entry,) = network.found(study, JO)
        assert entry["entryUUID"] == network.entries[-1]
        assert network.found(study, JO, by="porter") == []
        network.do("doctor", "fetch", entry["entryUUID"], "--out", network.folder / "merged")

        # The hospital's list of patients follows, and what is published with it: by comparison, then by itself.
        (network.folder / "patients.toml").write_text(
            f'"LOCAL-JO^^^&{LOCAL}&ISO" = "{JO}"\n"LOCAL-JANE^^^&{LOCAL}&ISO" = "{JO}"\n'
        )
        # Nothing is left to do where the server was first, and half of it where it is at it.
        for moved in network.do("hospital", "source", "reconcile"):
            assert moved["repair"] in ("replace", "publish"), moved
            assert moved["result"] == "done", moved
        network.has(JO, *images)
        images.append(Image(study, 15, patient="LOCAL-JANE", description="Thorax nativ", accession="A2"))
        network.store(images[-1])
        network.has(JO, *images)

        # All of it is deleted.
        last = network.newest(study)
        assert last is not None
        network.delete(study)
        network.withdraws(study, JO)
        assert network.at_the_registry(last) == DEPRECATED
        network.gives_nothing(*network.entries)


@pytest.mark.timeout(600)
def test_where_the_settings_say_so_a_deleted_study_is_removed_from_the_registry(network: Network) -> None:
    study = "2.25.7712"
    images = [Image(study, 11), Image(study, 12)]
    with network.hospital("remove"):
        network.store(*images)
        entry = network.has(JO, *images)
        attempt = network.newest(study)
        assert attempt is not None
        assert network.at_the_registry(attempt) == APPROVED

        # Somebody removes the manifest behind the hospital's back: it is put back as it was.
        assert network.parts is not None
        assert network.parts.source_registry.remove([attempt]).accepted
        assert network.found(study, JO) == []
        (repaired,) = network.do("hospital", "source", "reconcile")
        assert (repaired["repair"], repaired["result"]) == ("send again", "done")
        assert [one["uniqueId"] for one in network.found(study, JO)] == [entry["uniqueId"]]
        assert network.do("hospital", "source", "reconcile") == []
        network.do("doctor", "fetch", entry["uniqueId"], "--out", network.folder / "again")

        network.delete(study)
        network.withdraws(study, JO)
        assert network.at_the_registry(attempt) is None
        network.gives_nothing(entry["uniqueId"])
