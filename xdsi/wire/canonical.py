"""Canonical XML of one element, by the algorithm a signature names.

Canonical XML 1.0 and 1.1, Exclusive XML Canonicalization 1.0. Version 1.1 differs from 1.0 only where xml: attributes
are inherited, so documents with such attributes are refused by those who ask.
"""

from __future__ import annotations

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.wire import xml

C14N_10 = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
C14N_11 = "http://www.w3.org/2006/12/xml-c14n11"
C14N_11_COMMENTS = C14N_11 + "#WithComments"
ALGORITHMS: dict[str, tuple[bool, bool]] = {
    C14N_10: (False, False),
    C14N_10 + "#WithComments": (False, True),
    C14N_11: (False, False),
    C14N_11_COMMENTS: (False, True),
    "http://www.w3.org/2001/10/xml-exc-c14n#": (True, False),
    "http://www.w3.org/2001/10/xml-exc-c14n#WithComments": (True, True),
}
"""algorithm to (exclusive, with comments)"""


def canonical(element: etree._Element, algorithm: str) -> bytes:
    """The canonical octets of an element with all it inherits; KeyError for an unknown algorithm.

    The element is first made a document of its own: lxml prints false `xmlns=""` when it canonicalizes inside one.
    """
    exclusive, with_comments = ALGORITHMS[algorithm]
    alone = xml.standalone(element)
    try:
        octets: bytes = etree.tostring(alone, method="c14n", exclusive=exclusive, with_comments=with_comments)
    except etree.C14NError as error:
        raise MalformedMessage("the XML has no canonical form", location=str(element.tag)) from error
    return octets
