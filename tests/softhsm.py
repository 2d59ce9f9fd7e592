"""SoftHSM: tokens without a card. Without its programs or python-pkcs11 the calling test is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.imaging import program

MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
)


def tool() -> str:
    """The program that makes tokens."""
    found = program("softhsm2-util")
    pytest.importorskip("pkcs11")
    return found


def module() -> str:
    """The library that opens them."""
    return str(next(one for one in MODULES if one.exists()))
