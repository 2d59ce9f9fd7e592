"""RAD-69 and RAD-107 of a study that lies in Orthanc, against Orthanc itself giving out the same study by WADO-RS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.archives import Orthanc, running_orthanc
from tests.bench import hub, images, nginx, studies
from tests.bench.figures import Comparison, Side, alternate
from tests.bench.processes import Memory, Server
from tests.bench.sink import CIPHER, Sink

COUNT, TOTAL = 1300, 200_000_000
AIM, FOLDER_AIM = 0.7, 0.5
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_RAD69 = "/services/imaging-source"
_STUDY = f"/dicom-web/studies/{studies.STUDY}"


def rad69_plain(folder: Path, *, rounds: int) -> Comparison:
    """Plain HTTP on both sides."""
    return _from_orthanc(folder, hub.open_hub, rounds=rounds, aim=AIM, rest=False)


def rad69_tls(folder: Path, *, rounds: int) -> Comparison:
    """Mutual TLS with one cipher on both sides; ours with an assertion, a published manifest and a consent."""
    return _from_orthanc(folder, hub.full_hub, rounds=rounds, aim=AIM, rest=False)


def rad69_dicomweb(folder: Path, *, rounds: int) -> Comparison:
    """The same with the adapter of any DICOMweb archive."""
    return _from_orthanc(folder, hub.open_hub, rounds=rounds, aim=None, rest=False, adapter="dicomweb")


def rad107_plain(folder: Path, *, rounds: int) -> Comparison:
    """The whole study by WADO-RS from both."""
    return _from_orthanc(folder, hub.open_hub, rounds=rounds, aim=None, rest=True)


def from_folder_tls(folder: Path, *, rounds: int) -> Comparison:
    """The same files out of a folder, with TLS, assertion and consent, against nginx over TLS with the same cipher."""
    return images.from_folder(folder, hub.full_hub, count=COUNT, total=TOTAL, rounds=rounds, aim=FOLDER_AIM)


def from_folder(folder: Path, *, rounds: int) -> Comparison:
    """RAD-69 of the same files from a folder, against nginx that serves the answer as one file."""
    return images.from_folder(folder, hub.open_hub, count=COUNT, total=TOTAL, rounds=rounds, aim=FOLDER_AIM)


def _from_orthanc(
    folder: Path,
    serve: Callable[..., AbstractContextManager[hub.Hub]],
    *,
    rounds: int,
    aim: float | None,
    rest: bool,
    adapter: str = "orthanc",
) -> Comparison:
    uids = studies.write(folder / "dicom", count=COUNT, size=TOTAL // COUNT)
    with running_orthanc(folder / "orthanc") as orthanc:
        _fill(orthanc, folder / "dicom")
        place = orthanc.url if adapter == "orthanc" else orthanc.dicom_web
        with serve(folder / "hub", pacs=f"{adapter}:{place}") as running_hub:
            if running_hub.full:
                images.publish(running_hub)
            pem = running_hub.pki if running_hub.full else None
            ours = (
                Sink(_STUDY, accept=ACCEPT)
                if rest
                else Sink(_RAD69, studies.write_request(running_hub, uids, folder / "request.xml"), pem)
            )
            whole = folder / "answer.bin"
            began = time.monotonic()
            before, size = _warmed(running_hub, ours, whole)
            cold = time.monotonic() - began
            if size < TOTAL * 0.99:
                raise RuntimeError(f"only {size} bytes: {whole.read_bytes()[:2000]!r}")
            with _peer(orthanc, folder, pem) as peer:
                other = Sink(_STUDY, pki=pem, accept=ACCEPT)
                used, began = running_hub.server.processor(), time.monotonic()
                values = alternate(rounds, lambda: ours.rate(running_hub.server), lambda: other.rate(peer))
                used, passed = running_hub.server.processor() - used, time.monotonic() - began
                firsts = [ours.first(running_hub.server), other.first(peer)]
            after = running_hub.server.memory()
    transport = f"TLS ({CIPHER})" if pem else "plain HTTP"
    what = "RAD-107" if rest else "RAD-69"
    return Comparison(
        f"{what}, {TOTAL // 1_000_000} MB in {COUNT} instances, from Orthanc ({adapter}:), {transport}",
        "MB/s",
        Side("xdsi serve, full profile" if pem else "xdsi serve, open profile", values[0]),
        Side("Orthanc's WADO-RS of the study" + (", nginx before it" if pem else ""), values[1]),
        aim,
        {
            "answer": f"{size} bytes",
            "first byte": f"after {firsts[0] * 1000:.0f} ms, of Orthanc after {firsts[1] * 1000:.0f} ms",
            "first answer": f"{size / 1e6 / cold:.0f} MB/s, of a study not read before",
            "processor": f"{used / (rounds + 1):.2f} s of the worker for each answer, in {passed:.0f} s altogether",
            **images.growth(before, after),
        },
    )


def _warmed(running_hub: hub.Hub, ours: Sink, whole: Path) -> tuple[Memory, int]:
    """What the worker takes once it knows the study, and the size of an answer."""
    size = ours.keep(running_hub.server, whole)
    before = running_hub.server.memory()
    running_hub.server.forget_highest()
    return before, size


def _fill(orthanc: Orthanc, folder: Path) -> None:
    orthanc.store(*sorted(folder.glob("*.dcm")))


@contextmanager
def _peer(orthanc: Orthanc, folder: Path, pem: Path | None) -> Iterator[Server]:
    """Orthanc itself, or nginx with TLS before it: that of Debian 12 (1.10.1) crashes when it is to speak TLS."""
    if pem is None:
        yield Server(orthanc.process.pid, orthanc.http_port, tls=False)
        return
    with nginx.serving(orthanc.url, folder / "nginx", pem) as before:
        yield before
