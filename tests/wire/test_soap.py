"""SOAP 1.2 and WS-Addressing: what senders send, what is refused with which fault, and what we send."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.oracles import corpus
from xdsi.domain.errors import MalformedMessage, SecurityFault, SoapFault
from xdsi.spec import namespaces as ns
from xdsi.wire import soap, xml
from xdsi.wire.xml import E

QUERY = "urn:ihe:iti:2007:RegistryStoredQuery"
TRACE = "0123456789abcdef0123456789abcdef"
ROLE = "http://www.w3.org/2003/05/soap-envelope/role"

ACTION = f'<a:Action s:mustUnderstand="1">{QUERY}</a:Action>'
MESSAGE_ID = "<a:MessageID>urn:uuid:1</a:MessageID>"
TO = '<a:To s:mustUnderstand="1">https://registry.example/</a:To>'
REPLY_TO = f"<a:ReplyTo><a:Address>{ns.WSA_ANONYMOUS}</a:Address></a:ReplyTo>"
SECURITY = f'<w:Security s:mustUnderstand="1" xmlns:w="{ns.WSSE}"/>'


def envelope(header: str = ACTION + MESSAGE_ID + TO + REPLY_TO, body: str = "<q/>") -> bytes:
    """A message; the prefixes are a sender's choice."""
    return (
        f'<s:Envelope xmlns:s="{ns.SOAP}" xmlns:a="{ns.WSA}"><s:Header>{header}</s:Header>'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def test_reads_a_request() -> None:
    read = soap.read_envelope(envelope(ACTION + MESSAGE_ID + TO + REPLY_TO + SECURITY))
    assert (read.action, read.message_id, read.to) == (QUERY, "urn:uuid:1", "https://registry.example/")
    assert (read.reply_to, read.relates_to) == (ns.WSA_ANONYMOUS, "")
    assert [element.tag for element in read.body] == ["q"]
    assert [element.tag for element in read.security] == [E(ns.WSSE, "Security")]
    assert [etree.QName(block).localname for block in read.headers] == [
        "Action",
        "MessageID",
        "To",
        "ReplyTo",
        "Security",
    ]
    assert read.root.tag == E(ns.SOAP, "Envelope")


# Requests that are taken, with what differs from the bare minimum.
TAKEN: dict[str, tuple[bytes, dict[str, Any]]] = {
    "only an action": (envelope(ACTION), {"message_id": "", "reply_to": "", "to": ""}),
    "action not marked": (envelope(f"<a:Action>{QUERY}</a:Action>"), {}),
    "action marked true": (envelope(ACTION.replace('"1"', '"true"')), {}),
    "action marked 0": (envelope(ACTION.replace('"1"', '"0"')), {}),
    "blanks around the action": (envelope(f"<a:Action>\n {QUERY} \t</a:Action>"), {}),
    "comment in the action": (envelope(ACTION.replace("2007", "20<!--x-->07")), {}),
    "blank MessageID": (envelope(f"{ACTION}<a:MessageID> </a:MessageID>"), {"message_id": ""}),
    "ReplyTo none": (envelope(ACTION + REPLY_TO.replace("anonymous", "none")), {"reply_to": f"{ns.WSA}/none"}),
    "FaultTo anonymous": (envelope(ACTION + REPLY_TO.replace("ReplyTo", "FaultTo")), {}),
    "ReplyTo with reference parameters": (
        envelope(ACTION + REPLY_TO.replace("</a:ReplyTo>", "<a:ReferenceParameters/></a:ReplyTo>")),
        {"reply_to": ns.WSA_ANONYMOUS},
    ),
    "From": (envelope(f"{ACTION}<a:From><a:Address>urn:x</a:Address></a:From>"), {}),
    "RelatesTo": (envelope(f"{ACTION}<a:RelatesTo>urn:uuid:0</a:RelatesTo>"), {"relates_to": "urn:uuid:0"}),
    "RelatesTo of several kinds": (
        envelope(
            f'{ACTION}<a:RelatesTo RelationshipType="urn:x">urn:uuid:9</a:RelatesTo>'
            f'<a:RelatesTo RelationshipType="{ns.WSA}/reply">urn:uuid:0</a:RelatesTo>'
        ),
        {"relates_to": "urn:uuid:0"},
    ),
    "unknown header, not marked": (envelope(ACTION + '<x:y xmlns:x="urn:x"/><z/>'), {}),
    "unknown header, marked false": (envelope(ACTION + '<x:y xmlns:x="urn:x" s:mustUnderstand="false"/>'), {}),
    "unknown header, marked, for another role": (
        envelope(ACTION + '<x:y xmlns:x="urn:x" s:mustUnderstand="1" s:role="urn:audit"/>'),
        {},
    ),
    "unknown header, marked, for nobody": (
        envelope(ACTION + f'<x:y xmlns:x="urn:x" s:mustUnderstand="1" s:role="{ROLE}/none"/>'),
        {},
    ),
    "addressing for another role": (envelope(ACTION + ACTION.replace("s:must", 's:role="urn:x" s:must')), {}),
    "Security for another role": (
        envelope(ACTION + SECURITY.replace("s:must", 's:role="urn:x" s:must')),
        {"security": ()},
    ),
    "several body elements": (envelope(ACTION, "<q/><r/>"), {"body": ["q", "r"]}),
    "text and comments in the body": (envelope(ACTION, "x<!--y--><q/>z"), {}),
    "comments and text around": (envelope(ACTION).replace(b"<s:Body>", b"<!--x-->\n<s:Body>"), {}),
    "another prefix": (re.sub(rb"\bs(?=[:=])", b"soap12", envelope(ACTION)), {}),
    "UTF-16": (envelope(ACTION).decode().encode("utf-16"), {}),
}


@pytest.mark.parametrize(("raw", "expected"), TAKEN.values(), ids=TAKEN.keys())
def test_takes_what_senders_send(raw: bytes, expected: dict[str, Any]) -> None:
    read = soap.read_envelope(raw)
    assert read.action == QUERY
    assert [element.tag for element in read.body] == expected.get("body", ["q"])
    assert {name: getattr(read, name) for name in expected if name != "body"} == {
        name: value for name, value in expected.items() if name != "body"
    }


def wsa(name: str) -> tuple[str, str]:
    return ns.WSA, name


SOAP11 = envelope().replace(ns.SOAP.encode(), ns.SOAP11.encode())
UNKNOWN = '<x:y xmlns:x="urn:x" s:mustUnderstand="1"/>'

REFUSED = {
    "SOAP 1.1": (SOAP11, "VersionMismatch", None),
    "an Envelope of no namespace": (b"<Envelope/>", "VersionMismatch", None),
    "no Envelope": (b"<q/>", "Sender", None),
    "instruction in front": (b"<?xml-stylesheet href='x'?>" + envelope(), "Sender", None),
    "instruction in the header": (envelope(ACTION + "<?x y?>"), "Sender", None),
    "no Body": (envelope().replace(b"s:Body", b"s:Boody"), "Sender", None),
    "two Bodies": (envelope().replace(b"</s:Envelope>", b"<s:Body/></s:Envelope>"), "Sender", None),
    "two Headers": (envelope().replace(b"<s:Body>", b"<s:Header/><s:Body>"), "Sender", None),
    "something after the Body": (envelope().replace(b"</s:Envelope>", b"<x/></s:Envelope>"), "Sender", None),
    "empty Body": (envelope(body=""), "Sender", None),
    "text only in the Body": (envelope(body="x"), "Sender", None),
    "mark that is no boolean": (envelope(ACTION.replace('"1"', '"yes"')), "Sender", None),
    "unknown header": (envelope(ACTION + UNKNOWN), "MustUnderstand", None),
    "unknown header, marked true": (envelope(ACTION + UNKNOWN.replace('"1"', '" true "')), "MustUnderstand", None),
    "unknown header for the next": (
        envelope(ACTION + UNKNOWN.replace("/>", f' s:role="{ROLE}/next"/>')),
        "MustUnderstand",
        None,
    ),
    "unknown header for the last": (
        envelope(ACTION + UNKNOWN.replace("/>", f' s:role="{ROLE}/ultimateReceiver"/>')),
        "MustUnderstand",
        None,
    ),
    "addressing of 2004": (
        envelope(
            ACTION.replace("<a:", "<b:")
            .replace("</a:", "</b:")
            .replace(" s:", ' xmlns:b="http://schemas.xmlsoap.org/ws/2004/08/addressing" s:')
        ),
        "MustUnderstand",
        None,
    ),
    "another header of WS-Security": (envelope(ACTION + SECURITY.replace("Security", "Other")), "MustUnderstand", None),
    "no Header": (
        envelope("").replace(b"<s:Header></s:Header>", b""),
        "Sender",
        wsa("MessageAddressingHeaderRequired"),
    ),
    "no Action": (envelope(MESSAGE_ID), "Sender", wsa("MessageAddressingHeaderRequired")),
    "blank Action": (envelope("<a:Action> </a:Action>"), "Sender", wsa("MessageAddressingHeaderRequired")),
    "two words in the Action": (
        envelope("<a:Action>urn:x urn:y</a:Action>"),
        "Sender",
        wsa("InvalidAddressingHeader"),
    ),
    "element in the Action": (
        envelope("<a:Action>urn:x<b/></a:Action>"),
        "Sender",
        wsa("InvalidAddressingHeader"),
    ),
    **{
        f"{name} twice": (
            envelope(ACTION + MESSAGE_ID + TO + REPLY_TO + again),
            "Sender",
            wsa("InvalidAddressingHeader"),
        )
        for name, again in {"Action": ACTION, "MessageID": MESSAGE_ID, "To": TO, "ReplyTo": REPLY_TO}.items()
    },
    "FaultTo twice": (
        envelope(ACTION + REPLY_TO.replace("ReplyTo", "FaultTo") * 2),
        "Sender",
        wsa("InvalidAddressingHeader"),
    ),
    "ReplyTo without Address": (envelope(ACTION + "<a:ReplyTo/>"), "Sender", wsa("InvalidAddressingHeader")),
    "ReplyTo as text": (
        envelope(f"{ACTION}<a:ReplyTo>{ns.WSA_ANONYMOUS}</a:ReplyTo>"),
        "Sender",
        wsa("InvalidAddressingHeader"),
    ),
    "ReplyTo with two Addresses": (
        envelope(ACTION + REPLY_TO.replace("<a:Address>", "<a:Address>urn:x</a:Address><a:Address>")),
        "Sender",
        wsa("InvalidAddressingHeader"),
    ),
    "ReplyTo with a blank Address": (
        envelope(ACTION + "<a:ReplyTo><a:Address> </a:Address></a:ReplyTo>"),
        "Sender",
        wsa("InvalidAddressingHeader"),
    ),
    "ReplyTo elsewhere": (
        envelope(ACTION + REPLY_TO.replace(ns.WSA_ANONYMOUS, "http://169.254.169.254/")),
        "Sender",
        wsa("OnlyAnonymousAddressSupported"),
    ),
    "FaultTo elsewhere": (
        envelope(ACTION + REPLY_TO.replace("ReplyTo", "FaultTo").replace(ns.WSA_ANONYMOUS, "http://127.0.0.1/")),
        "Sender",
        wsa("OnlyAnonymousAddressSupported"),
    ),
}


@pytest.mark.parametrize(("raw", "code", "subcode"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_with_the_fault_that_is_due(raw: bytes, code: str, subcode: tuple[str, str] | None) -> None:
    with pytest.raises(SoapFault) as caught:
        soap.read_envelope(raw)
    assert (caught.value.code, caught.value.subcode) == (code, subcode)
    assert caught.value.http_status == (400 if code == "Sender" else 500)


def test_names_every_header_it_does_not_understand() -> None:
    with pytest.raises(SoapFault) as caught:
        soap.read_envelope(envelope(ACTION + UNKNOWN + SECURITY + '<z s:mustUnderstand="1"/>'))
    assert caught.value.not_understood == (("urn:x", "y"), ("", "z"))


@pytest.mark.parametrize("raw", [b"", b"x", b'<!DOCTYPE s:Envelope><s:Envelope xmlns:s="urn:s"/>', envelope()[:-1]])
def test_what_is_not_xml_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        soap.read_envelope(raw)
    with pytest.raises(MalformedMessage):
        soap.read_reply(raw)
    assert soap.message_id_of(raw) == ""


def test_limits_are_the_callers() -> None:
    raw = envelope(body=f"<q>{'Q' * 10_000_001}</q>")
    with pytest.raises(MalformedMessage, match="too large"):
        soap.read_envelope(raw)
    assert soap.read_envelope(raw, limit=len(raw), huge=True).action == QUERY


def test_finds_the_message_id_of_a_refused_message() -> None:
    assert soap.message_id_of(envelope(MESSAGE_ID + UNKNOWN)) == "urn:uuid:1"
    assert soap.message_id_of(envelope(ACTION)) == ""
    assert soap.message_id_of(SOAP11) == ""


# Out


def test_writes_a_message_that_it_reads() -> None:
    security = b'<w:Security xmlns:w="%b" xmlns:s="%b" s:mustUnderstand="1">t</w:Security>' % (
        ns.WSSE.encode(),
        ns.SOAP.encode(),
    )
    raw = b"".join(
        soap.write_envelope(
            QUERY,
            b"<q/>",
            message_id="urn:uuid:1",
            relates_to="urn:uuid:0",
            to="https://registry.example/?a&b",
            reply_to_anonymous=True,
            security=security,
        )
    )
    read = soap.read_envelope(raw)
    assert (read.action, read.message_id, read.relates_to) == (QUERY, "urn:uuid:1", "urn:uuid:0")
    assert (read.to, read.reply_to) == ("https://registry.example/?a&b", ns.WSA_ANONYMOUS)
    assert [element.text for element in read.security] == ["t"]
    (action,) = [block for block in read.headers if block.tag == E(ns.WSA, "Action")]
    assert action.get(E(ns.SOAP, "mustUnderstand")) == "1"


def test_writes_only_what_it_was_given() -> None:
    raw = b"".join(soap.write_envelope(QUERY, b"<q/>"))
    read = soap.read_envelope(raw)
    assert [etree.QName(block).localname for block in read.headers] == ["Action"]
    assert read.root.nsmap == {"soap": ns.SOAP, "wsa": ns.WSA}
    assert read.body[0].tag == "q"


def test_streams_the_body() -> None:
    taken: list[bytes] = []

    def body() -> Iterator[bytes]:
        for piece in (b"<q>", b"1", b"</q>"):
            taken.append(piece)
            yield piece

    pieces = soap.write_envelope(QUERY, body(), relates_to="urn:uuid:0")
    assert next(pieces).endswith(b"<soap:Body>")
    assert taken == []
    assert next(pieces) == b"<q>"
    assert taken == [b"<q>"]
    assert b"".join(pieces) == b"1</q></soap:Body></soap:Envelope>"


texts = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1)


@given(texts, texts, texts)
def test_any_text_survives_the_header(action: str, message_id: str, relates_to: str) -> None:
    raw = b"".join(soap.write_envelope(action, [b"<q/>"], message_id=message_id, relates_to=relates_to))
    read = soap.read_envelope(raw)
    assert (read.action, read.message_id, read.relates_to) == (action, message_id, relates_to)


FAULTS = {
    "addressing": (
        SoapFault("Sender", "not served here", subcode=(ns.WSA, "ActionNotSupported"), detail="secret"),
        f"{ns.WSA}/fault",
    ),
    "token": (SecurityFault("FailedCheck", "secret"), f"{ns.WSA}/soap/fault"),
    "plain": (SoapFault("Receiver", "an error inside <&> \x00", detail="secret"), f"{ns.WSA}/soap/fault"),
    "own subcode": (SoapFault("Sender", "no", subcode=("urn:x?a&b", "y")), f"{ns.WSA}/soap/fault"),
    "version": (SoapFault("VersionMismatch", "only SOAP 1.2"), f"{ns.WSA}/soap/fault"),
    "header": (
        SoapFault("MustUnderstand", "unknown", not_understood=(("urn:x", "y"), ("urn:z", "y"), ("", "y"))),
        f"{ns.WSA}/soap/fault",
    ),
}


@pytest.mark.parametrize(("fault", "action"), FAULTS.values(), ids=FAULTS.keys())
def test_reads_the_faults_it_writes(fault: SoapFault, action: str) -> None:
    raw = soap.write_fault(fault, relates_to="urn:uuid:1", trace=TRACE)
    with pytest.raises(SoapFault) as caught:
        soap.read_reply(raw)
    assert (caught.value.code, caught.value.subcode) == (fault.code, fault.subcode)
    assert caught.value.reason == f"{fault.reason} [trace {TRACE}]".replace("\x00", "\ufffd")
    assert b"secret" not in raw
    header = xml.parse(raw)[0]
    assert header.findtext(E(ns.WSA, "Action")) == action
    assert header.findtext(E(ns.WSA, "RelatesTo")) == "urn:uuid:1"


def test_a_fault_binds_its_prefixes_on_the_envelope() -> None:
    root = xml.parse(soap.write_fault(FAULTS["token"][0], trace=TRACE))
    assert root.nsmap["wsse"] == ns.WSSE
    value = root.find(f".//{E(ns.SOAP, 'Subcode')}/{E(ns.SOAP, 'Value')}")
    assert value is not None
    assert value.text == "wsse:FailedCheck"
    assert root.find(f".//{E(ns.WSA, 'RelatesTo')}") is None


def test_a_fault_lists_the_headers_not_understood() -> None:
    root = xml.parse(soap.write_fault(FAULTS["header"][0], trace=TRACE))
    names = []
    for block in root.iter(E(ns.SOAP, "NotUnderstood")):
        prefix, _, local = block.get("qname", "").rpartition(":")
        names.append((root.nsmap[prefix] if prefix else "", local))
    assert names == [("urn:x", "y"), ("urn:z", "y"), ("", "y")]


def test_a_version_mismatch_says_what_is_spoken() -> None:
    root = xml.parse(soap.write_fault(FAULTS["version"][0], trace=TRACE))
    (supported,) = root.iterfind(f"{E(ns.SOAP, 'Header')}/{E(ns.SOAP, 'Upgrade')}/{E(ns.SOAP, 'SupportedEnvelope')}")
    assert supported.get("qname") == "soap:Envelope"
    assert root.nsmap["soap"] == ns.SOAP


# Answers of peers


def fault(inner: str) -> bytes:
    """A peer's fault."""
    return envelope(ACTION, f"<s:Fault>{inner}</s:Fault>")


REASON = '<s:Reason><s:Text xml:lang="de">nein</s:Text><s:Text xml:lang="en-GB">no</s:Text></s:Reason>'

PEER_FAULTS = {
    "plain": (f"<s:Code><s:Value>s:Sender</s:Value></s:Code>{REASON}", ("Sender", None, "no", "")),
    "nested subcodes": (
        "<s:Code><s:Value> s:Receiver </s:Value><s:Subcode><s:Value xmlns:t='urn:t'>t:one</s:Value>"
        f"<s:Subcode><s:Value>a:two</s:Value></s:Subcode></s:Subcode></s:Code>{REASON}",
        ("Receiver", ("urn:t", "one"), "no", ""),
    ),
    "subcode without prefix": (
        "<s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>one</s:Value></s:Subcode></s:Code>",
        ("Sender", ("", "one"), "", ""),
    ),
    "detail": (
        "<s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text xml:lang='fr'>non</s:Text></s:Reason>"
        "<s:Detail><x>more</x></s:Detail>",
        ("Receiver", None, "non", "more"),
    ),
    "prefix of nobody": ("<s:Code><s:Value>env:Receiver</s:Value></s:Code>", ("Receiver", None, "", "")),
}


@pytest.mark.parametrize(("inner", "expected"), PEER_FAULTS.values(), ids=PEER_FAULTS.keys())
def test_raises_a_peers_fault(inner: str, expected: tuple[str, tuple[str, str] | None, str, str]) -> None:
    with pytest.raises(SoapFault) as caught:
        soap.read_reply(fault(inner))
    error = caught.value
    assert (error.code, error.subcode, error.reason, error.detail) == expected


@pytest.mark.parametrize(
    "raw",
    [
        SOAP11,
        b"<html/>",
        envelope(ACTION + UNKNOWN),
        envelope(ACTION + ACTION),
        fault(""),
        fault("<s:Code><s:Value>s:Other</s:Value></s:Code>"),
    ],
    ids=["SOAP 1.1", "not SOAP", "unknown header", "two actions", "fault without code", "fault of unknown code"],
)
def test_an_answer_that_is_none_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        soap.read_reply(raw)


def test_reads_an_answer() -> None:
    raw = b"".join(soap.write_envelope(f"{QUERY}Response", b"<q/>", relates_to="urn:uuid:1"))
    read = soap.read_reply(raw)
    assert (read.action, read.relates_to) == (f"{QUERY}Response", "urn:uuid:1")
    assert soap.read_reply(envelope("")).action == ""


READABLE = [
    "XDS.b/ProvideAndRegisterDocumentSet-bRequest_SOAP.xml",
    "XDS.b/ProvideAndRegisterDocumentSet-bResponse_SOAP.xml",
    "XDS.b/RegisterOnDemandDocumentEntryRequest_SOAP.xml",
    "XDS.b/RegistryStoredQueryRequest_SOAP.xml",
    "XDS.b/RegistryStoredQueryResponse_SOAP.xml",
    "RMD/RemoveMetadataRequest_SOAP.xml",
    "XCA/XCACrossGatewayQueryRequest.xml",
    "XCA/XCACrossGatewayQueryResponse.xml",
    "XCPD/XCPDCrossGatewayPatientDiscoveryRequest.xml",
]


@pytest.mark.oracle
@pytest.mark.parametrize("sample", READABLE)
def test_reads_the_samples_of_the_profiles(sample: str) -> None:
    raw = corpus("ihe-iti-info-examples", *sample.split("/")).read_bytes()
    read = soap.read_envelope(raw)
    assert read.action.startswith(("urn:ihe:iti:", "urn:hl7-org:v3:"))
    assert read.message_id or read.relates_to
    assert len(read.body) == 1
