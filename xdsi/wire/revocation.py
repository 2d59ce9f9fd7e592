"""Revocation lists of certificates: a file may hold several, of one authority or many, and each counts (RFC 5280 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from cryptography import x509

_BEGIN = b"-----BEGIN X509 CRL-----"
_LIST = re.compile(_BEGIN + rb".*?-----END X509 CRL-----", re.DOTALL)


def read_lists(raw: bytes) -> tuple[x509.CertificateRevocationList, ...]:
    """All lists of a file in PEM, or the one of a file in DER; ValueError where one of them is none."""
    begun = raw.count(_BEGIN)
    if not begun:
        return (_read(x509.load_der_x509_crl, raw, "the list"),)
    blocks = _LIST.findall(raw)
    if len(blocks) != begun:
        raise ValueError(f"{begun} revocation lists begin, {len(blocks)} end")
    return tuple(
        _read(x509.load_pem_x509_crl, one, f"list {number} of {begun}") for number, one in enumerate(blocks, 1)
    )


def _read(
    load: Callable[[bytes], x509.CertificateRevocationList], raw: bytes, which: str
) -> x509.CertificateRevocationList:
    try:
        found = load(raw)
        # Whatever is asked of a list later must not turn out then to be unreadable.
        _ = (found.issuer, found.last_update_utc, found.next_update_utc, found.extensions)
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension) as error:
        raise ValueError(f"{which} cannot be read: {error}") from error
    return found


def lists_of(
    certificate: x509.Certificate, lists: Iterable[x509.CertificateRevocationList]
) -> list[x509.CertificateRevocationList]:
    """Those of the authority that issued a certificate."""
    issuer = canonical(certificate.issuer)
    return [one for one in lists if canonical(one.issuer) == issuer]


def canonical(name: x509.Name) -> tuple[frozenset[tuple[str, str | bytes]], ...]:
    """A name as it is compared: neither case nor the width of white space matters (RFC 5280 7.1)."""
    return tuple(
        frozenset(
            (one.oid.dotted_string, " ".join(one.value.lower().split()) if isinstance(one.value, str) else one.value)
            for one in part
        )
        for part in name.rdns
    )
