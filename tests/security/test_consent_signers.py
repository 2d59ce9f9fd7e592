"""Who may sign a consent, by the settings: lists, enrolment and time stamps are obeyed, and read again on a change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests import certificates
from tests.security.test_consents import DENY, PATIENT, PERMIT, _Attached
from tests.time_stamping import prepare
from xdsi import app, settings
from xdsi.actors import consent_source
from xdsi.domain.codes import Code
from xdsi.domain.consent import Consent, SignatureStatus
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.identifiers import PatientId
from xdsi.domain.outcome import Outcome
from xdsi.wire import time_stamp
from xdsi.wire.bppc import Scan
from xdsi.wire.signing_key import SigningKey

NOW = datetime.now(UTC)
ANN = certificates.identity("Ann Roe", issuer="persons", serial_number=PATIENT.id)
EVE = certificates.identity("Eve Roe", issuer="persons", serial_number="EVE")
SEAL = certificates.identity("seal of the hospital", issuer="companies", content_commitment=False)
OTHER = PatientId("P77", PATIENT.authority)


class Domain:
    """A hub with the files that say who signs."""

    def __init__(self, folder: Path, **consent: object) -> None:
        self.folder = folder
        self.file("ca.pem", certificates.authority("persons").cert_pem)
        self.file("seal.pem", SEAL.cert_pem)
        given = {"signer_ca": str(folder / "ca.pem"), "seals": (str(folder / "seal.pem"),), **consent}
        self.parts = app.Parts(
            settings.Settings(
                server=settings.Server(data_dir=folder / "data", actors=("registry", "repository")),
                domain=settings.Domain(accept_unknown_patients=True),
                consent=settings.Consent(**given),
            )
        )

    def file(self, name: str, content: bytes | str) -> str:
        """Write a file anew, with a time of its own."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        stamp = path.stat()
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1_000_000 * (1 + len(list(self.folder.iterdir())))))
        return str(path)

    def sign(
        self,
        signer: certificates.Identity | SigningKey,
        *,
        patient: PatientId = PATIENT,
        at: datetime | None = None,
        **changes: object,
    ) -> consent_source.SignedConsent:
        key = signer.signing_key if isinstance(signer, certificates.Identity) else signer
        return consent_source.make(
            patient,
            [PERMIT],
            description="consent",
            signing=consent_source.Signing(key=key, **changes),
            now=at or datetime.now(UTC),
        )

    def publish(self, consent: consent_source.SignedConsent) -> Outcome:
        source = consent_source.ConsentSource(
            client=self.parts.client, repository=_Attached(self.parts.repository_actor, self.parts.make_spool),
            source_id="2.999.3", institution="Hospital^^^^^^^^^2.999.5", clock=lambda: datetime.now(UTC),
        )  # fmt: skip
        return source.publish(consent, title="Consent").outcome

    def granted(self, signer: certificates.Identity, **changes: object) -> bool:
        """Whether a consent of this signer is accepted and in force."""
        consent = self.sign(signer, **changes)
        accepted = self.publish(consent).accepted
        found = self.known(consent)
        assert accepted == (found is not None)
        return found is not None and found.active_at(datetime.now(UTC))

    def known(self, consent: consent_source.SignedConsent) -> Consent | None:
        with self.parts.registry.reading() as session:
            found = {one.unique_id: one for one in session.consents(consent.patient)}
        return found.get(consent.unique_id)

    def retry(self) -> None:
        intake = self.parts.consent_intake
        assert intake is not None
        intake.retry(self.parts.registry)

    def close(self) -> None:
        self.parts.traces.close()
        self.parts.trail.close()
        self.parts.spools.close()
        self.parts.engine.dispose()


Make = Callable[..., Domain]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Domain] = []

    def one(**consent: object) -> Domain:
        made.append(Domain(tmp_path, **consent))
        return made[-1]

    yield one
    for domain in made:
        domain.close()


# Revocation


def revoked(*who: certificates.Identity, at: timedelta = timedelta(0), until: timedelta = timedelta(days=1)) -> bytes:
    return certificates.revocation_list("persons", *who, at=NOW + at, next_update=NOW + until)


def test_who_is_not_revoked_signs(make: Make, tmp_path: Path) -> None:
    (tmp_path / "persons.crl").write_bytes(revoked(EVE))
    assert make(signer_crls=(str(tmp_path / "persons.crl"),), signer_crl_required=True).granted(ANN)


def test_who_was_revoked_before_does_not_sign(make: Make, tmp_path: Path) -> None:
    (tmp_path / "persons.crl").write_bytes(revoked(ANN, at=-timedelta(hours=1)))
    domain = make(signer_crls=(str(tmp_path / "persons.crl"),))
    assert not domain.granted(ANN)
    assert not domain.granted(ANN, at=NOW - timedelta(days=1)), "a signing time set back"


def test_what_was_signed_before_a_revocation_stays_signed(make: Make, tmp_path: Path) -> None:
    (tmp_path / "persons.crl").write_bytes(revoked())
    domain = make(signer_crls=(str(tmp_path / "persons.crl"),))
    consent = domain.sign(ANN)
    assert domain.publish(consent).accepted
    domain.file("persons.crl", revoked(ANN))
    found = domain.known(consent)
    assert found is not None
    assert found.active_at(datetime.now(UTC))
    assert not domain.granted(ANN), "and nothing can be signed any more"


@pytest.mark.parametrize("at_hand", ["none", "expired", "another authority's"])
def test_without_a_current_list_a_consent_waits_for_one(make: Make, tmp_path: Path, at_hand: str) -> None:
    lists = {
        "none": certificates.revocation_list("companies", next_update=NOW + timedelta(days=1)),
        "expired": revoked(until=-timedelta(hours=1)),
        "another authority's": certificates.revocation_list("nobody's", next_update=NOW + timedelta(days=1)),
    }
    (tmp_path / "persons.crl").write_bytes(lists[at_hand])
    domain = make(signer_crls=(str(tmp_path / "persons.crl"),), signer_crl_required=True)
    good, bad = domain.sign(ANN), domain.sign(EVE)
    assert domain.publish(good).accepted
    found = domain.known(good)
    assert found is not None
    assert (found.status, found.active_at(datetime.now(UTC))) == (SignatureStatus.PENDING, False)
    assert not domain.publish(bad).accepted, "who is not the patient need not wait"
    domain.retry()
    again = domain.known(good)
    assert again is not None
    assert again.status is SignatureStatus.PENDING
    domain.file("persons.crl", revoked())
    domain.retry()
    final = domain.known(good)
    assert final is not None
    assert final.active_at(datetime.now(UTC))


def test_a_consent_that_waited_fails_where_the_list_says_so(make: Make, tmp_path: Path) -> None:
    (tmp_path / "persons.crl").write_bytes(revoked(until=-timedelta(hours=1)))
    domain = make(signer_crls=(str(tmp_path / "persons.crl"),), signer_crl_required=True)
    consent = domain.sign(ANN)
    assert domain.publish(consent).accepted
    domain.file("persons.crl", revoked(ANN, at=-timedelta(hours=2)))
    domain.retry()
    found = domain.known(consent)
    assert found is not None
    assert (found.status, found.active_at(datetime.now(UTC))) == (SignatureStatus.FAILED, False)


@pytest.mark.parametrize(("hours", "expected"), [(1, SignatureStatus.VALID), (3, SignatureStatus.FAILED)])
def test_a_consent_that_waited_is_judged_as_if_it_had_just_arrived(
    make: Make, tmp_path: Path, hours: int, expected: SignatureStatus
) -> None:
    """Revoked after two hours: without a time stamp nothing proves that the signature is older than the look at it."""
    (tmp_path / "persons.crl").write_bytes(revoked(until=-timedelta(hours=1)))
    domain = make(signer_crls=(str(tmp_path / "persons.crl"),), signer_crl_required=True)
    consent = domain.sign(ANN)
    assert domain.publish(consent).accepted
    domain.file("persons.crl", revoked(ANN, at=timedelta(hours=2)))
    intake = domain.parts.consent_intake
    assert intake is not None
    replace(intake, clock=lambda: NOW + timedelta(hours=hours)).retry(domain.parts.registry)
    found = domain.known(consent)
    assert found is not None
    assert found.status is expected


def test_an_expired_list_is_enough_where_none_is_required(make: Make) -> None:
    assert make().granted(ANN)


def test_a_certificate_that_ended_signs_nothing_whatever_time_it_claims(make: Make) -> None:
    ended = certificates.identity(
        "Ann before", issuer="persons", serial_number=PATIENT.id, end=NOW - timedelta(hours=1)
    )
    assert not make().granted(ended, at=NOW - timedelta(hours=2))


# Enrolment


def test_guardians_are_named_and_taken_off_the_list_while_the_hub_runs(make: Make, tmp_path: Path) -> None:
    (tmp_path / "enrolment.toml").write_text("")
    domain = make(enrolment=str(tmp_path / "enrolment.toml"))
    assert not domain.granted(EVE)
    domain.file("enrolment.toml", f'[guardians]\nEVE = ["{PATIENT.cx}"]\n')
    assert domain.granted(EVE)
    assert not domain.granted(EVE, patient=OTHER), "for this patient only"
    domain.file("enrolment.toml", f'[guardians]\nEVE = ["{OTHER.cx}"]\n\n')
    assert not domain.granted(EVE)


def test_a_seal_stands_in_for_the_patients_it_is_enrolled_for(make: Make, tmp_path: Path) -> None:
    (tmp_path / "enrolment.toml").write_text("")
    domain = make(enrolment=str(tmp_path / "enrolment.toml"))
    assert domain.granted(SEAL, witness=True)
    domain.file("enrolment.toml", f'[hospitals]\n{SEAL.sha256} = ["{OTHER.cx}"]\n')
    assert not domain.granted(SEAL, witness=True)
    assert domain.granted(SEAL, patient=OTHER)


def test_a_patient_known_by_another_number(make: Make, tmp_path: Path) -> None:
    (tmp_path / "enrolment.toml").write_text(f'[persons]\nEVE = ["{OTHER.cx}"]\n')
    domain = make(enrolment=str(tmp_path / "enrolment.toml"))
    assert domain.granted(EVE, patient=OTHER)
    assert not domain.granted(EVE)


def test_a_witness_is_a_seal_and_no_patient(make: Make) -> None:
    assert not make().granted(ANN, witness=True)


def test_files_that_are_spoiled_change_nothing(make: Make, tmp_path: Path) -> None:
    (tmp_path / "enrolment.toml").write_text(f'[guardians]\nEVE = ["{PATIENT.cx}"]\n')
    domain = make(enrolment=str(tmp_path / "enrolment.toml"))
    assert domain.granted(EVE)
    for spoiled in ("[guardians", '[guardian]\nEVE = ["x"]\n', '[guardians]\nEVE = ["no patient"]\n', "guardians = 1"):
        domain.file("enrolment.toml", spoiled)
        assert domain.granted(EVE), spoiled
    domain.file("ca.pem", b"no certificate")
    assert domain.granted(EVE)


@pytest.mark.parametrize(
    "content", ["[guardians", "[others]\n", "[guardians]\nEVE = 1\n", '[guardians]\nEVE = ["P"]\n']
)
def test_a_hub_does_not_start_with_a_spoiled_list(make: Make, tmp_path: Path, content: str) -> None:
    (tmp_path / "enrolment.toml").write_text(content)
    domain = make(enrolment=str(tmp_path / "enrolment.toml"))
    with pytest.raises(ConfigurationError, match=r"consent\.enrolment"):
        _ = domain.parts.consent_signers


# Time stamps, forms


@pytest.mark.component
def test_a_domain_that_asks_for_time_stamps(make: Make, tmp_path: Path) -> None:
    own = prepare(tmp_path / "tsa")
    domain = make(timestamp_ca=str(own.ca), timestamp_required=True)
    assert not domain.granted(ANN)
    assert domain.granted(ANN, stamp=lambda octets: time_stamp.stamp(octets, own.stamp))


def test_asking_for_time_stamps_needs_authorities(make: Make) -> None:
    domain = make(timestamp_required=True)
    with pytest.raises(ConfigurationError, match="timestamp_ca"):
        _ = domain.parts.consent_signers


def test_a_consent_enclosed_in_its_signature(make: Make) -> None:
    assert make().granted(ANN, enveloping=True)


def test_an_enclosed_consent_that_is_not_the_registered_one(make: Make) -> None:
    domain = make()
    one = domain.sign(ANN, enveloping=True)
    other = consent_source.make(
        PATIENT, [DENY], description="consent", now=datetime.now(UTC),
        signing=consent_source.Signing(key=ANN.signing_key, enveloping=True),
    )  # fmt: skip
    swapped = replace(one, signature=other.signature)
    assert not domain.publish(swapped).accepted
    assert domain.known(swapped) is None


def test_a_scanned_consent(make: Make) -> None:
    """The hospital's seal witnesses the paper; what it accepts is the same as without the scan."""
    domain = make()
    consent = consent_source.acknowledge(
        PATIENT,
        [Code("2.999.1.7.1", "2.999.1", "Policy")],
        patient_name=("Roe", "Ann"),
        custodian=("2.999.5", "Hospital"),
        signing=consent_source.Signing(key=SEAL.signing_key, witness=True),
        now=datetime.now(UTC),
        scan=Scan(content=b"%PDF-1.4 signed on paper"),
    )
    assert domain.publish(consent).accepted
    found = domain.known(consent)
    assert found is not None
    assert found.active_at(datetime.now(UTC))
    assert found.policy.references == ("2.999.1.7.1",)
