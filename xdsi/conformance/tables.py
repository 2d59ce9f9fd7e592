"""Tables of a case as they are written: each key known, each value of its kind and, where few will do, one of those."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NoReturn


class Table:
    """A TOML table whose every key must be taken; ValueError says where what is wrong."""

    def __init__(self, table: Any, place: str) -> None:
        self.place = place
        if not isinstance(table, Mapping):
            raise ValueError(f"{place}: expected a table, not {table!r}")
        self._left = dict(table)
        self._known: set[str] = set()

    def take(self, key: str, default: Any = None, *, required: bool = False) -> Any:
        """A value; of the type of its default, where it has one."""
        self._known.add(key)
        if required and key not in self._left:
            raise ValueError(f"{self.place}: {key} is missing")
        value = self._left.pop(key, default)
        self._check_type(key, value, default)
        return value

    def given(self, key: str) -> Any:
        """A value that is not taken yet; None where there is none."""
        return self._left.get(key)

    def items(self) -> Iterable[tuple[str, Any]]:
        """What is left, by key."""
        return self._left.items()

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        """A text."""
        value = self.take(key, default, required=required)
        self._check_type(key, value, "")
        return str(value)

    def one_of(self, key: str, default: str, allowed: Collection[str], *, required: bool = False) -> str:
        """A text of which there are only so many."""
        value = self.text(key, default, required=required)
        if value != default or required:
            self.check(key, value, allowed)
        return value

    def check(self, key: str, value: str, allowed: Collection[str]) -> None:
        """Say which values there are, and which is meant, where this is none of them."""
        if value not in allowed:
            self.refuse(f"{key} is {value!r}: expected one of {', '.join(sorted(allowed))}{nearest(value, allowed)}")

    def table(self, key: str) -> Table:
        """A table in this one; empty where there is none."""
        self._known.add(key)
        return Table(self._left.pop(key, {}), f"{self.place}.{key}")

    def tables(self, key: str, *, required: bool = False) -> list[Table]:
        """A list of tables, by number."""
        rows = self.take(key, (), required=required)
        return [Table(row, f"{self.place}.{key} {number}") for number, row in enumerate(rows, start=1)]

    def named(self, key: str) -> Mapping[str, Table]:
        """A table of tables, each with its name."""
        self._known.add(key)
        rows = Table(self._left.pop(key, {}), f"{self.place}.{key}")
        return {name: Table(row, f"{rows.place}.{name}") for name, row in rows._left.items()}

    def all_of(self, type_: Any) -> Any:
        """The rest as a dataclass; lists become tuples."""
        fields = {one.name: one for one in dataclasses.fields(type_)}
        self._known.update(fields)
        given = {key: self._left.pop(key) for key in list(self._left) if key in fields}
        self.end()
        for key, one in fields.items():
            if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING and key not in given:
                raise ValueError(f"{self.place}: {key} is missing")
            if key in given and one.default is not dataclasses.MISSING:
                self._check_type(key, given[key], one.default)
        return type_(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})

    def end(self) -> None:
        """Nothing is left that nobody knows."""
        if self._left:
            meant = "".join(nearest(key, self._known) for key in sorted(self._left))
            self.refuse(f"unknown keys {sorted(self._left)}{meant}")

    def refuse(self, why: str) -> NoReturn:
        """Say what is wrong, and where."""
        raise ValueError(f"{self.place}: {why}")

    def _check_type(self, key: str, value: Any, default: Any) -> None:
        kinds = _kinds(default)
        if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            self.refuse(f"{key} is {value!r}: expected {_WORDS[kinds[0]]}")


_WORDS = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}


def _kinds(default: Any) -> tuple[type, ...]:
    match default:
        case bool():
            return (bool,)
        case int() | float():
            return (int, float)
        case str():
            return (str,)
        case dict():
            return (dict,)
        case tuple():
            return (list, tuple)
    return ()


def nearest(value: str, allowed: Iterable[str]) -> str:
    """What somebody may have meant."""
    found = difflib.get_close_matches(value, list(allowed), 1, 0.6)
    return f"; is {found[0]!r} meant?" if found else ""
