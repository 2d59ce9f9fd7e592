"""A PostgreSQL of our own to measure with: started in a folder, stopped afterwards, durable like one in production."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SETTINGS: Final = {
    "listen_addresses": "''",
    "shared_buffers": "1GB",
    "effective_cache_size": "8GB",
    "maintenance_work_mem": "512MB",
    "random_page_cost": "1.1",
    "default_toast_compression": "lz4",
    "wal_compression": "lz4",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "100",
}
"""those of docs/scaling.md for a smaller machine; what makes commits durable stays on"""
LOADING: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}
"""while a population is loaded"""


def programs() -> Path | None:
    """Where PostgreSQL's programs are, the newest of several; None when it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    anywhere = str(found[-1]) if found else shutil.which("initdb")
    return Path(anywhere).resolve().parent if anywhere else None


@contextmanager
def server(folder: Path, extra: Mapping[str, str] | None = None) -> Iterator[str]:
    """The URL of a database on a server that keeps its data in `folder`."""
    where = programs()
    if where is None:
        raise RuntimeError("PostgreSQL is not installed")
    # It does not run as root.
    user = "nobody" if os.geteuid() == 0 else None
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(folder, user)
        folder.chmod(0o755)

    def run(*command: str | Path) -> None:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        subprocess.run(
            [*map(str, command)], check=True, cwd=folder, user=user, env=environment, stdout=subprocess.DEVNULL
        )

    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        run(where / "initdb", "-D", data, "-U", "xdsi", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
    options = " ".join(f"-c {name}={value}" for name, value in {**SETTINGS, **(extra or {})}.items())
    run(where / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", f"-k {folder} {options}", "start")
    try:
        yield f"postgresql://xdsi@/postgres?host={folder}"
    finally:
        run(where / "pg_ctl", "-D", data, "-m", "fast", "-w", "-t", "600", "stop")
