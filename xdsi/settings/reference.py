"""The configuration reference (docs/configuration.md), made of the sections themselves."""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing
from pathlib import Path
from typing import Any

from xdsi.settings.sections import Settings


def reference() -> str:
    """The configuration reference, as Markdown (docs/configuration.md)."""
    lines: list[str] = []
    for section in dataclasses.fields(Settings):
        kind: Any = typing.get_type_hints(Settings)[section.name]
        repeated = typing.get_origin(kind) is tuple
        if repeated:
            kind = typing.get_args(kind)[0]
        lines += _reference_section(kind, section.name, repeated=repeated)
    return "\n".join(lines)


def _reference_section(kind: Any, name: str, *, repeated: bool) -> list[str]:
    brackets = f"[[{name}]]" if repeated else f"[{name}]"
    lines = [
        f"## `{brackets}`",
        "",
        inspect.cleandoc(kind.__doc__ or ""),
        "",
        "| key | default | meaning |",
        "|---|---|---|",
    ]
    nested: list[str] = []
    for item in dataclasses.fields(kind):
        hint = typing.get_type_hints(kind)[item.name]
        inner = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else hint
        if dataclasses.is_dataclass(inner):
            nested += _reference_section(inner, f"{name}.{item.name}", repeated=True)
            continue
        meaning = item.metadata.get("doc", "")
        if item.metadata.get("choices"):
            meaning += "; one of " + ", ".join(f"`{c}`" for c in item.metadata["choices"])
        lines.append(f"| `{item.name}` | {_shown(item)} | {meaning} |")
    return [*lines, "", *nested]


def _shown(item: dataclasses.Field[Any]) -> str:
    if item.default is dataclasses.MISSING:
        return "required" if item.default_factory is dataclasses.MISSING else "`{}`"
    default = item.default
    if isinstance(default, Path):
        default = str(default)
    if isinstance(default, tuple):
        default = list(default)
    return f"`{json.dumps(default)}`"
