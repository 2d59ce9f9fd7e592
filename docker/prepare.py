"""Makes what compose.yaml mounts, in the folder given: keys, certificates, a database password, who is who.

For trying things out: the authority's key lies beside the others. Run as root, it gives each file to the user of the
container that reads it.
"""

import os
import secrets
import sys
from pathlib import Path

from xdsi.cli.demo.studies import HOSPITALS, PATIENTS
from xdsi.transport import pki

XDSI_USER = 10001
POSTGRES_USER = 999
MOUNTED = "/etc/xdsi"
PERMITS = ("ITI-8", "ITI-20", "ITI-41", "ITI-42", "ITI-44", "ITI-61", "ITI-79")


def write(file: Path, text: str, *, owner: int) -> None:
    """A file that only its owner reads."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as target:
        target.write(text)
    if os.geteuid() == 0:
        os.chown(file, owner, owner)


def domain(certificates: dict[str, pki.Credential]) -> str:
    """Settings that all nodes share: which certificates are whose, and who issues assertions."""
    blocks = [f'[[saml.issuer]]\nname = "urn:xdsi:demonstration:idp"\ncertificates = ["{MOUNTED}/idp.pem"]\n']
    organizations = {hospital.slug: hospital.organization_id.urn for hospital in HOSPITALS}
    for name in ("hub", *organizations):
        blocks.append(
            f'[[node]]\nname = "{name}"\nsha256 = "{certificates[name].sha256}"\n'
            f'organization_id = "{organizations.get(name, "urn:oid:2.999.1")}"\n'
            f"permits = {list(PERMITS)!r}\n".replace("'", '"')
        )
    return "\n".join(blocks)


def patients() -> str:
    """The domain's identifier for each departmental one, of the demonstration's patients."""
    return "".join(
        f'"{local.cx}" = "{patient.domain_id.cx}"\n' for patient in PATIENTS for local in patient.local_ids.values()
    )


def main(folder: Path) -> None:
    """Make everything; refuses to overwrite."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        sys.exit(f"{folder} is not empty")
    certificates = pki.create_demonstration(folder)
    if os.geteuid() == 0:
        for name in certificates:
            os.chown(folder / f"{name}.key", XDSI_USER, XDSI_USER)
    password = secrets.token_urlsafe(24)
    write(folder / "db-password", password, owner=POSTGRES_USER)
    write(folder / "pgpass", f"db:5432:xdsi:xdsi:{password}\n", owner=XDSI_USER)
    (folder / "domain.toml").write_text(domain(certificates))
    (folder / "patients.toml").write_text(patients())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
