"""The studies that attacks are tried on."""

from __future__ import annotations

import pytest

from tests.security.targets import Target, target
from tests.trusted import CT, DOE, MR, PETER, Trusted


@pytest.fixture(scope="module")
def hidden(trusted: Trusted) -> Target:
    """A study of a patient who consented to nothing."""
    return target(trusted, PETER, MR)


@pytest.fixture(scope="module")
def visible(trusted: Trusted) -> Target:
    """A study that its patient's consent opens."""
    return target(trusted, DOE, CT)
