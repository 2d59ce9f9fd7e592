"""XACML semantics: matches, conditions, combining, references, and that reducing changes nothing."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policies import confidentiality, deny, match, organization, permit, policy, policy_set, role, target
from xdsi.domain.codes import Code
from xdsi.domain.consent import (
    Action,
    Apply,
    Designator,
    Literal,
    Policy,
    Reference,
    Resource,
    ResourceKind,
    Rule,
    Section,
    Target,
    Verdict,
)
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.rules.policy_attributes import (
    RESOURCE_ATTRIBUTES,
    attributes_of_resource,
    canonical,
    patient_asked_for,
)
from xdsi.rules.policy_conditions import Request, instant_of, zone_of
from xdsi.rules.policy_evaluation import MAX_REFERENCES, evaluate
from xdsi.spec import xacml

NOW = datetime(2024, 5, 31, 22, 30, tzinfo=UTC)
BRUSSELS = ZoneInfo("Europe/Brussels")
P1 = PatientId("P1", "2.999.1.1")
CONF = "2.16.840.1.113883.5.25"
SUBJECT = {
    xacml.SUBJECT_ID: ("dr.jekyll",),
    xacml.ORGANIZATION_ID: ("urn:oid:2.999.5",),
    xacml.ROLE: (Code("HCP", "2.999.40", "shown"), Code("SURGEON", "2.999.40")),
    xacml.NPI: ("7",),
}
RESOURCE = Resource(
    unique_id="1.2.3",
    repository_unique_id="2.999.1.2",
    patient=P1,
    class_code=Code("REPORTS", "2.999.20"),
    type_code=Code("34133-9", "2.16.840.1.113883.6.1"),
    format_code=Code("urn:f", "2.999.21"),
    confidentiality_codes=(Code("N", CONF), Code("R", CONF)),
    event_codes=(Code("CT", "1.2.840.10008.2.16.4"),),
    healthcare_facility_type_code=Code("H", "2.999.22"),
    practice_setting_code=Code("RAD", "2.999.23"),
    author_institutions=(InstanceIdentifier("2.999.5"),),
    author_persons=(InstanceIdentifier("2.999.4", "77"),),
    legal_authenticator=InstanceIdentifier("2.999.4.78"),
    reference_ids=("1.2.840.1^^^^urn:ihe:iti:xds:2016:studyInstanceUID", "A7^^^&2.999.6&ISO^urn:x"),
    source_patient_id="L1^^^&2.999.2&ISO",
    folder_ids=("1.9",),
    folder_codes=(Code("F33.1", "2.16.840.1.113883.6.3"),),
    creation_time="2024010203",
    service_start_time="20240101",
    service_stop_time="20240102030405",
    home_community_id="urn:oid:2.999.1",
    source_id="2.999.3",
    availability_status="urn:oasis:names:tc:ebxml-regrep:StatusType:Approved",
)
YES = Literal(value=True, data_type=xacml.BOOLEAN)
NO = Literal(value=False, data_type=xacml.BOOLEAN)
ERROR = Apply(function="urn:unknown")
BROKEN = match(xacml.SUBJECT_ID, "x", must_be_present=True, function="urn:unknown")


def request(*, subject=SUBJECT, action=Action.RETRIEVE, resource=RESOURCE, patients=(P1,), now=NOW, zone=UTC):
    return Request.of(subject, action, patients, now, zone=zone).about(resource)


def verdict(one, library=None, **parts):
    return evaluate(one, request(**parts), library or {}).verdict


def says(*, who=None, what=None, action=None, when=None, condition=None, **parts):
    """Whether one permitting rule applies."""
    rule = permit(condition=condition, who=who, what=what, action=action, when=when)
    return verdict(policy(rule), **parts)


PERMIT, DENY, NOT_APPLICABLE, INDETERMINATE = (
    Verdict.PERMIT,
    Verdict.DENY,
    Verdict.NOT_APPLICABLE,
    Verdict.INDETERMINATE,
)


# Attributes

FOUND = {
    xacml.PATIENT_ID: InstanceIdentifier("2.999.1.1", "P1"),
    xacml.PATIENT_ID_CH: InstanceIdentifier("2.999.1.1", "P1"),
    xacml.DOCUMENT_ID: "1.2.3",
    xacml.REPOSITORY_UNIQUE_ID: "urn:oid:2.999.1.2",
    xacml.REPOSITORY_UNIQUE_ID_2007: "2.999.1.2",
    xacml.RESOURCE_TYPE: "urn:ihe:iti:appc:2016:document-entry",
    xacml.CLASS_CODE: Code("REPORTS", "2.999.20"),
    xacml.TYPE_CODE: Code("34133-9", "2.16.840.1.113883.6.1"),
    xacml.FORMAT_CODE: Code("urn:f", "2.999.21"),
    xacml.CONFIDENTIALITY_CODE: Code("R", CONF),
    xacml.CONFIDENTIALITY_CODE_ENTRY: Code("N", CONF),
    xacml.CONFIDENTIALITY_CODE_CH: Code("N", CONF),
    xacml.EVENT_CODE: Code("CT", "1.2.840.10008.2.16.4"),
    xacml.HEALTHCARE_FACILITY_TYPE_CODE: Code("H", "2.999.22"),
    xacml.PRACTICE_SETTING_CODE: Code("RAD", "2.999.23"),
    xacml.CREATION_TIME: "2024-01-02T03:00:00Z",
    xacml.SERVICE_START_TIME: "2024-01-01T00:00:00Z",
    xacml.SERVICE_STOP_TIME: "2024-01-02T03:04:05Z",
    xacml.AUTHOR_INSTITUTION: InstanceIdentifier("2.999.5"),
    xacml.AUTHOR_PERSON: InstanceIdentifier("2.999.4", "77"),
    xacml.LEGAL_AUTHENTICATOR: InstanceIdentifier("2.999.4.78"),
    xacml.REFERENCE_ID: InstanceIdentifier("2.999.6", "A7"),
    xacml.SOURCE_PATIENT_ID: InstanceIdentifier("2.999.2", "L1"),
    xacml.FOLDER_ID: "1.9",
    xacml.FOLDER_CODE: Code("F33.1", "2.16.840.1.113883.6.3"),
    xacml.AVAILABILITY_STATUS: "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved",
    xacml.COMMUNITY_ID: "2.999.1",
    xacml.SOURCE_SYSTEM_ID: InstanceIdentifier("2.999.3"),
}


@pytest.mark.parametrize("attribute", FOUND)
def test_resource_attribute(attribute):
    value = FOUND[attribute]
    assert says(what=match(attribute, value)) is PERMIT
    other = {Code: Code("other", CONF), InstanceIdentifier: InstanceIdentifier("2.999.77")}.get(type(value), "other")
    assert says(what=match(attribute, other)) is NOT_APPLICABLE
    assert says(what=match(attribute, value), resource=Resource(unique_id=""), patients=()) in (
        PERMIT if attribute == xacml.RESOURCE_TYPE else NOT_APPLICABLE,
        NOT_APPLICABLE,
    )


def test_every_attribute_of_the_specification_has_a_source():
    assert {*RESOURCE_ATTRIBUTES, xacml.PATIENT_ID, xacml.PATIENT_ID_CH} == set(xacml.RESOURCE_TYPES)
    assert set(attributes_of_resource(RESOURCE)) == {
        *xacml.RESOURCE_TYPES.keys() - {xacml.FOLDER_OWN_CODE, xacml.PATIENT_ID_CH}
    }


def test_identifier_that_is_an_oid_is_compared_as_text_too():
    for attribute, text in (
        (xacml.AUTHOR_INSTITUTION, "urn:oid:2.999.5"),
        (xacml.LEGAL_AUTHENTICATOR, "2.999.4.78"),
        (xacml.SOURCE_SYSTEM_ID, "urn:oid:2.999.3"),
    ):
        assert says(what=match(attribute, text)) is PERMIT
    assert says(what=match(xacml.AUTHOR_PERSON, "2.999.4")) is NOT_APPLICABLE


def test_study_is_a_reference():
    assert says(what=match(xacml.REFERENCE_ID, InstanceIdentifier("1.2.840.1"))) is PERMIT


def test_folder():
    folder = Resource(unique_id="1.9", kind=ResourceKind.FOLDER, patient=P1, folder_codes=(Code("F33.1", "1.6"),))
    own, related = match(xacml.FOLDER_OWN_CODE, Code("F33.1", "1.6")), match(xacml.FOLDER_CODE, Code("F33.1", "1.6"))
    assert says(what=own, resource=folder) is PERMIT
    assert says(what=related, resource=folder) is NOT_APPLICABLE
    assert says(what=match(xacml.FOLDER_OWN_CODE, RESOURCE.folder_codes[0])) is NOT_APPLICABLE
    assert says(what=match(xacml.RESOURCE_TYPE, "urn:ihe:iti:appc:2016:folder"), resource=folder) is PERMIT


def test_all_identifiers_of_the_patient():
    other = PatientId("national", "2.999.9")
    by_other = match(xacml.PATIENT_ID, InstanceIdentifier("2.999.9", "national"))
    assert says(what=by_other, patients=(P1, other)) is PERMIT
    assert says(what=by_other) is NOT_APPLICABLE


def test_unusable_time_is_absent():
    resource = Resource(unique_id="1", creation_time="yesterday")
    assert attributes_of_resource(resource) == {
        xacml.DOCUMENT_ID: ("1",),
        xacml.RESOURCE_TYPE: ("urn:ihe:iti:appc:2016:document-entry",),
    }


def test_patient_of_an_assertion():
    assert patient_asked_for({xacml.SUBJECT_PATIENT: (InstanceIdentifier("1.2", "x"),)}) == PatientId("x", "1.2")
    assert patient_asked_for({}) is None


# Actions


@pytest.mark.parametrize("action", list(Action))
def test_every_name_of_an_action(action):
    for name in xacml.ACTION_NAMES[action]:
        for written in (name, name + "Response"):
            assert verdict(policy(permit(action=match(xacml.ACTION_ID, written))), action=action) is PERMIT
            assert Action.of(f" {written}\n") is action
    other = next(a for a in Action if a is not action)
    assert verdict(policy(permit(action=match(xacml.ACTION_ID, xacml.ACTION_NAMES[other][0]))), action=action) is (
        NOT_APPLICABLE
    )


def test_unknown_action():
    assert Action.of("urn:x") is None
    assert canonical("urn:oid:1.2") == "1.2"
    assert canonical("urn:oid:" + "1" * 1000) == "1" * 1000


# Matches


def test_code_is_code_and_system():
    assert says(who=role("HCP")) is PERMIT
    assert says(who=role("NURSE")) is NOT_APPLICABLE
    assert says(who=match(xacml.ROLE, Code("HCP", "2.999.41"))) is NOT_APPLICABLE


def test_identifier_without_extension_is_not_a_wildcard():
    assert says(what=match(xacml.AUTHOR_PERSON, InstanceIdentifier("2.999.4"))) is NOT_APPLICABLE
    assert says(what=match(xacml.AUTHOR_INSTITUTION, InstanceIdentifier("2.999.5", "x"))) is NOT_APPLICABLE


@pytest.mark.parametrize("written", ["urn:oid:2.999.5", "2.999.5"])
@pytest.mark.parametrize("sent", ["urn:oid:2.999.5", "2.999.5"])
def test_oid_with_or_without_its_prefix(written, sent):
    assert says(who=organization(written), subject={xacml.ORGANIZATION_ID: (sent,)}) is PERMIT


def test_any_value_counts():
    assert says(what=confidentiality("R")) is PERMIT
    assert says(who=organization("2.999.6"), subject={xacml.ORGANIZATION_ID: ("2.999.5", "2.999.6")}) is PERMIT


def test_missing_attribute():
    assert says(who=role("HCP"), subject={}) is NOT_APPLICABLE
    present = match(xacml.ROLE, Code("HCP", "2.999.40"), must_be_present=True)
    assert says(who=present, subject={}) is INDETERMINATE
    assert says(who=present) is PERMIT
    required = match(xacml.LEGAL_AUTHENTICATOR, InstanceIdentifier("1.2"), must_be_present=True)
    assert says(what=required, resource=Resource(unique_id="1")) is INDETERMINATE
    # Only values of the literal's kind count as present.
    as_text = match(xacml.AUTHOR_PERSON, "1.2", must_be_present=True)
    with_extension = Resource(unique_id="1", author_persons=(InstanceIdentifier("1.2", "7"),))
    assert says(what=as_text, resource=with_extension) is INDETERMINATE


def test_unknown_function():
    assert says(who=match(xacml.SUBJECT_ID, "dr.jekyll", function="urn:unknown")) is INDETERMINATE


def test_and_inside_or_between():
    def result(*groups):
        rule = Rule(id="r", effect=permit().effect, target=Target(subjects=groups))
        return verdict(policy(rule))

    yes, no = role("HCP"), role("NURSE")
    assert result((yes, no)) is NOT_APPLICABLE
    assert result((yes, no), (yes,)) is PERMIT
    assert result((no,), (no,)) is NOT_APPLICABLE
    assert result((BROKEN,), (yes,)) is PERMIT
    assert result((BROKEN,), (no,)) is INDETERMINATE
    assert result((BROKEN, no)) is NOT_APPLICABLE
    assert result((BROKEN, yes)) is INDETERMINATE


def test_sections_add_up():
    assert says(who=role("HCP"), what=confidentiality("V")) is NOT_APPLICABLE
    assert says(who=role("NURSE"), what=confidentiality("N")) is NOT_APPLICABLE
    assert says(who=BROKEN, what=confidentiality("V")) is NOT_APPLICABLE
    assert says(who=BROKEN, what=confidentiality("N")) is INDETERMINATE
    assert says(who=role("HCP"), what=confidentiality("N")) is PERMIT


# Time


def date_match(comparison, literal):
    return match(xacml.CURRENT_DATE, literal, f"urn:oasis:names:tc:xacml:1.0:function:date-{comparison}")


def time_match(comparison, literal):
    return match(xacml.CURRENT_DATE_TIME, literal, f"urn:oasis:names:tc:xacml:1.0:function:dateTime-{comparison}")


@pytest.mark.parametrize(
    ("when", "zone", "expected"),
    [
        (date_match("greater-than-or-equal", "2024-05-31"), UTC, PERMIT),
        (date_match("greater-than-or-equal", "2024-05-31"), BRUSSELS, NOT_APPLICABLE),
        (date_match("greater-than-or-equal", "2024-06-01"), BRUSSELS, PERMIT),
        (date_match("greater-than", "2024-05-31"), UTC, NOT_APPLICABLE),
        (date_match("less-than-or-equal", "2024-05-31"), UTC, PERMIT),
        (date_match("less-than", "2024-05-31"), UTC, NOT_APPLICABLE),
        (date_match("equal", "2024-05-31Z"), UTC, PERMIT),
        (date_match("equal", "2024-05-31+02:00"), UTC, NOT_APPLICABLE),
        (date_match("equal", "2024-02-30"), UTC, INDETERMINATE),
        (date_match("equal", "soon"), UTC, INDETERMINATE),
        (time_match("less-than", "2024-05-31T22:29:59Z"), UTC, PERMIT),
        (time_match("less-than", "2024-05-31T22:30:00Z"), UTC, NOT_APPLICABLE),
        (time_match("less-than-or-equal", "2024-05-31T22:30:00Z"), BRUSSELS, PERMIT),
        (time_match("equal", "2024-06-01T00:30:00"), BRUSSELS, PERMIT),
        (time_match("greater-than", "2024-06-01T00:30:00.5+02:00"), UTC, PERMIT),
        (time_match("equal", "now"), UTC, INDETERMINATE),
    ],
)
def test_time(when, zone, expected):
    assert verdict(policy(permit(when=when)), zone=zone) is expected


def test_time_of_a_document():
    older = match(xacml.CREATION_TIME, "2024-02-01T00:00:00Z", xacml.DATE_TIME_GREATER)
    assert says(what=older) is PERMIT
    assert says(what=match(xacml.CREATION_TIME, "2024-01-01T00:00:00Z", xacml.DATE_TIME_GREATER)) is NOT_APPLICABLE


def test_zones():
    assert zone_of("UTC") is UTC
    assert zone_of("Europe/Brussels") == BRUSSELS
    for name in ("Nowhere/Land", "../etc/passwd", ""):
        with pytest.raises(ConfigurationError):
            zone_of(name)


def test_instants_far_away_compare():
    assert instant_of("0001-01-01+14:00", xacml.DATE, UTC) < instant_of("9999-12-31-12:00", xacml.DATE, UTC)


# Conditions


def call(name, *arguments):
    return Apply(function=name, arguments=arguments)


def text(value):
    return Literal(value=value, data_type=xacml.STRING)


def attribute(section, name, data_type=xacml.STRING, **more):
    return Designator(section=section, attribute=name, data_type=data_type, **more)


NPI = attribute(Section.SUBJECT, xacml.NPI)
ROLES = attribute(Section.SUBJECT, xacml.ROLE, xacml.CV)
STRING_IS_IN = "urn:oasis:names:tc:xacml:1.0:function:string-is-in"
ONE = "urn:oasis:names:tc:xacml:1.0:function:string-one-and-only"
BAG = "urn:oasis:names:tc:xacml:1.0:function:string-bag"
CV_IS_IN = "urn:hl7-org:v3:function:CV-is-in"
DATE_IS_IN = "urn:oasis:names:tc:xacml:1.0:function:date-is-in"
URI_ONE = "urn:oasis:names:tc:xacml:1.0:function:anyURI-one-and-only"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (YES, PERMIT),
        (NO, NOT_APPLICABLE),
        (text("true"), INDETERMINATE),
        (NPI, INDETERMINATE),
        (ERROR, INDETERMINATE),
        (call(xacml.NOT, NO), PERMIT),
        (call(xacml.NOT, YES, NO), INDETERMINATE),
        (call(xacml.AND), PERMIT),
        (call(xacml.AND, YES, NO), NOT_APPLICABLE),
        (call(xacml.AND, NO, ERROR), NOT_APPLICABLE),
        (call(xacml.AND, YES, ERROR), INDETERMINATE),
        (call(xacml.OR), NOT_APPLICABLE),
        (call(xacml.OR, NO, YES), PERMIT),
        (call(xacml.OR, YES, ERROR), PERMIT),
        (call(xacml.STRING_EQUAL, text("a"), text("a")), PERMIT),
        (call(xacml.STRING_EQUAL, text("a"), text("b")), NOT_APPLICABLE),
        (call(xacml.STRING_EQUAL, text("a"), NPI), INDETERMINATE),
        (call(xacml.STRING_EQUAL, text("a")), INDETERMINATE),
        (call(xacml.STRING_EQUAL, call(ONE, NPI), text("7")), PERMIT),
        (call(ONE, ROLES), INDETERMINATE),
        (call(ONE, text("a")), INDETERMINATE),
        (call(STRING_IS_IN, text("7"), NPI), PERMIT),
        (call(xacml.NOT, call(STRING_IS_IN, text("8"), NPI)), PERMIT),
        (call(STRING_IS_IN, text("7"), text("7")), INDETERMINATE),
        (call(STRING_IS_IN, text("a"), call(BAG, text("b"), text("a"))), PERMIT),
        (call(STRING_IS_IN, text("a"), call(BAG)), NOT_APPLICABLE),
        (call(BAG, NPI), INDETERMINATE),
        (call(CV_IS_IN, Literal(value=Code("HCP", "2.999.40"), data_type=xacml.CV), ROLES), PERMIT),
        (
            call(
                DATE_IS_IN,
                Literal(value="2024-05-31Z", data_type=xacml.DATE),
                attribute(Section.ENVIRONMENT, xacml.CURRENT_DATE, xacml.DATE),
            ),
            PERMIT,
        ),
        (
            call(
                xacml.ANY_URI_EQUAL,
                call(URI_ONE, attribute(Section.ACTION, xacml.ACTION_ID, xacml.ANY_URI)),
                text("urn:ihe:iti:2007:RetrieveDocumentSetResponse"),
            ),
            PERMIT,
        ),
        (
            call(
                STRING_IS_IN,
                text("1.2.3"),
                attribute(Section.RESOURCE, xacml.DOCUMENT_ID),
            ),
            PERMIT,
        ),
        (
            call(
                xacml.DATE_TIME_LESS,
                Literal(value="2024-01-01T00:00:00Z", data_type=xacml.DATE_TIME),
                Literal(value=True, data_type=xacml.BOOLEAN),
            ),
            INDETERMINATE,
        ),
        (call(STRING_IS_IN, text("x"), attribute(Section.SUBJECT, xacml.PURPOSE_OF_USE)), NOT_APPLICABLE),
        (
            call(STRING_IS_IN, text("x"), attribute(Section.SUBJECT, xacml.PURPOSE_OF_USE, must_be_present=True)),
            INDETERMINATE,
        ),
    ],
)
def test_condition(condition, expected):
    assert says(condition=condition) is expected


def test_condition_counts_only_where_the_target_matches():
    assert says(who=role("NURSE"), condition=ERROR) is NOT_APPLICABLE
    assert says(what=confidentiality("V"), condition=ERROR) is NOT_APPLICABLE
    assert says(what=confidentiality("N"), condition=YES) is PERMIT
    assert says(who=BROKEN, condition=YES) is INDETERMINATE


# Combining of rules

SILENT = {"who": role("NURSE")}
PERMITS, DENIES = permit(), deny()
BAD_PERMIT, BAD_DENY = permit("bad", condition=ERROR), deny("bad", condition=ERROR)
NOTHING = permit("nothing", **SILENT)
RULES = {
    "deny-overrides": [
        ((), NOT_APPLICABLE),
        ((NOTHING,), NOT_APPLICABLE),
        ((PERMITS, DENIES), DENY),
        ((PERMITS, NOTHING), PERMIT),
        ((PERMITS, BAD_PERMIT), PERMIT),
        ((PERMITS, BAD_DENY), INDETERMINATE),
        ((BAD_DENY, DENIES), DENY),
        ((BAD_PERMIT, NOTHING), INDETERMINATE),
    ],
    "permit-overrides": [
        ((), NOT_APPLICABLE),
        ((DENIES, PERMITS), PERMIT),
        ((DENIES, NOTHING), DENY),
        ((DENIES, BAD_DENY), DENY),
        ((DENIES, BAD_PERMIT), INDETERMINATE),
        ((BAD_DENY,), INDETERMINATE),
    ],
    "first-applicable": [
        ((), NOT_APPLICABLE),
        ((NOTHING, DENIES, PERMITS), DENY),
        ((NOTHING, PERMITS, DENIES), PERMIT),
        ((BAD_PERMIT, PERMITS), INDETERMINATE),
    ],
}


@pytest.mark.parametrize(
    ("algorithm", "rules", "expected"), [(a, r, e) for a, cases in RULES.items() for r, e in cases]
)
@pytest.mark.parametrize("late", [False, True])
def test_combining_rules(algorithm, rules, expected, late):
    """`late`: the answer depends on the document, so that nothing is known before."""
    if late:
        marker = ((confidentiality("N"),),)
        rules = tuple(
            Rule(
                id=r.id,
                effect=r.effect,
                target=Target(subjects=r.target.subjects, resources=marker),
                condition=r.condition,
            )
            for r in rules
        )
    for name, meaning in xacml.RULE_ALGORITHMS.items():
        if meaning == algorithm:
            assert verdict(policy(*rules, combining=name)) is expected


# Combining of policies

P, D, N = policy(permit()), policy(deny()), policy(NOTHING)
BAD = policy(BAD_DENY)
POLICIES = {
    "deny-overrides": [
        ((), NOT_APPLICABLE),
        ((N,), NOT_APPLICABLE),
        ((P, D), DENY),
        ((P, N), PERMIT),
        ((P, BAD), DENY),
        ((BAD, P), DENY),
    ],
    "permit-overrides": [
        ((), NOT_APPLICABLE),
        ((D, P), PERMIT),
        ((D, N), DENY),
        ((BAD, P), PERMIT),
        ((BAD, D), DENY),
        ((BAD, N), INDETERMINATE),
    ],
    "first-applicable": [
        ((), NOT_APPLICABLE),
        ((N, D, P), DENY),
        ((N, P, D), PERMIT),
        ((N, BAD, P), INDETERMINATE),
    ],
}


@pytest.mark.parametrize(
    ("algorithm", "children", "expected"), [(a, c, e) for a, cases in POLICIES.items() for c, e in cases]
)
@pytest.mark.parametrize("late", [False, True])
def test_combining_policies(algorithm, children, expected, late):
    if late:
        children = tuple(
            Policy(id=c.id, combining=c.combining, children=c.children, target=target(what=confidentiality("N")))
            for c in children
        )
    for name, meaning in xacml.POLICY_ALGORITHMS.items():
        if meaning == algorithm:
            assert verdict(policy_set(*children, combining=name)) is expected


@pytest.mark.parametrize(
    "wrong",
    [
        policy(permit(), combining="urn:unknown"),
        policy_set(permit()),
        policy(P),
        policy(permit(), who=BROKEN),
        policy(permit(), what=match(xacml.CREATION_TIME, "x", xacml.DATE_TIME_LESS)),
    ],
)
def test_policy_in_error(wrong):
    assert verdict(wrong) is INDETERMINATE


def test_target_of_a_policy():
    assert verdict(policy(deny(), who=role("NURSE"))) is NOT_APPLICABLE
    assert verdict(policy(deny(), what=confidentiality("V"))) is NOT_APPLICABLE
    assert verdict(policy(permit(), what=confidentiality("N"))) is PERMIT


def test_who_decided():
    evaluation = evaluate(policy_set(policy(permit("a"), deny("b"), name="inner"), name="outer"), request(), {})
    assert (evaluation.policy, evaluation.rule) == ("inner", "b")
    evaluation = evaluate(policy_set(P, BAD), request(), {})
    assert evaluation.rule == "indeterminate"


# References


def test_reference():
    assert verdict(policy_set(Reference("urn:a")), {"urn:a": P}) is PERMIT
    assert verdict(policy_set(Reference("urn:a"), Reference("urn:b")), {"urn:a": P, "urn:b": D}) is DENY


@pytest.mark.parametrize("algorithm", xacml.POLICY_ALGORITHMS)
def test_unknown_reference_spoils_the_whole_set(algorithm):
    assert verdict(policy_set(P, Reference("urn:nothing"), combining=algorithm)) is INDETERMINATE
    assert verdict(policy_set(Reference("urn:nothing"), who=role("NURSE"), combining=algorithm)) is NOT_APPLICABLE


def test_cycle():
    library = {"urn:a": policy_set(Reference("urn:b")), "urn:b": policy_set(Reference("urn:a"))}
    assert verdict(policy_set(Reference("urn:a")), library) is DENY


def test_long_chain():
    library = {str(n): policy_set(Reference(str(n + 1))) for n in range(MAX_REFERENCES + 1)}
    library[str(MAX_REFERENCES - 1)] = P
    assert verdict(policy_set(Reference("0")), library) is PERMIT
    library[str(MAX_REFERENCES - 1)] = policy_set(Reference(str(MAX_REFERENCES)))
    library[str(MAX_REFERENCES)] = P
    assert verdict(policy_set(Reference("0")), library) is DENY


# One question about many documents gives what a question about each gives

rule_parts = st.fixed_dictionaries(
    {
        "who": st.sampled_from([None, role("HCP"), role("NURSE"), BROKEN]),
        "what": st.sampled_from(
            [
                None,
                confidentiality("N"),
                confidentiality("V"),
                match(xacml.PATIENT_ID, InstanceIdentifier("2.999.1.1", "P1")),
                match(xacml.PATIENT_ID, InstanceIdentifier("2.999.1.1", "P2")),
                match(xacml.PATIENT_ID, InstanceIdentifier("2.999.1.1", "P1"), function="urn:unknown"),
                match(xacml.LEGAL_AUTHENTICATOR, InstanceIdentifier("1.2"), must_be_present=True),
            ]
        ),
    }
)
conditions = st.sampled_from([None, YES, NO, ERROR])
rules_drawn = st.builds(
    lambda make, name, condition, parts: make(name, condition, **parts),
    st.sampled_from([permit, deny]),
    st.sampled_from("abc"),
    conditions,
    rule_parts,
)
policies_drawn = st.recursive(
    st.builds(
        lambda rules, algorithm, parts: policy(*rules, combining=algorithm, **parts),
        st.lists(rules_drawn, max_size=3),
        st.sampled_from([*xacml.RULE_ALGORITHMS, "urn:unknown"]),
        rule_parts,
    ),
    lambda children: st.builds(
        lambda inner, algorithm, parts: policy_set(*inner, combining=algorithm, **parts),
        st.lists(children | st.sampled_from([Reference("urn:a"), Reference("urn:none")]), max_size=3),
        st.sampled_from([*xacml.POLICY_ALGORITHMS]),
        rule_parts,
    ),
    max_leaves=4,
)


def plainly(one, subject_request, library):
    """XACML 2.0 read off the specification, with nothing worked out in advance."""

    def section(alternatives, bag):
        from xdsi.rules.policy_conditions import match_holds

        if not alternatives:
            return True
        results = []
        for alternative in alternatives:
            parts = [match_holds(m, bag, UTC) for m in alternative]
            results.append(False if False in parts else None if None in parts else True)
        return True if True in results else None if None in results else False

    def applies(t):
        parts = [
            section(t.subjects, subject_request.subject),
            section(t.resources, subject_request.resource),
            section(t.actions, subject_request.action),
            section(t.environments, subject_request.environment),
        ]
        return False if False in parts else None if None in parts else True

    def rule_verdict(rule):
        from xdsi.rules.policy_conditions import condition_holds

        held = applies(rule.target)
        if held and rule.condition is not None:
            held = condition_holds(rule.condition, subject_request)
        return INDETERMINATE if held is None else Verdict(rule.effect.value) if held else NOT_APPLICABLE

    def walk(p):
        held = applies(p.target)
        if not held:
            return INDETERMINATE if held is None else NOT_APPLICABLE
        if p.combining in xacml.RULE_ALGORITHMS:
            results = [(rule_verdict(r), Verdict(r.effect.value)) for r in p.children]
            algorithm = xacml.RULE_ALGORITHMS[p.combining]
        elif p.combining in xacml.POLICY_ALGORITHMS:
            inner = [library.get(c.id) if isinstance(c, Reference) else c for c in p.children]
            if None in inner:
                return INDETERMINATE
            algorithm = xacml.POLICY_ALGORITHMS[p.combining]
            results = [(walk(c), None) for c in inner]
            if algorithm == "deny-overrides":
                results = [(DENY if v is INDETERMINATE else v, e) for v, e in results]
        else:
            return INDETERMINATE
        verdicts = [v for v, _ in results]
        if algorithm == "first-applicable":
            return next((v for v in verdicts if v is not NOT_APPLICABLE), NOT_APPLICABLE)
        first, second = (DENY, PERMIT) if algorithm == "deny-overrides" else (PERMIT, DENY)
        if first in verdicts:
            return first
        if (INDETERMINATE, first) in results:
            return INDETERMINATE
        return second if second in verdicts else INDETERMINATE if INDETERMINATE in verdicts else NOT_APPLICABLE

    return walk(one)


@given(policies_drawn)
def test_reducing_changes_nothing(drawn):
    library = {"urn:a": policy(deny(what=confidentiality("V")), permit())}
    question = Request.of(SUBJECT, Action.QUERY, (P1,), NOW)
    for resource in (RESOURCE, Resource(unique_id="1", confidentiality_codes=(Code("V", CONF),))):
        asked = question.about(resource)
        assert evaluate(drawn, asked, library).verdict is plainly(drawn, asked, library)
