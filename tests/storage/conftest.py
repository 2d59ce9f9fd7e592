"""Databases for tests of storage: SQLite always, PostgreSQL where its programs are installed.

A private server is started once, as another user where the tests run as root. Without PostgreSQL its half of the tests
is skipped; with `XDSI_REQUIRE_ORACLES=1` it fails instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.seaweedfs import SeaweedFS
from xdsi.storage.database import open_database, upgrade
from xdsi.storage.tables import metadata

ENGINES = ("sqlite", "postgresql")


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    anywhere = shutil.which("initdb")
    return Path(anywhere).resolve().parent if anywhere else None


def _version(programs: Path) -> int:
    said = subprocess.run([str(programs / "initdb"), "--version"], check=True, capture_output=True, text=True).stdout
    return int("".join(filter(str.isdigit, said.split()[2].partition(".")[0])) or 0)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a database on a private server that is empty but for the schema."""
    programs = _programs()
    if programs is None:
        reason = "no PostgreSQL: initdb is not installed"
        if os.environ.get("XDSI_REQUIRE_ORACLES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="xdsi-pg-"))
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        subprocess.run(
            command, check=True, cwd=folder, user=user, env=environment, timeout=60, stdout=subprocess.DEVNULL
        )

    data = str(folder / "data")
    try:
        # A locale whose order is not that of bytes: columns must not depend on it.
        locale = ("--locale-provider=icu", "--icu-locale=en-US") if _version(programs) >= 15 else ("--locale=C.UTF-8",)
        run(
            str(programs / "initdb"), "-D", data, "-U", "xdsi", "-A", "trust", "-E", "UTF8", "--no-sync", *locale
        )  # fmt: skip
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c deadlock_timeout=100ms"
        run(str(programs / "pg_ctl"), "-D", data, "-l", str(folder / "log"), "-w", "-o", options, "start")
        try:
            url = f"postgresql://xdsi@/postgres?host={folder}"
            engine = open_database(url)
            upgrade(engine)
            engine.dispose()
            yield url
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file that is empty but for the schema."""
    path = tmp_path_factory.mktemp("template") / "xdsi.db"
    engine = open_database(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database with the schema, on each engine."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "xdsi.db")
        return f"sqlite:///{tmp_path / 'xdsi.db'}"
    url: str = request.getfixturevalue("postgresql_server")
    engine = open_database(url)
    with engine.begin() as connection:
        # Quicker than TRUNCATE, which makes the files of all partitions anew.
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
            if table.autoincrement_column is not None:
                column = table.autoincrement_column.name
                sequence = sa.text(f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column}'), 1, false)")
                connection.execute(sequence)
    engine.dispose()
    return url


@contextmanager
def _another(database_url: str, template: str) -> Iterator[Engine]:
    """An engine on a new database of the same server."""
    name = f"new_{uuid.uuid4().hex}"
    server = sa.create_engine(
        sa.make_url(database_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    engine = open_database(database_url.replace("/postgres?", f"/{name}?"))
    try:
        yield engine
    finally:
        engine.dispose()
        with server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name}"))
        server.dispose()


@pytest.fixture
def empty_engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    """An engine of the same kind as `engine`, on a database without any table."""
    if database_url.startswith("postgresql"):
        with _another(database_url, "template0") as engine:
            yield engine
        return
    engine = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> Iterator[str]:
    """The name of a database that is empty but for the schema, and that nobody is connected to."""
    with _another(postgresql_server, "template0") as engine:
        upgrade(engine)
        name = engine.url.database
        engine.dispose()
        assert name is not None
        yield name


@pytest.fixture
def new_engine(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Engine]:
    """An engine of the same kind as `engine`, on another database that is empty but for the schema."""
    if database_url.startswith("postgresql"):
        with _another(database_url, request.getfixturevalue("postgresql_template")) as engine:
            yield engine
        return
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "new.db")
    engine = open_database(f"sqlite:///{tmp_path / 'new.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty database."""
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_engine(sqlite_template: Path, tmp_path: Path) -> Iterator[Engine]:
    """For what only SQLite does: an engine on an empty database."""
    shutil.copy(sqlite_template, tmp_path / "only.db")
    engine = open_database(f"sqlite:///{tmp_path / 'only.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def another_engine(database_url: str) -> Iterator[Callable[[], Engine]]:
    """Further engines on the same database, as other processes would have them."""
    engines: list[Engine] = []

    def another() -> Engine:
        engines.append(open_database(database_url))
        return engines[-1]

    yield another
    for one in engines:
        one.dispose()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """An S3 service with an empty bucket; its credentials are in the environment, as users of S3 have them."""
    server = SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server
    server.stop()
