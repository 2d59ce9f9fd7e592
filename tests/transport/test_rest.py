"""Images over REST from a real server: who is let in, what is decided, what is on record."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from email.parser import BytesParser
from io import BytesIO

import pydicom
import pytest
import requests

from tests.certificates import identity
from tests.imaging import STUDIES
from tests.servers import wait_until
from tests.test_exchange import CALLER, World, actor, transaction
from tests.trusted import CT, DOE, MR, PORTER, XR, Trusted, token
from xdsi.domain.errors import SoapFault
from xdsi.domain.outcome import Outcome, Problem
from xdsi.storage.folder_pacs import FolderPacs
from xdsi.transport.rest import RestEndpoint, RestService
from xdsi.wire.http import plain

STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def kept(study_uid: str) -> dict[str, bytes]:
    """The instances of a study as they lie in the folder."""
    pacs = FolderPacs(STUDIES)
    study = pacs.study(study_uid)
    assert study is not None
    return {one.sop_instance_uid: b"".join(pacs.open(one)) for one in study.instances}


def parts_of(answer: requests.Response) -> list[tuple[str, bytes]]:
    """Content-Type and bytes of each part, as the standard library reads them."""
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.content)
    assert message.is_multipart()
    return [(part["Content-Type"], bytes(part.get_payload(decode=True))) for part in message.get_payload()]


def instances_of(answer: requests.Response) -> dict[str, bytes]:
    return {str(pydicom.dcmread(BytesIO(body)).SOPInstanceUID): body for _, body in parts_of(answer)}


# -- who is let in


@pytest.mark.parametrize("form", ["access token", "IHE-SAML", "assertion as Bearer"])
def test_a_study_consented_to_arrives_bit_for_bit_by_any_credential(trusted: Trusted, form: str) -> None:
    shown = f"Bearer {token()}" if form == "access token" else trusted.saml()
    if form == "assertion as Bearer":
        # ITI TF-2 3.72.4.2, in the alphabet of RFC 7522 section 2.1.
        shown = shown.replace("IHE-SAML", "Bearer").replace("+", "-").replace("/", "_").rstrip("=")
    answer = trusted.get(f"/dicom-web/studies/{CT}", shown, STORED)
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert instances_of(answer) == kept(CT)
    trace = answer.headers["Xdsi-Trace"]
    wait_until(lambda: bool(trusted.audited(trace)))
    assert trusted.audited(trace) == [("RAD-107", 0)]
    explained = trusted.explained(trace)
    assert '"permit": true' in explained
    assert ("dr.jekyll@https://idp.example" if form == "access token" else "<dr@idp>") in explained


COUNTED = [
    pytest.param(Outcome(), 200, "success", id="everything"),
    pytest.param(Outcome.of([Problem("404", "gone")], delivered=1), 206, "partial", id="some"),
    pytest.param(Outcome.of([Problem("404", "gone")], delivered=0), 404, "refused", id="nothing"),
    pytest.param(Outcome.of([Problem("503", "away")], delivered=0), 503, "failure", id="an archive that is away"),
    pytest.param(ZeroDivisionError(), 500, "failure", id="a mistake of ours"),
    pytest.param(SoapFault("Sender", "no resource", http_status=404), 404, "refused", id="no resource"),
]


@pytest.mark.parametrize(("answer", "status", "outcome"), COUNTED)
def test_an_exchange_is_counted_as_what_its_answer_reports(
    answer: Outcome | Exception, status: int, outcome: str
) -> None:
    world = World(outcome=answer) if isinstance(answer, Outcome) else World(fail={"handle": answer})
    counted: list[tuple[str, str]] = []
    service = RestService(
        transaction=transaction(world), read=lambda http: "asked", write=lambda made, asked, http: plain(status, "")
    )
    endpoint = RestEndpoint(
        actor(world, service.transaction, trust=None),
        service,
        peer_of=lambda environ: CALLER.peer,
        observe=lambda *told: counted.append(told),
    )
    answered: list[str] = []
    list(endpoint({"REQUEST_METHOD": "GET"}, lambda line, headers: answered.append(line)))
    assert answered[0].startswith(f"{status} ")
    assert counted == [("ITI-18", outcome)]


STRANGER = identity("jwt-stranger")


@pytest.mark.parametrize(
    ("authorization", "why"),
    [
        (lambda: "", "no Authorization header"),
        (lambda: "Bearer", "not one scheme"),
        (lambda: "Basic ZHI6ZHI=", "the scheme 'Basic'"),
        (lambda: "Bearer a.b.c", "not a signed token"),
        (lambda: f"Bearer {token()}, Bearer {token()}", "not one scheme"),
        (lambda: f"Bearer {token(exp=1)}", "ended"),
        (lambda: f"Bearer {token(aud='urn:oid:2.999.2')}", "the token is for"),
        (lambda: f"Bearer {token(iss='https://other.example')}", "unknown issuer"),
        (lambda: f"Bearer {token(signer=STRANGER)}", "no key of"),
        (lambda: "IHE-SAML !!", "not one scheme"),
        (lambda: "IHE-SAML " + base64.b64encode(b"<a/>").decode(), "0 assertions"),
        (lambda: "Bearer " + base64.b64encode(b"<a/>").decode(), "0 assertions"),
        (lambda: "Bearer " + base64.b64encode(b"\n <Assertion/>").decode(), "0 assertions"),
        (lambda: "Bearer " + base64.b64encode(b"{}").decode(), "not a signed token"),
    ],
)
def test_without_a_good_credential_nobody_is_told_anything(
    trusted: Trusted, authorization: Callable[[], str], why: str
) -> None:
    answer = trusted.get(f"/dicom-web/studies/{CT}", authorization())
    assert answer.status_code == 401
    challenges = answer.headers["WWW-Authenticate"]
    assert 'Bearer realm="xdsi"' in challenges
    assert "IHE-SAML" in challenges
    assert ('error="invalid_token"' in challenges) is bool(authorization())
    trace = answer.headers["Xdsi-Trace"]
    assert answer.text == f"security token refused [trace {trace}]\n"
    wait_until(lambda: bool(trusted.audited(trace)))
    assert trusted.audited(trace) == [("110143", 8)]
    assert why in trusted.explained(trace)


def test_refused_and_missing_look_alike(trusted: Trusted) -> None:
    """Not consented to, not published, not there, somebody else's role: one answer."""
    porter = f"Bearer {token(PORTER)}"
    answers = [
        trusted.get(f"/dicom-web/studies/{uid}", shown, STORED)
        for uid, shown in ((MR, None), (XR, None), ("1.2.3", None), (CT, porter), (MR, porter))
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text.partition("[")[0] for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1
    denied = answers[3].headers["Xdsi-Trace"]
    wait_until(lambda: len(trusted.audited(denied)) > 1)
    assert trusted.audited(denied) == [("110144", 4), ("RAD-107", 8)]
    assert '"permit": false' in trusted.explained(denied)


@pytest.mark.parametrize(
    "rest", ["", "/metadata", "/rendered", "/frames/1", "/frames/1/rendered", "/bulkdata/7FE00010"]
)
def test_every_resource_of_an_instance_is_decided_on(trusted: Trusted, rest: str) -> None:
    path = "/dicom-web" + instance_path(MR) + rest
    assert trusted.get(path).status_code == 404
    assert trusted.get(path, "").status_code == 401
    allowed = "/dicom-web" + instance_path(CT) + rest
    assert trusted.get(allowed).status_code == 200
    assert trusted.get(allowed, f"Bearer {token(PORTER)}").status_code == 404


def instance_path(study_uid: str) -> str:
    study = FolderPacs(STUDIES).study(study_uid)
    assert study is not None
    series = study.series[0]
    return f"/studies/{study_uid}/series/{series.series_instance_uid}/instances/{series.instances[0].sop_instance_uid}"


def test_a_token_for_one_patient_opens_nobody_elses(trusted: Trusted) -> None:
    extensions = json.loads(json.dumps(claims_of("99999^^^&2.999.1.5&ISO")))
    other = trusted.get(f"/dicom-web/studies/{CT}", f"Bearer {token(extensions=extensions)}", STORED)
    own = trusted.get(f"/dicom-web/studies/{CT}", f"Bearer {token(extensions=claims_of(DOE))}", STORED)
    assert (other.status_code, own.status_code) == (404, 200)


def claims_of(patient: str) -> dict[str, object]:
    from tests.trusted import claims

    extensions = claims()["extensions"]
    return {**extensions, "ihe_bppc": {"patient_id": patient}}


# -- forms and statuses


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        (f"/studies/{CT}", "application/dicom", 406),
        (f"/studies/{CT}", "text/html", 406),
        (f"/studies/{CT}", 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90', 406),
        (f"/studies/{CT}", "multipart/related; type=application/dicom; transfer-syntax=*;q=0", 406),
        (f"/studies/{CT}", 'text/html, multipart/related; type="application/dicom"; q=0.1', 200),
        (f"/studies/{CT}/metadata", "application/dicom+json", 200),
        (f"/studies/{CT}/metadata", 'multipart/related; type="application/dicom+xml"', 406),
        (f"/studies/{CT}/rendered", "video/mpeg", 406),
        (f"/studies/{CT}x", "", 400),
        ("/studies", "", 404),
        (f"/studies/{CT}/series", "", 404),
        ("", "", 404),
        (f"/studies/{CT}", "nonsense", 400),
    ],
)
def test_statuses(trusted: Trusted, path: str, accept: str, status: int) -> None:
    answer = trusted.get(f"/dicom-web{path}", accept=accept)
    assert answer.status_code == status, answer.text[:300]
    assert len(answer.headers["Xdsi-Trace"]) == 32


def test_metadata_are_those_of_the_instances(trusted: Trusted) -> None:
    answer = trusted.get(f"/dicom-web/studies/{CT}/metadata", accept="application/dicom+json")
    assert answer.headers["Content-Type"] == "application/dicom+json"
    files = {uid: pydicom.dcmread(BytesIO(raw)) for uid, raw in kept(CT).items()}
    for said in answer.json():
        bulk = said["7FE00010"]["BulkDataURI"]
        dataset = pydicom.Dataset.from_json(said, lambda tag, vr, uri: b"")
        expected = files.pop(str(dataset.SOPInstanceUID))
        assert bulk.startswith(f"{trusted.server.base_url}/dicom-web/studies/{CT}/")
        if not files:
            pixels = trusted.get(bulk.removeprefix(trusted.server.base_url), accept="application/octet-stream")
            assert pixels.content == expected.PixelData
        del expected.PixelData, dataset.PixelData
        assert dataset == expected
    assert files == {}


def test_only_get_is_served(trusted: Trusted) -> None:
    answer = trusted.session.post(f"{trusted.server.base_url}/dicom-web/studies", data=b"x", timeout=60)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    head = trusted.session.head(
        f"{trusted.server.base_url}/dicom-web/studies/{CT}",
        headers={"Authorization": f"Bearer {token()}", "Accept": STORED},
        timeout=60,
    )
    assert (head.status_code, head.content) == (200, b"")


# -- by the parameters of a URL (RAD-55)


def wado(study_uid: str, **parameters: str) -> str:
    _, _, study, _, series, _, instance = instance_path(study_uid).split("/")
    named = {"requestType": "WADO", "studyUID": study, "seriesUID": series, "objectUID": instance} | parameters
    return "/wado?" + "&".join(f"{name}={value}" for name, value in named.items())


def test_an_instance_by_its_url(trusted: Trusted) -> None:
    answer = trusted.get(wado(CT, contentType="application/dicom"))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/dicom")
    assert answer.content == kept(CT)[instance_path(CT).rpartition("/")[2]]
    trace = answer.headers["Xdsi-Trace"]
    wait_until(lambda: bool(trusted.audited(trace)))
    assert trusted.audited(trace) == [("RAD-55", 0)]
    assert trusted.get(wado(CT, contentType="application/dicom"), trusted.saml()).content == answer.content
    picture = trusted.get(wado(CT, rows="16", columns="16"))
    assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/jpeg")
    assert picture.content.startswith(b"\xff\xd8")


def test_a_url_opens_no_more_than_other_ways(trusted: Trusted) -> None:
    refused = [
        trusted.get(wado(MR)),
        trusted.get(wado(CT), f"Bearer {token(PORTER)}"),
        trusted.get(wado(CT, objectUID="")),
        trusted.get(wado(CT, seriesUID="1.2")),
    ]
    assert {answer.status_code for answer in refused} == {404}
    assert len({answer.text.partition("[")[0] for answer in refused}) == 1
    assert trusted.get(wado(CT), "").status_code == 401
    assert trusted.get("/wado").status_code == 400
