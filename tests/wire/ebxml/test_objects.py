"""Registry objects as ebRIM: any object written is read back, and what the reader tolerates and reports.

ITI TF-3 4.2.1 (markers), 4.2.3.1 (coding of attributes).
"""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings

from tests import builders
from tests.wire.ebxml.strategies import registry_objects
from xdsi.domain.codes import Code
from xdsi.domain.errors import MalformedMessage
from xdsi.domain.metadata import DocumentEntry, Extra, ExtraClassification, ExtraIdentifier, RegistryObject, Slot
from xdsi.domain.texts import LocalizedString
from xdsi.spec import uuids
from xdsi.spec.namespaces import RIM
from xdsi.wire import xml
from xdsi.wire.ebxml import markup, objects
from xdsi.wire.ebxml.objects import Decoded

SAMPLES = {
    "DocumentEntry": builders.document_entry(),
    "On-Demand DocumentEntry": builders.on_demand_entry(),
    "SubmissionSet": builders.submission_set(),
    "Folder": builders.folder(),
    "Association": builders.has_member("ss1", "doc1", "Original"),
}
ENTRY = markup.write(builders.document_entry())
PACKAGE = markup.write(builders.submission_set())
MARKER = re.compile(r'<rim:Classification [^>]*classificationNode="urn:uuid:a54d6aa5[^>]*></rim:Classification>')


def decode(text: str) -> Decoded:
    listed = f'<rim:RegistryObjectList xmlns:rim="{RIM}">{text}</rim:RegistryObjectList>'
    return objects.decode(xml.parse(listed.encode()))


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_samples_are_read_as_they_were_written(sample: RegistryObject) -> None:
    assert decode(markup.write(sample)) == Decoded(objects=(sample,))


@settings(max_examples=50)
@given(registry_objects)
def test_any_object_is_read_as_it_was_written(sample: RegistryObject) -> None:
    assert decode(markup.write(sample)) == Decoded(objects=(sample,))


def slot(name: str, *values: str) -> str:
    return markup.slot(name, values)


def inserted(text: str, addition: str) -> str:
    """The addition as the first child."""
    return text.replace(">", f">{addition}", 1)


TOLERATED = {
    "children in another order": lambda text: shuffled(text),
    "another prefix": lambda text: text.replace("rim:", "tns:").replace("<tns:Ext", f'<tns:Ext xmlns:tns="{RIM}"', 0),
    "white space and comments": lambda text: text.replace("><", ">\n <!-- - -->\n<"),
    "white space around values": lambda text: text.replace("<rim:Value>", "<rim:Value>\n  ").replace(
        "</rim:Value>", "\n</rim:Value>"
    ),
    "a comment inside a value": lambda text: text.replace("20240102030405", "20240102<!-- - -->030405"),
    "sub-elements without id": lambda text: re.sub(r'(<rim:(Class|External)[a-zA-Z]*) id="[^"]*"', r"\1", text),
    "author with no nodeRepresentation": lambda text: text.replace(' nodeRepresentation=""', ""),
    "an empty Description": lambda text: text.replace("<rim:Description>", "<rim:Description/><rim:Description>"),
    "VersionInfo of the schema's default": lambda text: inserted(text, '<rim:VersionInfo versionName="1.1"/>'),
    "what the schema has and the profile does not use": lambda text: inserted(
        text, '<rim:ContentVersionInfo versionName="1"/>'
    ),
    "an empty Slot of the profile": lambda text: inserted(text, slot("documentAvailability", "")),
    "a Slot without values": lambda text: inserted(text, slot("documentAvailability")),
    "a language that is none": lambda text: text.replace('value="A note"/>', 'value="A note" xml:lang="en_GB!"/>'),
    "an empty LocalizedString": lambda text: text.replace(
        '<rim:LocalizedString value="A note"/>', '<rim:LocalizedString value=""/><rim:LocalizedString value="A note"/>'
    ),
}


def shuffled(text: str) -> str:
    root = xml.parse(text.replace("<rim:ExtrinsicObject", f'<rim:ExtrinsicObject xmlns:rim="{RIM}"', 1).encode())
    children = list(root)
    random.Random(7).shuffle(children)
    for child in children:
        root.append(child)
    return xml.serialize(root).decode()


@pytest.mark.parametrize("change", TOLERATED.values(), ids=TOLERATED.keys())
def test_tolerates(change: object) -> None:
    assert callable(change)
    text = change(ENTRY)
    namespace = f'xmlns:tns="{RIM}"'
    root = xml.parse(f'<rim:RegistryObjectList xmlns:rim="{RIM}" {namespace}>{text}</rim:RegistryObjectList>'.encode())
    assert objects.decode(root) == Decoded(objects=(builders.document_entry(),))


LANGUAGES = (LocalizedString("A note", "en"), LocalizedString("Eine Notiz", "de-CH"), LocalizedString("Nota"))


def in_languages(text: str, value: str) -> str:
    """The LocalizedString of a value, and two more in other languages."""
    return text.replace(
        f'<rim:LocalizedString value="{value}"/>',
        f'<rim:LocalizedString charset="UTF-8" value="{value}" xml:lang="en"/>'
        '<rim:LocalizedString xml:lang="de-CH" value="Eine Notiz"/><rim:LocalizedString value="Nota"/>',
    )


def test_text_keeps_its_languages() -> None:
    """ITI TF-2 3.42.4.1.3.6: what was submitted is returned; title, comments and display names have languages."""
    sample = builders.document_entry(comments="A note", class_code=Code("REPORTS", "2.999.20", "A note"))
    (entry,) = decode(in_languages(markup.write(sample), "A note")).objects
    assert isinstance(entry, DocumentEntry)
    assert (entry.title, entry.extra.names, entry.extra.descriptions) == ("A note", LANGUAGES, LANGUAGES)
    assert entry.class_code is not None
    assert (entry.class_code.display, entry.class_code.names) == ("A note", LANGUAGES)
    again = decode(markup.write(entry))
    assert again == Decoded(objects=(entry,))
    assert getattr(again.objects[0], "class_code").names == LANGUAGES  # noqa: B009 - a Code compares without them


def test_a_text_that_was_changed_has_no_other_languages() -> None:
    (entry,) = decode(in_languages(ENTRY, "A note")).objects
    (read,) = decode(markup.write(replace(entry, title="Another note"))).objects
    assert read.extra.names == ()


def test_marker_may_stand_beside_its_package() -> None:
    beside = MARKER.search(PACKAGE)
    assert beside
    expected = Decoded(objects=(builders.submission_set(),))
    assert decode(MARKER.sub("", PACKAGE) + beside[0]) == expected
    assert decode(beside[0] + MARKER.sub("", PACKAGE)) == expected


def test_object_references_are_no_objects() -> None:
    decoded = decode('<rim:ObjectRef id="urn:uuid:1"/><rim:ObjectRef id="b" home="urn:oid:2.999"/>' + ENTRY)
    assert decoded.references == (("urn:uuid:1", ""), ("b", "urn:oid:2.999"))
    assert len(decoded.objects) == 1
    assert decoded.findings == ()


def test_what_the_profile_does_not_know_is_kept() -> None:
    addition = (
        slot("urn:x:y", "a", "b")
        + '<rim:Classification id="c" classifiedObject="doc1" classificationScheme="urn:x" nodeRepresentation="n">'
        + slot("codingScheme", "s")
        + '<rim:Name><rim:LocalizedString value="N"/></rim:Name></rim:Classification>'
        + '<rim:ExternalIdentifier id="e" registryObject="doc1" identificationScheme="urn:z" value="v"/>'
    )
    (entry,) = decode(inserted(ENTRY, addition)).objects
    assert entry.extra == Extra(
        slots=(Slot("urn:x:y", ("a", "b")),),
        classifications=(
            ExtraClassification(scheme="urn:x", representation="n", name="N", slots=(Slot("codingScheme", ("s",)),)),
        ),
        identifiers=(ExtraIdentifier("urn:z", "v"),),
    )
    assert [one.id for one in (*entry.extra.classifications, *entry.extra.identifiers)] == ["c", "e"]


CODE = f'classificationScheme="{"urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a"}"'
CLASSIFICATION = f'<rim:Classification id="c9" classifiedObject="doc1" {CODE} nodeRepresentation="X">'

# What is wrong, in which object, the rule that reports it, and where.
FINDINGS = {
    "a Slot name twice": (inserted(ENTRY, slot("hash", "0")), "DE.slot.twice", "doc1/hash"),
    "an extra Slot name twice": (
        inserted(ENTRY, slot("urn:x", "0") + slot("urn:x", "1")), "DE.slot.twice", "doc1/urn:x",
    ),
    "several values of a single-valued Slot": (
        ENTRY.replace("<rim:Value>20240102030405<", "<rim:Value>2023</rim:Value><rim:Value>2024<"),
        "DE.creationTime.values", "doc1/creationTime",
    ),
    "several codes of a single-valued attribute": (
        inserted(ENTRY, f"{CLASSIFICATION}{slot('codingScheme', 's')}</rim:Classification>"),
        "DE.classCode.values", "doc1/classCode",
    ),
    "a code without coding scheme": (
        ENTRY.replace(slot("codingScheme", "2.16.840.1.113883.6.1"), ""), "DE.typeCode.codingScheme", "doc1/typeCode",
    ),
    "a code with two coding schemes": (
        ENTRY.replace("<rim:Value>2.16.840.1.113883.6.1<", "<rim:Value>a</rim:Value><rim:Value>b<"),
        "DE.typeCode.codingScheme", "doc1/typeCode",
    ),
    "a code without nodeRepresentation": (
        ENTRY.replace(' nodeRepresentation="34133-9"', ""), "DE.typeCode.code", "doc1/typeCode",
    ),
    "an author Slot twice": (
        ENTRY.replace(slot("authorRole", "author"), slot("authorRole", "author") * 2),
        "DE.author.slot.twice", "doc1/authorRole",
    ),
    "an author of two persons": (
        ENTRY.replace(
            slot("authorPerson", builders.AUTHOR.person), slot("authorPerson", builders.AUTHOR.person, "^Other")
        ),
        "DE.author.authorPerson.values", "doc1/authorPerson",
    ),
    "an identifier twice": (
        ENTRY.replace("</rim:ExtrinsicObject>", re.findall(r"<rim:ExternalIdentifier.*?</rim:Ex[a-zA-Z]*>", ENTRY)[0])
        + "</rim:ExtrinsicObject>",
        "DE.patientId.values", "doc1/patientId",
    ),
    "a Classification that names another object": (
        ENTRY.replace('classifiedObject="doc1"', 'classifiedObject="doc2"', 1),
        "CLASSIFICATION.classifiedObject", "doc1/classifiedObject",
    ),
    "a Classification that names none": (
        ENTRY.replace(' classifiedObject="doc1"', "", 1), "CLASSIFICATION.classifiedObject", "doc1/classifiedObject",
    ),
    "an ExternalIdentifier that names another object": (
        ENTRY.replace('registryObject="doc1"', 'registryObject="ss1"', 1),
        "EXTERNALIDENTIFIER.registryObject", "doc1/registryObject",
    ),
    "an object without id": (
        re.sub(r' (id|registryObject|classifiedObject)="doc1"', lambda match: "" if match[1] == "id" else
               f' {match[1]}=""', ENTRY),
        "DE.id", "RegistryObjectList/ExtrinsicObject",
    ),
    "a package without marker": (MARKER.sub("", PACKAGE), "PACKAGE.marker", "ss1"),
    "a package with both markers": (
        PACKAGE.replace(uuids.SUBMISSION_SET, uuids.FOLDER, 1) + MARKER.search(PACKAGE)[0], "PACKAGE.marker", "ss1",
    ),
    "a marker of an object that is not there": (
        PACKAGE + f'<rim:Classification id="x" classifiedObject="lost" classificationNode="{uuids.FOLDER}"/>',
        "CLASSIFICATION.orphan", "lost",
    ),
    "a code beside its object": (
        ENTRY + f"{CLASSIFICATION}{slot('codingScheme', 's')}</rim:Classification>", "CLASSIFICATION.place", "doc1",
    ),
    "an element of another namespace inside": (
        inserted(ENTRY, '<x:more xmlns:x="urn:x">of it</x:more>'), "OBJECT.content", "doc1/more",
    ),
    "objects inside a package": (
        inserted(PACKAGE, f"<rim:RegistryObjectList>{ENTRY}</rim:RegistryObjectList>"),
        "OBJECT.content", "ss1/RegistryObjectList",
    ),
    "an object of another class": ('<rim:Organization id="o" primaryContact="x"/>', "OBJECT.unknown", "o"),
    "an object of another namespace": ('<x:Thing xmlns:x="urn:x" id="o"/>', "OBJECT.unknown", "o"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "rule", "location"), FINDINGS.values(), ids=FINDINGS.keys())
def test_reports(text: str, rule: str, location: str) -> None:
    (finding,) = decode(text).findings
    assert (finding.rule, finding.location, finding.code) == (rule, location, "XDSRegistryMetadataError")
    assert len(finding.context) > 20


def test_refuses_attributes_beyond_reason() -> None:
    with pytest.raises(MalformedMessage, match="4097 characters"):
        decode(ENTRY.replace(' mimeType="text/plain"', f' mimeType="{"x" * 4097}"'))


def test_an_association_without_id_gets_one() -> None:
    text = markup.write(builders.has_member("ss1", "doc1", "Original")).replace(' id="HasMember-ss1-doc1"', "")
    (association,) = decode(text).objects
    assert association.entry_uuid.startswith("urn:uuid:")


def test_one_element_alone() -> None:
    text = markup.write(builders.document_entry(), standalone=True)
    assert objects.decode_one(xml.parse(text.encode())) == builders.document_entry()
    for wrong in (f'<rim:RegistryPackage xmlns:rim="{RIM}" id="p"/>', "<x/>"):
        with pytest.raises(MalformedMessage):
            objects.decode_one(xml.parse(wrong.encode()))


def test_every_part_has_an_id_of_its_own() -> None:
    """ITI TF-3 4.2.3.1.5: ids are unique, also between two objects with the same content."""
    written = "".join(markup.write(DocumentEntry(entry_uuid=f"doc{number}", **CONTENT)) for number in (1, 2))
    ids = re.findall(r' id="([^"]*)"', written)
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"doc\d|urn:uuid:[0-9a-f-]{36}", one) for one in ids)


CONTENT = {"patient_id": builders.PATIENT, "class_code": builders.document_entry().class_code, "unique_id": "2.999.1"}
