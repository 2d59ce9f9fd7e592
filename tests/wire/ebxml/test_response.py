"""RegistryResponse (ITI TF-3 4.2.4): status, errors and warnings, and what is tolerated of peers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.ebxml.bodies import body_of, message, received
from tests.wire.ebxml.strategies import text, trimmed
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.outcome import Outcome, Problem, Severity, Status
from xdsi.spec.namespaces import FAILURE, PARTIAL_SUCCESS, RS, SEVERITY_ERROR, SEVERITY_WARNING, SUCCESS
from xdsi.wire import xml
from xdsi.wire.ebxml import response
from xdsi.wire.message import Packaging

ERROR = Problem("XDSUnknownPatientId", "P9^^^&2.999.1&ISO", location="ss1")
WARNING = Problem("XDSExtraMetadataNotSaved", "urn:x", severity=Severity.WARNING)

OUTCOMES = {
    "success": (Outcome(), SUCCESS, None),
    "warning": (Outcome((WARNING,)), SUCCESS, SEVERITY_WARNING),
    "failure": (Outcome((ERROR,)), FAILURE, SEVERITY_ERROR),
    "failure with a warning": (Outcome((WARNING, ERROR)), FAILURE, SEVERITY_ERROR),
    "failure of all documents": (Outcome((ERROR,), delivered=0), FAILURE, SEVERITY_ERROR),
    "partial success": (Outcome((ERROR,), delivered=1), PARTIAL_SUCCESS, SEVERITY_ERROR),
}


@pytest.mark.parametrize(("outcome", "status", "highest"), OUTCOMES.values(), ids=OUTCOMES.keys())
def test_writes_status_and_highest_severity(outcome: Outcome, status: str, highest: str | None) -> None:
    root = received(response.encode(outcome, Packaging.SIMPLE)).body
    assert root.get("status") == status
    lists = root.findall(xml.E(RS, "RegistryErrorList"))
    assert [one.get("highestSeverity") for one in lists] == ([highest] if highest else [])
    for error in root.iter(xml.E(RS, "RegistryError")):
        assert error.text is None  # 4.2.4.1: the element is empty


@pytest.mark.parametrize(("outcome", "status", "highest"), OUTCOMES.values(), ids=OUTCOMES.keys())
def test_read_as_written(outcome: Outcome, status: str, highest: str | None) -> None:
    read = response.decode(received(response.encode(outcome, Packaging.SIMPLE)))
    assert (read.problems, read.status) == (outcome.problems, outcome.status)


@given(st.lists(st.builds(Problem, trimmed, text, trimmed, st.sampled_from(Severity)), max_size=4).map(tuple))
def test_any_problems_are_read_as_written(problems: tuple[Problem, ...]) -> None:
    assert response.decode(received(response.encode(Outcome(problems), Packaging.SIMPLE))).problems == problems


def response_of(status: str, *errors: str) -> str:
    listed = f"<e:RegistryErrorList>{''.join(errors)}</e:RegistryErrorList>" if errors else ""
    return f'<e:RegistryResponse xmlns:e="{RS}" status="{status}">{listed}</e:RegistryResponse>'


TOLERATED = {
    "an unknown code": ('<e:RegistryError errorCode="urn:x:1" codeContext="c"/>', Problem("urn:x:1", "c")),
    "no severity": ('<e:RegistryError errorCode="XDSBusy" codeContext="c"/>', Problem("XDSBusy", "c")),
    "an unknown severity": (
        '<e:RegistryError errorCode="A" codeContext="c" severity="urn:oops"/>', Problem("A", "c"),
    ),
    "text in the element": ('<e:RegistryError errorCode="A" codeContext="c">text</e:RegistryError>', Problem("A", "c")),
    "no codeContext": ('<e:RegistryError errorCode="A"/>', Problem("A", "")),
    "white space": (
        f'<e:RegistryError errorCode=" A " codeContext=" c " severity=" {SEVERITY_ERROR} " location=" l "/>',
        Problem("A", " c ", "l"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("error", "expected"), TOLERATED.values(), ids=TOLERATED.keys())
def test_tolerates(error: str, expected: Problem) -> None:
    assert response.decode(message(response_of(FAILURE, error))).problems == (expected,)


@pytest.mark.parametrize("status", [FAILURE, PARTIAL_SUCCESS])
def test_a_failure_without_errors_is_still_none(status: str) -> None:
    read = response.decode(message(response_of(status)))
    assert not read.accepted
    assert [one.rule for one in read.problems] == ["RESPONSE.error.missing"]


def test_bare_names_of_statuses_are_understood() -> None:
    assert response.decode(message(response_of("Success"))).status is Status.SUCCESS
    assert response.decode(message(response_of("Failure"))).status is Status.FAILURE


def test_errors_in_a_success_are_believed() -> None:
    read = response.decode(message(response_of(SUCCESS, '<e:RegistryError errorCode="A" codeContext="c"/>')))
    assert read.status is Status.FAILURE


MALFORMED = {"another element": "<x/>", "unknown status": response_of("urn:ok"), "no status": response_of("")}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_refuses(body: str) -> None:
    with pytest.raises(MalformedMessage):
        response.decode(message(body))


def test_has_its_own_namespace_declaration_inside_other_answers() -> None:
    assert body_of(response.encode(Outcome(), Packaging.SIMPLE)).decode() == response.registry_response(Outcome())
    xml.parse(response.error_list(Outcome((ERROR,))).encode())
