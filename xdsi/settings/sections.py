"""The sections of the settings and their keys: what each means, its default, what is valid."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from xdsi.settings.keys import key as _key
from xdsi.settings.trust_sections import Audit, Consent, Jwt, Node, Notification, Saml, Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The process and its front end."""

    address: str = _key("address to listen on", "127.0.0.1")
    port: int = _key("port to listen on", 8443, check="port")
    public_url: str = _key("base URL that peers use; empty: made from address and port", "", check="url")
    operations_port: int = _key("port of health and metrics alone, plain HTTP on loopback; 0: none", 0, check="port")
    data_dir: Path = _key("folder of everything this process keeps", Path("xdsi-data"))
    workers: int = _key("worker processes; each uses little more than one processor", 1, check="count")
    threads: int = _key(
        "threads in each worker; while others wait for one, slow peers keep a quarter of them, no more",
        16,
        check="count",
    )
    processors: tuple[int, ...] = _key(
        "processors that workers stay on, by number, each on one; none: wherever the system puts them", ()
    )
    actors: tuple[str, ...] = _key(
        "actors to run",
        ("registry", "repository", "identity", "authorization"),
        choices=("registry", "repository", "imaging-source", "identity", "authorization"),
    )
    mllp_port: int = _key(
        "port for HL7 v2 (ITI-8; orders and reports for an imaging source), TLS where the server has TLS; 0: none",
        0,
        check="port",
    )
    trace_days: int = _key("how long `xdsi explain` can tell of an exchange, in days", 30)
    validator: str = _key(
        "the page /validator, which judges files: on, off, or auto: where `address` is loopback",
        "auto",
        choices=("auto", "on", "off"),
    )
    record_dir: str = _key("folder that keeps every SOAP message received and answered; empty: none", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may ask for and carry; sizes in bytes. What is beyond is refused before it is taken in."""

    message_bytes: int = _key("whole request with its attachments", 4 * 1024**3, check="count")
    part_bytes: int = _key("one attachment", 2 * 1024**3, check="count")
    parts: int = _key("parts of a multipart request, the envelope included", 100, check="count")
    simple_bytes: int = _key("request that is not multipart: documents are inline there", 32 * 1024**2, check="count")
    root_bytes: int = _key("envelope of a multipart request", 5 * 1024**2, check="count")
    unverified_bytes: int = _key("attachments before the envelope, when it is not first", 64 * 1024**2, check="count")
    xml_depth: int = _key("levels of elements in a SOAP message", 64, check="levels")
    xml_attributes: int = _key("attributes of one element, and namespaces in scope", 256, check="count")
    xml_markup: int = _key("tags and attributes of a SOAP message", 500_000, check="count")
    query_values: int = _key("values of one parameter of a stored query", 1000, check="query-values")
    opening_seconds: int = _key("from the connection to the first byte of a request, TLS included", 10, check="count")
    idle_seconds: int = _key("between bytes of a request", 30, check="count")
    bytes_per_second: int = _key(
        "least rate of who sends a request or takes an answer, after 10 seconds", 1024, check="count"
    )
    write_seconds: int = _key("until a receiver takes more of its answer", 60, check="count")
    documents: int = _key("documents in one retrieval (ITI-43)", 2000, check="count")
    instances: int = _key("images in one retrieval (RAD-69)", 10_000, check="count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The affinity domain.

    `codes` names a TOML file of the codes that documents may bear, by attribute and coding scheme, named or not:

        mime_types = ["application/dicom", "application/pdf"]
        assigning_authorities = ["2.999.1.1"]

        [codes.classCode]
        "2.16.840.1.113883.6.1" = { "57016-8" = "Privacy policy acknowledgment Document" }
        "2.999.20" = ["REPORTS", "IMAGES"]

    Attributes are associationDocumentation, classCode, confidentialityCode, contentTypeCode, eventCodeList,
    folderCodeList, formatCode, healthcareFacilityTypeCode, practiceSettingCode and typeCode; one that has no table is
    not checked. What becomes of other codes `registry.strictness` says.
    """

    home_community_id: str = _key("urn:oid: of this community", "urn:oid:2.999.1", check="oid-urn")
    patient_id_authority: str = _key(
        "OID of the domain's patient identifiers; empty: any authority is accepted", "", check="oid"
    )
    codes: str = _key("file of the domain's value sets (own TOML or a connectathon codes.xml); empty: not checked", "")
    profile: str = _key(
        "rules on assertions and access tokens by country; open: for tests on loopback, without any",
        "generic",
        choices=("generic", "belgium", "luxembourg", "france", "switzerland", "open"),
    )
    unknown_patient: str = _key(
        "a query for an unknown patient: empty answer or XDSUnknownPatientId", "empty", choices=("empty", "error")
    )
    accept_unknown_patients: bool = _key("register documents of patients that no feed announced", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The Document Registry.

    Of what `strictness` decides on, `reject` makes an error of the answer, and nothing is registered; `warn` a warning
    of the answer (RegistryError with severity Warning, status Success), for the sender to see; `log` a line of this
    process's log, with trace, transaction, sender, rule, place and, where it is one, the code, for the operator to see,
    of each of the first 500 of a message (of a warning, too, with `--verbose`); `off` nothing. The audit record tells
    of errors only. Documents that come by ITI-41 are registered by ITI-42, and have its strictness.
    """

    database: str = _key("SQLAlchemy URL; empty: SQLite in data_dir", "")
    database_connections: int = _key("most connections that a process opens to the database", 64, check="count")
    statement_seconds: int = _key("after how many seconds PostgreSQL ends a statement", 30, check="count")
    strictness: str = _key(
        "what happens where metadata break rules on value sets, on attributes that others can do without, and on forms "
        "that senders often miss",
        "reject",
        choices=("off", "log", "warn", "reject"),
    )
    strictness_of: dict[str, str] = _key(
        "ITI-42, ITI-57, ITI-61 or ITI-92 -> the strictness there, where it is another",
        {},
        choices=("off", "log", "warn", "reject"),
        keys=("ITI-42", "ITI-57", "ITI-61", "ITI-92"),
    )
    reject_unknown_parameters: bool = _key("answer XDSRegistryError on an unknown query parameter", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The Document Repository."""

    unique_id: str = _key("repositoryUniqueId, an OID", "2.999.1.2", check="oid")
    store: str = _key("where documents lie: file:///path or s3://bucket/prefix; empty: in data_dir", "")
    former_stores: tuple[str, ...] = _key(
        "stores that are read from, too, until `repository migrate` has moved them", ()
    )
    compression: str = _key("keep text compressed", "none", choices=("none", "gzip"))
    encryption_key: str = _key("id of the key that documents are encrypted with at rest; empty: they are not", "")
    encryption_keys: dict[str, str] = _key(
        "key id -> file:/path or env:NAME of 32 bytes in base64 or hexadecimal; older keys stay as long as documents "
        "are encrypted with them",
        {},
    )
    s3_endpoint: str = _key("URL of the S3 service; empty: that of AWS for the region", "", check="url")
    s3_region: str = _key("region of the bucket; empty: as the environment says", "")
    s3_encryption: str = _key(
        "server-side encryption asked of S3; empty: as the bucket has it", "", choices=("", "AES256", "aws:kms")
    )
    s3_kms_key: str = _key("key of aws:kms; empty: the account's default", "")
    s3_timeout_seconds: float = _key("how long an answer of S3 is waited for", 20.0, check="seconds")
    registry_url: str = _key("ITI-42 endpoint; empty: the registry of this process", "", check="url")
    registry_query_url: str = _key(
        "ITI-18 endpoint of that registry, which shows this node every document whatever policy says: asked what "
        "became of submissions that a crash ended; what it does not know is removed; empty: all stays",
        "",
        check="url",
    )
    registry_query_assertion: str = _key(
        "file with the identity assertion for that, read anew each time; empty: none", ""
    )
    retention_days: int = _key("documents younger than this are not removed (ITI-86); 0: no such rule", 0, check="days")
    check_manifests: bool = _key("refuse a KOS whose patient is not the entry's sourcePatientId", True)
    decision_url: str = _key("ITI-79 endpoint that decides on retrieval; empty: this process", "", check="url")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingSource:
    """The Imaging Document Source of a hospital."""

    retrieve_location_uid: str = _key("OID by which manifests name this source", "2.999.1.3", check="oid")
    retrieve_ae_title: str = _key("AE title named in manifests; several separated by a backslash", "XDSI")
    retrieve_url: str = _key("WADO-RS base URL named in manifests; empty: none", "", check="url")
    manifests: tuple[str, ...] = _key(
        "manifests to publish of a study, in one submission: the classic Key Object Selection (kos), that of MADO with"
        " descriptions (mado), MADO in FHIR (mado-fhir); consent is decided on the first",
        ("kos",),
        choices=("kos", "mado", "mado-fhir"),
    )
    reports: tuple[str, ...] = _key(
        "reports in a study to publish beside its manifest: encapsulated PDF (pdf), verified structured reports (sr)",
        (),
        choices=("pdf", "sr"),
    )
    mado_codes: str = _key(
        "codes that MADO added to DICOM: final, or those of its trial version", "final", choices=("final", "trial")
    )
    pacs: str = _key(
        "where the images are: folder:/path, orthanc:URL, dicomweb:URL, or dimse:AET@host:port; empty: nowhere", ""
    )
    repository_url: str = _key("ITI-41 endpoint that manifests are published to", "", check="url")
    repository_unique_id: str = _key("repositoryUniqueId of that repository", "2.999.1.2", check="oid")
    registry_url: str = _key(
        "registry endpoint where the hospital finds its published manifests and withdraws them (ITI-18, 57, 62)",
        "",
        check="url",
    )
    assertion: str = _key("file with the identity assertion for that, read anew each time; empty: none", "")
    organization_id: str = _key("urn:oid: of the hospital", "urn:oid:2.999.1.9", check="oid-urn")
    organization_name: str = _key("name of the hospital", "Hospital")
    source_id: str = _key("SubmissionSet.sourceId, an OID", "2.999.1.4", check="oid")
    announce: str = _key(
        "what `publish` tells the domain of a study: its manifest, or an On-Demand entry whose manifest the repository "
        "of this process makes when it is asked for",
        "manifest",
        choices=("manifest", "on-demand"),
    )
    save_snapshots: bool = _key("publish each manifest made on demand, as a snapshot, before it is given out", True)
    patient_id_authority: str = _key("OID of the hospital's own patient numbers", "2.999.1.5", check="oid")
    patient_ids: str = _key(
        "TOML file: local identifier (CX) = the domain's identifier (CX), read again when it changes; empty: none", ""
    )
    accession_authority: str = _key("OID of the hospital's accession numbers", "2.999.1.6", check="oid")
    decision_url: str = _key("ITI-79 endpoint that decides on images; empty: this process", "", check="url")
    decision_cache_seconds: float = _key("how long an answer is used again, at most 60", 5.0, check="seconds")
    decision_offline_seconds: float = _key("how much longer while the hub is away", 0.0, check="seconds")
    require_signed_decisions: bool = _key("refuse an ITI-79 answer without a valid signature", True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacs:
    """How the archive that `imaging_source.pacs` names is reached, where it is not a folder."""

    user: str = _key("user name (HTTP)", "")
    password_file: str = _key("file with the password of that user", "")
    token_file: str = _key("file with a bearer token (HTTP), instead of a user", "")
    ca: str = _key("authorities (PEM) of the archive's certificate; empty: those of the system", "")
    certificate: str = _key("certificate (PEM) to show to the archive; empty: none", "")
    key: str = _key("its private key", "")
    connect_seconds: float = _key("how long to wait for a connection", 5.0, check="seconds")
    read_seconds: float = _key("how long to wait for the next bytes of an answer", 60.0, check="seconds")
    minimum_rate: int = _key(
        "bytes a second at which an answer has to come, read_seconds granted; slower ones are given up; 0: any",
        1000,
    )
    retries: int = _key("how often a question is asked again (HTTP)", 3)
    tls: bool = _key("speak TLS with a dimse: archive; https says so for the others", False)
    ae_title: str = _key("our AE title towards a dimse: archive, and for what it sends to us", "XDSI")
    retrieve: str = _key("how images are fetched from a dimse: archive", "get", choices=("get", "move"))
    storage_address: str = _key("address on which images arrive that were asked for by C-MOVE", "127.0.0.1")
    storage_port: int = _key("port on which they arrive; the archive has to know it for our AE title", 0, check="port")
    remember_seconds: float = _key("how long what the archive said of a study is used again", 5.0, check="seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """Which studies of the archive are published. Conditions that are set hold together; `*` stands for anything."""

    modalities: tuple[str, ...] = _key("only studies with one of these modalities; empty: with any", ())
    excluded_modalities: tuple[str, ...] = _key("no study with one of these", ())
    institutions: tuple[str, ...] = _key("only of these (Institution Name); empty: of any", ())
    wards: tuple[str, ...] = _key(
        "only of these (Current Patient Location, else Institutional Department Name); empty: of any", ()
    )
    referring_physicians: tuple[str, ...] = _key("only for these (DICOM PN, Family^Given); empty: for any", ())
    max_age_days: int = _key("only studies of the last days, by Study Date; 0: of any age", 0)
    signed_report: bool = _key("only with a report that is verified, or told to be final by an ORU message", False)
    rejections: tuple[str, ...] = _key(
        "titles of rejection notes (codes of DCM) whose instances are neither published nor given out",
        ("113001", "113037", "113038", "113039"),
        choices=("113001", "113037", "113038", "113039"),
    )
    deleted: str = _key(
        "what becomes of the manifest of a study that is gone: it stands, is deprecated (ITI-57) or removed (ITI-62)",
        "keep",
        choices=("keep", "deprecate", "remove"),
    )
    automatic: bool = _key("publish by itself what comes into the archive, beside the actor imaging-source", False)
    stable_seconds: float = _key(
        "how long a study must not have changed, where the archive does not say that it is stable",
        60.0,
        check="seconds",
    )
    changes_seconds: float = _key("how often the archive's record of changes is asked for", 0.5, check="seconds")
    poll_seconds: float = _key(
        "how often an archive without such a record is asked for its studies", 60.0, check="seconds"
    )
    poll_days: int = _key("for studies of how many days it is asked then; 0: for all", 0)
    compare_seconds: float = _key("how often all studies are compared, to notice deletions", 3600.0, check="seconds")
    notices_port: int = _key(
        "port on which modalities and the archive tell of performed steps (MPPS) and available instances, by DIMSE, "
        "to dicom.ae_title; 0: none",
        0,
        check="port",
    )
    parallel: int = _key("how many studies are published at once", 4, check="count")
    retry_seconds: float = _key(
        "wait before a second attempt; doubled with each further one, up to an hour", 5.0, check="seconds"
    )
    attempts: int = _key("how often a study is tried before it is set aside", 20, check="count")
    issuers: dict[str, str] = _key("Issuer of Patient ID, as images have it -> OID of that authority", {}, check="oid")


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomPeer:
    """An application entity that may have images sent to itself (RAD-16), and for whom it asks."""

    ae_title: str = _key("its AE title")
    address: str = _key("where it takes C-STORE: host:port", check="host-port")
    certificate_sha256: str = _key(
        "SHA-256 of its certificate (DER); may be empty in the open profile only", "", check="sha256"
    )
    organization_id: str = _key("urn:oid: of the organisation whose consent decisions apply", check="oid-urn")
    organization: str = _key("name of that organisation", "")
    role: str = _key("role in which it asks, CODE^NAME^OID", check="code")
    purpose: str = _key("purpose of use for which it asks, CODE^NAME^OID", check="code")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dicom:
    """Images by DIMSE (RAD-16): TLS where the server has TLS."""

    ae_title: str = _key("own AE title", "XDSI")
    port: int = _key("port of the C-MOVE SCP; 0: none", 0, check="port")
    peer: tuple[DicomPeer, ...] = _key("application entities that may ask", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """How `xdsi find` and `xdsi fetch` reach a domain."""

    registry_url: str = _key("ITI-18 endpoint", "", check="url")
    repositories: dict[str, str] = _key("repositoryUniqueId -> ITI-43 endpoint", {}, check="url")
    sources: dict[str, str] = _key("Retrieve Location UID -> RAD-69 endpoint", {}, check="url")
    dicomweb: dict[str, str] = _key("Retrieve Location UID -> WADO-RS base URL (RAD-107)", {}, check="url")
    certificate: str = _key("client certificate (PEM)", "")
    key: str = _key("its key", "")
    ca: str = _key("authorities of the servers", "")
    assertion: str = _key("file with the identity assertion to send", "")
    token: str = _key("file with the access token (JWT) to send by WADO-RS; empty: the assertion", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All sections."""

    server: Server = field(default_factory=Server)
    limits: Limits = field(default_factory=Limits)
    domain: Domain = field(default_factory=Domain)
    registry: Registry = field(default_factory=Registry)
    repository: Repository = field(default_factory=Repository)
    imaging_source: ImagingSource = field(default_factory=ImagingSource)
    pacs: Pacs = field(default_factory=Pacs)
    publishing: Publishing = field(default_factory=Publishing)
    tls: Tls = field(default_factory=Tls)
    node: tuple[Node, ...] = ()
    saml: Saml = field(default_factory=Saml)
    jwt: Jwt = field(default_factory=Jwt)
    dicom: Dicom = field(default_factory=Dicom)
    consent: Consent = field(default_factory=Consent)
    audit: Audit = field(default_factory=Audit)
    notification: Notification = field(default_factory=Notification)
    consumer: Consumer = field(default_factory=Consumer)
