"""RAD-55 WADO Retrieve: a consumer fetches one instance, or a picture of it, by the parameters of a URL.

RAD TF-2: 4.55; DICOM PS3.18 section 9. One decision, on the manifest of the instance's study.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsi.domain.audit import ExchangeFacts
from xdsi.domain.consent import Action
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import RegistrySession
from xdsi.domain.wado import WadoAnswer, WadoRequest
from xdsi.exchange import Call, Located, Transaction
from xdsi.rules import wado
from xdsi.rules.image_access import WadoPorts, manifest_of
from xdsi.wire.wado_uri import form_of


def locate(request: WadoRequest, ports: WadoPorts, session: RegistrySession) -> Located:
    """The instance, only in the series and study named; the resource is the manifest that was published of it."""
    # An empty UID is none: it must not be taken for the whole series or study.
    if not (request.accept and request.study_uid and request.series_uid and request.sop_uid):
        return Located(state=())
    found = wado.instances_of(request, ports.images)
    resource = manifest_of(request.study_uid, ports.images) if found else None
    return Located((resource,), found) if resource is not None else Located(state=())


def handle(call: Call[WadoRequest]) -> WadoAnswer:
    """Give it out, if permitted, in the first of the forms asked for that can be made."""
    if not call.request.accept:
        return wado.refused(wado.NO_FORM)
    permitted = bool(call.decisions) and all(decision.permit for decision in call.decisions)
    found: Sequence[wado.Found] = call.located.state if permitted else ()
    answer = wado.refused(wado.NOTHING)
    for form in call.request.accept:
        answer = wado.give_out(form_of(call.request, form), found, call.ports, multipart=False)
        if answer.status != 406:
            break
    return answer


def refuse(request: WadoRequest | None, problems: Sequence[Problem]) -> WadoAnswer:
    """Nothing is given out."""
    return WadoAnswer(outcome=Outcome.of(problems, delivered=0))


def facts(request: WadoRequest, answer: WadoAnswer | None, base: ExchangeFacts) -> ExchangeFacts:
    """The study of the instance, and whether it was given out."""
    return wado.described(request, answer, base, "")


TRANSACTION = Transaction(
    number="RAD-55",
    name="WADO Retrieve",
    locate=locate,
    handle=handle,
    refuse=refuse,
    facts=facts,
    action=Action.RETRIEVE_IMAGING,
    # An answer's problems have HTTP statuses for codes.
    malformed_code="400",
    unavailable_code="503",
)
