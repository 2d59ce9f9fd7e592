"""Text in the languages it was written in (ebRIM 3.0, LocalizedString)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocalizedString:
    """One rim:LocalizedString; `lang` is empty where none was sent."""

    value: str
    lang: str = ""
