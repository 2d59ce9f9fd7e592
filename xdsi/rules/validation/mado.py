"""MADO's Key Object Selections: attributes beyond the classic manifest, and the Image Library of the content.

IHE RAD MADO (vol. 3, 6.X.2); DICOM CP-2595, PS3.16 TID 2010, TID 1600, TID 1601, TID 1609. The codes of the trial use
version are accepted like those of DICOM.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xdsi.domain.dicom_tree import Item, Part10, Place, along, numbered
from xdsi.domain.findings import Finding, Level
from xdsi.rules.validation import kos
from xdsi.rules.validation.attributes import Attribute, judge
from xdsi.spec import dicom, mado, tags

_QUALIFIERS = tags.ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE
_OTHER = tags.OTHER_PATIENT_IDS_SEQUENCE
_REQUEST = tags.REFERENCED_REQUEST_SEQUENCE
_ISSUER = tags.ISSUER_OF_ACCESSION_NUMBER_SEQUENCE
_SERIES = (tags.CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, tags.REFERENCED_SERIES_SEQUENCE)
_PATIENT = "IHE RAD MADO 6.X.2 (Patient Module)"
_STUDY = "IHE RAD MADO 6.X.2 (General Study Module)"
_MODULES = "IHE RAD MADO 6.X.2 (attributes of the manifest)"
_ORDERS = "IHE RAD MADO 6.X.2.8.1 (Referenced Request Macro)"
_CONTENT = "IHE RAD MADO 6.X.2 (content); PS3.16 TID 1600 with CP-2595"


def _designator(path: tuple[int, ...], clause: str) -> tuple[Attribute, ...]:
    """An issuer: one item with an OID."""
    return (
        Attribute(path=path, need=1, clause=clause, one_item=True),
        Attribute(path=(*path, tags.UNIVERSAL_ENTITY_ID), need=1, clause=clause, form="uid"),
        Attribute(path=(*path, tags.UNIVERSAL_ENTITY_ID_TYPE), need=1, clause=clause, among=("ISO",)),
    )


def _has_accession(item: Item) -> bool:
    return item.filled(tags.ACCESSION_NUMBER)


ATTRIBUTES = (
    Attribute(path=(tags.PATIENT_ID,), need=1, clause=_PATIENT, when=lambda item: item.has(tags.PATIENT_ID)),
    Attribute(path=(tags.ISSUER_OF_PATIENT_ID,), need=1, clause=_PATIENT),
    *_designator((_QUALIFIERS,), _PATIENT),
    Attribute(path=(_OTHER,), need=1, clause=_PATIENT),
    Attribute(path=(_OTHER, tags.PATIENT_ID), need=1, clause=_PATIENT),
    Attribute(path=(_OTHER, tags.TYPE_OF_PATIENT_ID), need=1, clause=_PATIENT, among=("TEXT", "RFID", "BARCODE")),
    *_designator((_OTHER, _QUALIFIERS), _PATIENT),
    Attribute(path=(tags.STUDY_DATE,), need=1, clause=_STUDY, when=lambda item: item.has(tags.STUDY_DATE)),
    Attribute(path=(tags.STUDY_TIME,), need=1, clause=_STUDY, when=lambda item: item.has(tags.STUDY_TIME)),
    Attribute(path=(_ISSUER,), need=1, clause=_STUDY, one_item=True, when=_has_accession,
              condition="there is an Accession Number"),
    Attribute(path=(tags.MANUFACTURER,), need=1, clause=_MODULES, when=lambda item: item.has(tags.MANUFACTURER)),
    Attribute(path=(tags.INSTITUTION_NAME,), need=1, clause=_MODULES),
    Attribute(path=(tags.TIMEZONE_OFFSET_FROM_UTC,), need=1, clause=_MODULES, form=""),
    Attribute(path=(_REQUEST,), need=1, clause=_ORDERS),
    Attribute(path=(_REQUEST, tags.ACCESSION_NUMBER), need=1, clause=_ORDERS,
              when=lambda item: item.has(tags.ACCESSION_NUMBER)),
    *_designator((_REQUEST, _ISSUER), _ORDERS),
    Attribute(path=(*_SERIES, tags.RETRIEVE_LOCATION_UID), need=1, form="uid", clause=_MODULES),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One row of a template: how often a container has a concept, and in which forms."""

    concept: str
    types: tuple[str, ...]
    least: int
    most: int | None = 1
    unit: str = ""
    among: frozenset[str] = frozenset()


_CONCEPTS: dict[tuple[str, str], str] = {
    **{(code, scheme): key for key, pair in mado.CODES.items() for code, scheme, _ in pair},
    mado.MODALITY[:2]: "modality",
    mado.TARGET_REGION[:2]: "target_region",
    mado.SERIES_NUMBER[:2]: "series_number",
    mado.SERIES_INSTANCE_UID[:2]: "series_instance_uid",
    mado.NUMBER_OF_FRAMES[:2]: "number_of_frames",
    mado.INSTANCE_NUMBER[:2]: "instance_number",
    mado.DOCUMENT_TITLE[:2]: "document_title",
    mado.KEY_OBJECT_DESCRIPTION[:2]: "key_object_description",
}
_CODE_OF = {key: f"({code}, {scheme})" for (code, scheme), key in reversed(_CONCEPTS.items())}
_REGIONS = frozenset(code for code, _ in mado.REGIONS.values())

LIBRARY = (
    Content(concept="modality", types=("CODE",), least=1, most=None),
    Content(concept="target_region", types=("CODE",), least=1, most=None, among=_REGIONS),
    Content(concept="series", types=("NUM",), least=1, unit="{series}"),
)
GROUP = (
    Content(concept="modality", types=("CODE",), least=1),
    Content(concept="series_date", types=("DATE",), least=0),
    Content(concept="series_time", types=("TIME",), least=0),
    Content(concept="series_description", types=("TEXT",), least=0),
    Content(concept="series_number", types=("TEXT",), least=0),
    Content(concept="series_instance_uid", types=("UIDREF",), least=1),
    Content(concept="target_region", types=("CODE", "TEXT"), least=0, most=None),
    # The trial use version asked for text.
    Content(concept="instances", types=("NUM", "TEXT"), least=1, unit="{instances}"),
)
INSTANCE = (
    Content(concept="number_of_frames", types=("NUM",), least=0),
    Content(concept="instance_number", types=("TEXT",), least=0),
    Content(concept="document_title", types=("CODE",), least=0),
    Content(concept="key_object_description", types=("TEXT",), least=0),
)
_VALUES = {
    "CODE": tags.CONCEPT_CODE_SEQUENCE,
    "TEXT": tags.TEXT_VALUE,
    "DATE": tags.DATE,
    "TIME": tags.TIME,
    "UIDREF": tags.UID,
    "NUM": tags.MEASURED_VALUE_SEQUENCE,
}


def check(file: Part10) -> Iterator[Finding]:
    """Everything in which a file is not a MADO manifest."""
    yield from kos.check_common(file)
    yield from judge("MADO", ATTRIBUTES, file.dataset)
    libraries: list[tuple[Item, Place]] = []
    for item, place in numbered(file.dataset, Place(), tags.CONTENT_SEQUENCE):
        library = item.code(tags.CONCEPT_NAME_CODE_SEQUENCE) == mado.IMAGE_LIBRARY[:2]
        if library and item.text(tags.VALUE_TYPE) == "CONTAINER":
            libraries.append((item, place))
        else:
            yield from kos.check_item(item, place)
    if len(libraries) != 1:
        where = Place().of(tags.CONTENT_SEQUENCE)
        yield _finding("image_library", where, f"the content has {len(libraries)} Image Libraries", "one (111028, DCM)")
    for item, place in libraries:
        yield from _library(file.dataset, item, place)


def _finding(rule: str, place: str, text: str, expected: str, level: Level = Level.ERROR) -> Finding:
    return Finding(rule=f"MADO.{rule}", level=level, place=place, text=text, expected=expected, clause=_CONTENT)


def _library(root: Item, library: Item, place: Place) -> Iterator[Finding]:
    template = [one.text(tags.TEMPLATE_IDENTIFIER) for one in library.items(tags.CONTENT_TEMPLATE_SEQUENCE)]
    if template != ["1600"]:
        where = place.of(tags.CONTENT_TEMPLATE_SEQUENCE)
        yield _finding(
            "image_library.template", where, f"the template is {', '.join(template) or 'missing'}", "DCMR 1600"
        )
    if library.text(tags.CONTINUITY_OF_CONTENT) != "SEPARATE":
        where, expected = place.of(tags.CONTINUITY_OF_CONTENT), "SEPARATE"
        yield _finding(
            "image_library.continuity", where, "Continuity Of Content is not SEPARATE", expected, Level.WARNING
        )
    yield from _rows("image_library", LIBRARY, library, place)
    evidence = {one.text(tags.SERIES_INSTANCE_UID): one for one, _ in along(root, _SERIES)}
    counted = _number(library, "series")
    if counted is not None and counted != len(evidence):
        text = f"the library counts {counted} series, the evidence has {len(evidence)}"
        yield _finding("image_library.count", str(place), text, str(len(evidence)))
    described: set[str] = set()
    for group, there in numbered(library, place, tags.CONTENT_SEQUENCE):
        if group.code(tags.CONCEPT_NAME_CODE_SEQUENCE) == mado.IMAGE_LIBRARY_GROUP[:2]:
            yield from _group(evidence, described, group, there)
    for uid in evidence.keys() - described:
        yield _finding("group.missing", str(place), f"series {uid} is not described", "a group for each series")


def _group(evidence: dict[str, Item], described: set[str], group: Item, place: Place) -> Iterator[Finding]:
    yield from _rows("group", GROUP, group, place)
    uid = next((one.text(tags.UID) for one, _, key in _context(group, place) if key == "series_instance_uid"), "")
    instances = {
        reference.text(tags.REFERENCED_SOP_INSTANCE_UID)
        for reference, _ in along(group, (tags.CONTENT_SEQUENCE, tags.REFERENCED_SOP_SEQUENCE))
    }
    if uid:
        if uid in described:
            yield _finding("group.duplicate", str(place), f"series {uid} is described twice", "once")
        elif uid not in evidence:
            expected = "a series of the evidence"
            yield _finding("group.series", str(place), f"series {uid} is not in the evidence", expected)
        else:
            listed = {
                one.text(tags.REFERENCED_SOP_INSTANCE_UID) for one in evidence[uid].items(tags.REFERENCED_SOP_SEQUENCE)
            }
            if instances != listed:
                text = f"the group has {len(instances)} instances, series {uid} of the evidence {len(listed)}"
                same = text if len(instances) != len(listed) else f"the group has other instances than series {uid}"
                yield _finding("group.instances", str(place), same, "the instances of the evidence")
        described.add(uid)
    counted = _number(group, "instances")
    if counted is not None and counted != len(instances):
        text = f"the group counts {counted} instances and has {len(instances)}"
        yield _finding("group.count", str(place), text, str(len(instances)))
    for item, there in numbered(group, place, tags.CONTENT_SEQUENCE):
        if item.text(tags.RELATIONSHIP_TYPE) == "CONTAINS":
            yield from kos.check_reference(item, there)
            yield from _rows("instance", INSTANCE, item, there)
            yield from _key_object(item, there)


def _key_object(item: Item, place: Place) -> Iterator[Finding]:
    classes = {one.text(tags.REFERENCED_SOP_CLASS_UID) for one in item.items(tags.REFERENCED_SOP_SEQUENCE)}
    titled = any(key == "document_title" for _, _, key in _context(item, place))
    if dicom.KEY_OBJECT_SELECTION in classes and not titled:
        text = "the Key Object Selection is listed without its Document Title"
        yield _finding("instance.document_title", str(place), text, "(121144, DCM) with a code of CID 7010")


def _context(item: Item, place: Place) -> Iterator[tuple[Item, Place, str]]:
    """The items that say something of a container, with the concept of each as far as it is known."""
    for one, there in numbered(item, place, tags.CONTENT_SEQUENCE):
        if one.text(tags.RELATIONSHIP_TYPE) == "HAS ACQ CONTEXT":
            yield one, there, _CONCEPTS.get(one.code(tags.CONCEPT_NAME_CODE_SEQUENCE), "")


def _rows(where: str, rows: tuple[Content, ...], item: Item, place: Place) -> Iterator[Finding]:
    context = list(_context(item, place))
    for row in rows:
        found = [(one, there) for one, there, key in context if key == row.concept]
        name = f"{_CODE_OF[row.concept]} {row.concept.replace('_', ' ')}"
        if len(found) < row.least:
            yield _finding(f"{where}.{row.concept}", str(place), f"{name} is missing", "one item or more of it")
        elif row.most is not None and len(found) > row.most:
            yield _finding(f"{where}.{row.concept}", str(place), f"{name} is there {len(found)} times", "once")
        for one, there in found:
            yield from _value(f"{where}.{row.concept}", row, name, one, there)


def _value(rule: str, row: Content, name: str, item: Item, place: Place) -> Iterator[Finding]:
    kind = item.text(tags.VALUE_TYPE)
    code = item.code(tags.CONCEPT_CODE_SEQUENCE)[0]
    if kind not in row.types:
        yield _finding(rule, place.of(tags.VALUE_TYPE), f"{name} is a {kind or 'item without type'}",
                       " or ".join(row.types))  # fmt: skip
    elif not item.filled(_VALUES[kind]):
        yield _finding(rule, place.of(_VALUES[kind]), f"{name} has no value", "a value")
    elif row.among and code not in row.among:
        where = place.of(tags.CONCEPT_CODE_SEQUENCE)
        expected = "a code of value set IHE-MADO1"
        yield _finding(rule, where, f"{name} is {code!r}", expected, Level.WARNING)
    elif kind == "NUM" and row.unit and (unit := _unit(item)) != row.unit:
        where = place.item(tags.MEASURED_VALUE_SEQUENCE, 1).of(tags.MEASUREMENT_UNITS_CODE_SEQUENCE)
        yield _finding(rule, where, f"{name} is counted in {unit!r}", f"({row.unit}, UCUM)")


def _unit(item: Item) -> str:
    return next((one.code(tags.MEASUREMENT_UNITS_CODE_SEQUENCE)[0] for one in _measured(item)), "")


def _measured(item: Item) -> tuple[Item, ...]:
    return item.items(tags.MEASURED_VALUE_SEQUENCE)


def _number(container: Item, concept: str) -> int | None:
    """The number that a NUM item of a container says, None without one that is a number."""
    for one, _, key in _context(container, Place()):
        if key == concept:
            for measured in _measured(one):
                text = measured.text(tags.NUMERIC_VALUE)
                return int(float(text)) if _is_number(text) else None
    return None


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit() and len(text) <= 16
