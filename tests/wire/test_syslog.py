from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xdsi.domain.errors import MalformedMessage
from xdsi.wire import syslog
from xdsi.wire.syslog import FrameReader, SyslogMessage

TIME = datetime(2026, 2, 3, 10, 11, 12, 345000, tzinfo=UTC)
MESSAGE = SyslogMessage(
    message=b"<AuditMessage/>", time=TIME, hostname="rep.example.org", app_name="xds", process_id="4711"
)
ENCODED = b"<85>1 2026-02-03T10:11:12.345Z rep.example.org xds 4711 IHE+RFC-3881 - <AuditMessage/>"


def test_a_message_is_written_as_the_rfc_says() -> None:
    assert syslog.encode(MESSAGE) == ENCODED
    assert syslog.frame(MESSAGE) == b"86 " + ENCODED
    assert len(ENCODED) == 86
    assert syslog.decode(ENCODED) == MESSAGE


def test_absent_fields_are_nil() -> None:
    raw = syslog.encode(SyslogMessage(message=b"x", time=None, message_id="", severity=syslog.WARNING))
    assert raw == b"<84>1 - - - - - - x"
    assert syslog.decode(raw) == SyslogMessage(message=b"x", time=None, message_id="", severity=4)


def test_fields_are_kept_printable_and_short() -> None:
    raw = syslog.encode(SyslogMessage(message=b"x", time=None, hostname="a b\n" + "c" * 300, app_name="é" * 60))
    _, _, host, app, *_ = raw.split(b" ")
    assert host == b"a_b_" + b"c" * 251
    assert app == b"_" * 48


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (ENCODED.replace(b"- <", b"- \xef\xbb\xbf<"), b"<AuditMessage/>"),
        (ENCODED.replace(b"IHE+RFC-3881", b"DICOM+RFC3881"), b"<AuditMessage/>"),
        (ENCODED.replace(b"<85>", b"<13>"), b"<AuditMessage/>"),
        (ENCODED.replace(b"2026-02-03T10:11:12.345Z", b"2026-02-03T12:11:12.345678+02:00"), b"<AuditMessage/>"),
        (ENCODED.replace(b" - <", b' [id a="1" b="\\]\\""][other] <'), b"<AuditMessage/>"),
        (ENCODED.replace(b"- <AuditMessage/>", b"-"), b""),
        (ENCODED.replace(b"- <AuditMessage/>", b"- a\nb"), b"a\nb"),
    ],
)
def test_what_other_senders_write_is_read(raw: bytes, message: bytes) -> None:
    assert syslog.decode(raw).message == message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<AuditMessage/>",
        ENCODED.replace(b"<85>1", b"<85>2"),
        ENCODED.replace(b"<85>", b"<192>"),
        ENCODED.replace(b"2026-02-03T10:11:12.345Z", b"Feb-3"),
        ENCODED.replace(b" - <", b" [id a=1] <"),
        ENCODED.replace(b" - <", b" -<"),
        ENCODED.replace(b" - <", b" <"),
        ENCODED.replace(b"xds", b"x" * 49),
        ENCODED.replace(b" IHE+RFC-3881", b""),
    ],
)
def test_what_is_no_syslog_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        syslog.decode(raw)


@given(st.lists(st.binary(min_size=1, max_size=50)), st.integers(1, 40))
def test_frames_are_found_however_they_are_cut(messages: list[bytes], size: int) -> None:
    stream = b"".join(b"%d %s" % (len(message), message) for message in messages)
    reader = FrameReader()
    found = [frame for start in range(0, len(stream), size) for frame in reader.feed(stream[start : start + size])]
    assert found == messages
    assert reader.idle


@pytest.mark.parametrize(
    "stream",
    [
        b"0 ",
        b"01 x",
        b"-1 x",
        b"+5 hello",
        b"x",
        b" 5 hello",
        b"<85>1",
        b"1048577 ",
        b"99999999",
        b"1234567890",
        b"\xef\xbb\xbf5 hello",
    ],
)
def test_senseless_counts_are_refused(stream: bytes) -> None:
    with pytest.raises(MalformedMessage):
        FrameReader().feed(stream)


def test_the_limit_is_inclusive_and_of_ones_choice() -> None:
    assert FrameReader(limit=5).feed(b"5 hello") == [b"hello"]
    with pytest.raises(MalformedMessage, match="too large"):
        FrameReader(limit=5).feed(b"6 ")
    assert FrameReader().feed(b"1048576 ") == []


def test_within_a_frame_the_reader_is_not_idle() -> None:
    reader = FrameReader()
    assert reader.idle
    reader.feed(b"1")
    assert not reader.idle
    reader.feed(b" ")
    assert not reader.idle
    assert reader.feed(b"x") == [b"x"]
    assert reader.idle
