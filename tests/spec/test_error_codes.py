"""Error codes against the table of the test kit (ITI TF-3 table 4.2.4.1-2)."""

from __future__ import annotations

import pytest

from tests.oracles import corpus
from xdsi.spec import error_codes
from xdsi.spec.error_codes import CODES

KIT = {"P": "ITI-41", "R": "ITI-42", "SQ": "ITI-18", "RS": "ITI-43", "XGQ": "ITI-38", "XGR": "ITI-39"}


@pytest.mark.oracle
def test_every_code_of_the_kit_is_allowed_where_it_says() -> None:
    lines = corpus("nist-toolkit2", "TransactionDefinedErrorCodes.txt").read_text().splitlines()[1:]
    rows = [[part.strip() for part in line.split(",", 3)] for line in lines if line.strip()]
    assert len(rows) > 50
    for letter, code, severity, _ in rows:
        assert error_codes.allowed(code, KIT[letter]), (code, letter)
        assert severity in CODES[code].severities, code


@pytest.mark.parametrize(
    ("code", "transaction", "expected"),
    [
        ("XDSRegistryBusy", "ITI-18", "XDSRegistryBusy"),
        ("XDSRegistryBusy", "ITI-62", "XDSRegistryError"),
        ("XDSRegistryBusy", "ITI-57", "XDSRegistryError"),
        ("XDSUnheardOf", "ITI-18", "XDSRegistryError"),
        ("XDSIRequestError", "RAD-69", "XDSIRequestError"),
        ("XDSIRequestError", "ITI-43", "XDSRegistryError"),
    ],
)
def test_a_code_or_its_fallback(code: str, transaction: str, expected: str) -> None:
    assert error_codes.or_else(code, transaction, "XDSRegistryError") == expected


def test_the_retired_code_is_marked() -> None:
    assert [row.code for row in CODES.values() if row.deprecated] == ["XDSReplaceFailed"]
