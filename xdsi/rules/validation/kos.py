"""Key Object Selections that serve as manifests.

DICOM PS3.3 A.35.4 and C.17.6, PS3.16 TID 2010; RAD TF-2 4.68.4.1.2 (what a manifest adds).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from xdsi.domain.dicom_tree import Item, Part10, Place, along, numbered
from xdsi.domain.findings import Finding, Level
from xdsi.rules.validation.attributes import Attribute, judge
from xdsi.spec import dicom, mado, tags

_EVIDENCE = tags.CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE
_SERIES = (_EVIDENCE, tags.REFERENCED_SERIES_SEQUENCE)
_INSTANCE = (*_SERIES, tags.REFERENCED_SOP_SEQUENCE)
_REQUEST = tags.REFERENCED_REQUEST_SEQUENCE
_CODES = (tags.CODE_VALUE, tags.CODING_SCHEME_DESIGNATOR, tags.CODE_MEANING)
_TRANSFER_SYNTAXES = (dicom.EXPLICIT_LE, dicom.IMPLICIT_LE, dicom.DEFLATED_EXPLICIT_LE)
_REFERENCES = ("IMAGE", "COMPOSITE", "WAVEFORM")

META = (
    Attribute(path=(tags.MEDIA_STORAGE_SOP_CLASS_UID,), need=1, clause="PS3.10 7.1",
              among=(dicom.KEY_OBJECT_SELECTION,)),
    Attribute(path=(tags.MEDIA_STORAGE_SOP_INSTANCE_UID,), need=1, clause="PS3.10 7.1", form="uid"),
    Attribute(path=(tags.TRANSFER_SYNTAX_UID,), need=1, clause="PS3.10 7.1", among=_TRANSFER_SYNTAXES),
)  # fmt: skip

ATTRIBUTES = (
    Attribute(path=(tags.SOP_CLASS_UID,), need=1, clause="PS3.3 C.12.1", among=(dicom.KEY_OBJECT_SELECTION,)),
    Attribute(path=(tags.SOP_INSTANCE_UID,), need=1, clause="PS3.3 C.12.1", form="uid"),
    Attribute(path=(tags.INSTANCE_CREATION_DATE,), need=1, clause="RAD TF-3 table 4.68.4.1.2.3-1", form="date",
              level=Level.WARNING, condition="creationTime of the entry comes from it"),
    Attribute(path=(tags.INSTANCE_CREATION_TIME,), need=1, clause="RAD TF-3 table 4.68.4.1.2.3-1", form="time",
              level=Level.WARNING, condition="creationTime of the entry comes from it"),
    Attribute(path=(tags.TIMEZONE_OFFSET_FROM_UTC,), need=3, clause="PS3.3 C.12.1", form="offset"),
    Attribute(path=(tags.PATIENT_NAME,), need=2, clause="PS3.3 C.7.1.1"),
    Attribute(path=(tags.PATIENT_ID,), need=2, clause="PS3.3 C.7.1.1"),
    Attribute(path=(tags.PATIENT_BIRTH_DATE,), need=2, clause="PS3.3 C.7.1.1", form="date"),
    Attribute(path=(tags.PATIENT_SEX,), need=2, clause="PS3.3 C.7.1.1", among=("F", "M", "O")),
    Attribute(path=(tags.STUDY_INSTANCE_UID,), need=1, clause="PS3.3 C.7.2.1", form="uid"),
    Attribute(path=(tags.STUDY_DATE,), need=2, clause="PS3.3 C.7.2.1", form="date"),
    Attribute(path=(tags.STUDY_TIME,), need=2, clause="PS3.3 C.7.2.1", form="time"),
    Attribute(path=(tags.REFERRING_PHYSICIAN_NAME,), need=2, clause="PS3.3 C.7.2.1"),
    Attribute(path=(tags.STUDY_ID,), need=2, clause="PS3.3 C.7.2.1"),
    Attribute(path=(tags.ACCESSION_NUMBER,), need=2, clause="PS3.3 C.7.2.1"),
    Attribute(path=(tags.MODALITY,), need=1, clause="PS3.3 C.17.6.1", among=("KO",)),
    Attribute(path=(tags.SERIES_INSTANCE_UID,), need=1, clause="PS3.3 C.17.6.1", form="uid"),
    Attribute(path=(tags.SERIES_NUMBER,), need=1, clause="PS3.3 C.17.6.1", form="integer"),
    Attribute(path=(tags.REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE,), need=2, clause="PS3.3 C.17.6.1"),
    Attribute(path=(tags.MANUFACTURER,), need=2, clause="PS3.3 C.7.5.1"),
    Attribute(path=(tags.INSTANCE_NUMBER,), need=1, clause="PS3.3 C.17.6.2", form="integer"),
    Attribute(path=(tags.CONTENT_DATE,), need=1, clause="PS3.3 C.17.6.2", form="date"),
    Attribute(path=(tags.CONTENT_TIME,), need=1, clause="PS3.3 C.17.6.2", form="time"),
    Attribute(path=(_REQUEST, tags.STUDY_INSTANCE_UID), need=1, clause="PS3.3 C.17.6.2", form="uid"),
    *(
        Attribute(path=(_REQUEST, tag), need=2, clause="PS3.3 C.17.6.2")
        for tag in (
            tags.REFERENCED_STUDY_SEQUENCE, tags.ACCESSION_NUMBER, tags.PLACER_ORDER_NUMBER, tags.FILLER_ORDER_NUMBER,
            tags.REQUESTED_PROCEDURE_ID, tags.REQUESTED_PROCEDURE_DESCRIPTION, tags.REQUESTED_PROCEDURE_CODE_SEQUENCE,
        )
    ),
    Attribute(path=(_EVIDENCE,), need=1, clause="PS3.3 C.17.6.2"),
    Attribute(path=(_EVIDENCE, tags.STUDY_INSTANCE_UID), need=1, clause="PS3.3 C.17.2.1", form="uid"),
    Attribute(path=_SERIES, need=1, clause="PS3.3 C.17.2.1"),
    Attribute(path=(*_SERIES, tags.SERIES_INSTANCE_UID), need=1, clause="PS3.3 C.17.2.1", form="uid"),
    Attribute(path=(*_SERIES, tags.RETRIEVE_AE_TITLE), need=3, clause="PS3.5 6.2 (AE)", form="ae"),
    Attribute(path=(*_SERIES, tags.RETRIEVE_URL), need=3, clause="PS3.3 C.17.2.1", form="url"),
    Attribute(path=_INSTANCE, need=1, clause="PS3.3 C.17.2.1"),
    Attribute(path=(*_INSTANCE, tags.REFERENCED_SOP_CLASS_UID), need=1, clause="PS3.3 10.8", form="uid"),
    Attribute(path=(*_INSTANCE, tags.REFERENCED_SOP_INSTANCE_UID), need=1, clause="PS3.3 10.8", form="uid"),
    Attribute(path=(tags.VALUE_TYPE,), need=1, clause="PS3.3 C.17.3", among=("CONTAINER",)),
    Attribute(path=(tags.CONTINUITY_OF_CONTENT,), need=1, clause="PS3.3 C.18.8", among=("SEPARATE",)),
    Attribute(path=(tags.CONCEPT_NAME_CODE_SEQUENCE,), need=1, clause="PS3.16 TID 2010", one_item=True),
    *(
        Attribute(path=(tags.CONCEPT_NAME_CODE_SEQUENCE, tag), need=1, clause="PS3.3 8.8") for tag in _CODES
    ),
    Attribute(path=(tags.CONTENT_TEMPLATE_SEQUENCE,), need=1, clause="PS3.3 C.18.8", one_item=True,
              level=Level.WARNING),
    Attribute(path=(tags.CONTENT_TEMPLATE_SEQUENCE, tags.MAPPING_RESOURCE), need=1, clause="PS3.3 C.18.8",
              among=("DCMR",)),
    Attribute(path=(tags.CONTENT_TEMPLATE_SEQUENCE, tags.TEMPLATE_IDENTIFIER), need=1, clause="PS3.3 C.17.6.2",
              among=("2010",)),
    Attribute(path=(tags.CONTENT_SEQUENCE,), need=1, clause="PS3.16 TID 2010"),
)  # fmt: skip

# What the source of images needs in a manifest and MADO makes a matter of its own
LOCATION = Attribute(
    path=(*_SERIES, tags.RETRIEVE_LOCATION_UID), need=1, clause="RAD TF-2 4.69.4.1.2", form="uid", level=Level.WARNING,
    condition="RAD-69 asks there for the images",
)  # fmt: skip


def check(file: Part10) -> Iterator[Finding]:
    """Everything in which a file is not a classic manifest; of another kind of object that it is one, and no more."""
    if file.dataset.text(tags.SOP_CLASS_UID) not in ("", dicom.KEY_OBJECT_SELECTION):
        yield from judge("KOS", ATTRIBUTES[:1], file.dataset)
        return
    yield from check_common(file)
    yield from judge("KOS", [LOCATION], file.dataset)
    yield from _title(file.dataset)
    yield from _tree(file.dataset, Place())


def check_common(file: Part10) -> Iterator[Finding]:
    """What classic manifests and those of MADO have in common."""
    yield from judge("KOS", META, file.meta)
    yield from judge("KOS", ATTRIBUTES, file.dataset)
    yield from _meta(file)
    yield from _evidence(file.dataset)
    yield from _references(file.dataset)


def _finding(rule: str, place: str, text: str, expected: str, clause: str, level: Level = Level.ERROR) -> Finding:
    return Finding(rule=f"KOS.{rule}", level=level, place=place, text=text, expected=expected, clause=clause)


def _meta(file: Part10) -> Iterator[Finding]:
    outside = file.meta.text(tags.MEDIA_STORAGE_SOP_INSTANCE_UID)
    inside = file.dataset.text(tags.SOP_INSTANCE_UID)
    if outside and inside and outside != inside:
        yield _finding(
            "meta.instance", Place().of(tags.MEDIA_STORAGE_SOP_INSTANCE_UID),
            f"the file meta information names instance {outside}", inside, "PS3.10 7.1",
        )  # fmt: skip


def _title(root: Item) -> Iterator[Finding]:
    title = root.code(tags.CONCEPT_NAME_CODE_SEQUENCE)
    place = Place().of(tags.CONCEPT_NAME_CODE_SEQUENCE)
    manifest = "({}, {})".format(*dicom.MANIFEST[:2])
    if title in dicom.REJECTION_TITLES:
        text = f"the title ({title[0]}, {title[1]}) is that of a rejection note"
        yield _finding(
            "title.rejection", place, text, f"{manifest}: a rejection note is no manifest", "PS3.16 CID 7010"
        )
    elif all(title) and title not in dicom.MANIFEST_TITLES:
        yield _finding("title", place, f"the title is ({title[0]}, {title[1]})", manifest, "RAD TF-2 4.68.4.1.2")


def _evidence(root: Item) -> Iterator[Finding]:
    studies = list(along(root, (_EVIDENCE,)))
    if len(studies) > 1:
        text = f"the evidence has {len(studies)} studies"
        yield _finding("study.one", Place().of(_EVIDENCE), text, "one study", "RAD TF-2 4.68.4.1.2")
    own = root.text(tags.STUDY_INSTANCE_UID)
    for study, place in studies:
        uid = study.text(tags.STUDY_INSTANCE_UID)
        if uid and own and uid != own:
            where = place.of(tags.STUDY_INSTANCE_UID)
            yield _finding("study.uid", where, f"the evidence is of study {uid}", own, "RAD TF-2 4.68.4.1.2")
    series = [(one.text(tags.SERIES_INSTANCE_UID), place) for one, place in along(root, _SERIES)]
    yield from _repeated("series.duplicate", series, tags.SERIES_INSTANCE_UID, "series")
    for uid, place in series:
        if uid and uid == root.text(tags.SERIES_INSTANCE_UID):
            text, where = "the document lies in a series that it refers to", place.of(tags.SERIES_INSTANCE_UID)
            yield _finding("series.own", where, text, "a series of its own", "PS3.3 C.17.6.1")
    instances = [(one.text(tags.REFERENCED_SOP_INSTANCE_UID), place) for one, place in along(root, _INSTANCE)]
    yield from _repeated("instance.duplicate", instances, tags.REFERENCED_SOP_INSTANCE_UID, "instance")
    for uid, place in instances:
        if uid and uid == root.text(tags.SOP_INSTANCE_UID):
            where = place.of(tags.REFERENCED_SOP_INSTANCE_UID)
            yield _finding("instance.self", where, "the document refers to itself", "others only", "PS3.3 C.17.6.2")


def _repeated(rule: str, uids: list[tuple[str, Place]], tag: int, what: str) -> Iterator[Finding]:
    times = Counter(uid for uid, _ in uids if uid)
    seen: set[str] = set()
    for uid, place in uids:
        if uid in seen and times[uid] > 1:
            yield _finding(rule, place.of(tag), f"{what} {uid} is listed more than once", "once", "PS3.3 C.17.2.1")
        seen.add(uid)


def _references(root: Item) -> Iterator[Finding]:
    """The content refers to what is in the evidence; its plain list, which all consumers read, to all of it."""
    plain = (tags.CONTENT_SEQUENCE, tags.REFERENCED_SOP_SEQUENCE)
    named = {one.text(tags.REFERENCED_SOP_INSTANCE_UID) for one, _ in along(root, plain)}
    listed = {one.text(tags.REFERENCED_SOP_INSTANCE_UID): place for one, place in along(root, _INSTANCE)}
    for item, place in _contents(root, Place()):
        for one, there in numbered(item, place, tags.REFERENCED_SOP_SEQUENCE):
            uid = one.text(tags.REFERENCED_SOP_INSTANCE_UID)
            if uid not in listed:
                text, where = f"the content refers to instance {uid}", there.of(tags.REFERENCED_SOP_INSTANCE_UID)
                expected = "an instance of the evidence"
                yield _finding("tree.beyond", where, text, expected, "PS3.3 C.17.6.2")
    if not root.items(tags.CONTENT_SEQUENCE):
        return
    for uid, place in listed.items():
        if uid and uid not in named:
            text = f"the content does not refer to instance {uid}"
            where = place.of(tags.REFERENCED_SOP_INSTANCE_UID)
            expected = "a content item for every instance of the evidence"
            yield _finding("tree.incomplete", where, text, expected, "PS3.16 TID 2010", Level.WARNING)


def _contents(item: Item, place: Place) -> Iterator[tuple[Item, Place]]:
    waiting = [(item, place)]
    while waiting:
        of, where = waiting.pop()
        found = list(numbered(of, where, tags.CONTENT_SEQUENCE))
        yield from found
        waiting += found[::-1]


def _tree(root: Item, place: Place) -> Iterator[Finding]:
    """The items that TID 2010 knows, and no others."""
    return chain.from_iterable(check_item(item, there) for item, there in numbered(root, place, tags.CONTENT_SEQUENCE))


def check_item(item: Item, place: Place) -> Iterator[Finding]:
    """One item of the content of a classic manifest."""
    relation, kind = item.text(tags.RELATIONSHIP_TYPE), item.text(tags.VALUE_TYPE)
    concept = item.code(tags.CONCEPT_NAME_CODE_SEQUENCE)
    if relation in ("HAS CONCEPT MOD", "HAS OBS CONTEXT"):
        return
    if relation != "CONTAINS":
        where = place.of(tags.RELATIONSHIP_TYPE)
        expected = "CONTAINS, HAS CONCEPT MOD or HAS OBS CONTEXT"
        yield _finding("content.relation", where, f"Relationship Type is {relation!r}", expected, "PS3.16 TID 2010")
    elif kind in _REFERENCES:
        yield from check_reference(item, place)
    elif kind != "TEXT":
        expected = f"{', '.join(_REFERENCES)} or TEXT"
        where = place.of(tags.VALUE_TYPE)
        yield _finding("content.type", where, f"Value Type is {kind!r}", expected, "PS3.16 TID 2010")
    elif concept != mado.KEY_OBJECT_DESCRIPTION[:2]:
        where = place.of(tags.CONCEPT_NAME_CODE_SEQUENCE)
        expected = "({}, {}) Key Object Description".format(*mado.KEY_OBJECT_DESCRIPTION[:2])
        yield _finding("content.text", where, f"the text is of concept {concept}", expected, "PS3.16 TID 2010")


def check_reference(item: Item, place: Place) -> Iterator[Finding]:
    """An item that refers to an instance names exactly one."""
    tag = tags.REFERENCED_SOP_SEQUENCE
    if len(item.items(tag)) != 1:
        text = f"the item refers to {len(item.items(tag))} instances"
        yield _finding("content.reference", place.of(tag), text, "one instance", "PS3.3 C.18.3")
