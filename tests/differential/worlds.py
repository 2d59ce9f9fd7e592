"""Random cases: policies as XML text, consents, askers and documents, from a vocabulary so small that they often meet.

One case in a few has something in it that the language does not have; then both sides have to refuse the document.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random

from tests.differential import vocabulary as v
from tests.differential.order import ID, Asker, Domain, Signed, Thing

NOW = datetime(2025, 6, 30, 23, 30, tzinfo=UTC)
PATIENTS: tuple[ID, ...] = (("2.999.1.1", "P1"), ("2.999.1.1", "P2"), ("2.999.2", "L1"))
ROLES: tuple[ID, ...] = (("HCP", "2.999.40"), ("NURSE", "2.999.40"), ("PAT", "2.999.40"), ("HCP", "2.999.41"))
PURPOSES: tuple[ID, ...] = (("TREAT", "2.16.840.1.113883.5.8"), ("ETREAT", "2.16.840.1.113883.5.8"))
CODES: tuple[ID, ...] = (("N", "2.999.20"), ("R", "2.999.20"), ("N", "2.999.21"), *(v.CONSENT_FORMATS[:1]))
TEXTS = ("urn:oid:2.999.5", "2.999.5", "2.999.6", "Clinic", "1.2.3", "https://a.example/", "2.999.5^7")
IDENTIFIERS: tuple[ID, ...] = (("2.999.5", ""), ("2.999.5", "7"), ("2.999.7", "7"), ("1.2.3", ""), *PATIENTS)
XONS = (
    "Clinic^^^^^^^^^2.999.5",
    "Clinic^^^^^&2.999.5&ISO^^^^7",
    "Clinic",
    "Clinic^^^^^&2.999.7&ISO^^^^7",
    "^^^^^^^^^1.2.3",
)
XCNS = ("7^Doe^Jo^^^^^^&2.999.5&ISO", "2.999.5^Doe", "7^Doe", "^Doe^Jo")
CXIS = ("1.2.3^^^^urn:ihe:iti:xds:2016:studyInstanceUID", "7^^^&2.999.7&ISO^urn:ihe:iti:xds:2013:accession", "7^^^x")
DATES = ("2025-06-30", "2025-07-01", "2025-07-01+02:00", "2025-06-30Z", " 2025-06-30 ", "2025-06-29-05:00")
TIMES = ("2025-06-30T23:30:00Z", "2025-06-30T23:30:00", "2025-07-01T01:30:00+02:00", "2025-01-01T00:00:00.5Z")
BAD = {
    v.BOOLEAN: ("maybe", "TRUE", ""),
    v.DATE: ("2024-02-30", "soon", "20250630"),
    v.DATE_TIME: ("late", "2025-06-30"),
}
ZONES = ("UTC", "Europe/Brussels", "America/New_York")
DTMS = ("2025", "202506", "20250630", "2025063023", "202506302330", "20250630233000", "20250101000000")
LIBRARY = ("urn:referable:a", "urn:referable:b", "urn:referable:c")


@dataclass(frozen=True)
class Case:
    """One question with all that it rests on."""

    asker: Asker
    action: str
    thing: Thing
    person: frozenset[ID]
    consents: tuple[Signed, ...]
    domain: Domain
    now: datetime


def quoted(text: str) -> str:
    """An attribute's value; nothing of the vocabulary needs an escape."""
    return f'"{text}"'


QUESTIONS = 8
"""asked of the same policies and consents, whose texts are then read once"""


def case(seed: int) -> Case:
    """The case of a number: the same each time."""
    first = _world(seed // QUESTIONS)
    return first if seed % QUESTIONS == 0 else Writer(Random(f"question {seed}")).another(first)


@lru_cache(maxsize=1)
def _world(number: int) -> Case:
    return Writer(Random(number)).case()


class Writer:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.wrong = random.random() < 0.1
        """whether this case may have something unsupported in it"""

    # What is asked

    def case(self) -> Case:
        chance = self.random.random
        person = frozenset(self.some(PATIENTS, 2) or PATIENTS[:1])
        patient = self.random.choice(sorted(person)) if chance() < 0.95 else None
        asked_for = None if chance() < 0.5 else self.random.choice(sorted(person)) if chance() < 0.9 else PATIENTS[2]
        referable = {name: self.policy_set(name, depth=2) for name in self.some(LIBRARY, 3)}
        zone = self.random.choice(ZONES)
        domain = Domain(
            id="urn:oid:2.999.1",
            default="permit" if chance() < 0.2 else "deny",
            newest=chance() < 0.4,
            floor=tuple(self.configured("floor") for _ in range(self.few())),
            organizations=tuple(self.configured("organization") for _ in range(self.few())),
            referable=referable,
            exclusions=frozenset(self.some(LIBRARY, 1)) if chance() < 0.3 else frozenset(),
            emergency_purposes=frozenset(PURPOSES[1:]),
            emergency_roles=frozenset(self.some(ROLES, 2)) if chance() < 0.6 else frozenset(),
            emergency_hidden=frozenset(self.some(CODES, 1)) if chance() < 0.3 else frozenset(),
            emergency_overrides_patient=chance() < 0.5,
            patient_roles=frozenset(ROLES[2:3]) if chance() < 0.5 else frozenset(),
            emergency_reason_required=chance() < 0.7,
            representative_roles=frozenset(self.some(ROLES, 2)) if chance() < 0.4 else frozenset(),
            representatives={one: tuple(self.some(TEXTS, 3)) for one in self.some(PATIENTS, 3)},
            patient_sees_documents=chance() < 0.5,
            author_sees_documents=chance() < 0.5,
            npi_root=self.random.choice(("", "2.999.7", "2.999.5")),
            zone=zone,
        )
        consents = tuple(self.consent(number, person) for number in range(self.random.choice((0, 1, 1, 2, 2, 3))))
        now = NOW + timedelta(hours=self.random.choice((-48, -1, 0, 0, 0, 1, 48)))
        action = self.random.choice((*v.READING * 4, "publish", "update", "delete"))
        known = person if patient is not None else frozenset[ID]()
        return Case(self.asker(asked_for), action, self.thing(patient), known, consents, domain, now)

    def another(self, first: Case) -> Case:
        """Another question in the same world."""
        chance = self.random.random
        person = first.person or frozenset(PATIENTS[:1])
        patient = self.random.choice(sorted(person)) if chance() < 0.95 else None
        asked_for = None if chance() < 0.5 else self.random.choice(sorted(person)) if chance() < 0.9 else PATIENTS[2]
        return replace(
            first,
            asker=self.asker(asked_for),
            action=self.random.choice((*v.READING * 4, "publish", "update", "delete")),
            thing=self.thing(patient),
            person=person if patient is not None else frozenset[ID](),
            now=NOW + timedelta(hours=self.random.choice((-48, -1, 0, 0, 0, 1, 48))),
        )

    def asker(self, patient: ID | None) -> Asker:
        return Asker(
            name_id=self.random.choice(TEXTS),
            qualifier=self.random.choice(("", *TEXTS)),
            name=self.random.choice(("", *TEXTS)),
            organizations=tuple(self.some(TEXTS, 2)),
            organization_ids=tuple(self.some(TEXTS, 2)),
            home=self.random.choice(("", *TEXTS)),
            npi=self.random.choice(("", "7", "2.999.5")),
            providers=tuple(self.some(IDENTIFIERS[1:3], 2)),
            roles=tuple(self.some(ROLES, 2)),
            purposes=tuple(self.some(PURPOSES, 2)),
            patient=patient,
            reason=self.random.choice(("", " ", "unconscious", "2.999.5")),
        )

    def thing(self, patient: ID | None) -> Thing:
        kind = self.random.choice(("document-entry",) * 8 + ("folder", "submission-set"))
        unique_id = self.random.choice(TEXTS)
        if kind != "document-entry":
            codes = tuple(self.some(CODES, 2)) if kind == "folder" else ()
            return Thing(kind=kind, unique_id=unique_id, patient=patient, folder_codes=codes)
        names = ("class-code", "type-code", "format-code", "healthcare-facility-type-code", "practice-setting-code")
        times = ("creation-time", "service-start-time", "service-stop-time")
        return Thing(
            unique_id=unique_id,
            repository=self.random.choice(("", "2.999.5", "2.999.6")),
            patient=patient,
            codes={name: self.random.choice(CODES) for name in names if self.random.random() < 0.7},
            confidentiality=tuple(self.some(CODES, 2)),
            events=tuple(self.some(CODES, 2)),
            times={name: self.random.choice(DTMS) for name in times if self.random.random() < 0.7},
            institutions=tuple(self.some(XONS, 2)),
            persons=tuple(self.some(XCNS, 2)),
            authenticator=self.random.choice(("", *XCNS)),
            references=tuple(self.some(CXIS, 2)),
            source_patient=self.random.choice(("", "L1^^^&2.999.2&ISO")),
            folders=tuple(self.some(TEXTS, 2)),
            folder_codes=tuple(self.some(CODES, 2)),
            status=self.random.choice(("", "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved")),
            home=self.random.choice(("", "urn:oid:2.999.5")),
            source=self.random.choice(("", "2.999.5", "1.2.3")),
        )

    def some(self, values, most):
        return self.random.sample(values, min(self.random.randint(0, most), len(values)))

    def few(self) -> int:
        return self.random.choice((0, 0, 0, 1, 1, 2))

    # Policies as text

    def consent(self, number: int, person: frozenset[ID]) -> Signed:
        patient = self.random.choice(sorted(person))
        if self.random.random() < 0.1:
            patient = self.random.choice(PATIENTS)
        unique_id = f"urn:uuid:consent-{number}"
        about = self.match("Resource", v.SER + "patient-id", v.HL7 + "#II", patient)
        more = self.alternative("Resource")[:1] if self.random.random() < 0.2 else []
        resources = f"<Resources><Resource>{about}{''.join(more)}</Resource></Resources>"
        environments = self.window() if self.random.random() < 0.5 else ""
        target = f"<Target>{self.group('Subject', 0.2)}{resources}{environments}</Target>"
        signed = None if self.random.random() < 0.2 else NOW - timedelta(days=self.random.randint(1, 3))
        raw = self.policy_set(unique_id, depth=2, target=target, description="<Description>signed</Description>")
        return Signed(unique_id, raw, patient, valid=self.random.random() < 0.9, signed_at=signed)

    def window(self) -> str:
        alternatives = []
        for _ in range(self.random.choice((1, 1, 1, 2))):
            matches = []
            for _ in range(self.random.choice((1, 1, 2))):
                attribute, kind = self.random.choice((("current-date", "date"), ("current-dateTime", "dateTime")))
                matches.append(self.match("Environment", f"{v.CORE}environment:{attribute}", v.XS + kind))
            alternatives.append(f"<Environment>{''.join(matches)}</Environment>")
        return f"<Environments>{''.join(alternatives)}</Environments>"

    def configured(self, name: str) -> bytes:
        wrap = self.policy_set if self.random.random() < 0.5 else self.policy
        return wrap(f"urn:{name}", depth=1)

    def policy_set(self, identifier: str, *, depth: int, target: str = "", description: str = "") -> bytes:
        parts = []
        for number in range(self.random.choice((1, 1, 2, 3))):
            kind = self.random.random()
            if kind < 0.2:
                element = self.random.choice(("PolicySetIdReference", "PolicyIdReference"))
                more = ' Version="1"' if self.mistake() else ""
                parts.append(f"<{element}{more}> {self.random.choice(LIBRARY)} </{element}>")
            elif kind < 0.45 and depth:
                parts.append(self.policy_set(f"{identifier}.{number}", depth=depth - 1).decode())
            else:
                parts.append(self.policy(f"{identifier}.{number}").decode())
        combining = self.random.choice(tuple(v.POLICY_COMBINING))
        if self.mistake():
            parts.append("<Obligations/>")
        return (
            f'<PolicySet xmlns="{v.XACML}" xmlns:hl7="{v.HL7}" PolicySetId={quoted(identifier)} '
            f'PolicyCombiningAlgId="{combining}">{description}{target or self.target()}{"".join(parts)}</PolicySet>'
        ).encode()

    def policy(self, identifier: str, *, depth: int = 0) -> bytes:
        rules = "".join(self.rule(f"{identifier}/{number}") for number in range(self.random.choice((1, 1, 2, 3))))
        combining = self.random.choice(tuple(v.RULE_COMBINING))
        if self.mistake():
            combining = v.CORE + "rule-combining-algorithm:only-one-applicable"
        return (
            f'<Policy xmlns="{v.XACML}" xmlns:hl7="{v.HL7}" PolicyId={quoted(identifier)} '
            f'RuleCombiningAlgId="{combining}">{"" if self.mistake() else self.target()}{rules}</Policy>'
        ).encode()

    def rule(self, identifier: str) -> str:
        target = self.target() if self.random.random() < 0.7 else ""
        condition = f"<Condition>{self.boolean(3)}</Condition>" if self.random.random() < 0.35 else ""
        effect = self.random.choice(("Permit", "Permit", "Deny"))
        return f"<Rule RuleId={quoted(identifier)} Effect={quoted(effect)}>{target}{condition}</Rule>"

    def target(self) -> str:
        groups = (("Subject", 0.3), ("Resource", 0.3), ("Action", 0.2), ("Environment", 0.1))
        return f"<Target>{''.join(self.group(*one) for one in groups)}</Target>"

    def group(self, section: str, chance: float) -> str:
        if self.random.random() >= chance:
            return ""
        alternatives = (f"<{section}>{''.join(self.alternative(section))}</{section}>" for _ in range(1 + self.few()))
        return f"<{section}s>{''.join(alternatives)}</{section}s>"

    def alternative(self, section: str) -> list[str]:
        return [self.random_match(section) for _ in range(self.random.choice((1, 1, 1, 2)))]

    def random_match(self, section: str) -> str:
        attribute, data_type = self.attribute(section)
        return self.match(section, attribute, data_type)

    def attribute(self, section: str) -> tuple[str, str]:
        attribute = self.random.choice(tuple(v.SECTIONS[section]))
        kinds = v.SECTIONS[section][attribute]
        if self.mistake():
            return self.random.choice((attribute, "urn:unknown")), self.random.choice(tuple(v.TYPES))
        return attribute, self.random.choice([one for one in v.TYPES if v.TYPES[one] in kinds])

    def match(self, section: str, attribute: str, data_type: str, value: ID | None = None) -> str:
        function = self.comparison(data_type)
        if self.mistake():
            function = self.random.choice((v.CORE + "function:regexp-string-match", v.CORE + "function:string-equal"))
        return (
            f"<{section}Match MatchId={quoted(function)}>{self.literal(data_type, attribute, value)}"
            f"{self.designator(section, attribute, data_type)}</{section}Match>"
        )

    def comparison(self, data_type: str) -> str:
        start = next(one for one, kind in v.FUNCTION_TYPES.items() if kind == data_type)
        ordered = v.TYPES[data_type] in (v.DATE, v.DATE_TIME)
        return f"{start}-{self.random.choice(v.COMPARISONS) if ordered else 'equal'}"

    def designator(self, section: str, attribute: str, data_type: str) -> str:
        more = ' MustBePresent="true"' if self.random.random() < 0.2 else ""
        if self.mistake():
            more += ' Issuer="urn:somebody"'
        names = f"AttributeId={quoted(attribute)} DataType={quoted(data_type)}"
        return f"<{section}AttributeDesignator {names}{more}/>"

    def literal(self, data_type: str, attribute: str = "", value: ID | None = None) -> str:
        kind = v.TYPES[data_type]
        if kind == v.CODE:
            pool = ROLES if attribute.endswith(":role") else PURPOSES if attribute.endswith("purposeofuse") else CODES
            code, system = self.random.choice(pool)
            text = f"<hl7:CodedValue code={quoted(code)} codeSystem={quoted(system)}/>"
        elif kind == v.IDENTIFIER:
            root, extension = value or self.random.choice(IDENTIFIERS)
            more = f" extension={quoted(extension)}" if extension else ""
            text = f"\n  <hl7:InstanceIdentifier root={quoted(root)}{more}/>\n"
        elif kind == v.TEXT:
            text = self.random.choice((self.text(attribute), f"\n {self.text(attribute)} "))
        else:
            good = {v.BOOLEAN: ("true", "false", "1", "0"), v.DATE: DATES, v.DATE_TIME: TIMES}
            text = self.random.choice(BAD[kind] if self.mistake() else good[kind])
        return f"<AttributeValue DataType={quoted(data_type)}>{text}</AttributeValue>"

    def text(self, attribute: str) -> str:
        if attribute in v.ACTION:
            name = self.random.choice((*v.READING, *v.READING, *v.ACTIONS))
            return self.random.choice(v.ACTIONS[name]) + self.random.choice(("", "Response"))
        if attribute.endswith("resource-type"):
            return v.APPC + self.random.choice(("document-entry", "folder", "submission-set"))
        return self.random.choice(TEXTS)

    # Conditions

    def boolean(self, depth: int) -> str:
        kind = self.random.random()
        if depth and kind < 0.4:
            function = self.random.choice(("and", "or", "not"))
            number = 1 if function == "not" else self.random.choice((0, 1, 2, 3))
            number += self.random.random() < 0.03
            return self.apply(v.CORE + f"function:{function}", *(self.boolean(depth - 1) for _ in range(number)))
        if kind < 0.45:
            return self.literal(v.XS + "boolean")
        data_type = self.random.choice(tuple(v.TYPES))
        start = next(one for one, about in v.FUNCTION_TYPES.items() if about == data_type)
        if self.random.random() < 0.4:
            return self.apply(f"{start}-is-in", self.single(data_type), self.bag(data_type))
        return self.apply(self.comparison(data_type), self.single(data_type), self.single(data_type))

    def single(self, data_type: str) -> str:
        if self.random.random() < 0.04:
            return self.bag(data_type)
        if self.random.random() < 0.5:
            return self.literal(data_type, self.random.choice(tuple(v.SUBJECT)))
        start = next(one for one, about in v.FUNCTION_TYPES.items() if about == data_type)
        return self.apply(f"{start}-one-and-only", self.bag(data_type))

    def bag(self, data_type: str) -> str:
        start = next(one for one, about in v.FUNCTION_TYPES.items() if about == data_type)
        fitting = [
            (section, attribute)
            for section, attributes in v.SECTIONS.items()
            for attribute, kinds in attributes.items()
            if v.TYPES[data_type] in kinds
        ]
        if self.random.random() < 0.04:
            return self.literal(data_type)
        if not fitting or self.random.random() < 0.3:
            number = self.random.choice((0, 1, 1, 2))
            return self.apply(f"{start}-bag", *(self.literal(data_type) for _ in range(number)))
        return self.designator(*self.random.choice(fitting), data_type)

    def apply(self, function: str, *arguments: str) -> str:
        if self.mistake():
            function = v.CORE + "function:string-concatenate"
        return f"<Apply FunctionId={quoted(function)}>{''.join(arguments)}</Apply>"

    def mistake(self) -> bool:
        return self.wrong and self.random.random() < 0.03
