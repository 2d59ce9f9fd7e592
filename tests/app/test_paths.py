"""Every path that is served is either decided on, bound to nodes, or open on purpose."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import envelope, free_port
from tests.trusted import entities
from tests.trusted import settings as trusted_settings
from xdsi import app
from xdsi.app.services import Application
from xdsi.settings import load
from xdsi.transport import pki
from xdsi.transport.rest import RestEndpoint
from xdsi.transport.soap_server import SoapEndpoint
from xdsi.transport.wsgi import compose

OPEN = {
    "/": "names of the services",
    "/health/live": "the process answers",
    "/health/ready": "it can do its work",
    "/metrics": "counts, without anybody's data",
    "/validator": "judges what the request brings and nothing else, where the settings show it",
    "/validator/static/<path:filename>": "files of the program",
}
"""Pages without patient data; a new page has to be put here, or be served through an actor."""
PERMITTED = {
    "/publishing": "the queue of studies to be published: the node's permit",
    "/publishing/static/<path:filename>": "files of the program, of that page",
}
"""Pages for nodes that the settings permit them."""
LISTENERS = {
    "transport/http_server.py": "SOAP, REST and pages, which are looked at below",
    "transport/mllp.py": "ITI-8, RAD-4 and RAD-28: the node's permit",
    "transport/move_scp.py": "RAD-16: the row's decision, for the subject that the settings bind the entity to",
    "transport/notice_scp.py": "RAD-7 and RAD-49: the node's permit",
    "transport/operations_server.py": "the open pages, on loopback",
    "transport/pacs/storage_scp.py": "takes images that were asked for, from the archive; gives nothing out",
    "transport/syslog_collector.py": "ITI-20: the node's permit",
    "transport/simulator.py": "a peer for tests, without data of its own",
    "transport/syslog_sink.py": "a collector for tests",
    "conformance/association.py": "takes the images that the runner of cases asked for; gives nothing out",
    "cli/demo/network.py": "looks for a free port",
}
"""Every file that opens a port, and what decides there on who is served."""
SERVICES = {
    "MllpServer", "MoveServer", "NoticeServer", "OperationsServer", "Collector",
    # What follows listens on nothing.
    "Forwarder", "FhirForwarder", "PublishingService", "Regularly",
}  # fmt: skip
_LISTENS = re.compile(
    r"\b(?:make_server|start_server|create_server|HTTPServer|TCPServer|UDPServer)\(|\.bind\(\(|\.listen\(\d"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Application, list[object]]]:
    """A process with every actor, and every endpoint that it was composed of."""
    endpoints: list[object] = []

    def composing(soap, pages, *, base_url, rest=()):  # type: ignore[no-untyped-def]
        given = list(soap), list(rest)
        endpoints.extend([*given[0], *given[1]])
        return compose(given[0], pages, base_url=base_url, rest=given[1])

    folder = tmp_path_factory.mktemp("paths")
    file = folder / "hub.toml"
    pki.create_demonstration(folder / "pki")
    peers = [free_port() for _ in range(2)]
    file.write_text(
        "\n".join(
            [
                trusted_settings(folder, 1, *entities(folder, free_port(), *peers)),
                "[publishing]", "automatic = true", f"notices_port = {free_port()}",
                "[audit]", "send = 'tls://127.0.0.1:1'", f"listen = {free_port()}",
            ]
        ).replace("[server]\n", f"[server]\nmllp_port = {free_port()}\noperations_port = {free_port()}\n", 1)
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "compose", composing)
        made = app.build(load(file, {}))
    yield made, endpoints
    made.parts.close()


def test_only_who_asks_the_registry_computes_in_turns(built: tuple[Application, list[object]]) -> None:
    """What streams, and what waits for archives or other systems, holds no turn."""
    _, endpoints = built
    in_turns = {one.actor.role.path for one in endpoints if isinstance(one, SoapEndpoint) and one._one_computes}
    assert in_turns == {"/services/registry"}


def test_every_page_is_open_on_purpose(built: tuple[Application, list[object]]) -> None:
    made, _ = built
    assert {rule.rule for rule in made.parts.pages.url_map.iter_rules()} == OPEN.keys() | PERMITTED.keys()


def test_no_page_changes_anything(built: tuple[Application, list[object]]) -> None:
    made, _ = built
    for rule in made.parts.pages.url_map.iter_rules():
        methods = set(rule.methods or ()) - {"HEAD", "OPTIONS"}
        assert methods <= ({"GET", "POST"} if rule.rule in ("/validator", "/publishing") else {"GET"})


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_a_page_for_nodes_is_shown_to_nobody_else(built: tuple[Application, list[object]], method: str) -> None:
    made, _ = built
    for path in ("/publishing", "/publishing/static/validator.css"):
        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "192.0.2.7",
            "SERVER_NAME": "hub", "SERVER_PORT": "443", "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(),
        }  # fmt: skip
        assert _statuses(made, environ) in (["403 FORBIDDEN"], ["405 METHOD NOT ALLOWED"])


def test_what_opens_a_port_is_known() -> None:
    product = Path(app.__file__).resolve().parents[1]
    found = {
        file.relative_to(product).as_posix()
        for file in product.rglob("*.py")
        if _LISTENS.search(file.read_text("utf-8"))
    }
    assert found == LISTENERS.keys(), "what listens has to say here who is served"


def test_what_runs_beside_http_is_known(built: tuple[Application, list[object]]) -> None:
    made, _ = built
    services = made.parts.services()
    try:
        names = {type(one).__name__ for one in services}
        assert names <= SERVICES
        assert names >= {"MllpServer", "MoveServer", "NoticeServer", "OperationsServer", "Collector"}
    finally:
        for one in services:
            if type(one).__name__ in ("MllpServer", "Collector"):
                one.start()
                one.stop()


def test_no_message_is_answered_for_who_shows_nothing(built: tuple[Application, list[object]]) -> None:
    """Each action of each path, by a peer without certificate and token: refused before the message is understood."""
    made, endpoints = built
    asked = 0
    for one in endpoints:
        if not isinstance(one, SoapEndpoint):
            continue
        for row in one.actor.role.transactions:
            body = envelope(row.trigger, b"<x/>")
            said: list[str] = []
            environ = {
                "REQUEST_METHOD": "POST", "PATH_INFO": one.actor.role.path, "QUERY_STRING": "",
                "REMOTE_ADDR": "192.0.2.7", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body),
                "CONTENT_TYPE": f'application/soap+xml; charset=UTF-8; action="{row.trigger}"',
            }  # fmt: skip
            answer = b"".join(made.wsgi(environ, lambda status, headers, said=said: said.append(status)))
            asked += 1
            assert re.search(rb"wsse:(FailedAuthentication|InvalidSecurity)\b", answer), (row.number, said, answer)
    assert asked >= 10


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
