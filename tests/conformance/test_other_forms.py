"""What the runner makes and judges beside SOAP: HL7 v2 over MLLP, decisions of ITI-79, access tokens."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509

from tests.certificates import identity
from tests.conformance.peers import envelope
from xdsi.conformance import Endpoint, Finding, answers, cases, decisions, load_case, mllp, plans, run, tokens
from xdsi.conformance.model import Decided, Token
from xdsi.conformance.options import endpoint_of, parser
from xdsi.conformance.templates import TemplateError, Values
from xdsi.domain.consent import Action, Decision, DecisionAnswer, DecisionRequest, Resource
from xdsi.wire import authorization
from xdsi.wire.authorization_answer import encode_answer

# -- HL7 v2


@contextmanager
def feed(answer: Callable[[str], str]) -> Iterator[tuple[str, list[str]]]:
    """A receiver of HL7 v2 messages that answers with what `answer` makes of each, a block to a connection."""
    taken: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            block = b""
            while not block.endswith(b"\x1c\r"):
                block += (byte := self.rfile.read(1))
                if not byte:
                    return
            taken.append(block[1:-2].decode())
            self.wfile.write(answer(taken[-1]).encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"mllp://127.0.0.1:{server.server_address[1]}", taken
        finally:
            server.shutdown()
            thread.join()


def acknowledged(message: str, code: str = "AA", control_id: str = "", to: str = "CASES|CONFORMANCE") -> str:
    """An acknowledgement in order, as far as nothing else is said."""
    said = control_id or message.split("|")[9]
    return f"\x0bMSH|^~\\&|REGISTRY|SERVER|{to}|2026||ACK^A04|7|P|2.3.1\rMSA|{code}|{said}\r\x1c\r"


def played(folder: Path, answer: Callable[[str], str], how: str = "") -> tuple[tuple[Finding, ...], list[str]]:
    place = folder / "9999-fed"
    place.mkdir()
    (place / "expectation.toml").write_text(
        'title = "x"\nclause = "y"\n[[step]]\ntransaction = "ITI-8"\nrequest = "patient-a04.hl7"\n'
        + (how or 'expect.acknowledgement = "AA"')
    )
    with feed(answer) as (url, taken):
        return run(load_case(place), Endpoint("http://127.0.0.1:1", mllp=url, timeout=10)), taken


def test_a_message_and_its_acknowledgement(tmp_path: Path) -> None:
    change = '[{ at = "PID-5", set = "Other^Name" }, { at = "PID-9", set = "x" }, { at = "PV1", remove = true }]'
    findings, (message,) = played(tmp_path, acknowledged, f"change = {change}\nexpect.acknowledgement = 'AA'")
    assert findings == ()
    lines = message.split("\r")
    assert lines[0].startswith("MSH|^~\\&|CASES|CONFORMANCE|REGISTRY|SERVER|")
    assert lines[2].endswith("||Other^Name||19700102|F|x")
    assert lines[3:] == [""]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda sent: acknowledged(sent, "AE"), "MSA-1 AA"),
        (lambda sent: acknowledged(sent, control_id="0"), "MSA-2"),
        (lambda sent: acknowledged(sent, to="REGISTRY|SERVER"), "MSH-5 CASES"),
        (lambda sent: acknowledged(sent).replace("ACK^A04", "ADT^A04"), "MSH-9 ACK"),
        (lambda sent: "\x0bMSA|AA|1\r\x1c\r", "no HL7 v2 message"),
        (lambda sent: "HTTP/1.1 400 Bad Request\r\n\r\n", "no MLLP block"),
        (lambda sent: "", "no MLLP block"),
    ],
)
def test_what_is_wrong_about_an_acknowledgement(tmp_path: Path, answer: Callable[[str], str], found: str) -> None:
    findings, _ = played(tmp_path, answer)
    assert any(found in str(one) for one in findings), findings


@pytest.mark.parametrize("code", ["AE", "AR"])
def test_a_refusal_is_one_of_two_codes(tmp_path: Path, code: str) -> None:
    assert played(tmp_path, lambda sent: acknowledged(sent, code), "expect.refused = true")[0] == ()


def test_a_patient_who_is_taken_is_not_refused(tmp_path: Path) -> None:
    (finding,) = played(tmp_path, acknowledged, "expect.refused = true")[0]
    assert "AE or AR" in str(finding)


def test_nobody_there_is_a_finding(tmp_path: Path) -> None:
    case = next(case for case in cases.load() if case.number == "0621")
    assert "an answer" in str(run(case, Endpoint("http://127.0.0.1:1", mllp="mllp://127.0.0.1:1", timeout=5))[0])
    assert "--mllp" in Endpoint("http://127.0.0.1:1").obstacles(case)[0]


def test_patients_are_announced_by_hl7_v2(tmp_path: Path) -> None:
    case = next(case for case in cases.load() if case.number == "0101")
    with feed(acknowledged) as (url, taken):
        given = parser().parse_args(["--endpoint", "http://127.0.0.1:1", "--announce-by", "ITI-8", "--mllp", url])
        run(case, endpoint_of(given))
    assert "|ADT^A04^ADT_A01|" in taken[0]


PLAN = """<TestPlan><Test>7001</Test>
<TestStep id="first"><ExpectedStatus>Success</ExpectedStatus>
<PatientIdentityFeedTransaction><XDSb/><NoMetadata/></PatientIdentityFeedTransaction></TestStep>
<TestStep id="same"><ExpectedStatus>Success</ExpectedStatus>
<PatientIdentityFeedTransaction><XDSb/><NoMetadata/></PatientIdentityFeedTransaction></TestStep>
<TestStep id="new"><ExpectedStatus>Success</ExpectedStatus>
<PatientIdentityFeedTransaction><XDSb/><CreateNewPatientId/></PatientIdentityFeedTransaction></TestStep>
</TestPlan>"""


def fed_by_plan(folder: Path, code: str, **given: Any) -> tuple[list[str], list[str], list[str]]:
    """Deviations, what was not mapped, and the patients that were announced."""
    (folder / "7001").mkdir()
    (folder / "7001" / "testplan.xml").write_text(PLAN)
    with feed(lambda sent: acknowledged(sent, code)) as (url, taken):
        played = plans.Plans(folder, Endpoint("http://127.0.0.1:1", mllp=url, feed_by="ITI-8", timeout=10, **given))
        report = played.run("7001")
        played.close()
    return report.deviations, report.unmapped, [message.split("PID|||")[1].partition("|")[0] for message in taken]


def test_a_plan_announces_its_patient_or_a_new_one(tmp_path: Path) -> None:
    deviations, unmapped, patients = fed_by_plan(tmp_path, "AA")
    assert (deviations, unmapped) == ([], [])
    assert patients[0] == patients[1] != patients[2]


def test_a_plan_whose_patient_is_not_taken_deviates(tmp_path: Path) -> None:
    deviations, _, _ = fed_by_plan(tmp_path, "AE")
    assert deviations == [f"{step}: acknowledgement AE, expected AA" for step in ("first", "same", "new")]


def test_a_plan_announces_nobody_where_patients_are_known(tmp_path: Path) -> None:
    deviations, unmapped, patients = fed_by_plan(tmp_path, "AA", patients=["P1^^^&2.999.1&ISO"])
    assert (deviations, patients, len(unmapped)) == ([], [], 3)


def test_a_plan_that_removes_documents_is_mapped(tmp_path: Path) -> None:
    step = "<TestStep id='s'><RdTransaction><XDSb/><MetadataFile>a.xml</MetadataFile></RdTransaction></TestStep>"
    (tmp_path / "testplan.xml").write_text(f"<TestPlan>{step}</TestPlan>")
    case = plans.case_of(tmp_path)
    assert (case.transactions, case.needs, case.unmapped) == (("ITI-86",), {"removal"}, ())


@pytest.mark.parametrize(
    ("head", "piece", "given", "why"),
    [
        (b"\x0bMSH", b"x", {"deadline": 0.3}, "--deadline"),
        (b"\x0bMSH", b"x" * 10_000, {"largest_answer": 50_000}, "--max-answer"),
        (b"", b"", {"timeout": 0.2}, "timed out"),
        (b"", b"", {"deadline": 0.2}, "--deadline"),
    ],
)
def test_an_acknowledgement_is_waited_for_as_long_and_as_much_as_allowed(
    head: bytes, piece: bytes, given: dict[str, float], why: str
) -> None:
    case = next(case for case in cases.load() if case.number == "0621")
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.sendall(head)
                while not over.wait(0.02):
                    self.request.sendall(piece)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        limits: Any = {"timeout": 30.0, "deadline": 60.0} | given
        url = f"mllp://127.0.0.1:{server.server_address[1]}"
        finding = run(case, Endpoint("http://127.0.0.1:1", mllp=url, **limits))[0]
        over.set()
        server.shutdown()
        thread.join()
    assert why in str(finding)


@pytest.mark.parametrize("options", [["--announce-by", "ITI-8"], ["--mllp", "127.0.0.1:2575"]])
def test_an_address_of_another_form_is_told(options: list[str]) -> None:
    with pytest.raises(ValueError, match="mllp"):
        endpoint_of(parser().parse_args(["--endpoint", "http://127.0.0.1:1", *options]))


def test_a_change_without_its_place_is_a_mistake_of_the_case() -> None:
    case = next(case for case in cases.load() if case.number == "0621")
    for at in ("pid-3", "ZZZ-1", "PID"):
        step = cases.Step(
            "x", cases.kinds()["ITI-8"], "identity-mllp", "mllp", "patient-a04.hl7", "", cases.Expectation(),
            change=({"at": at, "set": "x"},),
        )  # fmt: skip
        with pytest.raises(TemplateError):
            mllp.build(case, step, "mllp://x:1", Values({}, {}))


@pytest.mark.parametrize("how", ["append", "before"])
def test_a_field_is_set_or_removed(how: str) -> None:
    case = next(case for case in cases.load() if case.number == "0621")
    step = cases.Step(
        "x", cases.kinds()["ITI-8"], "identity-mllp", "mllp", "patient-a04.hl7", "", cases.Expectation(),
        change=({"at": "PID-3", how: "x"},),
    )  # fmt: skip
    with pytest.raises(TemplateError, match="PID-3 is a field"):
        mllp.build(case, step, "mllp://x:1", Values({}, {}))


# -- decisions


HUB = identity("hub", "2048")
QUERY = DecisionRequest(
    subject_attributes={}, action=Action.RETRIEVE, resources=(Resource(unique_id="1.1"), Resource(unique_id="1.2")),
    patient=None, query_id="_q1",
)  # fmt: skip
WANTED = (Decided("1.1", "Permit"), Decided("1.2", "Deny"))


def judged(
    query_id: str = "_q1", change: tuple[bytes, bytes] = (b"", b""), wanted: tuple[Decided, ...] = WANTED
) -> str:
    now = x509.load_pem_x509_certificate(HUB.cert_pem).not_valid_before_utc
    given = DecisionAnswer({"1.1": Decision(True, "p", "r"), "1.2": Decision(False, "p", "r")})
    raw = encode_answer(given, QUERY, issuer="hub", key_pem=HUB.key_pem, cert_pem=HUB.cert_pem, now=now)
    assert change[0] in raw
    message = envelope(raw.replace(*change).decode() if change[0] else raw.decode())
    answer = answers.read(200, {"Content-Type": "application/soap+xml"}, message)
    asked = authorization.encode_query(QUERY, now=now).replace(b"_q1", query_id.encode())
    return str(list(decisions.complaints(answer, wanted, envelope(asked.decode()), Values({}, {}))))


def test_decisions_in_order() -> None:
    assert judged() == "[]"


@pytest.mark.parametrize(
    ("found", "query_id", "change", "wanted"),
    [
        ("InResponseTo _q2", "_q2", (b"", b""), WANTED),
        ("decisions", "_q1", (b"", b""), (Decided("1.1", "Deny"), Decided("1.2", "Deny"))),
        ("decisions", "_q1", (b"", b""), WANTED[:1]),
        ("a signature that holds", "_q1", (b">Deny<", b">Permit<"), (WANTED[0], Decided("1.2", "Permit"))),
        ("a signature over", "_q1", (b'URI="#', b'URI="#x'), WANTED),
        ("samlp:StatusCode", "_q1", (b"2.0:status:Success", b"2.0:status:Responder"), WANTED),
        ("no ds:Signature", "_q1", (b"Signature", b"Stamp"), WANTED),
        ("no transforms but", "_q1", (b"2000/09/xmldsig#enveloped-signature", b"TR/1999/REC-xslt-19991116"), WANTED),
    ],
)
def test_what_is_wrong_about_decisions(
    found: str, query_id: str, change: tuple[bytes, bytes], wanted: tuple[Decided, ...]
) -> None:
    assert found in judged(query_id, change, wanted)


# -- access tokens


def token(**how: object) -> tuple[dict[str, object], dict[str, object], bool]:
    """Header and claims of a token made so, and whether the issuer's key verifies it."""
    issuer = tokens.Issuer("urn:idp", HUB.key_pem, HUB.cert_pem)
    values = Values(dict(cases.known_values()), {})
    text = tokens.access_token(Token(form="jwt", **how), issuer, values)  # type: ignore[arg-type]
    options = {"verify_signature": False}
    claims = jwt.decode(text, options=options)  # type: ignore[arg-type]
    try:
        jwt.decode(text, HUB.key.public_key(), algorithms=["RS256"], audience=claims["aud"])
    except jwt.PyJWTError:
        return jwt.get_unverified_header(text), claims, False
    return jwt.get_unverified_header(text), claims, True


def test_a_token_in_order_says_what_an_assertion_would() -> None:
    header, claims, holds = token()
    assert (header["alg"], claims["iss"], claims["aud"], holds) == ("RS256", "urn:idp", "urn:oid:2.999.1", True)
    assert '"code": "112247003"' in json.dumps(claims)


@pytest.mark.parametrize(
    "how",
    [
        {"age": 7200}, {"signed": False}, {"key": "stranger"}, {"after": [{"at": "sub", "set": "intruder"}]},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_that_is_spoilt_does_not_hold(how: dict[str, object]) -> None:
    assert token(**how)[2] is False
