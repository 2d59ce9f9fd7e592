"""transport/soap_client: what is written around a body is zeep's, whatever address, id and header a message has."""

from __future__ import annotations

import pytest
from lxml import etree

from xdsi.spec import namespaces as ns
from xdsi.storage.spool import RequestSpool
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.transport.soap_client import SoapClient
from xdsi.wire.xml import E

URLS = ("https://hub.example.org/services/registry", "http://127.0.0.1:1/a?b=1&c=%3C", "https://hub/</soap:Header>")


def no_spool() -> RequestSpool:
    raise AssertionError("nothing is answered here")


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("transaction", [iti18.TRANSACTION, iti42.TRANSACTION], ids=["ITI-18", "ITI-42"])
def test_each_message_has_its_own_id_and_the_operations_header(transaction: object, url: str) -> None:
    client = SoapClient(url, make_spool=no_spool)
    for number in range(2):
        pieces = client._envelope(transaction, [b"<a/>", b"<b/>"], f"urn:uuid:{number}", b'<s xmlns="urn:s"/>')  # type: ignore[arg-type]
        root = etree.fromstring(b"".join(pieces), etree.XMLParser())
        header, body = root
        assert {child.tag: child.text for child in header if len(child) == 0} == {
            E(ns.WSA, "Action"): transaction.trigger,  # type: ignore[attr-defined]
            E(ns.WSA, "MessageID"): f"urn:uuid:{number}",
            E(ns.WSA, "To"): url,
            "{urn:s}s": None,
        }
        assert header.findtext(f"{E(ns.WSA, 'ReplyTo')}/{E(ns.WSA, 'Address')}") == ns.WSA_ANONYMOUS
        assert [child.tag for child in body] == ["a", "b"]
