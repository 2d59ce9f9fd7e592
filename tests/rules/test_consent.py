"""The decision: the order of docs/policy.md section 2, one case per line of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policies import confidentiality, deny, match, organization, permit, policy, policy_set, role
from xdsi.domain.codes import Code
from xdsi.domain.consent import (
    READING,
    Action,
    Combine,
    Consent,
    Decision,
    DomainPolicy,
    Effect,
    Reference,
    Resource,
    SignatureStatus,
)
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.domain.subject import Subject
from xdsi.rules.consent import attributes_of, decide
from xdsi.spec import xacml

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
P1, P2 = PatientId("P1", "2.999.1.1"), PatientId("P2", "2.999.1.1")
CONF = "2.16.840.1.113883.5.25"
ACT = "2.16.840.1.113883.5.8"
DOCTOR = Subject(
    user_id="dr.jekyll",
    issuer="https://idp.example",
    assertion_id="_1",
    user_name="Dr Jekyll",
    organization="Hospital A",
    organization_id="urn:oid:2.999.5",
    roles=(Code("HCP", "2.999.40"),),
    purposes=(Code("TREAT", ACT),),
    patient=P1,
)
IN_EMERGENCY = replace(DOCTOR, purposes=(Code("ETREAT", ACT),), emergency_reason="unconscious")
REPORT = Resource(unique_id="1.1", patient=P1, confidentiality_codes=(Code("N", CONF),))
SECRET = Resource(unique_id="1.2", patient=P1, confidentiality_codes=(Code("V", CONF),))
DEFAULT = DomainPolicy(id="domain")
GLASS = DomainPolicy(emergency_roles=frozenset({Code("HCP", "2.999.40")}))

HCP, NURSE = role("HCP"), role("NURSE")


def consent(one, name="2.999.30.1", **changes):
    defaults = {"entry_uuid": "urn:uuid:1", "patient": P1, "status": SignatureStatus.VALID, "signed_at": NOW}
    return Consent(unique_id=name, policy=one, **defaults | changes)


PERMITS = consent(policy(permit(who=HCP), name="mine"))
DENIES = consent(policy(deny(who=HCP), name="not mine"), "2.999.30.2")
SILENT = consent(policy(permit(who=NURSE)), "2.999.30.3")


def decided(*consents, subject=DOCTOR, action=Action.QUERY, resource=REPORT, domain=DEFAULT, now=NOW, **more):
    (decision,) = decide(subject, action, [resource], consents, domain, now, **more)
    return decision


def outcome(*consents, **parts):
    decision = decided(*consents, **parts)
    return decision.permit, decision.rule


# Who asks


def test_attributes_of_a_subject():
    subject = replace(
        DOCTOR,
        user_qualifier="urn:staff",
        further_organizations=("Clinic",),
        further_organization_ids=("urn:oid:2.999.6",),
        home_community_id="urn:oid:2.999.1",
        npi="7",
        provider_identifiers=("77^^^&2.999.4&ISO", "nothing"),
        consent_documents=("urn:c",),
        privacy_policies=("urn:p",),
        emergency_reason="unconscious",
    )
    assert attributes_of(subject) == {
        xacml.SUBJECT_ID: ("dr.jekyll",),
        xacml.SUBJECT_ID_QUALIFIER: ("urn:staff",),
        xacml.SUBJECT_NAME: ("Dr Jekyll",),
        xacml.ORGANIZATION: ("Hospital A", "Clinic"),
        xacml.ORGANIZATION_ID: ("urn:oid:2.999.5", "urn:oid:2.999.6"),
        xacml.HOME_COMMUNITY_ID: ("urn:oid:2.999.1",),
        xacml.NPI: ("7",),
        xacml.PROVIDER_IDENTIFIER: (InstanceIdentifier("2.999.4", "77"),),
        xacml.ROLE: (Code("HCP", "2.999.40"),),
        xacml.PURPOSE_OF_USE: (Code("TREAT", ACT),),
        xacml.CONSENT_DOCUMENT: ("urn:c",),
        xacml.PRIVACY_POLICY: ("urn:p",),
        xacml.SUBJECT_PATIENT: (InstanceIdentifier("2.999.1.1", "P1"),),
        xacml.EMERGENCY_REASON: ("unconscious",),
    }
    assert set(attributes_of(subject)) == set(xacml.SUBJECT_TYPES)


def test_attributes_that_are_absent():
    assert attributes_of(Subject(user_id="u", issuer="i", assertion_id="_1")) == {xacml.SUBJECT_ID: ("u",)}


def test_attributes_of_another_system_count_the_same():
    assert decided(PERMITS, subject=attributes_of(DOCTOR)) == decided(PERMITS)


def test_any_of_several_organizations_counts():
    """A blacklisted second organisation must not slip through."""
    blacklist = consent(policy(deny(who=organization("urn:oid:2.999.6")), permit(who=HCP)))
    assert outcome(blacklist) == (True, "permit")
    assert outcome(blacklist, subject=replace(DOCTOR, further_organization_ids=("urn:oid:2.999.6",))) == (False, "deny")


def test_national_number_as_identifier():
    by_number = consent(policy(permit(who=match(xacml.NPI, InstanceIdentifier("2.999.8", "7")))))
    doctor = replace(DOCTOR, npi="7")
    assert outcome(by_number, subject=doctor) == (False, "default")
    assert outcome(by_number, subject=doctor, domain=DomainPolicy(npi_root="2.999.8")) == (True, "permit")


# 0. The patient of the assertion


def test_assertion_for_another_patient():
    other = replace(REPORT, unique_id="1.9", patient=P2)
    alone = decide(DOCTOR, Action.QUERY, [REPORT], [PERMITS], DEFAULT, NOW)
    both = decide(DOCTOR, Action.QUERY, [REPORT, other], [PERMITS], DEFAULT, NOW)
    # A document of somebody else that is asked for too changes nothing, as one that does not exist changes nothing.
    assert alone[0].permit
    assert both == [*alone, Decision(False, "domain", "other-patient")]


def test_assertion_for_a_patient_and_a_document_without_one():
    assert outcome(PERMITS, resource=replace(REPORT, patient=None)) == (False, "other-patient")


def test_assertion_for_no_patient_in_particular():
    assert outcome(PERMITS, subject=replace(DOCTOR, patient=None)) == (True, "permit")


def test_linked_identifiers_are_the_same_patient():
    def linked(patient):
        return {P1, P2} if patient in (P1, P2) else {patient}

    subject = replace(DOCTOR, patient=P2)
    assert outcome(PERMITS, subject=subject) == (False, "other-patient")
    assert outcome(PERMITS, subject=subject, linked=linked) == (True, "permit")
    of_p2 = consent(policy(permit(what=match(xacml.PATIENT_ID, InstanceIdentifier("2.999.1.1", "P2")))), patient=P2)
    assert outcome(of_p2) == (False, "default")
    assert outcome(of_p2, linked=linked) == (True, "permit")
    assert outcome(PERMITS, of_p2, DENIES, linked=linked) == (False, "deny")


# 1. Floor, organisations


def test_floor_is_final():
    domain = replace(GLASS, floor=(policy(deny("never", what=confidentiality("V")), name="floor"),))
    everything = consent(policy(permit()))
    assert decided(everything, resource=SECRET, domain=domain) == Decision(False, "floor", "never")
    assert decided(everything, domain=domain).permit
    lenient = replace(domain, emergency_overrides_patient=True, default=Effect.PERMIT)
    assert decided(everything, subject=IN_EMERGENCY, resource=SECRET, domain=lenient).rule == "never"


def test_permit_of_the_floor_says_nothing():
    assert outcome(domain=replace(DEFAULT, floor=(policy(permit()),))) == (False, "default")


def test_floor_in_error_refuses():
    broken = policy_set(Reference("urn:nothing"), name="floor")
    assert decided(PERMITS, domain=replace(DEFAULT, floor=(broken,))) == Decision(False, "floor", "indeterminate")


def test_organization_denies_finally():
    domain = replace(DEFAULT, organizations=(policy(deny("house rule", who=HCP), name="hospital"),))
    assert decided(PERMITS, domain=domain) == Decision(False, "hospital", "house rule")


def test_organization_in_error_refuses():
    domain = replace(DEFAULT, organizations=(policy(permit()), policy_set(Reference("urn:nothing"))))
    assert outcome(PERMITS, domain=domain) == (False, "indeterminate")


def test_organization_permits_where_no_consent_applies():
    domain = replace(DEFAULT, organizations=(policy(permit("own staff", who=HCP), name="hospital"),))
    assert decided(domain=domain) == Decision(True, "hospital", "own staff")
    assert decided(SILENT, domain=domain) == Decision(True, "hospital", "own staff")
    assert outcome(DENIES, domain=domain) == (False, "deny")
    assert decided(PERMITS, domain=domain).document == "2.999.30.1"


# Publishing


@pytest.mark.parametrize("consents", [(), (DENIES,), (PERMITS,)])
def test_consent_does_not_gate_publishing(consents):
    assert outcome(*consents, action=Action.PUBLISH) == (True, "publishing")


def test_domain_gates_publishing():
    domain = replace(DEFAULT, floor=(policy(deny("no", what=confidentiality("N"))),))
    assert outcome(action=Action.PUBLISH, domain=domain) == (False, "no")
    domain = replace(DEFAULT, organizations=(policy(deny("no", who=HCP)),))
    assert outcome(action=Action.PUBLISH, domain=domain) == (False, "no")


# The consents themselves

PATIENT = replace(DOCTOR, user_id="ann", roles=(Code("PAT", "2.999.40"),))
OWN = replace(DEFAULT, patient_roles=frozenset({Code("PAT", "2.999.40")}))
CONSENT_DOCUMENT = replace(REPORT, format_code=Code(xacml.APPC_FORMAT, xacml.FORMAT_SCHEME))


@pytest.mark.parametrize("format_code", sorted(xacml.CONSENT_FORMATS))
@pytest.mark.parametrize("action", READING)
def test_patient_reads_own_consents(format_code, action):
    document = replace(REPORT, format_code=Code(format_code, xacml.FORMAT_SCHEME))
    hidden = consent(policy(deny()))
    assert outcome(hidden, subject=PATIENT, resource=document, action=action, domain=OWN) == (True, "own-consent")


@pytest.mark.parametrize(
    "change",
    [
        {"subject": DOCTOR},
        {"subject": replace(PATIENT, patient=None)},
        {"subject": replace(PATIENT, patient=P2)},
        {"resource": REPORT},
        {"resource": replace(REPORT, format_code=Code(xacml.APPC_FORMAT, "2.999"))},
        {"resource": replace(REPORT, format_code=Code("urn:other", xacml.FORMAT_SCHEME))},
        {"action": Action.DELETE},
        {"domain": DEFAULT},
        {"domain": replace(OWN, floor=(policy(deny()),))},
    ],
)
def test_only_the_patient_only_consents(change):
    parts = {"subject": PATIENT, "resource": CONSENT_DOCUMENT, "domain": OWN} | change
    assert not decided(**parts).permit


# 2. Consents


def test_nothing_permits():
    assert decided() == Decision(False, "domain", "default")


def test_decision_names_policy_rule_and_document():
    assert decided(PERMITS) == Decision(True, "mine", "permit", "2.999.30.1")
    assert decided(DENIES) == Decision(False, "not mine", "deny", "2.999.30.2")


@pytest.mark.parametrize("order", [(PERMITS, DENIES, SILENT), (SILENT, DENIES, PERMITS)])
def test_one_deny_wins(order):
    assert outcome(*order) == (False, "deny")


def test_consent_in_error_refuses():
    broken = consent(policy_set(Reference("urn:nothing"), name="broken"))
    assert decided(PERMITS, broken) == Decision(False, "broken", "indeterminate", "2.999.30.1")
    assert outcome(broken, domain=replace(DEFAULT, default=Effect.PERMIT)) == (False, "indeterminate")


@pytest.mark.parametrize(
    "change",
    [
        {"status": SignatureStatus.PENDING},
        {"status": SignatureStatus.FAILED},
        {"valid_from": NOW + timedelta(seconds=1)},
        {"valid_until": NOW},
        {"patient": P2},
    ],
)
def test_consent_that_does_not_count(change):
    assert outcome(replace(PERMITS, **change)) == (False, "default")
    assert outcome(PERMITS, replace(DENIES, **change)) == (True, "permit")


def test_consent_within_its_window():
    assert decided(replace(PERMITS, valid_from=NOW, valid_until=NOW + timedelta(seconds=1))).permit


def test_consent_of_one_patient_is_not_of_another():
    subject = replace(DOCTOR, patient=None)
    other = replace(REPORT, patient=P2)
    first, second = decide(subject, Action.QUERY, [REPORT, other], [PERMITS], DEFAULT, NOW)
    assert (first.permit, second.permit) == (True, False)


@pytest.mark.parametrize(
    ("older", "newer", "expected"),
    [
        (DENIES, PERMITS, (True, "permit")),
        (PERMITS, DENIES, (False, "deny")),
        (PERMITS, SILENT, (False, "default")),
    ],
)
def test_newest_consent(older, newer, expected):
    domain = replace(DEFAULT, combine=Combine.NEWEST)
    older = replace(older, signed_at=NOW - timedelta(days=1))
    assert outcome(older, newer, domain=domain) == expected
    assert outcome(newer, older, domain=domain) == expected


def test_equally_new_consents_all_count():
    domain = replace(DEFAULT, combine=Combine.NEWEST)
    assert outcome(PERMITS, DENIES, domain=domain) == (False, "deny")
    unknown = [replace(one, signed_at=None) for one in (PERMITS, DENIES)]
    assert outcome(*unknown, domain=domain) == (False, "deny")


def test_inactive_consent_is_not_the_newest():
    domain = replace(DEFAULT, combine=Combine.NEWEST)
    older = replace(PERMITS, signed_at=NOW - timedelta(days=1))
    assert outcome(older, replace(DENIES, status=SignatureStatus.PENDING), domain=domain) == (True, "permit")


# Exclusion lists

LIBRARY = {"urn:exclusion": policy(deny("excluded"), name="urn:exclusion"), "urn:read": policy(permit("read"))}
EXCLUDES = consent(
    policy_set(Reference("urn:exclusion"), who=organization("2.999.5")),
    "2.999.30.4",
    signed_at=NOW - timedelta(days=100),
)
EXCLUDING = replace(GLASS, referable=LIBRARY, exclusions=frozenset({"urn:exclusion"}))


def test_exclusion_refuses_even_where_newer_consents_count_alone():
    domain = replace(EXCLUDING, combine=Combine.NEWEST)
    assert decided(PERMITS, EXCLUDES, domain=domain) == Decision(False, "urn:exclusion", "excluded", "2.999.30.4")
    ordinary = replace(domain, exclusions=frozenset())
    assert outcome(PERMITS, EXCLUDES, domain=ordinary) == (True, "permit")


def test_exclusion_stands_in_an_emergency():
    domain = replace(EXCLUDING, emergency_overrides_patient=True)
    assert outcome(EXCLUDES, subject=IN_EMERGENCY, domain=domain) == (False, "excluded")
    assert outcome(DENIES, EXCLUDES, subject=IN_EMERGENCY, domain=domain) == (False, "excluded")


def test_others_are_not_excluded():
    elsewhere = replace(DOCTOR, organization_id="urn:oid:2.999.6")
    assert outcome(PERMITS, EXCLUDES, subject=elsewhere, domain=EXCLUDING) == (True, "permit")


# 3. Default


def test_domain_that_permits():
    domain = replace(DEFAULT, default=Effect.PERMIT)
    assert outcome(domain=domain) == (True, "default")
    assert outcome(SILENT, domain=domain, subject=IN_EMERGENCY) == (True, "default")
    assert outcome(DENIES, domain=domain) == (False, "deny")


# 4. Break-glass


@pytest.mark.parametrize("action", READING)
def test_emergency_opens_what_nothing_permits(action):
    assert outcome(subject=IN_EMERGENCY, domain=GLASS, action=action) == (True, "break-glass")
    assert outcome(SILENT, subject=IN_EMERGENCY, domain=GLASS, action=action) == (True, "break-glass")


@pytest.mark.parametrize(
    "change",
    [
        {"subject": DOCTOR},
        {"subject": replace(IN_EMERGENCY, roles=(Code("CLERK", "2.999.40"),))},
        {"subject": replace(IN_EMERGENCY, purposes=(Code("ETREAT", "2.999"),))},
        {"subject": replace(IN_EMERGENCY, emergency_reason="")},
        {"subject": replace(IN_EMERGENCY, emergency_reason=" \t")},
        {"domain": DEFAULT},
        {"domain": replace(GLASS, emergency_purposes=frozenset())},
        {"action": Action.DELETE},
        {"action": Action.UPDATE},
        {"resource": SECRET, "domain": replace(GLASS, emergency_hidden=frozenset({Code("V", CONF)}))},
    ],
)
def test_not_an_emergency(change):
    parts = {"subject": IN_EMERGENCY, "domain": GLASS} | change
    assert outcome(**parts) == (False, "default")


def test_emergency_does_not_lift_the_patients_deny():
    assert outcome(DENIES, subject=IN_EMERGENCY, domain=GLASS) == (False, "deny")
    assert outcome(PERMITS, DENIES, subject=IN_EMERGENCY, domain=GLASS) == (False, "deny")


def test_patient_closes_the_glass():
    closed = consent(policy(deny("no emergency", who=match(xacml.PURPOSE_OF_USE, Code("ETREAT", ACT)))))
    assert outcome(closed, subject=IN_EMERGENCY, domain=GLASS) == (False, "no emergency")


def test_domain_may_let_an_emergency_lift_it():
    domain = replace(GLASS, emergency_overrides_patient=True)
    assert outcome(DENIES, subject=IN_EMERGENCY, domain=domain) == (True, "break-glass")
    assert outcome(DENIES, domain=domain) == (False, "deny")
    hidden = replace(domain, emergency_hidden=frozenset({Code("N", CONF)}))
    assert outcome(DENIES, subject=IN_EMERGENCY, domain=hidden) == (False, "deny")


def test_errors_are_never_lifted():
    domain = replace(GLASS, emergency_overrides_patient=True)
    for broken in (
        policy_set(Reference("urn:nothing")),
        policy_set(policy_set(Reference("urn:nothing"))),
    ):
        assert outcome(consent(broken), subject=IN_EMERGENCY, domain=domain) == (False, "indeterminate")
        assert outcome(DENIES, consent(broken), subject=IN_EMERGENCY, domain=domain) == (False, "indeterminate")


def test_permit_of_a_consent_goes_before_the_glass():
    assert outcome(PERMITS, subject=IN_EMERGENCY, domain=GLASS) == (True, "permit")
    domain = replace(GLASS, organizations=(policy(permit("own staff")),))
    assert outcome(subject=IN_EMERGENCY, domain=domain) == (True, "own staff")


# Several documents at once


def test_each_document_for_itself():
    mixed = consent(policy(deny(what=confidentiality("V")), permit(who=HCP)))
    decisions = decide(DOCTOR, Action.RETRIEVE, [SECRET, REPORT, SECRET], [mixed], DEFAULT, NOW)
    assert [decision.permit for decision in decisions] == [False, True, False]


def test_no_documents():
    assert decide(DOCTOR, Action.QUERY, [], [PERMITS], DEFAULT, NOW) == []


consents = st.lists(
    st.builds(
        replace,
        st.sampled_from([PERMITS, DENIES, SILENT, EXCLUDES]),
        status=st.sampled_from(SignatureStatus),
        signed_at=st.sampled_from([None, NOW, NOW - timedelta(days=1)]),
    ),
    max_size=4,
)
domains = st.builds(
    replace,
    st.just(EXCLUDING),
    default=st.sampled_from(Effect),
    combine=st.sampled_from(Combine),
    emergency_overrides_patient=st.booleans(),
    floor=st.sampled_from([(), (policy(deny(what=confidentiality("V"))),)]),
)


@given(consents, domains, st.sampled_from([DOCTOR, IN_EMERGENCY]), st.sampled_from(Action))
def test_laws(given_consents, domain, subject, action):
    decisions = decide(subject, action, [REPORT, SECRET], given_consents, domain, NOW)
    assert decisions == [
        decide(subject, action, [resource], given_consents, domain, NOW)[0] for resource in (REPORT, SECRET)
    ]
    active = [one for one in given_consents if one.status is SignatureStatus.VALID]
    assert decisions == decide(subject, action, [REPORT, SECRET], active, domain, NOW)
    if domain.floor:
        assert not decisions[1].permit
    if any(one.policy is EXCLUDES.policy for one in active) and action is not Action.PUBLISH:
        assert not decisions[0].permit
    for decision in decisions:
        assert decision.policy
        assert decision.rule


def test_exclusion_by_way_of_the_library():
    library = {**LIBRARY, "urn:wishes": policy_set(Reference("urn:exclusion"), name="urn:wishes")}
    domain = replace(EXCLUDING, referable=library, combine=Combine.NEWEST)
    indirect = consent(policy_set(Reference("urn:wishes")), "2.999.30.5", signed_at=NOW - timedelta(days=9))
    assert decided(PERMITS, indirect, domain=domain) == Decision(False, "urn:exclusion", "excluded", "2.999.30.5")


def test_domain_that_asks_for_no_reason():
    domain = replace(GLASS, emergency_reason_required=False)
    assert outcome(subject=replace(IN_EMERGENCY, emergency_reason=""), domain=domain) == (True, "break-glass")


# Patients, those who act for them, and authors

PATIENT = replace(DOCTOR, user_id="ann.roe", roles=(Code("PAT", "2.999.40"),))
GUARDIAN = replace(DOCTOR, user_id="jo.roe", roles=(Code("REP", "2.999.40"),))
OWN_RECORD = DomainPolicy(
    patient_roles=frozenset({Code("PAT", "2.999.40")}),
    representative_roles=frozenset({Code("REP", "2.999.40")}),
    representatives={P1: frozenset({"jo.roe"})},
    patient_sees_documents=True,
)
CLOSED = consent(policy(deny("nobody")))


@pytest.mark.parametrize("action", READING)
@pytest.mark.parametrize("subject", [PATIENT, GUARDIAN])
def test_own_record(subject, action):
    assert outcome(CLOSED, subject=subject, domain=OWN_RECORD, action=action) == (True, "own-record")


@pytest.mark.parametrize(
    "change",
    [
        {"domain": replace(OWN_RECORD, patient_sees_documents=False)},
        {"action": Action.UPDATE},
        {"action": Action.DELETE},
        {"subject": replace(GUARDIAN, user_id="somebody")},
        {"subject": replace(GUARDIAN, patient=None)},
        {"subject": replace(GUARDIAN, patient=P2), "resource": replace(REPORT, patient=P2)},
        {"subject": replace(GUARDIAN, roles=(Code("REP", "2.999.41"),))},
    ],
)
def test_not_the_own_record(change):
    parts = {"subject": GUARDIAN, "domain": OWN_RECORD} | change
    assert not decided(CLOSED, **parts).permit


def test_the_floor_hides_from_the_patient_too():
    domain = replace(OWN_RECORD, floor=(policy(deny("not yet told", what=confidentiality("V")), name="floor"),))
    assert outcome(subject=PATIENT, resource=SECRET, domain=domain) == (False, "not yet told")


def test_author_reads_his_own_where_no_consent_speaks():
    domain = DomainPolicy(author_sees_documents=True)
    author = replace(DOCTOR, provider_identifiers=("77^^^&2.999.4&ISO",))
    own = replace(REPORT, author_persons=(InstanceIdentifier("2.999.4", "77"),))
    assert outcome(subject=author, resource=own, domain=domain) == (True, "own-document")
    assert outcome(subject=author, resource=REPORT, domain=domain) == (False, "default")
    assert outcome(subject=author, resource=own) == (False, "default")
    assert outcome(subject=author, resource=own, domain=domain, action=Action.UPDATE) == (False, "default")
    assert outcome(DENIES, subject=author, resource=own, domain=domain) == (False, "deny")


# What changes a record

NAMED = match(xacml.ACTION_ID, Action.UPDATE.action_id)


@pytest.mark.parametrize("action", [Action.UPDATE, Action.DELETE])
def test_a_permit_that_names_no_action_opens_no_change(action):
    whole = policy(permit(who=HCP), name="everything")
    generous = DomainPolicy(default=Effect.PERMIT, organizations=(whole,))
    assert outcome(consent(whole), domain=generous, action=action) == (False, "default")
    assert outcome(consent(whole), domain=generous, action=Action.QUERY) == (True, "permit")


@pytest.mark.parametrize(
    "one",
    [
        policy(permit(who=HCP, action=NAMED)),
        policy(permit(who=HCP), action=NAMED),
        policy_set(policy(permit(who=HCP)), action=NAMED),
        policy_set(Reference("urn:read"), action=NAMED),
    ],
)
def test_a_permit_that_names_the_change(one):
    domain = replace(DEFAULT, referable=LIBRARY)
    assert decided(consent(one), domain=domain, action=Action.UPDATE).permit
    assert not decided(consent(one), domain=domain, action=Action.DELETE).permit


def test_a_deny_needs_no_action():
    assert outcome(consent(policy(permit(who=HCP, action=NAMED), deny(who=HCP))), action=Action.UPDATE) == (
        False,
        "deny",
    )
