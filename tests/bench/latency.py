"""From stable in Orthanc to findable at the hub: studies arrive steadily, each is watched on its way.

Stable is when a poll of Orthanc's record of changes, every 50 ms, first shows it; findable when the hub's answer to
FindDocumentsByReferenceId, asked every 100 ms for each study that is on its way, first names a manifest.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import requests

from tests.archives import Orthanc, running_orthanc
from tests.bench import asking, hub, studies
from tests.bench.processes import free_port, python, running
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED

STUDIES, EACH, A_SECOND = 1000, 4, 5.0
AIM = 2.0
_PATIENTS = 25
_PATIENCE = 120.0
_CHANGES_EVERY, _QUERY_EVERY = 0.05, 0.1


@dataclass(frozen=True)
class Latency:
    """Seconds each study took."""

    seconds: tuple[float, ...]
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        return statistics.median(self.seconds) < AIM

    def lines(self) -> list[str]:
        """For people."""
        median, slow = statistics.median(self.seconds), asking.p95(list(self.seconds))
        return [
            f"From stable in Orthanc to findable at the hub, {len(self.seconds)} studies of {EACH} instances",
            f"  median {median:.2f} s (aim below {AIM:.0f} s: {'reached' if self.reached else 'NOT reached'}), "
            f"p95 {slow:.2f} s, longest {max(self.seconds):.2f} s",
            *(f"  {name}: {value}" for name, value in self.notes.items()),
            "",
        ]

    def record(self) -> dict[str, Any]:
        """For machines."""
        return {"title": self.lines()[0], "seconds": self.seconds, "notes": self.notes, "reached": self.reached}


def stable_to_findable(folder: Path, *, rounds: int, count: int = STUDIES) -> Latency:
    """One run, whatever the rounds: a hub, a hospital beside it, Orthanc with StableAge 1."""
    with (
        running_orthanc(folder / "orthanc") as orthanc,
        hub.open_hub(folder / "hub") as central,
        _hospital(folder / "hospital", orthanc, central),
    ):
        run = _Run(orthanc, central, count)
        run.go()
    return Latency(
        tuple(run.findable[uid] - run.stable[uid] for uid in run.uids),
        {
            "arrival": f"{A_SECOND:.0f} studies a second asked for, {count / run.arrived:.1f} arrived",
            "publisher": "looks at Orthanc's record of changes as often as by default",
        },
    )


class _Run:
    """What happens at the same time: studies come, Orthanc says that they are stable, the hub shows them."""

    def __init__(self, orthanc: Orthanc, central: hub.Hub, count: int) -> None:
        self.uids = [f"2.25.600{number:05d}" for number in range(1, count + 1)]
        self.stable: dict[str, float] = {}
        self.findable: dict[str, float] = {}
        self.arrived = 0.0
        self._orthanc = orthanc
        self._central = central
        self._failures: list[BaseException] = []

    def go(self) -> None:
        """Until every study can be found."""
        parts = [threading.Thread(target=self._guarded, args=(part,)) for part in (self._arrive, self._settle)]
        for one in parts:
            one.start()
        self._guarded(self._find)
        for one in parts:
            one.join()
        if self._failures:
            raise self._failures[0]

    def _guarded(self, part: Any) -> None:
        try:
            part()
        except BaseException as error:
            self._failures.append(error)

    def _arrive(self) -> None:
        began = time.monotonic()
        with requests.Session() as session:
            for number, uid in enumerate(self.uids):
                time.sleep(max(0.0, began + number / A_SECOND - time.monotonic()))
                for raw in _instances(uid, number % _PATIENTS):
                    session.post(f"{self._orthanc.url}/instances", data=raw, timeout=60).raise_for_status()
        self.arrived = time.monotonic() - began

    def _settle(self) -> None:
        since, of = 0, {}
        with requests.Session() as session:
            while len(self.stable) < len(self.uids) and not self._failures:
                began = time.monotonic()
                answer = session.get(
                    f"{self._orthanc.url}/changes", params={"since": str(since), "limit": "200"}, timeout=60
                ).json()
                now = time.monotonic()
                for change in answer["Changes"]:
                    if change["ChangeType"] == "StableStudy":
                        of[change["ID"]] = now
                since = answer["Last"]
                for id_ in list(of):
                    told = session.get(f"{self._orthanc.url}/studies/{id_}", timeout=60).json()
                    self.stable.setdefault(told["MainDicomTags"]["StudyInstanceUID"], of.pop(id_))
                time.sleep(max(0.0, began + _CHANGES_EVERY - time.monotonic()))

    def _find(self) -> None:
        numbers = {uid: number for number, uid in enumerate(self.uids)}
        url, client = self._central.url("registry"), asking.Client(self._central.server.port)
        until = time.monotonic() + len(self.uids) / A_SECOND + _PATIENCE
        while len(self.findable) < len(self.uids) and not self._failures:
            began = time.monotonic()
            if began > until:
                raise RuntimeError(f"{len(self.uids) - len(self.findable)} studies were not found in time")
            for uid in [one for one in list(self.stable) if one not in self.findable]:
                query = StoredQuery(
                    uuids.FIND_DOCUMENTS_BY_REFERENCE_ID,
                    ReturnType.OBJECT_REF,
                    {
                        "$XDSDocumentEntryPatientId": ((_patient(numbers[uid] % _PATIENTS),),),
                        "$XDSDocumentEntryStatus": ((APPROVED,),),
                        "$XDSDocumentEntryReferenceIdList": ((f"{uid}^^^^urn:ihe:iti:xds:2016:studyInstanceUID",),),
                    },
                )
                _, answer = client.ask(asking.message(query, url))
                if b"ObjectRef " in answer:
                    self.findable[uid] = time.monotonic()
            time.sleep(max(0.0, began + _QUERY_EVERY - time.monotonic()))
        client.close()


def _patient(number: int) -> str:
    return f"LAT-{number:03d}^^^&{hub.LOCAL_AUTHORITY}&ISO"


def _instances(uid: str, patient: int) -> Iterator[bytes]:
    dataset = studies.dataset()
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"LAT-{patient:03d}", uid, f"{uid}.1"
    for number in range(1, EACH + 1):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{uid}.1.{number}"
        dataset.InstanceNumber = str(number)
        file = BytesIO()
        pydicom.dcmwrite(file, dataset, enforce_file_format=True)
        yield file.getvalue()


@contextmanager
def _hospital(folder: Path, orthanc: Orthanc, central: hub.Hub) -> Iterator[None]:
    """A process of its own: the imaging source and its publisher."""
    folder.mkdir()
    port = free_port()
    file = folder / "hospital.toml"
    file.write_text(
        f"""[server]
actors = ["imaging-source"]
port = {port}
data_dir = "{folder}/data"
[domain]
profile = "open"
patient_id_authority = "{hub.LOCAL_AUTHORITY}"
[imaging_source]
pacs = "orthanc:{orthanc.url}"
repository_url = "{central.url("repository")}"
registry_url = "{central.url("registry")}"
patient_id_authority = "{hub.LOCAL_AUTHORITY}"
[publishing]
automatic = true
"""
    )
    command = python("xdsi", "--config", file, "serve")
    with running(command, port=port, tls=False, log=folder / "serve.log"):
        yield
