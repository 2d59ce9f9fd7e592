"""Writes the bill of materials of a lock file: CycloneDX 1.5, JSON, with the hashes that pip checks. `make sbom`."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\;]+)((?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def bill(lock: str, project: dict[str, Any]) -> dict[str, Any]:
    """Every pinned package as a component; the same lock gives the same bill."""
    components = []
    for name, version, rest in PIN.findall(lock):
        purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
        hashes = [{"alg": "SHA-256", "content": one} for one in HASH.findall(rest)]
        components.append(
            {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "hashes": hashes}
        )
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "name": project["name"], "version": project.get("version", "0")}
        },
        "components": components,
    }


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = json.dumps(bill((ROOT / "requirements.lock").read_text("utf-8"), project), indent=1)
    Path(sys.argv[1] if len(sys.argv) > 1 else "sbom.cdx.json").write_text(text + "\n", "utf-8")
