"""rs:RegistryResponse, alone and inside other answers: status and a RegistryErrorList.

ebRS 3.0 (rs.xsd); ITI TF-3 4.2.4 (Success and error reporting).
"""

from __future__ import annotations

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.outcome import Outcome, Problem, Severity
from xdsi.spec.namespaces import FAILURE, PARTIAL_SUCCESS, RS, SEVERITY_ERROR, SEVERITY_WARNING, SUCCESS
from xdsi.wire import xml
from xdsi.wire.message import Message, Packaging, Payload

_REGISTRY_RESPONSE = xml.E(RS, "RegistryResponse")
_ERROR_LIST = xml.E(RS, "RegistryErrorList")
_ERROR = xml.E(RS, "RegistryError")
# The bare names are those of ebRS 2.1, still found in samples and old systems.
_STATUSES = {
    name: status for status in (SUCCESS, PARTIAL_SUCCESS, FAILURE) for name in (status, status.rpartition(":")[2])
}
_NAMESPACE = f' xmlns:rs="{RS}"'


def encode(outcome: Outcome, packaging: Packaging) -> Payload:
    """A RegistryResponse as the body."""
    return Payload((registry_response(outcome).encode(),))


def decode(message: Message) -> Outcome:
    """The outcome that a RegistryResponse reports."""
    return read_response(message.body)


def registry_response(outcome: Outcome) -> str:
    """An rs:RegistryResponse with its own namespace declaration."""
    return (
        f'<rs:RegistryResponse{_NAMESPACE} status="{outcome.status}">{error_list(outcome)}</rs:RegistryResponse>'
        if outcome.problems
        else f'<rs:RegistryResponse{_NAMESPACE} status="{outcome.status}"/>'
    )


def error_list(outcome: Outcome) -> str:
    """The rs:RegistryErrorList, or nothing without problems; the prefix rs is declared by it."""
    if not outcome.problems:
        return ""
    highest = SEVERITY_WARNING if outcome.accepted else SEVERITY_ERROR
    errors = "".join(map(_error, outcome.problems))
    return f'<rs:RegistryErrorList{_NAMESPACE} highestSeverity="{highest}">{errors}</rs:RegistryErrorList>'


def _error(problem: Problem) -> str:
    location = f' location="{xml.attribute(problem.location)}"' if problem.location else ""
    return (
        f'<rs:RegistryError errorCode="{xml.attribute(problem.code)}" codeContext="{xml.attribute(problem.context)}"'
        f' severity="{problem.severity}"{location}/>'
    )


def read_response(element: etree._Element, *, delivered: int | None = None) -> Outcome:
    """The outcome of an rs:RegistryResponse element; `delivered` is what else the answer holds."""
    if element.tag != _REGISTRY_RESPONSE:
        raise MalformedMessage(f"{element.tag} is not a response", location="Body", expected="rs:RegistryResponse")
    return read(element, delivered=delivered)


def read(element: etree._Element, *, delivered: int | None = None) -> Outcome:
    """The outcome of any element of ebRS type RegistryResponseType.

    A Failure or PartialSuccess that lists no error gets one of ours, so that it cannot pass for a success. A severity
    that is absent or unknown is an Error (the schema's default); codes are taken as they are.
    """
    written = (element.get("status") or "").strip()
    status = _STATUSES.get(written)
    if status is None:
        raise MalformedMessage(f"unknown status {written!r}", location="@status", expected="a ResponseStatusType URN")
    problems = [_problem(error) for error in element.iterfind(f"{_ERROR_LIST}/{_ERROR}")]
    if status != SUCCESS and all(problem.severity is Severity.WARNING for problem in problems):
        text = f"the peer answered {status.rpartition(':')[2]} without an error"
        problems.append(Problem("XDSRegistryError", text, rule="RESPONSE.error.missing"))
    if delivered is None and status == PARTIAL_SUCCESS:
        delivered = 1
    return Outcome.of(problems, None if status == FAILURE else delivered)


def _problem(error: etree._Element) -> Problem:
    severity = (error.get("severity") or "").strip()
    return Problem(
        code=(error.get("errorCode") or "").strip(),
        context=error.get("codeContext") or "",
        location=(error.get("location") or "").strip(),
        severity=Severity.WARNING if severity == SEVERITY_WARNING else Severity.ERROR,
    )
