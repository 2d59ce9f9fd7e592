"""What could tell of a hidden study although no answer does: counts, totals, pages, and what is called from here."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Sequence

import pytest
import requests

from tests.security.asking import SOAP12, Asker, all_of, of_patient, quoted
from tests.security.raw import sent
from tests.security.targets import Target
from tests.trusted import DOE, PETER, Trusted, token
from xdsi.domain.stored_query import AdhocQuery
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti51_multi_patient_stored_query as iti51
from xdsi.wire.saml_issue import security_header


def test_counts_are_for_who_is_permitted_them(trusted: Trusted, hidden: Target) -> None:
    """Whether a hospital asked for a decision shows in the hub's counts."""
    Asker(trusted).images(all_of(hidden.study))
    request = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    for node in ("consumer", "hospital-a"):
        refused = sent(trusted, request, node=node)
        assert refused.statuses == (403,)
        assert b"_total" not in refused.content
    permitted = sent(trusted, request, node="hub")
    assert permitted.statuses == (200,)
    assert b'xdsi_exchanges_total{outcome="failure",transaction="RAD-69"}' in permitted.content


def test_the_queue_of_publishing_is_for_who_is_permitted_it(trusted: Trusted) -> None:
    """It names studies, whether anybody may see them or not, and patients in its reasons."""
    head = b" /publishing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    for node in ("consumer", "hospital-a"):
        for request in (b"GET" + head + b"\r\n", b"POST" + head + b"Content-Length: 5\r\n\r\nall=1"):
            refused = sent(trusted, request, node=node)
            assert refused.statuses == (403,)
            assert b"set aside" not in refused.content
    permitted = sent(trusted, b"GET" + head + b"\r\n", node="hub")
    assert permitted.statuses == (200,)
    assert b"nothing was set aside" in permitted.content


def total(answer: requests.Response) -> int:
    found = re.search(rb'totalResultCount="(\d+)"', answer.content)
    assert found is not None, answer.content[:1000]
    return int(found[1])


@pytest.mark.parametrize("return_type", ["LeafClass", "ObjectRef"])
@pytest.mark.parametrize("page", [(0, 1), (0, 100), (1, 1)])
def test_totals_and_pages_count_what_may_be_seen(trusted: Trusted, return_type: str, page: tuple[int, int]) -> None:
    start, most = page
    asker = Asker(trusted)

    def find(patient: str) -> int:
        query = AdhocQuery(uuids.FIND_DOCUMENTS, return_type, _slots(patient), start_index=start, max_results=most)
        return total(asker.send(iti18.TRANSACTION, query, "registry"))

    def find_of_several(*patients: str) -> int:
        slots = (
            ("$XDSDocumentEntryPatientId", ("(" + ",".join(quoted(one) for one in patients) + ")",)),
            ("$XDSDocumentEntryStatus", (f"('{APPROVED}')",)),
        )
        query = AdhocQuery(
            uuids.FIND_DOCUMENTS_FOR_MULTIPLE_PATIENTS, return_type, slots, start_index=start, max_results=most
        )
        return total(asker.send(iti51.TRANSACTION, query, "registry"))

    assert find(PETER) == 0
    assert find(DOE) >= 3, "a manifest, a consent and its signature"
    assert find_of_several(PETER) == 0
    assert find_of_several(PETER, DOE) == find_of_several(DOE) == find(DOE)


def _slots(patient: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, tuple(values)) for name, values in of_patient(patient))


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """Somebody who would notice a call."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


def called(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


FILES: Sequence[str] = (
    '<!DOCTYPE a SYSTEM "{u}/a.dtd"><a/>',
    '<!DOCTYPE a [<!ENTITY b SYSTEM "{u}/b">]><a>&b;</a>',
    '<a xmlns:x="http://www.w3.org/2001/XInclude"><x:include href="{u}/c"/></a>',
    '<?xml-stylesheet href="{u}/d"?><a xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
    ' i:noNamespaceSchemaLocation="{u}/e"/>',
    '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo><Reference URI="{u}/f"/></SignedInfo>'
    "</Signature>",
    '<Envelope xmlns="http://www.w3.org/2003/05/soap-envelope"><Body>'
    '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="{u}/g"/></Body></Envelope>',
    '<PolicySet xmlns="urn:oasis:names:tc:xacml:2.0:policy:schema:os">'
    "<PolicySetIdReference>{u}/h</PolicySetIdReference></PolicySet>",
    '{{"resourceType": "ImagingStudy", "endpoint": [{{"address": "{u}/i"}}], "$ref": "{u}/j"}}',
    "{u}/k",
)  # fmt: skip


@pytest.mark.parametrize("text", FILES)
def test_a_file_that_is_judged_makes_nobody_call(trusted: Trusted, elsewhere: socket.socket, text: str) -> None:
    address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
    answer = trusted.session.post(
        f"{trusted.server.base_url}/validator", data={"text": text.format(u=address)}, timeout=60
    )
    assert answer.status_code == 200
    assert not called(elsewhere)
    with socket.create_connection(elsewhere.getsockname()):
        assert called(elsewhere), "a call is noticed"


def test_a_credential_is_that_of_one_request(trusted: Trusted, hidden: Target, visible: Target) -> None:
    """On one connection, one behind the other: the second shows nothing, or may not see it."""

    def request(it: Target, credential: str, end: str) -> bytes:
        head = f"GET /dicom-web{it.path}/metadata HTTP/1.1\r\nHost: 127.0.0.1\r\n{credential}{end}\r\n"
        return head.encode()

    close, shown = "Connection: close\r\n", f"Authorization: Bearer {token()}\r\n"
    for it, credential, status in ((visible, "", 401), (hidden, "", 401), (hidden, shown, 404), (visible, shown, 200)):
        first, second = request(visible, shown, ""), request(it, credential, close)
        answer = sent(trusted, first + second)
        assert answer.statuses == (200, status)
        assert not [one for one in hidden.identifiers if one in answer.content and one not in second]


def test_an_assertion_of_a_key_is_for_its_holder_alone(trusted: Trusted, visible: Target) -> None:
    """Also after the holder has used it, and the hub remembers it; and he goes on using it."""
    plain = Asker(trusted)
    held = ssl.PEM_cert_to_DER_cert((trusted.pki / "consumer.pem").read_text())
    asker = Asker(trusted, security=security_header(plain.assertion(holder_certificate=held)))
    first = asker.query(uuids.FIND_DOCUMENTS, *of_patient(visible.patient))
    assert visible.entry_uuid.encode() in first.content
    body = first.request.body
    assert isinstance(body, bytes)
    head = (
        f"POST /services/registry HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {SOAP12}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    for node, seen in (("hospital-a", False), ("consumer", True), ("hospital-a", False), ("hub", False)):
        answer = sent(trusted, head.encode() + body, node=node).content
        assert (visible.entry_uuid.encode() in answer) is seen
        assert (b"FailedAuthentication" in answer) is not seen
