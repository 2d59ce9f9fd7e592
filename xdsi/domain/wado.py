"""Images asked for over HTTP: whole instances, their metadata, frames, bulk data or pictures of them.

DICOM PS3.18 sections 8.3.5 (parameters of pictures), 9 (URI service), 10.4 (retrieve transaction).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from xdsi.domain.imaging import Instance
from xdsi.domain.outcome import Outcome
from xdsi.domain.submission import Document


class Representation(StrEnum):
    """What of the instances is wanted."""

    INSTANCES = "instances"
    METADATA = "metadata"
    RENDERED = "rendered"
    FRAMES = "frames"
    BULKDATA = "bulkdata"


DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
OCTETS = "application/octet-stream"
JPEG, PNG = "image/jpeg", "image/png"


@dataclass(frozen=True, slots=True)
class Acceptable:
    """One form in which an answer may come; equally welcome ones have the same `q`."""

    media_type: str
    transfer_syntax: str = ""
    """`*`: whichever there is; empty where the form has none"""
    multipart: bool = False
    q: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a picture of an instance is to look; what is not given is left to the instance."""

    media_type: str = JPEG
    frame: int = 1
    width: int | None = None
    height: int | None = None
    """the picture fits into these, its proportions kept"""
    region: tuple[float, float, float, float] | None = None
    """left, top, right and bottom, as parts of the image from 0 to 1"""
    window: tuple[float, float] | None = None
    """center and width"""
    window_function: str = "LINEAR"
    quality: int = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class WadoRequest:
    """What is asked for of a study, a series or an instance."""

    study_uid: str
    series_uid: str = ""
    sop_uid: str = ""
    representation: Representation = Representation.INSTANCES
    accept: tuple[Acceptable, ...] = ()
    """the forms among which the representation has to be, most welcome first; none: no form that is made here"""
    frames: tuple[int, ...] = ()
    path: tuple[int, ...] = ()
    """of bulk data: tag, then item number and tag by turns"""
    view: View = field(default_factory=View)


@dataclass(frozen=True, slots=True, kw_only=True)
class WadoPart:
    """One thing given out, and of which instance it is."""

    instance: Instance
    series_uid: str
    media_type: str
    transfer_syntax: str = ""
    document: Document
    frame: int = 0
    """of frames: which one"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WadoAnswer:
    """What is given out; a problem's code is the HTTP status that it would be the reason of."""

    outcome: Outcome
    parts: tuple[WadoPart, ...] = ()
    multipart: bool = False

    @property
    def status(self) -> int:
        """200 for everything, 206 for some, else the status of the first problem (PS3.18 table 10.4.3-1)."""
        errors = self.outcome.errors
        if not self.parts:
            return int(errors[0].code) if errors else 404
        return 206 if errors else 200
