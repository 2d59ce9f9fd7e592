"""Attributes with several values in one column: a JSON array, and nothing where there are none.

Most have one or two values; rows of their own would take several times as much room.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Text, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from xdsi.domain.codes import Code
from xdsi.storage.packed import FIRST_WORD, pack, unpack
from xdsi.storage.wording import normal

_BEFORE_SCHEME: Final = "\uffff"
_BEFORE_WORD: Final = "\ufffe"
"""between a code and its scheme, or what stands for that in `packed`; XML cannot contain these signs"""
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_read = json.JSONDecoder().decode


def write(values: Iterable[str]) -> str:
    """The values as they are kept."""
    found = list(values)
    return _write(found) if found else ""


@lru_cache(maxsize=20_000)
def read(kept: str) -> tuple[str, ...]:
    """The values that `write` was given."""
    return tuple(_read(kept)) if kept else ()


def coded(code: Code) -> str:
    """A code as a value of such a list, in normal form C."""
    return _coded(normal(code.code), normal(code.scheme))


def uncoded(value: str) -> tuple[str, str]:
    """Code and scheme of a value that `coded` made."""
    code, mark, scheme = value.partition(_BEFORE_SCHEME)
    if not mark:
        code, _, word = value.partition(_BEFORE_WORD)
        scheme = unpack(word.encode("latin-1"))
    return code, scheme


@lru_cache(maxsize=20_000)
def _coded(code: str, scheme: str) -> str:
    word = pack(scheme)
    if len(word) == 1 and word[0] >= FIRST_WORD:
        return code + _BEFORE_WORD + word.decode("latin-1")
    return code + _BEFORE_SCHEME + scheme


class _Items(GenericFunction[Any]):
    """The items of a list as rows; each engine has a name of its own for it."""

    name = "list_items"
    inherit_cache = True


@compiles(_Items, "sqlite")
def _on_sqlite(element: Any, compiler: Any, **given: Any) -> str:
    return f"json_each(nullif({compiler.process(element.clauses, **given)}, ''))"


@compiles(_Items, "postgresql")
def _on_postgresql(element: Any, compiler: Any, **given: Any) -> str:
    return f"json_array_elements_text(nullif({compiler.process(element.clauses, **given)}, '')::json)"


def items(column: ColumnElement[str]) -> tuple[FromClause, ColumnElement[str]]:
    """The values of a column of lists as rows, and the column of these."""
    rows: Any = func.list_items(column, type_=Text).table_valued("value")
    return rows, rows.c.value
