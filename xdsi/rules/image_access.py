"""What every way of giving images out has in common: on what a study's images are decided, and how an instance leaves.

RAD TF-1: 18 (Imaging Document Source); RAD TF-2 4.69.4.2 (transfer syntaxes).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from xdsi.domain.consent import Resource
from xdsi.domain.errors import MalformedMessage, Refused
from xdsi.domain.imaging import Instance
from xdsi.domain.ports import InstanceSource, PublishedManifests
from xdsi.domain.submission import Document
from xdsi.domain.wado import View

MAX_INSTANCES = 10_000
ANY_SYNTAX = "*"
"""instead of a transfer syntax: whichever the image is kept in"""


class Transcoder(Protocol):
    """Makes another transfer syntax of an instance, under limits."""

    def transcode(self, instance: Instance, transfer_syntaxes: Sequence[str]) -> Document:
        """The instance in one of the transfer syntaxes; raises Refused or MalformedMessage where none can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingPorts:
    """What an imaging source works with."""

    retrieve_location_uid: str
    instances: InstanceSource
    manifests: PublishedManifests | None
    """None: every study may be asked for (open profile)"""
    transcoder: Transcoder
    patient_id_authority: str
    max_instances: int = MAX_INSTANCES
    transcoding_seconds: float = 120.0
    """for all instances of one answer, before its first byte leaves"""


def manifest_of(study_uid: str, ports: ImagingPorts) -> Resource | None:
    """What is decided on for the images of a study: its published manifest; None where nothing may be given out."""
    if ports.manifests is None:
        return Resource(unique_id=study_uid)
    manifest = ports.manifests.manifest_of(study_uid)
    study = ports.instances.study(study_uid)
    if manifest is None or study is None:
        return None
    held = study.patient.identifier(ports.patient_id_authority)
    # The patient found in the images decides; a manifest of another patient opens nothing.
    if held is None or (manifest.source_patient_id and manifest.source_patient_id != held.cx):
        return None
    return manifest


@dataclass(frozen=True, slots=True)
class Delivered:
    """An instance as it leaves; `made` where it is not as it is kept."""

    document: Document
    made: bool = False


class Delivery:
    """The instances of one answer as they leave: each transcoded once, and all of them within a time."""

    def __init__(self, ports: ImagingPorts) -> None:
        self._ports = ports
        self._transcoded: dict[tuple[str, tuple[str, ...]], Document] = {}
        self._seconds = 0.0
        self._kept: list[Instance] = []
        """those that leave as they are kept, in order"""
        self._left = 0
        self._ahead: Iterator[Iterator[bytes]] | None = None

    def deliver(self, instance: Instance, opened: Iterator[bytes], acceptable: Sequence[str]) -> Delivered:
        """The instance in an acceptable transfer syntax; raises Refused or MalformedMessage where that cannot be."""
        if instance.transfer_syntax_uid in acceptable or ANY_SYNTAX in acceptable:
            place = len(self._kept)
            self._kept.append(instance)
            unread = [opened]

            def read() -> Iterator[bytes]:
                if not unread:
                    return self._ports.instances.open(instance)
                first = unread.pop()
                return self._in_turn(place) or first

            return Delivered(Document(open=read, size=instance.size or -1))
        key = (instance.sop_instance_uid, tuple(acceptable))
        done = self._transcoded.get(key)
        if done is None:
            done = self._transcoded[key] = self._transcode(instance, acceptable)
        return Delivered(done, made=True)

    def _in_turn(self, place: int) -> Iterator[bytes] | None:
        """The file from those asked for ahead, as long as they leave in their order."""
        if place == 0 and self._left == 0 and len(self._kept) > 1:
            self._ahead = self._ports.instances.ahead(tuple(self._kept))
        if self._ahead is None or place != self._left:
            self._ahead = None
            return None
        self._left += 1
        return next(self._ahead)

    def deliver_best(
        self, instance: Instance, opened: Iterator[bytes], preferences: Sequence[Sequence[str]]
    ) -> Delivered:
        """The same, with transfer syntaxes in groups of which an earlier one is preferred."""
        refused: MalformedMessage | Refused = Refused("no transfer syntax will do")
        for acceptable in preferences:
            try:
                return self.deliver(instance, opened, acceptable)
            except (MalformedMessage, Refused) as error:
                refused = error
        raise refused

    def _transcode(self, instance: Instance, acceptable: Sequence[str]) -> Document:
        if self._seconds > self._ports.transcoding_seconds:
            raise Refused("too many instances to transcode at once, ask for fewer")
        began = time.perf_counter()
        try:
            return self._ports.transcoder.transcode(instance, acceptable)
        finally:
            self._seconds += time.perf_counter() - began


class Pictures(Protocol):
    """Takes instances apart, under limits: what it is fed with was made by others."""

    def rendered(self, instance: Instance, view: View) -> Document:
        """A picture of one frame; raises Refused or MalformedMessage where the instance has none."""

    def frames(self, instance: Instance, numbers: Sequence[int], *, native: bool) -> Sequence[tuple[str, Document]]:
        """Frames with the transfer syntax of each, decompressed if `native`; raises as `rendered`, LookupError too."""

    def bulkdata(self, instance: Instance, path: Sequence[int]) -> Document:
        """The value of an element; LookupError where there is none, else raises as `rendered`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WadoPorts:
    """What WADO works with."""

    images: ImagingPorts
    pictures: Pictures
