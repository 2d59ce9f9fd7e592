"""Performed procedure steps from when a modality began them until it ended them, and a while longer."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from xdsi.domain.performed_step import PerformedStep
from xdsi.storage.database import reading, writing
from xdsi.storage.tables import performed_step as t

_KEPT_SECONDS = 90 * 24 * 3600


class SqlPerformedSteps:
    """Implements `PerformedSteps`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, uid: str) -> PerformedStep | None:
        """A step that somebody told of."""
        query = sa.select(t.c.study_instance_uid, t.c.ended).where(t.c.uid == uid)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(t.c.study_instance_uid)).all()
        return PerformedStep(uid, tuple(row[0] for row in rows), ended=any(row[1] for row in rows)) if rows else None

    def begin(self, uid: str, studies: Sequence[str], *, now: float) -> None:
        """Remember which studies a step is of; what was told of long ago is forgotten."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(t).where(sa.or_(t.c.uid == uid, t.c.at < now - _KEPT_SECONDS)))
            for study in dict.fromkeys(studies):
                connection.execute(sa.insert(t).values(uid=uid, study_instance_uid=study, ended=False, at=now))

    def end(self, uid: str, *, now: float) -> None:
        """Remember that nothing more comes of a step."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(t).where(t.c.uid == uid).values(ended=True, at=now))
