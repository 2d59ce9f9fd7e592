"""What the checks of dependencies make of what they are told."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
AUDIT = runpy.run_path(str(ROOT / ".ci" / "audit.py"), run_name="audit")
SBOM = runpy.run_path(str(ROOT / ".ci" / "sbom.py"), run_name="sbom")

CLEAN = {"name": "lxml", "version": "6.1.3", "vulns": []}
UNKNOWN = {"name": "xmlsec", "skip_reason": "Dependency not found"}
FLAWED = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": []}]}


@pytest.mark.parametrize(
    ("dependencies", "status", "said"),
    [
        ([CLEAN], 0, "1 dependencies without a known vulnerability"),
        ([CLEAN, UNKNOWN], 0, "1 could not be looked up"),
        ([CLEAN, UNKNOWN, FLAWED], 1, "old 1.0: PYSEC-1, fixed in 1.1"),
    ],
)
def test_only_a_known_vulnerability_is_a_failure(dependencies: list[Any], status: int, said: str) -> None:
    found, lines = AUDIT["judge"](json.dumps({"dependencies": dependencies}))
    assert found == status
    assert said in "\n".join(lines)


@pytest.mark.parametrize("answer", ["", "offline", "[]", "{}"])
def test_without_an_answer_nothing_fails(answer: str) -> None:
    assert AUDIT["judge"](answer)[0] == 0


def test_the_bill_of_materials_has_every_pinned_package_with_its_hashes() -> None:
    bill = SBOM["bill"](LOCK, {"name": "xdsi", "version": "0.1.0"})
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", LOCK, re.MULTILINE)
    assert [(one["name"], one["version"]) for one in bill["components"]] == pins
    assert all(one["hashes"] for one in bill["components"])
    assert sum(len(one["hashes"]) for one in bill["components"]) == LOCK.count("--hash=sha256:")
    assert len({one["bom-ref"] for one in bill["components"]}) == len(pins)


def test_what_parses_and_signs_is_new_enough() -> None:
    """The versions in which known flaws were mended."""
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==([0-9.]+)", LOCK, re.MULTILINE))
    floors = {"lxml": (6, 1, 3), "xmlsec": (1, 3, 17), "cryptography": (45,), "pydicom": (3, 0, 2)}
    for name, floor in floors.items():
        if name in pinned:
            assert tuple(map(int, pinned[name].split("."))) >= floor, name
    assert {"lxml", "xmlsec", "cryptography"} <= pinned.keys()
