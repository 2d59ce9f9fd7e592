"""Revocation lists of certificates: a file may hold several, of one authority or many, and each counts (RFC 5280 5)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

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


class Covered:
    """Until when lists say of a certificate whether it is revoked, by the choice that OpenSSL makes among them.

    That is made anew for each certificate: of its issuer's lists a current one, whatever others are there. One of other
    certificates only or of some reasons only and one with an extension that is not known are not taken. ValueError
    where one is of changes only.
    """

    def __init__(self, lists: Iterable[x509.CertificateRevocationList]) -> None:
        self._periods: dict[object, list[tuple[float, float, bytes | None]]] = {}
        for one in lists:
            if _is_taken(one):
                since, ends = one.last_update_utc.timestamp(), one.next_update_utc
                until = ends.timestamp() if ends is not None else math.inf
                self._periods.setdefault(canonical(one.issuer), []).append((since, until, _key_of(one.extensions)))
        for found in self._periods.values():
            found.sort(key=lambda period: period[0])

    def until(self, certificate: x509.Certificate, now: float) -> float:
        """The moment from `now` on when no list is current, in seconds since 1970; it may be over."""
        return self._until(certificate.issuer, _key_of(certificate.extensions), now)

    def until_of(self, authority: x509.Certificate, now: float) -> float:
        """The same of the certificates that an authority has issued."""
        return self._until(authority.subject, _own_key_of(authority.extensions), now)

    def _until(self, issuer: x509.Name, key: bytes | None, now: float) -> float:
        end = -math.inf
        for since, until, signed_by in self._periods.get(canonical(issuer), ()):
            # An authority with a new key may bear the former name.
            if (key is None or signed_by is None or key == signed_by) and since <= max(end, now):
                end = max(end, until)
        return end


@dataclass(frozen=True, slots=True)
class Uncovered:
    """An authority of whose certificates no list says now whether they are revoked."""

    name: str
    ended: datetime | None
    """when its last list did; None where there is none that is in force or was"""


def uncovered(
    authorities: Iterable[x509.Certificate], lists: Iterable[x509.CertificateRevocationList], now: datetime
) -> Iterator[Uncovered]:
    """The authorities without a current list, and the issuers of lists of which none is current."""
    lists, moment = tuple(lists), now.timestamp()
    covered, known = Covered(lists), set()
    for one in authorities:
        if not _issues(one):
            continue
        known.add(canonical(one.subject))
        if (until := covered.until_of(one, moment)) <= moment:
            yield Uncovered(
                one.subject.rfc4514_string(), None if until == -math.inf else datetime.fromtimestamp(until, UTC)
            )
    others: dict[object, list[x509.CertificateRevocationList]] = {}
    for each in lists:
        if canonical(each.issuer) not in known:
            others.setdefault(canonical(each.issuer), []).append(each)
    for found in others.values():
        ends = [each.next_update_utc for each in found if each.next_update_utc is not None]
        if len(ends) == len(found) and max(ends) <= now:
            yield Uncovered(found[0].issuer.rfc4514_string(), max(ends))


def _issues(certificate: x509.Certificate) -> bool:
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.BasicConstraints):
            return extension.value.ca
    return True


_CRITICAL = frozenset({ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.ISSUING_DISTRIBUTION_POINT})


def _is_taken(one: x509.CertificateRevocationList) -> bool:
    for extension in one.extensions:
        if extension.oid == ExtensionOID.DELTA_CRL_INDICATOR:
            # OpenSSL would go by it alone, and let in whom the list before it names.
            raise ValueError("a list says only what has changed (a delta); valid: complete lists")
        if extension.critical and extension.oid not in _CRITICAL:
            return False
        of = extension.value
        if isinstance(of, x509.IssuingDistributionPoint) and (
            of.only_contains_ca_certs
            or of.only_contains_attribute_certs
            or of.indirect_crl
            or of.only_some_reasons is not None
        ):
            return False
    return True


def _own_key_of(extensions: x509.Extensions) -> bytes | None:
    """The key of a certificate, by its identifier."""
    for extension in extensions:
        if isinstance(extension.value, x509.SubjectKeyIdentifier):
            return extension.value.digest
    return None


def _key_of(extensions: x509.Extensions) -> bytes | None:
    """The key that signed, by its identifier."""
    for extension in extensions:
        if isinstance(extension.value, x509.AuthorityKeyIdentifier):
            return extension.value.key_identifier
    return None
