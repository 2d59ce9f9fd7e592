"""A SOAP body with its attachments, as codecs read and write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lxml import etree

from xdsi.domain.submission import Document
from xdsi.wire.mtom import Attachment


class Packaging(StrEnum):
    """How a SOAP message travels (ITI TF-2 Appendix V.8)."""

    SIMPLE = "simple"
    MTOM = "mtom"


@dataclass(frozen=True, slots=True)
class Message:
    """A received body: its child elements and the attached parts by Content-ID (without angle brackets)."""

    bodies: tuple[etree._Element, ...]
    parts: Mapping[str, Document] = field(default_factory=dict)

    @property
    def body(self) -> etree._Element:
        """The first (usually the only) child of the Body."""
        return self.bodies[0]


@dataclass(frozen=True, slots=True)
class Payload:
    """A body to send, as pieces of encoded text, and the parts it refers to.

    `packaging` None means: as the request came.
    """

    body: Iterable[bytes]
    attachments: tuple[Attachment, ...] = ()
    packaging: Packaging | None = None
