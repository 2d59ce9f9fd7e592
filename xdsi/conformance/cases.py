"""Cases as they lie on disk: a folder with README.md, request files and expectation.toml.

Every key is checked when a case is loaded, so that a misspelt expectation cannot pass for a fulfilled one. The form is
described in docs/conformance.md.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from .model import REST, Assertion, Case, Delivered, Document, Expectation, Http, Kind, Mtom, Part, Step, Token
from .templates import TemplateError, generated


def _folder() -> Path:
    """Where the cases lie: inside an installed package, in tests/ of a checkout."""
    package = Path(str(files("xdsi")))
    places = (package / "resources" / "conformance", package.parent / "tests" / "conformance")
    return next((place for place in places if (place / "shared").is_dir()), places[0])


FOLDER = _folder()
SHARED = FOLDER / "shared"
SCOPES = ("profile", "ruling")
CHANGES = frozenset({"remove", "set", "append", "before"})
_NAME = re.compile(r"[0-9]{4}-[a-z0-9-]+")


def request_of(case: Case, name: str) -> str:
    """The text of a file of the case, or of one that all cases share."""
    own = case.folder / name
    return own.read_text(encoding="utf-8") if own.is_file() else shared(name)


def shared(name: str) -> str:
    """The text of a file that cases share; what a template includes is always one of these."""
    path = SHARED / name
    if not path.is_file():
        raise TemplateError(f"no file {name}")
    return path.read_text(encoding="utf-8")


def load(folder: Path = FOLDER) -> tuple[Case, ...]:
    """All cases of a folder, by number; TemplateError names the case that is written wrongly."""
    return _own() if folder == FOLDER else _load(folder)


def _load(folder: Path) -> tuple[Case, ...]:
    return tuple(load_case(path) for path in sorted(folder.iterdir()) if _NAME.fullmatch(path.name))


@cache
def _own() -> tuple[Case, ...]:
    return _load(FOLDER)


def purpose(case: Case) -> str:
    """What stands in the README of a case, or readme.txt of a plan; empty where it has none."""
    path = case.folder / ("readme.txt" if case.plan else "README.md")
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def load_case(folder: Path) -> Case:
    """One case."""
    try:
        with (folder / "expectation.toml").open("rb") as file:
            table = tomllib.load(file)
        return _case(folder, _Table(table, folder.name))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TemplateError(f"{folder.name}: {type(error).__name__}: {error}") from error


@cache
def kinds() -> Mapping[str, Kind]:
    """The transactions that cases name."""
    with (SHARED / "transactions.toml").open("rb") as file:
        table = tomllib.load(file)
    return {name: Kind(name=name, **row) for name, row in table.items()}


@cache
def known_values() -> Mapping[str, str]:
    """What cases may name without making it up: the ids of a default endpoint, and of the images in dicom/."""
    with (SHARED / "values.toml").open("rb") as file:
        table = tomllib.load(file)
    return {name: text for row in table.values() for name, text in row.items()}


class _Table:
    """A TOML table whose every key must be taken."""

    def __init__(self, table: Mapping[str, Any], place: str) -> None:
        self._left = dict(table)
        self._place = place

    def take(self, key: str, default: Any = None, *, required: bool = False) -> Any:
        if required and key not in self._left:
            raise ValueError(f"{self._place}: {key} is missing")
        return self._left.pop(key, default)

    def table(self, key: str) -> _Table:
        return _Table(self._left.pop(key, {}), f"{self._place}.{key}")

    def all_of(self, type_: Any) -> Any:
        """The rest as a dataclass; lists become tuples."""
        return type_(**{key: tuple(v) if isinstance(v, list) else v for key, v in self._left.items()})

    def end(self) -> None:
        if self._left:
            raise ValueError(f"{self._place}: unknown keys {sorted(self._left)}")


def _case(folder: Path, table: _Table) -> Case:
    documents = {
        name: _document(folder, name, _Table(row, f"{folder.name}.documents.{name}"))
        for name, row in table.take("documents", {}).items()
    }
    case = Case(
        name=folder.name,
        title=table.take("title", required=True),
        clause=table.take("clause", required=True),
        scope=table.take("scope", "profile"),
        needs=frozenset(table.take("needs", ())),
        feed=table.take("feed", default=True),
        folder=folder,
        documents=documents,
        values=table.take("values", {}),
        steps=tuple(
            _step(_Table(row, f"{folder.name} step {number}"), number)
            for number, row in enumerate(table.take("step", required=True), start=1)
        ),
    )
    table.end()
    if case.scope not in SCOPES:
        raise ValueError(f"scope {case.scope!r}: expected one of {SCOPES}")
    for step in case.steps:
        for part in step.parts:
            if part.document not in documents:
                raise ValueError(f"step {step.name!r}: no document {part.document!r}")
    return case


def _document(folder: Path, name: str, table: _Table) -> Document:
    file, size = table.take("file"), table.take("size")
    text, type_ = table.take("text"), table.take("type", "application/octet-stream")
    table.end()
    if file is not None:
        own = folder / file
        return Document((own if own.is_file() else SHARED / file).read_bytes(), type_)
    if size is not None:
        return Document(generated(name, size), type_)
    if text is None:
        raise ValueError(f"document {name}: one of file, size and text")
    return Document(text.encode(), type_)


def _step(table: _Table, number: int) -> Step:
    kind = kinds()[table.take("transaction", required=True)]
    attach = [Part(name) for name in table.take("attach", ())]
    packaging = table.take("packaging", kind.packaging)
    if packaging not in ({REST} if kind.packaging == REST else {"simple", "mtom"}):
        raise ValueError(f"packaging {packaging!r}")
    step = Step(
        name=table.take("name", f"step {number}"),
        kind=kind,
        actor=table.take("actor", kind.actor),
        packaging=packaging,
        request=table.take("request", ""),
        envelope=table.take("envelope", "envelope.xml"),
        action=table.take("action", kind.action),
        message_id=table.take("message_id", ""),
        wait=float(table.take("wait", 0)),
        values=table.take("values", {}),
        slots=table.take("slots", ()),
        change=table.take("change", ()),
        parts=(*attach, *(Part(**row) for row in table.take("part", ()))),
        mtom=table.table("mtom").all_of(Mtom),
        http=table.table("http").all_of(Http),
        token=table.table("assertion").all_of(Token),
        expect=_expectation(table.table("expect"), kind, packaging),
    )
    table.end()
    if not (step.request or step.http.body or (packaging == REST and step.http.path)):
        raise ValueError(f"step {step.name!r}: request or http.body")
    for edit in (*step.change, *step.token.before, *step.token.after):
        if "at" not in edit or len(set(edit) & CHANGES) != 1 or len(edit) != 2:
            raise ValueError(f"step {step.name!r}: a change is `at` with one of {sorted(CHANGES)}: {edit}")
    return step


def _expectation(table: _Table, kind: Kind, packaging: str) -> Expectation:
    http = table.take("http", ())
    expectation = Expectation(
        http=(http,) if isinstance(http, int) else tuple(http),
        status=table.take("status", ""),
        fault=table.take("fault", ""),
        subcode=table.take("subcode", ""),
        refused=table.take("refused", default=False),
        errors=table.take("errors"),
        warnings=table.take("warnings"),
        contexts=table.take("contexts", {}),
        explains=table.take("explains", {}),
        acknowledgement=table.take("acknowledgement", ""),
        packaging=table.take("packaging", packaging if kind.symmetric else ""),
        media_type=table.take("media_type", ""),
        part_type=table.take("part_type", ""),
        text=tuple(table.take("text", ())),
        headers=table.take("headers", {}),
        documents=table.take("documents"),
        delivered=tuple(Delivered(**row) for row in table.take("delivered", ())),
        xpath=tuple(_Table(row, "xpath").all_of(Assertion) for row in table.take("xpath", ())),
        capture=table.take("capture", {}),
    )
    table.end()
    if kind.packaging == REST:
        if not expectation.http:
            raise ValueError("expect: http, because this is no SOAP message")
    elif not (expectation.status or expectation.fault or expectation.refused or expectation.acknowledgement):
        raise ValueError("expect: one of status, fault, refused, acknowledgement")
    return expectation
