"""Access tokens of the IUA profile that we issue ourselves, and the key set by which they are believed.

IHE IUA 3.71.4.2.2.1 (claims); RFC 7519 and 7515 (JWT, JWS), 7517 (key sets).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from xdsi.domain.codes import Code
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.subject import Subject


def issue_token(
    subject: Subject, *, audience: str, key_pem: bytes, cert_pem: bytes, now: datetime, lifetime: timedelta
) -> bytes:
    """A token that says of a subject what an assertion of it would, signed by the key of this certificate."""
    extension: dict[str, Any] = {
        "subject_name": subject.user_name,
        "subject_organization": [subject.organization],
        "subject_organization_id": [subject.organization_id],
        "subject_role": _codings(subject.roles),
        "purpose_of_use": _codings(subject.purposes),
    }
    if subject.patient is not None:
        extension["person_id"] = subject.patient.cx
    claims = {
        "iss": subject.issuer,
        "sub": subject.user_id,
        "aud": audience,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
        "jti": str(uuid.uuid4()),
        "extensions": {"ihe_iua": {name: value for name, value in extension.items() if value}},
    }
    key = _public_key(cert_pem)
    return jwt.encode(claims, key_pem, key["alg"], headers={"kid": key["kid"]}).encode()


def key_set(cert_pem: bytes) -> bytes:
    """The JSON Web Key Set with the public key of a certificate."""
    return json.dumps({"keys": [_public_key(cert_pem)]}).encode()


def _public_key(cert_pem: bytes) -> dict[str, Any]:
    certificate = x509.load_pem_x509_certificate(cert_pem)
    public = certificate.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        key, algorithm = RSAAlgorithm.to_jwk(public, as_dict=True), "RS256"
    elif isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        key, algorithm = ECAlgorithm.to_jwk(public, as_dict=True), "ES256"
    else:
        raise ConfigurationError("access tokens are signed by RSA or P-256 keys")
    key.pop("key_ops", None)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {**key, "kid": hashlib.sha256(der).hexdigest()[:16], "use": "sig", "alg": algorithm}


def _codings(codes: Sequence[Code]) -> list[dict[str, str]]:
    return [
        {"system": f"urn:oid:{one.scheme}", "code": one.code, **({"display": one.display} if one.display else {})}
        for one in codes
    ]
