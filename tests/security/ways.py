"""Ways to a study: requests as they are meant, and requests that nobody has a reason for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import requests

from tests.security.asking import (
    Asker,
)
from tests.security.targets import Target

Attempt = Callable[[Asker, Target], Iterable[requests.Response]]
RIGHT: dict[str, Attempt] = {}
"""requests as they are meant: on what may be seen they arrive"""
TRICKS: dict[str, Attempt] = {}
"""requests that nobody has a reason for"""


def right(attempt: Attempt) -> Attempt:
    RIGHT[attempt.__name__.replace("_", " ")] = attempt
    return attempt


def trick(attempt: Attempt) -> Attempt:
    TRICKS[attempt.__name__.replace("_", " ")] = attempt
    return attempt
