"""web/operations: what probes and collectors of metrics are told."""

from __future__ import annotations

from xdsi.web.operations import Metrics, operations


def test_a_process_that_answers_is_live() -> None:
    client = operations({"database": lambda: "away"}, Metrics()).test_client()
    assert client.get("/health/live").json == {"status": "live"}


def test_it_is_ready_when_every_check_is_content() -> None:
    problems = {"database": "", "disk": ""}
    checks = {name: (lambda name=name: problems[name]) for name in problems}
    client = operations(checks, Metrics()).test_client()
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json) == (200, {"status": "ready", "checks": {"database": "ok", "disk": "ok"}})
    problems["disk"] = "full"
    broken = client.get("/health/ready")
    assert broken.status_code == 503
    assert broken.json == {"status": "not ready", "checks": {"database": "ok", "disk": "full"}}


def test_metrics_have_the_form_of_prometheus() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.count("xdsi_exchanges_total", transaction="ITI-18", outcome="success")
    metrics.count("xdsi_exchanges_total", transaction='a"b\\c\nd', outcome="fault")
    metrics.count("xdsi_handshakes_refused_total")
    got = operations({}, metrics).test_client().get("/metrics")
    assert got.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert got.text.splitlines() == [
        "# TYPE xdsi_exchanges_total counter",
        'xdsi_exchanges_total{outcome="fault",transaction="a\\"b\\\\c\\nd"} 1',
        'xdsi_exchanges_total{outcome="success",transaction="ITI-18"} 3',
        "# TYPE xdsi_handshakes_refused_total counter",
        "xdsi_handshakes_refused_total 1",
    ]


def test_pages_that_are_not_there() -> None:
    client = operations({}, Metrics()).test_client()
    assert client.get("/none").status_code == 404
    assert client.get("/").status_code == 200


def test_the_first_page_names_the_services() -> None:
    services = {"https://hub.example/services/registry": "Document Registry"}
    got = operations({}, Metrics(), services=services).test_client().get("/")
    assert got.text.splitlines() == [
        "xdsi is running", "https://hub.example/services/registry?wsdl  Document Registry",
    ]  # fmt: skip
