"""Which image of whom a DICOM file says that it is, told by its beginning, before the rest of it has come.

DICOM PS3.5 7.1 (elements come in ascending order: the pixel data last), PS3.10 7.1 (file meta information).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from io import BytesIO

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.imaging import Identity, ImagedPatient
from xdsi.spec import dicom, tags
from xdsi.wire.dicom_header import patient
from xdsi.wire.dicom_reader import read
from xdsi.wire.dicom_text import CharacterSet, DataSet

_WANTED = frozenset(
    {
        tags.SPECIFIC_CHARACTER_SET, tags.SOP_INSTANCE_UID, tags.PATIENT_ID, tags.ISSUER_OF_PATIENT_ID,
        tags.ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, tags.UNIVERSAL_ENTITY_ID, tags.UNIVERSAL_ENTITY_ID_TYPE,
        tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID,
    }
)  # fmt: skip
_OF_PATIENT = (tags.SPECIFIC_CHARACTER_SET, tags.PATIENT_ID, tags.ISSUER_OF_PATIENT_ID)
_LAST = tags.SERIES_INSTANCE_UID
_ELEMENT = struct.Struct("<HH2sH")
_LENGTH = struct.Struct("<I")
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_UNDEFINED = 0xFFFFFFFF
_OTHERWISE_ENCODED = (dicom.IMPLICIT_LE, dicom.EXPLICIT_BE, dicom.DEFLATED_EXPLICIT_LE)


def identity_of(head: bytes, *, whole: bool) -> Identity | None:
    """What a file says, by its beginning or the `whole` of it; None where more of it is needed.

    Raises MalformedMessage for a whole file that does not say it.
    """
    found = _plainly(head)
    if found is None or tags.SERIES_INSTANCE_UID not in found:
        try:
            # By the book; of a beginning only as far as it goes, of a whole file to its end.
            found = read(BytesIO(head), _WANTED, until=None if whole else _LAST).dataset
        except MalformedMessage:
            if whole:
                raise
            return None
        if not whole and tags.SERIES_INSTANCE_UID not in found:
            return None
    said = (
        _patient(found)
        if tags.ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE in found
        else _plain_patient(*(found.value(tag) for tag in _OF_PATIENT))
    )
    return Identity(
        study_instance_uid=found.code(tags.STUDY_INSTANCE_UID),
        series_instance_uid=found.code(tags.SERIES_INSTANCE_UID),
        sop_instance_uid=found.code(tags.SOP_INSTANCE_UID),
        patient_id=said.id,
        issuer=said.issuer,
        issuer_name=said.issuer_name,
    )


def _patient(found: DataSet) -> ImagedPatient:
    return patient(found, CharacterSet(found))


@lru_cache(maxsize=64)
def _plain_patient(*values: bytes) -> ImagedPatient:
    """The images of an answer are of one patient, mostly."""
    return _patient(DataSet(zip(_OF_PATIENT, values, strict=True)))


def _plainly(head: bytes) -> DataSet | None:
    """The elements of a file in explicit VR, little endian, without surprises; None for any other."""
    if head[128:132] != b"DICM":
        return None
    found, offset, size = DataSet(), 132, len(head)
    unpack, unpack_length = _ELEMENT.unpack_from, _LENGTH.unpack_from
    syntax = b""
    while offset + 12 <= size:
        group, element, vr, length = unpack(head, offset)
        offset += 8
        if vr in _LONG:
            (length,) = unpack_length(head, offset)
            offset += 4
            if length == _UNDEFINED:
                return None
        tag = group << 16 | element
        if tag in _WANTED:
            if vr == b"SQ":
                return None
            if syntax == b"":
                return None
            found[tag] = head[offset : offset + length]
            if tag == _LAST:
                return found if offset + length <= size else None
        elif tag == tags.TRANSFER_SYNTAX_UID:
            syntax = head[offset : offset + length]
            if syntax.rstrip(b"\0 ").decode("ascii", "replace") in _OTHERWISE_ENCODED:
                return None
        elif tag > _LAST or (group > 2 and not vr.isalpha()):
            return None
        offset += length
    return None
