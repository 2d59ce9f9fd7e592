"""Each description loads without a network and says what the profiles ask; actors serve the union of theirs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from zeep import Client

from tests.transport.offline import ACTIONS, LOCATION, Offline, client_of, operations
from xdsi.domain import packaged
from xdsi.domain.errors import ConfigurationError
from xdsi.transport import wsdl
from xdsi.wire.xml import parse

TRANSACTIONS = (
    "iti18", "iti41", "iti42", "iti43", "iti44", "iti51", "iti57", "iti61", "iti62", "iti79", "iti86", "iti92", "rad69",
)  # fmt: skip
WSDL = "http://schemas.xmlsoap.org/wsdl/"
SOAP12 = "http://schemas.xmlsoap.org/wsdl/soap12/"


# -- the files


def test_there_is_a_file_per_transaction_and_nothing_else() -> None:
    assert sorted(path.stem for path in packaged.resources("wsdl").glob("*.wsdl")) == sorted(TRANSACTIONS)
    assert sorted(name for names in wsdl.ACTORS.values() for name in names) == sorted(TRANSACTIONS)


@pytest.mark.parametrize("transaction", TRANSACTIONS)
def test_zeep_loads_each_file_without_a_network(transaction: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "zeep"):
        found = operations(client_of(transaction))
    assert found
    assert not caplog.records, "zeep has something to say about it"
    for name, operation in found.items():
        assert operation.abstract.wsa_action == ACTIONS[name][0]


@pytest.mark.parametrize("transaction", TRANSACTIONS)
def test_operations_are_described_as_the_profiles_ask(transaction: str) -> None:
    root = parse((packaged.resources("wsdl") / f"{transaction}.wsdl").read_bytes())
    names = {"wsdl": WSDL, "soap12": SOAP12, "wsaw": "http://www.w3.org/2006/05/addressing/wsdl"}
    action = "{http://www.w3.org/2007/05/addressing/metadata}Action"
    described = {
        operation.get("name"): tuple(operation.find(f"{{{WSDL}}}{way}").get(action) for way in ("input", "output"))
        for operation in root.xpath("wsdl:portType/wsdl:operation", namespaces=names)
    }
    assert described
    assert described == {name: ACTIONS[name] for name in described}
    (binding,) = root.xpath("wsdl:binding", namespaces=names)
    assert binding.xpath("soap12:binding/@style", namespaces=names) == ["document"]
    assert len(binding.xpath("wsaw:UsingAddressing", namespaces=names)) == 1
    required = binding.xpath("wsdl:operation/soap12:operation/@soapActionRequired", namespaces=names)
    assert required == ["false"] * len(described)
    assert set(binding.xpath("wsdl:operation/*/soap12:body/@use", namespaces=names)) == {"literal"}


def test_a_prefix_means_the_same_in_all_files() -> None:
    meanings: dict[str | None, set[str]] = {}
    for path in packaged.resources("wsdl").glob("*.wsdl"):
        for prefix, namespace in parse(path.read_bytes()).nsmap.items():
            meanings.setdefault(prefix, set()).add(namespace)
    assert {prefix for prefix, namespaces in meanings.items() if prefix is None or len(namespaces) > 1} == set()


# -- what an endpoint serves


@pytest.mark.parametrize("actor", wsdl.ACTORS)
def test_zeep_loads_what_an_actor_serves(actor: str) -> None:
    client = Client(f"{LOCATION}?wsdl", transport=Offline(actor))
    expected = {name for transaction in wsdl.ACTORS[actor] for name in operations(client_of(transaction))}
    assert set(operations(client)) == expected
    assert client.service._binding_options["address"] == LOCATION


def test_a_location_is_written_as_an_attribute_and_nothing_more() -> None:
    location = 'https://hub.example/"><evil/>&'
    root = parse(wsdl.wsdl_for("document_registry", location))
    assert [address.get("location") for address in root.iter(f"{{{SOAP12}}}address")] == [location]
    assert not list(root.iter("evil"))


def test_schemas_point_to_each_other_where_they_are_served() -> None:
    root = parse(wsdl.schema("lcm.xsd", LOCATION))
    imports = [element.get("schemaLocation") for element in root.iter("{http://www.w3.org/2001/XMLSchema}import")]
    assert imports == [f"{LOCATION}?xsd=rim.xsd", f"{LOCATION}?xsd=rs.xsd"]


@pytest.mark.parametrize("name", ["", "rim", "../wsdl/iti18.wsdl", "../../pyproject.toml", "/etc/passwd", "README.md"])
def test_nothing_but_schemas_is_served_as_schema(name: str) -> None:
    with pytest.raises(LookupError, match=r"there are audit\.xsd, hl7v3\.xsd"):
        wsdl.schema(name, LOCATION)


def test_an_actor_without_description_is_refused() -> None:
    with pytest.raises(LookupError, match="portal"):
        wsdl.wsdl_for("portal", LOCATION)


def test_an_installed_package_has_the_folders_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "xdsi" / "resources" / "wsdl"
    inside.mkdir(parents=True)
    monkeypatch.setattr(packaged, "files", lambda package: tmp_path / package)
    assert packaged.resources("wsdl") == inside
    with pytest.raises(ConfigurationError, match="schemas"):
        packaged.resources("schemas")
