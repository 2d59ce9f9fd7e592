"""The canonical fragment of a registered object: its ebRIM text with gaps for what a registry changes later.

A stored query answers with fragments put one after the other (ITI TF-2 3.18.4.1.3). What can change without a new
version stands in gaps: status, version and lid (ITI TF-3 4.2.3.2.2, Metadata Update 4.1.5), a Folder's lastUpdateTime,
the patient id, which becomes the survivor's when patients are merged (ITI TF-2 3.8.4.2.4), and home. Other gaps save
room: what columns hold - the object's own ids, the ends of an Association, authorPerson, referenceIdList - and ids of
Classifications and ExternalIdentifiers, which follow from the object's. What is kept is the text packed (`packing`).
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject
from xdsi.wire import xml
from xdsi.wire.ebxml import markup, objects
from xdsi.wire.ebxml.packing import pack, unpack

# A gap is NUL, which XML text cannot contain (XML 1.0, 2.2), and a letter that names it. The attributes share one gap,
# whose letter says which of them are missing, because fewer gaps are filled faster. Capitals: the id as well, which
# fragments of the first dictionary have in their text.
_VERSION: Final = ord("v")
_PATIENT_ID: Final = ord("p")
_LAST_UPDATE_TIME: Final = ord("t")
_UNIQUE_ID: Final = ord("u")
_SOURCE: Final = ord("f")
_TARGET: Final = ord("g")
_PERSON: Final = ord("n")
_REFERENCES: Final = ord("m")
_OWNER: Final = ord("o")
_CLASSIFICATION: Final = ord("c")
_EXTERNAL_IDENTIFIER: Final = ord("r")
_OF_PARTS: Final = frozenset((_CLASSIFICATION, _EXTERNAL_IDENTIFIER))
_ATTRIBUTES: Final = {(False, False): "S", (False, True): "H", (True, False): "L", (True, True): "A"}
_WITH_HOME: Final = frozenset(b"haHA")
_WITH_LID: Final = frozenset(b"laLA")
_WITH_ID: Final = frozenset(b"SHLA")


def _gap(name: int) -> str:
    return f"\0{chr(name)}"


_OF_OBJECT: Final = _gap(_OWNER)
_GAP_OF_VERSION: Final = _gap(_VERSION)
_GAP_OF_LAST_UPDATE_TIME: Final = _gap(_LAST_UPDATE_TIME)
_GAP_OF_SOURCE, _GAP_OF_TARGET = _gap(_SOURCE), _gap(_TARGET)
_GAP_OF_PATIENT_ID, _GAP_OF_UNIQUE_ID = _gap(_PATIENT_ID), _gap(_UNIQUE_ID)
_GAP_OF_PERSON, _GAP_OF_REFERENCES = _gap(_PERSON), _gap(_REFERENCES)
_OF_ID: Final = f' id="{_OF_OBJECT}"'


class _Parts:
    """Classifications and ExternalIdentifiers whose ids, and the object they stand in, are a gap."""

    def classification(self, own_id: str = "") -> str:
        if own_id and markup.is_lasting(own_id):
            return f'<rim:Classification id="{xml.attribute(own_id)}" classifiedObject="{_OF_OBJECT}"'
        return _CLASSIFICATION_WITH_GAP

    def identifier(self, own_id: str = "") -> str:
        if own_id and markup.is_lasting(own_id):
            return f'<rim:ExternalIdentifier id="{xml.attribute(own_id)}" registryObject="{_OF_OBJECT}"'
        return _IDENTIFIER_WITH_GAP


_CLASSIFICATION_WITH_GAP: Final = f'<rim:Classification id="{_gap(_CLASSIFICATION)}"'
_IDENTIFIER_WITH_GAP: Final = f'<rim:ExternalIdentifier id="{_gap(_EXTERNAL_IDENTIFIER)}"'
_PARTS: Final = _Parts()


def build(registry_object: RegistryObject) -> bytes:
    """The fragment of an object, packed: an element with its own namespace declaration, valid once its gaps are filled.

    A home that was submitted stays as it is; an object without one has a gap for it.
    """
    versioned = isinstance(registry_object, DocumentEntry | Folder)
    homeless = not registry_object.home_community_id
    given = {"availability_status": "", "entry_uuid": _OF_OBJECT}
    if versioned:
        given["logical_id"] = ""
        given["version"] = _GAP_OF_VERSION
    if isinstance(registry_object, Folder):
        given["last_update_time"] = _GAP_OF_LAST_UPDATE_TIME
    if isinstance(registry_object, Association):
        given["source"] = _GAP_OF_SOURCE
        given["target"] = _GAP_OF_TARGET
    else:
        if registry_object.patient_id:
            given["patient_id"] = _GAP_OF_PATIENT_ID
        if registry_object.unique_id:
            given["unique_id"] = _GAP_OF_UNIQUE_ID
        authors = getattr(registry_object, "authors", ())
        # Columns hold normal form C; whatever came otherwise stays in the text.
        if _are_normal([author.person for author in authors]):
            given["person"] = _GAP_OF_PERSON
        references = getattr(registry_object, "reference_ids", ())
        if references and _are_normal(references):
            given["reference_ids"] = _GAP_OF_REFERENCES
    text = markup.write(registry_object, given=given, standalone=True, parts=_PARTS)
    return pack(text.replace(_OF_ID, _gap(ord(_ATTRIBUTES[versioned, homeless])), 1).encode())


def fill(
    fragment: bytes,
    *,
    id: str,  # noqa: A002 - the name of the attribute
    status: str,
    version: int,
    lid: str,
    patient_id: str,
    unique_id: str = "",
    ends: tuple[str, str] = ("", ""),
    persons: Sequence[str] = (),
    references: Sequence[str] = (),
    last_update_time: str | None = None,
    home: str = "",
) -> bytes:
    """The element, with its gaps filled; what the object's class does not have is ignored.

    `status` and `lid` are the registry's own and go in as they are. `home` counts where the object came
    with none, `persons` are the authorPersons of those authors who have one. Raises ValueError for a Folder without
    `last_update_time`, and for bytes that are no fragment.
    """
    pieces = unpack(fragment).split(b"\0")
    own_id = xml.attribute(id)
    owner = own_id.encode()
    next_person = iter(persons)
    classified = registered = part = b""
    number = 0
    # A fragment has some twenty gaps: what is called for each of them is what an answer takes its time for.
    for at, piece in enumerate(pieces):
        if not at:
            continue
        name = piece[0]
        if name in _OF_PARTS:
            if not number:
                part = _part_of(id)
                classified = b'" classifiedObject="%b' % owner
                registered = b'" registryObject="%b' % owner
            number += 1
            form = classified if name == _CLASSIFICATION else registered
            pieces[at] = b"%b%06x%b%b" % (part, number, form, piece[1:])
            continue
        if name == _VERSION:
            filling = b"%d" % version
        elif name == _PATIENT_ID:
            filling = _escaped(patient_id)
        elif name == _UNIQUE_ID:
            filling = xml.attribute(unique_id).encode()
        elif name == _PERSON:
            person = next(next_person, None)
            if person is None:
                raise ValueError("a fragment needs the persons of its authors")
            filling = _text(person)
        elif name == _REFERENCES:
            filling = b"</rim:Value><rim:Value>".join([_text(one) for one in references])
        elif name == _OWNER:
            filling = owner
        elif name == _SOURCE:
            filling = xml.attribute(ends[0]).encode()
        elif name == _TARGET:
            filling = xml.attribute(ends[1]).encode()
        elif name == _LAST_UPDATE_TIME:
            if not last_update_time:
                raise ValueError("a Folder's fragment needs last_update_time")
            filling = last_update_time.encode()
        else:
            of_lid = f' lid="{lid}"' if name in _WITH_LID else ""
            of_home = f' home="{xml.attribute(home)}"' if home and name in _WITH_HOME else ""
            of_id = f' id="{own_id}"' if name in _WITH_ID else ""
            filling = f' status="{status}"{of_lid}{of_home}{of_id}'.encode()
        pieces[at] = filling + piece[1:]
    return b"".join(pieces)


def read(filled: bytes) -> RegistryObject:
    """The object that a filled fragment is; MalformedMessage for anything else."""
    return objects.decode_one(xml.parse(filled))


def _are_normal(values: Iterable[str]) -> bool:
    return all(value.isascii() or unicodedata.is_normalized("NFC", value) for value in values)


@lru_cache(maxsize=4096)
def _part_of(id_: str) -> bytes:
    """What the ids of an object's parts begin with: UUIDs of version 8 (RFC 9562), the last six digits count them."""
    found = hashlib.blake2b(id_.encode(), digest_size=12).hexdigest()
    return f"urn:uuid:{found[:8]}-{found[8:12]}-8{found[12:15]}-a{found[15:18]}-{found[18:24]}".encode()


@lru_cache(maxsize=4096)
def _escaped(value: str) -> bytes:
    """An answer repeats the same patient for each of its objects."""
    return xml.attribute(value).encode()


@lru_cache(maxsize=4096)
def _text(value: str) -> bytes:
    """A patient has few doctors, and whoever asks for the patient's documents asks again."""
    return xml.text(value).encode()
