"""What a PACS tells of its studies as a whole: which there are, in what state, and what has changed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StudyState:
    """A study now present; `state` differs whenever the study is not what it was, and means nothing else."""

    study_instance_uid: str
    state: str


@dataclass(frozen=True, slots=True)
class Change:
    """A study that came or grew; `stable` where the PACS says that nothing more arrives at present."""

    study_instance_uid: str
    stable: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened after a cursor, and the cursor to go on from; `done` when there is nothing further at present."""

    cursor: str
    changes: tuple[Change, ...] = ()
    done: bool = True
