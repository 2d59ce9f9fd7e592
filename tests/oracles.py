"""Official schemas and sample messages of third parties: what our own text is compared with.

They are looked for in `XDSI_CORPUS`, else `shared/corpus`, else `../shared/corpus`. Without them a test is skipped;
with `XDSI_REQUIRE_ORACLES=1` it fails instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from lxml import etree

REPOSITORY = Path(__file__).resolve().parent.parent


@cache
def _root() -> Path | None:
    named = os.environ.get("XDSI_CORPUS")
    places = [Path(named)] if named else [REPOSITORY / "shared" / "corpus", REPOSITORY.parent / "shared" / "corpus"]
    return next((place for place in places if place.is_dir()), None)


def corpus(*parts: str) -> Path:
    """The path of a file or folder of the corpus; without it the calling test is skipped, or fails where required."""
    root = _root()
    path = root.joinpath(*parts) if root else None
    if path is not None and path.exists():
        return path
    reason = f"no {'/'.join(parts) or 'corpus'}: set XDSI_CORPUS to a folder with the official schemas and samples"
    if os.environ.get("XDSI_REQUIRE_ORACLES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class _Catalog(etree.Resolver):
    """Answers for the addresses on the web that official schemas import, from the catalog beside them."""

    def __init__(self, catalog: Path) -> None:
        tag = "{urn:oasis:names:tc:entity:xmlns:xml:catalog}uri"
        entries = etree.parse(catalog).getroot().iter(tag)
        self.known = {entry.get("name"): str(catalog.parent / entry.get("uri")) for entry in entries}

    def resolve(self, url: str, public_id: str, context: object) -> object:
        local = self.known.get(url)
        return self.resolve_filename(local, context) if local else None


@cache
def schema_of(*parts: str) -> etree.XMLSchema:
    """A schema of the corpus, compiled once and without the network."""
    path = corpus("schemas", *parts)
    parser = etree.XMLParser(no_network=True, resolve_entities=False)
    parser.resolvers.add(_Catalog(corpus("schemas", "catalog.xml")))
    return etree.XMLSchema(etree.parse(path, parser))


def schema_importing(**schemas: tuple[str, Path]) -> etree.XMLSchema:
    """A schema of several namespaces, each imported from a file of the corpus (`name=(namespace, file)`)."""
    imports = "".join(
        f'<import namespace="{namespace}" schemaLocation="{path.as_uri()}"/>' for namespace, path in schemas.values()
    )
    parser = etree.XMLParser(no_network=True, resolve_entities=False)
    parser.resolvers.add(_Catalog(corpus("schemas", "catalog.xml")))
    driver = f'<schema xmlns="http://www.w3.org/2001/XMLSchema">{imports}</schema>'
    return etree.XMLSchema(etree.fromstring(driver, parser, base_url=corpus("schemas").as_uri() + "/driver.xsd"))


def official_schema() -> etree.XMLSchema:
    """The schema of every body of ITI-18, 38, 39, 41, 42, 43, 51, 57, 61, 62, 63, 86, 92 and RAD-69, 75."""
    return schema_of("drivers", "xds-messages.xsd")


def sample_messages(*tags: str) -> Iterator[tuple[str, etree._Element]]:
    """Every element of one of these names in the XML files of the corpus, at any depth, with its file and number.

    An element inside another one found is not given again. Files that are not well-formed XML have none.
    """
    root = corpus()
    for path in sorted(root.rglob("*.xml")):
        if path.is_relative_to(root / "schemas"):
            continue
        try:
            tree = etree.parse(path, etree.XMLParser(no_network=True, resolve_entities=False, huge_tree=True))
        except etree.XMLSyntaxError:
            continue
        outermost: list[etree._Element] = []
        for element in tree.iter(*tags):
            if not any(parent in outermost for parent in element.iterancestors()):
                outermost.append(element)
        for number, element in enumerate(outermost, start=1):
            # A copy by way of bytes, so that nothing around it takes part in validation.
            yield f"{path.relative_to(root)}#{number}", etree.fromstring(etree.tostring(element, with_tail=False))
