"""Are there known vulnerabilities in the pinned dependencies? `make audit`, a part of `make check`.

Exit status 1 where one is known. What cannot be looked up, because there is no network or the index does not say, is told
and is no failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SECONDS = 120


def report(lock: str) -> str:
    """What pip-audit says, as JSON; empty text where it cannot ask."""
    command = [sys.executable, "-m", "pip_audit", "-r", lock, "--disable-pip", "--require-hashes"]
    options = ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        return subprocess.run([*command, *options], capture_output=True, text=True, timeout=SECONDS).stdout
    except subprocess.TimeoutExpired:
        return ""


def judge(found: str) -> tuple[int, list[str]]:
    """The exit status, and what to say."""
    try:
        dependencies = json.loads(found)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return 0, ["vulnerabilities could not be looked up: no answer"]
    lines = [
        f"{one['name']} {one['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for one in dependencies
        for flaw in one.get("vulns", ())
    ]
    unknown = sum("skip_reason" in one for one in dependencies)
    if lines:
        return 1, lines
    said = f"{len(dependencies) - unknown} dependencies without a known vulnerability"
    return 0, [said + (f", {unknown} could not be looked up" if unknown else "")]


if __name__ == "__main__":
    status, said = judge(report(sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).parent.parent / "requirements.lock")))
    print("\n".join(said))
    sys.exit(status)
