"""The one tree of exceptions.

XdsiError
├── MalformedMessage     a codec cannot read what it was given; names the place
├── SoapFault            the exchange ends with a SOAP 1.2 fault
│   └── SecurityFault    with a wsse fault code; the reason stays with the operator
├── Refused              a rule or a decision says no (REST paths)
├── Rejected             problems found after a unit of work had begun to write: it is rolled back
├── Unavailable          a database, registry, repository or PACS cannot be reached
│   └── Contended        a unit of work was undone for the sake of another one; it may be done again at once
├── IntegrityLost        stored bytes are not the bytes that were acknowledged
└── ConfigurationError   the settings cannot be used; names the key
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdsi.domain.outcome import Problem


class XdsiError(Exception):
    """Root of everything this package raises on purpose."""


class MalformedMessage(XdsiError):
    """A message does not have the form its format asks for.

    `location` says where (an XPath, a header name, a byte offset), `expected` what would be right, `limit` which of the
    limits is exceeded that whoever reads the message has set.
    """

    def __init__(self, message: str, *, location: str = "", expected: str = "", limit: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.expected = expected
        self.limit = limit

    def __str__(self) -> str:
        text = self.message
        if self.location:
            text += f" at {self.location}"
        if self.expected:
            text += f"; expected {self.expected}"
        return text


class SoapFault(XdsiError):
    """End the exchange with a SOAP 1.2 fault (SOAP 1.2 part 1, section 5.4).

    `code` is `Sender`, `Receiver`, `MustUnderstand` or `VersionMismatch`; `subcode` a pair of namespace and local name.
    `reason` is for the caller, `detail` for the operator only. `http_status` overrides the usual 400 or 500.
    """

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        subcode: tuple[str, str] | None = None,
        detail: str = "",
        not_understood: tuple[tuple[str, str], ...] = (),
        http_status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.subcode = subcode
        self.detail = detail
        self.not_understood = not_understood
        self.http_status = http_status if http_status is not None else (400 if code == "Sender" else 500)


class SecurityFault(SoapFault):
    """A refused token: the caller learns the standard code only, the operator learns `detail` (ITI TF-2 3.40.4.1.3).

    `wsse_code` is one of the fault codes of WS-Security 1.0 section 12: `InvalidSecurity`, `InvalidSecurityToken`,
    `FailedAuthentication`, `FailedCheck`, `UnsupportedAlgorithm`, `UnsupportedSecurityToken`, `MessageExpired`.
    """

    def __init__(self, wsse_code: str, detail: str) -> None:
        from xdsi.spec.namespaces import WSSE

        super().__init__("Sender", "security token refused", subcode=(WSSE, wsse_code), detail=detail)
        self.wsse_code = wsse_code


class Refused(XdsiError):
    """A decision says no; `reason` is for the operator."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rejected(XdsiError):
    """Roll the unit of work back and answer with `problems`."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("rejected")
        self.problems = problems


class Unavailable(XdsiError):
    """Something this exchange depends on cannot be reached now; trying again later may work.

    `uncertain` when it may have done what it was asked to before it fell silent; `answered` when something is there,
    and did not do what it was asked to.
    """

    def __init__(self, message: str = "", *, uncertain: bool = False, answered: bool = False) -> None:
        super().__init__(message)
        self.uncertain, self.answered = uncertain, answered


class OutOfRoom(Unavailable):
    """A disk, a quota or a database is full: trying again works once somebody has made room."""


class Contended(Unavailable):
    """The database undid a unit of work for the sake of another one of the same moment; nothing of it is left."""


class IntegrityLost(XdsiError):
    """Stored bytes no longer have the hash they were acknowledged with."""


class ConfigurationError(XdsiError):
    """The settings cannot be used; the message names the key and the valid values."""
