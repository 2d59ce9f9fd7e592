"""What MADO asks a study's manifest to say, whatever the images leave out.

IHE RAD MADO: attributes required beyond the Key Object Selection; Target Region of the study from IHE-MADO1.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from xdsi.domain.codes import Code
from xdsi.domain.dicom_time import offset_at, plain_date, plain_time, zone
from xdsi.domain.imaging import Accession, Description, Series, Study
from xdsi.domain.imaging_profile import ImagingProfile
from xdsi.rules.manifest_values import body_part
from xdsi.spec import mado

_LO = 64


def completed(study: Study, profile: ImagingProfile, *, created: datetime) -> Study:
    """The study with issuers, an order, a date and an institution, which a MADO manifest has in any case.

    The date is that of the first series, else that of the manifest; a study without an accession number gets one that
    is made of its UID, in the namespace of this source.
    """
    patient = study.patient
    issuer = patient.issuer or profile.patient_id_authority
    accessions = tuple(
        one if one.issuer else replace(one, issuer=profile.accession_authority or profile.source_id)
        for one in study.accessions
    )
    if not plain_date(study.date):
        begun = min(((plain_date(one.date), plain_time(one.time)) for one in study.series if plain_date(one.date)),
                    default=None)  # fmt: skip
        local = created.astimezone(zone(study.timezone_offset) or profile.timezone)
        date, time = begun or (local.strftime("%Y%m%d"), local.strftime("%H%M%S"))
        study = replace(study, date=date, time=time)
    return replace(
        study,
        patient=replace(patient, issuer=issuer, issuer_name=patient.issuer_name or issuer),
        accessions=accessions or (Accession(number=_accession_number(study), issuer=profile.source_id),),
        time=plain_time(study.time) or "000000",
        timezone_offset=study.timezone_offset
        if zone(study.timezone_offset)
        else offset_at(study.date, study.time, profile.timezone),
        institution=_institution(profile.organization_name or study.institution, profile.organization_id),
    )


def description(study: Study, profile: ImagingProfile) -> Description:
    """Target Regions of the study and its series; a study of which nothing is known is taken for the entire body."""
    keys = {key for one in study.series for key in _keys(one)}
    return Description(
        regions=tuple(Code(mado.REGIONS[key][0], "SCT", mado.REGIONS[key][1]) for key in mado.REGIONS if key in keys)
        or (Code(mado.REGIONS["WHOLEBODY"][0], "SCT", mado.REGIONS["WHOLEBODY"][1]),),
        series_regions={one.series_instance_uid: region for one in study.series if (region := _region(one))},
        trial_codes=profile.mado_codes == "trial",
    )


def _region(series: Series) -> Code | str:
    if series.anatomic_regions:
        return series.anatomic_regions[0]
    known = body_part(series.body_part)
    return Code(known[0], "SCT", known[1]) if known else series.body_part


def _keys(series: Series) -> Iterator[str]:
    codes = [one.code for one in series.anatomic_regions]
    if not codes and (known := body_part(series.body_part)):
        codes = [known[0]]
    whole = {value: key for key, (value, _) in mado.REGIONS.items()}
    for one in codes:
        yield from mado.REGIONS_OF.get(one, ())
        if one in whole:
            yield whole[one]


def _accession_number(study: Study) -> str:
    digest = hashlib.sha256(study.study_instance_uid.encode()).digest()
    return "X" + base64.b32encode(digest).decode()[:15]


def _institution(name: str, oid: str) -> str:
    """An XON of name and OID that fits an LO, as MADO recommends for Institution Name."""
    oid = oid.removeprefix("urn:oid:")
    plain = "".join(" " if sign in "\\^&~|" else sign for sign in name).strip() or oid
    return f"{plain[: _LO - 9 - len(oid)].strip()}^^^^^^^^^{oid}" if oid and len(oid) < _LO - 10 else plain[:_LO]
