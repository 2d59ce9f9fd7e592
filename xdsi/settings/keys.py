"""A key of the settings: what it means, its default, what is valid."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any


def key(
    doc: str,
    default: Any = dataclasses.MISSING,
    *,
    choices: tuple[str, ...] = (),
    check: str = "",
    keys: tuple[str, ...] = (),
) -> Any:
    """The field of a section that is this key; `check` names how its value is looked at, `keys` those of a table."""
    metadata = {"doc": doc, "choices": choices, "check": check, "keys": keys}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    if default is dataclasses.MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)
