"""What policies see of a request: the attributes of who asks and of what is asked for.

APPC 5.6 tables of subject, resource and action attributes; docs/policy.md section 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from types import MappingProxyType

from xdsi.domain.codes import Code
from xdsi.domain.consent import Attributes, Resource, ResourceKind, Value
from xdsi.domain.identifiers import InstanceIdentifier, PatientId, from_cx
from xdsi.domain.subject import Subject
from xdsi.rules.by_identity import ByIdentity
from xdsi.spec import xacml

_ACTION_OF = {name: action for action, names in xacml.ACTION_NAMES.items() for name in names}
_ACTION_OF |= {f"{name}Response": action for name, action in _ACTION_OF.items()}
_DTM = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?")


def canonical(text: str) -> str:
    """The form in which text is compared: without `urn:oid:`, and an action id as the action it stands for."""
    return _remembered(text) if len(text) <= _REMEMBERED_LENGTH else _canonical(text)


def _canonical(text: str) -> str:
    return _ACTION_OF.get(text) or text.removeprefix("urn:oid:")


_REMEMBERED_LENGTH = 256
"""characters: what callers send is remembered only where it is as short as names and identifiers are"""
_remembered = lru_cache(maxsize=16_384)(_canonical)


def attributes_of(subject: Subject) -> Attributes:
    """Every attribute of a verified identity assertion that a policy may name; an absent one is left out."""
    return _of_subject(subject)


def _attributes_of(subject: Subject) -> Attributes:
    texts = {
        xacml.SUBJECT_ID: (subject.user_id,),
        xacml.SUBJECT_ID_QUALIFIER: (subject.user_qualifier,),
        xacml.SUBJECT_NAME: (subject.user_name,),
        xacml.ORGANIZATION: (subject.organization, *subject.further_organizations),
        xacml.ORGANIZATION_ID: (subject.organization_id, *subject.further_organization_ids),
        xacml.HOME_COMMUNITY_ID: (subject.home_community_id,),
        xacml.NPI: (subject.npi,),
        xacml.CONSENT_DOCUMENT: subject.consent_documents,
        xacml.PRIVACY_POLICY: subject.privacy_policies,
        xacml.EMERGENCY_REASON: (subject.emergency_reason,),
    }
    found: dict[str, tuple[Value, ...]] = {
        name: present for name, values in texts.items() if (present := tuple(value for value in values if value))
    }
    if subject.roles:
        found[xacml.ROLE] = subject.roles
    if subject.purposes:
        found[xacml.PURPOSE_OF_USE] = subject.purposes
    if providers := _identifiers(subject.provider_identifiers):
        found[xacml.PROVIDER_IDENTIFIER] = providers
    if subject.patient is not None:
        found[xacml.SUBJECT_PATIENT] = (InstanceIdentifier(subject.patient.authority, subject.patient.id),)
    return MappingProxyType(found)


_of_subject = ByIdentity[Subject, Attributes](_attributes_of)


def patient_asked_for(attributes: Attributes) -> PatientId | None:
    """The patient an assertion is for, from its attributes; None where it names none."""
    for value in attributes.get(xacml.SUBJECT_PATIENT, ()):
        if isinstance(value, InstanceIdentifier):
            return PatientId(value.extension, value.root)
    return None


def attributes_of_resource(
    resource: Resource, patients: Collection[PatientId] | None = None
) -> dict[str, tuple[Value, ...]]:
    """Every attribute of a document's metadata that a policy may name; an absent one is left out.

    `patients` are all identifiers of its patient (the resource's own where None).
    """
    own = () if resource.patient is None else (resource.patient,)
    bag = ResourceBag(resource, patient_values(own if patients is None else patients))
    return {name: values for name in (xacml.PATIENT_ID, *RESOURCE_ATTRIBUTES) if (values := bag[name])}


PATIENT_ATTRIBUTES = frozenset({xacml.PATIENT_ID, xacml.PATIENT_ID_CH})


def patient_values(patients: Collection[PatientId]) -> tuple[Value, ...]:
    """Patient identifiers as policies compare them."""
    return tuple(InstanceIdentifier(patient.authority, patient.id) for patient in patients)


class ResourceBag(dict[str, tuple[Value, ...]]):
    """The attributes of a resource, each worked out when a policy first asks for it; unknown ones are empty."""

    __slots__ = ("_resource",)

    def __init__(self, resource: Resource, patients: tuple[Value, ...]) -> None:
        super().__init__()
        self._resource = resource
        self[xacml.PATIENT_ID] = self[xacml.PATIENT_ID_CH] = patients

    def __missing__(self, attribute: str) -> tuple[Value, ...]:
        extract = RESOURCE_ATTRIBUTES.get(attribute)
        values = self[attribute] = extract(self._resource) if extract is not None else ()
        return values


def _text(value: str) -> tuple[Value, ...]:
    return (canonical(value),) if value else ()


def _code(value: Code | None) -> tuple[Value, ...]:
    return () if value is None else (value,)


def _identifiers(cx: Collection[str]) -> tuple[Value, ...]:
    return tuple(identifier for value in cx if (identifier := from_cx(value)) is not None)


def _with_text(identifiers: tuple[InstanceIdentifier, ...]) -> tuple[Value, ...]:
    """Identifiers that are one OID are also compared as text: published policies write them either way."""
    return (*identifiers, *(identifier.root for identifier in identifiers if not identifier.extension))


def _time(value: str) -> tuple[Value, ...]:
    """A DTM as dateTime in UTC; a partial one means its first instant."""
    match = _DTM.fullmatch(value)
    if match is None:
        return ()
    year, month, day, hour, minute, second = match.groups()
    return (f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}Z",)


def _source(value: str) -> tuple[Value, ...]:
    return (canonical(value), InstanceIdentifier(canonical(value))) if value else ()


RESOURCE_ATTRIBUTES: MappingProxyType[str, Callable[[Resource], tuple[Value, ...]]] = MappingProxyType(
    {
        xacml.DOCUMENT_ID: lambda r: _text(r.unique_id),
        xacml.REPOSITORY_UNIQUE_ID: lambda r: _text(r.repository_unique_id),
        xacml.REPOSITORY_UNIQUE_ID_2007: lambda r: _text(r.repository_unique_id),
        xacml.RESOURCE_TYPE: lambda r: (xacml.RESOURCE_TYPE_PREFIX + r.kind,),
        xacml.CLASS_CODE: lambda r: _code(r.class_code),
        xacml.TYPE_CODE: lambda r: _code(r.type_code),
        xacml.FORMAT_CODE: lambda r: _code(r.format_code),
        xacml.CONFIDENTIALITY_CODE: lambda r: r.confidentiality_codes,
        xacml.CONFIDENTIALITY_CODE_ENTRY: lambda r: r.confidentiality_codes,
        xacml.CONFIDENTIALITY_CODE_CH: lambda r: r.confidentiality_codes,
        xacml.EVENT_CODE: lambda r: r.event_codes,
        xacml.HEALTHCARE_FACILITY_TYPE_CODE: lambda r: _code(r.healthcare_facility_type_code),
        xacml.PRACTICE_SETTING_CODE: lambda r: _code(r.practice_setting_code),
        xacml.CREATION_TIME: lambda r: _time(r.creation_time),
        xacml.SERVICE_START_TIME: lambda r: _time(r.service_start_time),
        xacml.SERVICE_STOP_TIME: lambda r: _time(r.service_stop_time),
        xacml.AUTHOR_INSTITUTION: lambda r: _with_text(r.author_institutions),
        xacml.AUTHOR_PERSON: lambda r: _with_text(r.author_persons),
        xacml.LEGAL_AUTHENTICATOR: lambda r: (
            () if r.legal_authenticator is None else _with_text((r.legal_authenticator,))
        ),
        xacml.REFERENCE_ID: lambda r: _identifiers(r.reference_ids),
        xacml.SOURCE_PATIENT_ID: lambda r: _identifiers((r.source_patient_id,)),
        xacml.FOLDER_ID: lambda r: tuple(canonical(folder) for folder in r.folder_ids),
        xacml.FOLDER_CODE: lambda r: () if r.kind is ResourceKind.FOLDER else r.folder_codes,
        xacml.FOLDER_OWN_CODE: lambda r: r.folder_codes if r.kind is ResourceKind.FOLDER else (),
        xacml.AVAILABILITY_STATUS: lambda r: _text(r.availability_status),
        xacml.COMMUNITY_ID: lambda r: _text(r.home_community_id),
        xacml.SOURCE_SYSTEM_ID: lambda r: _source(r.source_id),
    }
)
"""Attribute id to what it is taken from (APPC 5.6, table of resource attributes); the patient is known apart"""
