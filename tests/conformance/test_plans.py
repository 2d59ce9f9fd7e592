"""Test plans of the public XDS toolkit, played over HTTP against `xdsi serve --profile open`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.oracles import corpus
from tests.servers import Server, serving
from xdsi.conformance import Endpoint
from xdsi.conformance.plans import Plans

REGISTER = ("11990", "11992", "11993", "11998", "11998a", "11999", "12001", "12004", "12323", "12327", "12379", "21000")
QUERY = ("11897", "11901", "11903", "11906", "11908", "12346", "12368", "12374", "15805")
UPDATE = (
    "15800", "15800b", "15800d", "15802", "20000", "20000c", "20000d", "20001", "20007", "20100a", "21002", "40000",
    "40000b", "40000d", "40001b", "40030", "40030b",
)  # fmt: skip
REMOVE = ("30000", "30001", "30003", "30005", "50000", "50002")
FEED = ("15821",)
PROVIDE = (
    "11966", "11979", "11983", "12021", "12318", "12333", "12345", "12369", "15807", "15816", "PnrXop",
    "ReposAcceptanceTest-1111", "idc_init",
)  # fmt: skip
IMAGES = ("ids_2018-4803a", "ids_4810", "ids_4812")

# The kit's own comment in 20000d says that its numbers are those before Metadata Update asked for it.
_LINKED = "3.57.4.1.3.2: memberships that follow a Folder are linked to the SubmissionSet, two here (also in XPID)"
_PDF = "the kit submits readme.txt and compares it with my_document.pdf"
EXPLAINED = {
    "50000": {"retrieve/retrieve: other bytes than submit/my_document.pdf": _PDF},
    "50002": {"retrieve/retrieve: other bytes than submit/my_document.pdf": _PDF},
    "20000d": {
        "query_for_ss_assoc/query: {'Associations': 3}, expected {'Associations': 1}": _LINKED,
        "query_for_ss_assoc/validate: same_sourceObject": _LINKED,
        "query_for_ss_assoc/validate: approved_status": _LINKED,
    },
}
_TAGS = "compares single DICOM attributes, which the bytes of other tests cover"
_SYNCHRONOUS = "every message is sent synchronously"
UNMAPPED = {
    "12333": {
        "submit/submit: ProvideAndRegisterTransaction/ASync": _SYNCHRONOUS,
        "eval/eval: StoredQueryTransaction/ASync": _SYNCHRONOUS,
    },
    "ids_2018-4803a": {"ValidateReturnedImages/ValidateReturnedImages: sameDcmImgs": _TAGS},
    "ids_4810": {"ValidateReturnedImages/validate-images: sameDcmImgs": _TAGS},
}
LOCATION = "1.3.6.1.4.1.21367.13.80.110"


def _write_image(folder: Path, manifest: Dataset, study: Dataset, series: Dataset, item: Dataset) -> None:
    image = Dataset()
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate"):
        setattr(image, name, getattr(manifest, name, ""))
    image.StudyInstanceUID, image.SeriesInstanceUID = study.StudyInstanceUID, series.SeriesInstanceUID
    image.SOPClassUID, image.SOPInstanceUID = item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID
    image.Modality, image.Rows, image.Columns = "CR", 1, 2
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelData = 8, 8, 7, b"\x01\x02"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(folder / f"{image.SOPInstanceUID}.dcm", image, enforce_file_format=True)


def _images(folder: Path) -> Path:
    """The images of the plans, and those that are not among them, made after their manifest."""
    cache = corpus("nist-toolkit2", "imagecache", "std")
    shutil.copytree(cache, folder / "given")
    manifests = (
        cache / "IDS-DEPT001-a" / "kos" / "kos.dcm",
        corpus("nist-toolkit2", "testkit", "tests", "ids_2018-4801a", "ValidateKOS", "kos-evaluate.dcm"),
    )
    for path in manifests:
        manifest = pydicom.dcmread(path)
        for study in manifest.CurrentRequestedProcedureEvidenceSequence:
            for series in study.ReferencedSeriesSequence:
                for item in series.ReferencedSOPSequence:
                    _write_image(folder, manifest, study, series, item)
    return folder


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plans]:
    folder = corpus("nist-toolkit2", "testkit", "tests")
    images = _images(tmp_path_factory.mktemp("images"))
    options = ("--profile", "open", "--location-uid", LOCATION, "--dicom", str(images))
    with serving(tmp_path_factory.mktemp("plans") / "data", *options) as server:
        played = Plans(folder, Endpoint(base_url=server.base_url))
        yield played
        played.close()


@pytest.mark.oracle
@pytest.mark.parametrize("number", [*REGISTER, *QUERY, *UPDATE, *REMOVE, *PROVIDE, *IMAGES, *FEED])
def test_a_plan_finds_what_it_expects(plans: Plans, number: str) -> None:
    report = plans.run(number)
    assert report.deviations == list(EXPLAINED.get(number, {}))
    assert report.unmapped == list(UNMAPPED.get(number, {}))


@pytest.mark.oracle
def test_a_patient_that_nobody_announced_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--profile", "open", "--strict-patients") as server:
        plans = Plans(corpus("nist-toolkit2", "testkit", "tests"), Endpoint(base_url=server.base_url))
        report = plans.run("11996")
        plans.close()
    assert (report.deviations, report.unmapped) == ([], [])


PLAN = """<TestPlan><Test>own/find</Test><TestStep id="find"><ExpectedStatus>{status}</ExpectedStatus>
{before}<StoredQueryTransaction><MetadataFile>query.xml</MetadataFile><ExpectedContents><Documents count="{count}"/>
</ExpectedContents><Assertions><DataRef file="THIS" as="output"/><Assert id="answered">
{assertion}</Assert></Assertions></StoredQueryTransaction></TestStep></TestPlan>"""
QUERY_FILE = """<query:AdhocQueryRequest xmlns:query="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
 xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">
<query:ResponseOption returnComposedObjects="true" returnType="LeafClass"/>
<rim:AdhocQuery id="urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d">
<rim:Slot name="$XDSDocumentEntryPatientId"><rim:ValueList>
<rim:Value>'$patientid$'</rim:Value></rim:ValueList></rim:Slot>
<rim:Slot name="$XDSDocumentEntryStatus"><rim:ValueList>
<rim:Value>('urn:oasis:names:tc:ebxml-regrep:StatusType:Approved')</rim:Value></rim:ValueList></rim:Slot>
</rim:AdhocQuery></query:AdhocQueryRequest>"""
HOLDS = "count(//TestStep[@id='find']/StoredQueryTransaction/Result/*) = 1"


@pytest.mark.parametrize(
    ("changes", "deviations", "unmapped"),
    [
        ({}, [], []),
        ({"status": "Failure"}, ["find/find: Success [], expected Failure"], []),
        ({"count": "1"}, ["find/find: {'Documents': 0}, expected {'Documents': 1}"], []),
        ({"assertion": HOLDS.replace("= 1", "= 2")}, ["find/find: answered"], []),
        (
            {"before": "<ExpectedErrorCode>XDSRegistryBusy</ExpectedErrorCode>"},
            ["find/find: [], expected XDSRegistryBusy"],
            [],
        ),
        ({"before": "<SimTransaction/>"}, [], ["find/find: SimTransaction"]),
    ],
    ids=["as expected", "status", "contents", "assertion", "error code", "unknown transaction"],
)
def test_what_is_not_as_a_plan_expects_is_told(
    tmp_path: Path, open_server: Server, changes: dict[str, str], deviations: list[str], unmapped: list[str]
) -> None:
    section = tmp_path / "own" / "find"
    section.mkdir(parents=True)
    (section.parent / "index.idx").write_text("find\n")
    plan = {"status": "Success", "count": "0", "assertion": HOLDS, "before": ""} | changes
    (section / "testplan.xml").write_text(PLAN.format(**plan))
    (section / "query.xml").write_text(QUERY_FILE)
    plans = Plans(tmp_path, Endpoint(base_url=open_server.base_url))
    report = plans.run("own")
    plans.close()
    assert (report.deviations, report.unmapped) == (deviations, unmapped)
