"""Who may sign consents, from the files that the settings name; read again when one of them changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from xdsi.app.reading import read_file
from xdsi.domain.errors import ConfigurationError, MalformedMessage
from xdsi.domain.identifiers import PatientId
from xdsi.settings import Settings
from xdsi.wire import policy_file
from xdsi.wire.signer import ConsentTrust, Enrolment

log = logging.getLogger("xdsi.consent")

_TABLES = {"persons", "guardians", "hospitals"}


class ConsentSigners:
    """The trust in force. Files that changed for the worse leave the former trust as it was."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._stamps = self._look()
        self._trust = consent_trust(settings)

    def __call__(self) -> ConsentTrust:
        """Who may sign now."""
        stamps = self._look()
        if stamps != self._stamps:
            with self._lock:
                if stamps != self._stamps:
                    try:
                        self._trust = consent_trust(self._settings)
                        log.info("the signers of consents changed: loaded anew")
                    except ConfigurationError as error:
                        log.error("changed files are not usable, the former signers stay in force: %s", error)
                    self._stamps = stamps
        return self._trust

    def _look(self) -> tuple[tuple[str, int, int], ...]:
        consent = self._settings.consent
        named = (consent.signer_ca, *consent.seals, *consent.signer_crls, consent.enrolment, consent.timestamp_ca)
        found = []
        for file in filter(None, named):
            try:
                status = Path(file).stat()
            except OSError:
                found.append((file, 0, 0))
            else:
                found.append((file, status.st_mtime_ns, status.st_size))
        return tuple(found)


def consent_trust(settings: Settings) -> ConsentTrust:
    """What the files say now; ConfigurationError naming the one that is wrong."""
    consent = settings.consent
    if consent.timestamp_required and not consent.timestamp_ca:
        raise ConfigurationError("consent.timestamp_required needs authorities of time stamps: consent.timestamp_ca")
    trust = ConsentTrust.of(
        [read_file(consent.signer_ca, "consent.signer_ca")] if consent.signer_ca else [],
        seals=[read_file(file, "consent.seals") for file in consent.seals],
        crls=[read_file(file, "consent.signer_crls") for file in consent.signer_crls],
        revocation_required=consent.signer_crl_required,
        timestamp_anchors=[read_file(consent.timestamp_ca, "consent.timestamp_ca")] if consent.timestamp_ca else [],
        timestamp_required=consent.timestamp_required,
    )
    return replace(
        trust,
        identity_authority=settings.domain.patient_id_authority,
        enrolment=_enrolment(consent.enrolment),
    )


def _enrolment(file: str) -> Enrolment:
    if not file:
        return Enrolment()
    try:
        table = policy_file.read_toml(read_file(file, "consent.enrolment"))
        policy_file.known_keys(table, _TABLES, "")
        return Enrolment(**{name: _patients(table, name) for name in _TABLES})
    except (MalformedMessage, ValueError) as error:
        raise ConfigurationError(f"consent.enrolment: {file}: {error}") from error


def _patients(table: Mapping[str, Any], name: str) -> Mapping[str, frozenset[PatientId]]:
    part = table.get(name, {})
    if not isinstance(part, dict):
        raise MalformedMessage(f"{name} is no table", expected='"signer" = ["ID^^^&OID&ISO"]')
    return {
        signer: frozenset(PatientId.parse(one) for one in policy_file.texts_of(part, signer, name)) for signer in part
    }
