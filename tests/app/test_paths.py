"""Every path that is served is either decided on, bound to nodes, or open on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trusted import settings as trusted_settings
from xdsi import app
from xdsi.app.services import Application
from xdsi.settings import load
from xdsi.transport.rest import RestEndpoint
from xdsi.transport.soap_server import SoapEndpoint
from xdsi.transport.wsgi import compose

OPEN = {"/", "/health/live", "/health/ready", "/metrics", "/static/<path:filename>"}
"""without patient data; a new page has to be put here, or be served through an actor"""


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Application, list[object]]]:
    """A process with every actor, and every endpoint that it was composed of."""
    endpoints: list[object] = []

    def composing(soap, pages, *, base_url, rest=()):  # type: ignore[no-untyped-def]
        given = list(soap), list(rest)
        endpoints.extend([*given[0], *given[1]])
        return compose(given[0], pages, base_url=base_url, rest=given[1])

    monkeypatch.setattr(app, "compose", composing)
    file = tmp_path / "hub.toml"
    file.write_text(trusted_settings(tmp_path, 1))
    made = app.build(load(file))
    yield made, endpoints
    made.parts.close()


def test_every_page_is_open_on_purpose(built: tuple[Application, list[object]]) -> None:
    made, _ = built
    assert {rule.rule for rule in made.parts.pages.url_map.iter_rules()} <= OPEN


def test_every_endpoint_goes_through_the_exchange(built: tuple[Application, list[object]]) -> None:
    """The rows of these actors are looked at one by one in tests/test_exchange.py."""
    from tests.test_exchange import ROLES

    _, endpoints = built
    assert all(isinstance(one, SoapEndpoint | RestEndpoint) for one in endpoints)
    roles = {one.actor.role.path: one.actor.role for one in endpoints if isinstance(one, SoapEndpoint | RestEndpoint)}
    assert set(roles) == {role.path for role in ROLES if role.path.startswith("/")}
    assert all(role in ROLES for role in roles.values())
    for one in endpoints:
        assert isinstance(one, SoapEndpoint | RestEndpoint)
        for row in one.actor.role.transactions:
            undecided = row.action is not None and one.actor.decisions.reveals_everything
            assert not undecided, f"{row.number} is served without a decision at {one.actor.role.path}"
            assert one.actor.access.trust is not None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_below_the_paths_of_actors_nothing_else_answers(built: tuple[Application, list[object]], method: str) -> None:
    """Without a credential every resource of REST is 401, whatever it is, and no other method reads."""
    made, _ = built
    for path in (
        "/dicom-web",
        "/dicom-web/studies/1.2",
        "/dicom-web/x",
        "/dicom-web/studies/1.2/metadata",
        "/wado",
        "/wado/x",
    ):
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "192.0.2.7"}
        assert _statuses(made, environ) == [
            "401 Unauthorized" if method in ("GET", "HEAD") else "405 Method Not Allowed"
        ]


def _statuses(made: Application, environ: dict[str, str]) -> list[str]:
    said: list[str] = []
    list(made.wsgi(environ, lambda status, headers: said.append(status)))
    return said
