"""The revocation lists of `tls.crl`: what is in them, and whom they leave without one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509

from xdsi.app.reading import read_file
from xdsi.domain.errors import ConfigurationError
from xdsi.settings import Settings
from xdsi.wire.revocation import read_lists, uncovered


def lists_of_tls(settings: Settings) -> tuple[x509.CertificateRevocationList, ...]:
    """All lists of the file; raises ConfigurationError."""
    file = settings.tls.crl
    if not file:
        return ()
    try:
        return read_lists(read_file(file, "tls.crl"))
    except ValueError as error:
        raise ConfigurationError(f"tls.crl: {file} is not a certificate revocation list: {error}") from error


def warnings(settings: Settings, now: datetime) -> list[str]:
    """A line for each authority of whose certificates no list says whether they are revoked, once there are lists."""
    try:
        return list(dict.fromkeys(_uncovered(settings, now))) if settings.tls.crl else []
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension) as error:
        return [f"tls.crl: whether each authority has a list in force cannot be told: {error}"]


def _uncovered(settings: Settings, now: datetime) -> Iterator[str]:
    tls = settings.tls
    # Behind a proxy it is the proxy that looks for clients in lists.
    authorities = x509.load_pem_x509_certificates(read_file(tls.client_ca, "tls.client_ca")) if tls.certificate else []
    refused = "whoever bears a certificate of it is refused" if tls.certificate else "later revocations are not known"
    for one in uncovered(authorities, lists_of_tls(settings), now):
        if one.ended is None:
            yield f"tls.crl: {tls.crl} has no list in force of {one.name} (tls.client_ca): {refused}"
        else:
            yield f"tls.crl: the list of {one.name} in {tls.crl} ended at {one.ended:%Y-%m-%dT%H:%M:%SZ}: {refused}"
