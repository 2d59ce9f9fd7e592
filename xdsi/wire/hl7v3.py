"""ITI-44 messages: PRPA_IN201301UV02, 302 and 304 of HL7 v3 (2008), and their acknowledgement, as feed events.

ITI TF-2: 3.44.4.1.2, 3.44.4.2.2, O.1.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import PatientId, is_oid
from xdsi.domain.identity import (
    Application,
    Demographics,
    FeedAnswer,
    FeedEvent,
    FeedProblem,
    PatientIdentityFeed,
    PersonName,
)
from xdsi.spec import hl7
from xdsi.spec.namespaces import HL7V3
from xdsi.wire import hl7_timestamp
from xdsi.wire.xml import E, content, serialize

ACKNOWLEDGEMENT = "MCCI_IN000002UV01"
INTERACTIONS: Mapping[str, FeedEvent] = {
    "PRPA_IN201301UV02": FeedEvent.ADD,
    "PRPA_IN201302UV02": FeedEvent.UPDATE,
    "PRPA_IN201304UV02": FeedEvent.MERGE,
}
_INTERACTION_OF = {kind: name for name, kind in INTERACTIONS.items()}

# Administrative gender of v3 and HL7 v2 table 0001.
_SEX_OF_GENDER = {"F": "F", "M": "M", "UN": "O"}
_GENDER_OF_SEX = {"F": "F", "M": "M", "O": "UN", "A": "UN"}

_ACCEPTED, _REFUSED = frozenset({"CA", "AA"}), frozenset({"CE", "CR", "AE", "AR"})
_UUID = re.compile(r"[0-9a-zA-Z]{8}-([0-9a-zA-Z]{4}-){3}[0-9a-zA-Z]{12}")

_TIME_STAMP = "YYYY[MM[DD[HH[MM[SS]]]]]"

_EVENT = "controlActProcess/subject/registrationEvent"
_PATIENT = f"{_EVENT}/subject1/patient"
_PRIOR = f"{_EVENT}/replacementOf/priorRegistration/subject1/priorRegisteredRole"
# Where the rules' names of places lie in the message.
_PLACES = {"patients": f"{_PATIENT}/id", "prior": f"{_PRIOR}/id"}


def decode(body: etree._Element) -> PatientIdentityFeed:
    """Read a feed message from its root element; raises MalformedMessage with an XPath without prefixes."""
    name = etree.QName(body)
    if name.namespace != HL7V3 or name.localname not in INTERACTIONS:
        raise MalformedMessage(
            f"{name.text} is not an interaction of the identity feed", location="/*", expected=", ".join(INTERACTIONS)
        )
    interaction = _one(body, "interactionId").get("extension", "")
    if interaction != name.localname:
        raise MalformedMessage(
            f"interactionId is {interaction!r}", location=_path(body, "interactionId"), expected=name.localname
        )
    kind = INTERACTIONS[name.localname]
    patient = _one(body, _PATIENT)
    replaced = _all(body, f"{_EVENT}/replacementOf")
    prior: tuple[PatientId, ...] = ()
    if kind is FeedEvent.MERGE:
        prior = _identifiers(body, _one(body, _PRIOR), _PRIOR)
    elif replaced:
        raise MalformedMessage(
            "replacementOf in a message that is no merge", location=_path(body, f"{_EVENT}/replacementOf")
        )
    code = _first(body, "controlActProcess/code")
    return PatientIdentityFeed(
        kind=kind,
        patients=_identifiers(body, patient, _PATIENT),
        prior=prior,
        demographics=_demographics(body, patient),
        message_id=_message_id(_one(body, "id")),
        sender=_device(_one(body, "sender/device")),
        receiver=_device(_one(body, "receiver/device")),
        created=hl7_timestamp.read(_one(body, "creationTime").get("value", "")),
        trigger=code.get("code", "") if code is not None else "",
    )


def encode(feed: PatientIdentityFeed) -> bytes:
    """Write a feed message, valid by the HL7 v3 2008 schemas.

    Raises ValueError when the sender, the receiver or an authority has no OID, which this form cannot do without, or
    the birth date is none.
    """
    interaction = _INTERACTION_OF[feed.kind]
    sender, receiver = _oid_of(feed.sender.name), _oid_of(feed.receiver.name)
    if not sender or not receiver:
        raise ValueError("the sender and the receiver of an HL7 v3 message are named by OIDs")
    for patient in (*feed.patients, *feed.prior):
        if not is_oid(patient.authority):
            raise ValueError(f"the authority of {patient.id!r} is no OID: {patient.authority!r}")
    born = feed.demographics.birth_date
    if born and hl7_timestamp.read_date(born) is None:
        raise ValueError(f"the birth date {born!r} is not {_TIME_STAMP}")
    root = _transmission(interaction, feed.message_id, feed.created, sender=feed.sender, receiver=feed.receiver)
    process = _add(root, "controlActProcess", classCode="CACT", moodCode="EVN")
    _add(process, "code", code=interaction.replace("_IN", "_TE"), codeSystem=hl7.TRIGGER_EVENT)
    event = _add(_add(process, "subject", typeCode="SUBJ"), "registrationEvent", classCode="REG", moodCode="EVN")
    _add(event, "id", nullFlavor="NA")
    _add(event, "statusCode", code="active")
    _add_patient(_add(event, "subject1", typeCode="SBJ"), feed)
    custodian = _add(_add(event, "custodian", typeCode="CST"), "assignedEntity", classCode="ASSIGNED")
    _add(custodian, "id", root=sender)
    if feed.kind is FeedEvent.MERGE:
        replaced = _add(event, "replacementOf", typeCode="RPLC")
        registration = _add(replaced, "priorRegistration", classCode="REG", moodCode="EVN")
        _add(registration, "statusCode", code="obsolete")
        role = _add(_add(registration, "subject1", typeCode="SBJ"), "priorRegisteredRole", classCode="PAT")
        for patient in feed.prior:
            _add(role, "id", root=patient.authority, extension=patient.id)
    return serialize(root)


def encode_acknowledgement(
    feed: PatientIdentityFeed | None, answer: FeedAnswer, *, now: datetime, message_id: str = ""
) -> bytes:
    """Write the accept acknowledgement of a message; `feed` is None where the message could not be read."""
    code = "CA"
    if not answer.accepted:
        code = "CR" if any(p.code in hl7.REJECTIONS for p in answer.problems) else "CE"
    root = _transmission(
        ACKNOWLEDGEMENT,
        message_id or str(uuid.uuid4()),
        now,
        sender=feed.receiver if feed is not None else Application(),
        receiver=feed.sender if feed is not None else Application(),
    )
    acknowledgement = _add(root, "acknowledgement")
    _add(acknowledgement, "typeCode", code=code)
    target = _add(acknowledgement, "targetMessage")
    _add(target, "id", **(_instance(feed.message_id, _oid_of(feed.sender.name)) if feed is not None else _UNKNOWN))
    for problem in answer.problems:
        detail = _add(acknowledgement, "acknowledgementDetail", typeCode="E")
        meaning = hl7.MESSAGE_ERRORS.get(problem.code)
        if meaning is not None:
            _add(detail, "code", code=problem.code, codeSystem=hl7.MESSAGE_ERROR_SYSTEM, displayName=meaning)
        _add(detail, "text").text = problem.text
        if problem.location:
            place = _PLACES.get(problem.location, problem.location)
            if feed is not None and problem.location in _PLACES:
                place = f"/{_INTERACTION_OF[feed.kind]}/{place}"
            _add(detail, "location").text = place
    return serialize(root)


def decode_acknowledgement(element: etree._Element, *, to: str = "") -> FeedAnswer:
    """Read an acknowledgement; raises MalformedMessage when it is none, or not the one to message `to`."""
    if element.tag != E(HL7V3, ACKNOWLEDGEMENT):
        raise MalformedMessage("not an acknowledgement", location="/*", expected=ACKNOWLEDGEMENT)
    acknowledgement = _one(element, "acknowledgement")
    code = _one(acknowledgement, "typeCode").get("code", "")
    if code not in _ACCEPTED | _REFUSED:
        raise MalformedMessage(
            f"acknowledgement code {code!r}", location=_path(element, "acknowledgement/typeCode"), expected="CA, CE, CR"
        )
    target = _message_id(_one(acknowledgement, "targetMessage/id"))
    if to and target != to:
        place = _path(element, "acknowledgement/targetMessage/id")
        raise MalformedMessage(f"the answer is to message {target!r}", location=place, expected=repr(to))
    if code in _ACCEPTED:
        return FeedAnswer(accepted=True)
    problems = []
    for detail in _all(acknowledgement, "acknowledgementDetail"):
        detail_code = _first(detail, "code")
        problems.append(
            FeedProblem(
                detail_code.get("code", "") if detail_code is not None else "",
                _text(detail, "text"),
                _text(detail, "location"),
            )
        )
    return FeedAnswer(accepted=False, problems=tuple(problems) or (FeedProblem("", f"answered {code}"),))


def _demographics(body: etree._Element, patient: etree._Element) -> Demographics:
    names = _all(patient, "patientPerson/name")
    legal = [name for name in names if "L" in name.get("use", "").split()]
    name = next((n for n in map(_name, [*legal, *names]) if n is not None), None)
    gender = _first(patient, "patientPerson/administrativeGenderCode")
    return Demographics(
        name=name,
        birth_date=_birth_date(body, patient),
        sex=_SEX_OF_GENDER.get(gender.get("code", "")) if gender is not None else None,
    )


def _birth_date(body: etree._Element, patient: etree._Element) -> str | None:
    birth = _first(patient, "patientPerson/birthTime")
    said = birth.get("value", "").strip() if birth is not None else ""
    if not said:
        return None
    date = hl7_timestamp.read_date(said)
    if date is None:
        # Left out in silence, it would be lost while its sender believes it is known here.
        place = _path(body, f"{_PATIENT}/patientPerson/birthTime/@value")
        raise MalformedMessage(f"the birth time {said!r} is no time stamp", location=place, expected=_TIME_STAMP)
    return date


def _name(element: etree._Element) -> PersonName | None:
    parts = {kind: [content(e) for e in _all(element, kind)] for kind in ("family", "given", "suffix", "prefix")}
    given = [text for text in parts["given"] if text]
    family = " ".join(parts["family"]).strip()
    if not family and not given:
        family = " ".join((element.text or "").split())
        return PersonName(family=family) if family else None
    return PersonName(
        family=family,
        given=given[0] if given else "",
        further=" ".join(given[1:]),
        suffix=" ".join(parts["suffix"]).strip(),
        prefix=" ".join(parts["prefix"]).strip(),
    )


def _add_patient(subject: etree._Element, feed: PatientIdentityFeed) -> None:
    patient = _add(subject, "patient", classCode="PAT")
    for identifier in feed.patients:
        _add(patient, "id", root=identifier.authority, extension=identifier.id)
    _add(patient, "statusCode", code="active")
    person = _add(patient, "patientPerson", classCode="PSN", determinerCode="INSTANCE")
    said = feed.demographics
    if said.name is not None and any(said.name.parts):
        name = _add(person, "name")
        parts = (
            ("prefix", said.name.prefix),
            ("given", said.name.given),
            ("given", said.name.further),
            ("family", said.name.family),
            ("suffix", said.name.suffix),
        )
        for kind, text in parts:
            if text:
                _add(name, kind).text = text
    else:
        _add(person, "name", nullFlavor="UNK")
    if said.sex in _GENDER_OF_SEX:
        _add(
            person,
            "administrativeGenderCode",
            code=_GENDER_OF_SEX[said.sex],
            codeSystem=hl7.ADMINISTRATIVE_GENDER,
        )
    if said.birth_date:
        _add(person, "birthTime", value=said.birth_date)
    if feed.kind is not FeedEvent.MERGE:
        # The profile asks for the organization that scopes the role, and the schema for a way to reach it.
        organization = _add(patient, "providerOrganization", classCode="ORG", determinerCode="INSTANCE")
        _add(organization, "id", root=feed.patients[0].authority)
        _add(_add(organization, "contactParty", classCode="CON"), "telecom", nullFlavor="UNK")


def _transmission(
    interaction: str, message_id: str, created: datetime | None, *, sender: Application, receiver: Application
) -> etree._Element:
    default: Any = {None: HL7V3}
    root: etree._Element = etree.Element(E(HL7V3, interaction), nsmap=default, ITSVersion="XML_1.0")
    _add(root, "id", **_instance(message_id, _oid_of(sender.name)))
    _add(root, "creationTime", **({"value": hl7_timestamp.write(created)} if created is not None else _UNKNOWN))
    _add(root, "interactionId", root=hl7.INTERACTION, extension=interaction)
    _add(root, "processingCode", code="P")
    _add(root, "processingModeCode", code="T")
    _add(root, "acceptAckCode", code="NE" if interaction == ACKNOWLEDGEMENT else "AL")
    for role, type_code, application in (("receiver", "RCV", receiver), ("sender", "SND", sender)):
        device = _add(_add(root, role, typeCode=type_code), "device", classCode="DEV", determinerCode="INSTANCE")
        oid, facility = _oid_of(application.name), _oid_of(application.facility)
        _add(device, "id", **({"root": oid} if oid else _UNKNOWN))
        if facility:
            agent = _add(device, "asAgent", classCode="AGNT")
            organization = _add(agent, "representedOrganization", classCode="ORG", determinerCode="INSTANCE")
            _add(organization, "id", root=facility)
    return root


_UNKNOWN = {"nullFlavor": "UNK"}


def _instance(message_id: str, oid: str) -> dict[str, str]:
    """A message id as II: its own root where it has one, else under the OID of its sender."""
    root, _, extension = message_id.partition("^")
    if is_oid(root) or _UUID.fullmatch(root):
        return {"root": root, "extension": extension} if extension else {"root": root}
    return {"root": oid, "extension": message_id} if oid else _UNKNOWN


def _message_id(element: etree._Element) -> str:
    root, extension = element.get("root", ""), element.get("extension", "")
    return f"{root}^{extension}" if extension else root


def _device(element: etree._Element) -> Application:
    own, organization = _first(element, "id"), _first(element, "asAgent/representedOrganization/id")
    return Application(
        own.get("root", "") if own is not None else "",
        organization.get("root", "") if organization is not None else "",
    )


def _identifiers(body: etree._Element, holder: etree._Element, path: str) -> tuple[PatientId, ...]:
    # An II without root names no authority, whatever assigningAuthorityName says: it identifies nobody.
    found = tuple(
        PatientId(element.get("extension", ""), element.get("root", ""))
        for element in _all(holder, "id")
        if element.get("root") and element.get("extension") and not element.get("nullFlavor")
    )
    if not found:
        place = _path(body, f"{path}/id")
        raise MalformedMessage("no identifier", location=place, expected="id with root and extension")
    return found


def _oid_of(application: str) -> str:
    """The OID that names an application, also where an HL7 v2 field wrote it as one of several components."""
    return next((component for component in application.split("^") if is_oid(component)), "")


def _add(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, E(HL7V3, name), attributes)


def _all(element: etree._Element, path: str) -> list[etree._Element]:
    return element.findall("/".join(E(HL7V3, step) for step in path.split("/")))


def _first(element: etree._Element, path: str) -> etree._Element | None:
    return next(iter(_all(element, path)), None)


def _text(element: etree._Element, path: str) -> str:
    found = _first(element, path)
    return content(found) if found is not None else ""


def _one(element: etree._Element, path: str) -> etree._Element:
    found = _all(element, path)
    if len(found) != 1:
        what = "is missing" if not found else f"is there {len(found)} times"
        raise MalformedMessage(f"{path} {what}", location=_path(element, path), expected=f"one {path}")
    return found[0]


def _path(element: etree._Element, path: str) -> str:
    return f"/{etree.QName(element).localname}/{path}"
