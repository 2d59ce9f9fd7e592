"""A patient signs with a key on a token, by the commands of docs/getting-started.md: a running hub publishes, verifies
and obeys the consent; a second signature of that key ends it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import softhsm
from tests.security import ways_to_documents, ways_to_images
from tests.security.asking import Asker
from tests.security.targets import Target, gives_away, target
from tests.security.ways import RIGHT
from tests.servers import REPOSITORY, environment
from tests.trusted import AUTHORITY, PORTER, SNOMED, Trusted
from xdsi.domain.codes import Code
from xdsi.domain.consent import SignatureStatus

pytestmark = pytest.mark.component
PAGE = (REPOSITORY / "docs" / "getting-started.md").read_text("utf-8")
CITIZEN = f"12345678^^^&{AUTHORITY}&ISO"
CT = "1.2.826.0.1.3680043.8.498.64108189007039777171766333999874882472"
"""of Citizen: published by this test alone"""
FILLED_BY = (ways_to_documents, ways_to_images)
WAYS = ("find documents of the patient", "retrieve the manifest", "images by soap", "images by rest with an assertion")


@dataclass
class Patient:
    """Sits at the hospital's terminal with a card."""

    hub: Trusted
    folder: Path
    certificate: Path

    def type(self, block: str, *, entry: str = "") -> dict[str, Any]:
        """Run a block of the page; what its last command says."""
        for name, own in (
            ("P1^^^&2.999.1.1&ISO", CITIZEN),
            ("xdsi-data/pki/patient-P1", str(self.certificate.with_suffix(""))),
            ("hospital.toml", f"{self.hub.folder / 'hub.toml'} --json"),
            (str(softhsm.MODULES[0]), softhsm.module()),
            ("ENTRY", entry),
        ):
            block = block.replace(name, own)
        kept = [line for one in blocks() for line in one.splitlines() if line.startswith(("export", "card="))]
        xdsi = f'xdsi() {{ {sys.executable} -m xdsi "$@"; }}'
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", "\n".join((*kept, xdsi, block))],
            cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        lines = done.stdout.splitlines()
        said: dict[str, Any] = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
        return said | {"exit": done.returncode, "errors": done.stderr}


def blocks() -> list[str]:
    """The three blocks of the page: a card, a consent, its end."""
    section = PAGE.partition("### A key that lies on a card\n")[2].partition("\n## ")[0]
    return re.findall(r"^```bash\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def patient(trusted: Trusted, tmp_path_factory: pytest.TempPathFactory) -> Patient:
    softhsm.tool()
    folder = tmp_path_factory.mktemp("terminal")
    trusted.command("patient", "add", CITIZEN)
    trusted.command("publish", CT)
    (signer,) = trusted.command("pki", "signer", str(trusted.pki), CITIZEN)
    made = Patient(trusted, folder, Path(signer["certificate"]))
    done = made.type(blocks()[0])
    assert done["exit"] == 0, done
    assert not Path(signer["key"]).exists(), "from here on the key is on the card alone"
    return made


@pytest.fixture(scope="module")
def study(trusted: Trusted, patient: Patient) -> Target:
    return target(trusted, CITIZEN, CT)


def seen(asker: Asker, study: Target) -> set[str]:
    """The ways by which the study is seen."""
    return {way for way in WAYS for answer in RIGHT[way](asker, study) if gives_away(answer, study)}


def test_a_consent_signed_on_a_card_opens_the_study_and_closes_it_again(patient: Patient, study: Target) -> None:
    consumer, porter = Asker(patient.hub), Asker(patient.hub).as_(roles=(Code(PORTER, SNOMED),))
    assert len(blocks()) == len(("a card", "a consent", "its end"))
    assert seen(consumer, study) == set()

    granted = patient.type(blocks()[1])
    assert (granted["exit"], granted["status"]) == (0, "ok"), granted
    (item,) = granted["items"]
    (kept,) = patient.hub.command("consent", "list", CITIZEN)
    assert (kept["entry"], kept["status"], kept["active"]) == (item["entry"], SignatureStatus.VALID, True), kept
    assert seen(consumer, study) == set(WAYS)
    assert seen(porter, study) == set(), "whom the consent does not name"

    revoked = patient.type(blocks()[2], entry=item["entry"])
    assert (revoked["exit"], revoked["status"]) == (0, "ok"), revoked
    assert [one["active"] for one in patient.hub.command("consent", "list", CITIZEN)].count(True) == 1
    assert seen(consumer, study) == set()
