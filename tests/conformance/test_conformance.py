"""Every case against a running server: one that `xdsi serve` starts, or the one that XDSI_CONFORMANCE_URL names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import pytest
from lxml import etree

from tests.conformance.servers import OPEN, Server, profile_of
from tests.oracles import corpus, official_schema, schema_importing, schema_of
from xdsi.conformance import (
    FEATURES,
    USUAL,
    Case,
    Endpoint,
    Exchange,
    Finding,
    load,
    run,
    templates,
)
from xdsi.conformance.tokens import stranger

CASES = load()
PARSER = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
BODY = "{http://www.w3.org/2003/05/soap-envelope}Body"
XACML = "urn:oasis:names:tc:xacml:2.0:profile:saml2.0:v2:schema:"
XACML_OLDER = "urn:oasis:xacml:2.0:saml:"
_PLAYED: dict[str, tuple[tuple[Finding, ...], list[Exchange]]] = {}


Start = Callable[..., Endpoint]


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Gives the endpoint of a server of some profile, started when it is first asked for."""
    servers: list[Server] = []

    @cache
    def endpoint(profile: str = OPEN) -> Endpoint:
        server = Server(tmp_path_factory.mktemp("server"), profile)
        servers.append(server)
        return server.endpoint

    yield endpoint
    for server in servers:
        server.stop()


def _endpoint_for(case: Case, start: Start) -> Endpoint:
    url = os.environ.get("XDSI_CONFORMANCE_URL")
    if url:
        features = os.environ.get("XDSI_CONFORMANCE_FEATURES")
        return Endpoint(base_url=url, features=frozenset(features.split(",")) if features else USUAL)
    return start(profile_of(case))


def _played(case: Case, start: Start) -> tuple[tuple[Finding, ...], list[Exchange]]:
    """What came of a case, which is run once; the calling test is skipped where it does not apply."""
    endpoint = _endpoint_for(case, start)
    lacking = endpoint.lacks(case)
    if lacking:
        pytest.skip(f"the endpoint has not: {', '.join(FEATURES[name] for name in sorted(lacking))}")
    if case.name not in _PLAYED:
        exchanges: list[Exchange] = []
        _PLAYED[case.name] = (run(case, endpoint, observe=exchanges.append), exchanges)
    return _PLAYED[case.name]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, start: Start) -> None:
    findings, _ = _played(case, start)
    assert not findings, "\n".join(map(str, findings))


_WHOEVER_ASKS = ("1401", "1605")
"""cases whose outcome does not depend on the assertion"""


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "secured" in case.needs and case.name[:4] not in _WHOEVER_ASKS],
    ids=lambda case: case.name,
)
def test_a_server_that_looks_at_no_assertion_is_found_out(case: Case, start: Start) -> None:
    endpoint = start()
    assert run(case, replace(endpoint, issuer=stranger(), features=endpoint.features | {"secured"}))


@pytest.mark.oracle
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_messages_are_valid_by_the_official_schemas(case: Case, start: Start) -> None:
    """Every answer, and every request that a profile wants accepted: the cases are to be right, too."""
    _, exchanges = _played(case, start)
    assert exchanges
    for exchange in exchanges:
        expect = exchange.step.expect
        messages = [exchange.answer.root] if exchange.answer is not None else []
        if case.scope == "profile" and (
            expect.status == "Success" or expect.acknowledgement == "CA" or expect.decisions
        ):
            messages.append(etree.fromstring(exchange.request.envelope, PARSER))
        for envelope in messages:
            for element in envelope.findall(f"{BODY}/*"):
                _assert_valid(element, exchange.step.name)


@cache
def decision_schema() -> etree.XMLSchema:
    """Of ITI-79: the query in the newer of its two namespaces, and the answer to it."""
    folder = ("schemas", "saml-xacml", "schema")
    return schema_importing(
        protocol=(templates.NAMESPACES["samlp"], corpus(*folder, "sstc-saml-schema-protocol-2.0.xsd")),
        query=(f"{XACML}protocol", corpus(*folder, "xacml-2.0-profile-saml2.0-v2-schema-protocol-wd-14.xsd")),
        statement=(f"{XACML}assertion", corpus(*folder, "xacml-2.0-profile-saml2.0-v2-schema-assertion-wd-14.xsd")),
    )


def _assert_valid(element: etree._Element, step: str) -> None:
    alone = etree.fromstring(etree.tostring(element, with_tail=False), PARSER)
    # In the Infoset the content of a part stands where its xop:Include is; here nothing does.
    etree.strip_elements(alone, "{http://www.w3.org/2004/08/xop/include}Include", with_tail=False)
    name = etree.QName(alone)
    if name.localname == "Fault" or XACML_OLDER.encode() in etree.tostring(alone):
        return
    if name.namespace == "urn:hl7-org:v3":
        schema = schema_of("ihe-iti-info", "schema", "HL7V3", "NE2008", "multicacheschemas", f"{name.localname}.xsd")
    elif name.namespace in (templates.NAMESPACES["samlp"], f"{XACML}protocol"):
        schema = decision_schema()
    else:
        schema = official_schema()
    assert schema.validate(alone), f"{step}: {schema.error_log}"
