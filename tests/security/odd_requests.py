"""Requests whose bytes are odd: paths, methods, versions, headers given twice, folded or beside others.

Each is written for a study and a token, and says what becomes of it where the study may be seen: some servers take what
others refuse, and a way that nobody gets through needs to be known as such.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.security.targets import Target

OK, BAD, UNAUTHORIZED, MISSING, NOT_ALLOWED, NOT_ACCEPTABLE = 200, 400, 401, 404, 405, 406


@dataclass(frozen=True)
class Shown:
    """Who asks, in both forms."""

    token: str
    assertion: str
    port: int


Build = Callable[[Target, Shown], str]


def get(
    path: str, *, before: str = "", after: str = "", method: str = "GET", version: str = "HTTP/1.1", shown: str = "{t}"
) -> Build:
    """A request; `{p}` is the instance's path, `{s}` its study, `{t}` the token, `{a}` the assertion."""

    def build(it: Target, by: Shown) -> str:
        credential = f"Authorization: Bearer {shown}\r\n" if shown else ""
        text = f"{method} {path} {version}\r\nHost: 127.0.0.1\r\n{before}{credential}{after}"
        for name, value in (("{p}", it.path), ("{s}", it.study), ("{t}", by.token), ("{a}", by.assertion)):
            text = text.replace(name, value)
        for name, value in (("{o}", str(by.port)), ("{x}", it.study.replace(".", "%2E")), ("{i}", it.instance)):
            text = text.replace(name, value)
        return text + "Connection: close\r\n\r\n"

    return build


META = "/dicom-web{p}/metadata"
BAD_HEADER, BOTH = "X-A: b\r\n", "Authorization: IHE-SAML {a}\r\n"

REST: dict[str, tuple[Build, int]] = {
    "as it is meant": (get(META), OK),
    "with an assertion as bearer": (get(META, shown="{a}"), OK),
    "two slashes before": (get("/" + META), MISSING),
    "two slashes within": (get("/dicom-web/{p}/metadata"), MISSING),
    "a slash behind": (get(META + "/"), OK),
    "a dot segment": (get("/dicom-web/.{p}/metadata"), MISSING),
    "a dot segment that leads nowhere else": (get("/dicom-web/studies/../{p}/metadata"), MISSING),
    "matrix parameters": (get(META + ";v=1"), MISSING),
    "matrix parameters of the study": (get("/dicom-web/studies/{s};a=b/metadata"), BAD),
    "dots in percent": (get("/dicom-web/studies/{x}/metadata"), OK),
    "a slash in percent": (get("/dicom-web%2fstudies/{s}/metadata"), OK),
    "letters in percent": (get("/%64icom-web/studies/{s}/met%61data"), OK),
    "percent twice": (get("/dicom-web/studies/{s}%252Fmetadata"), BAD),
    "overlong UTF-8": (get("/dicom-web/studies/{s}%c0%afmetadata"), BAD),
    "full-width digits": (get("/dicom-web/studies/%EF%BC%91{s}/metadata"), BAD),
    "upper case": (get("/Dicom-Web{p}/METADATA"), MISSING),
    "a backslash": (get("/dicom-web\\studies\\{s}\\metadata"), MISSING),
    "a NUL behind": (get(META + "%00"), MISSING),
    "a line end in percent": (get(META + "%0d%0aX-Injected:%201"), MISSING),
    "a fragment": (get(META + "#x"), OK),
    "an address of its own": (get("https://127.0.0.1:{o}" + META), OK),
    "an address elsewhere": (get("http://169.254.169.254" + META), OK),
    "a method in small letters": (get(META, method="get"), BAD),
    "HEAD": (get(META, method="HEAD"), OK),
    "CONNECT": (get("127.0.0.1:{o}", method="CONNECT"), MISSING),
    "POST": (get(META, method="POST", after="Content-Length: 0\r\n"), NOT_ALLOWED),
    "POST that overrides its method": (
        get(META, method="POST", after="X-HTTP-Method-Override: GET\r\nContent-Length: 0\r\n"), NOT_ALLOWED,
    ),
    "HTTP/1.0": (get(META, version="HTTP/1.0"), OK),
    "HTTP/2.0": (get(META, version="HTTP/2.0"), BAD),
    "two tokens": (get(META, after="Authorization: Bearer {t}\r\n"), UNAUTHORIZED),
    "a token beside an assertion": (get(META, after=BOTH), UNAUTHORIZED),
    "an assertion beside a token": (get(META, before=BOTH), UNAUTHORIZED),
    "a folded token": (get(META, shown="\r\n {t}"), BAD),
    "a space before the colon": (get(META, shown="", after="Authorization : Bearer {t}\r\n"), BAD),
    "an underscore for a hyphen": (get(META, shown="", after="HTTP_AUTHORIZATION: Bearer {t}\r\n"), UNAUTHORIZED),
    "a token in a trailer": (
        get(META, shown="", after="Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n"), UNAUTHORIZED,
    ),
    "two hosts": (get(META, after="Host: elsewhere\r\n"), BAD),
    "another script name": (get("/dicom-web" + META, after="SCRIPT_NAME: /dicom-web\r\n"), OK),
    "a path in a header": (
        get("/dicom-web/studies/1.2.3/metadata", after="PATH_INFO: /dicom-web{p}/metadata\r\n"), MISSING,
    ),
    "a node in a header": (get(META, after="X-SSL-Client-Cert: x\r\nX_SSL_Client_Cert: x\r\n"), OK),
    "if it is another": (get(META, after='If-None-Match: "a", W/"b"\r\n'), OK),
    "if it matches": (get(META, after="If-Match: *\r\nIf-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT\r\n"), OK),
    "several ranges": (get("/dicom-web{p}", after="Range: bytes=0-1,5-6\r\nIf-Range: x\r\nAccept: */*\r\n"), OK),
    "a range of nothing": (get("/dicom-web{p}", after="Range: bytes=99999999-\r\nAccept: */*\r\n"), OK),
    "a range of frames": (get("/dicom-web{p}/frames/1-2", after="Accept: */*\r\n"), BAD),
    "a frame that is not there": (get("/dicom-web{p}/frames/77", after="Accept: */*\r\n"), MISSING),
    "bulk data by path": (get("/dicom-web{p}/bulkdata/7FE00010", after="Accept: */*\r\n"), OK),
    "a media type nobody has": (get("/dicom-web{p}", after="Accept: application/pdf\r\n"), NOT_ACCEPTABLE),
    "a media type in the query": (get(META + "?accept=application/dicom%2Bxml"), NOT_ACCEPTABLE),
    "a picture without its window": (get("/dicom-web{p}/rendered?window=1,2", after="Accept: image/jpeg\r\n"), OK),
}  # fmt: skip
"""name -> the request, and the status where the study may be seen"""
