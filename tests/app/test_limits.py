"""The limits of the settings as clients meet them: what is beyond is refused by the right code, and nothing kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from tests.imaging import STUDIES
from tests.servers import Answer, Server, envelope, exchange, http, serving
from tests.transport.test_serving import ROOT, kept, multipart
from xdsi import app
from xdsi.domain.errors import ConfigurationError
from xdsi.settings import Limits, load
from xdsi.spec.namespaces import SUCCESS
from xdsi.transport import soap_request
from xdsi.transport.http_pace import Deadlines

QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
PROVIDE = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
RETRIEVE = "urn:ihe:iti:2007:RetrieveDocumentSet"
IMAGES = "urn:ihe:rad:2009:RetrieveImagingDocumentSet"
SETTINGS = """
[limits]
message_bytes = 60000
part_bytes = 20000
parts = 4
simple_bytes = 30000
root_bytes = 10000
unverified_bytes = 5000
documents = 2
instances = 2
xml_depth = 20
xml_attributes = 30
xml_markup = 500
query_values = 3
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("limits")
    config = folder / "strict.toml"
    config.write_text(SETTINGS, "utf-8")
    with serving(folder / "data", "--profile", "open", "--dicom", str(STUDIES), config=config) as server:
        yield server


def retrieval(count: int) -> bytes:
    one = (
        "<x:DocumentRequest><x:RepositoryUniqueId>2.999.1.2</x:RepositoryUniqueId>"
        "<x:DocumentUniqueId>2.999.7.{}</x:DocumentUniqueId></x:DocumentRequest>"
    )
    wanted = "".join(one.format(number) for number in range(count))
    body = f'<x:RetrieveDocumentSetRequest xmlns:x="urn:ihe:iti:xds-b:2007">{wanted}</x:RetrieveDocumentSetRequest>'
    return envelope(RETRIEVE, body.encode())


def images(count: int) -> bytes:
    one = (
        "<x:DocumentRequest><x:RepositoryUniqueId>2.999.1.3</x:RepositoryUniqueId>"
        "<x:DocumentUniqueId>2.999.7.{}</x:DocumentUniqueId></x:DocumentRequest>"
    )
    wanted = "".join(one.format(number) for number in range(count))
    body = (
        '<r:RetrieveImagingDocumentSetRequest xmlns:r="urn:ihe:rad:xdsi-b:2009" xmlns:x="urn:ihe:iti:xds-b:2007">'
        f'<r:StudyRequest studyInstanceUID="2.999.1"><r:SeriesRequest seriesInstanceUID="2.999.2">{wanted}'
        "</r:SeriesRequest></r:StudyRequest><r:TransferSyntaxUIDList><r:TransferSyntaxUID>1.2.840.10008.1.2.1"
        "</r:TransferSyntaxUID></r:TransferSyntaxUIDList></r:RetrieveImagingDocumentSetRequest>"
    )
    return envelope(IMAGES, body.encode())


def codes(answer: Answer) -> list[str]:
    return re.findall(r'errorCode="(\w+)"', answer.text)


REFUSED = [
    pytest.param(
        http(b" " * 60_001), "too large; at most 60000 bytes (limits.message_bytes)", id="message by its length"
    ),
    pytest.param(http(b" " * 30_001), "at most 30000 bytes, or MTOM (limits.simple_bytes)", id="not multipart"),
    pytest.param(multipart(("root", ROOT), ("a", b"x" * 20_001)), "at most 20000 bytes (limits.part_bytes)", id="part"),
    pytest.param(multipart(("root", ROOT), *((str(n), b"") for n in range(4))), "at most 4 (limits.parts)", id="parts"),
    pytest.param(multipart(("root", ROOT + b" " * 10_000)), "at most 10000 bytes (limits.root_bytes)", id="envelope"),
    pytest.param(
        multipart(("a", b"x" * 5001), ("root", ROOT)),
        "expected root first (limits.unverified_bytes)",
        id="envelope not first",
    ),
    pytest.param(
        http(envelope(RETRIEVE, b"<a>" * 20 + b"</a>" * 20)), "at most 20 levels (limits.xml_depth)", id="levels"
    ),
    pytest.param(
        http(envelope(RETRIEVE, b"<a %s/>" % b" ".join(b'a%d=""' % n for n in range(31)))),
        "at most 30 (limits.xml_attributes)",
        id="attributes",
    ),
    pytest.param(http(envelope(RETRIEVE, b"<a/>" * 500)), "at most 500 (limits.xml_markup)", id="markup"),
]


@pytest.mark.parametrize(("request_", "reason"), REFUSED)
def test_a_request_beyond_a_limit_is_the_senders_fault(strict: Server, request_: bytes, reason: str) -> None:
    before = kept(strict)
    answer = exchange(strict, request_)
    assert (answer.status, ":Sender<" in answer.text) == (400, True)
    assert reason in answer.text
    assert kept(strict) == before


def test_the_length_alone_refuses_a_message(strict: Server) -> None:
    """Nothing of it was sent yet."""
    answer = exchange(strict, http(b"", length=60_001))
    assert (answer.status, "at most 60000 bytes (limits.message_bytes)" in answer.text) == (400, True)


@pytest.mark.parametrize(("count", "expected"), [(2, "XDSDocumentUniqueIdError"), (3, "XDSTooManyResults")])
def test_documents_of_one_retrieval(strict: Server, count: int, expected: str) -> None:
    answer = exchange(strict, http(retrieval(count), path="/services/repository"))
    assert (answer.status, set(codes(answer))) == (200, {expected})
    assert SUCCESS not in answer.text
    assert ("at most 2 documents may be asked for at once (limits.documents)" in answer.text) is (count > 2)


@pytest.mark.parametrize(("count", "too_many"), [(2, False), (3, True)])
def test_images_of_one_retrieval(strict: Server, count: int, too_many: bool) -> None:
    answer = exchange(strict, http(images(count), path="/services/imaging-source"))
    assert answer.status == 200
    assert ("at most 2 instances may be asked for at once (limits.instances)" in answer.text) is too_many


@pytest.mark.parametrize(("count", "too_many"), [(3, False), (4, True)])
def test_values_of_one_parameter(strict: Server, count: int, too_many: bool) -> None:
    values = [f"('{number}^^2.999.9')" for number in range(count)]
    slots = {
        "$XDSDocumentEntryPatientId": ["'P1^^^&amp;2.999.1.1&amp;ISO'"],
        "$XDSDocumentEntryStatus": ["('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')"],
        "$XDSDocumentEntryClassCode": values,
    }
    answer = exchange(strict, http(envelope(QUERY, find_documents(slots))))
    assert answer.status == 200
    assert ("at most 3 are accepted (limits.query_values)" in answer.text) is too_many
    assert (SUCCESS in answer.text) is not too_many


def find_documents(slots: dict[str, list[str]]) -> bytes:
    def slot(name: str, values: list[str]) -> str:
        listed = "".join(f"<m:Value>{value}</m:Value>" for value in values)
        return f'<m:Slot name="{name}"><m:ValueList>{listed}</m:ValueList></m:Slot>'

    return (
        '<q:AdhocQueryRequest xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" '
        'xmlns:m="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">'
        '<q:ResponseOption returnComposedObjects="true" returnType="ObjectRef"/>'
        '<m:AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d">'
        + "".join(slot(*item) for item in slots.items())
        + "</m:AdhocQuery></q:AdhocQueryRequest>"
    ).encode()


def test_the_settings_that_refusals_name_are_there() -> None:
    known = {f"limits.{field.name}" for field in fields(Limits)}
    assert set(soap_request.SETTINGS.values()) <= known


def test_times_are_those_of_the_settings() -> None:
    chosen = Limits(opening_seconds=1, idle_seconds=2, bytes_per_second=3, write_seconds=4)
    assert app.deadlines(chosen) == Deadlines(
        opening_seconds=1, idle_seconds=2, minimum_bytes_per_second=3, write_seconds=4
    )
    assert app.deadlines(Limits()) == Deadlines()


@pytest.mark.parametrize("wrong", ["xml_depth = 257", "xml_depth = 0", "query_values = 1001", "idle_seconds = 0"])
def test_a_limit_that_is_none(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(f"[limits]\n{wrong}\n")
    with pytest.raises(ConfigurationError, match=wrong.partition(" ")[0]):
        load(file, {})
