"""Makes docs/configuration.md of the settings' own tables: `make docs`. tests/test_docs.py holds the two together."""

from pathlib import Path

from xdsi import settings

PAGE = Path(__file__).with_name("configuration.md")

HEAD = """# Configuration

<!-- made by `make docs` of xdsi/settings/: do not edit -->

One TOML file, named by `--config` or `XDSI_CONFIG`; without one, the defaults below. A key is also read from the
environment, which wins: `[server] port` is `XDSI_SERVER__PORT`. Lists and tables are written there as JSON
(`XDSI_SERVER__ACTORS='["registry"]'`); a section that can be repeated, `[[node]]`, is read from the file only.
Relative paths are relative to the folder in which a command is started.

An unknown key or a wrong value is refused with its line. `xdsi config check` reads everything the settings name and
tells every mistake; `xdsi serve` does the same before it listens. Settings of a hub, a hospital and a consumer that
belong together are in `docs/getting-started.md`.

While a server runs these are read again when they change, before the next request:

| what | read again |
|---|---|
| `[[node]]`, `[[saml.issuer]]`, `[[jwt.issuer]]`, `consent.decision_trust` | the list in the settings file, and the files that it names |
| `tls.certificate`, `tls.key`, `tls.client_ca`, `tls.crl` | the files, under the names of the start |
| `consent.signer_ca`, `consent.seals`, `consent.signer_crls`, `consent.enrolment`, `consent.timestamp_ca` | the files, under the names of the start |
| `imaging_source.patient_ids`, `imaging_source.assertion` | the file, under the name of the start |

Every other key counts from the next start on, and so do the other files that keys name, among them policies
(`consent.policies`), value sets (`domain.codes`), `consent.representatives` and `consent.decision_certificate`.

"""


def page() -> str:
    """The whole file."""
    return HEAD + settings.reference().rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
