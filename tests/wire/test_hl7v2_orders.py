"""Messages about orders and reports: what they speak of, whichever field says it."""

from __future__ import annotations

import pytest

from xdsi.domain.errors import MalformedMessage
from xdsi.wire.hl7v2_orders import OrderMessage, decode, kind_of


def message(kind: str, *segments: str) -> bytes:
    header = rf"MSH|^~\&|RIS|HOSP|XDSI|HOSP|20260310101112||{kind}|42|P|2.3.1"
    return "\r".join([header, "PID|||L1^^^&1.2.40.1&ISO", *segments, ""]).encode()


def obr(*, accession: str = "", filler: str = "", status: str = "") -> str:
    fields = [""] * 26
    fields[0], fields[3], fields[18], fields[25] = "OBR", filler, accession, status
    return "|".join(fields)


CASES = [
    (message("ORU^R01", obr(accession="A1", status="F")), (("A1",), (), True)),
    (message("ORU^R01", obr(accession="A1", status="C")), (("A1",), (), True)),
    (message("ORU^R01", obr(accession="A1", status="P")), (("A1",), (), False)),
    (message("ORU^R01", obr(accession="A1")), (("A1",), (), False)),
    (message("ORU^R01", obr(accession="A1", status="F"), obr(accession="A2", status="P")), (("A1", "A2"), (), False)),
    (message("ORU^R01", obr(filler="F7^RIS", status="F")), (("F7",), (), True)),
    (message("ORU^R01", obr(status="F"), "OBX|1|HD|113014^DICOM Study^DCM||1.2.3.4"), ((), ("1.2.3.4",), True)),
    (message("ORU^R01", obr(accession="A1", status="F"), "OBX|1|TX|113014^x^DCM||no uid"), (("A1",), (), True)),
    (message("ORM^O01", obr(accession="A1", status="F"), "ZDS|1.2.3^RIS^Application^DICOM"),
     (("A1",), ("1.2.3",), False)),
    (message("OMI^O23", obr(), "IPC|A9^RIS|RP1|1.2.3.9|S1"), (("A9",), ("1.2.3.9",), False)),
    (message("OMG^O19", obr(accession='""', filler="F1")), (("F1",), (), False)),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "said"), CASES)
def test_what_a_message_speaks_of(raw: bytes, said: tuple[tuple[str, ...], tuple[str, ...], bool]) -> None:
    accessions, studies, final = said
    assert decode(raw) == OrderMessage(kind=kind_of(raw), accessions=accessions, studies=studies, final=final)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (message("ORU^R01", obr(status="F")), "OBR-18"),
        (message("ORU^R01"), "OBR-18"),
        (message("ADT^A04"), "MSH-9.1"),
        (b"no message", ""),
    ],
)
def test_what_speaks_of_nothing(raw: bytes, place: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode(raw)
    assert place in str(caught.value.location)


def test_kinds() -> None:
    assert kind_of(message("ORU^R01")) == "ORU"
    assert kind_of(message("ADT^A04")) == ""
    assert kind_of(b"") == ""
