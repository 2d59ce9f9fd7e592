"""Numbered black-box cases for any XDS-I.b endpoint: what `xdsi conformance` and the pytest plugin are made of.

    from xdsi import conformance
    endpoint = conformance.Endpoint("http://127.0.0.1:8080")
    report = conformance.play_all(conformance.load(), endpoint)

A case is data, written as docs/conformance.md says. Nothing in here knows the server under test: it stands on the
standard library, requests and lxml, to sign assertions on xmlsec and cryptography,
and for DIMSE on pynetdicom.
"""

from __future__ import annotations

from . import junit, page, plans, secrets
from .cases import FOLDER, load, load_case, purpose
from .dimse import Entities
from .endpoint import PRESETS, USUAL, Endpoint, at, features_of
from .engine import run
from .model import Case, Step
from .play import play, play_all
from .preflight import Preflight, Sight, look
from .results import Exchange, Finding, Recorded, Report, Result, Verdict
from .suites import ACTORS, Suite, about, cases_of, chosen, subjects, suites
from .templates import TemplateError
from .tokens import Issuer
from .vocabulary import FEATURES, PATHS

__all__ = [
    "ACTORS",
    "FEATURES",
    "FOLDER",
    "PATHS",
    "PRESETS",
    "USUAL",
    "Case",
    "Endpoint",
    "Entities",
    "Exchange",
    "Finding",
    "Issuer",
    "Preflight",
    "Recorded",
    "Report",
    "Result",
    "Sight",
    "Step",
    "Suite",
    "TemplateError",
    "Verdict",
    "about",
    "at",
    "cases_of",
    "chosen",
    "features_of",
    "junit",
    "load",
    "load_case",
    "look",
    "page",
    "plans",
    "play",
    "play_all",
    "purpose",
    "run",
    "secrets",
    "subjects",
    "suites",
]
