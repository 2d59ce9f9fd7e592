"""Cases as they lie on disk: a folder with README.md, request files and expectation.toml.

Every key is checked when a case is loaded, so that a misspelt expectation cannot pass for a fulfilled one. The form is
described in docs/conformance.md.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from . import templates
from .folders import inside
from .model import (
    DIMSE,
    MLLP,
    REST,
    Assertion,
    Case,
    Decided,
    Delivered,
    Dimse,
    DimseOutcome,
    Document,
    Expectation,
    Http,
    Kind,
    Mllp,
    Mtom,
    Part,
    Step,
    Token,
)
from .tables import Table, nearest
from .templates import NAMESPACES, TemplateError, generated
from .vocabulary import (
    ACKNOWLEDGEMENTS,
    CHANGES,
    FAULTS,
    FEATURES,
    FORMS,
    KEYS,
    LEVELS,
    PACKAGINGS,
    PATHS,
    SCOPES,
    STATUSES,
    VERBS,
    WRAPPINGS,
)


def _folder() -> Path:
    """Where the cases lie: inside an installed package, in tests/ of a checkout."""
    package = Path(str(files("xdsi")))
    places = (package / "resources" / "conformance", package.parent / "tests" / "conformance")
    return next((place for place in places if (place / "shared").is_dir()), places[0])


FOLDER = _folder()
SHARED = FOLDER / "shared"
IMAGES = FOLDER / "dicom"
_NAME = re.compile(r"[0-9]{4}-[a-z0-9-]+")


def request_of(case: Case, name: str) -> str:
    """The text of a file of the case, or of one that all cases share."""
    return _request(case.folder, name).read_text(encoding="utf-8")


def _request(folder: Path, name: str) -> Path:
    own = folder / name
    return inside(own, folder) if own.is_file() else _shared(name)


def shared(name: str) -> str:
    """The text of a file that cases share; what a template includes is always one of these."""
    return _shared(name).read_text(encoding="utf-8")


def _shared(name: str) -> Path:
    path = inside(SHARED / name, SHARED)
    if not path.is_file():
        raise TemplateError(f"no file {name}")
    return path


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
    if not path.is_file() or not path.resolve().is_relative_to(case.folder.resolve()):
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def load_case(folder: Path) -> Case:
    """One case; TemplateError names the file, the place in it, and what would be right."""
    path = folder / "expectation.toml"
    try:
        with inside(path, folder).open("rb") as file:
            table = tomllib.load(file)
        return _case(folder, Table(table, folder.name))
    except (OSError, ValueError, TypeError, KeyError, TemplateError) as error:
        raise TemplateError(f"{path}: {error}") from error


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


def _case(folder: Path, table: Table) -> Case:
    documents = {name: _document(folder, name, row) for name, row in table.named("documents").items()}
    case = Case(
        name=folder.name,
        title=table.text("title", required=True),
        clause=table.text("clause", required=True),
        scope=table.one_of("scope", "profile", SCOPES),
        needs=frozenset(table.take("needs", ())),
        feed=table.take("feed", default=True),
        folder=folder,
        documents=documents,
        values=table.take("values", {}),
        steps=tuple(_step(folder, row, number) for number, row in enumerate(_steps(table), start=1)),
    )
    for need in sorted(case.needs):
        table.check("needs", need, FEATURES)
    table.end()
    if not case.steps:
        table.refuse("step is an empty list")
    for step in case.steps:
        for part in step.parts:
            if part.document not in documents:
                table.refuse(f"step {step.name!r}: no document {part.document!r}{nearest(part.document, documents)}")
    return case


def _steps(table: Table) -> list[Table]:
    rows = table.take("step", required=True)
    if not isinstance(rows, list):
        table.refuse("step is no list of [[step]] tables")
    return [Table(row, f"{table.place} step {number}") for number, row in enumerate(rows, start=1)]


def _document(folder: Path, name: str, table: Table) -> Document:
    file, size = table.text("file"), table.take("size")
    text, type_ = table.take("text"), table.text("type", "application/octet-stream")
    table.end()
    if sum((bool(file), size is not None, text is not None)) != 1:
        table.refuse("expected one of file, size and text")
    if file:
        own = folder / file
        path = own if own.is_file() else SHARED / file
        return Document(_allowed(table, "file", file, path, folder, SHARED, IMAGES).read_bytes(), type_)
    if size is not None:
        if type(size) is not int or size < 0:
            table.refuse(f"size is {size!r}: expected a number of bytes")
        return Document(generated(name, size), type_)
    if not isinstance(text, str):
        table.refuse(f"text is {text!r}: expected a text")
    return Document(text.encode(), type_)


def _allowed(table: Table, key: str, name: str, path: Path, *folders: Path) -> Path:
    try:
        return inside(path, *folders)
    except TemplateError:
        table.refuse(f"{key} {name!r} lies outside of the case's folder and of what cases share")


def _check_request(table: Table, key: str, folder: Path, name: str) -> None:
    """The file is there, and so is what it includes, in places that a case may read."""
    own = (folder / name).is_file()
    path = _allowed(table, key, name, folder / name if own else SHARED / name, folder if own else SHARED)
    if not path.is_file():
        there = [one.name for one in (*folder.iterdir(), *SHARED.iterdir())]
        table.refuse(f"{key}: no file {name!r} in the case's folder and in shared/{nearest(name, there)}")
    if not own:
        return
    for included in templates.included(path.read_text(encoding="utf-8")):
        _allowed(table, f"{key} {name!r}: what it includes,", included, SHARED / included, SHARED)
        if not (SHARED / included).is_file():
            there = [one.name for one in SHARED.iterdir()]
            table.refuse(f"{key} {name!r} includes {included!r}, which is not in shared/{nearest(included, there)}")


def _step(folder: Path, table: Table, number: int) -> Step:
    kind = kinds()[table.one_of("transaction", "", kinds(), required=True)]
    attach = [Part(name) for name in table.take("attach", ())]
    alone = kind.packaging in (REST, MLLP, DIMSE)
    packaging = table.one_of("packaging", kind.packaging, {kind.packaging} if alone else PACKAGINGS)
    mtom, http, token = table.table("mtom"), table.table("http"), table.table("assertion")
    dimse = table.table("dimse")
    step = Step(
        name=table.text("name", f"step {number}"),
        kind=kind,
        actor=table.one_of("actor", kind.actor, PATHS),
        packaging=packaging,
        request=table.text("request"),
        envelope=table.text("envelope", "envelope.xml"),
        action=table.text("action", kind.action),
        message_id=table.text("message_id"),
        wait=float(table.take("wait", 0)),
        values=table.take("values", {}),
        slots=table.take("slots", ()),
        change=table.take("change", ()),
        parts=(*attach, *(row.all_of(Part) for row in table.tables("part"))),
        mtom=mtom.all_of(Mtom),
        http=http.all_of(Http),
        mllp=table.table("mllp").all_of(Mllp),
        dimse=dimse.all_of(Dimse),
        token=token.all_of(Token),
        node=table.take("node"),
        expect=_expectation(table.table("expect"), kind, packaging),
    )
    table.end()
    mtom.check("root", step.mtom.root, ("first", "last"))
    token.check("key", step.token.key, ("", "stranger"))
    token.check("form", step.token.form, FORMS if packaging == REST else ("saml",))
    _check_dimse(dimse, step)
    token.check("wrap", step.token.wrap, ("", *WRAPPINGS))
    try:
        codecs.lookup(step.http.encoding)
    except LookupError:
        http.refuse(f"encoding is {step.http.encoding!r}: expected a character encoding, such as utf-8 or utf-16")
    if not (step.request or step.http.body or packaging == DIMSE or (packaging == REST and step.http.path)):
        table.refuse("request or http.body")
    named = {"request": step.request, "envelope": step.envelope, "http.body": step.http.body}
    for key, name in named.items():
        if name and not (key == "envelope" and name == "none"):
            _check_request(table, key, folder, name)
    for edit in (*step.change, *step.token.before, *step.token.after):
        if "at" not in edit or len(set(edit) & CHANGES) != 1 or len(edit) != 2:
            table.refuse(f"a change is `at` with one of {sorted(CHANGES)}: {edit}")
    return step


def _check_dimse(table: Table, step: Step) -> None:
    given = step.dimse
    if step.packaging != DIMSE:
        if given != Dimse():
            table.refuse("only a step that speaks DIMSE has this")
        return
    table.check("verb", given.verb, VERBS)
    table.check("level", given.level, LEVELS)
    for name, text in Table(given.keys, f"{table.place}.keys").items():
        table.check("keys", name, KEYS)
        if not isinstance(text, str):
            table.refuse(f"keys.{name} is {text!r}: expected a text")
    if not all(re.fullmatch("[0-9A-F]{4}", str(one)) for one in given.stores):
        table.refuse(f"stores is {given.stores!r}: expected statuses of four hexadecimal digits, such as A700")


def _expectation(table: Table, kind: Kind, packaging: str) -> Expectation:
    http = table.take("http", ()) if not isinstance(table.given("http"), int) else (table.take("http"),)
    expectation = Expectation(
        http=tuple(http),
        status=table.one_of("status", "", STATUSES.values()),
        fault=table.one_of("fault", "", FAULTS),
        subcode=table.text("subcode"),
        refused=table.take("refused", default=False),
        errors=table.take("errors"),
        warnings=table.take("warnings"),
        contexts=table.take("contexts", {}),
        explains=table.take("explains", {}),
        acknowledgement=table.one_of("acknowledgement", "", ACKNOWLEDGEMENTS),
        packaging=table.one_of("packaging", packaging if kind.symmetric else "", PACKAGINGS),
        fields=table.take("fields", {}),
        dimse=table.table("dimse").all_of(DimseOutcome),
        media_type=table.text("media_type"),
        part_type=table.text("part_type"),
        text=tuple(table.take("text", ())),
        headers=table.take("headers", {}),
        documents=table.take("documents"),
        delivered=tuple(row.all_of(Delivered) for row in table.tables("delivered")),
        decisions=tuple(row.all_of(Decided) for row in table.tables("decisions")),
        xpath=tuple(row.all_of(Assertion) for row in table.tables("xpath")),
        capture=table.take("capture", {}),
    )
    table.end()
    prefix, colon, name = expectation.subcode.partition(":")
    if expectation.subcode and not (colon and name):
        table.refuse(
            f"subcode is {expectation.subcode!r}: expected a name with its prefix, such as wsa:InvalidAddressingHeader"
        )
    if prefix:
        table.check("prefix of subcode", prefix, NAMESPACES)
    for key, counts in (("errors", expectation.errors), ("warnings", expectation.warnings)):
        for code, count in Table(counts or {}, f"{table.place}.{key}").items():
            if type(count) is not int and not re.fullmatch(r"[0-9]+\+", str(count)):
                table.refuse(f'{key}.{code} is {count!r}: expected a number, or "1+" for at least one')
    if kind.packaging == DIMSE:
        if bool(expectation.dimse.rejected) == bool(expectation.dimse.status):
            table.refuse("dimse.status or dimse.rejected")
        table.check("dimse.rejected", expectation.dimse.rejected, ("", "called", "calling"))
    elif kind.packaging == REST:
        if not expectation.http:
            table.refuse("http, because this is no SOAP message")
    elif not (
        expectation.status
        or expectation.fault
        or expectation.refused
        or expectation.acknowledgement
        or expectation.decisions
    ):
        table.refuse("one of status, fault, refused, acknowledgement, decisions")
    return expectation
