"""A registry's population, reproducible by seed: patients with 1 to 400 entries and a long tail, most with few.

Each patient is made from the seed and its own number alone, so that several processes can share the work. What goes
into the tables is what a registration of the same objects would have put there (test_population.py compares the two).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any

from tests.bench.moulds import ENTRY_KINDS, FOLDER, LINKS, SUBMISSION_SETS, EntryKind
from xdsi.storage import lists
from xdsi.storage.rows import STUDY_REFERENCE

AUTHORITY = "2.999.1.1"
LARGEST = 400
_MU, _SIGMA = 2.3, 1.1
"""of the logarithm of how many entries a patient has: half have ten or fewer, the mean is eighteen"""
_REPLACED, _WITH_FOLDER = 0.06, 0.05
_CHOICES = list(accumulate(kind.weight for kind in ENTRY_KINDS))


def cx(number: int) -> str:
    """The identifier of a patient."""
    return f"B{number}^^^&{AUTHORITY}&ISO"


def sizes(entries: int, seed: int) -> list[int]:
    """How many entries each patient has, `entries` in all; the patients' numbers are 1, 2, and so on."""
    die = Random(seed)
    found = []
    left = entries
    while left > 0:
        found.append(min(left, LARGEST, max(1, int(die.lognormvariate(_MU, _SIGMA)))))
        left -= found[-1]
    return found


@dataclass
class Patient:
    """The rows of one patient by table, each in the order of the table's columns; the patient's number is its key."""

    number: int
    merged_into: int | None = None
    rows: dict[str, list[tuple[Any, ...]]] = field(
        default_factory=lambda: {
            name: [] for name in (
                "patient", "identifier", "submission_set", "document_entry", "folder", "association", "code",
            )
        }
    )  # fmt: skip


def patients(counts: list[int], seed: int, *, first: int = 1) -> Iterator[Patient]:
    """Patients with so many entries each, numbered from `first`."""
    for number, count in enumerate(counts, first):
        yield _Making(number, count, Random(f"{seed}:{number}")).patient


class _Making:
    """One patient's history, submission by submission."""

    def __init__(self, number: int, count: int, die: Random) -> None:
        self.die = die
        self.key = number
        self.patient = Patient(number)
        self.rows = self.patient.rows
        self.time = 20_150_101 + die.randrange(4) * 10_000
        self.local = f"L{number:08}"
        self.family, self.given = f"Family{die.randrange(10_000):04}", f"Given{die.randrange(1_000):03}"
        status, survivor = "active", None
        # Into the patient before, who is never merged itself.
        if number % 100 == 0 and count <= LARGEST:
            status, survivor = "subsumed", number - 1
        self.patient.merged_into = survivor
        self.rows["patient"].append((number, AUTHORITY, f"B{number}", status, survivor, 0))
        self.entries: list[tuple[str, int]] = []
        left = count
        while left:
            size = min(left, die.choices((1, 2, 3, 5), (75, 15, 7, 3))[0])
            self.submit(size)
            left -= size
        if len(self.entries) > 5 and die.random() < _WITH_FOLDER:
            self.file()

    def uuid(self) -> str:
        h = f"{self.die.getrandbits(128):032x}"
        return f"urn:uuid:{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"

    def uid(self) -> str:
        return f"2.25.{self.die.getrandbits(127)}"

    def moment(self) -> str:
        """Later than the one before: a day of the next months."""
        die = self.die
        if die.random() < 0.7:
            year, rest = divmod(self.time, 10_000)
            month, day = divmod(rest, 100)
            month += die.randrange(1, 4)
            if month > 12:
                year, month = year + 1, month - 12
            self.time = year * 10_000 + month * 100 + min(day + die.randrange(3), 28)
        return f"{self.time}{die.randrange(24):02}{die.randrange(60):02}{die.randrange(60):02}"

    def author(self, institution: int) -> dict[str, str]:
        number = self.die.randrange(200)
        return {
            "person": f"{institution}{number:03}",
            "family": f"Author{number:03}",
            "institution": f"{institution:02}",
        }

    def submit(self, size: int) -> None:
        """A SubmissionSet with its entries; each may replace an earlier one."""
        die = self.die
        kinds = die.choices(ENTRY_KINDS, cum_weights=_CHOICES, k=size)
        institution = die.randrange(10, 40)
        author = self.author(institution)
        time = self.moment()
        set_id = self.submission_set(kinds[0], author, time)
        for kind in kinds:
            entry = self.entry(kind, author, time)
            self.link("member", set_id, entry, "S", "D")
            if self.entries and die.random() < _REPLACED:
                self.replace(entry)
            self.entries.append((entry, len(self.rows["document_entry"]) - 1))

    def submission_set(self, kind: EntryKind | None, author: dict[str, str], time: str) -> str:
        mould = SUBMISSION_SETS[kind.content_type if kind is not None else "filing"]
        id_, unique_id = self.uuid(), self.uid()
        values = author | {"id": id_, "unique_id": unique_id, "time": time, "source": author["institution"]}
        self.rows["submission_set"].append(
            (self.key, id_, unique_id, f"2.999.3.{author['institution']}", time, "Approved",
             *mould.columns, "", lists.write([mould.person(values)]), mould.fragment(values))
        )  # fmt: skip
        self.identify(id_, "uuid", id_, "S", sole=True)
        self.identify(unique_id, "unique", id_, "S", sole=True)
        return id_

    def entry(self, kind: EntryKind, author: dict[str, str], time: str) -> str:
        die = self.die
        mould = kind.mould
        id_, unique_id = self.uuid(), self.uid()
        values = author | {
            "id": id_, "unique_id": unique_id, "time": time, "hash": f"{die.getrandbits(160):040x}",
            "size": str(die.randrange(2_000, 900_000)), "local": self.local, "name": self.family,
            "given": self.given, "accession": f"A{die.randrange(10**9):09}", "study": self.uid(),
        }  # fmt: skip
        references = mould.references(values)
        self.rows["document_entry"].append(
            (self.key, 1, True, False, id_, unique_id, mould.repository, id_, "Approved", "Online", time, time, "",
             *mould.columns, "", mould.confidentiality, lists.write([mould.person(values)]), lists.write(references),
             mould.facts(values), mould.fragment(values))
        )  # fmt: skip
        self.identify(id_, "uuid", id_, "D", sole=True)
        self.identify(unique_id, "unique", id_, "D")
        for reference in references:
            if reference.endswith(STUDY_REFERENCE):
                self.identify(reference.partition("^")[0], "study", id_, "D")
        for kind_of_code, code, scheme in mould.codes:
            self.rows["code"].append((self.key, id_, kind_of_code, code, scheme))
        return id_

    def replace(self, entry: str) -> None:
        """The newest entry that is not replaced yet is, by this one."""
        former, index = self.entries.pop()
        row = self.rows["document_entry"][index]
        self.rows["document_entry"][index] = (*row[:8], "Deprecated", *row[9:])
        self.link("replaces", entry, former, "D", "D")

    def file(self) -> None:
        """A Folder with some of the entries, in a SubmissionSet of its own."""
        die = self.die
        time = self.moment()
        author = self.author(die.randrange(10, 40))
        set_id = self.submission_set(None, author, time)
        id_, unique_id = self.uuid(), self.uid()
        values = {"id": id_, "unique_id": unique_id}
        self.rows["folder"].append(
            (self.key, 1, True, id_, unique_id, id_, "Approved", time, "", FOLDER.fragment(values))
        )
        self.identify(id_, "uuid", id_, "F", sole=True)
        self.identify(unique_id, "unique", id_, "F", sole=True)
        for kind_of_code, code, scheme in FOLDER.codes:
            self.rows["code"].append((self.key, id_, kind_of_code, code, scheme))
        self.link("files", set_id, id_, "S", "F")
        for entry, _ in die.sample(self.entries, min(len(self.entries), die.randrange(2, 7))):
            inner = self.link("filed", id_, entry, "F", "D")
            self.link("files", set_id, inner, "S", "A")

    def link(self, kind: str, source: str, target: str, source_kind: str, target_kind: str) -> str:
        mould = LINKS[kind]
        id_ = self.uuid()
        values = {"id": id_, "source": source, "target": target}
        self.rows["association"].append(
            (self.key, self.key, id_, mould.type, source, target, source_kind, target_kind, "Approved", "",
             mould.fragment(values))
        )  # fmt: skip
        self.identify(id_, "uuid", id_, "A", sole=True)
        return id_

    def identify(self, value: str, kind: str, object_id: str, letter: str, *, sole: bool = False) -> None:
        tie = "" if sole else object_id
        self.rows["identifier"].append(
            (self.key, value, kind, tie, "" if object_id in (tie, value) else object_id, letter)
        )
