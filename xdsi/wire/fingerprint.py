"""What the Body of a message says, as one hash: to know a message that is sent again.

XML Canonicalization (exclusive), so that neither prefixes around the Body nor white space in tags count; a part counts
by its bytes, not by the Content-ID that it happens to have.
"""

from __future__ import annotations

import hashlib

from lxml import etree

from xdsi.wire import mtom, xml
from xdsi.wire.message import Message


def fingerprint(message: Message, transaction: str = "") -> str:
    """SHA-256 of the elements of the Body and of the parts they include; several transactions have the same Body."""
    found = hashlib.sha256(transaction.encode())
    for body in message.bodies:
        # Counted first, so that no two lists of elements and parts can be told as one.
        parts = _parts(body, message)
        octets = _canonical(body)
        found.update(f"{len(octets)} {' '.join(parts)}\n".encode())
        found.update(octets)
    return found.hexdigest()


def _parts(body: etree._Element, message: Message) -> list[str]:
    """The hashes of the parts in the order of the elements that include them; their references say these instead."""
    hashes = []
    for reference in body.iter(mtom.INCLUDE):
        element = reference.getparent()
        content_id = mtom.part_of(element, message.parts) if element is not None else None
        hashes.append(message.parts[content_id].sha256 if content_id is not None else "")
    return hashes


def _canonical(body: etree._Element) -> bytes:
    references = [(reference, reference.get("href")) for reference in body.iter(mtom.INCLUDE)]
    try:
        for reference, _ in references:
            reference.set("href", "")
        octets: bytes = etree.tostring(body, method="c14n", exclusive=True, with_tail=False)
    except etree.C14NError:
        # A namespace that is no absolute URI: as it was written, then.
        octets = xml.serialize(body)
    finally:
        for reference, href in references:
            if href is not None:
                reference.set("href", href)
    return octets
