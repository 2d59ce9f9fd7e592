"""A performed procedure step: what a modality does at a patient (DICOM PS3.3 C.4.13)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PerformedStep:
    """A step with the studies that its images lie in."""

    uid: str
    studies: tuple[str, ...]
    ended: bool = False
