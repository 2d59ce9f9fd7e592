"""Trees of frozen dataclasses as JSON and back: how verified consents keep their policies.

Each dataclass is an object with its class under `$`; fields that have their default are left out, so that rows written
before a field existed still read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from types import ModuleType
from typing import Any, Final

from xdsi.domain import codes, consent, identifiers

_MODULES: Final[tuple[ModuleType, ...]] = (consent, codes, identifiers)
_CLASSES: Final[dict[str, type[Any]]] = {
    name: found
    for module in _MODULES
    for name, found in vars(module).items()
    if isinstance(found, type) and (dataclasses.is_dataclass(found) or issubclass(found, Enum))
}


def to_json(value: Any) -> str:
    """The value as text; raises TypeError for what is neither plain data nor a class of the consent domain."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Any:
    """The value that `to_json` wrote; raises ValueError for text that it cannot have written."""
    return _rich(json.loads(text))


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        _known(value)
        return {"$": type(value).__name__, "value": value.value}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, frozenset):
        return {"$": "frozenset", "items": sorted((_plain(item) for item in value), key=json.dumps)}
    if isinstance(value, datetime | date):
        return {"$": type(value).__name__, "value": value.isoformat()}
    if isinstance(value, Mapping):
        return {"$": "mapping", "items": [[_plain(key), _plain(item)] for key, item in value.items()]}
    if dataclasses.is_dataclass(value):
        _known(value)
        fields = {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.init and getattr(value, field.name) != _default(field)
        }
        return {"$": type(value).__name__, **fields}
    raise TypeError(f"cannot be kept: {type(value).__qualname__}")


def _known(value: Any) -> None:
    if _CLASSES.get(type(value).__name__) is not type(value):
        raise TypeError(f"cannot be kept: {type(value).__qualname__}")


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _rich(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_rich(item) for item in value)
    if not isinstance(value, dict):
        return value
    name = value.get("$")
    if name == "frozenset":
        return frozenset(_rich(item) for item in value["items"])
    if name == "mapping":
        return {_rich(key): _rich(item) for key, item in value["items"]}
    if name in ("datetime", "date"):
        return (datetime if name == "datetime" else date).fromisoformat(value["value"])
    found = _CLASSES.get(str(name))
    if found is None:
        raise ValueError(f"unknown class {name!r}")
    if issubclass(found, Enum):
        return found(value["value"])
    try:
        return found(**{key: _rich(item) for key, item in value.items() if key != "$"})
    except TypeError as error:
        raise ValueError(f"not a {name}: {error}") from error
