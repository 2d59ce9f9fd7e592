"""Who asks, in the Authorization header of a REST request: an access token (IUA) or an assertion (XUA).

RFC 9110 section 11.6.2; RFC 6750 (Bearer); IHE IUA 3.72 (Bearer and IHE-SAML).
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
    if scheme == "bearer":
        return read_token(token.encode(), tokens, now=now, peer_certificate_sha256=peer_certificate_sha256)
    if scheme == "ihe-saml":
        try:
            raw = base64.b64decode(token.replace("-", "+").replace("_", "/"), validate=True)
        except binascii.Error as error:
            raise SecurityFault("InvalidSecurityToken", "the assertion is not base64") from error
        return read_bare_assertion(raw, saml, now=now, peer_certificate_sha256=peer_certificate_sha256)
    raise SecurityFault("UnsupportedSecurityToken", f"the scheme {credentials[1]!r} is not taken")


def challenges(*, refused: bool) -> tuple[str, ...]:
    """The WWW-Authenticate headers of a 401; which check failed is not said (RFC 6750 section 3)."""
    error = ', error="invalid_token"' if refused else ""
    return tuple(f'{scheme} realm="xdsi"{error}' for scheme in CHALLENGES)
