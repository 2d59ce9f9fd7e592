"""wire/revocation: every list of a file is read, and belongs to the authority that it names (RFC 5280 section 5)."""

from __future__ import annotations

import base64
import math
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from tests.certificates import END, START, authority, identity, revocation_list
from xdsi.wire.revocation import Covered, Uncovered, canonical, lists_of, read_lists, uncovered

ONE, OTHER = revocation_list("one"), revocation_list("other")
DER = base64.b64decode(b"".join(ONE.splitlines()[1:-1]))


def armoured(der: bytes) -> bytes:
    return b"-----BEGIN X509 CRL-----\n" + base64.encodebytes(der) + b"-----END X509 CRL-----\n"


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (ONE, ["one"]),
        (DER, ["one"]),
        (ONE + OTHER, ["one", "other"]),
        ((ONE + OTHER + ONE).replace(b"\n", b"\r\n"), ["one", "other", "one"]),
        (b"Certificate Revocation List (CRL):\n" + ONE + b"\nand another\n" + OTHER, ["one", "other"]),
        (identity("somebody").cert_pem + ONE, ["one"]),
    ],
)
def test_all_lists_of_a_file_are_read(raw: bytes, names: list[str]) -> None:
    assert [one.issuer.rfc4514_string() for one in read_lists(raw)] == [f"CN={name}" for name in names]


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"nothing",
        identity("somebody").cert_pem,
        DER + b"\0",
        ONE + OTHER[:-30],
        ONE[:-30] + OTHER,
        ONE + armoured(DER[:-1]),
        ONE + armoured(DER.replace(b"\x02\x01\x01", b"\x02\x01\x05", 1)),
        armoured(b"") + ONE,
    ],
)
def test_a_list_that_cannot_be_read_spoils_the_file(damaged: bytes) -> None:
    """To go on without it would be to trust whom it names."""
    with pytest.raises(ValueError, match=r"cannot be read|begin, \d end"):
        read_lists(damaged)


def test_lists_are_those_of_the_issuer() -> None:
    lists = read_lists(ONE + OTHER + ONE)
    assert lists_of(identity("somebody", issuer="one").certificate, lists) == [lists[0], lists[2]]
    assert lists_of(identity("somebody").certificate, lists) == []


def test_names_are_compared_as_the_standard_has_it() -> None:
    def name(*parts: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, part) for part in parts])

    assert canonical(name("Health  Authority ")) == canonical(name("health authority"))
    assert canonical(name("Health Authority")) != canonical(name("HealthAuthority"))
    assert canonical(name("A", "B")) != canonical(name("B", "A"))


# -- until when they cover a certificate

NOW = datetime.now(UTC).replace(microsecond=0)
SOMEBODY = identity("somebody", issuer="one").certificate


def made(since: int, until: int, *extensions: tuple[x509.ExtensionType, bool]) -> x509.CertificateRevocationList:
    """A list of this authority that is current for these days from now on."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority("one").certificate.subject)
        .last_update(NOW + timedelta(days=since))
        .next_update(NOW + timedelta(days=until))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(authority("one").key, hashes.SHA256())


def signed_by(name: str) -> tuple[x509.ExtensionType, bool]:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority(name).key.public_key()), False


def point(**only: object) -> tuple[x509.ExtensionType, bool]:
    """An issuing distribution point (RFC 5280 5.2.5)."""
    given = {
        "full_name": None, "relative_name": None, "only_contains_user_certs": False, "only_contains_ca_certs": False,
        "only_some_reasons": None, "indirect_crl": False, "only_contains_attribute_certs": False,
    }  # fmt: skip
    return x509.IssuingDistributionPoint(**{**given, **only}), True  # type: ignore[arg-type]


LONG = 100
SOME = frozenset({x509.ReasonFlags.key_compromise})


# Lists that are current for long, and whether they are taken.
ODD = [
    (made(-9, LONG), True),
    (made(1, LONG), False),
    (made(-9, LONG, signed_by("one")), True),
    (made(-9, LONG, signed_by("new one")), False),
    (made(-9, LONG, point(only_contains_ca_certs=True)), False),
    (made(-9, LONG, point(only_contains_attribute_certs=True)), False),
    (made(-9, LONG, point(indirect_crl=True)), False),
    (made(-9, LONG, point(only_some_reasons=SOME)), False),
    (made(-9, LONG, point(only_contains_user_certs=True)), True),
    (made(-9, LONG, (x509.CRLNumber(1), False)), True),
    (made(-9, LONG, (x509.CRLNumber(1), True)), False),
    (read_lists(OTHER)[0], False),
]


@pytest.mark.parametrize(
    ("lists", "days"),
    [
        ([made(-9, 3)], 3),
        ([made(-9, 3), made(-2, 7)], 7),
        ([made(2, 7), made(-9, 3)], 7),
        ([made(4, 7), made(-9, 3)], 3),
        ([made(-9, -3)], -3),
        ([], -math.inf),
        *(([made(-9, 0), one], LONG if taken else 0) for one, taken in ODD),
        *(([one, made(-9, 0)], LONG if taken else 0) for one, taken in ODD),
    ],
)
def test_a_certificate_is_covered_as_long_as_a_list_of_its_issuer_is_current(
    lists: list[x509.CertificateRevocationList], days: float
) -> None:
    """OpenSSL takes lists of the issuer's name and key that are complete, and have no unknown critical extension."""
    until = Covered(lists).until(SOMEBODY, NOW.timestamp())
    assert (until - NOW.timestamp()) / 86400 == days


def test_a_list_of_changes_is_refused() -> None:
    """In its place as the latest one it would hide whom the list before it names."""
    with pytest.raises(ValueError, match="a delta"):
        Covered([made(-9, 3), made(-2, 3, (x509.DeltaCRLIndicator(1), True))])


FORMER = revocation_list("one", next_update=START + timedelta(days=1))


@pytest.mark.parametrize(
    ("lists", "found"),
    [
        (ONE, [Uncovered("CN=other", None)]),
        (ONE + OTHER, []),
        (FORMER + OTHER, [Uncovered("CN=one", START + timedelta(days=1))]),
        (FORMER + ONE + OTHER, []),
        (revocation_list("one", updated=END - timedelta(days=1)) + OTHER, [Uncovered("CN=one", None)]),
        (
            ONE + OTHER + revocation_list("third", next_update=START + timedelta(days=2)),
            [Uncovered("CN=third", START + timedelta(days=2))],
        ),
    ],
    ids=["without a list", "covered", "ended", "ended with a successor", "not yet in force", "ended of a third"],
)
def test_authorities_without_a_current_list(lists: bytes, found: list[Uncovered]) -> None:
    authorities = [authority("one").certificate, authority("other").certificate, identity("somebody").certificate]
    assert list(uncovered(authorities, read_lists(lists), START + timedelta(days=3))) == found
