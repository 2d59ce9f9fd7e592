"""The queue of studies to be published, and what is known of the archive, in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from xdsi.actors.publication_queue import Job
from xdsi.domain.imaging import Study
from xdsi.domain.pacs import StudyState
from xdsi.storage.database import reading, writing
from xdsi.storage.tables import archive_cursor, archive_study, final_report, publication_job, study_accession
from xdsi.storage.wording import in_batches

_STUDY = "study:"
t = publication_job


class SqlPublicationQueue:
    """Implements `Queue` and `Archives` for one archive, named by how the settings reach it."""

    def __init__(self, engine: Engine, *, archive: str) -> None:
        self._engine = engine
        self._archive = archive

    # The queue.

    def add(self, uids: Iterable[str], *, origin: str, due: float, now: float) -> None:
        """Put studies in the queue, or put off those that wait; what was set aside waits again."""
        with writing(self._engine) as connection:
            for uid in dict.fromkeys(uids):
                _add(connection, uid, origin=origin, due=due, now=now)

    def due(self, now: float, limit: int) -> Sequence[Job]:
        """Those that wait and are due, the longest due first."""
        query = sa.select(t).where(t.c.state == "waiting", t.c.due <= now).order_by(t.c.due).limit(limit)
        with reading(self._engine) as connection:
            return [_job(row) for row in connection.execute(query)]

    def next_due(self) -> float | None:
        """When the next is due; None where none waits."""
        with reading(self._engine) as connection:
            found = connection.execute(sa.select(sa.func.min(t.c.due)).where(t.c.state == "waiting")).scalar_one()
        return None if found is None else float(found)

    def done(self, job: Job) -> None:
        """Take a study out of the queue unless another trigger came meanwhile."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(t).where(_same(job)))

    def later(self, job: Job, *, due: float, reason: str) -> None:
        """Try again then, unless another trigger came meanwhile."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(t).where(_same(job)).values(due=due, reason=reason, attempts=job.attempts + 1))

    def set_aside(self, job: Job, reason: str) -> None:
        """Try no more until somebody says so or another trigger comes."""
        with writing(self._engine) as connection:
            connection.execute(
                sa.update(t).where(_same(job)).values(state="dead", reason=reason, attempts=job.attempts + 1)
            )

    def jobs(self) -> list[Job]:
        """The whole queue: what waits by when it is due, then what was set aside."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(t).order_by(t.c.state.desc(), t.c.due)).all()
        return [_job(row) for row in rows]

    def retry(self, uids: Sequence[str], *, now: float) -> list[str]:
        """Let studies be tried at once, all that were set aside where none is named; those that there are."""
        wanted = t.c.study_instance_uid.in_(uids) if uids else t.c.state == "dead"
        with writing(self._engine) as connection:
            found = connection.execute(
                sa.update(t)
                .where(wanted)
                .values(state="waiting", due=now, attempts=0, generation=t.c.generation + 1)
                .returning(t.c.study_instance_uid)
            ).scalars()
            return sorted(found)

    # What messages say.

    def looked_at(self, study: Study) -> None:
        """Remember the accession numbers of a study."""
        uid = study.study_instance_uid
        wanted = {accession.number for accession in study.accessions}
        column = study_accession.c
        with reading(self._engine) as connection:
            query = sa.select(column.accession).where(column.study_instance_uid == uid)
            if wanted == set(connection.execute(query).scalars()):
                return
        with writing(self._engine) as connection:
            connection.execute(sa.delete(study_accession).where(column.study_instance_uid == uid))
            for number in sorted(wanted):
                connection.execute(sa.insert(study_accession).values(accession=number, study_instance_uid=uid))

    def studies_of(self, accessions: Sequence[str]) -> list[str]:
        """Studies known to be of one of these orders."""
        query = sa.select(study_accession.c.study_instance_uid).where(study_accession.c.accession.in_(accessions))
        with reading(self._engine) as connection:
            return sorted(set(connection.execute(query).scalars()))

    def report_is_final(self, *, accessions: Sequence[str], studies: Sequence[str], now: float) -> None:
        """Remember that the report of orders or studies is final."""
        with writing(self._engine) as connection:
            for reference in dict.fromkeys([*accessions, *(_STUDY + uid for uid in studies)]):
                known = connection.execute(
                    sa.update(final_report).where(final_report.c.reference == reference).values(at=now)
                )
                if known.rowcount == 0:
                    connection.execute(sa.insert(final_report).values(reference=reference, at=now))

    def is_reported(self, study: Study) -> bool:
        """Whether a message has said that the study's report is final."""
        references = [_STUDY + study.study_instance_uid, *(one.number for one in study.accessions)]
        query = sa.select(sa.func.count()).where(final_report.c.reference.in_(references))
        with reading(self._engine) as connection:
            return bool(connection.execute(query).scalar_one())

    # The archive.

    def cursor(self) -> str:
        """How far its record of changes was followed."""
        query = sa.select(archive_cursor.c.cursor).where(archive_cursor.c.archive == self._archive)
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def follow(self, cursor: str, due: Iterable[tuple[str, float]], *, now: float) -> None:
        """Queue studies that changed, with the time each is due, and keep the cursor, in one unit of work."""
        changed = list(due)
        if not changed and cursor == self.cursor():
            return
        with writing(self._engine) as connection:
            for uid, when in changed:
                _add(connection, uid, origin="changes", due=when, now=now)
            known = connection.execute(
                sa.update(archive_cursor).where(archive_cursor.c.archive == self._archive).values(cursor=cursor)
            )
            if known.rowcount == 0:
                connection.execute(sa.insert(archive_cursor).values(archive=self._archive, cursor=cursor))

    def compare(self, states: Iterable[StudyState], *, whole: bool, due: float, now: float) -> int:
        """Queue studies that are not what they were, and with `whole` those that are gone; how many these are.

        The archive is asked before anything is written: where it breaks off, nothing has changed.
        """
        found = {one.study_instance_uid: one.state for one in states}
        column = archive_study.c
        with reading(self._engine) as connection:
            known = {
                row.study_instance_uid: row.state
                for row in connection.execute(sa.select(column.study_instance_uid, column.state))
            }
        changed = {uid: state for uid, state in found.items() if known.get(uid) != state}
        gone = sorted(known.keys() - found.keys()) if whole else []
        for some in in_batches([*sorted(changed), *gone]):
            with writing(self._engine) as connection:
                connection.execute(sa.delete(archive_study).where(column.study_instance_uid.in_(some)))
                for uid in some:
                    if uid in changed:
                        connection.execute(sa.insert(archive_study).values(study_instance_uid=uid, state=changed[uid]))
                    _add(connection, uid, origin="comparison", due=due, now=now)
        return len(changed) + len(gone)


def _add(connection: Connection, uid: str, *, origin: str, due: float, now: float) -> None:
    row = connection.execute(sa.select(t).where(t.c.study_instance_uid == uid)).one_or_none()
    if row is None:
        connection.execute(
            sa.insert(t).values(
                study_instance_uid=uid, state="waiting", due=due, since=now, generation=1, attempts=0, origin=origin
            )
        )
        return
    revived = {"attempts": 0, "reason": ""} if row.state == "dead" else {}
    connection.execute(
        sa.update(t)
        .where(t.c.study_instance_uid == uid)
        .values(state="waiting", due=due, generation=row.generation + 1, origin=origin, **revived)
    )


def _same(job: Job) -> sa.ColumnElement[bool]:
    return sa.and_(t.c.study_instance_uid == job.study_instance_uid, t.c.generation == job.generation)


def _job(row: sa.Row[Any]) -> Job:
    return Job(
        study_instance_uid=row.study_instance_uid,
        state=row.state,
        due=row.due,
        since=row.since,
        generation=row.generation,
        attempts=row.attempts,
        origin=row.origin,
        reason=row.reason,
    )
