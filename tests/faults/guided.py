"""What arrives damaged, guided by what the readers do with it (atheris, libFuzzer): the code they reach is the goal.

`python -m tests.faults.guided --minutes 60` takes each reader in turn, so long each; it needs the packages of
`requirements-fuzz.lock`. A message that a reader fails on, or takes too long over, goes into the folder `fuzz/` beside
this file, and its test fails from then on. Messages that reach different code are kept in `corpus/`, a file for each
reader and a line of base64 for each message; the test reads them every time.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
LONGEST = 6_000
"""bytes of a message"""
HANGS = 300
"""seconds by the clock, while others may have the processor; how long a message is worked on is measured apart"""
MOST = 60
"""messages kept of a reader"""
SHORT = 1_500
"""and their length"""


def kept(reader: str) -> Iterator[bytes]:
    """The messages that were kept for a reader."""
    file = CORPUS / f"{reader}.b64"
    if file.exists():
        yield from map(base64.b64decode, file.read_text("ascii").split())


def _look(reader: str, arguments: list[str]) -> None:
    """In a process of its own: libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["xdsi"]):
        from tests.faults import fuzz

    def take(raw: bytes) -> None:
        wrong = fuzz.failure(reader, raw)
        if wrong:
            raise AssertionError(wrong)

    atheris.Setup([sys.argv[0], *arguments], take)
    atheris.Fuzz()


def _words(file: Path) -> Path:
    """What libFuzzer is to try: our own words, and the names in the samples."""
    from tests.faults import fuzz

    lines = ["".join(f"\\x{byte:02x}" for byte in word) for word in fuzz.vocabulary()]
    file.write_text("".join(f'"{line}"\n' for line in lines), "ascii")
    return file


def _run(reader: str, seconds: int, folder: Path, seed: int) -> int:
    """Look for failures of a reader; how many were found."""
    from tests.faults import fuzz

    begun, work, bad = (folder / name for name in ("begun", "work", "bad"))
    for one in (begun, work, bad):
        one.mkdir()
    for number, raw in enumerate([*fuzz.seeds()[reader], *kept(reader)]):
        (begun / str(number)).write_bytes(raw[:LONGEST])
    limits = [f"-max_len={LONGEST}", f"-timeout={HANGS}", "-rss_limit_mb=2048", f"-artifact_prefix={bad}/"]
    look = [sys.executable, "-m", __spec__.name, "--look", reader, "--", *limits, "-len_control=10"]
    words = f"-dict={_words(folder / 'words')}"
    with (folder / "log").open("w+", encoding="utf-8", errors="replace") as log:
        again = [f"-max_total_time={seconds}", f"-seed={seed}", words]
        subprocess.run([*look, *again, str(work), str(begun)], stdout=log, stderr=log, check=False)
        log.seek(0)
        said = log.read().splitlines()
    runs = next((line for line in said if line.startswith("Done ")), "ended early")
    # What libFuzzer calls slow may only have waited for a processor: that is measured again.
    found = [
        one for one in sorted(bad.iterdir()) if "slow-unit" not in one.name or fuzz.failure(reader, one.read_bytes())
    ]
    for one in found:
        raw = one.read_bytes()
        fuzz.FOUND.mkdir(exist_ok=True)
        (fuzz.FOUND / f"{reader}-{hashlib.sha256(raw).hexdigest()[:16]}").write_bytes(raw)
    new = {*kept(reader), *(one.read_bytes() for one in work.iterdir())}
    # Of all lengths: the shortest alone end early.
    reached = sorted((raw for raw in new if len(raw) <= SHORT), key=lambda raw: (len(raw), raw))
    messages = reached[:: max(1, len(reached) // MOST)][:MOST]
    CORPUS.mkdir(exist_ok=True)
    if messages:
        lines = [base64.b64encode(raw).decode() for raw in messages]
        (CORPUS / f"{reader}.b64").write_text("\n".join(lines) + "\n", "ascii")
    sys.stdout.write(f"{reader}: {runs}; {len(found)} failures, {len(messages)} messages kept\n")
    sys.stdout.writelines(f"  {line}\n" for line in said if found and not line.startswith(("#", "\t")))
    sys.stdout.flush()
    return len(found)


def main(arguments: list[str] | None = None) -> int:
    """Each reader in turn; 1 when one failed."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.guided", description=__doc__)
    options.add_argument("--minutes", type=float, default=60.0, help="for each reader")
    options.add_argument("--reader", action="append", help="these only")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--look", help=argparse.SUPPRESS)
    options.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    given = options.parse_args(arguments)
    if given.look:
        _look(given.look, given.rest)
        return 0
    from tests.faults import fuzz

    failed = 0
    for reader in given.reader or sorted(fuzz.READERS):
        with tempfile.TemporaryDirectory(prefix="xdsi-fuzz-") as folder:
            failed += _run(reader, int(given.minutes * 60), Path(folder), given.seed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
