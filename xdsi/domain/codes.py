"""Coded values. Identity is (code, scheme); the display name never decides (ITI TF-3 4.2.3.1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from xdsi.domain.texts import LocalizedString


@dataclass(frozen=True, slots=True)
class Code:
    """A code of a coding scheme."""

    code: str
    scheme: str
    display: str = field(default="", compare=False)
    names: tuple[LocalizedString, ...] = field(default=(), compare=False)
    """the display name in its languages, the first as in `display`; empty where that has no language"""

    def __str__(self) -> str:
        return f"{self.code}^^{self.scheme}"


@dataclass(frozen=True, slots=True)
class CodeSets:
    """What an affinity domain admits: codes by attribute, media types, assigning authorities of patient identifiers.

    `attributes` is keyed by the standard's names (`classCode`, `eventCodeList`, `folderCodeList`, ...). An attribute
    that is absent, and an empty set of media types or authorities, admits everything.
    """

    attributes: Mapping[str, frozenset[Code]] = field(default_factory=dict)
    mime_types: frozenset[str] = frozenset()
    assigning_authorities: frozenset[str] = frozenset()
    """OIDs"""

    def admits(self, attribute: str, code: Code) -> bool:
        """True when the domain lets this attribute have this code."""
        admitted = self.attributes.get(attribute)
        return admitted is None or code in admitted

    def admits_mime_type(self, mime_type: str) -> bool:
        """True when the domain shares documents of this media type; names are compared without case (RFC 2045)."""
        return not self.mime_types or mime_type.lower() in self.mime_types

    def admits_authority(self, oid: str) -> bool:
        """True when the domain knows patients of this assigning authority."""
        return not self.assigning_authorities or oid in self.assigning_authorities
