"""RAD-69 and RAD-75 on the wire: RetrieveImagingDocumentSetRequest; the answer is that of ITI-43.

RAD TF-2 4.69.4; XDSI.b_ImagingDocumentSource.xsd.
"""

from __future__ import annotations

from dataclasses import replace

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.imaging import ImagingRequest, SeriesRequest, StudyRequest
from xdsi.domain.retrieval import RetrieveAnswer
from xdsi.spec.namespaces import RAD, XDS
from xdsi.wire import xml
from xdsi.wire.ebxml import retrieve
from xdsi.wire.message import Message, Packaging, Payload

_REQUEST = xml.E(RAD, "RetrieveImagingDocumentSetRequest")
_STUDY = xml.E(RAD, "StudyRequest")
_SERIES = xml.E(RAD, "SeriesRequest")
_TRANSFER_SYNTAX = f"{xml.E(RAD, 'TransferSyntaxUIDList')}/{xml.E(RAD, 'TransferSyntaxUID')}"


def decode_request(message: Message) -> ImagingRequest:
    """Everything asked for; several request elements in one Body, one per study, count as one request.

    UIDs come without surrounding white space. What is missing is empty, for the rules to judge.
    """
    studies: list[StudyRequest] = []
    syntaxes: dict[str, None] = {}
    for root in message.bodies:
        if root.tag != _REQUEST:
            expected = "rad:RetrieveImagingDocumentSetRequest"
            raise MalformedMessage(f"{root.tag} is not a request for images", location="Body", expected=expected)
        studies.extend(_study(child) for child in root.iterchildren(_STUDY))
        syntaxes.update((xml.content(child), None) for child in root.iterfind(_TRANSFER_SYNTAX))
    syntaxes.pop("", None)
    if not any(series.documents for study in studies for series in study.series):
        raise MalformedMessage("no xds:DocumentRequest", location="Body", expected="one or more in a SeriesRequest")
    return ImagingRequest(tuple(studies), tuple(syntaxes))


def _study(element: etree._Element) -> StudyRequest:
    uid = (element.get("studyInstanceUID") or "").strip()
    return StudyRequest(uid, tuple(_series(child) for child in element.iterchildren(_SERIES)))


def _series(element: etree._Element) -> SeriesRequest:
    uid = (element.get("seriesInstanceUID") or "").strip()
    return SeriesRequest(uid, retrieve.read_requests(element))


def encode_request(request: ImagingRequest, packaging: Packaging) -> Payload:
    """One RetrieveImagingDocumentSetRequest as the body."""
    studies = "".join(map(_write_study, request.studies))
    syntaxes = "".join(
        f"<rad:TransferSyntaxUID>{xml.text(uid)}</rad:TransferSyntaxUID>" for uid in request.transfer_syntaxes
    )
    text = (
        f'<rad:RetrieveImagingDocumentSetRequest xmlns:rad="{RAD}" xmlns:xds="{XDS}">{studies}'
        f"<rad:TransferSyntaxUIDList>{syntaxes}</rad:TransferSyntaxUIDList></rad:RetrieveImagingDocumentSetRequest>"
    )
    return Payload((text.encode(),))


def _write_study(study: StudyRequest) -> str:
    series = "".join(
        f'<rad:SeriesRequest seriesInstanceUID="{xml.attribute(one.series_instance_uid)}">'
        f"{retrieve.write_requests(one.documents)}</rad:SeriesRequest>"
        for one in study.series
    )
    uid = xml.attribute(study.study_instance_uid)
    return f'<rad:StudyRequest studyInstanceUID="{uid}">{series}</rad:StudyRequest>'


def encode_answer(answer: RetrieveAnswer, packaging: Packaging) -> Payload:
    """Images always go as parts; an answer of errors alone is never multipart, which some clients take for images."""
    form = Packaging.MTOM if answer.documents else Packaging.SIMPLE
    return replace(retrieve.encode_answer(answer, form), packaging=form)
