"""A report as one HTML page that needs nothing beside it: every exchange with request, answer, findings and clauses."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping

from lxml import etree

from . import secrets
from .cases import purpose
from .results import SHOWN, Finding, Recorded, Report, Result, Verdict
from .xml import parse_foreign

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:76em;padding:0 1em;color:#1b1b1b;background:#fff}
h1{font-size:1.5em}h2{font-size:1.1em}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.3em .6em;border-bottom:1px solid #ddd;vertical-align:top}
pre{background:#f5f5f5;border:1px solid #ddd;padding:.7em;overflow:auto;max-height:30em;white-space:pre-wrap;
overflow-wrap:anywhere;font-size:12.5px}
details{margin:.3em 0 .3em 1em}summary{cursor:pointer}
.passed{color:#0a6b2c}.failed{color:#b00020;font-weight:600}.skipped{color:#5f5f5f}
.finding{border-left:4px solid #b00020;padding:.2em .8em;margin:.5em 0;background:#fdf1f2}
@media(prefers-color-scheme:dark){body{color:#eee;background:#1a1a1a}pre{background:#262626;border-color:#444}
td,th{border-color:#444}.passed{color:#6fdc96}.failed{color:#ff8a95}.skipped{color:#aaa}.finding{background:#3a2226}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_UNSHOWN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def escape(text: str) -> str:
    """Text as a page shows it; what none can show is a dot."""
    return html.escape(_UNSHOWN.sub("\N{MIDDLE DOT}", text))


def document(report: Report, *, keep_secrets: bool = False) -> bytes:
    """The page; the values and signatures of assertions stand in it only where they are asked for."""
    return "".join(_page(report, secrets.decoded if keep_secrets else _without_secrets)).encode()


Shown = Callable[[bytes], str]
"""makes the text of a message that the page shows"""


def _without_secrets(body: bytes) -> str:
    return secrets.told(secrets.decoded(body))


def _page(report: Report, shown: Shown) -> Iterator[str]:
    counts = report.counts()
    endpoint = escape(secrets.without_credentials(report.endpoint))
    started = report.started.isoformat(sep=" ", timespec="seconds")
    yield (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
        f'content="{_POLICY}"><meta name="viewport" content="width=device-width"><title>Conformance of '
        f"{endpoint}</title><style>{_STYLE}</style></head><body><h1>Conformance of "
        f"{endpoint}</h1><p>{started}: "
    )
    yield ", ".join(f'<span class="{verdict}">{counts[verdict]} {verdict}</span>' for verdict in Verdict)
    yield "</p>"
    # What failed is what people look for.
    for verdict in (Verdict.FAILED, Verdict.PASSED, Verdict.SKIPPED):
        found = [result for result in report.results if result.verdict is verdict]
        if found:
            yield f"<h2>{verdict.capitalize()}: {len(found)}</h2>"
        for result in found:
            yield from _case(result, shown)
    yield "</body></html>\n"


def _case(result: Result, shown: Shown) -> Iterator[str]:
    case = result.case
    failed = result.verdict is Verdict.FAILED
    yield (
        f'<details id="{escape(case.name)}"{" open" if failed else ""}><summary><span class="{result.verdict}">'
        f"{result.verdict}</span> {escape(case.name)}: {escape(case.title)} <small>{result.seconds:.2f} s</small>"
        f"</summary><p>Clause: {escape(case.clause)}. Transactions: {escape(', '.join(case.transactions))}. "
        f"Scope: {case.scope}.</p>"
    )
    text = purpose(case)
    if text:
        yield f"<details><summary>What the case is about</summary><pre>{escape(text)}</pre></details>"
    if result.reason:
        yield f"<p>{escape(result.reason)}</p>"
    told = {exchange.step for exchange in result.exchanges}
    yield from (_finding(one) for one in result.findings if one.step not in told)
    for exchange in result.exchanges:
        found = [one for one in result.findings if one.step == exchange.step]
        yield from _exchange(exchange, found, shown)
    yield "</details>"


def _exchange(exchange: Recorded, findings: list[Finding], shown: Shown) -> Iterator[str]:
    told = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
    count = f', <span class="failed">{told}</span>' if findings else ""
    status = f"HTTP {exchange.http}" if exchange.http else "answered" if exchange.response else "no answer"
    url = secrets.without_credentials(exchange.url)
    yield (
        f"<details{' open' if findings else ''}><summary>{escape(exchange.step)}: {escape(exchange.method)} "
        f"{escape(url)}, {status}, {exchange.seconds * 1000:.0f} ms{count}</summary>"
    )
    yield from map(_finding, findings)
    yield _message("Request", exchange.request_headers, exchange.request, exchange.request_size, shown)
    yield _message("Answer", exchange.response_headers, exchange.response, exchange.response_size, shown)
    yield "</details>"


def _finding(finding: Finding) -> str:
    return (
        f'<div class="finding"><b>{escape(finding.step)}</b><br>expected: {escape(finding.expected)}<br>found: '
        f"{escape(finding.found)}<br>clause: {escape(finding.clause)}</div>"
    )


def _message(title: str, headers: Mapping[str, str], body: bytes, size: int, shown: Shown) -> str:
    listed = "\n".join(f"{name}: {secrets.header(name, text)}" for name, text in headers.items())
    cut = f"\n... {size - len(body)} bytes more" if size > len(body) else ""
    return (
        f"<details><summary>{title}, {size} bytes</summary><pre>{escape(listed)}\n\n"
        f"{escape(_readable(body, shown))}{cut}"
        "</pre></details>"
    )


def _readable(body: bytes, shown: Shown) -> str:
    """XML indented, everything else as it came, what no page can show replaced."""
    if body.lstrip()[:1] == b"<" and len(body) < SHOWN:
        try:
            return shown(etree.tostring(parse_foreign(body, indented=True), pretty_print=True, encoding="utf-8"))
        except etree.XMLSyntaxError:
            pass
    return shown(body)
