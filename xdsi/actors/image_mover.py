"""Imaging Document Source behind a C-MOVE: who asks, what is sent, what did not arrive (RAD TF-1: 18.1.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from xdsi.domain.audit import Side
from xdsi.domain.errors import MalformedMessage, SecurityFault
from xdsi.domain.move import DicomPeer, MoveAnswer, Moved, MoveRequest
from xdsi.domain.subject import Caller, Peer
from xdsi.domain.submission import Document
from xdsi.exchange import Actor, Role, Trace, admit_peer, facts_of, serve
from xdsi.rules import audit as audit_rules
from xdsi.rules.image_access import Delivery, ImagingPorts
from xdsi.transactions import rad16_retrieve_images as rad16

ROLE = Role(name="Imaging Document Source, C-MOVE", path="", transactions=(rad16.TRANSACTION,))

DESTINATION = "Move Destination"
"""the location of a request that names a destination which its sender may not have"""
NO_MATCH = rad16.NOT_THERE.code


@dataclass(slots=True)
class Move:
    """One C-MOVE that was admitted: what is sent where, and what became of it."""

    to: DicomPeer
    answer: MoveAnswer
    caller: Caller
    trace: Trace
    delivery: Delivery
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMover:
    """Answers C-MOVE requests of the application entities that the settings name, each for its organisation."""

    actor: Actor
    peers: Mapping[str, DicomPeer]
    check_certificates: bool = True
    """False without TLS, in the open profile"""

    def known(self, ae_title: str, certificate_sha256: str) -> DicomPeer | None:
        """The entity, if the connection holds its certificate."""
        peer = self.peers.get(ae_title)
        if peer is None or (self.check_certificates and peer.certificate_sha256 != certificate_sha256):
            return None
        return peer

    def move(self, ae_title: str, peer: Peer, destination: str, read: Callable[[], MoveRequest]) -> Move:
        """Decide on a request; its audit record is durable when this returns.

        Raises SecurityFault for who is not known, SoapFault where there is no answer.
        """
        trace = Trace()
        asking = self.known(ae_title, peer.certificate_sha256)
        detail = f"no application entity {ae_title!r} with this certificate"
        subject = asking.subject if asking is not None else None
        caller = admit_peer(self.actor, rad16.TRANSACTION, peer, subject, detail, trace)
        if asking is None:
            raise SecurityFault("FailedAuthentication", detail)
        to = self._destination(asking, destination)

        def checked() -> MoveRequest:
            if to is None:
                raise MalformedMessage(f"{destination!r} is no destination for {ae_title}", location=DESTINATION)
            return read()

        answer: MoveAnswer = serve(
            self.actor, rad16.TRANSACTION, caller, read=checked, write=lambda made: made, trace=trace,
            reply_to=ae_title,
        )  # fmt: skip
        return Move(to or asking, answer, caller, trace, Delivery(self._ports))

    def _destination(self, asking: DicomPeer, ae_title: str) -> DicomPeer | None:
        """Where to send: only to an entity of the organisation for which it is decided."""
        to = self.peers.get(ae_title)
        return to if to is not None and to.subject.organization_id == asking.subject.organization_id else None

    def document(self, move: Move, moved: Moved, acceptable: Sequence[str]) -> Document:
        """An instance in a transfer syntax its destination takes; raises like `Delivery.deliver`, or Unavailable."""
        instance = moved.instance
        opened = self._ports.instances.open(instance)
        return move.delivery.deliver(instance, opened, acceptable).document

    def done(self, move: Move) -> None:
        """Put on record what did not arrive."""
        if not move.failed:
            return
        base = facts_of(self.actor, rad16.TRANSACTION, move.caller, move.trace, Side.SERVER)
        described = replace(rad16.unsent(move.answer, move.failed, base), reply_to=move.to.ae_title)
        self.actor.trail.append(audit_rules.events_for(described), trace=move.trace.id)

    def refused(self, peer: Peer, ae_title: str) -> None:
        """Put on record that somebody tried who is not known: admitting him does so, and refuses."""
        with suppress(SecurityFault):
            admit_peer(
                self.actor, rad16.TRANSACTION, peer, None, f"{ae_title!r} is not known by this certificate", Trace()
            )

    @property
    def _ports(self) -> ImagingPorts:
        ports: ImagingPorts = self.actor.ports["RAD-16"]
        return ports
