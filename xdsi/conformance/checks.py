"""An answer against what a case expects, and against what every answer owes (ITI TF-2 Appendix V, TF-3 4.2.4)."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from lxml import etree

from .answers import Answer, BadAnswer, RetrievedDocument
from .model import Assertion, Delivered, Kind
from .model import Expectation as Expected
from .templates import NAMESPACES, Values
from .vocabulary import STATUSES

_SEVERITY = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:"
ERROR, WARNING = _SEVERITY + "Error", _SEVERITY + "Warning"
_FAULT_ACTIONS = (
    "http://www.w3.org/2005/08/addressing/fault",
    "http://www.w3.org/2005/08/addressing/soap/fault",
)
_TRACE = re.compile(r"[0-9a-f]{32}")

_ADDRESSING = "ITI TF-2 V.3; WS-Addressing 1.0 SOAP Binding"
_FAULTS = "SOAP 1.2 Part 1 5.4; WS-Addressing 1.0 SOAP Binding 6"
_ERRORS = "ITI TF-3 4.2.4.1"
_STATUSES = "ITI TF-3 4.2.4.2"
_PARTS = "ITI TF-2 V.3.6; XOP 1.0 3"
_TRACED = "docs/architecture.md (xdsi)"


class Complaint(NamedTuple):
    """Something that is not as it is to be."""

    expected: str
    found: str
    clause: str = ""
    """where the case's own clause is not the one"""


def every_answer(answer: Answer, kind: Kind, message_id: str, *, readable: bool, traced: bool) -> Iterator[Complaint]:
    """The form of every answer; `readable`: the server could know the MessageID of the request."""
    fault = answer.all("/soap:Envelope/soap:Body/soap:Fault")
    action = answer.text("/soap:Envelope/soap:Header/wsa:Action")
    if len(answer.all("/soap:Envelope/soap:Body/*")) != 1:
        yield Complaint("one element in the Body", str(len(answer.all("/soap:Envelope/soap:Body/*"))), _ADDRESSING)
    if fault:
        if action not in _FAULT_ACTIONS:
            yield Complaint(f"wsa:Action of a fault: {' or '.join(_FAULT_ACTIONS)}", action, _FAULTS)
        if not answer.text("//soap:Fault/soap:Reason/soap:Text"):
            yield Complaint("a fault with a reason", "none", _FAULTS)
    else:
        if action != kind.reply:
            yield Complaint(f"wsa:Action {kind.reply}", action, _ADDRESSING)
        marked = answer.text("/soap:Envelope/soap:Header/wsa:Action/@soap:mustUnderstand")
        if marked not in ("1", "true"):
            yield Complaint("mustUnderstand on wsa:Action", marked, _ADDRESSING)
    related = answer.text("/soap:Envelope/soap:Header/wsa:RelatesTo")
    if readable and related != message_id:
        yield Complaint(f"wsa:RelatesTo {message_id}", related, _ADDRESSING)
    if answer.unreferenced():
        yield Complaint("every part named by an xop:Include", f"not named: {sorted(answer.unreferenced())}", _PARTS)
    yield from _error_list(answer)
    if traced:
        yield from _trace(answer)


def _error_list(answer: Answer) -> Iterator[Complaint]:
    severities = []
    for error in answer.all("//rs:RegistryErrorList/rs:RegistryError"):
        severities.append(error.get("severity") or ERROR)
        for name in ("errorCode", "codeContext"):
            if not error.get(name):
                yield Complaint(f"{name} in every RegistryError", etree.tostring(error).decode(), _ERRORS)
        if severities[-1] not in (ERROR, WARNING):
            yield Complaint("a severity URN", severities[-1], _ERRORS)
        if (error.text or "").strip():
            yield Complaint("RegistryError without text", error.text or "", _ERRORS)
    highest = answer.text("//rs:RegistryErrorList/@highestSeverity")
    worst = ERROR if ERROR in severities else WARNING
    if highest and highest != worst:
        yield Complaint(f"highestSeverity {worst}", highest, _ERRORS)
    status = status_of(answer)
    if status == "Success" and ERROR in severities:
        yield Complaint("no Error with Success", "an Error", _STATUSES)
    if status in ("Failure", "PartialSuccess") and ERROR not in severities:
        yield Complaint(f"an Error with {status}", "none", _STATUSES)


def _trace(answer: Answer) -> Iterator[Complaint]:
    trace = answer.headers.get("Xdsi-Trace", "")
    if not _TRACE.fullmatch(trace):
        yield Complaint("header Xdsi-Trace of 32 hexadecimal digits", trace, _TRACED)
    reason = answer.text("//soap:Fault/soap:Reason/soap:Text")
    if answer.all("//soap:Fault") and not reason.endswith(f"[trace {trace}]"):
        yield Complaint(f"a reason that ends with [trace {trace}]", reason, _TRACED)


def status_of(answer: Answer) -> str:
    """Success, PartialSuccess or Failure; an unknown URN as it is; empty where the answer has no status."""
    urn = answer.text("//rs:RegistryResponse/@status | //query:AdhocQueryResponse/@status")
    return STATUSES.get(urn, urn)


def expectation(answer: Answer, expected: Expected, values: Values, *, explains: bool) -> Iterator[Complaint]:
    """What the case expects of this answer."""
    yield from _outcome(answer, expected)
    # Which code of WS-Security fits is left open by the profile (ITI TF-2 3.40.4.1.3).
    if expected.subcode and (explains or not expected.subcode.startswith("wsse:")):
        yield from _subcode(answer, expected.subcode)
    if expected.errors is not None or expected.status == "Success":
        yield from _codes("errors", answer, ERROR, expected.errors or {})
    if expected.warnings is not None:
        yield from _codes("warnings", answer, WARNING, expected.warnings)
    for code, pattern in expected.contexts.items():
        wanted = re.escape(values.expand(pattern, xml=False)) if "${" in pattern else pattern
        yield from _contexts(answer, code, wanted, every=True)
    if explains:
        for code, pattern in expected.explains.items():
            yield from _contexts(answer, code, values.expand(pattern, xml=False), every=False)
    if expected.documents is not None or expected.delivered:
        yield from _documents(answer, expected, values)
    for assertion in expected.xpath:
        yield from _assertion(answer, assertion, values)


def _contexts(answer: Answer, code: str, pattern: str, *, every: bool) -> Iterator[Complaint]:
    contexts = [one.get("codeContext", "") for one in answer.all(f"//rs:RegistryError[@errorCode='{code}']")]
    matching = [one for one in contexts if re.search(pattern, one)]
    if contexts and (len(matching) < len(contexts) if every else not matching):
        yield Complaint(f"codeContext of {code} matching {pattern}", "; ".join(contexts))


def _outcome(answer: Answer, expected: Expected) -> Iterator[Complaint]:
    fault = _qname(answer, "//soap:Fault/soap:Code/soap:Value").rpartition("}")[2]
    status = status_of(answer)
    found = f"HTTP {answer.http}, " + (
        f"fault {fault}: {answer.text('//soap:Fault/soap:Reason/soap:Text')}" if fault else f"status {status or 'none'}"
    )
    http = expected.http or ((200,) if not (expected.fault or expected.refused) else ())
    if http and answer.http not in http:
        yield Complaint(f"HTTP {' or '.join(map(str, http))}", found)
    if expected.refused:
        if not fault and status != "Failure":
            yield Complaint("a fault or Failure", found)
        return
    if expected.fault != fault:
        yield Complaint(f"fault {expected.fault}" if expected.fault else "no fault", found)
    if expected.status and status != expected.status:
        yield Complaint(f"status {expected.status}", f"{found}; {errors_of(answer)}")
    if expected.packaging and not fault and answer.packaging != expected.packaging:
        yield Complaint(f"{expected.packaging} packaging", answer.packaging)
    if expected.acknowledgement:
        code = answer.text("//hl7:acknowledgement/hl7:typeCode/@code")
        if code != expected.acknowledgement:
            detail = answer.text("//hl7:acknowledgementDetail/hl7:text")
            yield Complaint(f"acknowledgement {expected.acknowledgement}", f"{found}, {code} {detail}")


def _subcode(answer: Answer, expected: str) -> Iterator[Complaint]:
    found = _qname(answer, "//soap:Fault/soap:Code/soap:Subcode/soap:Value")
    prefix, _, local = expected.partition(":")
    if found != f"{{{NAMESPACES[prefix]}}}{local}":
        yield Complaint(f"subcode {expected}", found)


def _qname(answer: Answer, path: str) -> str:
    elements = answer.all(path)
    if not elements:
        return ""
    prefix, _, local = (elements[0].text or "").strip().rpartition(":")
    return f"{{{elements[0].nsmap.get(prefix or None, '')}}}{local}"


def errors_of(answer: Answer) -> str:
    """The errors of an answer, for people."""
    rows = [f"{one.get('errorCode')}: {one.get('codeContext')}" for one in answer.all("//rs:RegistryError")]
    return "; ".join(rows) or "no errors"


def _codes(what: str, answer: Answer, severity: str, expected: Mapping[str, int | str]) -> Iterator[Complaint]:
    found = Counter(
        str(error.get("errorCode"))
        for error in answer.all("//rs:RegistryErrorList/rs:RegistryError")
        if (error.get("severity") or ERROR) == severity
    )
    # "*" stands for every code that is not named.
    left_over = sum(count for code, count in found.items() if code not in expected)
    fits = ("*" in expected or not left_over) and all(
        found[code] >= int(str(count)[:-1]) if str(count).endswith("+") else found[code] == count
        for code, count in expected.items()
        if code != "*"
    )
    if not fits:
        yield Complaint(f"{what} {dict(expected)}", f"{dict(found)}; {errors_of(answer)}")


def _documents(answer: Answer, expected: Expected, values: Values) -> Iterator[Complaint]:
    try:
        documents = answer.documents()
    except BadAnswer as error:
        yield Complaint("documents", str(error))
        return
    yield from delivered(documents, expected, values)


def delivered(documents: Sequence[RetrievedDocument], expected: Expected, values: Values) -> Iterator[Complaint]:
    """How many documents came, and which."""
    if expected.documents is not None and len(documents) != expected.documents:
        yield Complaint(f"{expected.documents} documents", f"{len(documents)}: {[one.id for one in documents]}")
    for wanted in expected.delivered:
        id_ = values.expand(wanted.id, xml=False)
        found = [one for one in documents if one.id == id_]
        if not found:
            yield Complaint(f"document {id_}", f"{[one.id for one in documents]}")
        for one in found:
            yield from _delivered(wanted, one.content, one.type, values)


def _delivered(wanted: Delivered, content: bytes, type_: str, values: Values) -> Iterator[Complaint]:
    sha256 = hashlib.sha256(content).hexdigest()
    same = hashlib.sha256(values.document(wanted.document)).hexdigest() if wanted.document else ""
    if same and sha256 != same:
        yield Complaint(f"bytes of {wanted.document} with SHA-256 {same}", f"{len(content)} bytes with {sha256}")
    syntax = _transfer_syntax(content) if wanted.transfer_syntax else ""
    if syntax != wanted.transfer_syntax:
        yield Complaint(f"a DICOM file in transfer syntax {wanted.transfer_syntax}", syntax or "none")
    if wanted.type and type_ != wanted.type:
        yield Complaint(f"media type {wanted.type}", type_)


def _transfer_syntax(content: bytes) -> str:
    return file_meta(content, 0x10)


def file_meta(content: bytes, element: int) -> str:
    """A UID of group 2 of a DICOM file: its file meta information (PS3.10 section 7.1); empty where it is none."""
    tag = re.escape(bytes((2, 0, element, 0)))
    found = re.match(rb".{128}DICM.{0,1000}?" + tag + rb"UI(.)\x00", content, re.DOTALL)
    if found is None:
        return ""
    return content[found.end() : found.end() + found[1][0]].rstrip(b"\0 ").decode("ascii", "replace")


def _assertion(answer: Answer, wanted: Assertion, values: Values) -> Iterator[Complaint]:
    path = values.expand(wanted.path, xml=False)
    found = strings(answer.root.xpath(path, namespaces=NAMESPACES))
    if wanted.count is not None and len(found) != wanted.count:
        yield Complaint(f"{wanted.count} at {path}", f"{len(found)}: {found[:5]}")
    if wanted.equals is not None:
        single = isinstance(wanted.equals, str)
        texts = (wanted.equals,) if isinstance(wanted.equals, str) else wanted.equals
        expected = [values.expand(text, xml=False) for text in texts]
        if found != expected if single else sorted(found) != sorted(expected):
            yield Complaint(f"{expected} at {path}", f"{found[:10]}")
    if wanted.matches is not None:
        pattern = values.expand(wanted.matches, xml=False)
        if not found or not all(re.fullmatch(pattern, one) for one in found):
            yield Complaint(f"{pattern} at {path}", f"{found[:5]}")


def strings(found: object) -> list[str]:
    """What an XPath found, as text: one item per node, or the one value."""
    if isinstance(found, list):
        return [
            "".join(map(str, one.itertext())).strip() if isinstance(one, etree._Element) else str(one) for one in found
        ]
    if isinstance(found, bool):
        return [str(found).lower()]
    return [str(int(found)) if isinstance(found, float) and found.is_integer() else str(found)]


def captures(
    answer: Answer, expected: Expected, values: Values, keep: Callable[[str, str], None]
) -> Iterator[Complaint]:
    """Hand over the values that later steps use; each must be there, and once."""
    for name, path in expected.capture.items():
        found = strings(answer.root.xpath(values.expand(path, xml=False), namespaces=NAMESPACES))
        if len(found) != 1 or not found[0]:
            yield Complaint(f"one value at {path}", f"{found[:5]}")
        elif "${" in found[0]:
            # It is filled into later messages: the other side does not say what stands there.
            yield Complaint(f"a value without placeholders at {path}", found[0][:200])
        else:
            keep(name, found[0])
