"""A backup holds registry, consents, legal holds and audit trail together: a restored hub decides as the first."""

from __future__ import annotations

from pathlib import Path

from tests.app.records import CLINIC, DOCTOR, NONE, RECORDS, STRANGER, WHOLE, ask, every_query, give, made, register
from tests.cli.test_commands import done
from tests.policies import confidentiality, deny, organization, permit, policy
from xdsi.app import Parts
from xdsi.domain.stored_query import ReturnType


def config(folder: Path, name: str) -> Path:
    file = folder / f"{name}.toml"
    file.write_text(f"[server]\ndata_dir = '{folder / name}'\n", "utf-8")
    return file


def told(parts: Parts) -> dict[tuple[str, str, str], list[str]]:
    """What everybody is told of every record."""
    return {
        (who, patient.cx, label): sorted(ask(parts.registry_actor, caller, query, ReturnType.OBJECT_REF)[0])
        for who, caller in (("doctor", DOCTOR), ("stranger", STRANGER))
        for patient in (WHOLE, NONE)
        for label, query in every_query(patient).items()
        if label.startswith(("FindDocuments all", "GetAll"))
    }


def records(file: Path) -> list[tuple[str, str]]:
    return [(one["time"], one["event"]) for one in done("audit", "search", "--limit", "5000", config=file)]


def test_a_restored_hub_decides_as_the_one_that_was_backed_up(tmp_path: Path) -> None:
    """Given consents, a legal hold and a trail, when they are restored elsewhere, every answer is the one of before."""
    first, second = config(tmp_path, "first"), config(tmp_path, "second")
    with made(tmp_path / "first") as parts:
        for patient in RECORDS:
            register(parts, patient)
        give(parts, WHOLE, policy(permit(who=organization(CLINIC)), deny(what=confidentiality("R"))))
        before = told(parts)
        done("repository", "hold", "add", "--patient", WHOLE.cx, "--reason", "case 7", "--by", "Ada", config=first)
        (ended,) = done("repository", "hold", "add", "--patient", NONE.cx, "--reason", "case 8", config=first)
        done("repository", "hold", "remove", str(ended["number"]), "--reason", "case closed", config=first)
        earlier = records(first)
        done("backup", tmp_path / "copy", config=first)
        # What comes after the backup is not in it.
        give(parts, NONE, policy(permit()))
        assert told(parts) != before
    assert any(before.values())
    done("restore", tmp_path / "copy", config=second)
    kept = records(second)
    with made(tmp_path / "second") as parts:
        assert told(parts) == before
    assert done("repository", "hold", "list", config=second) == done("repository", "hold", "list", config=first)
    (later,) = done("repository", "hold", "add", "--patient", NONE.cx, "--reason", "case 9", config=second)
    assert later["number"] > ended["number"], "no number means two holds"
    assert done("audit", "verify", config=second) == []
    assert kept[: len(earlier)] == earlier, "the trail goes on from where it was"
    assert [event for _, event in kept[len(earlier) :]] == ["Use of Restricted Function"], "that it was restored"
