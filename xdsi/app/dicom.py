"""The application entities of the settings, each bound to the organisation for which it asks."""

from __future__ import annotations

from xdsi.domain.codes import Code
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.move import DicomPeer
from xdsi.domain.subject import Subject
from xdsi.settings import Settings

ISSUER = "urn:dicom:application-entity"
"""who names the subject of a request that has no words for one: the settings, by AE title"""


def dicom_peers(settings: Settings) -> dict[str, DicomPeer]:
    """The entities by AE title; raises ConfigurationError where one cannot be trusted or is named twice."""
    found: dict[str, DicomPeer] = {}
    for one in settings.dicom.peer:
        title = one.ae_title.strip()
        if not title or len(title) > 16 or "\\" in title or not title.isascii() or not title.isprintable():
            raise ConfigurationError(f"dicom.peer.ae_title is {one.ae_title!r}; valid: 1 to 16 characters")
        if title in found:
            raise ConfigurationError(f"dicom.peer.ae_title {title!r} is named twice")
        if not one.certificate_sha256 and settings.domain.profile != "open":
            raise ConfigurationError(f"dicom.peer {title!r} needs certificate_sha256")
        host, _, port = one.address.rpartition(":")
        found[title] = DicomPeer(
            ae_title=title,
            host=host.strip("[]"),
            port=int(port),
            certificate_sha256=one.certificate_sha256,
            subject=Subject(
                user_id=title,
                issuer=ISSUER,
                assertion_id="",
                user_name=title,
                organization=one.organization or one.organization_id,
                organization_id=one.organization_id,
                roles=(_code(one.role),),
                purposes=(_code(one.purpose),),
            ),
        )
    return found


def _code(text: str) -> Code:
    code, name, scheme = text.split("^")
    return Code(code, scheme, name)
