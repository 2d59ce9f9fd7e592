"""Moulds for the objects of a population: encoded once by the registry's own codec, then cast with other values.

To encode an object from scratch takes ten times as long as to cast it, which matters for ten million.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xdsi.domain.codes import Code
from xdsi.domain.metadata import Association, Author, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.spec import uuids
from xdsi.storage import lists
from xdsi.storage.facts import facts_of
from xdsi.wire.ebxml import fragments
from xdsi.wire.ebxml.packing import pack, unpack

SCT, LOINC, LOCAL = "2.16.840.1.113883.6.96", "2.16.840.1.113883.6.1", "2.999.20"
DCM = "1.2.840.10008.2.16.4"
REPOSITORY = "2.999.1.2"
_GAP = re.compile("<<([a-z_]+)>>")
_INSTITUTION = "770077"
"""stands for the gap of this name, because it is part of OIDs, which are read"""


def _gap(name: str) -> str:
    """What stands for a value in an object that a mould is made from; encoded text has it escaped."""
    return f"<<{name}>>"


class Text:
    """A text with named gaps."""

    def __init__(self, text: str, *, escaped: bool) -> None:
        text = text.replace("&lt;&lt;", "<<").replace("&gt;&gt;", ">>") if escaped else text
        pieces = _GAP.split(text.replace(_INSTITUTION, _gap("institution")))
        self._format = "%s".join(piece.replace("%", "%%") for piece in pieces[::2])
        self._names = pieces[1::2]

    def cast(self, values: Mapping[str, str]) -> str:
        """The text with its gaps filled."""
        return self._format % tuple([values[name] for name in self._names])


class Mould:
    """One kind of object."""

    def __init__(self, one: RegistryObject) -> None:
        text = unpack(fragments.build(one)).decode()
        self._fragment = Text(text, escaped=True)
        authors = getattr(one, "authors", ())
        self._person = Text(authors[0].person if authors else "", escaped=False)

    def fragment(self, values: Mapping[str, str]) -> bytes:
        """The object's fragment."""
        return pack(self._fragment.cast(values).encode())

    def person(self, values: Mapping[str, str]) -> str:
        """The person of its only author."""
        return self._person.cast(values)


class EntryMould(Mould):
    """A kind of DocumentEntry."""

    def __init__(self, entry: DocumentEntry, source_id: str) -> None:
        super().__init__(entry)
        self._facts = Text(facts_of(entry, source_id), escaped=False)
        self._references = [Text(reference, escaped=False) for reference in entry.reference_ids]
        self.repository = entry.repository_unique_id
        single = (
            entry.class_code, entry.type_code, entry.format_code, entry.practice_setting_code,
            entry.healthcare_facility_type_code,
        )  # fmt: skip
        self.columns = tuple(text for code in single if code is not None for text in (code.code, code.scheme))
        self.codes = [("event", code.code, code.scheme) for code in entry.event_codes]
        self.confidentiality = lists.write(map(lists.coded, entry.confidentiality_codes))

    def facts(self, values: Mapping[str, str]) -> str:
        """What consent decides on."""
        return self._facts.cast(values)

    def references(self, values: Mapping[str, str]) -> list[str]:
        """The values of its referenceIdList."""
        return [reference.cast(values) for reference in self._references]


class SetMould(Mould):
    """A kind of SubmissionSet."""

    def __init__(self, submission_set: SubmissionSet) -> None:
        super().__init__(submission_set)
        code = submission_set.content_type_code
        self.columns = (code.code, code.scheme) if code is not None else ("", "")


class FolderMould(Mould):
    """A kind of Folder."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder)
        self.codes = [("folder", code.code, code.scheme) for code in folder.codes]


class LinkMould(Mould):
    """A kind of Association."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self.type = association.type


@dataclass(frozen=True)
class EntryKind:
    """A kind of document and how often it is there."""

    weight: float
    content_type: str
    mould: EntryMould = field(repr=False)


_AUTHOR = Author(
    person=f"{_gap('person')}^{_gap('family')}^Jo^^^Dr^^^&2.999.4.{_INSTITUTION}&ISO",
    institutions=(f"Hospital {_INSTITUTION}^^^^^^^^^2.999.5.{_INSTITUTION}",),
    roles=("author",),
)
_SOURCE = f"2.999.3.{_INSTITUTION}"
CONTENT_TYPES = {"imaging": "Imaging", "report": "Reports", "care": "Care", "filing": "Filing"}


def _entry(class_code: Code, type_code: Code, format_code: Code, *, event: Code | None, **changes: Any) -> EntryMould:
    entry = DocumentEntry(
        entry_uuid=_gap("id"),
        unique_id=_gap("unique_id"),
        patient_id="P",
        authors=(_AUTHOR,),
        class_code=class_code,
        type_code=type_code,
        format_code=format_code,
        event_codes=(event,) if event is not None else (),
        creation_time=_gap("time"),
        service_start_time=_gap("time"),
        hash=_gap("hash"),
        size=_gap("size"),
        language_code="en-GB",
        repository_unique_id=REPOSITORY,
        source_patient_id=f"{_gap('local')}^^^&2.999.2&ISO",
        source_patient_info=(
            f"PID-3|{_gap('local')}^^^&2.999.2&ISO", f"PID-5|{_gap('name')}^{_gap('given')}^^^", "PID-7|19700101",
            "PID-8|F",
        ),
        **changes,
    )  # fmt: skip
    return EntryMould(entry, _SOURCE)


_FACILITIES = [
    Code("22232009", SCT, "Hospital"),
    Code("35971002", SCT, "Ambulatory care site"),
    Code("264358009", SCT, "General practice"),
]
_NORMAL = Code("N", "2.16.840.1.113883.5.25", "normal")
_RESTRICTED = Code("R", "2.16.840.1.113883.5.25", "restricted")
_KOS = Code("1.2.840.10008.5.1.4.1.1.88.59", "1.2.840.10008.2.6.1", "Key Object Selection Document")
_CDA = Code("urn:ihe:iti:xds-sd:text:2008", "1.3.6.1.4.1.19376.1.2.3", "text in CDA")
_PDF = Code("urn:ihe:iti:xds:2017:mimeTypeSufficient", "1.3.6.1.4.1.19376.1.2.3", "by mimeType")
_MODALITIES = [("CR", 22), ("CT", 14), ("MR", 10), ("US", 12), ("MG", 5), ("XA", 2), ("NM", 1), ("PT", 1)]
_REGIONS = [("Chest", 40), ("Abdomen", 25), ("Head", 20), ("Knee", 10), ("Spine", 5)]
_DOCUMENTS = [
    # class, type (LOINC), title, practice setting, weight
    ("REPORTS", "18842-5", "Discharge summary", "394802001", 6.0),
    ("REPORTS", "11502-2", "Laboratory report", "394915009", 16.0),
    ("REPORTS", "18748-4", "Diagnostic imaging report", "394914008", 20.0),
    ("REPORTS", "11526-1", "Pathology report", "394915009", 2.0),
    ("REPORTS", "34109-9", "Note", "394814009", 5.0),
    ("SUMMARIES", "60591-5", "Patient summary", "394814009", 2.0),
    ("PRESCRIPTIONS", "57833-6", "Prescription", "394814009", 14.0),
    ("CONSENTS", "59284-0", "Consent document", "394814009", 0.5),
    ("PLANS", "18776-5", "Plan of care", "394802001", 0.3),
    ("CERTIFICATES", "64297-5", "Death certificate", "394802001", 0.01),
]


def _kinds() -> list[EntryKind]:
    kinds = []
    for modality, often in _MODALITIES:
        for region, share in _REGIONS:
            mould = _entry(
                Code("IMAGES", LOCAL, "Images"), Code("18748-4", LOINC, "Diagnostic imaging study"), _KOS,
                event=Code(modality, DCM, modality), mime_type="application/dicom", title=f"{modality} {region}",
                healthcare_facility_type_code=_FACILITIES[0], confidentiality_codes=(_NORMAL,),
                practice_setting_code=Code("394914008", SCT, "Radiology"),
                reference_ids=(
                    f"{_gap('accession')}^^^&2.999.6.{_INSTITUTION}&ISO^urn:ihe:iti:xds:2013:accession",
                    f"{_gap('study')}^^^^urn:ihe:iti:xds:2016:studyInstanceUID",
                ),
            )  # fmt: skip
            kinds.append(EntryKind(often * share / 100, "imaging", mould))
    for class_code, type_code, title, setting, weight in _DOCUMENTS:
        for number, facility in enumerate(_FACILITIES):
            pdf = number == 1
            mould = _entry(
                Code(class_code, LOCAL, class_code.capitalize()), Code(type_code, LOINC, title), _PDF if pdf else _CDA,
                event=None, mime_type="application/pdf" if pdf else "text/xml", title=title,
                healthcare_facility_type_code=facility, practice_setting_code=Code(setting, SCT, "Practice setting"),
                confidentiality_codes=(_RESTRICTED if number == 2 else _NORMAL,),
                reference_ids=(
                    f"{_gap('accession')}^^^&2.999.6.{_INSTITUTION}&ISO^urn:ihe:iti:xds:2013:accession",
                ) if type_code == "18748-4" else (),
            )  # fmt: skip
            kinds.append(EntryKind(weight / (1, 2, 4)[number], "report" if class_code == "REPORTS" else "care", mould))
    return kinds


def _set(name: str) -> SetMould:
    return SetMould(
        SubmissionSet(
            entry_uuid=_gap("id"),
            unique_id=_gap("unique_id"),
            source_id=f"2.999.3.{_gap('source')}",
            patient_id="P",
            submission_time=_gap("time"),
            authors=(_AUTHOR,),
            content_type_code=Code(name.upper(), LOCAL, CONTENT_TYPES[name]),
            title=CONTENT_TYPES[name],
        )
    )


def _link(type_: str, **changes: Any) -> LinkMould:
    ends = {"source": _gap("source"), "target": _gap("target")}
    return LinkMould(Association(entry_uuid=_gap("id"), type=type_, **ends, **changes))


ENTRY_KINDS = _kinds()
SUBMISSION_SETS = {name: _set(name) for name in CONTENT_TYPES}
FOLDER = FolderMould(
    Folder(
        entry_uuid=_gap("id"),
        unique_id=_gap("unique_id"),
        patient_id="P",
        codes=(Code("REFERRAL", LOCAL, "Referrals"),),
        title="Referral",
    )
)
LINKS = {
    "member": _link(uuids.HAS_MEMBER, submission_set_status=("Original",)),
    "files": _link(uuids.HAS_MEMBER),
    "filed": _link(uuids.HAS_MEMBER),
    "replaces": _link(uuids.RPLC),
}
