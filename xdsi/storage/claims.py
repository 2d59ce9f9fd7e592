"""Who registers a uniqueId waits for others who do so at the same moment.

Two DocumentEntries may have one uniqueId, so no constraint can tell that their documents differ (ITI TF-2
3.42.4.1.3.3.1); what is judged here must not be joined by another before it is written. On SQLite one writes at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Final

from sqlalchemy import text
from sqlalchemy.engine import Connection

MOST: Final = 256
"""claimed one by one; PostgreSQL has room for so many locks only, so that more are claimed with all others"""

_EACH: Final = text(
    "SELECT pg_advisory_xact_lock_shared(7832736, 0)"
    " UNION ALL SELECT pg_advisory_xact_lock(7832737, one) FROM unnest(CAST(:claims AS integer[])) AS one"
)
_ALL: Final = text("SELECT pg_advisory_xact_lock(7832736, 0)")


def claim_unique_ids(connection: Connection, unique_ids: Collection[str]) -> None:
    """Wait until nobody else is registering one of these; held until the transaction ends."""
    if connection.dialect.name != "postgresql" or not unique_ids:
        return
    claims = sorted({_number(unique_id) for unique_id in unique_ids})
    if len(claims) > MOST:
        connection.execute(_ALL)
    else:
        connection.execute(_EACH, {"claims": claims})


def _number(unique_id: str) -> int:
    """Alike for one uniqueId; two that share a number wait for each other, and nothing else."""
    return int.from_bytes(hashlib.blake2b(unique_id.encode(), digest_size=4).digest(), signed=True)
