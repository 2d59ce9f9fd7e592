"""Manifests: classic Key Object Selections, those of MADO, and the FHIR manifest."""

from __future__ import annotations

from xdsi.domain.dicom_tree import Part10
from xdsi.domain.errors import MalformedMessage
from xdsi.rules.validation import fhir_manifest, kos, mado
from xdsi.spec import dicom, tags
from xdsi.spec import mado as codes
from xdsi.validation.validator import Judged, Terms, Validator
from xdsi.wire import mado_fhir_reader
from xdsi.wire.dicom_tree import read_tree

_MADO_TITLES = {(code, scheme) for code, scheme, _ in codes.CODES["manifest"]}

_TITLE = frozenset({tags.CONCEPT_NAME_CODE_SEQUENCE, tags.CODE_VALUE, tags.CODING_SCHEME_DESIGNATOR})


def _is_part10(raw: bytes) -> bool:
    return raw[128:132] == b"DICM"


def _is_mado(raw: bytes) -> bool:
    if not _is_part10(raw):
        return False
    try:
        return _has_mado_title(read_tree(raw, _TITLE))
    except MalformedMessage:
        return False


def _has_mado_title(file: Part10) -> bool:
    return file.dataset.code(tags.CONCEPT_NAME_CODE_SEQUENCE) in _MADO_TITLES


def _is_bundle(raw: bytes) -> bool:
    if raw.lstrip()[:1] != b"{":
        return False
    try:
        return mado_fhir_reader.bundle(raw).get("resourceType") == "Bundle"
    except MalformedMessage:
        return b'"Bundle"' in raw[:4096]


def _check_kos(raw: bytes, terms: Terms) -> Judged:
    return Judged(findings=kos.check(read_tree(raw)))


def _check_mado(raw: bytes, terms: Terms) -> Judged:
    return Judged(findings=mado.check(read_tree(raw)))


def _check_bundle(raw: bytes, terms: Terms) -> Judged:
    return Judged(findings=fhir_manifest.check(mado_fhir_reader.bundle(raw)))


VALIDATORS = (
    Validator(
        key="mado",
        name="MADO manifest (Key Object Selection)",
        knows=_is_mado,
        check=_check_mado,
        format_clause="PS3.10 7.1",
    ),
    Validator(
        key="kos",
        name="manifest (Key Object Selection)",
        knows=_is_part10,
        check=_check_kos,
        format_clause=f"PS3.10 7.1; SOP class {dicom.KEY_OBJECT_SELECTION}",
    ),
    Validator(
        key="fhir",
        name="MADO manifest (FHIR)",
        knows=_is_bundle,
        check=_check_bundle,
        format_clause="FHIR R4 2.6.2 (JSON)",
    ),
)
