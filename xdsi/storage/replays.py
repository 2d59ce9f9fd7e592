"""Which assertions were used before, for domains that let each be used once (`saml.refuse_replay`).

ITI TF-2 3.40 leaves replay to the domain; all workers of a process group share this memory.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError

from xdsi.storage.database import writing
from xdsi.storage.tables import assertion_use


class SqlReplayMemory:
    """Remembers assertions until they end by themselves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, issuer: str, assertion_id: str, until: datetime) -> bool:
        """True when the assertion was used before; else it counts as used from now on."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            with writing(self._engine) as connection:
                connection.execute(sa.delete(assertion_use).where(assertion_use.c.until < now))
                connection.execute(
                    sa.insert(assertion_use).values(
                        issuer=issuer, id=assertion_id, until=until.astimezone(UTC).isoformat(timespec="seconds")
                    )
                )
        except IntegrityError:
            return True
        return False
