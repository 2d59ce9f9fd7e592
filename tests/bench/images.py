"""RAD-69 against nginx serving the same bytes as one file, and what it costs in memory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.bench import content, hub, nginx, studies
from tests.bench.figures import Comparison, Side, alternate
from tests.bench.processes import ROOT, Memory, python
from tests.bench.sink import CIPHER, Sink

TOTAL = 600_000_000
MEMORY_AIM = 32 * 1024 * 1024
_PATH = "/services/imaging-source"
_SERVED = "answer.bin"


def open_profile(folder: Path, *, count: int, rounds: int) -> Comparison:
    """Plain HTTP; `count` instances of 600 MB together."""
    return from_folder(folder, hub.open_hub, count=count, rounds=rounds, aim=0.8)


def full_profile(folder: Path, *, count: int, rounds: int) -> Comparison:
    """Mutual TLS with one cipher on both sides, an assertion, a published manifest and a consent."""
    return from_folder(folder, hub.full_hub, count=count, rounds=rounds, aim=0.8)


def from_folder(
    folder: Path,
    serve: Callable[..., AbstractContextManager[hub.Hub]],
    *,
    count: int,
    rounds: int,
    aim: float | None,
    total: int = TOTAL,
) -> Comparison:
    """The answer of images in a folder, against nginx serving it as one file."""
    dicom = folder / "dicom"
    uids = studies.write(dicom, count=count, size=total // count)
    with serve(folder / "hub", pacs=f"folder:{dicom}") as running_hub:
        if running_hub.full:
            publish(running_hub)
        pki = running_hub.pki if running_hub.full else None
        ours = Sink(_PATH, studies.write_request(running_hub, uids, folder / "request.xml"), pki)
        one = Sink(_PATH, studies.write_request(running_hub, uids[:1], folder / "one.xml"), pki)
        if count > 1:
            one.rate(running_hub.server)
        before = running_hub.server.memory()
        running_hub.server.forget_highest()
        size = ours.keep(running_hub.server, folder / _SERVED)
        if size < total * 0.99:
            raise RuntimeError(f"only {size} bytes: {(folder / _SERVED).read_bytes()[:2000]!r}")
        with nginx.serving(folder, folder / "nginx", pki) as peer:
            other = Sink(f"/{_SERVED}", pki=pki)
            values = alternate(rounds, lambda: ours.rate(running_hub.server), lambda: other.rate(peer))
        after = running_hub.server.memory()
    transport = f"TLS ({CIPHER})" if pki else "plain HTTP"
    return Comparison(
        f"RAD-69, {total // 1_000_000} MB in {count} instance{'s' if count > 1 else ''}, {transport}",
        "MB/s",
        Side("xdsi serve, full profile" if pki else "xdsi serve --profile open", values[0]),
        Side("nginx, one file, sendfile off", values[1]),
        aim,
        {"answer": f"{size} bytes", "client": "curl -o /dev/null, same for both", **growth(before, after)},
    )


def growth(before: Memory, after: Memory) -> dict[str, str]:
    """What the transfers took of the worker's memory."""
    grown = after.highest - before.now
    reached = "reached" if grown < MEMORY_AIM else "NOT reached"
    return {
        "memory": f"worker at rest {before.now / 1e6:.0f} MB, at its highest {after.highest / 1e6:.0f} MB, "
        f"growth {grown / 1024 / 1024:.1f} MiB (aim below {MEMORY_AIM // 1024 // 1024} MiB: {reached})"
    }


def publish(running_hub: hub.Hub) -> None:
    """Publish the manifest of the study, and the patient's consent."""
    content.consent_to_all(running_hub, range(1, 2))
    command = python("xdsi", "--config", str(running_hub.settings), "--json", "publish")
    subprocess.run([*map(str, command)], check=True, cwd=ROOT, capture_output=True, timeout=120)
