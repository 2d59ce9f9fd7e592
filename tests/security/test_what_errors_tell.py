"""A publisher who only knows an id learns nothing about what lies under it from the errors that he provokes."""

from __future__ import annotations

import pytest

from tests import builders
from tests.rules.registered import Registered
from xdsi.domain.metadata import RegistryObject
from xdsi.domain.submission import Submission
from xdsi.rules import submission as rules
from xdsi.spec import uuids

KNOWN = "urn:uuid:00000000-0000-4000-8000-000000000001"
SECRET_HASH, SECRET_SIZE, SECRET_PATIENT = "b" * 40, "4711", builders.OTHER_PATIENT
HIDDEN = builders.document_entry(KNOWN, patient_id=SECRET_PATIENT, hash=SECRET_HASH, size=SECRET_SIZE)
FOLDER = builders.folder(KNOWN, patient_id=SECRET_PATIENT)


@pytest.mark.parametrize(
    ("hidden", "request_"),
    [
        (HIDDEN, builders.submission()),
        (HIDDEN, builders.submission(builders.document_entry(unique_id="2.9"), associations=[
            builders.association(uuids.RPLC, "doc1", KNOWN)])),
        (HIDDEN, builders.submission(builders.document_entry(unique_id="2.9"), associations=[
            builders.association(uuids.SIGNS, "doc1", KNOWN)])),
        (FOLDER, builders.submission(builders.document_entry(unique_id="2.9"), associations=[
            builders.has_member(KNOWN, "doc1", entry_uuid="into")])),
    ],
    ids=["its uniqueId", "replacing it", "signing it", "into its folder"],
)  # fmt: skip
def test_errors_do_not_describe_what_is_registered(hidden: RegistryObject, request_: Submission) -> None:
    problems = rules.check(request_, Registered(hidden))
    assert problems
    told = " ".join(one.context for one in problems)
    assert not any(secret in told for secret in (SECRET_HASH, SECRET_SIZE, SECRET_PATIENT))
