"""transport/pki: what each kind of certificate is for."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import pytest

from xdsi.transport import pki
from xdsi.transport.tls import TlsFiles, client_context, server_context


def _shake_hands(client: pki.Credential, server: pki.Credential, authority: pki.Credential) -> None:
    """A TLS handshake in memory; raises what the server raises."""

    def files(one: pki.Credential) -> TlsFiles:
        return TlsFiles(certificate=one.certificate_file, key=one.key_file, peer_ca=authority.certificate_file)

    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client_context(files(client)).wrap_bio(here, there, server_hostname="localhost")
    answering = server_context(files(server)).wrap_bio(there, here, server_side=True)
    for end in (asking, answering) * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()


def test_who_signs_is_no_node(tmp_path: Path) -> None:
    authority = pki.create_authority(tmp_path)
    node = pki.issue_node(authority, tmp_path, "node")
    person = pki.issue_signer(authority, tmp_path, "person", serial_number="P1")
    _shake_hands(node, node, authority)
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(person, node, authority)
