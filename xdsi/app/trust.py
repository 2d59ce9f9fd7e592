"""Whom this process trusts: nodes, issuers of assertions and of access tokens, who signs decisions.

It is read again when the files say otherwise.

Certificates, key sets and revocation lists are files of their own; who is listed stands in the settings file. A worker
looks at the times of all of them at each request, so that what begins after a change is judged by it (ITI TF-2 3.19.6).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from xdsi.app.reading import read_file
from xdsi.app.revocation_lists import lists_of_tls
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.subject import Node
from xdsi.settings import Settings
from xdsi.spec.token_rules import PROFILES
from xdsi.transport.peers import nodes_by_fingerprint
from xdsi.wire.jwt_token import JwtTrust
from xdsi.wire.saml import SamlTrust
from xdsi.wire.xmldsig import TrustedKey

log = logging.getLogger("xdsi.trust")

Stamps = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where settings came from, to read them again."""

    file: Path
    load: Callable[[], Settings]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """Who is trusted at one time."""

    nodes: Mapping[str, Node]
    """by the SHA-256 of their certificates"""
    saml: SamlTrust | None
    """None in the open profile"""
    tokens: JwtTrust
    decisions: tuple[TrustedKey, ...] = ()
    """whose answers to ITI-79 are believed"""


def trusted(settings: Settings) -> Trusted:
    """What the settings and the files that they name say now; raises ConfigurationError."""
    is_open = settings.domain.profile == "open"
    return Trusted(
        nodes=nodes_of(settings),
        saml=None if is_open else saml_of(settings),
        tokens=tokens_of(settings),
        decisions=decisions_of(settings),
    )


def nodes_of(settings: Settings) -> dict[str, Node]:
    """The nodes of the settings, by the SHA-256 of their certificates."""
    nodes = [
        Node(
            name=node.name,
            certificate_sha256=sha256,
            organization_id=node.organization_id,
            permits=frozenset(node.permits),
        )
        for node in settings.node
        for sha256 in node.sha256
    ]
    found = nodes_by_fingerprint(nodes)
    for node in nodes:
        if found[node.certificate_sha256] is not node:
            other = found[node.certificate_sha256].name
            raise ConfigurationError(f"node.sha256: {node.name!r} and {other!r} have the same certificate")
    for one in settings.node:
        if not one.sha256:
            raise ConfigurationError(f"node.sha256: {one.name!r} has no certificate")
    return found


def saml_of(settings: Settings) -> SamlTrust:
    """Whose assertions count, and on what terms."""
    saml, crl = settings.saml, settings.tls.crl
    lists_of_tls(settings)
    issuers = {
        one.name: [_certificate(file, "saml.issuer.certificates")[0] for file in one.certificates]
        for one in saml.issuer
    }
    crls = [read_file(crl, "tls.crl")] if crl else ()
    try:
        trust = SamlTrust.of(issuers, saml.audiences, crls=crls)
    except ConfigurationError as error:
        # The certificates were looked at one by one.
        raise ConfigurationError(f"tls.crl: {crl}: {error}") from error
    return replace(
        trust,
        max_lifetime=timedelta(seconds=saml.max_lifetime_seconds),
        clock_skew=timedelta(seconds=saml.clock_skew_seconds),
        rules=PROFILES[settings.domain.profile],
    )


def _certificate(file: str, key: str) -> tuple[bytes, TrustedKey]:
    """A certificate that can be trusted; whoever has several files is told which of them is none."""
    raw = read_file(file, key)
    try:
        return raw, TrustedKey.of(raw)
    except ConfigurationError as error:
        raise ConfigurationError(f"{key}: {file}: {error}") from error


def tokens_of(settings: Settings) -> JwtTrust:
    """Whose access tokens count, on the terms of assertions."""
    saml = settings.saml
    key_sets = {one.name: read_file(one.jwks, "jwt.issuer.jwks") for one in settings.jwt.issuer}
    return replace(
        JwtTrust.of(key_sets, saml.audiences),
        rules=PROFILES.get(settings.domain.profile, PROFILES["generic"]),
        max_lifetime=timedelta(seconds=saml.max_lifetime_seconds),
        clock_skew=timedelta(seconds=saml.clock_skew_seconds),
    )


def decisions_of(settings: Settings) -> tuple[TrustedKey, ...]:
    """Whose decisions are believed."""
    key = "consent.decision_trust"
    return tuple(_certificate(file, key)[1] for file in settings.consent.decision_trust)


class ReloadingTrust:
    """Who is trusted now. What cannot be read does not take the place of what was in force.

    `changed` is told that the lists were read again, `unusable` that they could not be.
    """

    def __init__(
        self,
        settings: Settings,
        source: Source | None = None,
        *,
        changed: Callable[[str], None] = log.warning,
        unusable: Callable[[str], None] = log.error,
    ) -> None:
        self._settings = settings
        self._source = source
        self._changed, self._unusable = changed, unusable
        self._lock = threading.Lock()
        self._files = _files_of(settings, source)
        self._stamps = self._look()
        self._now = trusted(settings)

    def __call__(self) -> Trusted:
        """For a request that begins now."""
        stamps = self._look()
        if stamps != self._stamps:
            with self._lock:
                if stamps != self._stamps:
                    self._read_again()
        return self._now

    def _read_again(self) -> None:
        # Looked at before they are read: a change meanwhile is found next time.
        stamps = before = self._look()
        try:
            fresh = self._settings
            files = self._files
            if self._source is not None:
                read = self._source.load()
                fresh = replace(
                    fresh,
                    node=read.node,
                    saml=replace(fresh.saml, issuer=read.saml.issuer),
                    jwt=replace(fresh.jwt, issuer=read.jwt.issuer),
                    consent=replace(fresh.consent, decision_trust=read.consent.decision_trust),
                )
                files = _files_of(fresh, self._source)
                stamps = (stamps[0], *[_stamp(file) for file in files[1:]])
            self._now = trusted(fresh)
        except ConfigurationError as error:
            self._stamps = before
            self._unusable(f"changed lists of trust cannot be used, the former stay in force: {error}")
            return
        self._settings, self._files, self._stamps = fresh, files, stamps
        self._changed("lists of trust were read again")

    def _look(self) -> Stamps:
        return tuple([_stamp(file) for file in self._files])


def _files_of(settings: Settings, source: Source | None) -> tuple[str, ...]:
    """Whatever says who is trusted."""
    files = [] if source is None else [str(source.file)]
    for issuer in settings.saml.issuer:
        files += issuer.certificates
    files += [*(one.jwks for one in settings.jwt.issuer), *settings.consent.decision_trust]
    return (*files, *([settings.tls.crl] if settings.tls.crl else ()))


def _stamp(file: str) -> tuple[str, int, int, int]:
    try:
        # At each request: a Path would cost more than the look.
        found = os.stat(file)  # noqa: PTH116
    except OSError:
        return (file, 0, 0, 0)
    return (file, found.st_mtime_ns, found.st_size, found.st_ino)


class Nodes(Mapping[str, Node]):
    """The nodes that are known now, by the SHA-256 of their certificates."""

    def __init__(self, trust: ReloadingTrust) -> None:
        self._trust = trust

    def __getitem__(self, sha256: str) -> Node:
        return self._trust().nodes[sha256]

    def get(self, sha256: str, default: Any = None) -> Any:
        """The node of a certificate."""
        return self._trust().nodes.get(sha256, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._trust().nodes)

    def __len__(self) -> int:
        return len(self._trust().nodes)
