"""Ways to be somebody else, to say one thing and mean another, and to change what decides."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import replace

import requests

from tests.security.asking import (
    REPOSITORY,
    SOAP12,
    Asker,
    all_of,
    of_patient,
)
from tests.security.targets import URGENT, Target, target
from tests.security.ways import trick
from tests.trusted import CT, DOCTOR, DOE, PORTER, PURPOSES, SNOMED, claims, token
from xdsi.domain.codes import Code
from xdsi.domain.consent import Action, DecisionRequest, Resource
from xdsi.domain.identifiers import PatientId
from xdsi.domain.imaging import ImagingRequest
from xdsi.domain.retrieval import DocumentRequest, RetrieveRequest
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED, DEPRECATED
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.transactions import iti79_authorization_decisions_query as iti79
from xdsi.transactions import rad69_retrieve_imaging_document_set as rad69
from xdsi.wire.message import Packaging
from xdsi.wire.saml_issue import security_header


@trick
def an_emergency_that_is_none(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for changes in (
        {"emergency_reason": ""}, {"emergency_reason": "\n"}, {"roles": (Code(PORTER, SNOMED),)},
        {"roles": (Code(DOCTOR, "2.999"),)}, {"purposes": (Code("etreat", PURPOSES),)},
    ):  # fmt: skip
        urgent = Asker(asker.hub, replace(URGENT, **changes))
        yield urgent.images(all_of(it.study))
        yield urgent.query(uuids.FIND_DOCUMENTS, *of_patient(it.patient))


@trick
def words_in_the_assertion(asker: Asker, it: Target) -> Iterable[requests.Response]:
    """Hints of consents and policies, patients and names: none of them is a permit."""
    for changes in (
        {"consent_documents": (target(asker.hub, DOE, CT).unique_id,)},
        {"privacy_policies": ("2.999.1.7.1", "urn:e-health-suisse:2015:policies:access-level:full")},
        {"patient": PatientId.parse(DOE)},
        {"patient": PatientId.parse(it.patient)},
        {"user_id": it.patient.split("^")[0]},
        {"user_id": "urn:xdsi:2026:decision-engine:urn:oid:2.999.1"},
        {"home_community_id": "urn:oid:2.999.1"},
        {"roles": (Code("PAT", "2.16.756.5.30.1.127.3.10.6"), Code("ADMIN", "2.999"))},
        {"provider_identifiers": ("1^^^&2.999.5&ISO",), "npi": "1"},
    ):
        other = asker.as_(**changes)
        yield other.query(uuids.FIND_DOCUMENTS, *of_patient(it.patient))
        yield other.retrieve(it.unique_id)
        yield other.images(all_of(it.study))


@trick
def another_persons_words_in_a_token(asker: Asker, it: Target) -> Iterable[requests.Response]:
    said = claims()["extensions"]["ihe_iua"]
    for more in (
        {"purpose_of_use": [{"system": f"urn:oid:{PURPOSES}", "code": "ETREAT"}]},
        {"person_id": it.patient}, {"subject_role": [{"system": "", "code": DOCTOR}]}, {"acp": "2.999.1.7.1"},
        {"subject_role": [{"system": f"urn:oid:{SNOMED}", "code": DOCTOR}] * 50},
    ):  # fmt: skip
        changed = token(extensions={"ihe_iua": {**said, **more}, "ihe_bppc": {"doc_id": it.unique_id}})
        yield asker.hub.get(f"/dicom-web{it.path}", f"Bearer {changed}")
    for scope in ("*", "admin", "system/*.*"):
        yield asker.hub.get(f"/dicom-web{it.path}", f"Bearer {token(scope=scope)}")


@trick
def credentials_in_other_places(asker: Asker, it: Target) -> Iterable[requests.Response]:
    session, base = asker.hub.session, asker.hub.server.base_url
    good = token()
    for shown, query in (
        ({}, f"?access_token={good}"), ({"Cookie": f"access_token={good}"}, ""), ({"Authorization": good}, ""),
        ({"Authorization": f"Basic {base64.b64encode(b'dr:jekyll').decode()}"}, ""), ({"Authorization": "Bearer"}, ""),
        ({"Authorization": f"Bearer {good}, Bearer {good}"}, ""), ({"Proxy-Authorization": f"Bearer {good}"}, ""),
        ({"Authorization": f"IHE-SAML {good}"}, ""), ({"Authorization": f"bearer  {good}"}, ""),
    ):  # fmt: skip
        yield session.get(f"{base}/dicom-web{it.path}{query}", headers={"Accept": "*/*", **shown}, timeout=60)


@trick
def no_assertion_two_or_somebody_elses(asker: Asker, it: Target) -> Iterable[requests.Response]:
    good = asker.assertion()
    two = Asker(asker.hub, URGENT).assertion(audiences=("urn:oid:2.999.77",))
    for security in (
        b"", security_header(good + two), security_header(two + good), security_header(good) + security_header(two),
        security_header(good.replace(b"dr.jekyll", b"dr.hyde")), security_header(good.replace(b"TREAT", b"ETREAT")),
        security_header(b""), security_header(good[:-20]),
    ):  # fmt: skip
        other = Asker(asker.hub, security=security)
        yield other.images(all_of(it.study))
        yield other.query(uuids.FIND_DOCUMENTS, *of_patient(it.patient))


# -- saying one thing and meaning another


@trick
def actions_and_bodies_that_do_not_match(asker: Asker, it: Target) -> Iterable[requests.Response]:

    wanted = ImagingRequest((all_of(it.study),), ("1.2.840.10008.1.2.1",))
    images = b"".join(rad69.TRANSACTION.request.encode(wanted, Packaging.SIMPLE).body)
    documents = RetrieveRequest((DocumentRequest("", REPOSITORY, it.unique_id),))
    retrieve = b"".join(iti43.TRANSACTION.request.encode(documents, Packaging.SIMPLE).body)
    for actor in ("imaging-source", "repository", "registry", "authorization", "identity"):
        for action in (rad69.TRANSACTION.trigger, iti43.TRANSACTION.trigger, iti18.TRANSACTION.trigger, "", "urn:x"):
            for body in (images, retrieve):
                yield asker.post(actor, action, body)
    yield asker.post("imaging-source", "urn:x", images, headers={"SOAPAction": rad69.TRANSACTION.trigger})
    typed = f'{SOAP12}; action="{rad69.TRANSACTION.trigger}"'
    yield asker.post("imaging-source", iti18.TRANSACTION.trigger, images, headers={"Content-Type": typed})


@trick
def addresses_to_answer_to(asker: Asker, it: Target) -> Iterable[requests.Response]:
    base = asker.hub.server.base_url
    for path in ("/services/registry?wsdl", "/services/imaging-source?wsdl", "/services/", "/services/registry/",
                 f"/services/registry?id={it.entry_uuid}", f"/services/repository/{it.unique_id}"):  # fmt: skip
        yield asker.hub.session.get(base + path, timeout=60)


@trick
def pages_for_operators(asker: Asker, it: Target) -> Iterable[requests.Response]:
    asker.images(all_of(it.study))
    for path in (
        "/",
        "/metrics",
        "/health/ready",
        "/health/live",
        "/explain",
        "/audit",
        "/traces",
        "/favicon.ico",
        "/robots.txt",
        "/.well-known/",
        "/validator",
        "/publishing",
        "/fhir/metadata",
        "/fhir/ImagingStudy",
        "/data/xdsi.db",
    ):
        yield asker.hub.session.get(asker.hub.server.base_url + path, timeout=60)  # fmt: skip


# -- changing what decides


@trick
def changing_what_is_registered(asker: Asker, it: Target) -> Iterable[requests.Response]:
    """Statuses, removal, other confidentiality: nothing of a hidden document is changed, or told of in the refusal."""
    rs = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
    lcm = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
    rim = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
    removal = (
        f'<lcm:RemoveObjectsRequest xmlns:lcm="{lcm}" xmlns:rim="{rim}" xmlns:rs="{rs}"><rim:ObjectRefList>'
        f'<rim:ObjectRef id="{it.entry_uuid}"/><rim:ObjectRef id="{it.set_uuid}"/>'
        "</rim:ObjectRefList></lcm:RemoveObjectsRequest>"
    ).encode()
    yield asker.post("registry", "urn:ihe:iti:2010:DeleteDocumentSet", removal)
    gone = (
        '<rmd:RemoveDocumentsRequest xmlns:rmd="urn:ihe:iti:rmd:2017" xmlns:xds="urn:ihe:iti:xds-b:2007">'
        f"<xds:DocumentRequest><xds:RepositoryUniqueId>{REPOSITORY}</xds:RepositoryUniqueId>"
        f"<xds:DocumentUniqueId>{it.unique_id}</xds:DocumentUniqueId></xds:DocumentRequest></rmd:RemoveDocumentsRequest>"
    ).encode()
    yield asker.post("repository", "urn:ihe:iti:2017:RemoveDocuments", gone)
    for action in ("urn:ihe:iti:2010:UpdateDocumentSet", "urn:ihe:iti:2018:RestrictedUpdateDocumentSet"):
        yield asker.post("registry", action, _update(it, lcm, rim, rs))


def _update(it: Target, lcm: str, rim: str, rs: str) -> bytes:
    change = "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus"
    return (
        f'<lcm:SubmitObjectsRequest xmlns:lcm="{lcm}" xmlns:rim="{rim}" xmlns:rs="{rs}"><rim:RegistryObjectList>'
        f'<rim:Association id="a" associationType="{change}" sourceObject="set" targetObject="{it.entry_uuid}">'
        f'<rim:Slot name="OriginalStatus"><rim:ValueList><rim:Value>{APPROVED}</rim:Value></rim:ValueList></rim:Slot>'
        f'<rim:Slot name="NewStatus"><rim:ValueList><rim:Value>{DEPRECATED}</rim:Value></rim:ValueList></rim:Slot>'
        "</rim:Association></rim:RegistryObjectList></lcm:SubmitObjectsRequest>"
    ).encode()


@trick
def asking_the_decision_point(asker: Asker, it: Target) -> Iterable[requests.Response]:
    """ITI-79 is for nodes that are permitted it: a person's node learns nothing from it."""
    question = DecisionRequest(
        subject_attributes={"urn:oasis:names:tc:xacml:1.0:subject:subject-id": ("dr.jekyll",)},
        action=Action.RETRIEVE_IMAGING,
        resources=(Resource(unique_id=it.unique_id, repository_unique_id=REPOSITORY),),
    )
    answer = asker.send(iti79.TRANSACTION, question, "authorization")
    assert b"Decision>" not in answer.content
    yield answer
