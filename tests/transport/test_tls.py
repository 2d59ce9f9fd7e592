"""transport/tls: certificates are exchanged while running, and what cannot be used does not take their place."""

from __future__ import annotations

import base64
import os
import ssl
import warnings
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests import certificates
from tests.wire.test_revocation import ODD
from xdsi.domain.errors import ConfigurationError
from xdsi.transport.tls import ReloadingContext, TlsFiles, client_context, server_context, still_admits, subject_of


def written(folder: Path, name: str = "node", issuer: str = "ca") -> TlsFiles:
    node = certificates.identity(name, "2048", issuer=issuer)
    folder.mkdir(exist_ok=True)
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


def test_a_revocation_list_that_cannot_be_used_is_told(tmp_path: Path) -> None:
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


# -- who gets through the handshake


def shaken(server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLObject:
    """The client's end of a handshake; SSLError as the server has it."""
    return both_shaken(server, client, session)[0]


def both_shaken(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """The ends of client and server."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = server.wrap_bio(to_server, to_client, server_side=True)
    there = client.wrap_bio(to_client, to_server, server_hostname="node", session=session)
    waiting = {"client": there, "server": here}
    for _ in range(20):
        for name, one in list(waiting.items()):
            try:
                one.do_handshake()
                del waiting[name]
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                if name == "server":
                    raise
                del waiting[name]  # the server is to say what it minds
        if "client" not in waiting and there.version():
            with suppress(ssl.SSLError):
                there.read(1)  # tickets of TLS 1.3
        if not waiting:
            assert here.version(), "both ends are through"
            return there, here
    raise AssertionError("the handshake does not end")


def node_context(folder: Path, name: str = "client", *, version: str = "", suites: str = "") -> ssl.SSLContext:
    """A client that bears a certificate of the authority and can do nothing but this version or these suites."""
    files = written(folder / name, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.peer_ca)
    if suites:
        context.set_ciphers(f"{suites}:@SECLEVEL=0")
    if version:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are what is tried
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    return context


def lenient(folder: Path) -> ssl.SSLContext:
    """A server that takes everything its library can."""
    files = written(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


@pytest.mark.parametrize(
    ("version", "suites", "taken"),
    [
        ("TLSv1", "ALL", False),
        ("TLSv1_1", "ALL", False),
        ("TLSv1_2", "ECDHE-RSA-AES256-SHA384", False),
        ("TLSv1_2", "ECDHE-RSA-AES128-SHA", False),
        ("TLSv1_2", "AES256-GCM-SHA384", False),
        ("TLSv1_2", "AES128-SHA", False),
        ("TLSv1_2", "ECDHE-RSA-AES128-GCM-SHA256", True),
        ("TLSv1_2", "ECDHE-RSA-AES256-GCM-SHA384", True),
        ("TLSv1_3", "", True),
    ],
)
def test_versions_and_suites(tmp_path: Path, version: str, suites: str, taken: bool) -> None:
    """BCP 195 (RFC 9325 sections 3.1.1 and 4.2): neither former versions nor CBC nor keys without forward secrecy."""
    client = node_context(tmp_path, version=version, suites=suites)
    assert shaken(lenient(tmp_path), client).version() == version.replace("_", "."), "the client is able to"
    server = server_context(written(tmp_path))
    if taken:
        assert shaken(server, client).version() == version.replace("_", ".")
    else:
        with pytest.raises(ssl.SSLError, match=r"NO_SHARED_CIPHER|UNSUPPORTED_PROTOCOL"):
            shaken(server, client)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_who_is_revoked_while_the_server_runs_gets_in_no_more(tmp_path: Path, version: str) -> None:
    """From the next connection on, whatever session the client still has; others are not held up."""
    crl = tmp_path / "ca.crl"
    crl.write_bytes(certificates.revocation_list("ca"))
    current = ReloadingContext(replace(written(tmp_path), crl=crl))
    client, other = (node_context(tmp_path, name, version=version) for name in ("client", "other"))
    first = shaken(current(), client)
    assert shaken(current(), client, first.session).version() == version.replace("_", ".")
    revoked = certificates.identity("client", "2048", issuer="ca")
    crl.write_bytes(certificates.revocation_list("ca", revoked))
    touched(crl)
    serial = f"{revoked.certificate.serial_number:X}"
    for session in (None, first.session):
        with pytest.raises(ssl.SSLError, match="certificate revoked") as caught:
            shaken(current(), client, session)
        told = str(caught.value)
        assert "; certificate shown, not proved: subject 'commonName=client', serial " in told
        assert told.endswith(f", SHA-256 {revoked.sha256}")
        assert told.partition(", serial ")[2].partition(",")[0].lstrip("0") == serial
    shaken(current(), other)
    crl.write_text("nothing")
    touched(crl)
    with pytest.raises(ssl.SSLError, match="certificate revoked"):
        shaken(current(), client)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_who_was_let_in_stays_for_as_long_as_he_would_be_let_in(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a connection that lasts nor a session that is resumed outlives the certificate, the lists or a change."""
    crl = tmp_path / "ca.crl"
    list_ends = datetime.now(UTC) + timedelta(days=9)
    crl.write_bytes(certificates.revocation_list("ca", next_update=list_ends))
    listed = ReloadingContext(replace(written(tmp_path), crl=crl))
    unlisted = ReloadingContext(written(tmp_path))
    client = node_context(tmp_path, version=version)

    for current, over in ((unlisted, certificates.END), (listed, list_ends)):
        first, kept = both_shaken(current(), client)
        again, resumed = both_shaken(current(), client, first.session)
        assert again.session_reused is (version == "TLSv1_2")
        for end in (kept, resumed):
            assert still_admits(current(), end)
            assert stays_until(over, current(), end, monkeypatch)
    crl.write_bytes(certificates.revocation_list("ca", certificates.identity("client", "2048", issuer="ca")))
    touched(crl)
    assert not still_admits(listed(), kept)


def stays_until(over: datetime, current: ssl.SSLContext, end: ssl.SSLObject, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a peer is admitted up to this second, and not in the next."""

    def admitted(moment: datetime) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr("xdsi.transport.tls.time.time", moment.timestamp)
            return still_admits(current, end)

    tick = timedelta(seconds=1)
    return admitted(over - tick) and not admitted(over + tick)


def below(folder: Path, chain_ends: datetime, version: str) -> ssl.SSLContext:
    """A client with one and the same certificate, issued by an authority that another one vouches for until then."""
    middle = certificates.intermediate("middle", "ca", end=chain_ends)
    leaf = certificates.identity("leaf", "2048", issuer=certificates.intermediate("middle", "ca"))
    (folder / "chain.pem").write_bytes(leaf.cert_pem + middle.cert_pem)
    (folder / "leaf.key").write_bytes(leaf.key_pem)
    context = node_context(folder, version=version)
    context.load_cert_chain(folder / "chain.pem", folder / "leaf.key")
    return context


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_who_was_let_in_stays_no_longer_than_who_vouched_for_him(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole chain counts that was verified, and for who resumes a session the one of his that ends first."""
    server = server_context(written(tmp_path))
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    ends = (soon, soon + timedelta(days=2), certificates.END)
    clients = [below(tmp_path, over, version) for over in ends]
    first = [both_shaken(server, client) for client in clients]
    assert len({here.getpeercert(binary_form=True) for _, here in first}) == 1
    again = [both_shaken(server, client, there.session) for client, (there, _) in zip(clients, first, strict=True)]
    assert {there.session_reused for there, _ in again} == {version == "TLSv1_2"}
    for over, (_, kept), (_, resumed) in zip(ends, first, again, strict=True):
        assert stays_until(over, server, kept, monkeypatch)
        assert stays_until(soon if version == "TLSv1_2" else over, server, resumed, monkeypatch)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_the_end_of_a_former_chain_holds_nobody_up_who_has_another(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = server_context(written(tmp_path))
    over = datetime.now(UTC) + timedelta(days=2)
    shaken(server, below(tmp_path, over, version))
    client = below(tmp_path, certificates.END, version)
    monkeypatch.setattr("xdsi.transport.tls.time.time", (over + timedelta(days=1)).timestamp)
    there, kept = both_shaken(server, client)
    assert still_admits(server, kept)
    assert still_admits(server, both_shaken(server, client, there.session)[1])


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_handshake_looks_at_no_session(tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at one costs 5 KB for ever in Python 3.11."""

    def looked(self: object) -> None:
        raise AssertionError("a session is looked at")

    server, client = server_context(written(tmp_path)), node_context(tmp_path, version=version)
    monkeypatch.setattr(server.sslobject_class, "session", property(looked))
    monkeypatch.setattr(server.sslsocket_class, "session", property(looked))
    assert still_admits(server, both_shaken(server, client)[1])


def test_authorities_that_vouch_for_somebody_else_hold_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = written(tmp_path)
    short = certificates.intermediate("elsewhere", "ca", end=datetime.now(UTC) + timedelta(days=1))
    files.peer_ca.write_bytes(short.cert_pem + files.peer_ca.read_bytes())
    server = server_context(files)
    kept = both_shaken(server, node_context(tmp_path))[1]
    assert stays_until(certificates.END, server, kept, monkeypatch)


def test_a_session_of_which_nothing_is_known_is_not_admitted(tmp_path: Path) -> None:
    """Nor is anybody before the handshake is over, or who came in by another context."""
    server = server_context(written(tmp_path))
    assert not still_admits(server, server.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True))
    assert not still_admits(server, both_shaken(server_context(written(tmp_path)), node_context(tmp_path))[1])
    other = lenient(tmp_path)
    assert not still_admits(other, both_shaken(other, node_context(tmp_path))[1])


def test_one_revocation_list_that_cannot_be_read_leaves_the_former_ones_in_force(tmp_path: Path) -> None:
    """Who is named by it would be let in, or by OpenSSL alone: it does not mind the version."""
    crl = tmp_path / "lists.pem"
    crl.write_bytes(certificates.revocation_list("ca", certificates.identity("client", "2048", issuer="ca")))
    told: list[str] = []
    current = ReloadingContext(replace(written(tmp_path), crl=crl), unusable=told.append)
    odd = base64.b64decode("".join(certificates.revocation_list("ca").decode().splitlines()[1:-1]))
    armoured = base64.encodebytes(odd.replace(b"\x02\x01\x01", b"\x02\x01\x05", 1)).decode()
    crl.write_bytes(
        certificates.revocation_list("ca") + f"-----BEGIN X509 CRL-----\n{armoured}-----END X509 CRL-----\n".encode()
    )
    touched(crl)
    with pytest.raises(ssl.SSLError, match="certificate revoked"):
        shaken(current(), node_context(tmp_path))
    assert "list 2 of 2 cannot be read" in told[0]


OVER = certificates.START + timedelta(days=1)
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
LATER = SOON + timedelta(days=3)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize(
    ("lists", "over"),
    [
        ([("ca", SOON), ("other-ca", OVER)], SOON),
        ([("ca", LATER), ("other-ca", SOON)], LATER),
        ([("ca", OVER), ("ca", SOON)], SOON),
        ([("ca", SOON), ("ca", OVER)], SOON),
        ([("ca", LATER), ("ca", SOON), ("other-ca", certificates.END)], LATER),
    ],
    ids=["ended of another", "ending of another", "superseded first", "superseded last", "two current"],
)
def test_of_revocation_lists_the_last_of_the_issuer_says_for_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, lists: list[tuple[str, datetime]], over: datetime
) -> None:
    """As in the handshake: lists of other authorities, and those that have a successor, hold nobody up."""
    crl = tmp_path / "lists.pem"
    crl.write_bytes(b"".join(certificates.revocation_list(name, next_update=until) for name, until in lists))
    server = server_context(replace(written(tmp_path), crl=crl))
    client = node_context(tmp_path, version=version)
    there, kept = both_shaken(server, client)
    again, resumed = both_shaken(server, client, there.session)
    assert again.session_reused is (version == "TLSv1_2")
    assert stays_until(over, server, kept, monkeypatch)
    assert stays_until(over, server, resumed, monkeypatch)


@pytest.mark.parametrize(("one", "taken"), ODD)
def test_a_list_that_lets_a_peer_in_lets_it_stay(
    tmp_path: Path, one: x509.CertificateRevocationList, taken: bool
) -> None:
    """Which lists are taken says OpenSSL; by others a peer would be turned away, or kept for too long."""
    files, crl = written(tmp_path, issuer="one"), tmp_path / "one.crl"
    crl.write_bytes(one.public_bytes(serialization.Encoding.PEM))
    server = server_context(replace(files, crl=crl))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_cert_chain(files.certificate, files.key)
    client.load_verify_locations(files.peer_ca)
    client.check_hostname = False
    if taken:
        assert still_admits(server, both_shaken(server, client)[1])
    else:
        with pytest.raises(ssl.SSLError, match="certificate verify failed"):
            both_shaken(server, client)


def test_each_peer_stays_as_long_as_the_list_of_its_own_issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, crl = written(tmp_path), tmp_path / "lists.pem"
    files.peer_ca.write_bytes(b"".join(certificates.authority(name).cert_pem for name in ("ca", "other-ca")))
    crl.write_bytes(
        certificates.revocation_list("ca", next_update=SOON)
        + certificates.revocation_list("other-ca", next_update=LATER)
    )
    server = server_context(replace(files, crl=crl))
    guest = node_context(tmp_path)
    theirs = written(tmp_path / "guest", "guest", "other-ca")
    guest.load_cert_chain(theirs.certificate, theirs.key)
    for client, over in ((node_context(tmp_path), SOON), (guest, LATER)):
        assert stays_until(over, server, both_shaken(server, client)[1], monkeypatch)


def test_a_revocation_list_that_has_ended_lets_nobody_in(tmp_path: Path) -> None:
    crl = tmp_path / "ca.crl"
    long_ago = certificates.START + timedelta(days=1)
    crl.write_bytes(certificates.revocation_list("ca", next_update=long_ago))
    with pytest.raises(ssl.SSLError, match="CRL has expired"):
        shaken(server_context(replace(written(tmp_path), crl=crl)), node_context(tmp_path))


@pytest.mark.parametrize("issuer", ["", "stranger-ca"])
def test_without_a_certificate_of_the_authority_nobody_gets_in(tmp_path: Path, issuer: str) -> None:
    client = node_context(tmp_path)
    if issuer:
        files = written(tmp_path / "stranger", "stranger", issuer)
        client.load_cert_chain(files.certificate, files.key)
    else:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.load_verify_locations(written(tmp_path).peer_ca)
    reason = "CERTIFICATE_VERIFY_FAILED" if issuer else "PEER_DID_NOT_RETURN_A_CERTIFICATE"
    with pytest.raises(ssl.SSLError, match=reason):
        shaken(server_context(written(tmp_path)), client)


def test_a_subject_is_one_line() -> None:
    assert subject_of({"subject": ((("organizationName", "A"),), (("commonName", "b"),))}) == (
        "organizationName=A, commonName=b"
    )
    assert subject_of({}) == subject_of(None) == ""


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_what_a_stranger_calls_himself_is_told_on_one_line(tmp_path: Path, version: str) -> None:
    """Nobody has signed it, and it stands in the log and in the audit record."""
    server = server_context(written(tmp_path))
    stranger = certificates.identity("x\n2026-01-01 INFO all is well", "2048")
    client, bundle = node_context(tmp_path, version=version), tmp_path / "stranger.pem"
    bundle.write_bytes(stranger.cert_pem + stranger.key_pem)
    client.load_cert_chain(bundle)
    with pytest.raises(ssl.SSLError, match="certificate verify failed") as caught:
        shaken(server, client)
    told = str(caught.value)
    assert told.isprintable()
    assert stranger.sha256 in told
