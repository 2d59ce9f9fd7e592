"""Frozen settings from one TOML file and the environment.

Each key is also read from `XDSI_<SECTION>__<KEY>`. Unknown keys and wrong values are refused with their line.
`docs/configuration.md` is made from the tables here and a test holds the two together.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tomllib
import typing
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from xdsi.domain.errors import ConfigurationError
from xdsi.domain.identifiers import is_oid

Keys: TypeAlias = tuple[str | int, ...]
"""the way to a value: sections and keys by name, members of a list of sections by number"""


def _key(doc: str, default: Any = dataclasses.MISSING, *, choices: tuple[str, ...] = (), check: str = "") -> Any:
    metadata = {"doc": doc, "choices": choices, "check": check}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    if default is dataclasses.MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The process and its front end."""

    address: str = _key("address to listen on", "127.0.0.1")
    port: int = _key("port to listen on", 8443, check="port")
    public_url: str = _key("base URL that peers use; empty: made from address and port", "", check="url")
    operations_port: int = _key("port of health and metrics alone, plain HTTP on loopback; 0: none", 0, check="port")
    data_dir: Path = _key("folder of everything this process keeps", Path("xdsi-data"))
    workers: int = _key("worker processes (SQLite: keep 1)", 1, check="count")
    threads: int = _key("threads in each worker", 16, check="count")
    actors: tuple[str, ...] = _key(
        "actors to run",
        ("registry", "repository", "identity", "authorization"),
        choices=("registry", "repository", "imaging-source", "identity", "authorization"),
    )
    mllp_port: int = _key("port of the HL7 v2 feed (ITI-8), TLS where the server has TLS; 0: none", 0, check="port")
    trace_days: int = _key("how long `xdsi explain` can tell of an exchange, in days", 30)
    record_dir: str = _key("folder that keeps every SOAP message received and answered; empty: none", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The affinity domain."""

    home_community_id: str = _key("urn:oid: of this community", "urn:oid:2.999.1", check="oid-urn")
    patient_id_authority: str = _key(
        "OID of the domain's patient identifiers; empty: any authority is accepted", "", check="oid"
    )
    codes: str = _key("file of the domain's value sets (own TOML or a connectathon codes.xml); empty: not checked", "")
    profile: str = _key("national rules", "generic", choices=("generic", "open"))
    unknown_patient: str = _key(
        "a query for an unknown patient: empty answer or XDSUnknownPatientId", "empty", choices=("empty", "error")
    )
    accept_unknown_patients: bool = _key("register documents of patients that no feed announced", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The Document Registry."""

    database: str = _key("SQLAlchemy URL; empty: SQLite in data_dir", "")
    strictness: str = _key(
        "what happens where metadata break rules on value sets and on forms that senders often miss",
        "reject",
        choices=("off", "log", "warn", "reject"),
    )
    reject_unknown_parameters: bool = _key("answer XDSRegistryError on an unknown query parameter", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The Document Repository."""

    unique_id: str = _key("repositoryUniqueId, an OID", "2.999.1.2", check="oid")
    store: str = _key("where documents lie: file:///path; empty: in data_dir", "")
    registry_url: str = _key("ITI-42 endpoint; empty: the registry of this process", "", check="url")
    check_manifests: bool = _key("refuse a KOS whose patient is not the entry's sourcePatientId", True)
    decision_url: str = _key("ITI-79 endpoint that decides on retrieval; empty: this process", "", check="url")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingSource:
    """The Imaging Document Source of a hospital."""

    retrieve_location_uid: str = _key("OID by which manifests name this source", "2.999.1.3", check="oid")
    retrieve_ae_title: str = _key("AE title named in manifests", "XDSI")
    retrieve_url: str = _key("WADO-RS base URL named in manifests; empty: none", "", check="url")
    pacs: str = _key("where the images are: folder:/path", "")
    repository_url: str = _key("ITI-41 endpoint that manifests are published to", "", check="url")
    repository_unique_id: str = _key("repositoryUniqueId of that repository", "2.999.1.2", check="oid")
    registry_url: str = _key("ITI-18 endpoint where the hospital finds its published manifests", "", check="url")
    organization_id: str = _key("urn:oid: of the hospital", "urn:oid:2.999.1.9", check="oid-urn")
    organization_name: str = _key("name of the hospital", "Hospital")
    source_id: str = _key("SubmissionSet.sourceId, an OID", "2.999.1.4", check="oid")
    patient_id_authority: str = _key("OID of the hospital's own patient numbers", "2.999.1.5", check="oid")
    patient_ids: str = _key("TOML file: local identifier (CX) = the domain's identifier (CX); empty: none", "")
    accession_authority: str = _key("OID of the hospital's accession numbers", "2.999.1.6", check="oid")
    decision_url: str = _key("ITI-79 endpoint that decides on images; empty: this process", "", check="url")
    decision_cache_seconds: float = _key("how long an answer is used again, at most 60", 5.0, check="seconds")
    decision_offline_seconds: float = _key("how much longer while the hub is away", 0.0, check="seconds")
    require_signed_decisions: bool = _key("refuse an ITI-79 answer without a valid signature", True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates (PEM). Without `certificate` the server speaks plain HTTP, allowed on loopback only."""

    certificate: str = _key("own certificate with its chain", "")
    key: str = _key("its private key", "")
    client_ca: str = _key("authorities whose certificates clients may bear", "")
    crl: str = _key("revocation list of those authorities", "")
    proxy_header: str = _key("header in which a proxy passes the client certificate; empty: none", "")
    proxy_addresses: tuple[str, ...] = _key("addresses or networks that header is believed from", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A system known by its client certificate."""

    name: str = _key("name in audit records")
    sha256: str = _key("SHA-256 of the certificate (DER), 64 lower-case hexadecimal digits", check="sha256")
    organization_id: str = _key("urn:oid: of its organisation", "")
    permits: tuple[str, ...] = _key("transactions it may start, e.g. ITI-42; * for all", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlIssuer:
    """Who may issue identity assertions."""

    name: str = _key("Issuer, exactly as in assertions")
    certificates: tuple[str, ...] = _key("PEM files; more than one during a change of keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saml:
    """Identity assertions (ITI-40)."""

    audiences: tuple[str, ...] = _key("acceptable Audience values", ("urn:oid:2.999.1",))
    max_lifetime_seconds: int = _key("longest accepted validity", 3600, check="count")
    clock_skew_seconds: int = _key("tolerated difference of clocks", 60, check="seconds")
    refuse_replay: bool = _key("refuse an assertion that was used before", False)
    issuer: tuple[SamlIssuer, ...] = _key("trusted issuers", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Patient consent."""

    enforce: bool = _key("decide by consent; false only in the open profile", True)
    default: str = _key("when no consent applies", "deny", choices=("deny", "permit"))
    combine: str = _key("several active consents", "deny-overrides", choices=("deny-overrides", "newest"))
    hidden: str = _key("say how many entries were hidden", "silent", choices=("silent", "counted"))
    signer_ca: str = _key("authorities of the certificates that patients sign with (PEM)", "")
    seals: tuple[str, ...] = _key("certificates (PEM) that may sign on a patient's behalf", ())
    reject_invalid: bool = _key("refuse a consent whose signature fails", True)
    decision_certificate: str = _key("certificate (PEM) that signs ITI-79 answers; empty: the TLS certificate", "")
    decision_trust: tuple[str, ...] = _key("certificates (PEM) whose ITI-79 answers are believed", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Audit records (ITI-20)."""

    source_id: str = _key("AuditSourceID", "xdsi")
    send: str = _key("collector to forward to: tls://host:6514; empty: none", "", check="syslog")
    listen: int = _key("port of the collector for other nodes' records; 0: none", 0, check="port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """How `xdsi find` and `xdsi fetch` reach a domain."""

    registry_url: str = _key("ITI-18 endpoint", "", check="url")
    repositories: dict[str, str] = _key("repositoryUniqueId -> ITI-43 endpoint", {}, check="url")
    sources: dict[str, str] = _key("Retrieve Location UID -> RAD-69 endpoint", {}, check="url")
    certificate: str = _key("client certificate (PEM)", "")
    key: str = _key("its key", "")
    ca: str = _key("authorities of the servers", "")
    assertion: str = _key("file with the identity assertion to send", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All sections."""

    server: Server = field(default_factory=Server)
    domain: Domain = field(default_factory=Domain)
    registry: Registry = field(default_factory=Registry)
    repository: Repository = field(default_factory=Repository)
    imaging_source: ImagingSource = field(default_factory=ImagingSource)
    tls: Tls = field(default_factory=Tls)
    node: tuple[Node, ...] = ()
    saml: Saml = field(default_factory=Saml)
    consent: Consent = field(default_factory=Consent)
    audit: Audit = field(default_factory=Audit)
    consumer: Consumer = field(default_factory=Consumer)


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read settings: defaults, then the file, then the environment; raises ConfigurationError naming line and key."""
    environment = os.environ if environment is None else environment
    text = ""
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            text = path.read_text("utf-8")
            tree = tomllib.loads(text)
        except OSError as error:
            raise ConfigurationError(f"settings file {path} cannot be read: {error.strerror}") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{path}: not TOML: {error}") from error
    for name, value in environment.items():
        match = re.fullmatch(r"XDSI_([A-Z_]+?)__([A-Z0-9_]+)", name)
        if match:
            section = tree.setdefault(match[1].lower(), {})
            if not isinstance(section, dict):
                raise ConfigurationError(f"{name}: section {match[1].lower()!r} is a list and cannot be set this way")
            section[match[2].lower()] = _FromEnvironment(value, name)
    where = _Places(str(path) if path else "settings", text)
    settings: Settings = _section(Settings, tree, (), where)
    return settings


def replaced(settings: Settings, section: str, **changes: Any) -> Settings:
    """A copy with some keys of one section changed."""
    return dataclasses.replace(settings, **{section: dataclasses.replace(getattr(settings, section), **changes)})


def with_nodes(settings: Settings, nodes: tuple[Node, ...]) -> Settings:
    """A copy that knows more nodes."""
    return dataclasses.replace(settings, node=(*settings.node, *nodes))


class _FromEnvironment(str):
    """The text of an environment variable; which type it stands for is known only where it is used."""

    variable: str

    def __new__(cls, text: str, variable: str) -> _FromEnvironment:
        made = super().__new__(cls, text)
        made.variable = variable
        return made

    def read(self, hint: Any) -> Any:
        """The value as TOML would have given it: text for a text key, else what it is as JSON."""
        if hint in (str, Path):
            return str(self)
        try:
            found = json.loads(self)
        except ValueError:
            return str(self)
        one_of_many = typing.get_origin(hint) is tuple and not isinstance(found, list | dict)
        return str(self) if one_of_many else found


@dataclass(frozen=True, slots=True)
class _Places:
    file: str
    text: str

    def of(self, keys: Keys, value: Any = None) -> str:
        """Where a value was set: its environment variable, or `file:line` as well as plain text can tell."""
        if isinstance(value, dict):
            value = next(iter(value.values()), None)
        if isinstance(value, _FromEnvironment):
            return value.variable
        names = _names(keys)
        section, key = ".".join(names[:-1]), re.escape(names[-1])
        position = next((key for key in reversed(keys) if isinstance(key, int)), 0)
        current, seen = "", Counter[str]()
        for number, line in enumerate(self.text.splitlines(), start=1):
            header = re.match(r"\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}", line)
            if header:
                current = header[1]
                seen[current] += 1
            there = max(seen[current] - 1, 0) == position
            if there and header and current == ".".join(names):
                return f"{self.file}:{number}"
            if there and not header and current == section and re.match(rf"\s*[\"']?{key}[\"']?\s*=", line):
                return f"{self.file}:{number}"
        return self.file


def _names(keys: Keys) -> list[str]:
    return [key for key in keys if isinstance(key, str)]


def _section(kind: Any, tree: Mapping[str, Any], keys: Keys, where: _Places) -> Any:
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    problems: list[str] = []
    for key, value in tree.items():
        if key not in fields:
            known = ", ".join(sorted(fields))
            name = ".".join((*_names(keys), key))
            problems.append(f"{where.of((*keys, key), value)}: unknown key {name!r}; known: {known}")
    values: dict[str, Any] = {}
    for name, item in fields.items():
        if name in tree:
            values[name] = _noting(problems, _value, hints[name], tree[name], item, (*keys, name), where)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            missing = ".".join((*_names(keys), name))
            problems.append(f"{where.of(keys or (name,), dict(tree))}: {missing!r} is required")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return kind(**values)


def _noting(problems: list[str], read: Callable[..., Any], *arguments: Any) -> Any:
    """What `read` gives; None where it raises, with its problems among the others."""
    try:
        return read(*arguments)
    except ConfigurationError as error:
        problems.append(str(error))
        return None


def _value(hint: Any, given: Any, item: dataclasses.Field[Any], keys: Keys, where: _Places) -> Any:
    def refusal(text: str) -> ConfigurationError:
        return ConfigurationError(f"{where.of(keys, given)}: {'.'.join(_names(keys))} {text}")

    value = given.read(hint) if isinstance(given, _FromEnvironment) else given
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise refusal("must be a section")
        return _section(hint, value, keys, where)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        items = [value] if isinstance(value, str | dict) else value
        if not isinstance(items, list):
            raise refusal("must be a list")
        if isinstance(given, _FromEnvironment):
            items = [_FromEnvironment(entry, given.variable) if isinstance(entry, str) else entry for entry in items]
        problems: list[str] = []
        several = dataclasses.is_dataclass(inner)
        found = tuple(
            _noting(problems, _value, inner, entry, item, (*keys, number) if several else keys, where)
            for number, entry in enumerate(items)
        )
        if problems:
            raise ConfigurationError("\n".join(problems))
        return found
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise refusal("must be a table of text values")
        for text in value.values():
            if problem := _problem(text, item):
                raise refusal(f"has {text!r}; valid: {problem}")
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    plain = str if hint is Path else hint
    if not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
        raise refusal(f"must be {_KINDS[plain]}, not {value!r}")
    problem = _problem(value, item)
    if problem:
        raise refusal(f"is {value!r}; valid: {problem}")
    return hint(value)


_KINDS: Mapping[Any, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_CHECKS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "oid": ("an OID such as 2.999.1", is_oid),
    "oid-urn": ("urn:oid:2.999.1", lambda v: v.startswith("urn:oid:") and is_oid(v.removeprefix("urn:oid:"))),
    "sha256": ("64 lower-case hex digits", lambda v: re.fullmatch(r"[0-9a-f]{64}", v) is not None),
    "port": ("0 to 65535", lambda v: 0 <= v <= 65535),
    "count": ("1 or more", lambda v: v >= 1),
    "seconds": ("0 or more", lambda v: v >= 0),
    "url": ("https://host:port/path", lambda v: re.fullmatch(r"https?://[^/\s]+(/\S*)?", v) is not None),
    "syslog": ("tls://host:6514", lambda v: re.fullmatch(r"tls://[^/\s]+", v) is not None),
}


def _problem(value: Any, item: dataclasses.Field[Any]) -> str:
    """What would be valid instead of a value; empty where it is."""
    choices = item.metadata.get("choices", ())
    if choices and value not in choices:
        return ", ".join(choices)
    form, holds = _CHECKS.get(item.metadata.get("check", ""), ("", None))
    if value == "" and item.default == "":
        return ""  # nothing is set
    return "" if holds is None or holds(value) else form


def reference() -> str:
    """The configuration reference, as Markdown (docs/configuration.md)."""
    lines: list[str] = []
    for section in dataclasses.fields(Settings):
        kind: Any = typing.get_type_hints(Settings)[section.name]
        repeated = typing.get_origin(kind) is tuple
        if repeated:
            kind = typing.get_args(kind)[0]
        lines += _reference_section(kind, section.name, repeated=repeated)
    return "\n".join(lines)


def _reference_section(kind: Any, name: str, *, repeated: bool) -> list[str]:
    brackets = f"[[{name}]]" if repeated else f"[{name}]"
    lines = [f"## `{brackets}`", "", (kind.__doc__ or "").strip(), "", "| key | default | meaning |", "|---|---|---|"]
    nested: list[str] = []
    for item in dataclasses.fields(kind):
        hint = typing.get_type_hints(kind)[item.name]
        inner = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else hint
        if dataclasses.is_dataclass(inner):
            nested += _reference_section(inner, f"{name}.{item.name}", repeated=True)
            continue
        meaning = item.metadata.get("doc", "")
        if item.metadata.get("choices"):
            meaning += "; one of " + ", ".join(f"`{c}`" for c in item.metadata["choices"])
        lines.append(f"| `{item.name}` | {_shown(item)} | {meaning} |")
    return [*lines, "", *nested]


def _shown(item: dataclasses.Field[Any]) -> str:
    if item.default is dataclasses.MISSING:
        return "required" if item.default_factory is dataclasses.MISSING else "`{}`"
    default = item.default
    if isinstance(default, Path):
        default = str(default)
    if isinstance(default, tuple):
        default = list(default)
    return f"`{json.dumps(default)}`"
