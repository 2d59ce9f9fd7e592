"""Breaking the glass: on every path it is alerted, and the patient and the data protection officer are told, once each.

Who may not, or gives no reason, sees nothing and alerts nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.security.asking import ETREAT, JEKYLL, TREAT, Asker, all_of, of_patient, unique_ids
from tests.servers import wait_until
from tests.trusted import DOCTOR, DOE, MR, PETER, PORTER, SNOMED, Trusted
from xdsi.domain.codes import Code
from xdsi.spec import uuids

URGENT = replace(JEKYLL, purposes=(ETREAT,), emergency_reason="found unconscious")


def manifest(hub: Trusted) -> str:
    """The uniqueId of Peter's manifest, as the emergency finds it."""
    found = Asker(hub, URGENT).query(uuids.FIND_DOCUMENTS, *of_patient(PETER))
    return unique_ids(found.content)[0]


PATHS: dict[str, Callable[[Trusted], requests.Response]] = {
    "ITI-18": lambda hub: Asker(hub, URGENT).query(uuids.FIND_DOCUMENTS, *of_patient(PETER)),
    "ITI-43": lambda hub: Asker(hub, URGENT).retrieve(manifest(hub)),
    "RAD-69": lambda hub: Asker(hub, URGENT).images(all_of(MR)),
    "RAD-107": lambda hub: hub.get(f"/dicom-web/studies/{MR}", Asker(hub, URGENT).authorization),
}


def notices(hub: Trusted, trace: str) -> list[dict[str, Any]]:
    items = hub.command("notifications", "list", "--patient", PETER)
    return [one for one in items if trace in one["told"]]


@pytest.mark.parametrize("path", PATHS)
def test_an_emergency_is_told_of(trusted: Trusted, path: str) -> None:
    answer = PATHS[path](trusted)
    assert answer.status_code == 200
    assert path == "RAD-107" or b"ResponseStatusType:Success" in answer.content
    trace = answer.headers["Xdsi-Trace"]
    records = trusted.command("audit", "search", "--trace", trace, "--emergencies")
    assert [(one["patient"], path in one["told"], "found unconscious" in one["told"]) for one in records] == [
        (PETER, True, True)
    ]
    assert sorted(one["recipient"] for one in notices(trusted, trace)) == ["officer", "patient"]
    folders = {name: trusted.folder / "notices" / name for name in ("patient", "officer")}
    for name, folder in folders.items():
        found: list[dict[str, Any]] = []

        def there(name: str = name, folder: Path = folder, found: list[dict[str, Any]] = found) -> bool:
            sent = [json.loads(file.read_bytes()) for file in folder.glob("*.json")]
            found[:] = [one for one in sent if one["trace"] == trace and one["recipient"] == name]
            return bool(found)

        wait_until(there, 60)
        (notice,) = found
        assert (notice["event"], notice["patient"], notice["user"]) == ("emergency-access", PETER, "dr.jekyll")
        assert notice["purposes"] == [str(ETREAT)]

    def marked() -> bool:
        return all(one["sent"] for one in notices(trusted, trace))

    wait_until(marked, 60)


def test_only_those_are_told_whose_consent_was_overridden(trusted: Trusted) -> None:
    """A doctor may see the other patient's manifest anyhow: nothing of it is an emergency."""
    own = unique_ids(Asker(trusted).query(uuids.FIND_DOCUMENTS, *of_patient(DOE)).content)
    answer = Asker(trusted, URGENT).retrieve(own[0], manifest(trusted))
    assert answer.status_code == 200
    trace = answer.headers["Xdsi-Trace"]
    records = trusted.command("audit", "search", "--trace", trace, "--emergencies")
    assert [one["patient"] for one in records] == [PETER]
    told = [one for one in trusted.command("notifications", "list") if trace in one["told"]]
    assert sorted((one["recipient"], one["patient"]) for one in told) == [("officer", PETER), ("patient", PETER)]


OTHERS = {
    "no reason": replace(URGENT, emergency_reason=""),
    "a reason of white space": replace(URGENT, emergency_reason=" \t"),
    "another role": replace(URGENT, roles=(Code(PORTER, SNOMED),)),
    "the role of another system": replace(URGENT, roles=(Code(DOCTOR, "2.999.1"),)),
    "another purpose": replace(URGENT, purposes=(TREAT,)),
    "the purpose of another system": replace(URGENT, purposes=(Code("ETREAT", "2.999.1"),)),
}


@pytest.mark.parametrize("who", OTHERS)
def test_who_may_not_break_the_glass(trusted: Trusted, who: str) -> None:
    asker = Asker(trusted, OTHERS[who])
    found = asker.query(uuids.FIND_DOCUMENTS, *of_patient(PETER))
    images = asker.images(all_of(MR))
    assert b"ExtrinsicObject" not in found.content
    assert b"ResponseStatusType:Failure" in images.content
    for answer in (found, images):
        assert notices(trusted, answer.headers["Xdsi-Trace"]) == []
