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

"""


def page() -> str:
    """The whole file."""
    return HEAD + settings.reference().rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
