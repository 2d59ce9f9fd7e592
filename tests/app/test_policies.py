"""The settings of a domain's policy: what each changes in a decision, and which mistakes are told."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.policies import PATIENT_MATCH, RESOURCES, appc
from xdsi import settings
from xdsi.app.policies import PolicyTests, domain_policy
from xdsi.domain.codes import Code
from xdsi.domain.consent import Action, Effect, Resource
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.domain.subject import Subject
from xdsi.rules.consent import decide
from xdsi.wire.bppc import encode_bppc

ROLES, CONFIDENTIALITY, ACT = "2.999.40", "2.999.20", "2.16.840.1.113883.5.8"
P1 = PatientId("P1", "2.999.1.1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOCTOR = Subject(
    user_id="dr",
    issuer="idp",
    assertion_id="_1",
    roles=(Code("HCP", ROLES),),
    organization_id="urn:oid:2.999.5",
    provider_identifiers=("77^^^&2.999.4&ISO",),
    patient=P1,
)
REPORT = Resource(unique_id="1.1", patient=P1, confidentiality_codes=(Code("N", CONFIDENTIALITY),))

FLOOR = f"""
id = "floor"
[[rule]]
name = "never"
effect = "deny"
confidentiality = "SECRET^^{CONFIDENTIALITY}"
"""
ORGANIZATION = """
id = "hospital"
[[rule]]
name = "own staff"
effect = "permit"
organization = "urn:oid:2.999.5"
institution = "2.999.5"
"""
LIBRARY = f"""
id = "urn:oid:2.999.1.7.1"
[[rule]]
name = "doctors"
effect = "permit"
role = "HCP^^{ROLES}"
"""
CASES = f"""
[[case]]
name = "a doctor, where the patient accepted"
expect = "permit"
rule = "doctors"
acknowledges = ["2.999.1.7.1"]
subject = {{ role = "HCP^^{ROLES}" }}
document = {{ patient = "P1^^^&2.999.1.1&ISO", confidentiality = "N^^{CONFIDENTIALITY}" }}
[[case]]
name = "nobody sees secrets"
expect = "deny"
rule = "never"
acknowledges = ["2.999.1.7.1"]
subject = {{ role = "HCP^^{ROLES}" }}
document = {{ patient = "P1^^^&2.999.1.1&ISO", confidentiality = "SECRET^^{CONFIDENTIALITY}" }}
[[case]]
name = "a patient's own words"
expect = "permit"
consents = ["consent.xml"]
document = {{ patient = "P1^^^&2.999.1.1&ISO" }}
"""


@pytest.fixture
def folder(tmp_path):
    for part, text in (("floor", FLOOR), ("organizations", ORGANIZATION), ("library", LIBRARY)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "10-policy.toml").write_text(text)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "all.test.toml").write_text(CASES)
    (tmp_path / "tests" / "consent.xml").write_bytes(appc())
    return tmp_path


def of(folder, **changes):
    return settings.replaced(settings.Settings(), "consent", policies=str(folder) if folder else "", **changes)


def test_folder(folder):
    domain = domain_policy(of(folder, exclusions=("2.999.1.7.1",)))
    assert [one.id for one in domain.floor] == ["floor"]
    assert [one.id for one in domain.organizations] == ["hospital"]
    # BPPC consents name an OID without the prefix, APPC consents what the policy is called.
    assert domain.referable.keys() == {"2.999.1.7.1", "urn:oid:2.999.1.7.1"}
    assert domain.exclusions == {"2.999.1.7.1"}


def test_cases(folder):
    tested = list(PolicyTests(domain_policy(of(folder)), folder).run())
    assert [(one.case.name, one.passed, one.decision.rule) for one in tested] == [
        ("a doctor, where the patient accepted", True, "doctors"),
        ("nobody sees secrets", True, "never"),
        ("a patient's own words", True, "r"),
    ]


def test_an_acknowledgement_of_a_library_policy(folder):
    """BPPC: the document names the policy by its OID alone."""
    text = encode_bppc(
        document_id="2.999.30.1", patient=P1, patient_name=("Roe", "Ann"), policies=[Code("2.999.1.7.1", "2.999.1")],
        custodian=("2.999.5", "Hospital"), now=NOW, valid_from=NOW, valid_until=NOW + timedelta(days=30),
    )  # fmt: skip
    (folder / "tests" / "consent.xml").write_bytes(text)
    case = f"""[[case]]
    expect = "%s"
    at = %s
    consents = ["consent.xml"]
    subject = {{ role = "%s^^{ROLES}" }}
    document = {{ patient = "P1^^^&2.999.1.1&ISO" }}
    """
    asked = (
        ("permit", "2026-01-02T00:00:00Z", "HCP"),
        ("deny", "2026-01-02T00:00:00Z", "NURSE"),
        ("deny", "2026-02-02T00:00:00Z", "HCP"),
    )
    (folder / "tests" / "all.test.toml").write_text("".join(case % one for one in asked))
    tested = list(PolicyTests(domain_policy(of(folder)), folder).run())
    assert [one.decision.permit for one in tested] == [True, False, False]
    assert tested[0].decision.rule == "doctors"


def test_a_case_fails_where_the_answer_or_the_rule_is_another(folder):
    (folder / "floor" / "10-policy.toml").unlink()
    (folder / "library" / "10-policy.toml").write_text(LIBRARY.replace('"doctors"', '"medical doctors"'))
    tested = list(PolicyTests(domain_policy(of(folder)), folder).run())
    assert [one.passed for one in tested] == [False, False, True]


def test_a_consent_of_another_patient_proves_nothing(folder):
    about_another = RESOURCES.replace(PATIENT_MATCH, PATIENT_MATCH.replace('"P1"', '"P2"'))
    (folder / "tests" / "consent.xml").write_bytes(appc(target=about_another))
    with pytest.raises(ConfigurationError, match=r"all\.test\.toml, line 16: .*consent\.xml.*another patient"):
        list(PolicyTests(domain_policy(of(folder)), folder).run())


@pytest.mark.parametrize(
    ("cases", "told"),
    [
        (
            CASES,
            r"all\.test\.toml, line 16: consents has 'consent\.xml', and .*/tests/consent\.xml cannot be read: No such",
        ),
        (CASES.replace("[[case]]", '\n[["case"]]', 1), r"all\.test\.toml, line 17: consents has"),
        (CASES.replace("deny", "perhaps"), r"all\.test\.toml: expects nothing at case 2 \(line 9\)"),
        (
            'case = [{ name = "n", expect = "deny", consents = ["consent.xml"] }]',
            r"all\.test\.toml, case 'n': consents has 'consent\.xml'",
        ),
    ],
)
def test_where_a_test_is_wrong_is_told(folder, cases, told):
    (folder / "tests" / "consent.xml").unlink()
    (folder / "tests" / "all.test.toml").write_text(cases)
    with pytest.raises(ConfigurationError, match=told):
        list(PolicyTests(domain_policy(of(folder)), folder).run())


def test_the_example_of_the_documentation_holds(tmp_path):
    page = (Path(__file__).resolve().parents[2] / "docs" / "policy.md").read_text("utf-8")
    examples = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (policy,) = [one for one in examples if "[[rule]]" in one]
    (cases,) = [one for one in examples if "[[case]]" in one]
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "10-policy.toml").write_text(policy)
    (tmp_path / "all.test.toml").write_text(cases)
    (tested,) = PolicyTests(domain_policy(of(tmp_path)), tmp_path).run()
    assert tested.passed
    assert tested.decision.permit


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda f: (f / "floor" / "20.toml").write_text("id = 7"), "20.toml"),
        (lambda f: (f / "floor" / "20.xml").write_text("<Policy/>"), "20.xml"),
        (lambda f: (f / "floor" / "20.json").write_text("{}"), "20.json"),
        (lambda f: (f / "flor").mkdir(), "flor"),
        (lambda f: (f / "stray.toml").write_text(FLOOR), "stray.toml"),
        (lambda f: (f / "library" / "20.toml").write_text(LIBRARY), "another policy has the id"),
    ],
)
def test_a_mistake_in_the_folder_is_told(folder, spoil, named):
    spoil(folder)
    with pytest.raises(ConfigurationError, match=named):
        domain_policy(of(folder))


def test_mistakes_in_the_settings(folder, tmp_path):
    for changes, named in (
        ({"exclusions": ("2.999.9",)}, "consent.exclusions"),
        ({"time_zone": "Middle/Earth"}, "consent.time_zone"),
        ({"representatives": str(tmp_path / "none.toml")}, "consent.representatives"),
    ):
        with pytest.raises(ConfigurationError, match=named):
            domain_policy(of(folder, **changes))
    with pytest.raises(ConfigurationError, match=r"consent\.policies"):
        domain_policy(of(tmp_path / "nowhere"))


@pytest.mark.parametrize("key", ["emergency_roles", "patient_roles", "emergency_hidden"])
def test_a_code_needs_its_scheme(tmp_path, key):
    file = tmp_path / "xdsi.toml"
    file.write_text(f'[consent]\n{key} = ["HCP"]\n')
    with pytest.raises(ConfigurationError, match=key):
        settings.load(file, {})


def decided(domain, subject=DOCTOR, resource=REPORT, action=Action.QUERY):
    (decision,) = decide(subject, action, [resource], (), domain, NOW)
    return decision.permit, decision.rule


def test_each_setting_reaches_the_decision(folder):
    names = folder / "tests" / "representatives.toml"
    names.write_text('"P1^^^&2.999.1.1&ISO" = ["jo.roe"]\n')
    code, emergency = f"HCP^^{ROLES}", replace(DOCTOR, purposes=(Code("ETREAT", ACT),))
    guardian = replace(DOCTOR, user_id="jo.roe", provider_identifiers=())
    own = replace(REPORT, author_persons=(InstanceIdentifier("2.999.4", "77"),))
    at_hospital = replace(REPORT, author_institutions=(InstanceIdentifier("2.999.5"),))
    for changes, question, answer in (
        ({}, {}, (False, "default")),
        ({}, {"resource": at_hospital}, (True, "own staff")),
        ({"default": "permit"}, {}, (True, "default")),
        ({"emergency_roles": (code,)}, {"subject": emergency}, (False, "default")),
        (
            {"emergency_roles": (code,), "emergency_reason_required": False},
            {"subject": emergency},
            (True, "break-glass"),
        ),
        (
            {"emergency_roles": (code,)},
            {"subject": replace(emergency, emergency_reason="unconscious")},
            (True, "break-glass"),
        ),
        (
            {"emergency_roles": (code,), "emergency_reason_required": False, "emergency_purposes": ("X^^1.2",)},
            {"subject": emergency},
            (False, "default"),
        ),
        (
            {
                "emergency_roles": (code,),
                "emergency_reason_required": False,
                "emergency_hidden": (f"N^^{CONFIDENTIALITY}",),
            },
            {"subject": emergency},
            (False, "default"),
        ),
        ({"patient_roles": (code,), "patient_sees_documents": True}, {}, (True, "own-record")),
        ({"patient_roles": (code,)}, {}, (False, "default")),
        (
            {"representative_roles": (code,), "representatives": str(names), "patient_sees_documents": True},
            {"subject": guardian},
            (True, "own-record"),
        ),
        ({"author_sees_documents": True}, {"resource": own}, (True, "own-document")),
    ):
        assert decided(domain_policy(of(folder, **changes)), **question) == answer, changes
    domain = domain_policy(
        of(None, default="permit", combine="newest", npi_root="2.999.8", time_zone="Europe/Brussels")
    )
    assert (domain.default, domain.combine.value, domain.npi_root) == (Effect.PERMIT, "newest", "2.999.8")
    assert domain.time_zone == "Europe/Brussels"
