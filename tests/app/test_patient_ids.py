"""The hospital's list of patients as it changes beneath a running server."""

from __future__ import annotations

from pathlib import Path

import pytest

from xdsi.app.patient_ids import PatientIds
from xdsi.domain.errors import ConfigurationError
from xdsi.domain.identifiers import PatientId

LOCAL, OTHER = PatientId("L1", "2.999.1"), PatientId("L2", "2.999.1")
JO, JANE = PatientId("JO", "2.999.2"), PatientId("JANE", "2.999.2")


def said(*pairs: tuple[PatientId, PatientId]) -> str:
    return "".join(f'"{local.cx}" = "{domain.cx}"\n' for local, domain in pairs)


def test_a_changed_list_counts_at_once_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "patients.toml"
    file.write_text(said((LOCAL, JO)))
    known = PatientIds(str(file))
    assert dict(known) == {LOCAL: JO}
    file.write_text(said((LOCAL, JO), (OTHER, JANE)))
    assert (len(known), known[OTHER], known.get(PatientId("L3", "2.999.1"))) == (2, JANE, None)
    for broken in ("no toml", '"L1^^^&2.999.1&ISO" = 1\n', "[a]\n"):
        file.write_text(broken)
        assert dict(known) == {LOCAL: JO, OTHER: JANE}
    file.unlink()
    assert known[LOCAL] == JO
    file.write_text(said((LOCAL, JANE)))
    assert dict(known) == {LOCAL: JANE}


def test_without_a_file_nobody_is_known_and_one_that_is_named_has_to_be_readable(tmp_path: Path) -> None:
    assert dict(PatientIds("")) == {}
    with pytest.raises(ConfigurationError, match=r"imaging_source\.patient_ids"):
        PatientIds(str(tmp_path / "none.toml"))
