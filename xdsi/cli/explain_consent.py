"""`xdsi consent explain`: what a person would see of a patient's record, and why, entry by entry."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from xdsi.cli.command import LoadSettings, Result, Terminal, counted
from xdsi.cli.keep import code, patient
from xdsi.cli.kept import add_data, kept
from xdsi.domain.consent import READING, Action
from xdsi.domain.metadata import DocumentEntry
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.domain.subject import Subject
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED


def add(actions: Any) -> None:
    """Declare the command."""
    explain = actions.add_parser(
        "explain",
        help="say what somebody would see of a patient's record, and why",
        description="Decide on every Approved DocumentEntry of a patient as the hub would, with the consents in its "
        "registry, for a person with these attributes. Nothing is disclosed to anybody else; to be run at the hub.",
    )
    explain.add_argument("--patient", required=True, type=patient, metavar="CX", help="ID^^^&OID&ISO")
    explain.add_argument("--subject", required=True, metavar="ID", help="the person, by NameID")
    explain.add_argument("--role", type=code, action="append", default=[], metavar="CODE^^OID", help="his roles")
    explain.add_argument(
        "--purpose", type=code, action="append", default=[], metavar="CODE^^OID", help="purposes of use"
    )
    explain.add_argument("--organization-id", action="append", default=[], metavar="URN", help="his organisations")
    explain.add_argument("--provider", action="append", default=[], metavar="CX", help="his identifiers as an author")
    explain.add_argument("--for", dest="asked_for", type=patient, metavar="CX", help="the patient his assertion names")
    explain.add_argument("--reason", default="", metavar="TEXT", help="why, in an emergency")
    explain.add_argument(
        "--action", default=Action.QUERY.value, choices=[action.value for action in READING], help="default: query"
    )
    add_data(explain)
    explain.set_defaults(run=run_explain)


def run_explain(given: argparse.Namespace, load: LoadSettings, terminal: Terminal) -> Result:
    """One row per entry: permitted or not, by which policy, rule and consent document."""
    subject = Subject(
        user_id=given.subject,
        issuer="",
        assertion_id="",
        roles=tuple(given.role),
        purposes=tuple(given.purpose),
        organization_id=given.organization_id[0] if given.organization_id else "",
        further_organization_ids=tuple(given.organization_id[1:]),
        provider_identifiers=tuple(given.provider),
        patient=given.asked_for,
        emergency_reason=given.reason,
    )
    query = StoredQuery(
        uuids.FIND_DOCUMENTS,
        ReturnType.LEAF_CLASS,
        {
            "$XDSDocumentEntryPatientId": ((given.patient.cx,),),
            "$XDSDocumentEntryStatus": ((APPROVED,),),
            "$XDSDocumentEntryType": ((uuids.STABLE, uuids.ON_DEMAND),),
        },
    )
    now = datetime.now(UTC)
    with kept(given, load) as parts, parts.registry.reading() as session:
        found = [(one.id, one.resource) for one in session.find(query) if one.resource is not None]
        resources = [resource for _, resource in found]
        decisions = parts.policy_decisions.decide_for(subject, Action(given.action), resources, now, session)
        entries = session.objects([entry_uuid for entry_uuid, _ in found])
        consents = {one.unique_id: one for one in session.consents(given.patient)}
        changed = parts.policies_not_in_force()
    items = []
    for (entry_uuid, resource), decision in zip(found, decisions, strict=True):
        entry = entries.get(entry_uuid)
        consent = consents.get(decision.document)
        items.append(
            {
                "entry": entry_uuid,
                "document": resource.unique_id,
                "title": entry.title if isinstance(entry, DocumentEntry) else "",
                "decision": "permit" if decision.permit else "deny",
                "rule": decision.rule,
                "policy": decision.policy,
                "consent": decision.document,
                "signed": consent.signed_at.isoformat() if consent is not None and consent.signed_at else "",
            }
        )
    columns = ["title", "document", "decision", "rule", "policy", "consent", "signed"]
    title = f"{given.action} of the record of {given.patient.cx} by {given.subject}"
    terminal.table(title, columns, [tuple(str(item[column]) for column in columns) for item in items])
    permitted = sum(item["decision"] == "permit" for item in items)
    idle = [
        f"{one.unique_id}: {one.status} {one.reason}".strip() for one in consents.values() if not one.active_at(now)
    ]
    message = f"{counted(len(items), 'document')}, {permitted} permitted"
    if idle:
        message += "; consents that do not count: " + "; ".join(idle)
    if changed:
        files = ", ".join(map(str, changed))
        message += f"; changed after the server's last start, which decides without the change until its next: {files}"
    return Result(items=items, message=message)
