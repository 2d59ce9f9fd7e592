"""The policies of a domain, read from the folder that the settings name (docs/policy.md section 7).

Its folders are `floor/`, `organizations/` and `library/`; each `.xml` or `.toml` file in them is a policy, in the order
of their names. Files `NAME.test.toml`, anywhere in it, are tests of what the domain decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from xdsi.app.reading import read_file
from xdsi.domain.codes import Code
from xdsi.domain.consent import Combine, Consent, Decision, DomainPolicy, Effect, Policy, Reference, SignatureStatus
from xdsi.domain.errors import ConfigurationError, MalformedMessage
from xdsi.domain.identifiers import PatientId
from xdsi.domain.policy_case import PolicyCase
from xdsi.rules.consent import decide
from xdsi.rules.policy_conditions import zone_of
from xdsi.settings import Settings
from xdsi.spec import xacml
from xdsi.wire import policy_file
from xdsi.wire.consent import decode_consent
from xdsi.wire.policy_cases import decode_cases

FLOOR, ORGANIZATIONS, LIBRARY = "floor", "organizations", "library"
TESTS = ".test.toml"
_KEY = "consent.policies"
_IGNORED = (".md", ".txt")


def domain_policy(settings: Settings) -> DomainPolicy:
    """What the settings and the folder of policies say; ConfigurationError naming the file that is wrong."""
    consent = settings.consent
    try:
        zone_of(consent.time_zone)
    except ConfigurationError as error:
        raise ConfigurationError(f"consent.time_zone: {error}") from error
    folder = Path(consent.policies) if consent.policies else None
    library = _library(_policies(folder, LIBRARY))
    unknown = [one for one in consent.exclusions if one.removeprefix("urn:oid:") not in library and one not in library]
    if unknown:
        raise ConfigurationError(f"consent.exclusions has {unknown[0]!r}, which is no policy of {_KEY}/{LIBRARY}")
    return DomainPolicy(
        id=settings.domain.home_community_id,
        default=Effect.PERMIT if consent.default == "permit" else Effect.DENY,
        combine=Combine(consent.combine),
        floor=tuple(one for _, one in _policies(folder, FLOOR)),
        organizations=tuple(one for _, one in _policies(folder, ORGANIZATIONS)),
        referable=library,
        exclusions=frozenset(consent.exclusions) | {one.removeprefix("urn:oid:") for one in consent.exclusions},
        emergency_purposes=_codes(consent.emergency_purposes),
        emergency_roles=_codes(consent.emergency_roles),
        emergency_hidden=_codes(consent.emergency_hidden),
        emergency_overrides_patient=consent.emergency_overrides_patient,
        emergency_reason_required=consent.emergency_reason_required,
        patient_roles=_codes(consent.patient_roles),
        representative_roles=_codes(consent.representative_roles),
        representatives=_representatives(consent.representatives),
        patient_sees_documents=consent.patient_sees_documents,
        author_sees_documents=consent.author_sees_documents,
        npi_root=consent.npi_root,
        time_zone=consent.time_zone,
    )


def changed_since(settings: Settings, moment: datetime) -> list[Path]:
    """The files of policies and of representatives that were written later."""
    consent = settings.consent
    folder = Path(consent.policies) if consent.policies else None
    files = [file for part in (FLOOR, ORGANIZATIONS, LIBRARY) for file, _ in _policies(folder, part)]
    files += [Path(consent.representatives)] if consent.representatives else []
    return [file for file in files if datetime.fromtimestamp(file.stat().st_mtime, UTC) > moment]


def _codes(texts: Sequence[str]) -> frozenset[Code]:
    return frozenset(Code(text.split("^")[0], text.split("^")[2]) for text in texts)


def _representatives(file: str) -> dict[PatientId, frozenset[str]]:
    if not file:
        return {}
    try:
        table = policy_file.read_toml(read_file(file, "consent.representatives"))
        return {PatientId.parse(patient): frozenset(policy_file.texts_of(table, patient, patient)) for patient in table}
    except (MalformedMessage, ValueError) as error:
        raise ConfigurationError(f"consent.representatives: {file}: {error}") from error


def _policies(folder: Path | None, part: str) -> list[tuple[Path, Policy]]:
    if folder is None:
        return []
    if not folder.is_dir():
        raise ConfigurationError(f"{_KEY}: {folder} is no folder")
    for entry in sorted(folder.iterdir()):
        known = entry.name in (FLOOR, ORGANIZATIONS, LIBRARY) if entry.is_dir() else _is_beside(entry)
        # A policy in the wrong place would be believed to be in force.
        if not known and entry.name != "tests":
            raise ConfigurationError(f"{_KEY}: {entry} is not in {FLOOR}/, {ORGANIZATIONS}/ or {LIBRARY}/")
    found: list[tuple[Path, Policy]] = []
    for file in sorted((folder / part).iterdir()) if (folder / part).is_dir() else ():
        if _is_beside(file):
            continue
        if file.suffix not in (".xml", ".toml"):
            raise ConfigurationError(f"{_KEY}: {file}: valid: files .xml or .toml, {TESTS} for tests")
        try:
            found.append((file, policy_file.decode(read_file(str(file), _KEY))))
        except MalformedMessage as error:
            raise ConfigurationError(f"{_KEY}: {file}: {error}") from error
    return found


def _is_beside(file: Path) -> bool:
    return file.name.endswith(TESTS) or file.suffix in _IGNORED or file.name.startswith(".")


def _library(policies: list[tuple[Path, Policy]]) -> dict[str, Policy]:
    """By id; an id that is `urn:oid:` and an OID is found without the prefix too, as BPPC consents have it."""
    library: dict[str, Policy] = {}
    for file, policy in policies:
        for identifier in {policy.id, policy.id.removeprefix("urn:oid:")}:
            if identifier in library:
                raise ConfigurationError(f"{_KEY}: {file}: another policy has the id {identifier!r}")
            library[identifier] = policy
    for file, policy in policies:
        for reference in policy.references:
            if reference not in library:
                raise ConfigurationError(f"{_KEY}: {file} refers to {reference!r}, which is not in {LIBRARY}/")
    return library


# Tests


@dataclass(frozen=True, slots=True)
class Tested:
    """One case and what the domain decided."""

    file: Path
    case: PolicyCase
    decision: Decision

    @property
    def passed(self) -> bool:
        """True where the answer, and the rule if one was named, are as expected."""
        named = not self.case.rule or self.case.rule == self.decision.rule
        return self.decision.permit is self.case.permit and named


@dataclass(frozen=True, slots=True)
class PolicyTests:
    """The tests in a domain's folder of policies."""

    domain: DomainPolicy
    folder: Path
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def run(self) -> Iterator[Tested]:
        """Decide each case as the hub would; ConfigurationError for a file that cannot be understood."""
        for file in sorted(self.folder.rglob(f"*{TESTS}")):
            try:
                cases = decode_cases(read_file(str(file), _KEY))
            except MalformedMessage as error:
                raise ConfigurationError(f"{_KEY}: {file}: {error}") from error
            for case in cases:
                yield Tested(file, case, self._decide(case, file))

    def _decide(self, case: PolicyCase, file: Path) -> Decision:
        now = case.at or self.now
        place = f"{file}, line {case.line}" if case.line else f"{file}, case {case.name!r}"
        consents = []
        for name in case.consents:
            try:
                consents.append(self._consent(case, file.parent / name, now))
            except OSError as error:
                raise ConfigurationError(
                    f"{place}: consents has {name!r}, and {file.parent / name} cannot be read: {error.strerror}"
                ) from error
            except MalformedMessage as error:
                raise ConfigurationError(f"{place}: consents has {name!r}: {error}") from error
        if case.acknowledges and case.resource.patient is not None:
            references = tuple(Reference(id=one.removeprefix("urn:oid:")) for one in case.acknowledges)
            policy = Policy(id="acknowledged", combining=xacml.POLICY_DENY_OVERRIDES, children=references)
            consents.append(_in_force("acknowledged", case.resource.patient, policy))
        (decision,) = decide(case.subject, case.action, [case.resource], consents, self.domain, now)
        return decision

    def _consent(self, case: PolicyCase, file: Path, now: datetime) -> Consent:
        raw = file.read_bytes()
        is_appc = b"PolicySet" in raw
        policy, facts = decode_consent(
            raw, xacml.APPC_FORMAT if is_appc else xacml.BPPC_FORMAT, zone=zone_of(self.domain.time_zone)
        )
        if case.resource.patient not in facts.patients:
            raise MalformedMessage("it is a consent of another patient", location="document.patient")
        return replace(
            _in_force(facts.document_id, facts.patients[0], policy),
            valid_from=facts.valid_from,
            valid_until=facts.valid_until,
            signed_at=now,
        )


def _in_force(name: str, patient: PatientId, policy: Policy) -> Consent:
    return Consent(unique_id=name, entry_uuid="", patient=patient, policy=policy, status=SignatureStatus.VALID)
