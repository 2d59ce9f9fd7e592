"""Tags and codes against the tables that pydicom carries, and our defaults against a real affinity domain's codes."""

import pytest
from lxml import etree
from pydicom.datadict import keyword_for_tag
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.uid import UID

from tests.oracles import corpus
from xdsi.spec import dicom, imaging_codes, tags

CONSTANTS = {name: value for name, value in vars(tags).items() if name.isupper()}


def context_group(number: int) -> dict[str, str]:
    return {
        code: meaning
        for scheme, keywords in cid_concepts[number].items()
        for keyword in keywords
        for code, (meaning, groups) in concepts[scheme][keyword].items()
        if number in groups
    }


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_tag_has_the_name_of_its_keyword(name: str) -> None:
    keyword = keyword_for_tag(CONSTANTS[name]).removesuffix("ImagingServiceRequest")
    assert keyword.lower() == name.replace("_", "").lower()


def test_modalities_are_those_of_cid_29() -> None:
    assert context_group(29) == imaging_codes.ACQUISITION_MODALITIES


def test_regions_are_those_of_cid_4() -> None:
    regions = context_group(4)
    for code, meaning in imaging_codes.BODY_PARTS.values():
        assert regions[code] == meaning or regions[code].startswith("Endo-")


def test_transfer_syntaxes_are_known() -> None:
    little = (dicom.IMPLICIT_LE, dicom.EXPLICIT_LE, dicom.DEFLATED_EXPLICIT_LE)
    for uid in (*little, dicom.EXPLICIT_BE, dicom.RLE_LOSSLESS):
        assert UID(uid).is_transfer_syntax
    assert UID(dicom.KEY_OBJECT_SELECTION).name == "Key Object Selection Document Storage"


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ("classCode", imaging_codes.CLASS_CODE),
        ("typeCode", imaging_codes.TYPE_CODE),
        ("confidentialityCode", imaging_codes.CONFIDENTIALITY_CODE),
        ("healthcareFacilityTypeCode", imaging_codes.FACILITY_TYPE_CODE),
        ("practiceSettingCode", imaging_codes.PRACTICE_SETTING_CODE),
        ("contentTypeCode", imaging_codes.CONTENT_TYPE_CODE),
        ("formatCode", imaging_codes.MANIFEST_FORMAT),
    ],
)
def test_a_default_is_in_the_connectathon_codes(attribute: str, code: tuple[str, str, str]) -> None:
    tree = etree.parse(corpus("nist-toolkit2", "environment", "codes.xml"))
    known = tree.xpath("//CodeType[@name=$name]/Code", name=attribute)
    assert (code[0], code[1]) in {(one.get("code"), one.get("codingScheme")) for one in known}
