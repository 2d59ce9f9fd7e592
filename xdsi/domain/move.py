"""Images asked for by C-MOVE (DICOM PS3.4 annex C), and who may ask for them (RAD TF-2 4.16)."""

from __future__ import annotations

from dataclasses import dataclass

from xdsi.domain.imaging import Instance
from xdsi.domain.outcome import Outcome
from xdsi.domain.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomPeer:
    """An application entity that may ask, and where its own images go: nobody moves images to where he is not known."""

    ae_title: str
    host: str
    port: int
    certificate_sha256: str
    subject: Subject
    """for whom it asks: the organisation, role and purpose that the settings bind it to"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRequest:
    """The identifier of a C-MOVE: studies, series of one study, or instances of one series."""

    study_uids: tuple[str, ...]
    series_uids: tuple[str, ...] = ()
    sop_uids: tuple[str, ...] = ()
    destination: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """An instance that is to be sent."""

    study_uid: str
    series_uid: str
    instance: Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAnswer:
    """What is sent, known before the first of it leaves."""

    outcome: Outcome
    instances: tuple[Moved, ...] = ()
