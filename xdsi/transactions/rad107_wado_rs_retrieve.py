"""RAD-107 WADO-RS Retrieve: a consumer fetches a study, a series or an instance over HTTP, whole or in part.

RAD TF-2: 4.107; DICOM PS3.18 section 10.4. One decision per manifest, as for RAD-69.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsi.domain.audit import ExchangeFacts
from xdsi.domain.consent import Action
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import RegistrySession
from xdsi.domain.wado import Representation, WadoAnswer, WadoRequest
from xdsi.exchange import Call, Located, Transaction
from xdsi.rules import wado
from xdsi.rules.image_access import WadoPorts, manifest_of


def locate(request: WadoRequest, ports: WadoPorts, session: RegistrySession) -> Located:
    """The instances asked for; the resource to decide on is the manifest that was published of their study."""
    if not request.accept:
        return Located(state=())
    found = wado.instances_of(request, ports.images)
    resource = manifest_of(request.study_uid, ports.images) if found else None
    return Located((resource,), found) if resource is not None else Located(state=())


def handle(call: Call[WadoRequest]) -> WadoAnswer:
    """Give out what is permitted, in the form that is most welcome."""
    ports: WadoPorts = call.ports
    request = call.request
    # Both refusals rest on the request alone: they tell nothing of what is there.
    if not request.accept:
        return wado.refused(wado.NO_FORM)
    if _several(request) and not any(one.multipart for one in request.accept):
        return wado.refused(wado.NO_FORM)
    permitted = bool(call.decisions) and all(decision.permit for decision in call.decisions)
    found: Sequence[wado.Found] = call.located.state if permitted else ()
    if len(found) > ports.images.max_instances:
        most = f"at most {ports.images.max_instances} instances may be asked for at once (limits.instances)"
        return wado.refused(Problem("413", most, rule="WADO.limit"))
    alone = bool(request.sop_uid) and len(request.frames) <= 1
    return wado.give_out(request, found, ports, multipart=not alone or request.accept[0].multipart)


def _several(request: WadoRequest) -> bool:
    """Whether the answer has several parts: metadata are one document, and of pictures any packaging will do."""
    if request.representation in (Representation.METADATA, Representation.RENDERED):
        return False
    return not request.sop_uid or len(request.frames) > 1


def refuse(request: WadoRequest | None, problems: Sequence[Problem]) -> WadoAnswer:
    """Nothing is given out."""
    return WadoAnswer(outcome=Outcome.of(problems, delivered=0))


def facts(request: WadoRequest, answer: WadoAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """The study asked for, split into what was given out and what was not."""
    return wado.described(request, answer, base, "")


TRANSACTION = Transaction(
    number="RAD-107",
    name="WADO-RS Retrieve",
    locate=locate,
    handle=handle,
    refuse=refuse,
    facts=facts,
    action=Action.RETRIEVE_IMAGING,
    # An answer's problems have HTTP statuses for codes.
    malformed_code="400",
    unavailable_code="503",
)
