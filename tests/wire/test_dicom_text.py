"""Text by the Specific Character Set: the examples of DICOM PS3.5 annexes H to K, and what is damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding

from xdsi.domain.errors import MalformedMessage
from xdsi.spec import tags
from xdsi.wire.dicom_text import CharacterSet, DataSet, is_uid, plain_uids, required_uid

NAME = tags.PATIENT_NAME


def text(charset: str, value: bytes) -> str:
    dataset = DataSet({tags.SPECIFIC_CHARACTER_SET: charset.encode(), NAME: value})
    return CharacterSet(dataset).text(dataset, NAME)


@pytest.mark.parametrize(
    ("charset", "value", "expected"),
    [
        ("", b"Doe^Jo ", "Doe^Jo"),
        ("ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东".encode(), "Wang^XiaoDong=王^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东".encode("gb18030"), "Wang^XiaoDong=王^小东"),
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        ("ISO_IR 144", b"\xbb\xee\xda\xd5\xda\xd8\xd1", "Люкекиб"),
        ("nonsense", b"Doe^Jo", "Doe^Jo"),
        ("ISO_IR 192", b"Doe^\xff", "Doe^�"),
        ("\\ISO 2022 IR 87", b"Doe\x1b$Zx", "Doe$Zx"),
        ("", b"Doe\x00\x07^Jo\x00", "Doe^Jo"),
    ],
)
def test_text(charset: str, value: bytes, expected: str) -> None:
    assert text(charset, value) == expected


@given(st.sampled_from([*python_encoding, "\\ISO 2022 IR 58\\ISO 2022 IR 159", "?"]), st.binary(max_size=60))
def test_any_bytes_are_text(charset: str, value: bytes) -> None:
    assert not set(text(charset, value)) & {chr(code) for code in range(32)}


@pytest.mark.parametrize(
    ("value", "number"), [(b"12 ", 12), (b"+3\\4", 3), (b"", None), (b"1.5", None), (b"9" * 13, None), (b"x", None)]
)
def test_numbers(value: bytes, number: int | None) -> None:
    assert DataSet({tags.SERIES_NUMBER: value}).number(tags.SERIES_NUMBER) == number


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("1.2.840.1", True),
        ("1.2.0003", True),
        ("1", False),
        ("1.2.", False),
        ("1..2", False),
        ("1.2." + "3" * 61, False),
        ("1.2/../etc", False),
        ("", False),
    ],
)
def test_uids(text: str, valid: bool) -> None:
    assert is_uid(text) is valid
    dataset = DataSet({tags.STUDY_INSTANCE_UID: text.encode()})
    if valid:
        assert dataset.uid(tags.STUDY_INSTANCE_UID, "Study Instance UID") == text
    else:
        with pytest.raises(MalformedMessage, match=r"Study Instance UID is .* at \(0020,000D\)"):
            dataset.uid(tags.STUDY_INSTANCE_UID, "Study Instance UID")


ALMOST_UIDS = st.text("12.\0\\ é", max_size=4).map(lambda end: f"1.2{end}".encode())


@given(st.sets(st.one_of(ALMOST_UIDS, st.just(b"1.2." + b"3" * 61), st.just(b""))))
def test_uids_are_read_together_as_one_by_one(values: set[bytes]) -> None:
    together = plain_uids(values)
    if together:
        assert together == {value: required_uid(value, tags.STUDY_INSTANCE_UID, "UID") for value in values}


def test_uids_that_are_plain_are_read_together() -> None:
    values = {b"1.2.3\0", b"1.2.3", b"2.25." + b"3" * 59}
    assert plain_uids(values) == {value: value.decode().rstrip("\0") for value in values}
    assert plain_uids({*values, b"1.2."}) == {}
