"""transport/tls: certificates are exchanged while running, and what cannot be used does not take their place."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests import certificates
from xdsi.domain.errors import ConfigurationError
from xdsi.transport.tls import ReloadingContext, TlsFiles, client_context, server_context, subject_of


def written(folder: Path, name: str = "node", issuer: str = "ca") -> TlsFiles:
    node = certificates.identity(name, "2048", issuer=issuer)
    files = TlsFiles(certificate=folder / "node.pem", key=folder / "node.key", peer_ca=folder / "ca.pem")
    files.certificate.write_bytes(node.cert_pem)
    files.key.write_bytes(node.key_pem)
    files.peer_ca.write_bytes(certificates.authority(issuer).cert_pem)
    return files


def touched(*paths: Path) -> None:
    """Make sure that a change shows, however coarse the clock of the disk is."""
    for path in paths:
        time = path.stat().st_mtime_ns + 1_000_000_000
        os.utime(path, ns=(time, time))


def test_a_server_wants_a_certificate_and_new_versions(tmp_path: Path) -> None:
    context = server_context(written(tmp_path))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert all("GCM" in one["name"] or "TLS_" in one["name"] for one in context.get_ciphers())
    assert client_context(written(tmp_path)).check_hostname


@pytest.mark.parametrize("missing", ["node.pem", "node.key", "ca.pem"])
def test_files_that_cannot_be_used_are_named(tmp_path: Path, missing: str) -> None:
    files = written(tmp_path)
    (tmp_path / missing).write_text("nothing")
    with pytest.raises(ConfigurationError, match=rf"TLS: .*{missing} cannot be used: |TLS: .*{missing} with key"):
        server_context(files)
    (tmp_path / missing).unlink()
    with pytest.raises(ConfigurationError, match=rf"TLS: \w+ \S+{missing} cannot be read: No such file"):
        server_context(files)


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    files = written(tmp_path)
    (tmp_path / "node.key").write_bytes(certificates.identity("other-node", "2048").key_pem)
    with pytest.raises(ConfigurationError, match=r"TLS: certificate .*node.pem with key .*node.key .*MISMATCH"):
        server_context(files)


def test_a_key_with_a_pass_phrase_is_refused_rather_than_asked_for(tmp_path: Path) -> None:
    files = written(tmp_path)
    key = serialization.load_pem_private_key((tmp_path / "node.key").read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    (tmp_path / "node.key").write_bytes(locked)
    with pytest.raises(ConfigurationError, match=r"node\.key is encrypted"):
        server_context(files)


def test_a_context_is_made_anew_when_its_files_change(tmp_path: Path) -> None:
    files = written(tmp_path)
    context = ReloadingContext(files)
    first = context()
    assert context() is first
    written(tmp_path, "other")
    touched(files.certificate, files.key)
    assert context() is not first


def test_files_that_do_not_fit_leave_the_former_in_force_until_they_do(tmp_path: Path) -> None:
    files = written(tmp_path)
    context = ReloadingContext(files)
    first = context()
    files.certificate.write_bytes(certificates.identity("other", "2048", issuer="ca").cert_pem)
    touched(files.certificate)
    assert context() is first
    files.key.write_bytes(certificates.identity("other", "2048", issuer="ca").key_pem)
    touched(files.key)
    assert context() is not first


def test_files_that_are_gone_for_a_moment_do_no_harm(tmp_path: Path) -> None:
    files = written(tmp_path)
    context = ReloadingContext(files)
    first = context()
    files.key.unlink()
    assert context() is first


def test_who_was_revoked_fails_in_the_handshake(tmp_path: Path) -> None:
    files = written(tmp_path)
    crl = tmp_path / "ca.crl"
    node = certificates.identity("node", "2048", issuer="ca")
    crl.write_bytes(certificates.revocation_list("ca", node))
    revoking = TlsFiles(certificate=files.certificate, key=files.key, peer_ca=files.peer_ca, crl=crl)
    context = server_context(revoking)
    assert context.verify_flags & ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    crl.write_text("nothing")
    with pytest.raises(ConfigurationError):
        server_context(revoking)


def test_a_subject_is_one_line() -> None:
    assert subject_of({"subject": ((("organizationName", "A"),), (("commonName", "b"),))}) == (
        "organizationName=A, commonName=b"
    )
    assert subject_of({}) == subject_of(None) == ""
