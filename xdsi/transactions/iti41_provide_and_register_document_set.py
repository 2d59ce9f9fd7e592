"""ITI-41 Provide and Register Document Set-b, and RAD-68, which is the same message with imaging content.

ITI TF-2: 3.41; RAD TF-2: 4.68. Order required: make the documents durable and retrievable, register, answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from xdsi.domain.audit import ExchangeFacts
from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.metadata import DocumentEntry, with_changes
from xdsi.domain.outcome import Outcome, Problem
from xdsi.domain.ports import DocumentStore, RegistryClient
from xdsi.domain.submission import Document, Provision
from xdsi.exchange import Call, Codec, Trace, Transaction
from xdsi.rules import manifest as manifest_rules
from xdsi.wire import kos
from xdsi.wire.ebxml import provision, response

KOS_FORMAT = "1.2.840.10008.5.1.4.1.1.88.59"
MANIFEST_LIMIT = 20 * 1024 * 1024
_AWAY = "the registry cannot be reached"
_ANSWERED = "the registry's address answers, and did not register; the repository's log says what it answered"

log = logging.getLogger("xdsi.iti41")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvidePorts:
    """What the repository works with."""

    repository_unique_id: str
    documents: DocumentStore
    registry: RegistryClient
    check_manifests: bool = True
    confirm: Callable[[Sequence[str]], None] | None = None
    """notes that documents are registered, where a registry elsewhere is asked about those of which it is not noted"""


def handle(call: Call[Provision]) -> Outcome:
    """Store, register, and only then acknowledge; a refusal leaves nothing behind (3.41.4.1.3)."""
    ports: ProvidePorts = call.ports
    problems = list(problems_of(call.request, check_manifests=ports.check_manifests))
    if not Outcome.of(problems).accepted:
        return Outcome.of(problems)
    entries = tuple(_completed(entry, call.request, ports) for entry in call.request.submission.document_entries)
    published: list[str] = []
    try:
        for entry in entries:
            if not _publish(entry, call.request.documents[entry.entry_uuid], ports):
                return _undo(ports, published, _non_identical(entry))
            published.append(entry.unique_id)
        call.trace.note("stored", documents=len(entries))
        try:
            completed = replace(call.request.submission, document_entries=entries)
            outcome = ports.registry.register(completed, call.caller, call.beside)
        except Unavailable as error:
            call.trace.note("registry", error=str(error))
            log.warning("trace %s: %s", call.trace.id, error)
            # Addresses and what was found there are for the operator.
            problem = Problem("XDSRegistryNotAvailable", _ANSWERED if error.answered else _AWAY)
            # One that may have registered before it fell silent must find the documents: the source will ask again.
            return _undo(ports, () if error.uncertain else published, problem)
    except BaseException:
        _undo(ports, published)
        raise
    if not outcome.accepted:
        _undo(ports, published)
    elif ports.confirm is not None:
        _confirm(ports.confirm, published, call.trace)
    return Outcome.of((*problems, *outcome.problems))


def _confirm(confirm: Callable[[Sequence[str]], None], published: Sequence[str], trace: Trace) -> None:
    try:
        confirm(published)
    except Unavailable as error:
        # They are registered; the registry will be asked.
        trace.note("unconfirmed", error=str(error))


def _publish(entry: DocumentEntry, document: Document, ports: ProvidePorts) -> bool:
    """Make a document durable and retrievable; False where other bytes are there under its uniqueId."""
    sha256 = ports.documents.stage(document)
    try:
        ports.documents.publish(entry.unique_id, entry.mime_type, sha256, document.size, document.sha1, document.blake3)
    except ValueError:
        return False
    return True


def _undo(ports: ProvidePorts, published: Sequence[str], *problems: Problem) -> Outcome:
    for unique_id in published:
        ports.documents.withdraw(unique_id)
    return Outcome.of(problems)


def _non_identical(entry: DocumentEntry) -> Problem:
    return Problem(
        "XDSNonIdenticalHash",
        f"document {entry.unique_id} is already stored with other bytes",
        location=entry.entry_uuid,
        rule="DE.uniqueId.hash",
    )


def _completed(entry: DocumentEntry, request: Provision, ports: ProvidePorts) -> DocumentEntry:
    document = request.documents[entry.entry_uuid]
    here = ports.repository_unique_id
    return with_changes(entry, hash=document.sha1, size=str(document.size), repository_unique_id=here)


def problems_of(request: Provision, *, check_manifests: bool) -> Iterator[Problem]:
    """Everything that the message alone shows: documents that are missing, or are not what the metadata say."""
    yield from request.findings
    seen: set[str] = set()
    for entry in request.submission.document_entries:
        document = request.documents.get(entry.entry_uuid)
        if document is None:
            continue  # reported by the decoder as XDSMissingDocument
        if entry.unique_id in seen:
            yield Problem(
                "XDSRepositoryDuplicateUniqueIdInMessage",
                f"uniqueId {entry.unique_id} occurs twice in the message",
                location=entry.entry_uuid,
                rule="DE.uniqueId.twice",
            )
        seen.add(entry.unique_id)
        if entry.hash and entry.hash.lower() != document.sha1:
            yield Problem(
                "XDSRepositoryMetadataError",
                f"hash of document {entry.unique_id} is {document.sha1}, the metadata say {entry.hash}",
                location=entry.entry_uuid,
                rule="DE.hash.document",
            )
        # Compared as text: the metadata may say anything, thousands of digits too.
        if entry.size and (entry.size.lstrip("0") or "0") != str(document.size):
            yield Problem(
                "XDSRepositoryMetadataError",
                f"size of document {entry.unique_id} is {document.size}, the metadata say {entry.size}",
                location=entry.entry_uuid,
                rule="DE.size.document",
            )
        if check_manifests and entry.format_code is not None and entry.format_code.code == KOS_FORMAT:
            yield from _manifest_problems(entry, document)


def _manifest_problems(entry: DocumentEntry, document: Document) -> Iterator[Problem]:
    if document.size > MANIFEST_LIMIT:
        yield Problem(
            "InvalidDocumentContent",
            f"document {entry.unique_id}: a manifest of {document.size} bytes is too large",
            location=entry.entry_uuid,
            rule="KOS.size",
        )
        return
    try:
        manifest = kos.decode(b"".join(document.open()))
    except MalformedMessage as error:
        yield Problem(
            "InvalidDocumentContent",
            f"document {entry.unique_id} is not a manifest: {error}",
            location=entry.entry_uuid,
            rule="KOS.readable",
        )
        return
    yield from manifest_rules.check_against_entry(manifest, entry)


def refuse(request: Provision | None, problems: Sequence[Problem]) -> Outcome:
    """Nothing was stored."""
    return Outcome.of(problems)


def facts(request: Provision, answer: Outcome | None, base: ExchangeFacts) -> ExchangeFacts:
    """Patient and SubmissionSet (3.41.5.1)."""
    if len(request.submission.submission_sets) != 1:
        return replace(base, outcome=8)
    submission_set = request.submission.submission_set
    return replace(
        base,
        patients=(submission_set.patient_id,) if submission_set.patient_id else (),
        submission_set=submission_set.unique_id,
        outcome=0 if answer is not None and answer.accepted else 8,
    )


TRANSACTION = Transaction(
    number="ITI-41",
    name="Provide and Register Document Set-b",
    trigger="urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b",
    reply="urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-bResponse",
    request=Codec(provision.decode, provision.encode),
    response=Codec(response.decode, response.encode),
    handle=handle,
    refuse=refuse,
    facts=facts,
    assertion_required=False,
    changes=True,
    malformed_code="XDSRepositoryMetadataError",
    unavailable_code="XDSRepositoryError",
)
