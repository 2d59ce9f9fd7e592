"""A report as JUnit XML, the form that continuous integration servers read."""

from __future__ import annotations

import re

from lxml import etree

from . import secrets
from .results import Report, Result, Verdict

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(report: Report) -> bytes:
    """A test suite with a test case for each case."""
    counts = report.counts()
    suite = etree.Element(
        "testsuite",
        name="xdsi.conformance",
        hostname=_text(secrets.without_credentials(report.endpoint)),
        timestamp=report.started.isoformat(timespec="seconds"),
        tests=str(len(report.results)),
        failures=str(counts[Verdict.FAILED]),
        errors="0",
        skipped=str(counts[Verdict.SKIPPED]),
        time=f"{sum(result.seconds for result in report.results):.3f}",
    )
    for result in report.results:
        suite.append(_case(result))
    root = etree.Element("testsuites")
    root.append(suite)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _case(result: Result) -> etree._Element:
    case = result.case
    element = etree.Element(
        "testcase",
        classname=f"xdsi.conformance.{'-'.join(case.transactions) or 'case'}",
        name=_text(f"{case.name} {case.title}"),
        time=f"{result.seconds:.3f}",
    )
    if result.verdict is Verdict.SKIPPED:
        etree.SubElement(element, "skipped", message=_text(result.reason))
    if result.verdict is Verdict.FAILED:
        failure = etree.SubElement(element, "failure", message=_text(str(result.findings[0]))[:500], type="finding")
        failure.text = _text("\n".join(f"{one} [{one.clause}]" for one in result.findings))
    if result.reason and result.verdict is not Verdict.SKIPPED:
        etree.SubElement(element, "system-out").text = _text(result.reason)
    return element


def _text(text: str) -> str:
    """Without what XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
