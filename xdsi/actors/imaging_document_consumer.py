"""Document Consumer and Imaging Document Consumer: finds manifests, retrieves them, fetches the images they name.

ITI TF-1: 10.1.1.2; RAD TF-1: 18.1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import PatientId
from xdsi.domain.imaging import ImagingRequest, Manifest, SeriesRequest, StudyRequest
from xdsi.domain.metadata import DocumentEntry, RegistryObject
from xdsi.domain.outcome import Outcome
from xdsi.domain.retrieval import DocumentRequest, RetrieveAnswer, RetrieveRequest
from xdsi.domain.stored_query import ReturnType, StoredQuery, Value
from xdsi.exchange import Called, Channel, Client, call
from xdsi.rules import stored_query as query_rules
from xdsi.spec import imaging_codes, mado, uuids
from xdsi.spec import namespaces as ns
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.transactions import rad69_retrieve_imaging_document_set as rad69
from xdsi.wire import kos, mado_fhir_reader
from xdsi.wire.ebxml import query
from xdsi.wire.message import Packaging

TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian, retired
    "1.2.840.10008.1.2.1.99",  # Deflated
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless SV1
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
)
"""What a consumer that only stores takes: every syntax that images are usually kept in."""


_READERS: Mapping[str, Callable[[bytes], Manifest]] = {
    imaging_codes.MANIFEST_FORMAT[0]: kos.decode,
    mado.FHIR_FORMAT[0]: mado_fhir_reader.decode,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a query brought."""

    outcome: Outcome
    objects: tuple[RegistryObject, ...]
    trace: str

    @property
    def entries(self) -> tuple[DocumentEntry, ...]:
        """The DocumentEntries among the objects."""
        return tuple(one for one in self.objects if isinstance(one, DocumentEntry))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagingDocumentConsumer:
    """Asks one registry, and the repositories and sources that its answers name.

    `repositories` and `sources` are channels by repositoryUniqueId and Retrieve Location UID, as configured: no
    address is ever taken from a manifest.
    """

    client: Client
    registry: Channel
    repositories: Mapping[str, Channel] = field(default_factory=dict)
    sources: Mapping[str, Channel] = field(default_factory=dict)

    def find_documents(self, patient: PatientId, *, statuses: Sequence[str] = (ns.APPROVED,)) -> Found:
        """FindDocuments of one patient."""
        return self.query(
            uuids.FIND_DOCUMENTS,
            {
                "$XDSDocumentEntryPatientId": ((patient.cx,),),
                "$XDSDocumentEntryStatus": (tuple(statuses),),
            },
        )

    def query(self, query_id: str, parameters: Mapping[str, tuple[tuple[Value, ...], ...]]) -> Found:
        """Any stored query, LeafClass."""
        request = query_rules.encode(StoredQuery(query_id, ReturnType.LEAF_CLASS, parameters))
        called = call(self.client, iti18.TRANSACTION, request, self.registry)
        try:
            return Found(called.answer.outcome, query.objects(called.reply.message), called.reply.trace)
        finally:
            called.close()

    def retrieve(self, entries: Sequence[DocumentEntry]) -> Called[RetrieveAnswer]:
        """ITI-43 of documents that lie in one repository; raises LookupError for one that is not configured."""
        repository = entries[0].repository_unique_id
        request = RetrieveRequest(
            tuple(
                DocumentRequest(entry.home_community_id, entry.repository_unique_id, entry.unique_id)
                for entry in entries
            )
        )
        return call(
            self.client, iti43.TRANSACTION, request, self._channel(self.repositories, repository, "repository"),
            packaging=Packaging.MTOM,
        )  # fmt: skip

    def manifest(self, entry: DocumentEntry) -> tuple[Manifest, bytes]:
        """Retrieve and read one manifest; raises MalformedMessage where it cannot be had or read."""
        called = self.retrieve([entry])
        try:
            if not called.answer.documents:
                reasons = "; ".join(f"{p.code}: {p.context}" for p in called.answer.outcome.errors)
                raise MalformedMessage(f"manifest {entry.unique_id} was not given out: {reasons}")
            raw = b"".join(called.answer.documents[0].document.open())
        finally:
            called.close()
        return manifest_reader(entry)(raw), raw

    def images(
        self, manifest: Manifest, *, location: str = "", transfer_syntaxes: Sequence[str] = TRANSFER_SYNTAXES
    ) -> Called[RetrieveAnswer]:
        """RAD-69 of everything that a manifest names at one of its locations, unless said otherwise at the first."""
        wanted = location or locations_of(manifest)[0]
        return self.fetch(request_of(manifest, transfer_syntaxes, location=wanted), wanted)

    def fetch(self, request: ImagingRequest, location: str) -> Called[RetrieveAnswer]:
        """RAD-69 at one source; raises LookupError for a Retrieve Location UID that is not configured."""
        channel = self._channel(self.sources, location, "imaging source")
        return call(self.client, rad69.TRANSACTION, request, channel, packaging=Packaging.MTOM)

    @staticmethod
    def _channel(channels: Mapping[str, Channel], uid: str, kind: str) -> Channel:
        if uid not in channels:
            raise LookupError(f"{kind} {uid} is not configured; known: {', '.join(sorted(channels)) or 'none'}")
        return channels[uid]


def manifest_reader(entry: DocumentEntry) -> Callable[[bytes], Manifest]:
    """What reads the manifest that an entry is of; LookupError for an entry of something else."""
    code = entry.format_code.code if entry.format_code is not None else ""
    if code not in _READERS:
        raise LookupError(f"document {entry.unique_id} is no manifest: its formatCode is {code or 'missing'}")
    return _READERS[code]


def locations_of(manifest: Manifest) -> list[str]:
    """The Retrieve Location UIDs that a manifest names; MalformedMessage where it names none."""
    found = list(dict.fromkeys(one.retrieve_location_uid for one in manifest.series))
    if not found:
        raise MalformedMessage(f"manifest {manifest.sop_instance_uid} names no series")
    return found


def request_of(
    manifest: Manifest,
    transfer_syntaxes: Sequence[str],
    *,
    location: str = "",
    keep: Callable[[str], bool] = lambda uid: True,
) -> ImagingRequest:
    """The RAD-69 request for the instances of a manifest, at one location if given, that `keep` says yes to."""
    series = tuple(
        SeriesRequest(
            one.series_instance_uid,
            tuple(
                DocumentRequest("", one.retrieve_location_uid, reference.sop_instance_uid)
                for reference in one.instances
                if keep(reference.sop_instance_uid)
            ),
        )
        for one in manifest.series
        if location in ("", one.retrieve_location_uid)
    )
    wanted = tuple(one for one in series if one.documents)
    return ImagingRequest((StudyRequest(manifest.study_instance_uid, wanted),), tuple(transfer_syntaxes))
