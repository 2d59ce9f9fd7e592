"""Messages of others that address the repository (ITI-41, ITI-43, ITI-86), sent to a running one.

NIST toolkit (its places to be filled in are filled in), IHE and Open eHealth Integration Platform samples. Each row
says what becomes of a message and why; where its source and the Framework differ, the Framework wins and the row names
the clause.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from tests import builders
from tests.app.repository_client import REPOSITORY, RepositoryClient
from tests.oracles import corpus, sample_messages
from tests.servers import Server, envelope, exchange, http, serving
from xdsi.domain.identifiers import new_entry_uuid, new_oid
from xdsi.spec.namespaces import RIM, RMD, RS, XDS
from xdsi.wire import xml
from xdsi.wire.xml import E

_KIT = "nist-toolkit2/testkit"
_IHE = "ihe-iti-info-examples/XDS.b"
_PLACE = re.compile(rb"\$\w+\$")
PROVIDE = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
ACTIONS = {
    E(XDS, "ProvideAndRegisterDocumentSetRequest"): PROVIDE,
    E(XDS, "RetrieveDocumentSetRequest"): "urn:ihe:iti:2007:RetrieveDocumentSet",
    E(RMD, "RemoveDocumentsRequest"): "urn:ihe:iti:2017:RemoveDocuments",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("others") / "data", "--profile", "open") as one:
        yield one


def result(root: etree._Element) -> tuple[str, list[str], int]:
    """Status, the codes of its errors, and how many documents came."""
    (answer,) = [one for one in root.iter() if one.get("status", "").startswith("urn:")]
    codes = sorted(one.get("errorCode", "") for one in root.iter(E(RS, "RegistryError")))
    return (
        answer.get("status", "").rpartition(":")[2],
        codes,
        sum(1 for _ in root.iter(E(XDS, "DocumentResponse"))),
    )


def sent(server: Server, action: str, body: bytes) -> tuple[str, list[str], int]:
    """What becomes of one message."""
    message = envelope(action, body, message_id=new_entry_uuid())
    answer = exchange(server, http(message, path="/services/repository"))
    assert answer.status == 200, answer.text
    return result(etree.fromstring(answer.body))


@pytest.mark.oracle
def test_messages_of_others(server: Server, tmp_path: Path) -> None:
    """Given the documents that each message speaks of, when it is sent, then what its row says becomes of it."""
    messages = dict(sample_messages(*ACTIONS))
    assert messages.keys() == EXPECTED.keys(), "each has a row, with the reason"
    kit = Kit(RepositoryClient(server, tmp_path))
    # In the order of the rows: a document is fetched, removed and asked for again.
    found = {name: sent(server, ACTIONS[messages[name].tag], kit.filled(name, messages[name])) for name in EXPECTED}
    assert found == {name: row[:3] for name, row in EXPECTED.items()}


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("sample", "boundary"),
    [
        ("NoXop", "MIMEBoundary_95b57d7287e4fa4b528a8f050c41f8ad829c20332f23b48d"),
        ("dicom", "uuid:376733a6-6a2d-4583-a687-04c08acf6a49+id=17"),
    ],
)
def test_captured_messages_are_acknowledged_and_come_back(
    server: Server, tmp_path: Path, sample: str, boundary: str
) -> None:
    """Both have the document inline in the root part of a multipart message; the kit expects Success of both.

    The first has no wsa:ReplyTo, which nothing depends on, and its codes are of another domain than this one.
    """
    raw = corpus(*_KIT.split("/"), "tests", "PnrXop", sample, "body.txt").read_bytes()
    raw = raw.replace(b"\n", b"\r\n")  # the files are kept with line feeds only
    content_type = (
        f'multipart/related; boundary="{boundary}"; type="application/xop+xml"; start-info="application/soap+xml"; '
        f'action="{PROVIDE}"'
    )
    answer = exchange(server, http(raw, path="/services/repository", Content_Type=content_type))
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"].startswith("multipart/related"), "as it was asked"
    assert b"ResponseStatusType:Success" in answer.body

    envelope_of_it = re.search(rb"<(\w+):Envelope.*</\1:Envelope>", raw, re.DOTALL)
    assert envelope_of_it
    root = xml.parse(envelope_of_it[0])
    (document,) = root.iter(E(XDS, "Document"))
    (entry,) = root.iter(E(RIM, "ExtrinsicObject"))
    (unique_id,) = [
        one.get("value", "")
        for one in entry.iter(E(RIM, "ExternalIdentifier"))
        if one.get("identificationScheme") == "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"
    ]
    assert RepositoryClient(server, tmp_path).retrieve(unique_id) == b64decode(document.text or "")


class Kit:
    """Fills in what the toolkit fills in as it runs: ids, and documents that are there."""

    def __init__(self, client: RepositoryClient) -> None:
        self._client = client
        self._values: dict[tuple[str, str], str] = {}

    def filled(self, name: str, element: etree._Element) -> bytes:
        """A message as the kit would send it."""
        for one in element.iter(E(RIM, "ExternalIdentifier")):
            label = one.find(f"{E(RIM, 'Name')}/{E(RIM, 'LocalizedString')}")
            assert label is not None
            what = label.get("value", "").rpartition(".")[2]
            if what != "sourceId":
                one.set("value", builders.PATIENT if what == "patientId" else new_oid())
        if name in DOCUMENTS:
            *names, id_, given = DOCUMENTS[name]
            document = etree.SubElement(element, E(XDS, "Document"), id=id_)
            document.text = b64encode(corpus(*_KIT.split("/"), *names).read_bytes()).decode()
            text = etree.tostring(element).replace(id_.encode(), given.encode())
        else:
            text = etree.tostring(element)
        return _PLACE.sub(lambda place: self._value(name, place[0].decode()), text)

    def _value(self, name: str, place: str) -> bytes:
        if place == "$original_doc_uuid$":
            return ORIGINAL.encode()
        if place in ("$repuid$", "$repositoryuid$"):
            return REPOSITORY.encode()
        if place == "$home$":
            return HOME.encode()
        assert "uid" in place, place
        # One document for each place of a test, whatever its steps are.
        test = name.split("/")[3]
        if (test, place) not in self._values:
            unique_id = self._values[test, place] = new_oid()
            assert self._client.provide(unique_id, unique_id.encode()).accepted
        return self._values[test, place].encode()


HOME = "urn:oid:2.999.1"
ORIGINAL = "urn:uuid:3d4f1d9e-6f0a-4d0b-8a55-0a2f7a1f6c11"
_ACCEPTANCE = f"{_KIT}/tests/ReposAcceptanceTest-1111"
# What the plan of a test attaches to the metadata, under which id, and the id that the kit assigns.
DOCUMENTS = {
    f"{_ACCEPTANCE}/SubmitSingleDoc/single_doc.xml#1": (
        "tests", "ReposAcceptanceTest-1111", "SubmitSingleDoc", "my_document.txt", "myDocId1", ORIGINAL,
    ),
    f"{_ACCEPTANCE}/SubmitRplc/single_doc.xml#1": (
        "tests", "ReposAcceptanceTest-1111", "SubmitRplc", "my_document.txt", "myDocId1", "myDocId1",
    ),
}  # fmt: skip
_METADATA = "XDSRegistryMetadataError"
_OLD = (
    "association type of XDS.a (TF-3 table 4.2.2-1 has URNs), by which the document is not linked, and a sourceId that "
    "is no OID (TF-3 4.2.3.3.9)"
)
_COMPARED = "metadata to compare a submission with, without its document (TF-2 3.41.4.1.3)"
_GATEWAY = "meant for a gateway, which needs the home community; a repository echoes it (TF-2 3.43.4.1.2)"

# What becomes of each: status, codes of the errors, documents that come; and why.
EXPECTED: dict[str, tuple[str, list[str], int, str]] = {
    **{
        f"{_IHE}/ProvideAndRegisterDocumentSet-bRequest{form}.xml#1": ("Failure", [_METADATA] * 3, 0, _OLD)
        for form in ("", "_SOAP")
    },
    "ipf/continua-hrn/ProvideAndRegisterDocumentSet.xml#1": (
        "Failure", ["XDSRepositoryMetadataError"] * 2, 0,
        "hash and size were made up; where they are given, they are of the document (TF-2 3.41.4.1.3)",
    ),
    f"{_ACCEPTANCE}/SubmitSingleDoc/single_doc.xml#1": ("Success", [], 0, "as its plan says"),
    f"{_ACCEPTANCE}/SubmitRplc/single_doc.xml#1": ("Success", [], 0, "as its plan says: it replaces the one before"),
    f"{_KIT}/tests/ids_4801/ValidateMetadata/metadata.xml#1": ("Failure", ["XDSMissingDocument"], 0, _COMPARED),
    f"{_KIT}/tests/ids_2018-4801a/ValidateMetadata/metadata-evaluate.xml#1": (
        "Failure", ["XDSMissingDocument", _METADATA, _METADATA], 0,
        f"{_COMPARED}; two Classifications kept the id of another run",
    ),
    f"{_KIT}/tests/12021/retrieve/query.xml#1": ("Success", [], 2, "as its plan says: both documents"),
    f"{_KIT}/tests/12335/retrieve/query.xml#1": ("Success", [], 1, "as its plan says"),
    **{
        f"{_KIT}/utilities/ProvideAndRetrieve/{kind}/retrieve.xml#1": ("Success", [], 1, "as its plan says")
        for kind in ("pdf", "text", "xml")
    },
    f"{_KIT}/utilities/RetrieveDocumentSet/XDS/query.xml#1": ("Success", [], 10, "as its plan says: all ten"),
    **{
        f"{_KIT}/utilities/RetrieveDocumentSet/{kind}/query.xml#1": ("Success", [], 10, _GATEWAY)
        for kind in ("IG", "XCA")
    },
    **{
        f"{_KIT}/tests/{step}.xml#1": ("Success", [], 1, _GATEWAY)
        for step in (
            "12312/correct/query1", "12312/correct/query2", "15810/RG1Retrieve/retrieve", "15810/RG2Retrieve/retrieve",
        )
    },
    f"{_KIT}/tests/12312/missing_home/query.xml#1": (
        "Success", [], 1,
        "its plan expects XDSMissingHomeCommunityId of a gateway (ITI-39); ITI-43 needs the home community only where "
        "the entry has one (TF-2 3.43.4.1.2)",
    ),
    f"{_KIT}/tests/50000/retrieve/query.xml#1": ("Success", [], 1, "as its plan says"),
    f"{_KIT}/tests/50000/delete/query.xml#1": ("Success", [], 0, "as its plan says"),
    f"{_KIT}/tests/50000/verify/query.xml#1": (
        "Failure", ["XDSDocumentUniqueIdError"], 0, "as its plan says: it is removed",
    ),
    f"{_KIT}/tests/50002/retrieve/query.xml#1": ("Success", [], 1, "as its plan says"),
    f"{_KIT}/tests/50002/delete/query.xml#1": (
        "Failure", ["XDSUnknownRepositoryId"], 0, "as its plan says: the repository is another (RMD 3.86.4.1.3)",
    ),
    f"{_KIT}/tests/50002/verify/query.xml#1": ("Success", [], 1, "as its plan says: it is still there"),
}  # fmt: skip
