"""Until when and by whom an assertion may be used: read from it once, checked each time it is used.

SAML 2.0 core 2.4.1 and 2.5.1, profiles 3. A function here reads and takes no notice of the time; a method compares with
the time and the connection of one use, and raises SecurityFault.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lxml import etree

from xdsi.domain.errors import SecurityFault
from xdsi.spec.namespaces import DS, SAML
from xdsi.wire.saml_issue import BEARER, HOLDER_OF_KEY
from xdsi.wire.xml import E, content
from xdsi.wire.xml_time import read_instant

_CONFIRMATION_DATA = E(SAML, "SubjectConfirmationData")
_CERTIFICATE = "/".join(E(DS, name) for name in ("KeyInfo", "X509Data", "X509Certificate"))


@dataclass(frozen=True, slots=True)
class Window:
    """When an assertion was issued, and from when until when it holds."""

    issued: datetime
    not_before: datetime
    not_on_or_after: datetime

    def check(self, now: datetime, clock_skew: timedelta, max_lifetime: timedelta) -> None:
        """It holds now, and not for too long."""
        if now >= self.not_on_or_after + clock_skew:
            raise SecurityFault("MessageExpired", f"the assertion ended at {self.not_on_or_after.isoformat()}")
        if max(self.issued, self.not_before) > now + clock_skew:
            begins = f"begins at {self.not_before.isoformat()}, issued {self.issued.isoformat()}"
            raise malformed(f"the assertion {begins}")
        if self.not_on_or_after - self.not_before > max_lifetime:
            raise malformed(f"a validity of {self.not_on_or_after - self.not_before} is too long")


def read_window(assertion: etree._Element, conditions: etree._Element) -> Window:
    """All three times have to be there."""
    return Window(
        instant(assertion.get("IssueInstant", ""), "IssueInstant"),
        instant(conditions.get("NotBefore", ""), "NotBefore"),
        instant(conditions.get("NotOnOrAfter", ""), "NotOnOrAfter"),
    )


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One way in which the person is confirmed to be who an assertion speaks of."""

    not_before: datetime | None = None
    not_on_or_after: datetime | None = None
    recipient: str | None = None
    holders: frozenset[str] | None = None
    """SHA-256 of the certificates of which one has to be that of the connection; None: the bearer"""

    def check(
        self, now: datetime, clock_skew: timedelta, recipients: frozenset[str], peer_certificate_sha256: str
    ) -> None:
        """It is met by this use."""
        until, since = self.not_on_or_after, self.not_before
        if until is not None and now >= until + clock_skew:
            raise SecurityFault("MessageExpired", "the subject confirmation is over")
        if since is not None and now + clock_skew < since:
            raise SecurityFault("FailedAuthentication", "the subject confirmation has not begun")
        if self.recipient is not None and recipients and self.recipient not in recipients:
            raise SecurityFault("FailedAuthentication", f"the subject confirmation is for {self.recipient!r}")
        if self.holders is not None and (not peer_certificate_sha256 or peer_certificate_sha256 not in self.holders):
            raise SecurityFault("FailedAuthentication", "the connection does not hold the confirmed key")


def read_confirmation(confirmation: etree._Element) -> Confirmation:
    """Raises SecurityFault for a method that is not taken, too."""
    method = confirmation.get("Method")
    data = confirmation.find(_CONFIRMATION_DATA)
    if method not in (BEARER, HOLDER_OF_KEY):
        raise SecurityFault("FailedAuthentication", f"subject confirmation {method!r} is not taken")
    holders = None if method == BEARER else frozenset[str]() if data is None else _certificates(data)
    if data is None:
        return Confirmation(holders=holders)
    until, since = data.get("NotOnOrAfter"), data.get("NotBefore")
    return Confirmation(
        not_before=None if since is None else instant(since, "NotBefore"),
        not_on_or_after=None if until is None else instant(until, "NotOnOrAfter"),
        recipient=data.get("Recipient"),
        holders=holders,
    )


def _certificates(data: etree._Element) -> frozenset[str]:
    """SHA-256 of each certificate that SubjectConfirmationData names."""
    try:
        return frozenset(
            hashlib.sha256(base64.b64decode(content(found), validate=False)).hexdigest()
            for found in data.findall(_CERTIFICATE)
        )
    except binascii.Error as error:
        raise malformed("a certificate is not base64") from error


def confirm(
    confirmations: Sequence[Confirmation | SecurityFault],
    now: datetime,
    clock_skew: timedelta,
    recipients: frozenset[str],
    peer_certificate_sha256: str,
) -> None:
    """One of them is met; those that could not be read are given as what is wrong with them."""
    fault: SecurityFault | None = None
    for one in confirmations:
        try:
            if isinstance(one, SecurityFault):
                raise one
            one.check(now, clock_skew, recipients, peer_certificate_sha256)
        except SecurityFault as refused:
            fault = refused
        else:
            return
    raise fault or malformed("no SubjectConfirmation")


def check_sessions(ends: Sequence[datetime], now: datetime, clock_skew: timedelta) -> None:
    """None of the sessions at the issuer has ended."""
    for until in ends:
        if now >= until + clock_skew:
            raise SecurityFault("MessageExpired", "the session at the issuer is over")


def instant(text: str, name: str, fault: str = "InvalidSecurityToken") -> datetime:
    """A time with its offset."""
    found = read_instant(text)
    if found is None:
        raise SecurityFault(fault, f"{name} is not a time with its offset: {text!r}")
    return found


def malformed(detail: str) -> SecurityFault:
    """An assertion that is not of the form that was agreed."""
    return SecurityFault("InvalidSecurityToken", detail)
