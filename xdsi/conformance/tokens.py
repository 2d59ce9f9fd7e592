"""Identity assertions (ITI TF-2 3.40, SAML 2.0) as a step describes them: in order, or wrong in one way.

What an assertion says is a template, shared/assertion.xml; here it is signed (XML Signature, exclusive canonical form)
and, where the step wants it, spoilt.
"""

from __future__ import annotations

import base64
import copy
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import jwt
import xmlsec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from .model import Token
from .templates import NAMESPACES, TemplateError, Values, change, render
from .vocabulary import WRAPPINGS
from .xml import parse

_DS, _SAML = f"{{{NAMESPACES['ds']}}}", f"{{{NAMESPACES['saml']}}}"


@dataclass(frozen=True)
class Issuer:
    """Who signs assertions, and whom the server under test trusts to."""

    name: str
    key: bytes = field(repr=False)
    certificate: bytes

    @classmethod
    def of(cls, name: str, key: Path, certificate: Path) -> Issuer:
        """From PEM files; ValueError where they hold no RSA key without a password, or no certificate of it."""
        issuer = cls(name, key.read_bytes(), certificate.read_bytes())
        try:
            private = serialization.load_pem_private_key(issuer.key, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"{key}: {error}") from None
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError(f"{key}: expected an RSA key")
        try:
            public = x509.load_pem_x509_certificate(issuer.certificate).public_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(f"{certificate}: {error}") from None
        if public != private.public_key():
            raise ValueError(f"{certificate} is not the certificate of {key}")
        return issuer


def header(token: Token, issuer: Issuer, template: str, values: Values) -> str:
    """The wsse:Security header block with the assertion, as often as the step has it; empty where it has none."""
    if not token.copies:
        return ""
    content = "".join(_made(token, issuer, template, values) for _ in range(token.copies))
    return (
        f'<wsse:Security xmlns:wsse="{NAMESPACES["wsse"]}" xmlns:soap="{NAMESPACES["soap"]}" '
        f'soap:mustUnderstand="true">{content}</wsse:Security>'
    )


def alone(token: Token, issuer: Issuer, template: str, values: Values) -> str:
    """One assertion as the step has it, with no header around it."""
    return _made(token, issuer, template, values)


_SIGNED_BY = "RS256"


def access_token(token: Token, issuer: Issuer, values: Values) -> str:
    """An access token that says what an assertion would (IUA 3.71.4.2.2.1; RFC 7515, 7519), as the step has it."""
    issued = datetime.now(UTC) - timedelta(seconds=token.age)
    claims = {
        "iss": values.expand(token.issuer, xml=False) or issuer.name,
        "sub": values.expand("${subject}", xml=False),
        "aud": values.expand(token.audience or "${home}", xml=False),
        "iat": int(issued.timestamp()),
        "exp": int((issued + timedelta(seconds=token.lifetime)).timestamp()),
        "jti": str(uuid.uuid4()),
        "extensions": {
            "ihe_iua": {
                "subject_name": values.expand("${subject_name}", xml=False),
                "subject_organization": [values.expand("${subject_organization}", xml=False)],
                "subject_organization_id": [values.expand("${subject_organization_id}", xml=False)],
                "subject_role": [_coding("subject_role", values)],
                "purpose_of_use": [_coding("purpose", values)],
            }
        },
    }
    signer = stranger() if token.key == "stranger" else issuer
    text = jwt.encode(claims, signer.key if token.signed else "", _SIGNED_BY if token.signed else "none")
    for edit in token.after:
        text = _altered(text, str(edit["at"]), str(edit["set"]))
    return text


def _coding(name: str, values: Values) -> dict[str, str]:
    code, system = (values.expand(f"${{{one}}}", xml=False) for one in (name, f"{name}_system"))
    return {"system": f"urn:oid:{system}", "code": code}


def _altered(text: str, claim: str, value: str) -> str:
    """The token with another claim, and the signature that it had."""
    head, body, signature = text.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims[claim] = value
    encoded = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{head}.{encoded}.{signature}"


def _made(token: Token, issuer: Issuer, template: str, values: Values) -> str:
    if token.wrap and token.wrap not in WRAPPINGS:
        raise TemplateError(f"wrap {token.wrap!r}: expected one of {WRAPPINGS}")
    issued = datetime.now(UTC) - timedelta(seconds=token.age)
    scope = {
        "assertion_id": f"_{uuid.uuid4()}",
        "issued": _instant(issued),
        "until": _instant(issued + timedelta(seconds=token.lifetime)),
        "issuer": values.expand(token.issuer, xml=False) or issuer.name,
        "audience": values.expand(token.audience or "${home}", xml=False),
    }
    text = render(template, lambda name: template, values, scope)
    if token.before:
        text = change(text, token.before, values)
    assertion = parse(text, indented=True)
    if token.signed:
        signer = stranger() if token.key == "stranger" else issuer
        _sign(assertion, signer.key, signer.certificate)
    text = etree.tostring(assertion, encoding="unicode")
    if token.after:
        text = change(text, token.after, values)
    return _wrapped(text, token.wrap) if token.wrap else text


def _instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _sign(assertion: etree._Element, key: bytes, certificate: bytes) -> None:
    """An enveloped signature after the Issuer, where the SAML schema has it."""
    methods = xmlsec.constants
    signature = xmlsec.template.create(
        assertion, methods.TransformExclC14N, methods.TransformRsaSha256, ns="ds"
    )  # fmt: skip
    assertion.insert(1, signature)
    reference = xmlsec.template.add_reference(signature, methods.TransformSha256, uri=f"#{assertion.get('ID')}")
    xmlsec.template.add_transform(reference, methods.TransformEnveloped)
    xmlsec.template.add_transform(reference, methods.TransformExclC14N)
    data = xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    xmlsec.template.x509_data_add_certificate(data)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(key, methods.KeyDataFormatPem)
    context.key.load_cert_from_memory(certificate, methods.KeyDataFormatPem)
    context.register_id(assertion, "ID")
    context.sign(signature)


def _wrapped(text: str, how: str) -> str:
    """Another user's assertion in front of the genuine one, whose signature holds where it lies now."""
    genuine = parse(text)
    forged = copy.deepcopy(genuine)
    forged.set("ID", f"_{uuid.uuid4()}")
    for name in forged.iter(f"{_SAML}NameID"):
        name.text = "intruder"
    signature, kept = forged.find(f"{_DS}Signature"), genuine.find(f"{_DS}Signature")
    if signature is None or kept is None:
        raise TemplateError("only a signed assertion can be wrapped")
    if how == "advice":
        # Whoever looks for a signature anywhere finds one that holds.
        forged.remove(signature)
        conditions = forged.find(f"{_SAML}Conditions")
        advice = etree.Element(f"{_SAML}Advice")
        advice.append(genuine)
        if conditions is None:
            raise TemplateError("an Advice follows the Conditions, and there are none")
        conditions.addnext(advice)
        return etree.tostring(forged, encoding="unicode")
    # The forged one bears the signature, which points at what lies beside it.
    genuine.remove(kept)
    holder = etree.Element("{urn:example:kept}Kept", nsmap={"kept": "urn:example:kept"})
    holder.append(genuine)
    return etree.tostring(forged, encoding="unicode") + etree.tostring(holder, encoding="unicode")


@cache
def stranger() -> Issuer:
    """A key of this process, and a certificate that it made out to itself: nobody can have known it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Issuer("stranger", private, certificate.public_bytes(pem))
