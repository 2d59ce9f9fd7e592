"""Every known attack is tried by a test that exists, and what is open is written down in SECURITY.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.security.attack_surface import ATTACKS, DEPLOYMENT, ROWS
from xdsi.transport import rest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = sorted((ROOT / "xdsi").rglob("*.py"))
CONNECTS = {"requests", "urllib3", "socket", "http.client", "urllib.request", "httpx"}
SECURITY_MD = ROOT / "SECURITY.md"
NAMED = re.compile(r"`(tests/[^`]+)`")


def exists(test: str) -> bool:
    """A file, a folder of a conformance case, or a function in a file."""
    file, _, function = test.partition("::")
    path = ROOT / file
    if not function:
        return path.exists()
    return path.is_file() and re.search(rf"^def {function}\(", path.read_text("utf-8"), re.MULTILINE) is not None


def test_each_row_has_its_tests() -> None:
    rows = {f"{section}.{row}" for section, number in ROWS.items() for row in range(1, number + 1)}
    assert ATTACKS.keys() == rows
    assert DEPLOYMENT.keys() <= rows


@pytest.mark.parametrize("row", ATTACKS)
def test_the_tests_of_a_row_exist(row: str) -> None:
    assert ATTACKS[row]
    assert [test for test in ATTACKS[row] if not exists(test)] == []


def test_what_takes_more_than_this_program_is_written_down() -> None:
    page = SECURITY_MD.read_text("utf-8")
    assert [text for text in DEPLOYMENT.values() if text not in " ".join(page.split())] == []


def threats() -> list[list[str]]:
    lines = [line.strip().strip("|").split(" | ") for line in SECURITY_MD.read_text("utf-8").splitlines()
             if line.startswith("|")]  # fmt: skip
    return [[cell.strip() for cell in line] for line in lines if len(line) == 4 and not set(line[0]) <= set(" -|")]


def test_each_threat_names_tests_that_exist() -> None:
    rows = [row for row in threats() if row[0] != "threat"]
    assert len(rows) >= 40
    for row in rows:
        named = NAMED.findall(row[3])
        assert named, row
        assert [test for test in named if not exists(test)] == [], row


def test_every_actor_has_all_kinds_of_threat() -> None:
    page = SECURITY_MD.read_text("utf-8")
    sections = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    kinds = {"spoofing", "tampering", "repudiation", "disclosure", "denial", "elevation"}
    assert len(sections) >= 6
    for section in sections:
        found = {line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")}
        assert kinds <= found, section.splitlines()[0]


# What the source may not have


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{one.name}" for one in node.names)


@cache
def trees() -> dict[str, ast.AST]:
    return {str(path.relative_to(ROOT / "xdsi")): ast.parse(path.read_text("utf-8")) for path in PRODUCT}


@cache
def imported() -> dict[str, frozenset[str]]:
    return {name: frozenset(imports(tree)) for name, tree in trees().items()}


def importers(modules: set[str]) -> set[str]:
    return {name for name, found in imported().items() if modules & found}


def test_nobody_is_called_at_an_address_from_a_message() -> None:
    """Whatever opens connections does so to addresses of the settings; none of it reads messages."""
    outside = {
        one
        for one in importers(CONNECTS)
        if not one.startswith(("transport/", "cli/", "storage/", "app/", "conformance/"))
    }
    assert outside == set()


def test_no_archive_is_opened() -> None:
    """Backups are our own files, and nothing that came by message is unpacked."""
    opened = importers({"zipfile", "tarfile", "gzip", "bz2", "lzma", "shutil.unpack_archive"})
    assert {one for one in opened if one.startswith(("transport/", "wire/", "transactions/", "actors/"))} == set()


def test_browsers_are_told_not_to_guess() -> None:
    source = Path(rest.__file__).read_text("utf-8")
    assert '("X-Content-Type-Options", "nosniff")' in source


@pytest.mark.parametrize(
    "module", ["pickle", "marshal", "shelve", "yaml", "xml.etree.ElementTree", "xml.dom.minidom", "xml.sax"]
)
def test_modules_that_trust_their_input_are_not_used(module: str) -> None:
    assert importers({module}) == set()


def test_xml_is_parsed_in_one_place() -> None:
    """With the one parser that is hardened: no call of lxml's own, which take a parser of anybody's choice.

    The conformance cases judge servers from outside and share no code with one; they have one such place of their own.
    """
    calls = {"fromstring", "parse", "XML", "HTML", "iterparse", "parseid", "fromstringlist"}
    found = set()
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in calls
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "etree"
            ):
                found.add(name)
    assert found <= {"wire/xml.py", "conformance/xml.py"}


SECRET = re.compile(r"password|passphrase|secret|credential|(?:^|_)(?:pin|mac|hmac)(?:$|_)|private_key", re.IGNORECASE)


def names(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            yield one.id
        elif isinstance(one, ast.Attribute):
            yield one.attr


def compared_secrets(tree: ast.AST) -> Iterator[str]:
    """Names of secrets that are compared with something else than a constant or None."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and not isinstance(node.ops[0], ast.Is | ast.IsNot):
            sides = [node.left, *node.comparators]
            if not any(isinstance(one, ast.Constant) for one in sides):
                yield from (name for side in sides for name in names(side) if SECRET.search(name))


def test_no_secret_is_compared_here() -> None:
    """Nothing that is sent is compared with a secret, so no time that a comparison takes tells of one.

    Who asks is known by signatures and certificates, and sealed documents by the tag that AES-GCM verifies: both are
    left to libraries. That something is empty or missing is no comparison of a secret.
    """
    wrong = "sent == settings.password or sent in accepted_secrets or mac(sent) != own"
    assert sorted(compared_secrets(ast.parse(wrong))) == ["accepted_secrets", "mac", "password"]
    assert not list(compared_secrets(ast.parse("password != '' and secret is None")))
    # The conformance cases judge servers from outside, and answer nobody.
    served = {name: tree for name, tree in trees().items() if not name.startswith("conformance/")}
    assert {name: found for name, tree in served.items() if (found := list(compared_secrets(tree)))} == {}
