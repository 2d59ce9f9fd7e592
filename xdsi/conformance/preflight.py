"""A look at an endpoint before the first case: who answers, in what form, and what can be found out without harm.

A server that nobody can speak to is told in one sentence instead of two hundred failures.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from . import secrets
from .answers import Answer, BadAnswer, printable
from .cases import SHARED, kinds, known_values
from .endpoint import Endpoint
from .engine import run
from .model import Case, Expectation, Http, Step, Token
from .results import Exchange

_HARMLESS: Mapping[str, tuple[str, str]] = {
    "registry": ("ITI-18", "probe-registry.xml"),
    "repository": ("ITI-43", "probe-repository.xml"),
    "imaging-source": ("RAD-69", "probe-images.xml"),
    "identity": ("ITI-44-add", "patient-add.xml"),
    "authorization": ("ITI-79", "probe-decision.xml"),
}
"""actor -> a request that changes nothing"""
_NODES = frozenset({"identity", "authorization"})
"""actors that nodes speak to, without an assertion"""
_NOBODY = ({"at": "//hl7:patient/hl7:id", "remove": True},)
"""a feed message that names no patient, which cannot be accepted"""
_IMAGE: Mapping[str, str] = {
    "RAD-107": "/studies/${study}/series/${series_a}/instances/${image_a1}",
    "RAD-55": "?requestType=WADO&studyUID=${study}&seriesUID=${series_a}&objectUID=${image_a1}"
    "&contentType=application%2Fdicom",
}


_PUBLISHED = "/studies/${published_study}"


@dataclass(frozen=True)
class Sight:
    """What was seen of one actor."""

    actor: str
    answers: bool
    """it speaks SOAP 1.2, or HTTP for the paths of WADO"""
    what: str
    """for people"""
    unreachable: bool = False
    """no connection: no other actor of the same server need be tried"""
    asks_for_assertion: bool = False
    trace: bool = False
    delivers_images: bool = False


@dataclass(frozen=True)
class Preflight:
    """What was seen of all actors, and the endpoint as the cases are to use it."""

    endpoint: Endpoint
    sights: tuple[Sight, ...] = ()
    error: str = ""
    """why no case is worth playing; empty where they are"""
    found: Mapping[str, str] = field(default_factory=dict)
    """feature -> why it was added or taken away"""


def look(endpoint: Endpoint, asked: Iterable[str], *, probe: bool) -> Preflight:
    """Speak to every actor once; `asked`: those that must answer. With `probe` features are found out, too."""
    sights = _sights(endpoint)
    present = {sight.actor for sight in sights if sight.answers}
    absent = {**endpoint.absent, **{sight.actor: sight.what for sight in sights if not sight.answers}}
    if not (endpoint.security or endpoint.issuer):
        absent |= {one.actor: f"it asks for an assertion: {one.what}" for one in sights if one.asks_for_assertion}
    error = _error(sights, present, frozenset(asked) & set(_HARMLESS), endpoint)
    found: dict[str, str] = {}
    features = set(endpoint.features)
    if probe and not error:
        features, found = _found_out(endpoint, sights, present, features)
    return Preflight(
        endpoint=replace(endpoint, absent=absent, features=frozenset(features)),
        sights=tuple(sights),
        error=error,
        found=found,
    )


def _sights(endpoint: Endpoint) -> list[Sight]:
    """What each actor answers; where one cannot be reached, no other of the same host and port is tried."""
    sights: list[Sight] = []
    away: dict[str, str] = {}
    for actor in _HARMLESS:
        if actor in endpoint.absent:
            continue
        place = urlsplit(endpoint.url(actor)).netloc
        if place in away:
            sights.append(Sight(actor, answers=False, what=away[place], unreachable=True))
            continue
        sights.append(_sight(endpoint, actor))
        if sights[-1].unreachable:
            away[place] = sights[-1].what
    return sights


def _error(sights: list[Sight], present: set[str], asked: frozenset[str], endpoint: Endpoint) -> str:
    """Why no case is worth playing: nobody answers, or not those that were asked for, or none without an assertion."""
    missing = [sight for sight in sights if not sight.answers and (sight.actor in asked or not present)]
    if missing:
        return "\n".join(dict.fromkeys(sight.what for sight in missing))
    wanted = [one for one in sights if one.answers and (one.actor in asked or not asked) and one.actor not in _NODES]
    unheard = [sight for sight in wanted if sight.asks_for_assertion]
    if not wanted or len(unheard) < len(wanted):
        return ""
    url, what = secrets.without_credentials(endpoint.url(unheard[0].actor)), unheard[0].what
    if endpoint.security or endpoint.issuer:
        return f"{url} does not take the assertion: {what}"
    return (
        f"{url} asks for an identity assertion ({what}): name one by --assertion FILE, or who signs them by "
        "--issuer-key and --issuer-cert (--pki DIR)"
    )


def _found_out(
    endpoint: Endpoint, sights: list[Sight], present: set[str], features: set[str]
) -> tuple[set[str], dict[str, str]]:
    found: dict[str, str] = {}
    seen = {sight.actor: sight for sight in sights}

    def decide(feature: str, why: str, *, there: bool) -> None:
        if there == (feature in features):
            return
        (features.add if there else features.discard)(feature)
        found[feature] = why

    fed = "identity" in present
    decide("identity", "the identity feed answers" if fed else "nobody answers to ITI-44", there=fed)
    source = seen.get("imaging-source")
    delivers = source is not None and source.delivers_images
    image = "it delivers image_a1 of dicom/" if delivers else "it does not deliver image_a1 of dicom/"
    decide("images", image, there=delivers)
    if delivers or (source is None and "wado-rs" not in endpoint.absent):
        withheld = _gives_out(endpoint)
        decide("wado", withheld or "it gives image_a1 out by WADO-RS and WADO-URI", there=not withheld)
    else:
        decide("wado", image, there=False)
    nobody = [_got(endpoint, transaction, Token(copies=0)) for transaction in _IMAGE]
    served = all(status in (200, 401) for status in nobody)
    told = f"{' and '.join(_IMAGE)} answer HTTP {' and '.join(map(str, nobody))} to nobody"
    decide("wado-served", told, there=served)
    known = "image_a1 is delivered, and --dimse is named" if delivers else image
    decide("moves", known, there=delivers and endpoint.dimse is not None)
    traced = any(sight.trace for sight in sights)
    decide("trace", "answers carry Xdsi-Trace" if traced else "no answer carries Xdsi-Trace", there=traced)
    if endpoint.issuer is not None:
        bare = replace(endpoint, issuer=None)
        asks = [one.actor for one in sights if one.answers and _sight(bare, one.actor).asks_for_assertion]
        why = f"an assertion is asked for by {', '.join(asks)}" if asks else "no assertion is asked for"
        decide("secured", why, there=bool(asks))
        decide("nodes", "a node has a certificate of its own", there=bool(asks) and endpoint.node is not None)
        token = _got(endpoint, "RAD-107", Token(form="jwt"))
        taken = served and 401 in nobody and token not in (0, 401)
        public = served and _got(endpoint, "RAD-107", Token(), _PUBLISHED) == 200
        decide("published", "RAD-107 gives published_study out to who shows an assertion", there=public)
        decide("tokens", f"an access token is answered HTTP {token or 'not at all'} by RAD-107", there=taken)
    return features, found


def _sight(endpoint: Endpoint, actor: str) -> Sight:
    transaction, request = _HARMLESS[actor]
    seen: list[Exchange] = []
    case = _case(transaction, request)
    url = endpoint.url(actor)
    try:
        findings = run(case, replace(endpoint, feed=False, patients=None), observe=seen.append)
    except OSError as error:  # a certificate file that is not there
        return Sight(actor, answers=False, what=f"{url}: {error}", unreachable=True)
    (exchange,) = seen
    url = secrets.without_credentials(url)
    if exchange.answer is None:
        if exchange.http:
            what = f"{url} is no SOAP 1.2 service: {_shown(exchange, findings[0].found)}"
            return Sight(actor, answers=False, what=what)
        return Sight(actor, answers=False, what=_trouble(endpoint, url, findings[0].found), unreachable=True)
    if exchange.http in (404, 405, 501):
        reason = exchange.answer.text("//soap:Fault/soap:Reason/soap:Text")
        return Sight(actor, answers=False, what=f"{url} answers HTTP {exchange.http}: {reason}")
    return _spoken(actor, exchange, exchange.answer)


def _spoken(actor: str, exchange: Exchange, answer: Answer) -> Sight:
    subcode = answer.text("//soap:Fault/soap:Code/soap:Subcode/soap:Value")
    reason = answer.text("//soap:Fault/soap:Reason/soap:Text")
    security = subcode.rpartition(":")[2] in _SECURITY or "wsse" in subcode
    try:
        documents = answer.documents()
    except BadAnswer:
        documents = []
    return Sight(
        actor,
        answers=True,
        what=f"fault {subcode} {reason}".strip() if answer.all("//soap:Fault") else "it answers",
        asks_for_assertion=bool(answer.all("//soap:Fault")) and security,
        trace="xdsi-trace" in {name.lower() for name in exchange.headers},
        delivers_images=any(one.id == known_values()["image_a1"] for one in documents),
    )


_SECURITY = frozenset({
    "InvalidSecurity", "InvalidSecurityToken", "FailedAuthentication", "FailedCheck", "UnsupportedSecurityToken",
    "SecurityTokenUnavailable", "MessageExpired",
})  # fmt: skip


def _shown(exchange: Exchange, why: str) -> str:
    type_ = next((text for name, text in exchange.headers.items() if name.lower() == "content-type"), "no Content-Type")
    hint = {404: "; is the path right (--path ACTOR=URL)?", 405: "; is the path right (--path ACTOR=URL)?"}
    start = printable(exchange.body[:120])
    shown = f"HTTP {exchange.http}, {printable(type_[:120].encode())}{hint.get(exchange.http, '')} {start!r}"
    return shown if "is not SOAP 1.2" in why else f"{shown}: {printable(why[:300].encode())}"


def _got(endpoint: Endpoint, transaction: str, token: Token, path: str = "") -> int:
    """The HTTP status of a GET of an image of dicom/ by who shows this; 0 where there is no answer."""
    seen: list[Exchange] = []
    case = _case(transaction, http=Http(path=path or _IMAGE[transaction]), token=token)
    try:
        run(case, replace(endpoint, feed=False, patients=None), observe=seen.append)
    except OSError:
        return 0
    return seen[0].http


def _gives_out(endpoint: Endpoint) -> str:
    """Why an image of dicom/ does not come by WADO-RS and WADO-URI; empty where it does."""
    for transaction, path in _IMAGE.items():
        case = _case(transaction, http=Http(path=path))
        try:
            findings = run(case, replace(endpoint, feed=False, patients=None))
        except OSError as error:
            return str(error)
        if findings:
            return f"{endpoint.url(case.steps[0].actor)} does not give out image_a1 of dicom/"
    return ""


def _trouble(endpoint: Endpoint, url: str, error: str) -> str:
    """What hinders a connection, and what may help."""
    lowered = error.lower()
    if "refused" in lowered:
        return f"{url} cannot be reached: connection refused; is the server running, are host and port right?"
    if "name or service not known" in lowered or "failed to resolve" in lowered or "getaddrinfo" in lowered:
        return f"{url} cannot be reached: nobody knows the host's name"
    if "certificate_verify_failed" in lowered or "certificate verify failed" in lowered:
        return (
            f"{url} cannot be reached by TLS: the server's certificate is not trusted or not for this host "
            f"({_end(error)}); name its authority by --ca FILE"
        )
    if "certificate required" in lowered or "handshake failure" in lowered or "alert" in lowered:
        own = "it does not take the certificate of --tls-cert" if endpoint.certificate else "name one by --tls-cert"
        return f"{url} cannot be reached by TLS: the server asks for a client certificate ({_end(error)}); {own}"
    if "wrong version number" in lowered or "record layer" in lowered:
        return f"{url} cannot be reached by TLS: what answers speaks no TLS; http:// instead of https://?"
    if "remote end closed" in lowered or "connection aborted" in lowered or "connection reset" in lowered:
        hint = "; is it a TLS port (https://)?" if url.startswith("http://") else ""
        if url.startswith("https://") and not endpoint.certificate:
            hint = "; it may ask for a client certificate (--tls-cert, --tls-key)"
        return f"{url} closed the connection without an answer{hint}"
    if "timed out" in lowered or "timeout" in lowered:
        return f"{url} did not answer within {endpoint.timeout:g} s"
    return f"{url} cannot be reached: {secrets.told(printable(error[:400].encode()))}"


def _end(error: str) -> str:
    """The sentence of OpenSSL in a chain of errors."""
    return error.partition("] ")[2].strip("')( ") or ssl.OPENSSL_VERSION


def _case(transaction: str, request: str = "", http: Http | None = None, token: Token | None = None) -> Case:
    kind = kinds()[transaction]
    step = Step(
        name="look",
        kind=kind,
        actor=kind.actor,
        packaging=kind.packaging,
        request=request,
        action=kind.action,
        change=_NOBODY if transaction == "ITI-44-add" else (),
        expect=Expectation(refused=True, http=(200,) if http else ()),
        http=http or Http(),
        token=token or Token(),
    )
    return Case(
        name="0000-look", title="", clause="", scope="profile", needs=frozenset(), feed=False, folder=SHARED,
        documents={}, values={}, steps=(step,),
    )  # fmt: skip
