"""Content items of structured reports and Key Object Selections, as bytes.

DICOM PS3.3 C.17.3 (relationships and value types), C.18 (their values), 8.8 (codes).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from pydicom.uid import UID

from xdsi.domain.imaging import Instance
from xdsi.spec import tags
from xdsi.wire.dicom_writer import item, sequence, text

CONTEXT = "HAS ACQ CONTEXT"
CONTAINS = "CONTAINS"


def code(value: str, scheme: str, meaning: str) -> bytes:
    """An item of a code sequence."""
    return item(
        text(tags.CODE_VALUE, "SH", value),
        text(tags.CODING_SCHEME_DESIGNATOR, "SH", scheme),
        text(tags.CODE_MEANING, "LO", (meaning or value)[:64]),
    )


def reference(instance: Instance) -> bytes:
    """An item that names an instance (PS3.3 10.8)."""
    return item(_class(instance.sop_class_uid), text(tags.REFERENCED_SOP_INSTANCE_UID, "UI", instance.sop_instance_uid))


@lru_cache(maxsize=256)
def _class(uid: str) -> bytes:
    return text(tags.REFERENCED_SOP_CLASS_UID, "UI", uid)


@lru_cache(maxsize=256)
def contains(sop_class_uid: str) -> bytes:
    """Relationship and value type of an item that refers to an instance of this class."""
    return text(tags.RELATIONSHIP_TYPE, "CS", CONTAINS) + text(tags.VALUE_TYPE, "CS", value_type(sop_class_uid))


def value_type(sop_class_uid: str) -> str:
    """IMAGE, WAVEFORM or COMPOSITE, by the last word of the SOP class's name before ` Storage`."""
    head, storage, _ = UID(sop_class_uid).name.rpartition(" Storage")
    word = head.rpartition(" ")[2] if storage else ""
    return {"Image": "IMAGE", "Waveform": "WAVEFORM"}.get(word, "COMPOSITE")


@lru_cache(maxsize=1024)
def head(relationship: str, value_type: str, *concept: str) -> bytes:
    """What an item begins with: relationship, value type and the code of its concept."""
    return (
        text(tags.RELATIONSHIP_TYPE, "CS", relationship)
        + text(tags.VALUE_TYPE, "CS", value_type)
        + sequence(tags.CONCEPT_NAME_CODE_SEQUENCE, [code(*concept)])
    )


def coded(relationship: str, concept: tuple[str, str, str], value: tuple[str, str, str]) -> bytes:
    """A CODE item."""
    values = sequence(tags.CONCEPT_CODE_SEQUENCE, [code(*value)])
    return item(head(relationship, "CODE", *concept), values)


def worded(relationship: str, concept: tuple[str, str, str], value: str) -> bytes:
    """A TEXT item."""
    return item(head(relationship, "TEXT", *concept), text(tags.TEXT_VALUE, "UT", value))


def dated(relationship: str, concept: tuple[str, str, str], value: str) -> bytes:
    """A DATE item."""
    return item(head(relationship, "DATE", *concept), text(tags.DATE, "DA", value))


def timed(relationship: str, concept: tuple[str, str, str], value: str) -> bytes:
    """A TIME item."""
    return item(head(relationship, "TIME", *concept), text(tags.TIME, "TM", value))


def identified(relationship: str, concept: tuple[str, str, str], uid: str) -> bytes:
    """A UIDREF item."""
    return item(head(relationship, "UIDREF", *concept), text(tags.UID, "UI", uid))


@lru_cache(maxsize=1024)
def counted(relationship: str, concept: tuple[str, str, str], number: int, unit: tuple[str, str, str]) -> bytes:
    """A NUM item."""
    measured = item(
        sequence(tags.MEASUREMENT_UNITS_CODE_SEQUENCE, [code(*unit)]), text(tags.NUMERIC_VALUE, "DS", str(number))
    )
    return item(head(relationship, "NUM", *concept), sequence(tags.MEASURED_VALUE_SEQUENCE, [measured]))


def container(
    relationship: str, concept: tuple[str, str, str], content: Iterable[bytes], *, template: str = ""
) -> bytes:
    """A CONTAINER item whose parts stand for themselves, by a template of DCMR if one is named."""
    by = item(text(tags.MAPPING_RESOURCE, "CS", "DCMR"), text(tags.TEMPLATE_IDENTIFIER, "CS", template))
    return item(
        head(relationship, "CONTAINER", *concept),
        text(tags.CONTINUITY_OF_CONTENT, "CS", "SEPARATE"),
        sequence(tags.CONTENT_TEMPLATE_SEQUENCE, [by]) if template else b"",
        sequence(tags.CONTENT_SEQUENCE, content),
    )
