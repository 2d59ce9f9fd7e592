"""ITI-42 and its kin on the wire: SubmitObjectsRequest and a Submission.

ebRS 3.0 (lcm.xsd); ITI TF-2 3.42.4.1.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from lxml import etree

from xdsi.domain.errors import MalformedMessage
from xdsi.domain.metadata import Association, DocumentEntry, Folder, RegistryObject, SubmissionSet
from xdsi.domain.submission import Submission
from xdsi.spec.namespaces import LCM, RIM
from xdsi.wire import xml
from xdsi.wire.ebxml import markup, objects
from xdsi.wire.message import Message, Packaging, Payload

T = TypeVar("T", SubmissionSet, DocumentEntry, Folder, Association)
REQUEST = xml.E(LCM, "SubmitObjectsRequest")
_OBJECT_LIST = xml.E(RIM, "RegistryObjectList")


def decode(message: Message) -> Submission:
    """What a SubmitObjectsRequest submits."""
    return read(message.body)


def read(root: etree._Element) -> Submission:
    """What an lcm:SubmitObjectsRequest element submits; each class keeps the order of the message."""
    if root.tag != REQUEST:
        raise MalformedMessage(f"{root.tag} is not a submission", location="Body", expected="lcm:SubmitObjectsRequest")
    found = root.findall(_OBJECT_LIST)
    if len(found) != 1:
        text = f"{len(found)} rim:RegistryObjectLists"
        raise MalformedMessage(text, location="SubmitObjectsRequest", expected="exactly one")
    decoded = objects.decode(found[0])
    return Submission(
        submission_sets=_of(decoded.objects, SubmissionSet),
        document_entries=_of(decoded.objects, DocumentEntry),
        folders=_of(decoded.objects, Folder),
        associations=_of(decoded.objects, Association),
        findings=decoded.findings,
    )


def _of(found: Iterable[RegistryObject], type_: type[T]) -> tuple[T, ...]:
    return tuple([one for one in found if isinstance(one, type_)])


def encode(submission: Submission, packaging: Packaging) -> Payload:
    """A SubmitObjectsRequest as the body."""
    return Payload((write(submission).encode(),))


def write(submission: Submission) -> str:
    """An lcm:SubmitObjectsRequest with its own namespace declarations."""
    content = "".join(map(markup.write, submission.objects))
    return (
        f'<lcm:SubmitObjectsRequest xmlns:lcm="{LCM}" xmlns:rim="{RIM}">'
        f"<rim:RegistryObjectList>{content}</rim:RegistryObjectList></lcm:SubmitObjectsRequest>"
    )
