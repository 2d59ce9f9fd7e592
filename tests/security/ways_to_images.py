"""Ways to the images themselves: RAD-69, RAD-107, RAD-55."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from urllib.parse import quote

import requests

from tests.security.asking import (
    LOCATION,
    Asker,
    all_of,
    archive,
    claimed,
)
from tests.security.targets import URGENT, Target, target
from tests.security.ways import right, trick
from tests.trusted import CT, DOE, XR, token
from xdsi.domain.imaging import SeriesRequest, StudyRequest
from xdsi.domain.retrieval import DocumentRequest

STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@right
def images_by_soap(asker: Asker, it: Target) -> Iterable[requests.Response]:
    wanted = SeriesRequest(it.series, (DocumentRequest("", LOCATION, it.instance),))
    yield asker.images(StudyRequest(it.study, (wanted,)))


@trick
def images_claimed_to_be_of_another_study(asker: Asker, it: Target) -> Iterable[requests.Response]:
    """The study that is decided on is one that may be seen, the images are of the other."""
    yield asker.images(claimed(CT, it.study))
    own = all_of(CT)
    theirs = all_of(it.study)
    yield asker.images(
        StudyRequest(CT, (SeriesRequest(own.series[0].series_instance_uid, theirs.series[0].documents),))
    )
    yield asker.images(
        StudyRequest(CT, (SeriesRequest(theirs.series[0].series_instance_uid, own.series[0].documents),))
    )


@trick
def images_beside_those_of_another_study(asker: Asker, it: Target) -> Iterable[requests.Response]:
    own = all_of(CT)
    both = StudyRequest(CT, (*own.series, *all_of(it.study).series))
    for answer in (asker.images(own, all_of(it.study)), asker.images(both), asker.images(all_of(it.study), own)):
        assert b"DICM" not in answer.content or b"PartialSuccess" in answer.content
        answer._content = _masked(answer.content)
        yield answer


@trick
def images_of_a_study_that_was_not_published(asker: Asker, it: Target) -> Iterable[requests.Response]:
    yield asker.images(all_of(XR))
    yield asker.images(claimed(CT, XR))


@trick
def images_in_any_form(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for syntaxes in ((), ("*",), ("1.2.840.10008.1.2.4.50",), ("",), ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")):
        yield asker.images(all_of(it.study), syntaxes=syntaxes)


@trick
def images_without_saying_which(asker: Asker, it: Target) -> Iterable[requests.Response]:
    empty = SeriesRequest(it.series, ())
    yield asker.images(StudyRequest(it.study, (empty,)))
    yield asker.images(StudyRequest(it.study, ()))
    star = SeriesRequest(it.series, (DocumentRequest("", LOCATION, "*"), DocumentRequest("", LOCATION, "")))
    yield asker.images(StudyRequest(it.study, (star,)))


def _masked(content: bytes) -> bytes:
    """An answer without the images that may be seen."""
    for raw in _own_images():
        content = content.replace(raw, b"")
    return content.replace(b"DocumentResponse>", b"own>") if b"DICM" not in content else content


@cache
def _own_images() -> tuple[bytes, ...]:
    found = archive().study(CT)
    assert found is not None
    return tuple(b"".join(archive().open(one)) for one in found.instances)


@right
def images_by_rest(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for path in (f"/studies/{it.study}", f"/studies/{it.study}/series/{it.series}", it.path):
        yield asker.hub.get(f"/dicom-web{path}", accept=STORED)


@right
def images_by_rest_with_an_assertion(asker: Asker, it: Target) -> Iterable[requests.Response]:
    yield asker.hub.get(f"/dicom-web{it.path}", asker.authorization, STORED)


@right
def metadata_by_rest(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for path in (f"/studies/{it.study}", f"/studies/{it.study}/series/{it.series}", it.path):
        yield asker.hub.get(f"/dicom-web{path}/metadata")


@right
def an_instance_by_its_url(asker: Asker, it: Target) -> Iterable[requests.Response]:
    query = f"requestType=WADO&studyUID={it.study}&seriesUID={it.series}&objectUID={it.instance}"
    yield asker.hub.get(f"/wado?{query}&contentType=application/dicom")


@trick
def pictures_of_all_kinds(asker: Asker, it: Target) -> Iterable[requests.Response]:
    below = ("rendered", "thumbnail", "frames/1", "frames/1/rendered", "frames/1/thumbnail", "bulkdata/7FE00010",
             "bulkdata", "pixeldata", "frames/1,2", "frames/0", "frames/*")  # fmt: skip
    for path in (it.path, f"/studies/{it.study}", f"/studies/{it.study}/series/{it.series}"):
        for name in below:
            yield asker.hub.get(f"/dicom-web{path}/{name}")


@trick
def an_instance_below_another_study(asker: Asker, it: Target) -> Iterable[requests.Response]:
    own = target(asker.hub, DOE, CT)
    for path in (
        f"/studies/{own.study}/series/{own.series}/instances/{it.instance}",
        f"/studies/{own.study}/series/{it.series}/instances/{it.instance}",
        f"/studies/{own.study}/series/{it.series}",
        f"/studies/{own.study}/instances/{it.instance}",
        f"/instances/{it.instance}", f"/series/{it.series}",
    ):  # fmt: skip
        for rest in ("", "/metadata", "/rendered", "/frames/1"):
            yield asker.hub.get(f"/dicom-web{path}{rest}")


@trick
def searching_the_archive(asker: Asker, it: Target) -> Iterable[requests.Response]:
    for path in ("/studies", "/series", "/instances", f"/studies/{it.study}/series", f"/studies/{it.study}/instances"):
        for query in ("", f"?PatientID={it.patient.split('^')[0]}", f"?StudyInstanceUID={it.study}&includefield=all"):
            yield asker.hub.get(f"/dicom-web{path}{query}", accept="application/dicom+json")


@trick
def paths_that_go_elsewhere(asker: Asker, it: Target) -> Iterable[requests.Response]:
    session, base = asker.hub.session, asker.hub.server.base_url
    shown = {"Authorization": f"Bearer {token()}", "Accept": "*/*"}
    for path in (
        f"/dicom-web/studies/{CT}/../{it.study}", f"/dicom-web/studies/{CT}%2f..%2f{it.study}",
        f"/dicom-web/studies/%2e%2e/studies/{it.study}", f"/dicom-web//studies/{it.study}",
        f"/dicom-web/studies/{it.study};{CT}", f"/dicom-web/studies/{it.study}%00", f"/dicom-web/studies/{it.study}%20",
        f"/dicom-web/studies/{quote(it.study, safe='').replace('.', '%2E')}/", f"/DICOM-WEB/studies/{it.study}",
        f"/dicom-web/studies/{CT}/series/{it.series}/../../../{it.study}/metadata",
        "/static/../data/xdsi.db", "/static/%2e%2e/%2e%2e/hub.toml", "/wado/../dicom-web",
        "/dicom-web/../../etc/passwd",
    ):  # fmt: skip
        prepared = requests.Request("GET", base, headers=shown).prepare()
        prepared.url = base + path
        yield session.send(prepared, timeout=60)


@trick
def url_parameters_twice(asker: Asker, it: Target) -> Iterable[requests.Response]:
    own = target(asker.hub, DOE, CT)
    first = f"requestType=WADO&seriesUID={own.series}&contentType=application/dicom"
    for query in (
        f"studyUID={own.study}&studyUID={it.study}&objectUID={it.instance}",
        f"studyUID={own.study}&objectUID={own.instance}&objectUID={it.instance}",
        f"studyUID={own.study}&objectUID={it.instance}",
        f"studyUID={it.study},{own.study}&objectUID={it.instance}",
        f"studyUID=&objectUID={it.instance}", f"objectUID={it.instance}",
        f"STUDYUID={own.study}&objectUID={it.instance}",
        f"studyUID={own.study}&objectUID={it.instance}&anonymize=yes",
        f"studyUID={own.study}&objectUID={it.instance}%00{own.instance}",
    ):  # fmt: skip
        yield _no_own(own, asker.hub.get(f"/wado?{first}&{query}"))


def _no_own(own: Target, answer: requests.Response) -> requests.Response:
    """An answer that gives what may be seen is no hole."""
    if own.pixels[0] in answer.content:
        answer._content = b""
        answer.headers.clear()
    return answer


@trick
def other_methods_and_parts(asker: Asker, it: Target) -> Iterable[requests.Response]:
    session, base = asker.hub.session, asker.hub.server.base_url
    shown = {"Authorization": f"Bearer {token()}", "Accept": "*/*"}
    for method in ("HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
        yield session.request(method, f"{base}/dicom-web{it.path}", headers=shown, timeout=60)
    for more in (
        {"Range": "bytes=0-1023"}, {"Range": "bytes=-512"}, {"If-None-Match": "*"},
        {"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, {"X-HTTP-Method-Override": "GET"},
        {"X-Original-URL": f"/dicom-web/studies/{CT}"}, {"X-Rewrite-URL": it.path},
        {"X-Forwarded-For": "127.0.0.1"}, {"Host": "localhost"}, {"X-Forwarded-Host": "localhost"},
        {"X-Client-Cert": "x"}, {"X-SSL-Client-Cert": "x"}, {"Xdsi-Trace": "0" * 32}, {"Accept-Encoding": "gzip"},
    ):  # fmt: skip
        yield session.get(f"{base}/dicom-web{it.path}", headers=shown | more, timeout=60)


@trick
def after_an_answer_to_somebody_else(asker: Asker, it: Target) -> Iterable[requests.Response]:
    """Who may see it saw it just now, on the same connection: nothing of that is kept for others."""
    for path in (f"/dicom-web{it.path}", f"/dicom-web{it.path}/rendered", f"/dicom-web/studies/{it.study}/metadata"):
        seen = asker.hub.get(path, Asker(asker.hub, URGENT).authorization)
        assert seen.status_code == 200
        assert "public" not in seen.headers.get("Cache-Control", "")
        yield asker.hub.get(path)
