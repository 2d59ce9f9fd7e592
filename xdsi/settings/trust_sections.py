"""The sections on who is trusted, what patients consented to, and what is recorded."""

from __future__ import annotations

from dataclasses import dataclass

from xdsi.settings.keys import key as _key
from xdsi.spec import xacml


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Certificates (PEM). Without `certificate` the server speaks plain HTTP, allowed on loopback only.

    The files are read again while the server runs when one of them changes, before the next connection or request; what
    cannot be used (a key that is not the certificate's, say) leaves the former in force. Connections that were made
    before are then closed, and whoever is still trusted comes again. Either is logged, and audited as a change of
    configuration. What is asked of other nodes shows the new certificate from the next request on.

    With `crl` each authority whose certificates clients bear needs a list in force: who bears a certificate of one
    whose list is missing or has ended is refused like one who is revoked. `xdsi config check` and the log at the
    start warn of both. To revoke, have the authority make a list that names the certificate (`openssl ca -revoke
    client.pem`, `openssl ca -gencrl -out ca.crl`), put it in the place of its former one (all lists one after the
    other in a new file, moved to the old one's name), and do so again before the list's nextUpdate, whether or not
    anybody was revoked meanwhile.
    """

    certificate: str = _key("own certificate with its chain", "")
    key: str = _key("its private key", "")
    client_ca: str = _key("authorities whose certificates clients may bear", "")
    crl: str = _key("revocation lists (PEM, all in one file) of those authorities and of assertions' issuers'", "")
    proxy_header: str = _key("header in which a proxy passes the client certificate; empty: none", "")
    proxy_addresses: tuple[str, ...] = _key("addresses or networks that header is believed from", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A system known by its client certificate. The list is read again when the settings file changes.

    A node's certificate is renewed without a gap in three steps: the new one's SHA-256 is added here
    (`sha256 = ["that of the former", "that of the new one"]`; `openssl x509 -in new.pem -noout -fingerprint -sha256`,
    lower-case and without colons), the node's files are exchanged, and the former SHA-256 is taken out. A certificate
    that is not listed has no rights but to read with an assertion: its node is refused as `security token refused`, and
    the log, the audit trail and `xdsi explain TRACE` say `certificate of no known node`, with its SHA-256.
    """

    name: str = _key("name in audit records")
    sha256: tuple[str, ...] = _key(
        "SHA-256 of the certificate (DER), 64 lower-case hexadecimal digits; a list while it is renewed", check="sha256"
    )
    organization_id: str = _key("urn:oid: of its organisation", "")
    permits: tuple[str, ...] = _key(
        "transactions it may start, e.g. ITI-42; metrics: read /metrics; publishing: the page /publishing; * for all",
        (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlIssuer:
    """Who may issue identity assertions. List and certificates are read again when they change."""

    name: str = _key("Issuer, exactly as in assertions")
    certificates: tuple[str, ...] = _key("PEM files of one certificate each; more than one during a change of keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saml:
    """Identity assertions (ITI-40)."""

    audiences: tuple[str, ...] = _key("acceptable Audience values", ("urn:oid:2.999.1",))
    max_lifetime_seconds: int = _key("longest accepted validity", 3600, check="count")
    clock_skew_seconds: int = _key("tolerated difference of clocks", 60, check="seconds")
    refuse_replay: bool = _key("refuse an assertion that was used before", False)
    issuer: tuple[SamlIssuer, ...] = _key("trusted issuers", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtIssuer:
    """Who may issue access tokens. List and key sets are read again when they change."""

    name: str = _key("claim iss, exactly as in tokens")
    jwks: str = _key("file with its JSON Web Key Set; several keys during a change of keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwt:
    """Access tokens (IUA) on REST paths; audiences, lifetime, clock skew and replay are those of `[saml]`."""

    issuer: tuple[JwtIssuer, ...] = _key("trusted issuers", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Patient consent."""

    enforce: bool = _key("decide by consent; false only in the open profile", True)
    default: str = _key("when no consent applies", "deny", choices=("deny", "permit"))
    combine: str = _key("several active consents", "deny-overrides", choices=("deny-overrides", "newest"))
    hidden: str = _key("say how many entries were hidden", "silent", choices=("silent", "counted"))
    signer_ca: str = _key("authorities of the certificates that patients sign with (PEM)", "")
    seals: tuple[str, ...] = _key("certificates (PEM) that may sign on a patient's behalf", ())
    signer_crls: tuple[str, ...] = _key("revocation lists (PEM or DER) of those authorities, and of time stamps'", ())
    signer_crl_required: bool = _key("without a current revocation list a consent waits, and grants nothing", False)
    enrolment: str = _key(
        "TOML file: tables persons, guardians, hospitals: who signs for which patients (docs/policy.md); empty: none",
        "",
    )
    timestamp_ca: str = _key("authorities of time stamps (PEM, RFC 3161); empty: time stamps prove nothing", "")
    timestamp_required: bool = _key("refuse a signature that none of them stamped", False)
    timestamp_url: str = _key("where `xdsi consent` has its signatures stamped; empty: not at all", "", check="url")
    reject_invalid: bool = _key("refuse a consent whose signature fails", True)
    fetch_seconds: float = _key(
        "how long a registration waits for consents in other repositories (consumer.repositories)", 5.0, check="seconds"
    )
    retry_seconds: int = _key("how often consents are asked for again that did not come", 60, check="count")
    policies: str = _key(
        "folder of the domain's policies: floor/, organizations/, library/; read at the start; empty: none", ""
    )
    exclusions: tuple[str, ...] = _key("ids of library policies that exclude: their refusal is final", ())
    time_zone: str = _key("where days begin and end: an IANA name such as Europe/Brussels", "UTC")
    npi_root: str = _key("OID under which a national provider identifier is an identifier", "", check="oid")
    emergency_roles: tuple[str, ...] = _key(
        "roles (CODE^^OID) that may break the glass; none: nobody", (), check="code"
    )
    emergency_purposes: tuple[str, ...] = _key(
        "purposes of use (CODE^^OID) of an emergency",
        tuple(f"{code}^^{scheme}" for code, scheme in sorted(xacml.EMERGENCY_PURPOSES)),
        check="code",
    )
    emergency_hidden: tuple[str, ...] = _key(
        "confidentiality codes (CODE^^OID) that an emergency does not open", (), check="code"
    )
    emergency_overrides_patient: bool = _key("an emergency also lifts a patient's explicit refusal", False)
    emergency_reason_required: bool = _key("an emergency needs a reason in the assertion", True)
    patient_roles: tuple[str, ...] = _key("roles (CODE^^OID) of a patient acting for himself", (), check="code")
    representative_roles: tuple[str, ...] = _key(
        "roles (CODE^^OID) of who acts for a patient, as a guardian does", (), check="code"
    )
    representatives: str = _key("TOML file: patient (CX) = list of the NameIDs that act for him; empty: none", "")
    patient_sees_documents: bool = _key("patients and who acts for them read the whole record", False)
    author_sees_documents: bool = _key("authors read their own documents where no consent speaks against it", False)
    decision_certificate: str = _key(
        "certificate (PEM) that signs ITI-79 answers, key beside it (NAME.key), read at the start; empty: that of TLS",
        "",
    )
    decision_trust: tuple[str, ...] = _key(
        "certificates (PEM) whose ITI-79 answers are believed; both of a hub while it is renewed; read again when list "
        "or files change",
        (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Audit records (ITI-20)."""

    source_id: str = _key("AuditSourceID", "xdsi")
    send: str = _key(
        "collector to forward to: tls://host:6514 (syslog, DICOM messages) or https://host/fhir (FHIR server, as "
        "AuditEvent); empty: none",
        "",
        check="collector",
    )
    listen: int = _key("port of the collector for other nodes' records; 0: none", 0, check="port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Who is told, beside the audit trail, that an emergency overrode consent: one JSON object for each."""

    patient: str = _key("notices for patients go to: folder:/path, or a URL that takes a POST; empty: they wait", "")
    officer: str = _key("those for the data protection officer, likewise", "")
    retry_seconds: int = _key("how often what waits is sent", 30, check="count")
