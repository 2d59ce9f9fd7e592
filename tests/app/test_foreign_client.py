"""ITI-41 and ITI-43 with nothing of ours on the other end: messages by Python's email package, sent by curl."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import os
import random
import re
import shutil
import subprocess
import uuid
from email.message import EmailMessage, Message
from pathlib import Path

import pytest
from lxml import etree

from tests.servers import Server

SOAP = "http://www.w3.org/2003/05/soap-envelope"
XDS = "urn:ihe:iti:xds-b:2007"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
XOP = "http://www.w3.org/2004/08/xop/include"
SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
PATIENT = "FOREIGN1^^^&amp;2.999.1.1&amp;ISO"
CLASS_CODES = {
    "41a5887f-8865-4c09-adf7-e362475b143a": "class",
    "f0306f51-975f-434e-a61c-c59651d33983": "type",
    "a09d5840-386c-46f2-b5ad-9c3699a4309d": "format",
    "f4f85eac-e6cb-4883-b524-f2705394840f": "confidentiality",
    "f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1": "facility",
    "cccf5598-8b07-4b77-a05e-ae952c785ead": "practice",
}
CONTENTS = {
    "text": b"a few words\r\n",
    "boundaries": b"--foreign\r\n\r\n--foreign--\r\n" * 3,
    "noise": random.Random(41).randbytes(300_001),
    "empty": b"",
}


@pytest.fixture(scope="module")
def curl() -> str:
    found = shutil.which("curl")
    if found is None and os.environ.get("XDSI_REQUIRE_ORACLES") == "1":
        pytest.fail("curl is not installed")
    if found is None:
        pytest.skip("curl is not installed")
    return found


# -- the message, by hand


def slot(name: str, value: str) -> str:
    return f'<Slot name="{name}"><ValueList><Value>{value}</Value></ValueList></Slot>'


def code(scheme: str, owner: str, value: str) -> str:
    return (
        f'<Classification id="urn:uuid:{uuid.uuid4()}" classificationScheme="urn:uuid:{scheme}"'
        f' classifiedObject="{owner}" nodeRepresentation="{value}">{slot("codingScheme", "2.999.7")}'
        f'<Name><LocalizedString value="{value}"/></Name></Classification>'
    )


def identifier(scheme: str, owner: str, name: str, value: str) -> str:
    return (
        f'<ExternalIdentifier id="urn:uuid:{uuid.uuid4()}" identificationScheme="urn:uuid:{scheme}"'
        f' registryObject="{owner}" value="{value}"><Name><LocalizedString value="{name}"/></Name></ExternalIdentifier>'
    )


def entry(id_: str, unique_id: str) -> str:
    codes = "".join(code(scheme, id_, value) for scheme, value in CLASS_CODES.items())
    return (
        f'<ExtrinsicObject id="{id_}" objectType="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"'
        ' mimeType="application/octet-stream">'
        + slot("creationTime", "20260203101112")
        + slot("languageCode", "en-US")
        + slot("sourcePatientId", "L7^^^&amp;2.999.1.5&amp;ISO")
        + codes
        + identifier("58a6f841-87b3-4a3e-92fd-a8ffeff98427", id_, "XDSDocumentEntry.patientId", PATIENT)
        + identifier("2e82c1f6-a085-4c72-9da3-8640a32e42ab", id_, "XDSDocumentEntry.uniqueId", unique_id)
        + "</ExtrinsicObject>"
    )


def submission_set() -> str:
    number = uuid.uuid4().int
    return (
        '<RegistryPackage id="set">' + slot("submissionTime", "20260203101112")
        + code("aa543740-bdda-424e-8c96-df4873be8500", "set", "content")
        + f'<Classification id="urn:uuid:{uuid.uuid4()}" classifiedObject="set"'
        ' classificationNode="urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"/>'
        + identifier("6b5aea1a-874d-4603-a4bc-96a0a7b38446", "set", "XDSSubmissionSet.patientId", PATIENT)
        + identifier("96fdda7c-d067-4183-912e-bf5ee74998a8", "set", "XDSSubmissionSet.uniqueId", f"2.25.{number}")
        + identifier("554ac39e-e3fe-47fe-b233-965d2a147832", "set", "XDSSubmissionSet.sourceId", "2.999.8")
        + "</RegistryPackage>"
    )  # fmt: skip


def member(id_: str) -> str:
    return (
        f'<Association id="urn:uuid:{uuid.uuid4()}" associationType="urn:oasis:names:tc:ebxml-regrep:AssociationType:'
        f'HasMember" sourceObject="set" targetObject="{id_}">{slot("SubmissionSetStatus", "Original")}</Association>'
    )


def envelope(action: str, body: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><S:Envelope xmlns:S="{SOAP}"><S:Header'
        f' xmlns="http://www.w3.org/2005/08/addressing"><Action S:mustUnderstand="1">{action}</Action>'
        f"<MessageID>urn:uuid:{uuid.uuid4()}</MessageID></S:Header><S:Body>{body}</S:Body></S:Envelope>"
    ).encode()


def provide(documents: dict[str, str]) -> bytes:
    """An ITI-41 of documents, by Content-ID with their uniqueIds."""
    objects = "".join(entry(cid, unique_id) + member(cid) for cid, unique_id in documents.items())
    parts = "".join(
        f'<Document id="{cid}"><x:Include xmlns:x="{XOP}" href="cid:{cid}@foreign.example"/></Document>'
        for cid in documents
    )
    return envelope(
        "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b",
        f'<ProvideAndRegisterDocumentSetRequest xmlns="{XDS}"><l:SubmitObjectsRequest'
        ' xmlns:l="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"><RegistryObjectList'
        f' xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">{submission_set()}{objects}</RegistryObjectList>'
        f"</l:SubmitObjectsRequest>{parts}</ProvideAndRegisterDocumentSetRequest>",
    )


def related(root: bytes, contents: dict[str, bytes], encoding: str) -> tuple[str, bytes]:
    """Content-Type and body of a multipart message; the email package writes the headers, and would mend line ends."""
    kind = (
        'multipart/related; type="application/xop+xml"; start="<envelope@foreign.example>";'
        ' start-info="application/soap+xml"; boundary="foreign-7c2a"'
    )
    body = b""
    for cid, content in {"envelope": root, **contents}.items():
        is_root = cid == "envelope"
        part = EmailMessage(policy=email.policy.HTTP)
        part["Content-Type"] = (
            'application/xop+xml; charset=UTF-8; type="application/soap+xml"' if is_root else "application/octet-stream"
        )
        part["Content-Transfer-Encoding"] = "binary" if is_root else encoding
        part["Content-ID"] = f"<{cid}@foreign.example>"
        written = base64.encodebytes(content) if encoding == "base64" and not is_root else content
        body += b"--foreign-7c2a\r\n" + part.as_bytes() + written + b"\r\n"
    return kind, body + b"--foreign-7c2a--\r\n"


# -- sending and receiving


def post(curl: str, server: Server, folder: Path, kind: str, body: bytes, *options: str) -> Message:
    """The answer as the email package reads it, its HTTP headers among its own."""
    (folder / "request").write_bytes(body)
    command = [
        curl, "--silent", "--show-error", "--dump-header", str(folder / "head"), "--output", str(folder / "answer"),
        "--header", f"Content-Type: {kind}", "--data-binary", f"@{folder / 'request'}", *options,
        server.url("repository"),
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=60)
    # Of several heads (100 Continue) the last one counts.
    head = (folder / "head").read_bytes().rstrip().split(b"\r\n\r\n")[-1]
    assert re.match(rb"HTTP/1.1 200", head), head
    fields = head.partition(b"\r\n")[2]
    return email.message_from_bytes(fields + b"\r\n\r\n" + (folder / "answer").read_bytes(), policy=email.policy.HTTP)


def parts_of(answer: Message) -> tuple[etree._Element, dict[str, bytes]]:
    """The envelope, and the other parts by Content-ID."""
    assert answer.get_content_type() == "multipart/related"
    assert (answer.get_param("type"), answer.get_param("start-info")) == (
        "application/xop+xml", "application/soap+xml",
    )  # fmt: skip
    found = {str(part["Content-ID"]).strip("<>"): part for part in answer.walk() if not part.is_multipart()}
    root = found.pop(str(answer.get_param("start")).strip("<>"))
    assert root.get_content_type() == "application/xop+xml"
    contents = {cid: part.get_payload(decode=True) for cid, part in found.items()}
    return etree.fromstring(root.get_payload(decode=True)), contents  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("encoding", ["binary", "base64"])
@pytest.mark.parametrize("way", [(), ("--header", "Transfer-Encoding: chunked"), ("--header", "Expect: 100-continue")])
def test_documents_of_a_foreign_client_come_back_to_it(
    open_server: Server, curl: str, tmp_path: Path, encoding: str, way: tuple[str, ...]
) -> None:
    unique_ids = {name: f"2.25.{uuid.uuid4().int}" for name in CONTENTS}
    kind, body = related(provide(unique_ids), CONTENTS, encoding)
    envelope_of, none = parts_of(post(curl, open_server, tmp_path, kind, body, *way))
    (response,) = envelope_of.iter(f"{{{RS}}}RegistryResponse")
    assert (response.get("status"), none) == (SUCCESS, {}), etree.tostring(response)

    wanted = "".join(
        f"<DocumentRequest><RepositoryUniqueId>2.999.1.2</RepositoryUniqueId>"
        f"<DocumentUniqueId>{id_}</DocumentUniqueId></DocumentRequest>"
        for id_ in unique_ids.values()
    )
    asked = envelope(
        "urn:ihe:iti:2007:RetrieveDocumentSet",
        f'<RetrieveDocumentSetRequest xmlns="{XDS}">{wanted}</RetrieveDocumentSetRequest>',
    )
    answer, contents = parts_of(post(curl, open_server, tmp_path, *related(asked, {}, "binary")))
    got = {}
    for one in answer.iter(f"{{{XDS}}}DocumentResponse"):
        (include,) = one.iter(f"{{{XOP}}}Include")
        content = contents[include.get("href", "").removeprefix("cid:")]
        got[one.findtext(f"{{{XDS}}}DocumentUniqueId")] = hashlib.sha256(content).hexdigest()
    assert got == {unique_ids[name]: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
