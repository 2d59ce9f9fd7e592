"""Problems that a server would answer with, as findings: the clause of each rule, and what would be right.

ITI TF-3 4.1 to 4.3, ITI TF-2 3.18, 3.41, 3.42, 3.57, 3.61; the rules themselves are those of `rules.submission`,
`rules.attributes`, `rules.optionality`, `rules.stored_query` and the codecs, so that a validator and a server agree.
"""

from __future__ import annotations

import re
from typing import Final

from xdsi.domain.findings import Finding, Level
from xdsi.domain.outcome import Problem, Severity

_TYPES = "ITI TF-3 4.2.3.2 to 4.2.3.4"
_OBJECTS = {"DE": "ITI TF-3 4.2.3.2", "SS": "ITI TF-3 4.2.3.3", "FD": "ITI TF-3 4.2.3.4", "ASSOC": "ITI TF-3 4.2.2"}

# Rule (a pattern), clause (empty: that of the attributes of its object), what would be right where the text does not
# say it.
_ROWS: Final = tuple(
    (re.compile(pattern), clause, expected)
    for pattern, clause, expected in (
        (r"SUBMISSION\.set", "ITI TF-3 4.1.4", "exactly one SubmissionSet"),
        (r"SUBMISSION\.empty", "ITI TF-3 4.1.4", "a DocumentEntry, a Folder or a Folder membership"),
        (r"SUBMISSION\.on-demand", "ITI TF-2 3.61.4.1.2", "an On-Demand DocumentEntry"),
        (r"SUBMISSION\.id\.twice", "ebRIM 3.0 2.4", "an id of its own for each object"),
        (r"SUBMISSION\.uniqueId\.twice", "ITI TF-3 4.2.3.2.26", "a uniqueId of its own for each object"),
        (r"SUBMISSION\.problems", "", "fewer problems"),
        (r"PACKAGE\.marker", "ITI TF-3 4.2.1.3", "one Classification as SubmissionSet or as Folder"),
        (r"CLASSIFICATION\.(orphan|classifiedObject)", "ITI TF-3 4.2.3.1.2", "the id of the object it classifies"),
        (r"CLASSIFICATION\.place", "ITI TF-3 4.2.3.1.2", "the Classification inside its object"),
        (r"EXTERNALIDENTIFIER\.registryObject", "ITI TF-3 4.2.3.1.3", "the id of the object it stands in"),
        (r"OBJECT\.unknown", "ITI TF-3 4.2.1", "ExtrinsicObject, RegistryPackage, Association, Classification"),
        (r"DOC\.id\.twice", "ITI TF-2 3.41.4.1.2", "an id of its own for each Document"),
        (r"DE\.document\.missing", "ITI TF-2 3.41.4.1.2", "a Document whose id is that of the ExtrinsicObject"),
        (r"DOC\.metadata\.missing", "ITI TF-2 3.41.4.1.2", "an ExtrinsicObject whose id is that of the Document"),
        (r"DE\.(hash|size)\.document", "ITI TF-2 3.41.4.1.3", "what the document's bytes have, or nothing"),
        (r"QUERY\.id", "ITI TF-2 3.18.4.1.2.4", "the id of a stored query"),
        (r"QUERY\.returnType", "ITI TF-2 3.18.4.1.2.2", "LeafClass or ObjectRef"),
        (r"QUERY\.parameter\.unknown", "ITI TF-2 3.18.4.1.2.3.7", "a parameter of this query"),
        (r"QUERY\.(one-of|any-of|not-both).*", "ITI TF-2 3.18.4.1.2.3.7", "one of them"),
        (r"QUERY\.required", "ITI TF-2 3.18.4.1.2.3.7", "a value"),
        (r"QUERY\.parameter\.coding", "ITI TF-2 3.18.4.1.2.3.5", ""),
        (r"QUERY\..*", "ITI TF-2 3.18.4.1.2.3", "the parameters as the query's table has them"),
        (r"RESPONSE\..*", "ITI TF-3 4.2.4", "a RegistryErrorList with the errors"),
        (r".*\.required", "ITI TF-3 4.3.1", "a value"),
        (r".*\.prohibited", "ITI TF-3 4.3.1", "no value from this sender"),
        (r".*\.value-set", "ITI TF-1 Appendix L", "a code of the domain's value set"),
        (r".*\.display", "ITI TF-3 4.2.3.1.2", "a Name with the code's display name"),
        (r".*\.codingScheme", "ITI TF-3 4.2.3.1.2", "a Slot codingScheme with one value"),
        (r".*\.code", "ITI TF-3 4.2.3.1.2", "the code in nodeRepresentation"),
        (r".*\.author\..*|.*\.author\.empty", "ITI TF-3 4.2.3.1.4", "a person, an institution or a telecommunication"),
        (r".*\.author(Person|Institution|Role|Specialty|Telecommunication)\..*", "ITI TF-3 4.2.3.1.4", ""),
        (r".*\.Slot\.name", "ITI TF-3 4.2.3.1.6", "urn: and a name of one's own"),
        (r".*\.slot\.twice", "ebRIM 3.0 2.6", "one Slot of a name, with all values"),
        (r".*\.values", "", "one value at most"),
        (r".*\.id", "ebRIM 3.0 2.4", "an id"),
        (r".*\.length", "ebRIM 3.0 (rim.xsd)", ""),
        (r".*\.objectType\.kind", "ITI TF-3 4.2.3.2.30", "the objectType of this transaction's entries"),
        (r".*\.logicalID\.first", "Metadata Update 4.2.3.2.31", "none, or the entry's own id"),
        (r".*\.entryUUID\..*", "ITI TF-3 4.2.3.2.5", "a new UUID, as urn:uuid and lower case"),
        (r".*\.serviceTime\.order", "ITI TF-3 4.2.3.2.19", "a start before the stop"),
        (r".*\.sourcePatientInfo\.repeated", "ITI TF-3 4.2.3.2.23", "one value of PID-7 and of PID-8"),
        (r".*\.patientId(\..*)?", "ITI TF-3 4.2.3.2.16", "one patient for the whole submission"),
        (r"ASSOC\.SubmissionSetStatus\..*", "ITI TF-3 4.2.2.2.6", "Original, or Reference for a registered entry"),
        (r"(ASSOC|DE|FD)\.linked", "ITI TF-3 4.1.4.1", "a HasMember from the SubmissionSet"),
        (r"ASSOC\.associationType", "ITI TF-3 4.2.2", "HasMember, RPLC, XFRM, APND, XFRM_RPLC, signs, IsSnapshotOf"),
        (r"ASSOC\.documentation", "ITI TF-3 4.2.2.1.3", "no Classification here"),
        (r"ASSOC\.(source|target|set|ends|folder|self).*", "ITI TF-3 4.2.2", "the two ends that this type joins"),
        (r"ASSOC\.(sourceObject|targetObject)\.unresolved", "ITI TF-3 4.1.4", "an object of this submission"),
        (r"ASSOC\.circle", "ITI TF-3 4.2.2.2", "relationships that lead to older documents"),
        (r"ASSOC\.(append|snapshot)\..*", "ITI TF-3 4.2.2.2", "the kinds of entry that this type joins"),
    )
)


def row_of(rule: str) -> tuple[str, str]:
    """The clause of a rule, and what would be right where its text does not say it."""
    for pattern, clause, expected in _ROWS:
        if pattern.fullmatch(rule):
            return clause or _OBJECTS.get(rule.partition(".")[0], _TYPES), expected
    return _OBJECTS.get(rule.partition(".")[0], _TYPES), ""


def finding(problem: Problem, place: str, line: int = 0, *, level: Level | None = None) -> Finding:
    """A problem as a finding at a place."""
    clause, expected = row_of(problem.rule)
    text = problem.context
    if ": expected " in text:
        text, _, expected = text.rpartition(": expected ")
    elif not expected and ": " in text:
        text, _, expected = text.rpartition(": ")
    return Finding(
        rule=problem.rule or problem.code,
        level=level or (Level.WARNING if problem.severity is Severity.WARNING else Level.ERROR),
        place=place,
        text=text,
        expected=expected,
        clause=clause,
        line=line,
    )
