"""Time stamps: what a time stamping authority is asked, and what its token proves.

RFC 3161 (request, answer, token), as XAdES carries it in a SignatureTimeStamp (ETSI EN 319 132-1, 5.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from rfc3161_client import TimestampRequestBuilder, TimeStampResponse, VerifierBuilder, decode_timestamp_response
from rfc3161_client.base import HashAlgorithm
from rfc3161_client.errors import VerificationError

from xdsi.domain.errors import MalformedMessage

REQUEST_TYPE, ANSWER_TYPE = "application/timestamp-query", "application/timestamp-reply"
LIMIT = 64 * 1024
"""bytes of a token"""

Stamp = Callable[[bytes], bytes]
"""octets to the token of an authority that saw them now"""


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """A token that was verified: what it covers existed at `time`."""

    time: datetime
    """the latest that the authority's accuracy allows"""
    chain: tuple[x509.Certificate, ...]
    """the authority's own certificate, then others that came with it"""


def stamp(octets: bytes, ask: Callable[[bytes], bytes]) -> bytes:
    """The token for `octets`; `ask` brings a request to the authority. MalformedMessage for an answer that is none."""
    request = TimestampRequestBuilder().data(octets).hash_algorithm(HashAlgorithm.SHA256).build()
    token = _token_of(ask(request.as_bytes()))
    answer = _decode(token)
    imprint = request.message_imprint
    info = answer.tst_info
    if info.message_imprint.message != imprint.message or info.nonce != request.nonce:
        raise MalformedMessage("the time stamp is not the one that was asked for")
    return token


def verify(token: bytes, octets: bytes, authorities: Sequence[x509.Certificate]) -> TimeStamp | None:
    """What the token proves of `octets`; None for that of an authority which is not among these, or no longer intact.

    MalformedMessage where it is no token, or not for these octets. The authority's certificate has to be valid at the
    time that it states, and to say, critically, that it is for time stamping (RFC 3161 2.3).
    """
    answer = _decode(token)
    info = answer.tst_info
    try:
        VerifierBuilder(roots=list(authorities)).build().verify_message(answer, octets)
    except VerificationError as error:
        if "Mismatch between messages" in str(error):
            raise MalformedMessage("the time stamp is not of this signature") from error
        return None
    except ValueError:
        return None
    given = [x509.load_der_x509_certificate(one) for one in answer.signed_data.certificates]
    (signer,) = answer.signed_data.signer_infos
    own = [one for one in given if (one.issuer, one.serial_number) == (signer.issuer, signer.serial_number)]
    accuracy = info.accuracy
    parts = (0, 0, 0) if accuracy is None else (accuracy.seconds or 0, accuracy.millis or 0, accuracy.micros or 0)
    margin = timedelta(seconds=parts[0], milliseconds=parts[1], microseconds=parts[2])
    return TimeStamp(info.gen_time + margin, (*own, *(one for one in given if one not in own)))


def _token_of(answer: bytes) -> bytes:
    """The TimeStampToken of a TimeStampResp."""
    try:
        status_at = _content(answer, 0)[0]
        status_end = _content(answer, status_at)[1]
        first, end = _content(answer, _content(answer, status_at)[0])
        status = int.from_bytes(answer[first:end], "big")
        if status > 1:
            raise MalformedMessage(f"the time stamping authority refused, status {status}")
        return answer[status_end : _content(answer, status_end)[1]]
    except IndexError as error:
        raise MalformedMessage("not an answer of a time stamping authority") from error


def _decode(token: bytes) -> TimeStampResponse:
    if len(token) > LIMIT:
        raise MalformedMessage("the time stamp is too large", expected=f"at most {LIMIT} bytes")
    try:
        granted = b"\x30\x03\x02\x01\x00"
        decoded = decode_timestamp_response(_sequence(granted + _in_order(token)))
        # Reading these finds out whether it is a token at all.
        _ = decoded.tst_info.gen_time, decoded.signed_data.certificates
    except (ValueError, IndexError) as error:
        raise MalformedMessage("not a time stamp") from error
    return decoded


def _sequence(body: bytes) -> bytes:
    size = len(body)
    if size < 0x80:
        return bytes((0x30, size)) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0x30, 0x80 | len(octets))) + octets + body


def _in_order(token: bytes) -> bytes:
    """The token with its certificates in the order of DER: many authorities write them as they come (openssl, too).

    They are not covered by the authority's signature, and the length stays.
    """
    at = _content(token, 0)[0]
    at = _content(token, at)[1]  # contentType
    at = _content(token, _content(token, at)[0])[0]  # [0] SignedData
    for _ in ("version", "digestAlgorithms", "encapContentInfo"):
        at = _content(token, at)[1]
    if token[at] != 0xA0:
        return token
    first, last = _content(token, at)
    members, at = [], first
    while at < last:
        end = _content(token, at)[1]
        members.append(token[at:end])
        at = end
    return token[:first] + b"".join(sorted(members)) + token[last:]


def _content(raw: bytes, at: int) -> tuple[int, int]:
    """Where the content of the DER value at `at` begins and ends; IndexError where it does not."""
    size = raw[at + 1]
    at += 2
    if size & 0x80:
        octets = size & 0x7F
        if not 1 <= octets <= 4:
            raise IndexError
        size = int.from_bytes(raw[at : at + octets], "big")
        at += octets
    if at + size > len(raw):
        raise IndexError
    return at, at + size
