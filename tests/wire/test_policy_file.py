"""A domain's policies and their tests, from files."""

import pytest

from tests.policies import PERMIT_ALL
from xdsi.domain.codes import Code
from xdsi.domain.consent import Action, Effect
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.identifiers import InstanceIdentifier, PatientId
from xdsi.spec import xacml
from xdsi.spec.namespaces import XACML_POLICY
from xdsi.wire import policy_file
from xdsi.wire.policy_cases import decode_cases

POLICY = """
id = "2.999.1.7.1"
combine = "first-applicable"
[[rule]]
name = "doctors"
effect = "permit"
role = ["HCP^^2.999.40", "NURSE^^2.999.40"]
confidentiality = "N^^2.999.20"
[[rule]]
name = "nobody else"
effect = "deny"
"""


def test_rules():
    policy = policy_file.decode(POLICY.encode())
    assert (policy.id, xacml.RULE_ALGORITHMS[policy.combining]) == ("2.999.1.7.1", "first-applicable")
    doctors, nobody = policy.children
    assert (doctors.id, doctors.effect, nobody.effect) == ("doctors", Effect.PERMIT, Effect.DENY)
    assert len(doctors.target.subjects) == 2
    assert len(doctors.target.resources) == 1


def test_a_permit_is_about_reading_and_a_deny_about_everything():
    doctors, nobody = policy_file.decode(POLICY.encode()).children
    ids = {match.value for (match,) in doctors.target.actions}
    assert ids == {f"{name}Response" for action in ("query", "retrieve", "retrieve-imaging") for name in
                   xacml.ACTION_NAMES[action]}  # fmt: skip
    assert nobody.target.actions == ()


def test_xacml():
    raw = PERMIT_ALL.replace("<Policy ", f'<Policy xmlns="{XACML_POLICY}" ').encode()
    assert policy_file.decode(b"\n" + raw).id == "p"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('effect = "permit"', 'effect = "allow"', "rule 1"),
        ('name = "doctors"', "", "rule 1"),
        ('name = "nobody else"', 'name = "doctors"', "two rules"),
        ("role =", "rolle =", "'rolle'"),
        ("HCP^^2.999.40", "HCP", "'HCP'"),
        ("first-applicable", "last-applicable", "combine"),
        ('id = "2.999.1.7.1"', "", "id"),
        ('effect = "deny"', 'effect = "deny"\naction = "look"', "'look'"),
        ('id = "2.999.1.7.1"', "id = ", "not TOML"),
        ('effect = "deny"', 'effect = "deny"\nperson = [""]', "person"),
    ],
)
def test_a_slip_is_refused_and_named(old, new, named):
    assert old in POLICY
    with pytest.raises(MalformedMessage, match=named):
        policy_file.decode(POLICY.replace(old, new).encode())


def test_no_rule():
    with pytest.raises(MalformedMessage, match="without a rule"):
        policy_file.decode(b'id = "x"')


CASE = """
[[case]]
name = "a doctor"
expect = "permit"
rule = "doctors"
action = "retrieve"
acknowledges = ["2.999.1.7.1"]
at = 2026-01-31T12:00:00Z
[case.subject]
user = "dr"
role = ["HCP^^2.999.40"]
organization = ["urn:oid:2.999.5", "urn:oid:2.999.6"]
provider = ["77^^^&2.999.4&ISO"]
patient = "P1^^^&2.999.1.1&ISO"
reason = "unconscious"
[case.document]
patient = "P1^^^&2.999.1.1&ISO"
class = "REPORTS^^2.999.20"
author = ["77^^^&2.999.4&ISO"]
institution = ["2.999.5"]
"""


def test_case():
    (case,) = decode_cases(CASE.encode())
    assert (case.name, case.permit, case.rule, case.action) == ("a doctor", True, "doctors", Action.RETRIEVE)
    assert case.subject.roles == (Code("HCP", "2.999.40"),)
    assert case.subject.further_organization_ids == ("urn:oid:2.999.6",)
    assert case.resource.patient == case.subject.patient == PatientId("P1", "2.999.1.1")
    assert case.resource.author_persons == (InstanceIdentifier("2.999.4", "77"),)
    assert case.resource.author_institutions == (InstanceIdentifier("2.999.5"),)
    assert case.at is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('expect = "permit"', ""),
        ('action = "retrieve"', 'action = "look"'),
        ("at = 2026-01-31T12:00:00Z", 'at = "today"'),
        ("reason =", "because ="),
        ('class = "REPORTS^^2.999.20"', 'class = ["A^^1.2", "B^^1.2"]'),
        ('patient = "P1^^^&2.999.1.1&ISO"', 'patient = "P1"'),
        ("[case.document]", '[case.document]\nkind = "letter"'),
        ("[[case]]", "[[cases]]"),
    ],
)
def test_a_case_that_cannot_be_understood(old, new):
    assert old in CASE
    with pytest.raises(MalformedMessage):
        decode_cases(CASE.replace(old, new).encode())
