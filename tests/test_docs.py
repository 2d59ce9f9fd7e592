"""The documents say what is so: every transaction has its row, every file named exists, the settings are all there."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
from pathlib import Path

import pytest

import xdsi.transactions
from xdsi.exchange import Transaction

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("*/README.md")])
TOP = ("xdsi/", "tests/", "docs/", "wsdl/", "schemas/", "docker/", "bench/")
MODULES = {
    module.name: importlib.import_module(f"xdsi.transactions.{module.name}")
    for module in pkgutil.iter_modules(xdsi.transactions.__path__)
}


def rows(page: Path) -> list[list[str]]:
    """The cells of every row of every table, headings left out."""
    lines = [line.strip().strip("|") for line in page.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return [row for row in cells if not set(row[0]) <= {"-", "|"}]


def transactions() -> dict[str, set[str]]:
    """The number of every Transaction row in the code, with the modules that have it."""
    found: dict[str, set[str]] = {}
    for name, module in MODULES.items():
        for value in vars(module).values():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, Transaction):
                    found.setdefault(one.number, set()).add(name)
    return found


DOCUMENTED = {row[0].split()[0]: row for row in rows(DOCS / "transactions.md") if row[0][:4] in ("ITI-", "RAD-")}


def test_every_transaction_has_a_row() -> None:
    found = transactions()
    assert found
    for number, modules in found.items():
        row = DOCUMENTED[number]
        for module in modules:
            assert f"`xdsi/transactions/{module}.py`" in row[1], number


def test_every_transaction_is_named_as_in_the_code() -> None:
    for module in MODULES.values():
        for value in vars(module).values():
            if isinstance(value, Transaction):
                assert DOCUMENTED[value.number][0] == f"{value.number} {value.name}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_row(module: str) -> None:
    files = " ".join(row[1] for row in DOCUMENTED.values())
    assert f"`xdsi/transactions/{module}.py`" in files


@pytest.mark.parametrize("number", DOCUMENTED)
def test_every_file_of_a_row_exists(number: str) -> None:
    _, files, clause, *others = DOCUMENTED[number]
    assert re.fullmatch(r"(ITI|RAD) (TF-[123]|SeR) [0-9.]+", clause)
    named = re.findall(r"`([^`]+)`", " ".join((files, *others)))
    for file in named:
        assert (ROOT / file).is_file(), file
    assert any(file.startswith("xdsi/") for file in named)
    assert any(re.fullmatch(r"tests/.*test_\w+\.py", file) for file in named)


def test_every_wsdl_has_a_row() -> None:
    named = {file for row in DOCUMENTED.values() for file in re.findall(r"`(wsdl/[^`]+)`", " ".join(row))}
    assert named == {f"wsdl/{file.name}" for file in (ROOT / "wsdl").glob("*.wsdl")}


def test_the_configuration_reference_is_current() -> None:
    generated = runpy.run_path(str(DOCS / "generate.py"))["page"]()
    assert (DOCS / "configuration.md").read_text("utf-8") == generated, "run `make docs`"


def test_decisions_are_short_and_listed() -> None:
    index = (DOCS / "decisions" / "README.md").read_text("utf-8")
    notes = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "README.md")
    assert [note.name[:4] for note in notes] == [f"{number:04}" for number in range(1, len(notes) + 1)]
    for note in notes:
        text = note.read_text("utf-8")
        assert f"({note.name})" in index, note.name
        assert len(text.splitlines()) < 40, note.name
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequence")), note.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for path in re.findall(r"`([\w./-]+)`", text):
        if path.startswith(TOP) and "NN" not in path:
            assert (ROOT / path).exists(), path
