"""The canonical fragment of a registered object: its ebRIM text with gaps for what a registry changes later.

A stored query answers with fragments put one after the other (ITI TF-2 3.18.4.1.3). What can change without a new
version stands in gaps: status, version and lid (ITI TF-3 4.2.3.2.2, Metadata Update 4.1.5), a Folder's lastUpdateTime,
the patient id, which becomes the survivor's when patients are merged (ITI TF-2 3.8.4.2.4), and home. What is kept is
the text packed (`packing`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from xdsi.domain.metadata import DocumentEntry, Folder, RegistryObject
from xdsi.wire import xml
from xdsi.wire.ebxml import markup, objects
from xdsi.wire.ebxml.packing import pack, unpack

# A gap is NUL, which XML text cannot contain (XML 1.0, 2.2), and a letter that names it. The attributes share one gap,
# whose letter says which of them are missing, because fewer gaps are filled faster.
_STATUS: Final = ord("s")
_STATUS_HOME: Final = ord("h")
_STATUS_LID: Final = ord("l")
_STATUS_LID_HOME: Final = ord("a")
_VERSION: Final = ord("v")
_PATIENT_ID: Final = ord("p")
_LAST_UPDATE_TIME: Final = ord("t")
_ATTRIBUTES: Final = {
    (False, False): _STATUS,
    (False, True): _STATUS_HOME,
    (True, False): _STATUS_LID,
    (True, True): _STATUS_LID_HOME,
}
_WITH_HOME: Final = frozenset({_STATUS_HOME, _STATUS_LID_HOME})
_WITH_LID: Final = frozenset({_STATUS_LID, _STATUS_LID_HOME})


def _gap(name: int) -> str:
    return f"\0{chr(name)}"


def build(registry_object: RegistryObject) -> bytes:
    """The fragment of an object, packed: an element with its own namespace declaration, valid once its gaps are filled.

    A home that was submitted stays as it is; an object without one has a gap for it.
    """
    versioned = isinstance(registry_object, DocumentEntry | Folder)
    homeless = not registry_object.home_community_id
    given = {"availability_status": ""}
    if versioned:
        given |= {"logical_id": "", "version": _gap(_VERSION)}
    if isinstance(registry_object, Folder):
        given["last_update_time"] = _gap(_LAST_UPDATE_TIME)
    if getattr(registry_object, "patient_id", ""):
        given["patient_id"] = _gap(_PATIENT_ID)
    text = markup.write(registry_object, given=given, standalone=True)
    return pack(text.replace(' id="', f'{_gap(_ATTRIBUTES[versioned, homeless])} id="', 1).encode())


def fill(
    fragment: bytes,
    *,
    status: str,
    version: int,
    lid: str,
    patient_id: str,
    last_update_time: str | None = None,
    home: str = "",
) -> bytes:
    """The element, with its gaps filled; what the object's class does not have is ignored.

    `status` and `lid` are the registry's own URNs and go in as they are. `home` counts where the object came with none.
    Raises ValueError for a Folder without `last_update_time`, and for bytes that are no fragment.
    """
    fragment = unpack(fragment)
    out: list[bytes] = []
    start = 0
    gap = fragment.find(0)
    while gap >= 0:
        name = fragment[gap + 1]
        if name == _VERSION:
            filling = b"%d" % version
        elif name == _PATIENT_ID:
            filling = _escaped(patient_id)
        elif name == _LAST_UPDATE_TIME:
            if not last_update_time:
                raise ValueError("a Folder's fragment needs last_update_time")
            filling = last_update_time.encode()
        else:
            filling = f' status="{status}"'.encode()
            if name in _WITH_LID:
                filling += f' lid="{lid}"'.encode()
            if home and name in _WITH_HOME:
                filling += b' home="%b"' % _escaped(home)
        out += (fragment[start:gap], filling)
        start = gap + 2
        gap = fragment.find(0, start)
    out.append(fragment[start:])
    return b"".join(out)


def read(filled: bytes) -> RegistryObject:
    """The object that a filled fragment is; MalformedMessage for anything else."""
    return objects.decode_one(xml.parse(filled))


@lru_cache(maxsize=4096)
def _escaped(value: str) -> bytes:
    """An answer repeats the same patient for each of its objects."""
    return xml.attribute(value).encode()
