"""app/trust: issuers, revocation lists, key sets and nodes change while the process runs; a mistake changes nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificates import identity, revocation_list
from tests.servers import Server, envelope, free_port, serving, wait_until
from tests.trusted import key_set
from xdsi import settings
from xdsi.app import trust as loading
from xdsi.app.trust import Nodes, ReloadingTrust, Source
from xdsi.domain.codes import Code
from xdsi.domain.errors import SecurityFault
from xdsi.domain.stored_query import ReturnType, StoredQuery
from xdsi.domain.subject import Subject
from xdsi.rules import stored_query
from xdsi.spec import uuids
from xdsi.spec.namespaces import APPROVED
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.wire.message import Packaging
from xdsi.wire.saml import issue_assertion, read_bare_assertion, security_header

ISSUER, AUDIENCE = "https://idp.example", "urn:oid:2.999.1"
OLD, NEW = identity("idp", "2048", issuer="idp-ca"), identity("old-idp")
HOSPITAL, OTHER = identity("client"), identity("stranger", "2048")
DOCTOR = Subject(
    user_id="dr.jekyll",
    issuer=ISSUER,
    assertion_id="",
    user_name="Dr Jekyll",
    organization="Hospital A",
    organization_id="urn:oid:2.999.5",
    roles=(Code("112247003", "2.16.840.1.113883.6.96"),),
    purposes=(Code("TREAT", "2.16.840.1.113883.5.8"),),
)


def issued(signer=OLD) -> bytes:
    now = datetime.now(UTC)
    return issue_assertion(DOCTOR, audiences=[AUDIENCE], key_pem=signer.key_pem, cert_pem=signer.cert_pem, now=now)


class Files:
    """A settings file and what it names."""

    def __init__(self, folder: Path) -> None:
        self.config, self.issuer, self.keys, self.crl = (
            folder / name for name in ("hub.toml", "idp.pem", "keys.json", "revoked.pem")
        )
        self._turn = 0
        self.write(self.issuer, OLD.cert_pem)
        self.write(self.keys, key_set(HOSPITAL).encode())
        self.write(self.crl, revocation_list("idp-ca"))
        self.configure(hospital=HOSPITAL)

    def write(self, file: Path, content: bytes) -> None:
        """As an operator does it: a new file in the place of the former one."""
        fresh = file.with_suffix(".new")
        fresh.write_bytes(content)
        self._turn += 1
        os.utime(fresh, ns=(self._turn, self._turn))
        fresh.replace(file)

    def configure(self, *, extra: str = "", **nodes) -> None:
        """Settings with these nodes."""
        lines = [
            "[tls]", f'crl = "{self.crl}"', "[saml]", f'audiences = ["{AUDIENCE}"]',
            "[[saml.issuer]]", f'name = "{ISSUER}"', f'certificates = ["{self.issuer}"]',
            "[[jwt.issuer]]", f'name = "{ISSUER}"', f'jwks = "{self.keys}"',
        ]  # fmt: skip
        for name, node in nodes.items():
            lines += ["[[node]]", f'name = "{name}"', f'sha256 = "{node.sha256}"', 'permits = ["ITI-42"]']
        self.write(self.config, "\n".join([*lines, extra]).encode())

    def trust(self, told: list[str]) -> ReloadingTrust:
        """As a worker has it."""

        def load() -> settings.Settings:
            return settings.load(self.config, {})

        def unusable(what: str) -> None:
            told.append(f"failed: {what}")

        return ReloadingTrust(load(), Source(self.config, load), changed=told.append, unusable=unusable)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def told() -> list[str]:
    return []


def fault(trust: ReloadingTrust, raw: bytes) -> str:
    """Empty for an accepted assertion."""
    saml = trust().saml
    assert saml is not None
    try:
        read_bare_assertion(raw, saml, now=datetime.now(UTC))
    except SecurityFault as refused:
        return refused.wsse_code
    return ""


def test_nothing_is_read_again_without_a_change(files: Files, told: list[str]) -> None:
    trust = files.trust(told)
    assert trust() is trust()
    assert told == []


def test_a_changed_certificate_of_an_issuer_counts_from_the_next_request_on(files: Files, told: list[str]) -> None:
    """Also for an assertion that was accepted before."""
    trust, former, fresh = files.trust(told), issued(OLD), issued(NEW)
    assert (fault(trust, former), fault(trust, fresh)) == ("", "FailedCheck")
    files.write(files.issuer, NEW.cert_pem)
    assert (fault(trust, former), fault(trust, fresh)) == ("FailedCheck", "")
    assert told == ["lists of trust were read again"]


def test_a_revoked_issuer_is_refused(files: Files, told: list[str]) -> None:
    trust, raw = files.trust(told), issued()
    assert fault(trust, raw) == ""
    files.write(files.crl, revocation_list("idp-ca", OLD))
    assert fault(trust, raw) == "FailedAuthentication"


def test_each_revocation_list_of_a_file_counts(files: Files, told: list[str]) -> None:
    """Wherever it stands; one that cannot be read leaves all the former ones in force."""
    other, revoking = revocation_list("nodes-ca"), revocation_list("idp-ca", OLD)
    trust, raw = files.trust(told), issued()
    for lists, refused in (
        (other + revocation_list("idp-ca"), ""),
        (other + revoking, "FailedAuthentication"),
        (revocation_list("idp-ca") + other, ""),
        (revocation_list("idp-ca") + b"of today:\n" + revoking + other, "FailedAuthentication"),
    ):
        files.write(files.crl, lists)
        assert fault(trust, raw) == refused
    for damaged in (other.replace(b"M", b"!", 1), other.partition(b"-----END")[0]):
        for lists in (other + damaged, damaged + other):
            files.write(files.crl, lists)
            assert fault(trust, raw) == "FailedAuthentication"
            assert "not a certificate revocation list" in told[-1]


@pytest.mark.parametrize("late", ["issuer", "config"])
def test_what_changes_while_lists_are_read_is_read_the_next_time(
    files: Files, told: list[str], monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """A revocation that is written just then must not be overlooked until somebody touches the file again."""
    trust, raw = files.trust(told), issued()
    read = loading.trusted

    def and_then(given: settings.Settings) -> loading.Trusted:
        found = read(given)
        monkeypatch.undo()
        if late == "issuer":
            files.write(files.issuer, NEW.cert_pem)
        else:
            files.configure(other=OTHER)
        return found

    monkeypatch.setattr(loading, "trusted", and_then)
    files.write(files.crl, revocation_list("idp-ca"))
    assert fault(trust, raw) == ""
    assert fault(trust, raw) == ("FailedCheck" if late == "issuer" else "")
    assert [node.name for node in trust().nodes.values()] == ["hospital" if late == "issuer" else "other"]


def test_a_changed_key_set_counts(files: Files, told: list[str]) -> None:
    trust = files.trust(told)
    before = trust().tokens.issuers[ISSUER]
    files.write(files.keys, key_set(OTHER).encode())
    after = trust().tokens.issuers[ISSUER]
    assert {key.thumbprint for key in before}.isdisjoint(key.thumbprint for key in after)


def test_a_hub_is_renewed_while_both_its_certificates_are_believed(files: Files, told: list[str]) -> None:
    """List and files of consent.decision_trust count from the next question on; what cannot be read changes nothing."""
    trust = files.trust(told)
    assert trust().decisions == ()
    former, fresh = files.issuer.with_name("hub.pem"), files.issuer.with_name("hub-next.pem")
    files.write(former, OLD.cert_pem)
    files.write(fresh, NEW.cert_pem)

    def believed() -> list[bytes]:
        return [one.certificate.public_bytes(Encoding.PEM) for one in trust().decisions]

    files.configure(hospital=HOSPITAL, extra=f"[consent]\ndecision_trust = ['{former}']")
    assert believed() == [OLD.cert_pem]
    files.configure(hospital=HOSPITAL, extra=f"[consent]\ndecision_trust = ['{former}', '{fresh}']")
    assert believed() == [OLD.cert_pem, NEW.cert_pem]
    files.write(former, b"no certificate")
    assert believed() == [OLD.cert_pem, NEW.cert_pem]
    unusable = (
        f"failed: changed lists of trust cannot be used, the former stay in force: consent.decision_trust: {former}"
    )
    assert told[-1].startswith(unusable)
    files.write(former, NEW.cert_pem)
    assert believed() == [NEW.cert_pem, NEW.cert_pem]


def test_a_node_may_have_two_certificates_while_one_is_renewed(files: Files, told: list[str]) -> None:
    both = f'sha256 = ["{HOSPITAL.sha256}", "{OTHER.sha256}"]\npermits = ["ITI-42"]'
    trust = files.trust(told)
    nodes = Nodes(trust)
    files.configure(extra=f'[[node]]\nname = "renewed"\n{both}')
    assert [nodes[one.sha256].name for one in (HOSPITAL, OTHER)] == ["renewed"] * 2
    assert all(nodes[one.sha256].may("ITI-42") for one in (HOSPITAL, OTHER))
    files.configure(renewed=OTHER)
    assert nodes.get(HOSPITAL.sha256) is None
    assert nodes[OTHER.sha256].name == "renewed"


def test_nodes_and_issuers_of_the_settings_file_come_and_go(files: Files, told: list[str]) -> None:
    trust = files.trust(told)
    nodes = Nodes(trust)
    assert [node.name for node in nodes.values()] == ["hospital"]
    files.configure(other=OTHER, extra=f'[[saml.issuer]]\nname = "urn:second"\ncertificates = ["{files.issuer}"]')
    assert nodes.get(HOSPITAL.sha256) is None
    assert nodes[OTHER.sha256].name == "other"
    assert nodes[OTHER.sha256].may("ITI-42")
    saml = trust().saml
    assert saml is not None
    assert set(saml.issuers) == {ISSUER, "urn:second"}


def test_what_else_the_settings_say_waits_for_a_restart(files: Files, told: list[str]) -> None:
    """Only who is trusted is read again: terms such as the audience are part of what runs."""
    trust = files.trust(told)
    files.write(files.config, files.config.read_bytes().replace(AUDIENCE.encode(), b"urn:oid:2.999.2"))
    saml = trust().saml
    assert saml is not None
    assert saml.audiences == {AUDIENCE}


@pytest.mark.parametrize(
    ("mistake", "where"),
    [
        (lambda files: files.write(files.issuer, b"no certificate"), "saml.issuer.certificates: {0.issuer}"),
        (lambda files: files.issuer.unlink(), "saml.issuer.certificates: {0.issuer}"),
        (lambda files: files.write(files.crl, b"no list"), "tls.crl: {0.crl}"),
        (lambda files: files.write(files.keys, b"{}"), f"jwt.issuer '{ISSUER}'"),
        (lambda files: files.write(files.config, b"[["), "{0.config}"),
        (lambda files: files.configure(one=HOSPITAL, two=HOSPITAL), "node.sha256: 'one' and 'two'"),
        (lambda files: files.configure(hospital=HOSPITAL, extra="[nonsense]"), "{0.config}"),
    ],
    ids=["certificate", "no certificate", "revocation list", "key set", "not TOML", "one node twice", "unknown"],
)
def test_a_mistake_is_told_once_and_changes_nothing(files: Files, told: list[str], mistake, where: str) -> None:
    trust, raw = files.trust(told), issued()
    mistake(files)
    for _ in range(3):
        assert fault(trust, raw) == ""
        assert HOSPITAL.sha256 in Nodes(trust)
    assert len(told) == 1
    assert where.format(files) in told[0]
    assert told[0].startswith("failed: changed lists of trust cannot be used, the former stay in force: ")
    # Once it is put right, it counts.
    files.write(files.issuer, NEW.cert_pem)
    files.write(files.crl, revocation_list("idp-ca"))
    files.write(files.keys, key_set(HOSPITAL).encode())
    files.configure(other=OTHER)
    assert fault(trust, raw) == "FailedCheck"
    assert OTHER.sha256 in Nodes(trust)


# -- as it is served


QUERY = iti18.TRANSACTION.request.encode(
    stored_query.encode(
        StoredQuery(
            uuids.FIND_DOCUMENTS,
            ReturnType.OBJECT_REF,
            {
                "$XDSDocumentEntryPatientId": (("P1^^^&2.999.1.1&ISO",),),
                "$XDSDocumentEntryStatus": ((APPROVED,),),
            },
        )
    ),
    Packaging.SIMPLE,
).body


def post(server: Server, body: bytes, certificate: bytes) -> str:
    headers = {
        "Content-Type": "application/soap+xml; charset=UTF-8",
        "X-Client-Certificate": quote(certificate.decode()),
        "Connection": "close",
    }
    return requests.post(server.url("registry"), body, headers=headers, timeout=60).text


def asked(server: Server, signer) -> bool:
    """True when a query with an assertion of this signer is answered."""
    message = envelope(iti18.TRANSACTION.trigger, b"".join(QUERY), security=security_header(issued(signer)))
    return "AdhocQueryResponse" in post(server, message, HOSPITAL.cert_pem)


def may_register(server: Server, node) -> bool:
    """True when this node gets past the door; what it sends is no submission."""
    message = envelope(iti42.TRANSACTION.trigger, b"<nothing xmlns='urn:x'/>")
    return "FailedAuthentication" not in post(server, message, node.cert_pem)


def test_every_worker_follows(tmp_path: Path) -> None:
    """Two workers behind a proxy; the operator changes the issuer's certificate and the nodes, and restarts nothing."""
    files = Files(tmp_path)
    behind_proxy = "\n".join(
        ["[domain]", 'profile = "generic"', "[server]", "workers = 2", 'actors = ["registry"]', "[consent]"]
    )
    proxy = '[tls]\nproxy_header = "X-Client-Certificate"\nproxy_addresses = ["127.0.0.1"]\n'
    files.configure(hospital=HOSPITAL, extra=behind_proxy)
    files.write(files.config, files.config.read_bytes().replace(b"[tls]\n", proxy.encode()))
    with serving(tmp_path / "data", config=files.config, port=free_port()) as server:
        wait_until(lambda: len(server.workers) == 2)
        assert all(asked(server, OLD) for _ in range(6))
        assert may_register(server, HOSPITAL)
        assert not may_register(server, OTHER)
        files.write(files.issuer, NEW.cert_pem)
        assert not any(asked(server, OLD) for _ in range(6))
        assert all(asked(server, NEW) for _ in range(6))
        files.write(files.config, files.config.read_bytes().replace(HOSPITAL.sha256.encode(), OTHER.sha256.encode()))
        assert not any(may_register(server, HOSPITAL) for _ in range(6))
        assert all(may_register(server, OTHER) for _ in range(6))
