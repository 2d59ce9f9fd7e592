"""`xdsi config check`, `xdsi pki init`, `xdsi pki signer`, `xdsi token issue`, `xdsi token explain`: set up."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from xdsi import app
from xdsi.cli.command import LoadSettings, Result, Terminal
from xdsi.cli.serve import as_served
from xdsi.domain.codes import Code
from xdsi.domain.identifiers import PatientId
from xdsi.domain.subject import Subject
from xdsi.settings import replaced
from xdsi.transport import pki
from xdsi.wire import jwt_explain, saml_explain
from xdsi.wire.saml_issue import issue_assertion
from xdsi.wire.xmldsig import TrustedKey


def code(text: str) -> Code:
    """Read `CODE^^SCHEME`, or `CODE^NAME^SCHEME`."""
    parts = text.split("^")
    if len(parts) != 3 or not parts[0] or not parts[2]:
        raise argparse.ArgumentTypeError(f"{text!r} is not CODE^^SCHEME")
    value, name, scheme = parts
    return Code(value, scheme, name)


def patient(text: str) -> PatientId:
    """Read `ID^^^&OID&ISO`."""
    try:
        return PatientId.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add(commands: Any) -> None:
    """Declare the commands."""
    config = commands.add_parser("config", help="check the settings").add_subparsers(required=True, metavar="ACTION")
    check = config.add_parser(
        "check",
        help="read the settings and say what is wrong with them",
        description="Read the settings and every file they name, and change nothing. Exit status 1 where something is "
        "wrong. Nothing is connected to. What is right and yet keeps somebody out, such as a revocation list that has "
        "ended, is a warning.",
    )
    check.set_defaults(run=check_settings)
    keys = commands.add_parser("pki", help="certificates for tests").add_subparsers(required=True, metavar="ACTION")
    init = keys.add_parser(
        "init",
        help="make an authority with certificates of nodes and of a token issuer",
        description="Make DIR/NAME.pem and DIR/NAME.key: an authority (ca), four nodes (hub, hospital-a, hospital-b, "
        "consumer), an issuer of assertions (idp), and a node of another authority (stranger). Keys are not encrypted.",
    )
    init.add_argument("folder", type=Path, metavar="DIR", help="folder to write to; one without an authority")
    init.set_defaults(run=init_pki)
    signer = keys.add_parser(
        "signer",
        help="make a certificate that a patient signs consents with",
        description="Make DIR/patient-ID.pem and DIR/patient-ID.key, certified by DIR/ca. The identifier is the "
        "serialNumber of the certificate's subject; the hub's consent.signer_ca has to name that authority.",
    )
    signer.add_argument("folder", type=Path, metavar="DIR", help="folder that `pki init` or a first `serve` made")
    signer.add_argument("patient", type=patient, metavar="PATIENT", help="the domain's identifier: ID^^^&OID&ISO")
    signer.set_defaults(run=make_signer)
    tokens = commands.add_parser("token", help="identity assertions and access tokens")
    actions = tokens.add_subparsers(required=True, metavar="ACTION")
    issue = actions.add_parser("issue", help="make a SAML assertion")
    issue.add_argument("--issuer", required=True, metavar="NAME", help="as the hub's saml.issuer.name has it")
    issue.add_argument("--key", required=True, type=Path, metavar="F", help="the issuer's key (PEM)")
    issue.add_argument("--cert", required=True, type=Path, metavar="F", help="its certificate (PEM)")
    issue.add_argument("--user", required=True, metavar="ID", help="who is spoken of")
    issue.add_argument("--user-name", default="", metavar="NAME", help="the same for people; default: ID")
    issue.add_argument("--organization", default="", metavar="NAME", help="default: its identifier")
    issue.add_argument("--organization-id", required=True, metavar="URN", help="urn:oid: of the organisation")
    several = "may be given several times"
    issue.add_argument(
        "--role", required=True, type=code, action="append", metavar="CODE^^OID",
        help=f"role, such as 112247003^^2.16.840.1.113883.6.96 (medical doctor); {several}",
    )  # fmt: skip
    issue.add_argument(
        "--purpose", required=True, type=code, action="append", metavar="CODE^^OID",
        help=f"purpose of use, such as TREAT^^2.16.840.1.113883.5.8; {several}",
    )  # fmt: skip
    issue.add_argument("--patient", type=patient, metavar="CX", help="the only patient it is for: ID^^^&OID&ISO")
    issue.add_argument("--reason", default="", metavar="TEXT", help="why, in an emergency")
    issue.add_argument(
        "--audience", default="urn:oid:2.999.1", metavar="URI", help="one of saml.audiences; default: %(default)s"
    )
    issue.add_argument("--lifetime", type=int, default=300, metavar="S", help="seconds; default: %(default)s")
    issue.add_argument("--out", required=True, type=Path, metavar="F", help="file to write")
    issue.set_defaults(run=issue_token)
    explain = actions.add_parser(
        "explain",
        help="say why an assertion or an access token is taken or not",
        description="Every attribute of an assertion, or every claim of an access token, and every check of these "
        "settings on it with its outcome and what a valid one would have had. Exit status 1 where it would be "
        "refused. Without settings: as `xdsi serve` without settings would, where it was started in this folder. "
        "Nothing is connected to, and whether it was used before is not asked.",
    )
    explain.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="an assertion, a SOAP message with one, an access token (JWT), or an Authorization header with either",
    )
    explain.add_argument("--at", type=_moment, metavar="TIME", help="as if it came then (ISO 8601); default: now")
    explain.add_argument("--peer", type=Path, metavar="F", help="client certificate (PEM) it would come with")
    explain.set_defaults(run=explain_token)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return moment if moment.tzinfo is not None else moment.astimezone()


def check_settings(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Read everything that the settings name; every mistake is told."""
    settings = load()
    checked = settings
    if given.config is None and not settings.tls.certificate:
        # The certificate that signs decisions is made by the first `serve`.
        rest = tuple(one for one in settings.server.actors if one != "authorization")
        checked = replaced(settings, "server", actors=rest)
    app.check(checked)
    item: dict[str, Any] = {"base_url": app.base_url(settings)}
    if warnings := app.warnings(checked):
        told = "\n".join(f"warning: {one}" for one in warnings)
        return Result(message=f"the settings can be served, but:\n{told}", items=[{**item, "warnings": warnings}])
    return Result(message="the settings are in order", items=[item])


def init_pki(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Make certificates, unless the folder holds some already."""
    folder: Path = given.folder
    if (folder / "ca.key").exists():
        raise FileExistsError(f"{folder} holds an authority already")
    made = pki.create_demonstration(folder)
    rows = [
        {"name": name, "sha256": one.sha256, "certificate": str(one.certificate_file)} for name, one in made.items()
    ]
    terminal.table("Certificates", ["name", "SHA-256"], [(row["name"], row["sha256"]) for row in rows])
    return Result(items=rows)


def make_signer(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Make a patient's certificate, unless there is one."""
    folder: Path = given.folder
    if not (folder / "ca.key").exists():
        raise FileNotFoundError(f"{folder} holds no authority; `xdsi pki init {folder}` makes one")
    name = "patient-" + re.sub(r"[^A-Za-z0-9._-]", "_", given.patient.id)
    if (folder / f"{name}.key").exists():
        raise FileExistsError(f"{folder / name}.key exists already")
    made = pki.issue_signer(pki.load(folder, "ca"), folder, name, serial_number=given.patient.id)
    files = {"key": str(made.key_file), "certificate": str(made.certificate_file)}
    return Result(message=f"made {made.certificate_file} and {made.key_file}", items=[files])


def issue_token(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Make and sign an assertion."""
    subject = Subject(
        user_id=given.user,
        issuer=given.issuer,
        assertion_id="",
        user_name=given.user_name or given.user,
        organization=given.organization or given.organization_id,
        organization_id=given.organization_id,
        roles=tuple(given.role),
        purposes=tuple(given.purpose),
        patient=given.patient,
        emergency_reason=given.reason,
    )
    assertion = issue_assertion(
        subject,
        audiences=[given.audience],
        key_pem=given.key.read_bytes(),
        cert_pem=given.cert.read_bytes(),
        now=datetime.now(UTC),
        lifetime=timedelta(seconds=given.lifetime),
    )
    given.out.write_bytes(assertion)
    message = f"{given.out}: valid for {given.lifetime} s"
    longest = load().saml.max_lifetime_seconds
    if given.lifetime > longest:
        message += f"; longer than the {longest} s of saml.max_lifetime_seconds, so a hub with that setting refuses it"
    return Result(message=message, items=[{"file": str(given.out)}])


def explain_token(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show each check and each attribute; refused where a check is not met."""
    chosen = as_served(given, load())
    with app.Parts(chosen) as parts:
        trust, tokens = parts.access.trust, parts.access.tokens
    if trust is None:
        return Result(ok=False, message="in the open profile neither assertions nor access tokens are looked at")
    peer = TrustedKey.of(given.peer.read_bytes()).sha256 if given.peer else ""
    now, raw = given.at or datetime.now(UTC), given.file.read_bytes()
    token = jwt_explain.compact(raw)
    if token is not None:
        found = jwt_explain.explain(token, tokens, now=now, peer_certificate_sha256=peer)
    else:
        raw = saml_explain.out_of_header(raw)
        found = saml_explain.explain(raw, trust, now=now, peer_certificate_sha256=peer)
    checks = [
        {
            "check": one.name,
            "outcome": "met" if one.met else one.fault,
            "found": one.detail,
            "expected": one.expected,
        }
        for one in found.checks
    ]
    attributes = [{"attribute": one.name, "values": list(one.values), "use": one.use} for one in found.attributes]
    columns = ["check", "outcome", "found", "expected"]
    terminal.table("Checks", columns, [tuple(str(row[column]) for column in columns) for row in checks], prose=True)
    rows = [(one.name, "; ".join(one.values), one.use) for one in found.attributes]
    terminal.table("Claims" if token is not None else "Attributes", ["attribute", "values", "use"], rows, prose=True)
    failed = [one.name for one in found.checks if not one.met]
    message = "it would be taken" if found.accepted else f"it would be refused: {', '.join(failed)}"
    if given.config is None and not chosen.saml.issuer and not chosen.jwt.issuer:
        folder = chosen.server.data_dir
        message += (
            f"; no issuer is trusted without settings where no hub was started ({folder} holds none): "
            "`xdsi --config FILE token explain` judges by the settings of a hub"
        )
    return Result(ok=found.accepted, items=[*checks, *attributes], message=message)
