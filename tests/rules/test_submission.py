"""A valid submission, one change, the named problem (ITI TF-2 3.42.4.1.3.3; ITI TF-3 4.1.4, 4.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests import builders
from tests.builders import OTHER_PATIENT, PATIENT, association, document_entry, folder, has_member, submission_set
from tests.rules.registered import Registered
from xdsi.domain.codes import Code, CodeSets
from xdsi.domain.metadata import Association
from xdsi.domain.outcome import Problem, Severity
from xdsi.domain.submission import Submission
from xdsi.rules import submission as rules
from xdsi.spec import uuids
from xdsi.spec.namespaces import DEPRECATED

META = "XDSRegistryMetadataError"
UNRESOLVED = "UnresolvedReferenceException"
DEPRECATED_ERROR = "XDSRegistryDeprecatedDocumentError"
OTHER = "XDSPatientIdDoesNotMatch"


def urn(number: int) -> str:
    return f"urn:uuid:{number:08d}-1111-4222-8333-444455556666"


OLD, OLD_FOLDER, OLD_SET, OLD_ON_DEMAND, STRANGER, GONE = (urn(number) for number in range(6))
REGISTRY = Registered(
    document_entry(OLD, unique_id="2.999.50.1"),
    folder(OLD_FOLDER, unique_id="2.999.50.2"),
    submission_set(OLD_SET, unique_id="2.999.50.3"),
    builders.on_demand_entry(OLD_ON_DEMAND, unique_id="2.999.50.4"),
    document_entry(STRANGER, unique_id="2.999.50.5", patient_id=OTHER_PATIENT),
    document_entry(GONE, unique_id="2.999.50.6", availability_status=DEPRECATED),
    has_member(OLD_SET, OLD, "Original", entry_uuid=urn(9)),
)  # fmt: skip


def check(submission: Submission, registry: Registered = REGISTRY, **options: Any) -> tuple[Problem, ...]:
    return rules.check(submission, registry, **options)


def found(submission: Submission, registry: Registered = REGISTRY, **options: Any) -> list[tuple[str, str]]:
    problems = check(submission, registry, **options)
    # ITI TF-3 4.2.4.2: whoever has to mend it is told where.
    assert all(one.location and len(one.context) > 10 for one in problems)
    return [(one.code, one.rule) for one in problems]


def submit(*entries: Any, **parts: Any) -> Submission:
    return builders.submission(*entries, **parts)


def related(type_: str, target: str = OLD, **changes: Any) -> Submission:
    return submit(document_entry(), associations=[association(type_, "doc1", target, **changes)])


def filed(source: str, target: str, **parts: Any) -> Submission:
    return submit(*parts.pop("entries", ()), associations=[has_member(source, target)], **parts)


TWO = (document_entry(), document_entry("doc2", unique_id="2.999.10.2"))
VALID: dict[str, Submission] = {
    "one document": submit(),
    "two documents": submit(*TWO),
    "a folder alone": submit(folders=[folder()]),
    "scenario 1: new document, new folder": filed("folder1", "doc1", entries=[document_entry()], folders=[folder()]),
    "scenario 2: registered document, registered folder": filed(OLD_FOLDER, OLD),
    "scenario 3: registered document, new folder": filed("folder1", OLD, folders=[folder()]),
    "scenario 4: new document, registered folder": filed(OLD_FOLDER, "doc1", entries=[document_entry()]),
    "a document by reference": submit(document_entry(), associations=[has_member("ss1", OLD, "Reference")]),
    "a document of another patient by reference": submit(
        document_entry(), associations=[has_member("ss1", STRANGER, "Reference")]
    ),
    "RPLC": related(uuids.RPLC),
    "RPLC of an On-Demand document": related(uuids.RPLC, OLD_ON_DEMAND),
    "XFRM": related(uuids.XFRM),
    "APND with documentation": related(uuids.APND, documentation=Code("a", "b", "c")),
    "XFRM_RPLC": related(uuids.XFRM_RPLC),
    "signs": related(uuids.SIGNS),
    "IsSnapshotOf": related(uuids.IS_SNAPSHOT_OF, OLD_ON_DEMAND),
    "XFRM of a document of the same submission": submit(*TWO, associations=[association(uuids.XFRM, "doc2", "doc1")]),
    "APND and signs of a document of the same submission": submit(
        *TWO, associations=[association(uuids.APND, "doc2", "doc1"), association(uuids.SIGNS, "doc2", "doc1")],
    ),
    "UUIDs of the sender": submit(
        document_entry(urn(100), logical_id=urn(100)), sets=[submission_set(urn(101))]
    ),
    "the same document submitted anew": submit(
        document_entry(unique_id="2.999.50.1", hash=builders.HELLO_SHA1.upper(), size="05")
    ),
    "one document in two folders": submit(
        document_entry(), folders=[folder()],
        associations=[has_member("folder1", "doc1"), has_member(OLD_FOLDER, "doc1")],
    ),
    "SubmissionSetStatus on a folder": replace(
        submit(folders=[folder()]), associations=(has_member("ss1", "folder1", "Original"),)
    ),
}  # fmt: skip


@pytest.mark.parametrize("submission", VALID.values(), ids=VALID.keys())
def test_valid(submission: Submission) -> None:
    assert check(submission) == ()


def without(predicate: Callable[[Association], bool], submission: Submission) -> Submission:
    return replace(submission, associations=tuple(one for one in submission.associations if not predicate(one)))


def status(*values: str, submission: Submission | None = None) -> Submission:
    """The first association with other values of SubmissionSetStatus."""
    submission = submission or submit()
    first, *others = submission.associations
    return replace(submission, associations=(replace(first, submission_set_status=values), *others))


FILED = VALID["scenario 1: new document, new folder"]
STRUCTURE: dict[str, tuple[Submission, list[str]]] = {
    "no SubmissionSet": (
        replace(submit(), submission_sets=(), associations=()), ["SUBMISSION.set", "DE.linked"],
    ),
    "two SubmissionSets": (
        submit(sets=[submission_set(), submission_set("ss2", unique_id="2.999.11.2")]), ["SUBMISSION.set"],
    ),
    "nothing in it": (Submission((submission_set(),)), ["SUBMISSION.empty"]),
    "a document not linked": (submit(linked=False), ["DE.linked"]),
    "a folder not linked": (
        without(lambda one: one.target == "folder1", FILED), ["FD.linked"],
    ),
    "a folder membership not linked": (
        without(lambda one: one.target == "HasMember-folder1-doc1", FILED), ["ASSOC.linked"],
    ),
    "a folder membership linked twice": (
        replace(FILED, associations=(
            *FILED.associations, has_member("ss1", "HasMember-folder1-doc1", entry_uuid="again"),
        )), ["ASSOC.linked"],
    ),
    "a folder in a folder": (
        filed("folder1", "folder2", folders=[folder(), folder("folder2", unique_id="2.999.12.2")]),
        ["ASSOC.folder.member"],
    ),
    "a relationship linked from the SubmissionSet": (
        replace(related(uuids.RPLC), associations=(
            *related(uuids.RPLC).associations, has_member("ss1", f"RPLC-doc1-{OLD[9:]}"),
        )), ["ASSOC.set.member"],
    ),
    "a registered association linked": (
        submit(document_entry(), associations=[has_member("ss1", urn(9))]), ["ASSOC.set.member"],
    ),
    "a document linked twice": (
        submit(document_entry(), associations=[has_member("ss1", "doc1", "Original", entry_uuid="again")]),
        ["DE.linked"],
    ),
    "a folder linked twice": (
        submit(folders=[folder()], associations=[has_member("ss1", "folder1", entry_uuid="again")]), ["FD.linked"],
    ),
    "a document with members": (
        submit(*TWO, associations=[has_member("doc1", "doc2")], linked=False),
        ["ASSOC.source.kind", "DE.linked", "DE.linked"],
    ),
    "a relationship from the SubmissionSet": (
        submit(document_entry(), associations=[association(uuids.APND, "ss1", "doc1")]),
        ["ASSOC.source.set", "ASSOC.sourceObject.unresolved"],
    ),
    "the SubmissionSet as target": (
        submit(document_entry(), associations=[association(uuids.SIGNS, "doc1", "ss1")]),
        ["ASSOC.target.set", "ASSOC.target.kind"],
    ),
    "an unknown association type": (related("urn:ihe:iti:2007:AssociationType:APND_TXFM"), ["ASSOC.associationType"]),
    "a bare association type of XDS.a": (related("RPLC"), ["ASSOC.associationType"]),
    "an association type of ITI-57": (
        submit(document_entry(), associations=[association(uuids.SUBMIT_ASSOCIATION, "ss1", OLD)]),
        ["ASSOC.associationType"],
    ),
    "an association to itself": (related(uuids.SIGNS, "doc1"), ["ASSOC.self"]),
    "an association without type": (related("", OLD), ["ASSOC.associationType.required"]),
    "an association without target": (related(uuids.APND, ""), ["ASSOC.targetObject.required"]),
    "HasMember with documentation": (
        submit(document_entry(), associations=[has_member("ss1", OLD, "Reference", documentation=Code("a", "b", "c"))]),
        ["ASSOC.documentation"],
    ),
    "two objects of one id, and their links too": (
        submit(document_entry(), document_entry(unique_id="2.999.10.2")),
        ["SUBMISSION.id.twice", "SUBMISSION.id.twice", "DE.linked", "DE.linked"],
    ),
    "SubmissionSetStatus missing": (status(), ["ASSOC.SubmissionSetStatus.count"]),
    "SubmissionSetStatus twice": (status("Original", "Original"), ["ASSOC.SubmissionSetStatus.count"]),
    "SubmissionSetStatus of another word": (status("original"), ["ASSOC.SubmissionSetStatus.value"]),
    "Reference to a document of the submission": (status("Reference"), ["ASSOC.SubmissionSetStatus.value"]),
    "Original of a registered document": (
        submit(document_entry(), associations=[has_member("ss1", OLD, "Original")]),
        ["ASSOC.SubmissionSetStatus.value"],
    ),
    "by reference without SubmissionSetStatus": (
        submit(document_entry(), associations=[has_member("ss1", OLD)]), ["ASSOC.SubmissionSetStatus.count"],
    ),
    "SubmissionSetStatus of another word on a relationship": (
        related(uuids.APND, submission_set_status=("New",)), ["ASSOC.SubmissionSetStatus.value"],
    ),
    "an On-Demand entry in ITI-42": (
        submit(document_entry(object_type=uuids.ON_DEMAND)), ["DE.objectType.kind"],
    ),
    "an unknown objectType": (submit(document_entry(object_type="urn:uuid:1")), ["DE.objectType.kind"]),
    "a logicalID of its own": (submit(document_entry(logical_id=urn(77))), ["DE.logicalID.first"]),
    "a folder with a logicalID of its own": (submit(folders=[folder(logical_id=urn(77))]), ["FD.logicalID.first"]),
    "a new object with a registered UUID": (submit(document_entry(OLD)), ["DE.entryUUID.registered"]),
    "an attribute missing": (submit(document_entry(hash="")), ["DE.hash.required"]),
    "an attribute of the wrong form": (submit(document_entry(hash="x")), ["DE.hash.format"]),
    "a finding of the decoder": (
        replace(submit(), findings=(Problem(META, "x", rule="PACKAGE.marker"),)), ["PACKAGE.marker"],
    ),
    "a circle of relationships": (
        submit(*TWO, associations=[
            association(uuids.XFRM, "doc1", "doc2"), association(uuids.APND, "doc2", "doc1"),
        ]), ["ASSOC.circle", "ASSOC.append.transformation"],
    ),
    "a HasMember of a registered SubmissionSet": (
        submit(document_entry(), associations=[has_member(OLD_SET, "doc1")], linked=False),
        ["ASSOC.source.kind", "DE.linked", "ASSOC.set.closed"],
    ),
    "IsSnapshotOf a Stable document": (related(uuids.IS_SNAPSHOT_OF), ["ASSOC.snapshot.kind"]),
    "a relationship to a folder": (related(uuids.SIGNS, OLD_FOLDER), ["ASSOC.target.kind"]),
}  # fmt: skip

SEVERAL_CODES = {
    "a relationship from the SubmissionSet": [META, UNRESOLVED],
}


@pytest.mark.parametrize("name", STRUCTURE)
def test_structure(name: str) -> None:
    submission, expected = STRUCTURE[name]
    problems = check(submission)
    assert [one.rule for one in problems] == expected
    assert [one.code for one in problems] == SEVERAL_CODES.get(name, [META] * len(expected))


def test_relationship_source_must_be_new() -> None:
    """3.42.4.1.3.5: the source is a DocumentEntry of this submission."""
    submission = submit(document_entry(), associations=[association(uuids.APND, OLD, "doc1")])
    assert found(submission) == [(UNRESOLVED, "ASSOC.sourceObject.unresolved")]


UNRESOLVED_CASES: dict[str, Submission] = {
    **{
        f"{type_.rpartition(':')[2]} of an unknown UUID": related(type_, urn(999))
        for type_ in sorted(uuids.RELATIONSHIPS)
    },
    **{
        f"{type_.rpartition(':')[2]} of a document of the same submission": submit(
            *TWO, associations=[association(type_, "doc2", "doc1")]
        )
        for type_ in (uuids.RPLC, uuids.XFRM_RPLC, uuids.IS_SNAPSHOT_OF)
    },
    "APND of a symbolic id that is not there": related(uuids.APND, "doc7"),
    "a document by reference that is not there": submit(
        document_entry(), associations=[has_member("ss1", urn(999), "Reference")]
    ),
    "a folder that is not there": submit(
        document_entry(), associations=[has_member(urn(999), "doc1")], sets=[submission_set()]
    ),
    "a document in a folder that is not there": filed("folder1", urn(999), folders=[folder()]),
    "a dangling symbolic id": submit(document_entry(), associations=[has_member("ss1", "doc9", "Original")]),
}  # fmt: skip


@pytest.mark.parametrize("name", UNRESOLVED_CASES)
def test_unresolved(name: str) -> None:
    problems = check(UNRESOLVED_CASES[name])
    assert UNRESOLVED in {one.code for one in problems}
    others = {one.rule for one in problems if one.code != UNRESOLVED}
    assert others <= {"ASSOC.snapshot.kind"}
    for one in problems:
        if one.code == UNRESOLVED:
            assert "urn:uuid:" in one.context or "doc" in one.context  # the id, for whoever mends it


PATIENTS: dict[str, tuple[Submission, Registered, list[tuple[str, str]]]] = {
    "a document of another patient than the SubmissionSet": (
        submit(document_entry(patient_id=OTHER_PATIENT)), REGISTRY, [(OTHER, "DE.patientId.set")],
    ),
    "a folder of another patient than the SubmissionSet": (
        submit(folders=[folder(patient_id=OTHER_PATIENT)]), REGISTRY, [(OTHER, "FD.patientId.set")],
    ),
    "a folder with a document of another patient": (
        filed(OLD_FOLDER, STRANGER), REGISTRY, [(OTHER, "ASSOC.patientId")],
    ),
    "a relationship to a document of another patient": (
        related(uuids.APND, STRANGER), REGISTRY, [(OTHER, "ASSOC.patientId")],
    ),
    "a replaced document in a folder of another patient": (
        related(uuids.RPLC),
        Registered(
            document_entry(OLD, unique_id="2.999.50.1"), folder(OLD_FOLDER, patient_id=OTHER_PATIENT, unique_id="2.9"),
            has_member(OLD_FOLDER, OLD, entry_uuid=urn(8)),
        ),
        [(OTHER, "ASSOC.patientId")],
    ),
    "an unknown patient": (
        submit(), Registered(patients={PATIENT: "unknown"}), [("XDSUnknownPatientId", "PATIENT.unknown")],
    ),
    "a patient merged into another": (
        submit(), Registered(patients={PATIENT: "subsumed"}), [("XDSUnknownPatientId", "PATIENT.subsumed")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("submission", "registry", "expected"), PATIENTS.values(), ids=PATIENTS.keys())
def test_patients(submission: Submission, registry: Registered, expected: list[tuple[str, str]]) -> None:
    problems = check(submission, registry)
    assert [(one.code, one.rule) for one in problems] == expected
    assert PATIENT in problems[0].context or OTHER_PATIENT in problems[0].context  # the code demands it


def test_unknown_patients_may_be_accepted_but_merged_ones_never() -> None:
    for status_, expected in (("unknown", 0), ("active", 0), ("subsumed", 1)):
        registry = Registered(patients={PATIENT: status_})
        assert len(check(submit(), registry, accept_unknown_patients=True)) == expected


def test_patients_of_other_authorities_are_unknown() -> None:
    codes = CodeSets(assigning_authorities=frozenset({"2.999.7"}))
    assert found(submit(), codes=codes) == [("XDSUnknownPatientId", "PATIENT.active")]
    assert found(submit(), codes=codes, accept_unknown_patients=True) == []
    assert found(submit(), codes=CodeSets(assigning_authorities=frozenset({"2.999.1.1"}))) == []


UNIQUE_IDS: dict[str, tuple[Submission, list[tuple[str, str]]]] = {
    "two documents of one uniqueId": (
        submit(document_entry(), document_entry("doc2")),
        [("XDSRegistryDuplicateUniqueIdInMessage", "SUBMISSION.uniqueId.twice")],
    ),
    "a document with the uniqueId of its SubmissionSet": (
        submit(document_entry(unique_id="2.999.11.1")),
        [("XDSRegistryDuplicateUniqueIdInMessage", "SUBMISSION.uniqueId.twice")],
    ),
    "a SubmissionSet with that of a registered SubmissionSet": (
        submit(sets=[submission_set(unique_id="2.999.50.3")]),
        [("XDSDuplicateUniqueIdInRegistry", "SS.uniqueId.registered")],
    ),
    "a SubmissionSet with that of a registered document": (
        submit(sets=[submission_set(unique_id="2.999.50.1")]),
        [("XDSDuplicateUniqueIdInRegistry", "SS.uniqueId.registered")],
    ),
    "a folder with that of a registered folder": (
        submit(folders=[folder(unique_id="2.999.50.2")]),
        [("XDSDuplicateUniqueIdInRegistry", "FD.uniqueId.registered")],
    ),
    "a document of other bytes": (
        submit(document_entry(unique_id="2.999.50.1", hash="0" * 40)), [("XDSNonIdenticalHash", "DE.uniqueId.hash")],
    ),
    "a document of another size": (
        submit(document_entry(unique_id="2.999.50.1", size="6")), [("XDSNonIdenticalSize", "DE.uniqueId.size")],
    ),
    "a document of other bytes and size": (
        submit(document_entry(unique_id="2.999.50.1", hash="0" * 40, size="6")),
        [("XDSNonIdenticalHash", "DE.uniqueId.hash"), ("XDSNonIdenticalSize", "DE.uniqueId.size")],
    ),
    "a Stable document with the uniqueId of an On-Demand one": (
        submit(document_entry(unique_id="2.999.50.4")), [(META, "DE.uniqueId.kind")],
    ),
    "a document with the uniqueId of a registered folder": (submit(document_entry(unique_id="2.999.50.2")), []),
}  # fmt: skip


def test_other_bytes_are_told_of_once_however_often_the_document_is_registered() -> None:
    """ITI TF-2 3.42.4.1.3.3.1; a document may have many entries."""
    twice = Registered(*(document_entry(id_, unique_id="2.999.50.1") for id_ in (OLD, GONE)))
    other = submit(document_entry(unique_id="2.999.50.1", hash="0" * 40))
    assert found(other, twice) == [("XDSNonIdenticalHash", "DE.uniqueId.hash")]


@pytest.mark.parametrize(("submission", "expected"), UNIQUE_IDS.values(), ids=UNIQUE_IDS.keys())
def test_unique_ids(submission: Submission, expected: list[tuple[str, str]]) -> None:
    problems = check(submission)
    assert [(one.code, one.rule) for one in problems] == expected
    assert all("2.999." in one.context for one in problems)  # these codes demand the uniqueId


DEPRECATED_CASES: dict[str, tuple[Submission, Registered, str]] = {
    **{
        f"{type_.rpartition(':')[2]} of a deprecated document": (
            related(type_, GONE), REGISTRY, "ASSOC.target.deprecated",
        )
        for type_ in sorted(uuids.RELATIONSHIPS - {uuids.IS_SNAPSHOT_OF})
    },
    "a deprecated document into a folder": (
        filed("folder1", GONE, folders=[folder()]), REGISTRY, "ASSOC.member.deprecated",
    ),
    "a document into a deprecated folder": (
        filed(OLD_FOLDER, "doc1", entries=[document_entry()]),
        Registered(folder(OLD_FOLDER, unique_id="2.999.50.2", availability_status=DEPRECATED)),
        "ASSOC.member.deprecated",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("submission", "registry", "rule"), DEPRECATED_CASES.values(), ids=DEPRECATED_CASES.keys())
def test_deprecated(submission: Submission, registry: Registered, rule: str) -> None:
    assert found(submission, registry) == [(DEPRECATED_ERROR, rule)]


def test_a_deprecated_document_may_be_submitted_by_reference() -> None:
    assert check(submit(document_entry(), associations=[has_member("ss1", GONE, "Reference")])) == ()


def test_an_addendum_to_a_transformation_is_refused() -> None:
    """ITI TF-3 4.2.2.2.1."""
    registry = Registered(
        document_entry(OLD, unique_id="2.999.50.1"), document_entry(GONE, unique_id="2.999.50.2"),
        association(uuids.XFRM, OLD, GONE, entry_uuid=urn(8)),
    )  # fmt: skip
    assert found(related(uuids.APND), registry) == [(META, "ASSOC.append.transformation")]
    assert found(related(uuids.APND, GONE), registry) == []
    assert found(related(uuids.RPLC), registry) == [], "a transformation may be replaced"


class TestOnDemand:
    """ITI-61 (ITI TF-2 3.61.4.1)."""

    def found(self, submission: Submission) -> list[tuple[str, str]]:
        return found(submission, column="OD")

    def test_valid(self) -> None:
        assert self.found(submit(builders.on_demand_entry())) == []
        assert self.found(submit(builders.on_demand_entry(unique_id="2.999.50.4"))) == []

    def test_may_replace_stable_and_on_demand_entries(self) -> None:
        for target in (OLD, OLD_ON_DEMAND):
            replacing = association(uuids.RPLC, "doc1", target)
            assert self.found(submit(builders.on_demand_entry(), associations=[replacing])) == []

    def test_stable_entries_are_refused(self) -> None:
        assert [rule for _, rule in self.found(submit())] == [
            "DE.objectType.kind", *(f"DE.{name}.prohibited" for name in ("creationTime", "hash", "size")),
        ]  # fmt: skip

    def test_without_an_entry(self) -> None:
        assert self.found(submit(folders=[folder()])) == [(META, "SUBMISSION.on-demand")]

    def test_unique_id_of_a_stable_entry(self) -> None:
        assert self.found(submit(builders.on_demand_entry(unique_id="2.999.50.1"))) == [(META, "DE.uniqueId.kind")]


class TestStrictness:
    """What the operator may choose to tolerate."""

    SUBMISSION = submit(
        document_entry(legal_authenticator="^^Jo", class_code=Code("X", "2.999", "x"), hash="x", type_code=None)
    )
    CODES = CodeSets({"classCode": frozenset()})
    LENIENT = ("DE.typeCode.required", "DE.legalAuthenticator.format", "DE.classCode.value-set")

    @pytest.mark.parametrize(
        ("strictness", "errors", "warnings"),
        [
            ("reject", {"DE.hash.format", *LENIENT}, set()),
            ("warn", {"DE.hash.format"}, set(LENIENT)),
            ("log", {"DE.hash.format"}, set()),
            ("off", {"DE.hash.format"}, set()),
        ],
    )
    def test_levels(self, strictness: str, errors: set[str], warnings: set[str]) -> None:
        problems = check(self.SUBMISSION, codes=self.CODES, strictness=strictness)
        assert {one.rule for one in problems if one.severity is Severity.ERROR} == errors
        assert {one.rule for one in problems if one.severity is Severity.WARNING} == warnings

    def test_an_unknown_level_is_refused(self) -> None:
        with pytest.raises(ValueError, match="unknown strictness"):
            check(self.SUBMISSION, strictness="lax")

    def test_the_log_says_what_was_tolerated_and_nothing_of_the_patient(self, caplog: pytest.LogCaptureFixture) -> None:
        check(self.SUBMISSION, codes=self.CODES, strictness="off")
        assert caplog.messages == []
        check(self.SUBMISSION, codes=self.CODES, strictness="log")
        *others, value_set = [f"tolerated: {rule} at doc1/{rule.split('.')[1]}" for rule in self.LENIENT]
        code = "classCode of doc1: code X^^2.999 is not in this domain's value set"
        assert caplog.messages == [*others, f"{value_set}: {code}"]

    def test_at_info_the_log_says_of_what_a_sender_was_warned(self, caplog: pytest.LogCaptureFixture) -> None:
        check(self.SUBMISSION, strictness="warn")
        assert caplog.messages == [], "he knows it from his answer"
        caplog.set_level("INFO", logger="xdsi.metadata")
        check(self.SUBMISSION, codes=self.CODES, strictness="warn")
        assert len(caplog.messages) == len(self.LENIENT)
        assert all(one.startswith("warned of: ") for one in caplog.messages)

    def test_what_a_sender_writes_makes_no_line_of_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        odd = submit(document_entry(class_code=Code("X\ntrace 00: all is well " + "x" * 1000, "2.999", "x")))
        check(odd, codes=self.CODES, strictness="log")
        assert "code X trace 00" in caplog.messages[-1]
        assert max(len(one.splitlines()) for one in caplog.messages) == 1
        assert max(map(len, caplog.messages)) < 600

    def test_a_message_writes_only_so_many_lines_of_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        entries = [document_entry(f"d{n}", unique_id=f"2.999.1.{n}", type_code=None) for n in range(510)]
        check(submit(*entries), strictness="log")
        assert len(caplog.messages) == 501
        assert caplog.messages[-1] == "tolerated: 10 more problems"


def test_all_problems_are_reported_at_once() -> None:
    """3.42.4.1.3.3: as many errors as can be found."""
    submission = submit(
        document_entry(hash="x", size="y", patient_id=OTHER_PATIENT, unique_id="2.999.11.1"),
        associations=[association(uuids.RPLC, "doc1", GONE), association(uuids.APND, "doc1", urn(999))],
        linked=False,
    )
    assert {one.code for one in check(submission, Registered(patients={PATIENT: "unknown"}))} == {
        META, OTHER, UNRESOLVED, "XDSUnknownPatientId", "XDSRegistryDuplicateUniqueIdInMessage",
    }  # fmt: skip


def test_a_flood_of_problems_is_cut() -> None:
    entries = [document_entry(f"doc{number}", unique_id=f"2.999.{number}", hash="x", size="y") for number in range(300)]
    problems = check(submit(*entries))
    assert len(problems) == rules.MAX_PROBLEMS + 1
    assert problems[-1].context == "and 100 more problems"


def test_the_registry_is_asked_once_for_each_kind_of_fact() -> None:
    registry = Registered()
    entries = [document_entry(f"doc{number}", unique_id=f"2.999.{number}") for number in range(20)]
    assert check(submit(*entries, associations=[has_member("ss1", OLD, "Reference")]), registry)
    assert sorted(registry.asked) == ["kinds_by_unique_id", "objects", "patient_status"]
