"""What a hospital has published: each study's manifests, so that images are tied to them and changes replace them."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from xdsi.actors.manifest_documents import SentDocument
from xdsi.actors.manifest_publisher import Attempt
from xdsi.domain.codes import Code
from xdsi.domain.consent import Resource
from xdsi.domain.identifiers import PatientId
from xdsi.storage.database import reading, writing
from xdsi.storage.tables import publication

_FIELDS = tuple(field.name for field in fields(Attempt))
STUDY_REFERENCE = "^^^^urn:ihe:iti:xds:2016:studyInstanceUID"


class SqlPublications:
    """The hospital's own record of its manifests."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def newest(self, study_instance_uid: str, *, state: str = "published") -> Attempt | None:
        """The newest publication of a study in a state, or None."""
        query = (
            sa.select(publication)
            .where(publication.c.study_instance_uid == study_instance_uid, publication.c.state == state)
            .order_by(publication.c.number.desc())
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _attempt(row)

    def keep(self, attempt: Attempt) -> None:
        """Store an attempt, or the new state of one (its uniqueId identifies it)."""
        values = {name: getattr(attempt, name) for name in _FIELDS}
        values["confidentiality_codes"] = json.dumps(
            [(one.code, one.scheme, one.display) for one in attempt.confidentiality_codes]
        )
        values["documents"] = json.dumps([asdict(one) for one in attempt.documents])
        values["at"] = datetime.now(UTC).isoformat(timespec="seconds")
        with writing(self._engine) as connection:
            known = connection.execute(
                sa.update(publication).where(publication.c.unique_id == attempt.unique_id).values(**values)
            )
            if known.rowcount == 0:
                connection.execute(sa.insert(publication).values(**values))

    def all(self) -> list[Attempt]:
        """Every attempt, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(publication).order_by(publication.c.number)).all()
        return [_attempt(row) for row in rows]

    def standing(self, study_instance_uid: str) -> list[Attempt]:
        """What was published of a study and then what was announced of it, each the newest first; nothing withdrawn."""
        query = (
            sa.select(publication)
            .where(
                publication.c.study_instance_uid == study_instance_uid,
                publication.c.state.in_(("published", "announced")),
            )
            .order_by(publication.c.state.desc(), publication.c.number.desc())
        )
        with reading(self._engine) as connection:
            return [_attempt(row) for row in connection.execute(query).all()]

    def announced(self, unique_id: str) -> Attempt | None:
        """The announcement of a manifest with this uniqueId, also one that another has replaced."""
        query = sa.select(publication).where(
            publication.c.unique_id == unique_id, publication.c.state.in_(("announced", "superseded"))
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _attempt(row)

    def manifest_of(self, study_instance_uid: str) -> Resource | None:
        """The newest published manifest of a study as a resource to decide on, else the announcement of one."""
        entry = self.newest(study_instance_uid) or self.newest(study_instance_uid, state="announced")
        if entry is None:
            return None
        return Resource(
            unique_id=entry.unique_id,
            repository_unique_id=entry.repository_unique_id,
            patient=PatientId.parse(entry.patient),
            source_patient_id=entry.source_patient,
            reference_ids=(study_instance_uid + STUDY_REFERENCE,),
        )


def _attempt(row: sa.Row[Any]) -> Attempt:
    values = {name: row._mapping[name] for name in _FIELDS}
    codes = tuple(Code(*parts) for parts in json.loads(values["confidentiality_codes"]))
    documents = tuple(
        SentDocument(**one | {"replaces": tuple(one["replaces"])}) for one in json.loads(values["documents"])
    )
    return Attempt(**values | {"confidentiality_codes": codes, "documents": documents})
