"""Any DICOM archive by its message exchange: C-FIND for what there is, C-GET or C-MOVE for the files.

DICOM PS3.4 C.4 (Query/Retrieve, hierarchical, Study Root) and B (Storage), PS3.7 9.1. Instances arrive in files of the
folder that this adapter was given, one at a time, never in memory as a whole.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import ALL_TRANSFER_SYNTAXES, StoragePresentationContexts, build_context, build_role, evt

from xdsi.domain.errors import MalformedMessage, Unavailable
from xdsi.domain.imaging import Instance, Study
from xdsi.domain.pacs import StudyState
from xdsi.spec import tags
from xdsi.transport.association_pace import Patience, paced
from xdsi.transport.pacs.associations import PROMPT, DimseAccess, DimseAddress, entity, taken_over
from xdsi.transport.pacs.remote import Listed, RemotePacs
from xdsi.transport.pacs.storage_scp import StorageScp
from xdsi.transport.reactor_gate import GATED
from xdsi.wire.dicom_header import read_header
from xdsi.wire.dicom_reader import transfer_syntax_of
from xdsi.wire.dicom_text import DataSet, is_uid

FIND, GET, MOVE = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 3, 2))
"""Study Root Query/Retrieve Information Model (PS3.6 annex A)"""
_CHUNK = 256 * 1024
_HELD_SECONDS = 300.0
_PENDING = (0xFF00, 0xFF01)
_WELL_KNOWN_CONTEXTS = 120


class DimsePacs(RemotePacs):
    """Studies of one application entity."""

    def __init__(
        self,
        address: DimseAddress,
        access: DimseAccess,
        folder: Path,
        *,
        remember_seconds: float = 5.0,
    ) -> None:
        super().__init__(folder, remember_seconds=remember_seconds)
        self._address = address
        self._access = access
        self._entity = entity(access, folder)
        self._held: dict[str, tuple[Path, float]] = {}
        self._holding = threading.Lock()
        self._scp = StorageScp(address, access, folder) if access.retrieve == "move" else None

    def close(self) -> None:
        """Stop listening for what the archive sends, and remove what was not taken."""
        if self._scp is not None:
            self._scp.close()
        with self._holding:
            for path, _ in self._held.values():
                path.unlink(missing_ok=True)
            self._held.clear()

    # What there is.

    def told(self, since: date | None = None) -> Iterator[StudyState]:
        """Every study now present, or those of a study date not before `since`."""
        wanted = _identifier(
            "STUDY", StudyInstanceUID="", StudyDate=f"{since:%Y%m%d}-" if since else "", StudyTime="",
            AccessionNumber="", PatientID="", StudyDescription="",
            NumberOfStudyRelatedSeries="", NumberOfStudyRelatedInstances="",
        )  # fmt: skip
        with self._associated([build_context(FIND)]) as association:
            for record in list(self._ask(association, wanted)):
                uid = record.code(tags.STUDY_INSTANCE_UID)
                said = sorted((tag, repr(value)) for tag, value in record.items())
                if record.number(tags.NUMBER_OF_STUDY_RELATED_INSTANCES) is None and is_uid(uid):
                    # An archive that does not count: which instances there are tells whether one came.
                    said += sorted((0, one.instance.locator) for _, one in self._instances(association, uid))
                yield StudyState(uid, hashlib.sha256(repr(said).encode()).hexdigest())

    def list_study(self, study_instance_uid: str) -> tuple[list[Listed], list[tuple[str, str]]]:
        """All instances of a study, series by series, as many as the archive says there are."""
        found: list[Listed] = []
        skipped: list[tuple[str, str]] = []
        count = 0
        with self._associated([build_context(FIND)]) as association:
            wanted = _identifier("STUDY", StudyInstanceUID=study_instance_uid, NumberOfStudyRelatedInstances="")
            studies = list(self._ask(association, wanted))
            if not studies:
                return [], []
            for said_more, listed in self._instances(association, study_instance_uid):
                count += said_more
                if not is_uid(listed.series_instance_uid) or not is_uid(listed.instance.sop_instance_uid):
                    skipped.append((listed.instance.locator, "its Series or SOP Instance UID is not a UID"))
                else:
                    found.append(listed)
        numbers = [one.number(tags.NUMBER_OF_STUDY_RELATED_INSTANCES) for one in studies]
        said = sum(number for number in numbers if number is not None)
        if None not in numbers and said != count:
            raise Unavailable(
                f"{self._address}: study {study_instance_uid} is said to have {said} instances, {count} are listed"
            )
        return found, skipped

    def _instances(self, association: Any, study: str) -> Iterator[tuple[int, Listed]]:
        """Each instance of a study, or of a series that cannot be asked for only how many it has, by one of them."""
        wanted = _identifier("SERIES", StudyInstanceUID=study, SeriesInstanceUID="", NumberOfSeriesRelatedInstances="")
        for series in list(self._ask(association, wanted)):
            uid = series.code(tags.SERIES_INSTANCE_UID)
            if not is_uid(uid):
                yield series.number(tags.NUMBER_OF_SERIES_RELATED_INSTANCES) or 0, _listed(study, uid, DataSet())
                continue
            wanted = _identifier(
                "IMAGE", StudyInstanceUID=study, SeriesInstanceUID=uid, SOPInstanceUID="", SOPClassUID="",
                InstanceNumber="", NumberOfFrames="",
            )  # fmt: skip
            for image in self._ask(association, wanted):
                yield 1, _listed(study, uid, image)

    def header(self, study_instance_uid: str, listed: Listed) -> Study:
        """The study as one instance's file tells it: what a C-FIND gives is too little."""
        path = self._fetch(listed.instance)
        try:
            with path.open("rb") as file:
                return read_header(file)
        except OSError as error:
            raise Unavailable(f"{listed.instance.locator}: {error.strerror}") from error
        finally:
            self._hold(listed.instance.sop_instance_uid, path)

    def _ask(self, association: Any, wanted: Dataset) -> Iterator[DataSet]:
        for status, identifier in association.send_c_find(wanted, FIND):
            code = _code(status)
            if code in _PENDING and identifier is not None:
                yield _told(identifier)
            elif code != 0:
                raise Unavailable(f"{self._address}: C-FIND {_said(status)}")

    # The files.

    def chunks(self, instance: Instance) -> Iterator[bytes]:
        """The file, fetched whole before its first byte is given on."""
        with self._holding:
            held = self._held.pop(instance.sop_instance_uid, None)
        path = held[0] if held else self._fetch(instance)
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise Unavailable(f"{instance.locator}: {error.strerror}") from error
        finally:
            path.unlink(missing_ok=True)

    def look_at_syntax(self, instance: Instance) -> str:
        """The transfer syntax of the file, which is kept a while for whoever wants it next."""
        with self._holding:
            held = self._held.pop(instance.sop_instance_uid, None)
        path = held[0] if held else self._fetch(instance)
        try:
            with path.open("rb") as file:
                return transfer_syntax_of(file)
        except (MalformedMessage, OSError) as error:
            raise Unavailable(f"{instance.locator}: {error}") from error
        finally:
            self._hold(instance.sop_instance_uid, path)

    def _hold(self, uid: str, path: Path) -> None:
        now = time.monotonic()
        with self._holding:
            former = self._held.pop(uid, None)
            self._held[uid] = (path, now)
            late = [key for key, (_, since) in self._held.items() if now - since > _HELD_SECONDS]
            gone = [self._held.pop(key)[0] for key in late] + ([former[0]] if former else [])
        for one in gone:
            one.unlink(missing_ok=True)

    def _fetch(self, instance: Instance) -> Path:
        study, _, rest = instance.locator.partition("/")
        series, _, sop = rest.partition("/")
        wanted = _identifier("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=sop)
        if self._scp is not None:
            return self._moved(wanted, sop, self._scp)
        return self._got(wanted, sop, instance.sop_class_uid)

    def _got(self, wanted: Dataset, uid: str, class_uid: str) -> Path:
        arrived: list[Path] = []

        def store(event: Any) -> int:
            path = taken_over(event, self._folder, uid)
            if path is None:
                return 0xA900
            arrived.append(path)
            return 0x0000

        # A context for each transfer syntax, so that the archive can send what it has and need not transcode.
        contexts = (
            [build_context(class_uid, syntax) for syntax in ALL_TRANSFER_SYNTAXES]
            if class_uid
            else list(StoragePresentationContexts)[:_WELL_KNOWN_CONTEXTS]
        )
        roles = [build_role(one, scp_role=True) for one in dict.fromkeys(str(c.abstract_syntax) for c in contexts)]
        final = None
        try:
            handlers = [(evt.EVT_C_STORE, store)]
            with self._associated([build_context(GET), *contexts], roles=roles, handlers=handlers) as association:
                for status, _ in association.send_c_get(wanted, GET):
                    final = status
            return _only(arrived, f"{self._address}: C-GET of {uid} {_said(final)}", success=_code(final) == 0)
        except BaseException:
            for path in arrived:
                path.unlink(missing_ok=True)
            raise

    def _moved(self, wanted: Dataset, uid: str, scp: StorageScp) -> Path:
        # While the image comes the archive need not say anything here.
        patience = self._patience()
        with scp.awaiting(uid, patience.came) as awaited:
            final = None
            with self._associated([build_context(MOVE)], patience=patience) as association:
                for status, _ in association.send_c_move(wanted, self._access.ae_title, MOVE):
                    final = status
            if _code(final) != 0:
                raise Unavailable(f"{self._address}: C-MOVE of {uid} {_said(final)}")
            return awaited.taken(self._access.read_seconds, f"{self._address}: C-MOVE of {uid}")

    def _patience(self) -> Patience:
        return Patience(self._access.read_seconds, self._access.minimum_rate)

    @contextmanager
    def _associated(
        self, contexts: list[Any], *, roles: Any = None, handlers: Any = (), patience: Patience | None = None
    ) -> Iterator[Any]:
        access, address = self._access, self._address
        pace = paced(patience or self._patience())
        association = self._entity.associate(
            address.host, address.port, contexts=contexts, ae_title=address.ae_title, max_pdu=128 * 1024,
            ext_neg=roles, evt_handlers=[GATED, pace, *PROMPT, *handlers],
            tls_args=(access.tls, address.host) if access.tls else None,
        )  # fmt: skip
        if not association.is_established:
            refused = "refuses the association"
            why = refused if association.is_rejected else "cannot be reached, or offers nothing of what is asked for"
            raise Unavailable(f"{address} {why}")
        whole = False
        try:
            if not any(one.abstract_syntax in (FIND, GET, MOVE) for one in association.accepted_contexts):
                raise Unavailable(f"{address} does not offer {contexts[0].abstract_syntax}")
            yield association
            whole = association.is_established
        except (RuntimeError, ValueError) as error:
            # What pynetdicom raises on an association that ended meanwhile.
            raise Unavailable(f"{address}: {error}") from error
        finally:
            # An association in the middle of an answer is ended at once, for what follows is not wanted.
            with suppress(Exception):
                association.release() if whole else association.abort()


def _told(identifier: Dataset) -> DataSet:
    """The values as they came: of a wrong one the library would make an exception. Sequences are not needed."""
    found = DataSet()
    for tag in identifier.keys():  # noqa: SIM118 - the data set itself gives elements, decoded
        value = getattr(identifier.get_item(tag), "value", None)
        if isinstance(value, bytes):
            found[int(tag)] = value
        elif isinstance(value, str | int):
            found[int(tag)] = str(value).encode()
    return found


def _listed(study: str, series: str, image: DataSet) -> Listed:
    uid = image.code(tags.SOP_INSTANCE_UID)
    return Listed(
        series,
        Instance(
            sop_class_uid=image.code(tags.SOP_CLASS_UID),
            sop_instance_uid=uid,
            instance_number=image.number(tags.INSTANCE_NUMBER),
            number_of_frames=max(1, image.number(tags.NUMBER_OF_FRAMES) or 1),
            locator=f"{study}/{series}/{uid}",
        ),
    )


def _identifier(level: str, **keys: str) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for name, value in keys.items():
        setattr(dataset, name, value)
    return dataset


def _code(status: Dataset | None) -> int | None:
    return int(status.Status) if status is not None and "Status" in status else None


def _said(status: Dataset | None) -> str:
    code = _code(status)
    if code is None or status is None:
        return "got no answer in time, or the association broke off"
    comment = str(status.get("ErrorComment", "") or "")
    return f"ended with status {code:04X}" + (f": {comment}" if comment else "")


def _only(arrived: list[Path], what: str, *, success: bool) -> Path:
    if not success or len(arrived) != 1:
        raise Unavailable(f"{what}, {len(arrived)} instances came")
    if os.stat(arrived[0]).st_size == 0:  # noqa: PTH116 - likewise elsewhere
        raise Unavailable(f"{what}, an empty file came")
    return arrived[0]
