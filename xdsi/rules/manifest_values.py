"""How values of images become values of metadata: names, identifiers, codes and references.

DICOM PS3.5 6.2.1 (PN); HL7 v2.5 XPN, XCN, XON, CX and its escapes; ITI TF-3 table 4.2.3.1.7-2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from xdsi.domain.codes import Code
from xdsi.domain.imaging import Accession, Series
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.spec import imaging_codes

ACCESSION_REFERENCE = "urn:ihe:iti:xds:2013:accession"
STUDY_REFERENCE = "urn:ihe:iti:xds:2016:studyInstanceUID"

_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
_ESCAPED = {escape: character for character, escape in _ESCAPES.items()}
_ESCAPE = re.compile(r"\\[EFSTR]\\")
_SIGNS = re.compile(r"[^A-Z]")


def escaped(text: str) -> str:
    """Text as a component of an HL7 v2 field."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def unescaped(text: str) -> str:
    """A component of an HL7 v2 field as text."""
    return _ESCAPE.sub(lambda match: _ESCAPED[match[0]], text)


def person_name(name: str) -> str:
    """A PN as the components of XPN and of XCN from its second on: suffix and prefix change places.

    Of several representations the first with content is taken; a name without components is a family name.
    """
    written = next((group for group in name.split("=") if group.strip(" ^")), "")
    parts = [escaped(part.strip()) for part in written.split("^")]
    family, given, middle, prefix, suffix = (*parts, "", "", "", "", "")[:5]
    return "^".join((family, given, middle, suffix, prefix)).rstrip("^")


def organization(name: str, oid: str) -> str:
    """An XON, empty without a name and an OID."""
    oid = oid.removeprefix("urn:oid:")
    if not oid:
        return escaped(name)
    return f"{escaped(name) or oid}^^^^^^^^^{oid}"


def accession_reference(accession: Accession, authority: str) -> str:
    """The CXi of an accession number; without an authority its fourth component stays empty."""
    issuer = accession.issuer or authority
    assigner = f"&{issuer}&ISO" if issuer else ""
    return f"{escaped(accession.number)}^^^{assigner}^{ACCESSION_REFERENCE}"


def study_reference(study_instance_uid: str) -> str:
    """The CXi of a Study Instance UID."""
    return f"{study_instance_uid}^^^^{STUDY_REFERENCE}"


def event_codes(series: Iterable[Series], profile: ImagingProfile) -> tuple[Code, ...]:
    """Acquisition modalities, then anatomic regions, each once and in code order."""
    series = tuple(series)
    modalities = {
        Code(one.modality, imaging_codes.DCM, imaging_codes.ACQUISITION_MODALITIES[one.modality])
        for one in series
        if one.modality in imaging_codes.ACQUISITION_MODALITIES
    }
    regions = {region for one in series for region in _regions(one, profile)}
    found = (*sorted(modalities, key=_by_code), *sorted(regions, key=_by_code))
    return tuple(code for code in found if profile.event_codes is None or code in profile.event_codes)


def _regions(series: Series, profile: ImagingProfile) -> Iterator[Code]:
    """Anatomic Region Sequence where the images have it, else Body Part Examined."""
    for region in series.anatomic_regions:
        if scheme := profile.coding_scheme(region.scheme):
            yield Code(region.code, scheme, region.display or region.code)
    if not series.anatomic_regions:
        known = body_part(series.body_part)
        if known is not None:
            yield Code(known[0], imaging_codes.SNOMED_CT, known[1])


def body_part(examined: str) -> tuple[str, str] | None:
    """SNOMED CT code and meaning of a Body Part Examined; None for one that is not listed."""
    return imaging_codes.BODY_PARTS.get(_SIGNS.sub("", examined.upper()))


def _by_code(code: Code) -> str:
    return code.code


def procedure_code(procedures: Iterable[Code], profile: ImagingProfile) -> Code | None:
    """The one procedure code that the domain can take as typeCode; None where there is none, or a choice to make."""
    usable = {
        Code(one.code, scheme, one.display or one.code)
        for one in procedures
        if (scheme := profile.coding_scheme(one.scheme))
    }
    if profile.type_codes is not None:
        usable &= profile.type_codes
    return usable.pop() if len(usable) == 1 else None
