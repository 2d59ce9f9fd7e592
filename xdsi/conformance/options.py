"""The options of a run, for the command and for pytest: which cases, where the system answers, how one speaks to it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from lxml import etree

from . import secrets
from .dimse import Entities
from .endpoint import ANNOUNCING, PRESETS, USUAL, Endpoint, at, features_of
from .model import Case
from .sending import MEBIBYTE
from .suites import ACTORS, about, cases_of, chosen, suites
from .tables import nearest
from .tokens import Issuer
from .vocabulary import FEATURES, PATHS
from .xml import parse

ISSUER = "urn:xdsi:demonstration:idp"
"""the name that assertions bear if nothing else is said: whom a first start of xdsi trusts"""

_SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml[^>]*\?>\s*")


def parser() -> argparse.ArgumentParser:
    """Those of a run, by themselves."""
    options = argparse.ArgumentParser(prog="xdsi conformance run", allow_abbrev=False)
    add_options(options)
    add_choice(options)
    return options


def add_options(command: argparse.ArgumentParser) -> None:
    """Declare those that say what is tested."""
    command.add_argument(
        "--endpoint", required=True, metavar="URL",
        help="where the system answers: its base URL, or with a path the URL of the one actor that --actor names",
    )  # fmt: skip
    command.add_argument(
        "--actor", action="append", default=[], choices=ACTORS, help="cases about this actor; may be repeated"
    )
    usual = ", ".join(f"{actor}={path}" for actor, path in PATHS.items())
    command.add_argument(
        "--path", action="append", default=[], metavar="ACTOR=URL", help=f"where an actor answers; else {usual}"
    )
    command.add_argument("--tls-cert", "--cert", dest="cert", metavar="FILE", help="own certificate (PEM)")
    command.add_argument("--tls-key", "--key", dest="key", metavar="FILE", help="its private key (PEM)")
    command.add_argument(
        "--node-cert", metavar="FILE",
        help="certificate (PEM) of a node that may feed, submit and ask for decisions; else --tls-cert",
    )  # fmt: skip
    command.add_argument("--node-key", metavar="FILE", help="its private key (PEM)")
    command.add_argument("--ca", metavar="FILE", help="certificate authorities to trust (PEM)")
    command.add_argument(
        "--assertion", "--security", dest="assertion", type=Path, metavar="FILE",
        help="a SAML assertion, or a wsse:Security header, for every message",
    )  # fmt: skip
    command.add_argument(
        "--pki", type=Path, metavar="DIR",
        help="certificates as `xdsi pki init` makes them: idp issues assertions, consumer is the client's, "
        "hospital-a the node's, ca is trusted",
    )  # fmt: skip
    command.add_argument(
        "--issuer", default=ISSUER, metavar="NAME", help="of assertions made here; default: %(default)s"
    )
    command.add_argument("--issuer-key", type=Path, metavar="FILE", help="its private key (PEM): makes assertions")
    command.add_argument("--issuer-cert", type=Path, metavar="FILE", help="its certificate (PEM)")
    command.add_argument(
        "--announce", "--feed", dest="announce", action="store_true",
        help="announce each patient before it is used",
    )  # fmt: skip
    command.add_argument(
        "--announce-by", choices=ANNOUNCING, help="announce them by this transaction; without it by ITI-44"
    )
    command.add_argument(
        "--mllp", metavar="URL", help="where the feed by HL7 v2 answers: mllp://HOST:PORT, with TLS mllps://HOST:PORT"
    )
    command.add_argument(
        "--dimse", metavar="URL",
        help="where the imaging source takes C-MOVE (RAD-16): dicom://HOST:PORT, with TLS dicoms://HOST:PORT",
    )  # fmt: skip
    command.add_argument("--dimse-called", metavar="AET", help=f"its AE title; default: {Entities.called}")
    command.add_argument(
        "--dimse-calling", metavar="AET", help=f"own AE title, to which images are sent; default: {Entities.calling}"
    )
    command.add_argument(
        "--dimse-listen", metavar="[HOST:]PORT", help=f"where images are taken by C-STORE; HOST else {Entities.host}"
    )
    command.add_argument(
        "--patient-id", action="append", default=[], metavar="CX",
        help="a patient whom the system knows and who has no documents; each case takes others of those named",
    )  # fmt: skip
    command.add_argument("--patients", type=Path, metavar="FILE", help="such patients, one to a line")
    command.add_argument(
        "--value", action="append", default=[], metavar="NAME=TEXT",
        help="what the system calls itself: repository, location_uid, home; authority issues the patient ids",
    )  # fmt: skip
    command.add_argument(
        "--feature", action="append", choices=[*PRESETS, *sorted(FEATURES)],
        help=f"what the system has; without it that is found out, or taken for granted ({', '.join(sorted(USUAL))}); "
        "xdsi: all that xdsi has in its open profile",
    )  # fmt: skip
    command.add_argument(
        "--timeout", type=float, default=Endpoint.timeout, metavar="S",
        help="seconds to wait for a connection, and for each further byte; default: %(default)g",
    )  # fmt: skip
    command.add_argument(
        "--deadline", type=float, default=Endpoint.deadline, metavar="S",
        help="seconds for a whole exchange, from the request to the end of the answer; default: %(default)g",
    )  # fmt: skip
    command.add_argument(
        "--max-answer", type=float, default=Endpoint.largest_answer // MEBIBYTE, metavar="MIB",
        help="an answer that is larger than this, unpacked, is not read to its end; default: %(default)g",
    )  # fmt: skip


def add_choice(command: argparse.ArgumentParser) -> None:
    """Declare those that choose cases."""
    names = ", ".join(suites())
    command.add_argument("--suite", default="", metavar="NAME|FOLDER", help=f"{names}; or a folder of your own cases")
    command.add_argument(
        "--case", action="append", default=[], metavar="N", help="a number, the beginning of one, or a pattern"
    )
    command.add_argument("--only", choices=["profile", "ruling"], help="cases of this scope alone")
    command.add_argument("cases", nargs="*", metavar="CASE", help="the same as --case")


def endpoint_of(given: argparse.Namespace) -> Endpoint:
    """The endpoint that the options describe; ValueError says which is wrong."""
    if not re.match(r"https?://[^/]+", given.endpoint):
        raise ValueError(
            f"--endpoint {secrets.without_credentials(given.endpoint)!r}: expected http://HOST:PORT or https://HOST:PORT"
        )
    parts = urlsplit(given.endpoint)
    if (parts.path.strip("/") or parts.query) and not given.actor:
        raise ValueError(
            f"--endpoint {secrets.without_credentials(given.endpoint)} has a path, so it is of one actor: name it with "
            "--actor, or leave the path out, and say by --path ACTOR=URL where others than the usual paths are"
        )
    _check_limits(given)
    single = next((place for actor in given.actor[:1] for place in ACTORS[actor][:1]), "")
    base, paths, absent = at(given.endpoint, single)
    named = _pairs(given.path, "--path ACTOR=URL")
    unknown = sorted(set(named) - set(PATHS))
    if unknown:
        raise ValueError(f"--path {unknown[0]}: expected one of {', '.join(PATHS)}{nearest(unknown[0], PATHS)}")
    astray = [f"{actor}={place}" for actor, place in named.items() if not re.match(r"/|https?://[^/]", place)]
    if astray:
        raise ValueError(
            f"--path {secrets.without_credentials(astray[0])}: expected a path that begins with /, or a whole URL"
        )
    values = _pairs(given.value, "--value NAME=TEXT")
    return Endpoint(
        base_url=base,
        paths={**paths, **named},
        values=values,
        features=features_of(given.feature) if given.feature else USUAL,
        feed=given.announce or given.announce_by is not None,
        feed_by=given.announce_by or "ITI-44",
        mllp=_mllp(given),
        dimse=_dimse(given),
        security=_security(given.assertion) if given.assertion else "",
        issuer=_issuer(given),
        certificate=_certificate(given),
        node=_node(given),
        authorities=given.ca or (str(given.pki / "ca.pem") if given.pki else True),
        patients=_patients(given),
        timeout=given.timeout,
        deadline=given.deadline,
        largest_answer=int(given.max_answer * MEBIBYTE),
        absent={actor: why for actor, why in absent.items() if actor not in named},
    )


def _check_limits(given: argparse.Namespace) -> None:
    for name in ("timeout", "deadline", "max_answer"):
        if not 0 < getattr(given, name) < 1_000_000:
            raise ValueError(f"--{name.replace('_', '-')} {getattr(given, name):g}: expected more than 0")


def _security(path: Path) -> str:
    """A header block from a file that holds one, or the assertion alone."""
    try:
        text = _DECLARATION.sub("", path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--assertion {path}: {error}") from None
    if not re.match(r"<(?:[\w.-]+:)?Security\b", text):
        text = f'<wsse:Security xmlns:wsse="{_SECURITY}">{text}</wsse:Security>'
    try:
        empty = not len(parse(text))
    except etree.XMLSyntaxError as error:
        raise ValueError(f"--assertion {path} is not XML: {error}") from None
    if empty:
        raise ValueError(f"--assertion {path}: there is no assertion in it")
    return text


def _patients(given: argparse.Namespace) -> list[str] | None:
    """The patients that cases may use; None where they are made up."""
    named = list(given.patient_id)
    if given.patients:
        try:
            lines = given.patients.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"--patients {given.patients}: {error}") from None
        named += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    wrong = [one for one in named if not re.fullmatch(r"[^^&]+\^\^\^[^&^]*&[0-9.]+&ISO", one)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no patient identifier: expected ID^^^&OID&ISO")
    return named or None


def _issuer(given: argparse.Namespace) -> Issuer | None:
    """Who signs the assertions; None where neither a folder nor a key is named."""
    key, certificate = given.issuer_key, given.issuer_cert
    if given.pki:
        key, certificate = key or given.pki / "idp.key", certificate or given.pki / "idp.pem"
    if not key:
        return None
    if not certificate:
        raise ValueError("--issuer-key needs --issuer-cert")
    try:
        return Issuer.of(given.issuer, key, certificate)
    except (OSError, ValueError) as error:
        raise ValueError(f"--issuer-key, --issuer-cert: {error}") from None


def _certificate(given: argparse.Namespace) -> tuple[str, str] | None:
    if given.cert:
        return given.cert, given.key or given.cert
    return (str(given.pki / "consumer.pem"), str(given.pki / "consumer.key")) if given.pki else None


def _mllp(given: argparse.Namespace) -> str:
    """Where the feed by HL7 v2 answers; empty where that is not said."""
    text: str = given.mllp or ""
    if text and not re.fullmatch(r"mllps?://[^/:]+:[0-9]+", text):
        raise ValueError(f"--mllp {text!r}: expected mllp://HOST:PORT or mllps://HOST:PORT")
    if given.announce_by == "ITI-8" and not text:
        raise ValueError("--announce-by ITI-8 needs --mllp")
    return text


def _dimse(given: argparse.Namespace) -> Entities | None:
    """Who speaks to whom by DIMSE; None where that is not said."""
    names = ("called", "calling", "listen")
    if not given.dimse:
        idle = next((name for name in names if getattr(given, f"dimse_{name}")), "")
        if idle:
            raise ValueError(f"--dimse-{idle} needs --dimse")
        return None
    if not re.fullmatch(r"dicoms?://[^/:]+:[0-9]{1,5}", given.dimse):
        raise ValueError(f"--dimse {given.dimse!r}: expected dicom://HOST:PORT or dicoms://HOST:PORT")
    called, calling = given.dimse_called or Entities.called, given.dimse_calling or Entities.calling
    for name, title in (("called", called), ("calling", calling)):
        if not re.fullmatch(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?", title):
            raise ValueError(f"--dimse-{name} {title!r}: expected an AE title of at most 16 characters")
    listen = re.fullmatch(r"(?:([^/:]+):)?([0-9]{1,5})", given.dimse_listen or "")
    if listen is None or not 0 < int(listen[2]) < 65536:
        raise ValueError("--dimse needs --dimse-listen [HOST:]PORT, where images are taken")
    if given.dimse.startswith("dicoms:") and not _certificate(given):
        raise ValueError("--dimse dicoms://... needs a certificate of one's own (--tls-cert, --pki)")
    return Entities(given.dimse, called, calling, listen[1] or Entities.host, int(listen[2]))


def _node(given: argparse.Namespace) -> tuple[str, str] | None:
    """The node's certificate; a folder of certificates has one for it, unless one's own is named."""
    if given.node_cert:
        return given.node_cert, given.node_key or given.node_cert
    if not given.pki or given.cert or not (given.pki / "hospital-a.pem").is_file():
        return None
    return str(given.pki / "hospital-a.pem"), str(given.pki / "hospital-a.key")


def _pairs(texts: list[str], form: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{text!r}: expected {form}")
        pairs[name] = value
    return pairs


def chosen_cases(given: argparse.Namespace) -> tuple[Case, ...]:
    """The cases that the options mean; ValueError where they mean none."""
    actors: Sequence[str] = given.actor
    every = about(cases_of(given.suite), actors)
    patterns = [*given.case, *given.cases]
    idle = [pattern for pattern in patterns if not chosen(every, [pattern])]
    if idle:
        among = f" among those about {', '.join(actors)}" if actors else ""
        raise ValueError(f"no case is meant by {', '.join(map(repr, idle))}{among}; `xdsi conformance list` names all")
    cases = tuple(case for case in chosen(every, patterns) if given.only in (None, case.scope))
    if not cases:
        raise ValueError("no case is left by these options; `xdsi conformance list` names all")
    return cases
