"""Our schemas say yes and no where the official ones do."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.oracles import official_schema, sample_messages, schema_of
from xdsi.domain.packaged import resources
from xdsi.spec import namespaces as ns

BODIES = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "samples/bodies").glob("*.xml"))}
FEED = ("PRPA_IN201301UV02", "PRPA_IN201302UV02", "PRPA_IN201304UV02", "MCCI_IN000002UV01")
LONG = "x" * 257


@cache
def our_schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(resources("schemas") / "messages.xsd"))


def first(body: etree._Element, path: str) -> etree._Element:
    names = {"rim": ns.RIM, "rs": ns.RS, "lcm": ns.LCM, "query": ns.QUERY, "xds": ns.XDS, "rad": ns.RAD}
    found = body.xpath(path, namespaces=names)
    assert found, f"no {path}"
    return found[0]


def verdicts(body: etree._Element) -> tuple[bool, bool]:
    """What the official schema says, and what ours says."""
    fresh = etree.fromstring(etree.tostring(body))
    return official_schema().validate(fresh), our_schema().validate(fresh)


@pytest.mark.oracle
@pytest.mark.parametrize("name", BODIES)
def test_our_samples_are_valid_by_both(name: str) -> None:
    assert verdicts(etree.fromstring(BODIES[name])) == (True, True)


@pytest.mark.oracle
def test_samples_of_third_parties_are_judged_alike() -> None:
    tags = [f"{{{namespace}}}*" for namespace in (ns.RIM, ns.RS, ns.LCM, ns.QUERY, ns.XDS, ns.RAD, ns.RMD)]
    judged = {name: verdicts(message) for name, message in sample_messages(*tags)}
    assert sum(official for official, _ in judged.values()) > 250
    assert {name: pair for name, pair in judged.items() if pair[0] is not pair[1]} == {}


@pytest.mark.oracle
@pytest.mark.parametrize("interaction", FEED)
def test_valid_identity_feeds_of_third_parties_are_valid(interaction: str) -> None:
    official = schema_of("ihe-iti-info", "schema", "HL7V3", "NE2008", "multicacheschemas", f"{interaction}.xsd")
    for name, message in sample_messages(f"{{{ns.HL7V3}}}{interaction}"):
        if official.validate(message):
            assert our_schema().validate(message), f"{name}: {our_schema().error_log}"


REMOVED = [
    ("adhoc_query_request", "query:ResponseOption"),
    ("adhoc_query_request", "rim:AdhocQuery"),
    ("adhoc_query_request", "//rim:ValueList"),
    ("adhoc_query_request", "//rim:Slot/@name"),
    ("adhoc_query_request", "rim:AdhocQuery/@id"),
    ("adhoc_query_response", "rim:RegistryObjectList"),
    ("adhoc_query_response", "//rs:RegistryError"),
    ("adhoc_query_response", "./@status"),
    ("submit_objects_request", "rim:RegistryObjectList"),
    ("submit_objects_request", "//rim:ExtrinsicObject/@id"),
    ("submit_objects_request", "//rim:LocalizedString/@value"),
    ("submit_objects_request", "//rim:Classification/@classifiedObject"),
    ("submit_objects_request", "//rim:ExternalIdentifier/@value"),
    ("submit_objects_request", "//rim:ExternalIdentifier/@registryObject"),
    ("submit_objects_request", "//rim:ExternalIdentifier/@identificationScheme"),
    ("submit_objects_request", "//rim:Association/@associationType"),
    ("submit_objects_request", "//rim:Association/@sourceObject"),
    ("submit_objects_request", "//rim:Association/@targetObject"),
    ("registry_response", "//rs:RegistryError/@errorCode"),
    ("registry_response", "//rs:RegistryError/@codeContext"),
    ("provide_and_register_request", "lcm:SubmitObjectsRequest"),
    ("provide_and_register_request", "xds:Document/@id"),
    ("remove_documents_request", "xds:DocumentRequest"),
    ("retrieve_request", "//xds:RepositoryUniqueId"),
    ("retrieve_request", "//xds:DocumentUniqueId"),
    ("retrieve_response", "rs:RegistryResponse"),
    ("retrieve_response", "//xds:mimeType"),
    ("retrieve_response", "//xds:Document"),
    ("retrieve_imaging_request", "rad:StudyRequest"),
    ("retrieve_imaging_request", "rad:StudyRequest/@studyInstanceUID"),
    ("retrieve_imaging_request", "//rad:SeriesRequest"),
    ("retrieve_imaging_request", "//rad:SeriesRequest/@seriesInstanceUID"),
    ("retrieve_imaging_request", "rad:TransferSyntaxUIDList"),
]


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "path"), REMOVED)
def test_what_is_required_is_missed(name: str, path: str) -> None:
    body = etree.fromstring(BODIES[name])
    element, _, attribute = path.partition("/@")
    found = first(body, element)
    if attribute:
        del found.attrib[attribute]
    else:
        found.getparent().remove(found)
    assert verdicts(body) == (False, False)


WRONG_VALUES = [
    ("adhoc_query_request", "query:ResponseOption/@returnType", "Everything"),
    ("adhoc_query_request", "query:ResponseOption/@returnComposedObjects", "perhaps"),
    ("adhoc_query_request", "./@maxResults", "many"),
    ("adhoc_query_request", "./@federated", "perhaps"),
    ("adhoc_query_response", "./@totalResultCount", "many"),
    ("submit_objects_request", "//rim:Value", LONG),
    ("submit_objects_request", "//rim:Slot/@name", LONG),
    ("submit_objects_request", "//rim:Classification/@nodeRepresentation", LONG),
    ("submit_objects_request", "//rim:ExternalIdentifier/@value", LONG),
    ("submit_objects_request", "//rim:ExtrinsicObject/@mimeType", LONG),
    ("submit_objects_request", "//rim:ExtrinsicObject/@isOpaque", "perhaps"),
    ("submit_objects_request", "//rim:VersionInfo/@versionName", "x" * 17),
    ("submit_objects_request", "//rim:LocalizedString/@value", "x" * 1025),
    ("submit_objects_request", "//rim:LocalizedString/@{http://www.w3.org/XML/1998/namespace}lang", "not a language"),
    ("submit_objects_request", "//rim:ObjectRef/@createReplica", "perhaps"),
    ("submit_objects_request", "//rim:ExtrinsicObject/@classCode", "unknown attribute"),
    ("provide_and_register_request", "xds:Document", "not base64!"),
    ("retrieve_request", "//xds:DocumentUniqueId", LONG),
    ("retrieve_request", "//xds:DocumentRequest/@id", "unknown attribute"),
    ("retrieve_response", "//xds:Document", "not base64!"),
    ("retrieve_imaging_request", "//rad:TransferSyntaxUID", LONG),
    ("retrieve_imaging_request", "rad:StudyRequest/@studyInstanceUID", LONG),
]


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "path", "value"), WRONG_VALUES)
def test_wrong_values_are_refused(name: str, path: str, value: str) -> None:
    body = etree.fromstring(BODIES[name])
    element, _, attribute = path.partition("/@")
    if attribute:
        first(body, element).set(attribute, value)
    else:
        first(body, path).text = value
    assert verdicts(body) == (False, False)


ELSEWHERE = [
    "<rim:Person id='p'/>",  # XDS has no such objects
    "<rim:Organization id='o'/>",
    "<rim:AdhocQuery id='q'><rim:QueryExpression queryLanguage='SQL'>select</rim:QueryExpression></rim:AdhocQuery>",
]


@pytest.mark.oracle
@pytest.mark.parametrize("content", ELSEWHERE)
def test_ebrim_that_xds_has_no_use_for_is_not_ours(content: str) -> None:
    text = (
        f"<lcm:SubmitObjectsRequest xmlns:lcm='{ns.LCM}' xmlns:rim='{ns.RIM}'>"
        f"<rim:RegistryObjectList>{content}</rim:RegistryObjectList></lcm:SubmitObjectsRequest>"
    )
    assert verdicts(etree.fromstring(text)) == (True, False)


@pytest.mark.oracle
@given(st.data())
def test_any_small_damage_is_judged_alike(data: st.DataObject) -> None:
    body = etree.fromstring(BODIES[data.draw(st.sampled_from(sorted(BODIES)))])
    for _ in range(data.draw(st.integers(1, 3))):
        _damage(body, data)
    official, ours = verdicts(body)
    assert official is ours, etree.tostring(body, encoding="unicode")


def _damage(body: etree._Element, data: st.DataObject) -> None:
    element = data.draw(st.sampled_from(list(body.iter())), label="element")
    parent = element.getparent()
    kinds = ["text", "attribute"]
    kinds += ["without attribute"] if element.attrib else []
    kinds += ["away", "twice", "last", "under another"] if parent is not None else []
    kind = data.draw(st.sampled_from(kinds), label="kind")
    if kind == "text":
        element.text = data.draw(st.sampled_from(["", " ", "text", "RElDTQ==", LONG]))
    elif kind == "attribute":
        attribute = st.sampled_from(["id", "home", "value", "name", "mimeType", "status", "severity", "maxResults"])
        element.set(data.draw(attribute), data.draw(st.sampled_from(["", "1", "text", LONG])))
    elif kind == "without attribute":
        del element.attrib[data.draw(st.sampled_from(sorted(element.attrib)))]
    elif kind == "away":
        parent.remove(element)
    elif kind == "twice":
        element.addnext(etree.fromstring(etree.tostring(element, with_tail=False)))
    elif kind == "last":
        parent.append(element)
    else:
        target = data.draw(st.sampled_from([place for place in body.iter() if element not in place.iterancestors()]))
        if target is not element:
            target.append(element)
