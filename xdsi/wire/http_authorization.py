"""Who asks, in the Authorization header of a REST request: an access token (IUA) or an assertion (XUA).

RFC 9110 section 11.6.2; RFC 6750 (Bearer); IHE IUA 3.72.4.2: the token is a Bearer token whatever its form, which is
found by a look at it (3.72.4.3). IHE-SAML is what IUA called the scheme of an assertion up to revision 2.0.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime

from xdsi.domain.errors import SecurityFault
from xdsi.wire.jwt_token import JwtTrust, read_token
from xdsi.wire.saml import SamlTrust, VerifiedAssertion, read_bare_assertion

CHALLENGES = ("Bearer", "IHE-SAML")
_CREDENTIALS = re.compile(r"([A-Za-z0-9-]+) +([A-Za-z0-9._~+/-]+=*)")
_LIMIT = 128 * 1024


def read_authorization(
    header: str, saml: SamlTrust, tokens: JwtTrust, *, now: datetime, peer_certificate_sha256: str = ""
) -> VerifiedAssertion:
    """Who asks, proved by the one credential of the header; SecurityFault with the code of what fails first."""
    if not header:
        raise SecurityFault("InvalidSecurity", "no Authorization header")
    credentials = _CREDENTIALS.fullmatch(header.strip()) if len(header) <= _LIMIT else None
    if credentials is None:
        raise SecurityFault("InvalidSecurity", "the Authorization header is not one scheme with one token")
    scheme, token = credentials[1].lower(), credentials[2]
    if scheme == "bearer" and not _is_assertion(token):
        return read_token(token.encode(), tokens, now=now, peer_certificate_sha256=peer_certificate_sha256)
    if scheme in ("bearer", "ihe-saml"):
        try:
            raw = _octets(token)
        except binascii.Error as error:
            raise SecurityFault("InvalidSecurityToken", "the assertion is not base64") from error
        return read_bare_assertion(raw, saml, now=now, peer_certificate_sha256=peer_certificate_sha256)
    raise SecurityFault("UnsupportedSecurityToken", f"the scheme {credentials[1]!r} is not taken")


def _octets(token: str) -> bytes:
    """Base64 in either alphabet; RFC 7522 section 2.1 leaves the padding out."""
    text = token.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _is_assertion(token: str) -> bool:
    """True for XML in base64; never for a signed token, whose parts are joined by dots (RFC 7515 section 3.1)."""
    if "." in token:
        return False
    try:
        return _octets(token[:64]).lstrip().startswith(b"<")
    except binascii.Error:
        return False


def challenges(*, refused: bool) -> tuple[str, ...]:
    """The WWW-Authenticate headers of a 401; which check failed is not said (RFC 6750 section 3)."""
    error = ', error="invalid_token"' if refused else ""
    return tuple(f'{scheme} realm="xdsi"{error}' for scheme in CHALLENGES)
