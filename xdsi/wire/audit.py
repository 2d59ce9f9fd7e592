"""Audit messages in XML: written by the schema of DICOM PS3.15 A.5, read as others send them.

Reading accepts what is seen in the field: `code` for `csd-code`, absent originalText or UserIsRequestor, times without
a zone (taken as UTC), a namespace, details that are not base64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache

from lxml import etree

from xdsi.domain.audit import (
    ActiveParticipant,
    AuditAction,
    AuditEvent,
    AuditOutcome,
    AuditSource,
    ObjectDescription,
    ObjectDetail,
    ParticipantObject,
    SopClassCount,
)
from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage
from xdsi.wire import xml
from xdsi.wire.xml import attribute as _attribute


def encode(event: AuditEvent) -> bytes:
    """One AuditMessage on one line, UTF-8, without XML declaration."""
    action = f' EventActionCode="{event.action.value}"' if event.action else ""
    pieces = [
        f'<AuditMessage><EventIdentification{action} EventDateTime="{_instant(event.time)}"'
        f' EventOutcomeIndicator="{event.outcome.value}">{_code("EventID", event.event)}',
        *[_code("EventTypeCode", code) for code in event.types],
        _text("EventOutcomeDescription", event.outcome_description),
        *[_code("PurposeOfUse", code) for code in event.purposes],
        "</EventIdentification>",
        *map(_participant, event.participants),
        f"<AuditSourceIdentification{_optional('AuditEnterpriseSiteID', event.source.enterprise_site_id)}"
        f' AuditSourceID="{_attribute(event.source.source_id)}">',
        *[_code("AuditSourceTypeCode", code) for code in event.source.types],
        "</AuditSourceIdentification>",
        *map(_object, event.objects),
        "</AuditMessage>",
    ]
    return "".join(pieces).encode()


def _optional(name: str, value: str) -> str:
    """An attribute that is not written when it is empty."""
    return f' {name}="{_attribute(value)}"' if value else ""


def _text(tag: str, text: str) -> str:
    # The character reference keeps the message on one line and the text as it is.
    return f"<{tag}>{xml.text(text).replace(chr(10), '&#10;')}</{tag}>" if text else ""


def _instant(time: datetime) -> str:
    if time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _code(tag: str, code: Code) -> str:
    # originalText is required; a code without a display name stands for itself.
    return _coded(tag, code.code, code.scheme, code.display or code.code)


@lru_cache(maxsize=4096)
def _coded(tag: str, code: str, scheme: str, text: str) -> str:
    return (
        f'<{tag} csd-code="{_attribute(code)}" codeSystemName="{_attribute(scheme)}"'
        f' originalText="{_attribute(text)}"/>'
    )


def _participant(who: ActiveParticipant) -> str:
    media = f"<MediaIdentifier>{_code('MediaType', who.media_type)}</MediaIdentifier>" if who.media_type else ""
    return (
        f'<ActiveParticipant UserID="{_attribute(who.user_id)}"'
        f"{_optional('AlternativeUserID', who.alternative_user_id)}{_optional('UserName', who.user_name)}"
        f' UserIsRequestor="{"true" if who.requestor else "false"}"'
        f"{_optional('NetworkAccessPointID', who.network_id)}"
        f"{_optional('NetworkAccessPointTypeCode', who.network_type)}>"
        f"{''.join([_code('RoleIDCode', role) for role in who.roles])}{media}</ActiveParticipant>"
    )


def _object(thing: ParticipantObject) -> str:
    pieces = [
        f'<ParticipantObjectIdentification ParticipantObjectID="{_attribute(thing.id)}"',
        _optional("ParticipantObjectTypeCode", thing.type_code),
        _optional("ParticipantObjectTypeCodeRole", thing.role),
        _optional("ParticipantObjectDataLifeCycle", thing.life_cycle),
        _optional("ParticipantObjectSensitivity", thing.sensitivity),
        f">{_code('ParticipantObjectIDTypeCode', thing.id_type)}",
        _text("ParticipantObjectName", thing.name),
    ]
    if thing.query is not None:
        pieces.append(f"<ParticipantObjectQuery>{_base64(thing.query)}</ParticipantObjectQuery>")
    pieces += [
        f'<ParticipantObjectDetail type="{_attribute(detail.type)}" value="{_base64(detail.value)}"/>'
        for detail in thing.details
    ]
    pieces += map(_description, thing.descriptions)
    pieces.append("</ParticipantObjectIdentification>")
    return "".join(pieces)


def _description(description: ObjectDescription) -> str:
    pieces = [
        *[f'<MPPS UID="{_attribute(uid)}"/>' for uid in description.mpps],
        *[f'<Accession Number="{_attribute(number)}"/>' for number in description.accessions],
        *map(_sop_class, description.sop_classes),
    ]
    if description.studies:
        studies = "".join([f'<StudyIDs UID="{_attribute(uid)}"/>' for uid in description.studies])
        pieces.append(f"<ParticipantObjectContainsStudy>{studies}</ParticipantObjectContainsStudy>")
    for tag, flag in (("Encrypted", description.encrypted), ("Anonymized", description.anonymized)):
        if flag is not None:
            pieces.append(f"<{tag}>{str(flag).lower()}</{tag}>")
    return f"<ParticipantObjectDescription>{''.join(pieces)}</ParticipantObjectDescription>"


def _sop_class(count: SopClassCount) -> str:
    instances = "".join([f'<Instance UID="{_attribute(uid)}"/>' for uid in count.instances])
    return f'<SOPClass{_optional("UID", count.uid)} NumberOfInstances="{count.number}">{instances}</SOPClass>'


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def decode(raw: bytes) -> AuditEvent:
    """Read an AuditMessage of any sender; MalformedMessage where what identifies the event is missing."""
    root = xml.parse(raw)
    if _local(root) != "AuditMessage":
        raise MalformedMessage("not an audit message", location=f"/{_local(root)}", expected="AuditMessage")
    identification = _required(root, "EventIdentification")
    participants = tuple(_read_participant(element) for element in _children(root, "ActiveParticipant"))
    if not participants:
        raise MalformedMessage("no participant", location="/AuditMessage", expected="at least one ActiveParticipant")
    action = identification.get("EventActionCode", "")
    return AuditEvent(
        event=_read_code(_required(identification, "EventID")),
        action=_member(AuditAction, action, "EventActionCode") if action else None,
        time=_read_instant(identification.get("EventDateTime", "")),
        outcome=_read_outcome(identification.get("EventOutcomeIndicator", "")),
        outcome_description=_content(identification, "EventOutcomeDescription"),
        types=tuple(_read_code(element) for element in _children(identification, "EventTypeCode")),
        purposes=tuple(_read_code(element) for element in _children(identification, "PurposeOfUse")),
        participants=participants,
        source=_read_source(_required(root, "AuditSourceIdentification")),
        objects=tuple(_read_object(element) for element in _children(root, "ParticipantObjectIdentification")),
    )


def _member(kind: type[AuditAction], value: str, name: str) -> AuditAction:
    try:
        return kind(value)
    except ValueError:
        expected = ", ".join(member.value for member in kind)
        raise MalformedMessage(f"unknown {name} {value!r}", location=name, expected=expected) from None


def _read_outcome(text: str) -> AuditOutcome:
    try:
        return AuditOutcome(int(text))
    except ValueError:
        raise MalformedMessage(
            f"unknown outcome {text!r}", location="EventOutcomeIndicator", expected="0, 4, 8 or 12"
        ) from None


def _read_instant(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedMessage(
            f"not a time: {text!r}", location="EventDateTime", expected="2026-02-03T10:11:12.345Z"
        ) from None


def _read_code(element: etree._Element) -> Code:
    code = element.get("csd-code") or element.get("code") or ""
    scheme = element.get("codeSystemName") or element.get("codeSystem") or ""
    return Code(code, scheme, element.get("originalText") or element.get("displayName") or "")


def _read_participant(element: etree._Element) -> ActiveParticipant:
    media = [found for holder in _children(element, "MediaIdentifier") for found in _children(holder, "MediaType")]
    media += _children(element, "MediaType")
    return ActiveParticipant(
        user_id=element.get("UserID", ""),
        alternative_user_id=element.get("AlternativeUserID", ""),
        user_name=element.get("UserName", ""),
        requestor=element.get("UserIsRequestor", "").strip() in ("true", "1"),
        roles=tuple(_read_code(role) for role in _children(element, "RoleIDCode")),
        network_id=element.get("NetworkAccessPointID", ""),
        network_type=element.get("NetworkAccessPointTypeCode", ""),
        media_type=_read_code(media[0]) if media else None,
    )


def _read_source(element: etree._Element) -> AuditSource:
    return AuditSource(
        source_id=element.get("AuditSourceID", ""),
        enterprise_site_id=element.get("AuditEnterpriseSiteID", ""),
        types=tuple(_read_code(code) for code in _children(element, "AuditSourceTypeCode")),
    )


def _read_object(element: etree._Element) -> ParticipantObject:
    id_types = _children(element, "ParticipantObjectIDTypeCode")
    queries = _children(element, "ParticipantObjectQuery")
    query = _binary(xml.content(queries[0])) if queries else None
    return ParticipantObject(
        id=element.get("ParticipantObjectID", ""),
        id_type=_read_code(id_types[0]) if id_types else Code("", ""),
        type_code=element.get("ParticipantObjectTypeCode", ""),
        role=element.get("ParticipantObjectTypeCodeRole", ""),
        life_cycle=element.get("ParticipantObjectDataLifeCycle", ""),
        sensitivity=element.get("ParticipantObjectSensitivity", ""),
        name="" if query is not None else _content(element, "ParticipantObjectName"),
        query=query,
        details=tuple(
            ObjectDetail(detail.get("type", ""), _binary(detail.get("value", "")))
            for detail in _children(element, "ParticipantObjectDetail")
        ),
        descriptions=tuple(
            _read_description(description) for description in _children(element, "ParticipantObjectDescription")
        ),
    )


def _read_description(element: etree._Element) -> ObjectDescription:
    containers = _children(element, "ParticipantObjectContainsStudy")
    return ObjectDescription(
        mpps=tuple(found.get("UID", "") for found in _children(element, "MPPS")),
        accessions=tuple(found.get("Number", "") for found in _children(element, "Accession")),
        sop_classes=tuple(_read_sop_class(found) for found in _children(element, "SOPClass")),
        studies=tuple(found.get("UID", "") for one in containers for found in _children(one, "StudyIDs")),
        encrypted=_flag(element, "Encrypted"),
        anonymized=_flag(element, "Anonymized"),
    )


def _read_sop_class(element: etree._Element) -> SopClassCount:
    instances = tuple(found.get("UID", "") for found in _children(element, "Instance"))
    number = element.get("NumberOfInstances", "").strip()
    return SopClassCount(element.get("UID", ""), _count(number, len(instances)), instances)


def _count(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else otherwise


def _flag(element: etree._Element, local: str) -> bool | None:
    text = _content(element, local)
    return text in ("true", "1") if text else None


def _binary(text: str) -> bytes:
    compact = "".join(text.split())
    try:
        return base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        # Senders that forget base64 are common; the text itself is what they meant.
        return text.encode()


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname


def _named(elements: Iterable[etree._Element], local: str) -> Iterator[etree._Element]:
    return (element for element in elements if isinstance(element.tag, str) and _local(element) == local)


def _children(element: etree._Element, local: str) -> list[etree._Element]:
    return list(_named(element, local))


def _content(element: etree._Element, local: str) -> str:
    return next((xml.content(found) for found in _named(element, local)), "")


def _required(element: etree._Element, local: str) -> etree._Element:
    for found in _named(element, local):
        return found
    raise MalformedMessage(f"no {local}", location=f"/{_local(element)}", expected=local)
