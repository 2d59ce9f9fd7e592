"""How a value stands inside rim:Value of a stored query: numbers, quoted strings, codes, lists.

ITI TF-2 3.18.4.1.2.3.5 (coding style). Reading is lenient where clients in use differ, writing is strict.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId
from xdsi.domain.stored_query import Value
from xdsi.rules import formats
from xdsi.spec.stored_queries import Coding, Parameter

VALUE_LENGTH = 256
"""characters of a rim:Value (rim.xsd, LongName)"""
MAX_LENGTH = 256
"""characters of a decoded value"""
MAX_PATTERN_LENGTH = 4096

_ITEM = re.compile(r"\s*+(?:'((?:[^']++|'')*+)'|([^'(),\s]++))\s*+(,|$)")
_CODE = re.compile(r"([^^]++)\^\^([^^]++)")
_LEVELS = frozenset({"1", "2"})


class BadCoding(ValueError):
    """A value is not coded as the profile says; the message says how it should be."""


def items(text: str) -> list[tuple[str, bool]]:
    """The items of one rim:Value in order, each with True where it stood in quotes; `('a','b')` has two.

    Raises BadCoding. A single item may stand without parentheses, and a list of one may have them.
    """
    text = text.strip()
    listed = text.startswith("(")
    if listed:
        if not text.endswith(")"):
            raise BadCoding("a list ends with ')'")
        text = text[1:-1]
    found = []
    position = 0
    while True:
        match = _ITEM.match(text, position)
        if match is None:
            raise BadCoding("expected 'text' in single quotes (quotes inside doubled), a number, or a list ('a','b')")
        quoted = match[1]
        found.append((match[2], False) if quoted is None else (quoted.replace("''", "'"), True))
        position = match.end()
        if not match[3]:
            break
    if len(found) > 1 and not listed:
        raise BadCoding("several values stand in parentheses, as in ('a','b')")
    return found


def decode(text: str, *, quoted: bool, parameter: Parameter) -> Value:
    """One item as the parameter's coding has it, in Unicode NFC; raises BadCoding."""
    coding = parameter.coding
    value = unicodedata.normalize("NFC", text)
    if len(value) > (MAX_PATTERN_LENGTH if parameter.like else MAX_LENGTH):
        raise BadCoding(f"a value of {len(value)} characters is too long")
    if coding is Coding.TIME:
        complaint = formats.dtm(value)
        if complaint:
            raise BadCoding(f"{value!r}: {complaint}")
        return value
    if coding is Coding.LEVEL:
        if value not in _LEVELS:
            raise BadCoding(f"{value!r} is neither 1 nor 2")
        return value
    if not quoted:
        raise BadCoding(f"{value!r} must stand in single quotes")
    if coding is Coding.CODE:
        match = _CODE.fullmatch(value)
        if match is None:
            raise BadCoding(f"{value!r} is not a code of the form 'code^^scheme'")
        return Code(match[1], match[2])
    if coding is Coding.PATIENT:
        try:
            PatientId.parse(value)
        except ValueError as error:
            raise BadCoding(str(error)) from None
    elif not value:
        raise BadCoding("an empty value")
    return value


def encode(value: Value, parameter: Parameter) -> str:
    """One item in the coding of its parameter."""
    text = str(value)
    if parameter.coding in {Coding.TIME, Coding.LEVEL}:
        return text
    return "'" + text.replace("'", "''") + "'"


def encode_list(values: Iterable[Value], parameter: Parameter) -> tuple[str, ...]:
    """A list in as many rim:Values as its length needs, each with its own parentheses."""
    lists: list[str] = []
    for value in values:
        item = encode(value, parameter)
        if lists and len(lists[-1]) + len(item) + 1 <= VALUE_LENGTH - 2:
            lists[-1] += f",{item}"
        else:
            lists.append(item)
    return tuple(f"({text})" for text in lists)
