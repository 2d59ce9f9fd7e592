"""`xdsi consent grant`, `revoke`, `list` and `explain`: signed consents of patients, and what they lead to."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xdsi import app
from xdsi.actors import consent_source
from xdsi.actors.consent_intake import LIMIT
from xdsi.actors.consent_source import SignedConsent, Signing
from xdsi.cli import explain_consent, signing
from xdsi.cli.command import LoadSettings, Result, Terminal
from xdsi.cli.keep import code, patient
from xdsi.cli.kept import add_data, kept
from xdsi.domain.codes import Code
from xdsi.domain.consent import Effect, Statement
from xdsi.domain.identifiers import InstanceIdentifier
from xdsi.settings import Settings
from xdsi.wire.bppc import Scan
from xdsi.wire.policy_file import CODED, PLAIN


def add(commands: Any) -> None:
    """Declare the commands."""
    actions = commands.add_parser("consent", help="signed consents").add_subparsers(required=True, metavar="ACTION")
    what = "comma-separated KEY=VALUE: role, purpose, class, type, confidentiality, modality (CODE^^OID); "
    what += "organization (urn:oid: of the asker's), person (the asker's NameID), study, document (UIDs); "
    what += "institution (OID of the author's); '' for anything; may be given several times"
    grant = actions.add_parser(
        "grant",
        help="write, sign and publish a consent",
        description="Write a consent (APPC), sign it and publish both. For example, to let medical doctors see all: "
        "--permit role=112247003^^2.16.840.1.113883.6.96",
    )
    grant.add_argument("patient", type=patient, metavar="PATIENT", help="ID^^^&OID&ISO")
    grant.add_argument("--permit", action="append", type=_permit, default=[], metavar="WHAT", help=what)
    grant.add_argument(
        "--deny", action="append", type=_deny, default=[], metavar="WHAT", help="likewise; a deny always wins"
    )
    accept = "id of a policy in the domain's library; without --permit and --deny the consent is a BPPC document"
    grant.add_argument("--accept", action="append", default=[], metavar="POLICY", help=accept)
    scanned = "the paper that the patient signed (PDF, or text in UTF-8): with --accept, a BPPC document with the scan"
    grant.add_argument("--scan", type=_scan, metavar="F", help=scanned)
    grant.add_argument("--name", default="", metavar="FAMILY^GIVEN", help="the patient's name, for a BPPC document")
    grant.add_argument("--from", dest="start", type=_moment, metavar="TIME", help="valid from, in ISO 8601; else now")
    grant.add_argument("--until", type=_moment, metavar="TIME", help="valid until; else until it is revoked")
    _signing(grant)
    grant.add_argument("--replaces", default="", metavar="ENTRY", help="entryUUID of the consent that this one ends")
    grant.set_defaults(run=run_grant)
    revoke = actions.add_parser("revoke", help="replace a consent by one that denies everything")
    revoke.add_argument("patient", type=patient, metavar="PATIENT", help="ID^^^&OID&ISO")
    revoke.add_argument("entry", metavar="ENTRY", help="entryUUID of the consent")
    _signing(revoke)
    revoke.set_defaults(run=run_revoke)
    listing = actions.add_parser("list", help="consents that this hub knows of a patient, and whether they count")
    listing.add_argument("patient", type=patient, metavar="PATIENT", help="ID^^^&OID&ISO")
    add_data(listing)
    listing.set_defaults(run=run_list)
    explain_consent.add(actions)


def _signing(command: argparse.ArgumentParser) -> None:
    signing.add(command)
    command.add_argument("--url", default="", help="ITI-41 endpoint; else imaging_source.repository_url")


def statement(effect: Effect, text: str) -> Statement:
    """Read `role=309343006^^2.16.840.1.113883.6.96,purpose=TREAT^^2.16.840.1.113883.5.8`."""
    coded: dict[str, list[Code]] = {}
    plain: dict[str, list[str]] = {}
    institutions: list[InstanceIdentifier] = []
    for part in filter(None, text.split(",")):
        key, separator, value = part.partition("=")
        if not separator:
            raise argparse.ArgumentTypeError(f"{part!r} is not KEY=VALUE")
        if key in CODED:
            coded.setdefault(CODED[key], []).append(code(value))
        elif key in PLAIN:
            plain.setdefault(PLAIN[key], []).append(value)
        elif key == "institution":
            institutions.append(InstanceIdentifier(value.removeprefix("urn:oid:")))
        else:
            known = ", ".join((*CODED, *PLAIN, "institution"))
            raise argparse.ArgumentTypeError(f"unknown key {key!r}; known: {known}")
    fields: dict[str, Any] = {name: tuple(codes) for name, codes in coded.items()}
    fields |= {name: tuple(texts) for name, texts in plain.items()}
    return Statement(effect=effect, author_institutions=tuple(institutions), **fields)


def _permit(text: str) -> Statement:
    return statement(Effect.PERMIT, text)


def _deny(text: str) -> Statement:
    return statement(Effect.DENY, text)


def _scan(text: str) -> Scan:
    try:
        content = Path(text).read_bytes()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {error.strerror}") from error
    if content.startswith(b"%PDF-"):
        return Scan(content=content)
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text} is neither PDF nor text in UTF-8") from error
    return Scan(content=content, media_type="text/plain")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return moment if moment.tzinfo is not None else moment.astimezone()


def run_grant(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Publish a consent."""
    statements = [*given.permit, *given.deny]
    if not statements and not given.accept:
        return Result(ok=False, message="a consent needs at least one --permit, --deny or --accept")
    if given.scan is not None and statements:
        return Result(
            ok=False, message="a scanned consent accepts policies of the domain: --accept, no --permit or --deny"
        )
    settings = load()
    scheme = settings.domain.home_community_id.removeprefix("urn:oid:")
    policies = [Code(one.removeprefix("urn:oid:"), scheme, f"Policy {one}") for one in given.accept]

    def write(chosen: Signing) -> SignedConsent:
        if statements:
            return _appc(given, statements, "Consent", chosen, accepts=policies)
        family, _, given_name = given.name.partition("^")
        source = settings.imaging_source
        return consent_source.acknowledge(
            given.patient,
            policies,
            patient_name=(family, given_name),
            custodian=(source.organization_id.removeprefix("urn:oid:"), source.organization_name),
            signing=chosen,
            now=datetime.now(UTC),
            valid_from=given.start,
            valid_until=given.until,
            scan=given.scan,
        )

    return _publish(given, settings, write, title="Consent", replaces=given.replaces)


def run_revoke(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Replace a consent by a signed refusal."""
    title = "Revocation of consent"

    def write(chosen: Signing) -> SignedConsent:
        return _appc(given, [Statement(effect=Effect.DENY)], title, chosen)

    return _publish(given, load(), write, title=title, replaces=given.entry)


def _appc(
    given: argparse.Namespace,
    statements: list[Statement],
    title: str,
    chosen: Signing,
    *,
    accepts: Sequence[Code] = (),
) -> SignedConsent:
    now = datetime.now(UTC)
    return consent_source.make(
        given.patient,
        statements,
        description=f"{title} of {given.patient.cx}, signed {now.date().isoformat()}",
        signing=chosen,
        now=now,
        valid_from=getattr(given, "start", None),
        valid_until=getattr(given, "until", None),
        accepts=accepts,
    )


def _publish(
    given: argparse.Namespace,
    settings: Settings,
    write: Callable[[Signing], SignedConsent],
    *,
    title: str,
    replaces: str,
) -> Result:
    with app.one_command(settings) as parts:
        with signing.signing(given, parts) as chosen:
            consent = write(chosen)
        if len(consent.document) > LIMIT:
            return Result(ok=False, message=f"the consent is larger than {LIMIT} bytes: no hub would take it")
        published = parts.consent_source(given.url).publish(consent, title=title, replaces=replaces)
    errors = published.outcome.errors
    item = {"entry": published.entry_uuid, "document": published.unique_id, "trace": published.trace}
    message = "; ".join(f"{p.code}: {p.context}" for p in errors) or f"published as {published.entry_uuid}"
    return Result(ok=not errors, items=[item], message=message)


def run_list(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """Show what the hub makes of a patient's consents."""
    with kept(given, load) as parts, parts.registry.reading() as session:
        consents = session.consents(given.patient)
    items = [
        {
            "entry": one.entry_uuid,
            "document": one.unique_id,
            "status": str(one.status),
            "signer": one.signer,
            "signed": one.signed_at.isoformat() if one.signed_at else "",
            "active": one.active_at(datetime.now(UTC)),
            "says": ", ".join((*map(str.lower, one.policy.effects), *one.policy.references)),
            "reason": one.reason,
        }
        for one in consents
    ]
    terminal.table(
        given.patient.cx, ["entry", "document", "status", "signer", "signed", "active", "says", "reason"],
        [tuple(str(value) for value in item.values()) for item in items],
    )  # fmt: skip
    return Result(items=items)
