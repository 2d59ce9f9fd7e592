"""Messages of third parties are validated without a false alarm: every finding is explained."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.oracles import corpus
from tests.validation.corpus_findings import EXPLAINED, Row
from xdsi.domain.findings import Level
from xdsi.validation import validate


def messages() -> list[tuple[str, Path]]:
    """Every file but the schemas, by its path inside."""
    root = corpus()
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_relative_to(root / "schemas")]
    return [(path.relative_to(root).as_posix(), path) for path in files]


def row_of(name: str) -> Row | None:
    return next((row for row in EXPLAINED if fnmatchcase(name, row.path)), None)


@pytest.mark.oracle
def test_every_finding_in_messages_of_third_parties_is_explained() -> None:
    unexplained, kinds, said = [], set(), set()
    for name, path in messages():
        report = validate(path.read_bytes())
        kinds.add(report.kind)
        row = row_of(name)
        allowed = row.rules.split() if row is not None else []
        for one in report.findings:
            rule = f"?{one.rule}" if one.level is Level.WARNING else one.rule
            fits = [pattern for pattern in allowed if fnmatchcase(rule, pattern)]
            said.update((row, pattern) for pattern in fits)
            if not fits:
                unexplained.append((name, rule, one.place, one.text))
    assert unexplained == []
    assert {"SOAP message", "ebRIM message", "HL7 v2 message", "HL7 V3 message", "audit message"} <= kinds
    assert {"manifest (Key Object Selection)", "SAML assertion (XUA)", "consent (APPC)"} <= kinds
    # An explanation of nothing is out of date.
    assert [row.path for row in EXPLAINED if row.rules and not any(one is row for one, _ in said)] == []


def test_every_explanation_gives_a_reason() -> None:
    assert [row.path for row in EXPLAINED if row.rules and not row.reason] == []
