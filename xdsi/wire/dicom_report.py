"""What is published of a report that a PACS holds: the PDF inside, or the structured report as it is.

DICOM PS3.3 A.45.1 and C.24.2 (Encapsulated PDF), A.35 (structured reports).
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage
from xdsi.spec import dicom, imaging_codes, tags
from xdsi.wire import dicom_header
from xdsi.wire.dicom_reader import Limits, read
from xdsi.wire.dicom_text import CharacterSet

MAX_BYTES = 64 * 1024 * 1024

_WANTED = frozenset(
    {
        tags.SPECIFIC_CHARACTER_SET, tags.SOP_CLASS_UID, tags.CONTENT_DATE, tags.CONTENT_TIME, tags.CODE_VALUE,
        tags.CODING_SCHEME_DESIGNATOR, tags.CODE_MEANING, tags.CONCEPT_NAME_CODE_SEQUENCE, tags.ENCAPSULATED_DOCUMENT,
        tags.MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, tags.DOCUMENT_TITLE,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReportContent:
    """The document, and what its object says of it: Content Date and Time, and a title."""

    content: bytes
    date: str
    time: str
    title: Code | None


def read_report(raw: bytes) -> ReportContent:
    """The document in a file; raises MalformedMessage for a file without one, or one that is too large."""
    if len(raw) > MAX_BYTES:
        raise MalformedMessage("the report is too large", expected=f"at most {MAX_BYTES} bytes")
    dataset = read(BytesIO(raw), _WANTED, Limits(value=MAX_BYTES, inflated=MAX_BYTES)).dataset
    charset = CharacterSet(dataset)
    title = dicom_header.code(dataset.item(tags.CONCEPT_NAME_CODE_SEQUENCE), charset)
    if words := charset.text(dataset, tags.DOCUMENT_TITLE):
        title = Code(title.code if title else "", title.scheme if title else "", words)
    content = raw
    if dataset.code(tags.SOP_CLASS_UID) == dicom.ENCAPSULATED_PDF:
        content = _pdf(dataset.value(tags.ENCAPSULATED_DOCUMENT), dataset.code(tags.MIME_TYPE_OF_ENCAPSULATED_DOCUMENT))
    return ReportContent(content, dataset.code(tags.CONTENT_DATE), dataset.code(tags.CONTENT_TIME), title)


def _pdf(value: bytes, mime_type: str) -> bytes:
    if mime_type not in ("", imaging_codes.PDF_MIME_TYPE) or not value.startswith(b"%PDF-"):
        raise MalformedMessage("the object holds no PDF", location="(0042,0011)", expected="%PDF-")
    # A value of odd length is padded with one zero byte, which no PDF ends with.
    return value.removesuffix(b"\0")
