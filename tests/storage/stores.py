"""Each kind of store with what only a test does to it: look inside, spoil, lose, let time pass."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.engine import Engine

from tests.seaweedfs import BUCKET, SeaweedFS
from xdsi.domain.ports import BlobStore
from xdsi.storage.blobs import FolderBlobs
from xdsi.storage.forms import PLAIN, Form
from xdsi.storage.s3_blobs import S3Blobs
from xdsi.storage.s3_bucket import S3Location
from xdsi.storage.spool import Follow


class Clock:
    """Time that passes when a test says so."""

    now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


class Inside(Protocol):
    """A store and its back door."""

    @property
    def blobs(self) -> BlobStore: ...

    @property
    def follow(self) -> Follow | None: ...

    @property
    def form(self) -> Form: ...

    def copies(self, data: bytes) -> list[str]:
        """What lies in the store for these bytes."""

    def everything(self) -> list[str]:
        """All that lies in the store, whatever it is for, but for what was set aside."""

    def change(self, data: bytes, change: Callable[[bytes], bytes]) -> None:
        """Let the stored bytes be others."""

    def lose(self, data: bytes) -> None:
        """Let the stored bytes be gone."""

    def forget_keys(self) -> None:
        """Let the store be one of the time before it had marks of keys."""

    def again(self, form: Form) -> BlobStore:
        """The same place as a process with other settings opens it."""


@dataclass
class FolderInside:
    """A store in a folder."""

    folder: Path
    clock: Clock
    form: Form = PLAIN
    follow: Follow | None = None
    blobs: FolderBlobs = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = FolderBlobs(self.folder, form=self.form, clock=self.clock)

    def copies(self, data: bytes) -> list[str]:
        path = self.blobs.path(hashlib.sha256(data).hexdigest())
        return [str(path)] if path.exists() else []

    def everything(self) -> list[str]:
        kinds = ("incoming", "blobs", "journal")
        return [str(path) for kind in kinds for path in (self.folder / kind).rglob("*") if path.is_file()]

    def change(self, data: bytes, change: Callable[[bytes], bytes]) -> None:
        for name in self.copies(data):
            Path(name).write_bytes(change(Path(name).read_bytes()))

    def lose(self, data: bytes) -> None:
        for name in self.copies(data):
            Path(name).unlink()

    def forget_keys(self) -> None:
        shutil.rmtree(self.folder / "keys")

    def again(self, form: Form) -> FolderBlobs:
        return FolderBlobs(self.folder, form=form, clock=self.clock)


@dataclass
class S3Inside:
    """A store in a bucket."""

    server: SeaweedFS
    prefix: str
    engine: Engine
    clock: Clock
    form: Form = PLAIN
    blobs: S3Blobs = field(init=False)
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = self.again(self.form)
        self.client = self.server.client()

    @property
    def follow(self) -> Follow:
        return self.blobs.follow

    def _keys(self, prefix: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/{prefix}")
        return [one["Key"] for one in found.get("Contents", ())]

    def copies(self, data: bytes) -> list[str]:
        name = self.form.names(hashlib.sha256(data).hexdigest())[0]
        keys = self._keys(f"blobs/{name[:2]}/{name[2:4]}/{name}/")
        large = [f"{self.prefix}/large/{key.rpartition('/')[2].removesuffix('.large')}" for key in keys if "." in key]
        return [key for key in keys if "." not in key] + [key for key in large if key in self._keys("large/")]

    def everything(self) -> list[str]:
        uploads = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=f"{self.prefix}/").get("Uploads", ())
        kept = [key for key in self._keys("") if not key.startswith(f"{self.prefix}/keys/")]
        return [*kept, *(one["Key"] for one in uploads)]

    def change(self, data: bytes, change: Callable[[bytes], bytes]) -> None:
        for key in self.copies(data):
            body = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            self.client.put_object(Bucket=BUCKET, Key=key, Body=change(body))

    def lose(self, data: bytes) -> None:
        for key in self.copies(data):
            self.client.delete_object(Bucket=BUCKET, Key=key)

    def forget_keys(self) -> None:
        for key in self._keys("keys/"):
            self.client.delete_object(Bucket=BUCKET, Key=key)

    def again(self, form: Form) -> S3Blobs:
        location = S3Location(bucket=BUCKET, prefix=self.prefix, endpoint=self.server.endpoint)
        return S3Blobs(location, self.engine, form=form, clock=self.clock)
