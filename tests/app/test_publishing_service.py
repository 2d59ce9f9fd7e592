"""The publisher beside the server: what of the archive is left out is said in its log, once, with the reason."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.servers import wait_until
from xdsi.app.publishing import PublishingService


class Works:
    """A publisher alone, with an archive that changes nothing and something to do each time."""

    def __init__(self) -> None:
        self.rounds = 0

    def held(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing is held."""

    def look(self) -> float:
        return float("inf")

    def work(self, executor: Any, *, limit: int) -> int:
        self.rounds += 1
        return 1


def test_what_is_left_out_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    works: Any = Works()
    skipped = [("empty.dcm", "the file is empty"), ("/instances/a", "its Series or SOP Instance UID is not a UID")]
    service = PublishingService(works, works, 1, works, lambda: skipped)

    def rounds(count: int) -> None:
        until = works.rounds + count
        wait_until(lambda: works.rounds >= until, 30)

    with caplog.at_level(logging.WARNING, "xdsi.source"):
        service.start()
        rounds(5)
        skipped = [*skipped, ("late.dcm", "not a DICOM file")]
        rounds(5)
        service.stop()
    said = [one.getMessage() for one in caplog.records if "skipped" in one.getMessage()]
    assert said == [
        "skipped /instances/a: its Series or SOP Instance UID is not a UID",
        "skipped empty.dcm: the file is empty",
        "skipped late.dcm: not a DICOM file",
    ]
