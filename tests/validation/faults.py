"""A sample with one fault, and the fault: what the tests of the validators are tables of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lxml import etree

from xdsi.domain.findings import Level, Report
from xdsi.spec import namespaces as ns
from xdsi.validation import Terms, validate

PREFIXES = {
    "soap": ns.SOAP, "wsa": ns.WSA, "wsse": ns.WSSE, "rim": ns.RIM, "rs": ns.RS, "lcm": ns.LCM, "query": ns.QUERY,
    "xds": ns.XDS, "rad": ns.RAD, "hl7": ns.HL7V3, "saml": ns.SAML, "ds": ns.DS, "xades": ns.XADES,
    "xacml": ns.XACML_POLICY,
}  # fmt: skip
Change = Callable[[bytes], bytes]


def swap(old: str, new: str, count: int = 1) -> Change:
    """Some text for another; it has to be there."""

    def change(raw: bytes) -> bytes:
        assert old.encode() in raw, old
        return raw.replace(old.encode(), new.encode(), count)

    return change


def _changed(raw: bytes, path: str, act: Callable[[Any], None]) -> bytes:
    root = etree.fromstring(raw)
    found = root.xpath(path, namespaces=PREFIXES)
    assert found, path
    act(found[0])
    return etree.tostring(root)


def without(path: str) -> Change:
    """An element less, or an attribute."""

    def act(found: Any) -> None:
        if isinstance(found, str):
            del found.getparent().attrib[found.attrname]  # type: ignore[attr-defined]
        else:
            found.getparent().remove(found)

    return lambda raw: _changed(raw, path, act)


def having(path: str, value: str) -> Change:
    """An attribute or a text with another value."""

    def act(found: Any) -> None:
        if isinstance(found, str):
            found.getparent().set(found.attrname, value)  # type: ignore[attr-defined]
        else:
            found.text = value

    return lambda raw: _changed(raw, path, act)


def twice(path: str) -> Change:
    """An element more."""

    def act(found: Any) -> None:
        found.addnext(etree.fromstring(etree.tostring(found, with_tail=False)))

    return lambda raw: _changed(raw, path, act)


def found(report: Report) -> list[tuple[str, str]]:
    """Each finding as its rule, with `?` before warnings, and the end of its place."""
    return [
        (f"?{one.rule}" if one.level is Level.WARNING else one.rule, one.place.rpartition("/")[2])
        for one in report.findings
    ]


def check(raw: bytes, rule: str, place: str, *, key: str = "", terms: Terms | None = None) -> None:
    """There is one finding, it is told whole, and it is this one."""
    report = validate(raw, key=key, terms=terms)
    assert found(report) == [(rule, place)], report.findings
    (one,) = report.findings
    assert all((one.text, one.expected, one.clause)), one
    assert report.valid == rule.startswith("?")
