"""What a stored query takes: its parameters, how each is coded, which exclude or demand each other.

ITI TF-2 3.18.4.1.2.3.5 (coding style), 3.18.4.1.2.3.6 (status and type).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from xdsi.spec.namespaces import APPROVED, DEPRECATED


class Coding(StrEnum):
    """How a value is written inside rim:Value (3.18.4.1.2.3.5)."""

    STRING = "string"
    """'text', a quote doubled"""
    CODE = "code"
    """'code^^scheme'"""
    TIME = "time"
    """DTM digits, usually bare"""
    LEVEL = "level"
    """1 or 2, bare"""
    PATIENT = "patient"
    """'ID^^^&OID&ISO'"""
    STATUS = "status"
    """'urn:oasis:names:tc:ebxml-regrep:StatusType:...'"""
    URN = "urn"
    """'urn:...', such as an entryUUID, an objectType or an association type"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a stored query."""

    name: str
    coding: Coding = Coding.STRING
    required: bool = False
    multiple: bool = False
    """a list: its items are alternatives (OR)"""
    conjunctive: bool = False
    """the Slot may be repeated; the Slots must all hold (AND)"""
    like: bool = False
    """`%` and `_` are wildcards"""
    vocabulary: frozenset[str] = frozenset()
    """where not empty: other values are dropped as if they had not been sent"""
    update: bool = False
    """of the Document Metadata Update option"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One stored query."""

    id: str
    name: str
    parameters: Mapping[str, Parameter]
    results: tuple[str, ...]
    """the object classes it returns"""
    one_of: tuple[str, ...] = ()
    """exactly one of these parameters must be sent"""
    any_of: tuple[str, ...] = ()
    """at least one of these parameters must be sent"""
    not_both: tuple[tuple[str, str], ...] = ()
    """pairs of which at most one may be sent"""
    single_patient: tuple[str, ...] = ()
    """for LeafClass, the returned objects of these classes must all be of one patient (3.18.4.1.2.3.1)"""
    patient_parameter: str = ""
    """the parameter that carries the patient id"""
    source: str = "ITI TF-2 3.18"

    @property
    def needs_home(self) -> bool:
        """True for queries by identifier, which a gateway routes by AdhocQuery/@home (ITI TF-2 3.38.4.1.2.1)."""
        return not self.patient_parameter


_STATUSES = frozenset({APPROVED, DEPRECATED})


def parameters(text: str) -> dict[str, Parameter]:
    """Read lines of `$name coding flags`: R required, M multiple, & conjunctive, L like, MU of Metadata Update."""
    found: dict[str, Parameter] = {}
    for line in text.split("\n"):
        if not line.strip():
            continue
        name, coding, *flags = line.split()
        if not name.startswith("$") or set(flags) - {"R", "M", "&", "L", "MU"} or name in found:
            raise ValueError(f"not a parameter: {line}")
        found[name] = Parameter(
            name=name,
            coding=Coding(coding),
            required="R" in flags,
            multiple="M" in flags,
            conjunctive="&" in flags,
            like="L" in flags,
            vocabulary=_STATUSES if name == "$XDSDocumentEntryStatus" else frozenset(),
            update="MU" in flags,
        )
    return found


def by_id(rows: Iterable[Query]) -> Mapping[str, Query]:
    """The rows by query id; a row that names a parameter it does not have fails on import."""
    found: dict[str, Query] = {}
    for row in rows:
        if row.id in found:
            raise ValueError(f"{row.name} has the id of {found[row.id].name}")
        found[row.id] = row
        named = {*row.one_of, *row.any_of, *(name for pair in row.not_both for name in pair)}
        if row.patient_parameter:
            named.add(row.patient_parameter)
        if named - row.parameters.keys():
            raise ValueError(f"{row.name}: unknown parameter {named - row.parameters.keys()}")
    return found
