"""wire/revocation: every list of a file is read, and belongs to the authority that it names (RFC 5280 section 5)."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.certificates import identity, revocation_list
from xdsi.wire.revocation import canonical, lists_of, read_lists

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
