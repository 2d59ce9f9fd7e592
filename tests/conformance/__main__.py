"""`python -m tests.conformance --endpoint URL`: run the cases against a server and print what came of each."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from .engine import FEATURES, PATHS, PRESETS, USUAL, Case, Endpoint, Issuer, load, run

ISSUER = "urn:xdsi:demonstration:idp"


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    options.add_argument("--endpoint", metavar="URL", help="base URL of the server under test")
    options.add_argument(
        "--path", action="append", default=[], metavar="ACTOR=PATH", help=f"where an actor answers: {PATHS}"
    )
    options.add_argument(
        "--value", action="append", default=[], metavar="NAME=TEXT", help="what the server calls itself (README.md)"
    )
    options.add_argument(
        "--feature",
        action="append",
        choices=[*PRESETS, *sorted(FEATURES)],
        help=f"what the server has; default: {', '.join(sorted(USUAL))}; xdsi: all that xdsi has in its open profile",
    )
    options.add_argument("--only", choices=["profile", "ruling"], help="cases of this scope alone")
    options.add_argument("--feed", action="store_true", help="announce patients by ITI-44 before they are used")
    options.add_argument("--security", type=Path, metavar="FILE", help="a wsse:Security header for every message")
    options.add_argument(
        "--pki", type=Path, metavar="DIR",
        help="certificates as `xdsi pki init` makes them: idp issues assertions, consumer is the client's, ca trusted",
    )  # fmt: skip
    options.add_argument("--issuer", default=ISSUER, metavar="NAME", help="of assertions; default: %(default)s")
    options.add_argument("--issuer-key", type=Path, metavar="FILE", help="its private key (PEM); default: DIR/idp.key")
    options.add_argument("--issuer-cert", type=Path, metavar="FILE", help="its certificate (PEM)")
    options.add_argument("--cert", metavar="FILE", help="own certificate (PEM), with --key for mutual TLS")
    options.add_argument("--key", metavar="FILE", help="own private key (PEM)")
    options.add_argument("--ca", metavar="FILE", help="certificate authorities to trust (PEM)")
    options.add_argument("--list", action="store_true", help="list the cases and do nothing")
    options.add_argument("cases", nargs="*", metavar="CASE", help="numbers, names or patterns; default: all")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every case passed or does not apply, 1 when one failed or no server is there, 2 for wrong usage."""
    given = parser().parse_args(arguments)
    every = load()
    idle = [pattern for pattern in given.cases if not any(_wanted(case, [pattern], None) for case in every)]
    if idle:
        sys.stderr.write(f"no case is meant by {', '.join(map(repr, idle))}; --list names all\n")
        return 2
    cases = [case for case in every if _wanted(case, given.cases, given.only)]
    if not cases:
        sys.stderr.write(f"none of these cases is of the scope {given.only}\n")
        return 2
    if given.list:
        _print(f"{case.name:<48} {case.scope:<8} {case.clause}" for case in cases)
        return 0
    if not given.endpoint:
        sys.stderr.write("which server? --endpoint URL\n")
        return 2
    endpoint = Endpoint(
        base_url=given.endpoint,
        paths=_pairs(given.path),
        values=_pairs(given.value),
        features=_features(given.feature),
        feed=given.feed,
        security=given.security.read_text(encoding="utf-8") if given.security else "",
        issuer=_issuer(given),
        certificate=_certificate(given),
        authorities=given.ca or (str(given.pki / "ca.pem") if given.pki else True),
    )
    away = endpoint.unreachable()
    if away:
        sys.stderr.write(f"{away}\n")
        return 1
    return report(cases, endpoint)


def report(cases: Sequence[Case], endpoint: Endpoint) -> int:
    """Run cases one after the other and print a line for each; 1 when one failed."""
    results = {"pass": 0, "FAIL": 0, "n/a": 0}
    for case in cases:
        lacking = endpoint.lacks(case)
        findings = () if lacking else run(case, endpoint)
        result = "n/a" if lacking else "FAIL" if findings else "pass"
        results[result] += 1
        _print([f"{result:<4}  {case.name:<48} {case.clause}"])
        _print(f"      needs {feature}: {FEATURES.get(feature, '')}" for feature in sorted(lacking))
        _print(f"      {finding}" for finding in findings)
    _print(["", ", ".join(f"{count} {result}" for result, count in results.items() if count)])
    return 1 if results["FAIL"] else 0


def _wanted(case: Case, patterns: Sequence[str], scope: str | None) -> bool:
    if scope is not None and case.scope != scope:
        return False
    return not patterns or any(fnmatch.fnmatch(case.name, pattern + "*") for pattern in patterns)


def _issuer(given: argparse.Namespace) -> Issuer | None:
    """Who signs the assertions; None where neither a folder nor a key is named."""
    key, certificate = given.issuer_key, given.issuer_cert
    if given.pki:
        key, certificate = key or given.pki / "idp.key", certificate or given.pki / "idp.pem"
    if not key:
        return None
    if not certificate:
        sys.exit("--issuer-key needs --issuer-cert")
    return Issuer.of(given.issuer, key, certificate)


def _certificate(given: argparse.Namespace) -> tuple[str, str] | None:
    if given.cert:
        return given.cert, given.key
    return (str(given.pki / "consumer.pem"), str(given.pki / "consumer.key")) if given.pki else None


def _features(names: Sequence[str] | None) -> frozenset[str]:
    if not names:
        return USUAL
    return frozenset().union(*(PRESETS.get(name, {name}) for name in names))


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            sys.exit(f"{text!r}: expected NAME=TEXT")
        pairs[name] = value
    return pairs


def _print(lines: Iterator[str] | Sequence[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
