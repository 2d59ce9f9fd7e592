"""Settings: what is wrong is refused with its place, and whatever stands in a file can come from the environment."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import START, identity, revocation_list
from xdsi import app, settings
from xdsi.cli import main
from xdsi.domain.errors import ConfigurationError
from xdsi.settings import Settings, load

SHA = "ab" * 32


def loaded(tmp_path: Path, text: str, **environment: str) -> Settings:
    file = tmp_path / "xdsi.toml"
    file.write_text(text, "utf-8")
    return load(file, environment)


def refusal(tmp_path: Path, text: str, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, text, **environment)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_defaults_need_no_file() -> None:
    assert load(None, {}) == Settings()
    assert Settings().server.port == 8443
    assert Settings().domain.home_community_id == "urn:oid:2.999.1"


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    given = loaded(tmp_path, '[server]\nport = 9000\ndata_dir = "/var/lib/x"\n[imaging_source]\n'
                   "decision_cache_seconds = 2\n")  # fmt: skip
    assert (given.server.port, given.server.data_dir, given.server.address) == (9000, Path("/var/lib/x"), "127.0.0.1")
    assert given.imaging_source.decision_cache_seconds == 2.0


def test_lists_of_sections(tmp_path: Path) -> None:
    text = f"""
[[node]]
name = "a"
sha256 = "{SHA}"
permits = ["ITI-42", "ITI-8"]

[[node]]
name = "b"
sha256 = "{SHA}"
permits = "*"

[[saml.issuer]]
name = "idp"
certificates = ["one.pem", "two.pem"]

[saml]
audiences = ["urn:oid:2.999.1", "urn:oid:2.999.2"]

[consumer.repositories]
"2.999.1.2" = "https://a.example"
"""
    given = loaded(tmp_path, text)
    assert [(node.name, node.permits) for node in given.node] == [("a", ("ITI-42", "ITI-8")), ("b", ("*",))]
    assert given.saml.issuer == (settings.SamlIssuer(name="idp", certificates=("one.pem", "two.pem")),)
    assert given.saml.audiences == ("urn:oid:2.999.1", "urn:oid:2.999.2")
    assert given.consumer.repositories == {"2.999.1.2": "https://a.example"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nport = 1\nprot = 2", "xdsi.toml:3: unknown key 'server.prot'; known: actors, address,"),
        ("[sever]\nport = 1", "xdsi.toml:1: unknown key 'sever'; known: audit, consent,"),
        ('port = 8\n[server]\nport = 1', "xdsi.toml:1: unknown key 'port'; known: audit,"),
        ('[server]\nport = "8080"', "xdsi.toml:2: server.port must be a whole number, not '8080'"),
        ("[server]\nport = true", "xdsi.toml:2: server.port must be a whole number, not True"),
        ("[server]\nport = 1.5", "xdsi.toml:2: server.port must be a whole number, not 1.5"),
        ("[server]\nport = 99999", "xdsi.toml:2: server.port is 99999; valid: 0 to 65535"),
        ("[server]\nworkers = 0", "xdsi.toml:2: server.workers is 0; valid: 1 or more"),
        ("[server]\naddress = 7", "xdsi.toml:2: server.address must be text, not 7"),
        ("[consent]\nenforce = 1", "xdsi.toml:2: consent.enforce must be true or false, not 1"),
        ("[imaging_source]\ndecision_cache_seconds = -1",
         "xdsi.toml:2: imaging_source.decision_cache_seconds is -1.0; valid: 0 or more"),
        ('\n\n[consent]\n# a comment\n  default = "maybe"', "xdsi.toml:5: consent.default is 'maybe'; "
         "valid: deny, permit"),
        ('[server]\nactors = ["registry", "pacs"]', "xdsi.toml:2: server.actors is 'pacs'; valid: registry, "),
        ('[registry]\nstrictness_of = { ITI-18 = "off" }',
         "xdsi.toml:2: registry.strictness_of has the key 'ITI-18'; valid: ITI-42, ITI-57, ITI-61, ITI-92"),
        ('[registry]\nstrictness_of = { ITI-42 = "lax" }',
         "xdsi.toml:2: registry.strictness_of has 'lax'; valid: off, log, warn, reject"),
        ("[server]\nactors = 7", "xdsi.toml:2: server.actors must be a list"),
        ('[domain]\nhome_community_id = "2.999.1"',
         "xdsi.toml:2: domain.home_community_id is '2.999.1'; valid: urn:oid:2.999.1"),
        ('[repository]\nunique_id = "2.999.01"', "xdsi.toml:2: repository.unique_id is '2.999.01'; valid: an OID"),
        ('[[node]]\nname = "a"\nsha256 = "AB"', "xdsi.toml:3: node.sha256 is 'AB'; valid: 64 lower-case hex digits"),
        ('[[node]]\nname = "a"', "xdsi.toml:1: 'node.sha256' is required"),
        ("server = 3", "xdsi.toml:1: server must be a section"),
        ("node = 3", "xdsi.toml:1: node must be a list"),
        ("[consumer]\nrepositories = 3", "xdsi.toml:2: consumer.repositories must be a table of text values"),
        ('[consumer.repositories]\n"2.9" = 3', "xdsi.toml:1: consumer.repositories must be a table of text values"),
        ("[repository]\nregistry_url = 'https//hub.example/x'",
         "xdsi.toml:2: repository.registry_url is 'https//hub.example/x'; valid: https://host:port/path"),
        ("[consumer]\nsources = { '2.9' = 'hub.example' }",
         "xdsi.toml:2: consumer.sources has 'hub.example'; valid: https://host:port/path"),
        ("[audit]\nsend = 'syslog:x'", "xdsi.toml:2: audit.send is 'syslog:x'; valid: tls://host:6514 or https://host/fhir"),
        ("[server\nport = 1", "xdsi.toml: not TOML: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)


def test_every_mistake_is_told(tmp_path: Path) -> None:
    text = "[server]\nport = 'x'\ncolour = 1\nactors = ['pacs', 'ris']\n"
    text += f"[[node]]\nname = 'a'\n[[node]]\nsha256 = '{SHA}'\n"
    assert [line.partition(": ")[0] for line in refusal(tmp_path, text, XDSI_DOMAIN__CODES="1").splitlines()] == [
        "xdsi.toml:3", "xdsi.toml:2", "xdsi.toml:4", "xdsi.toml:4", "xdsi.toml:5", "xdsi.toml:7",
    ]  # fmt: skip


def test_the_line_is_that_of_the_section_which_is_wrong(tmp_path: Path) -> None:
    good = f'[[node]]\nname = "a"\nsha256 = "{SHA}"\n'
    assert refusal(tmp_path, good * 2 + '[[node]]\nname = "c"\nsha256 = "x"\n').startswith("xdsi.toml:9: node.sha256")
    assert refusal(tmp_path, good + '[[node]]\nname = "b"\n' + good).startswith("xdsi.toml:4: 'node.sha256' is req")
    issuer = '[[saml.issuer]]\nname = "a"\ncertificates = []\n'
    assert refusal(tmp_path, issuer + issuer + "colour = 1").startswith("xdsi.toml:7: unknown key 'saml.issuer.colour'")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "none.toml", {})


# -- environment


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    given = loaded(
        tmp_path, '[server]\nport = 1\naddress = "::1"',
        XDSI_SERVER__PORT="2", XDSI_CONSENT__ENFORCE="false", XDSI_IMAGING_SOURCE__DECISION_CACHE_SECONDS="2.5",
        XDSI_SERVER__DATA_DIR="/x", XDSI_SAML__AUDIENCES='["a", "b"]', XDSI_TLS__PROXY_ADDRESSES="10.0.0.0/8",
        XDSI_CONSUMER__SOURCES='{"2.9": "https://a.example"}', XDSI_CORPUS="/corpus", XDSI_CONFIG="other",
    )  # fmt: skip
    assert (given.server.port, given.server.address, given.server.data_dir) == (2, "::1", Path("/x"))
    assert (given.consent.enforce, given.imaging_source.decision_cache_seconds) == (False, 2.5)
    assert (given.saml.audiences, given.tls.proxy_addresses) == (("a", "b"), ("10.0.0.0/8",))
    assert given.consumer.sources == {"2.9": "https://a.example"}


@pytest.mark.parametrize("text", ["2.999", "1.10", "2.5"])
def test_an_oid_with_one_dot_is_no_number(text: str) -> None:
    assert load(None, {"XDSI_REPOSITORY__UNIQUE_ID": text}).repository.unique_id == text
    assert load(None, {"XDSI_SAML__AUDIENCES": text}).saml.audiences == (text,)
    assert type(load(None, {"XDSI_REPOSITORY__UNIQUE_ID": text}).repository.unique_id) is str


@pytest.mark.parametrize("text", ["true", "null", "12", '"x"', "[1]", ""])
def test_text_stays_text(text: str) -> None:
    assert load(None, {"XDSI_AUDIT__SOURCE_ID": text}).audit.source_id == text


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("XDSI_SERVER__PORT", "x", "XDSI_SERVER__PORT: server.port must be a whole number, not 'x'"),
        ("XDSI_SERVER__PROT", "1", "XDSI_SERVER__PROT: unknown key 'server.prot'"),
        ("XDSI_SEVER__PORT", "1", "XDSI_SEVER__PORT: unknown key 'sever'"),
        ("XDSI_DOMAIN__HOME_COMMUNITY_ID", "2.999", "XDSI_DOMAIN__HOME_COMMUNITY_ID: domain.home_community_id is"),
        ("XDSI_CONSUMER__SOURCES", "x", "XDSI_CONSUMER__SOURCES: consumer.sources must be a table"),
        ("XDSI_SERVER__ACTORS", "pacs", "XDSI_SERVER__ACTORS: server.actors is 'pacs'; valid: registry"),
    ],
)
def test_a_variable_that_is_wrong_is_named(tmp_path: Path, variable: str, value: str, message: str) -> None:
    assert refusal(tmp_path, "[server]\nport = 5\n", **{variable: value}).startswith(message)


def test_a_list_of_sections_cannot_be_set_by_a_variable(tmp_path: Path) -> None:
    text = f'[[node]]\nname = "a"\nsha256 = "{SHA}"'
    assert "is a list" in refusal(tmp_path, text, XDSI_NODE__NAME="b")


def test_every_key_has_a_variable() -> None:
    for section in dataclasses.fields(Settings):
        if section.name == "node":
            continue
        for key in dataclasses.fields(getattr(Settings(), section.name)):
            value: Any = getattr(getattr(Settings(), section.name), key.name)
            text = value if isinstance(value, str) else str(value) if isinstance(value, Path) else json.dumps(value)
            variable = f"XDSI_{section.name.upper()}__{key.name.upper()}"
            assert load(None, {variable: text}) == Settings(), variable


# -- xdsi config check


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["--json", *arguments, "config", "check"])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status, answer


def test_settings_in_order(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked(capsys) == (
        0,
        {"status": "ok", "items": [{"base_url": "http://127.0.0.1:8443"}], "message": "the settings are in order"},
    )
    assert list(tmp_path.iterdir()) == []


def test_the_file_may_be_named_by_a_variable(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "x.toml").write_text("[domain]\nprofile = 'open'\n[server]\npublic_url = 'https://hub.example/'")
    monkeypatch.setenv("XDSI_CONFIG", str(tmp_path / "x.toml"))
    assert checked(capsys)[1]["items"] == [{"base_url": "https://hub.example"}]


FILE = '"/no/such.pem"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nport = 'x'", ":2: server.port must be a whole number"),
        (f"[tls]\ncertificate = {FILE}", "tls.certificate needs tls.key and tls.client_ca"),
        (f"[tls]\ncertificate = {FILE}\nkey = {FILE}\nclient_ca = {FILE}", "TLS: certificate /no/such.pem cannot"),
        (f"[[saml.issuer]]\nname = 'a'\ncertificates = [{FILE}]", "saml.issuer.certificates: /no/such.pem cannot be"),
        (f"[consent]\nsigner_ca = {FILE}", "consent.signer_ca: /no/such.pem cannot be read: No such file"),
        (f"[consent]\ndecision_trust = [{FILE}]", "consent.decision_trust: /no/such.pem cannot be read"),
        ("[consent]\nenforce = false", "consent.enforce is false; valid: true, outside the open profile"),
        (f"[domain]\ncodes = {FILE}", "domain.codes: /no/such.pem cannot be read"),
        (f"[imaging_source]\npatient_ids = {FILE}", "imaging_source.patient_ids: /no/such.pem"),
        ("[server]\nactors = ['imaging-source']", "imaging_source.pacs is ''; valid: folder:/path"),
        ("[server]\nactors = ['imaging-source']\n[imaging_source]\npacs = 'folder:/no/such'", "is not a folder"),
        ("[server]\naddress = '0.0.0.0'", "server.address is 0.0.0.0: without TLS only loopback addresses"),
        ("[server]\naddress = 'hub.example'", "server.address is 'hub.example'; valid: an IP address"),
        ("[server]\nactors = ['authorization']", "the actor authorization signs its answers: it needs tls.certificate"),
        ("[server]\nactors = ['repository']", "a repository without a registry beside it needs"),
        ("[server]\nactors = ['imaging-source']\n[imaging_source]\ndecision_url = 'https://hub.example/a'",
         "consent.decision_trust names who signs them; it is empty"),
        ("[audit]\nlisten = 6514", "audit.listen needs tls.certificate"),
        ("[audit]\nsend = 'tls://hub.example'", "audit.send needs tls.certificate"),
        (f"[consumer]\nassertion = {FILE}", "consumer.assertion: /no/such.pem cannot be read"),
        (f"[[node]]\nname = 'a'\nsha256 = '{SHA}'\npermits = ['RAD-68']",
         "node.permits of 'a' has 'RAD-68'; valid: *, ITI-18,"),
        ("[tls]\nproxy_header = 'X-Cert'\nproxy_addresses = ['proxy.example']", "tls.proxy_addresses: "),
        (f"[[node]]\nname = 'a'\nsha256 = '{SHA}'\n[[node]]\nname = 'b'\nsha256 = '{SHA}'",
         "node.sha256: 'a' and 'b' have the same certificate"),
        (f"[[node]]\nname = 'a'\nsha256 = ['{'0' * 64}', '{SHA}']\n[[node]]\nname = 'b'\nsha256 = '{SHA}'",
         "node.sha256: 'a' and 'b' have the same certificate"),
        ("[[node]]\nname = 'a'\nsha256 = []", "node.sha256: 'a' has no certificate"),
        ("[server]\nprocessors = [0, 99999]", "server.processors: there is no"),
        (f"[tls]\ncrl = {FILE}", "tls.crl: /no/such.pem cannot be read"),
    ],
)  # fmt: skip
def test_what_the_settings_name_must_be_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "xdsi.toml"
    file.write_text(f"{text}\n", "utf-8")
    status, answer = checked(capsys, "--config", str(file))
    assert (status, answer["status"]) == (1, "failed")
    assert message in answer["message"]
    assert answer["message"].startswith("settings: ")


def test_everything_that_is_wrong_is_told_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "xdsi.toml"
    file.write_text(
        f"[server]\nactors = ['imaging-source']\n[tls]\ncertificate = {FILE}\n[consent]\nsigner_ca = {FILE}\n"
    )
    _, answer = checked(capsys, "--config", str(file))
    assert answer["message"].splitlines() == [
        "settings: tls.certificate needs tls.key and tls.client_ca",
        "settings: imaging_source.pacs is ''; valid: folder:/path, orthanc:URL, dicomweb:URL, dimse:AET@host:port",
        "settings: consent.signer_ca: /no/such.pem cannot be read: No such file or directory",
    ]


def test_a_revocation_list_that_keeps_everybody_out_is_a_warning(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Of `config check`, and of the log before the server serves; the settings are right all the same."""
    one = identity("hub", "2048", ca=True)
    (tmp_path / "hub.pem").write_bytes(one.cert_pem)
    (tmp_path / "hub.key").write_bytes(one.key_pem)
    pem, crl = tmp_path / "hub.pem", tmp_path / "ca.crl"
    file = tmp_path / "xdsi.toml"
    file.write_text(
        f"[server]\ndata_dir = '{tmp_path / 'data'}'\n"
        f"[tls]\ncertificate = '{pem}'\nkey = '{tmp_path / 'hub.key'}'\nclient_ca = '{pem}'\ncrl = '{crl}'\n"
    )
    refused = "whoever bears a certificate of it is refused"
    for content, warning in (
        (revocation_list("hub", next_update=START + timedelta(days=1)), f"ended at 2024-01-02T00:00:00Z: {refused}"),
        (revocation_list("other"), f"tls.crl: {crl} has no list in force of CN=hub (tls.client_ca): {refused}"),
    ):
        crl.write_bytes(content)
        status, answer = checked(capsys, "--config", str(file))
        assert status == 0
        assert answer["message"].startswith("the settings can be served, but:\nwarning: tls.crl: ")
        (told,) = answer["items"][0]["warnings"]
        assert warning in told
        assert warning in answer["message"]
        caplog.clear()
        app.prepare(load(file, {})).leave_to_parent()
        assert told in caplog.messages
    crl.write_bytes(revocation_list("hub"))
    assert checked(capsys, "--config", str(file))[1]["message"] == "the settings are in order"


@pytest.mark.parametrize(
    "url", ["http://[bad/x", "http://registry\uff0fx", "http://h?x=1", "http://:80/x", "ftp://h/x"]
)
def test_an_address_that_is_none_is_a_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path, url: str) -> None:
    file = tmp_path / "xdsi.toml"
    file.write_text(f"[server]\nactors = ['repository']\n[repository]\nregistry_url = '{url}'\n", "utf-8")
    status, answer = checked(capsys, "--config", str(file))
    assert status == 1
    assert "repository.registry_url" in answer["message"]
    assert "https://host:port/path" in answer["message"]


def test_an_endpoint_without_its_path_is_a_warning(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "xdsi.toml"
    file.write_text(
        "[server]\nactors = ['repository']\n[domain]\nprofile = 'open'\n"
        "[repository]\nregistry_url = 'http://hub.example:8081/'\n"
        "[consumer]\nregistry_url = 'https://hub.example/registry'\n"
        "repositories = { '2.999.1' = 'https://archive.example' }\n"
    )
    status, answer = checked(capsys, "--config", str(file))
    assert status == 0
    assert answer["items"][0]["warnings"] == [
        "repository.registry_url: http://hub.example:8081/ has no path; where xdsi serves it, it is "
        "http://hub.example:8081/services/registry",
        "consumer.repositories of 2.999.1: https://archive.example has no path; where xdsi serves it, it is "
        "https://archive.example/services/repository",
    ]


def test_certificates_are_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one = identity("hub", "2048", ca=True)
    (tmp_path / "hub.pem").write_bytes(one.cert_pem)
    (tmp_path / "hub.key").write_bytes(one.key_pem)
    pem = tmp_path / "hub.pem"
    text = (
        f"[tls]\ncertificate = '{pem}'\nkey = '{tmp_path / 'hub.key'}'\nclient_ca = '{pem}'\n"
        f"[consent]\nsigner_ca = '{pem}'\ndecision_trust = ['{pem}']\n"
        f"[[saml.issuer]]\nname = 'a'\ncertificates = ['{pem}']\n"
    )
    file = tmp_path / "xdsi.toml"
    file.write_text(text)
    assert checked(capsys, "--config", str(file))[1]["items"] == [{"base_url": "https://127.0.0.1:8443"}]
    (tmp_path / "ca.crl").write_text("no list")
    file.write_text(text.replace("client_ca =", f"crl = '{tmp_path / 'ca.crl'}'\nclient_ca ="))
    status, answer = checked(capsys, "--config", str(file))
    (line,) = answer["message"].splitlines()
    assert status == 1
    assert line.startswith(f"settings: tls.crl: {tmp_path / 'ca.crl'} is not a certificate revocation list: ")
    (tmp_path / "codes.toml").write_text("[codes]\nnoSuchAttribute = {}")
    file.write_text(f"[domain]\ncodes = '{tmp_path / 'codes.toml'}'\n{text}")
    assert "domain.codes: " in checked(capsys, "--config", str(file))[1]["message"]


def test_the_open_profile_needs_no_consent() -> None:
    app.check(settings.replaced(settings.replaced(Settings(), "domain", profile="open"), "consent", enforce=False))
