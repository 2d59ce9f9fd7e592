"""A folder of an S3 bucket: the few requests that the store of documents makes, each within a time limit.

Credentials come from where users of S3 keep them: the environment, the files of the AWS tools, the machine's role. The
place that the settings name is the only one that is asked. What the service refuses, or does not answer, is
`Unavailable`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from xdsi.domain.errors import IntegrityLost, Unavailable
from xdsi.storage.files import CHUNK

_GONE: Final = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NotFound"})
_RESUMED: Final = 3
"""how often a broken download is taken up again where it broke"""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Location:
    """Where the bucket is and how it is spoken to."""

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    encryption: str = ""
    """server-side encryption: AES256 or aws:kms; empty: as the bucket has it"""
    kms_key: str = ""
    timeout_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing names it; the key is without the prefix."""

    key: str
    size: int
    state: str


class Bucket:
    """Objects under a prefix."""

    def __init__(self, location: S3Location) -> None:
        self._name = location.bucket
        self._prefix = f"{location.prefix.strip('/')}/" if location.prefix.strip("/") else ""
        self.url = f"s3://{self._name}/{self._prefix}"
        self._what = f"document store {self.url}"
        self._sealing = _server_side(location)
        config = Config(
            connect_timeout=min(5.0, location.timeout_seconds),
            read_timeout=location.timeout_seconds,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=64,
            # A service of one's own is known by its address, not by names under it.
            s3={"addressing_style": "path" if location.endpoint else "auto"},
            # TLS, and a signature over the bytes where there is none, guard them; other services know no trailers.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with self._asking():
            # Services of one's own have regions in name only.
            region = location.region or ("us-east-1" if location.endpoint else None)
            self._client: Any = boto3.client(
                "s3", endpoint_url=location.endpoint or None, region_name=region, config=config
            )

    def put(self, key: str, body: bytes | Window) -> None:
        """A whole object."""
        with self._asking():
            self._client.put_object(Bucket=self._name, Key=self._prefix + key, Body=body, **self._sealing)

    def under(self, prefix: str) -> Iterator[Listed]:
        """What there is under a prefix, in the order of keys."""
        token: dict[str, str] = {}
        while True:
            with self._asking():
                page = self._client.list_objects_v2(Bucket=self._name, Prefix=self._prefix + prefix, **token)
            for one in page.get("Contents", ()):
                key = one["Key"].removeprefix(self._prefix)
                yield Listed(key, one["Size"], _state(one))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def find(self, key: str) -> Listed | None:
        """One object, or None."""
        try:
            with self._asking():
                head = self._client.head_object(Bucket=self._name, Key=self._prefix + key)
        except KeyError:
            return None
        return Listed(key, head["ContentLength"], _state({**head, "Size": head["ContentLength"]}))

    def open(self, key: str, start: int = 0) -> Iterator[bytes]:
        """The bytes of an object from an offset on; what breaks off is taken up again."""
        attempts = _RESUMED
        version: dict[str, str] = {}
        while True:
            try:
                for chunk in self._download(key, start, version):
                    start += len(chunk)
                    attempts = _RESUMED
                    yield chunk
                return
            except KeyError as error:
                raise IntegrityLost(f"{self._what}: {key} is gone") from error
            except Unavailable:
                attempts -= 1
                if not attempts:
                    raise

    def _download(self, key: str, start: int, version: dict[str, str]) -> Iterator[bytes]:
        place = {"Range": f"bytes={start}-"} if start else {}
        try:
            with self._asking():
                found = self._client.get_object(Bucket=self._name, Key=self._prefix + key, **place, **version)
        except _PastTheEnd:
            return
        version["IfMatch"] = found["ETag"]
        body = found["Body"]
        try:
            while True:
                with self._asking():
                    chunk = body.read(CHUNK)
                if not chunk:
                    return
                yield chunk
        finally:
            body.close()

    def delete(self, key: str) -> None:
        """Remove an object if it is there."""
        with self._asking():
            self._client.delete_object(Bucket=self._name, Key=self._prefix + key)

    # -- objects that are sent in parts

    def begin(self, key: str) -> str:
        """Begin to send an object in parts; returns the id of the upload."""
        with self._asking():
            found = self._client.create_multipart_upload(Bucket=self._name, Key=self._prefix + key, **self._sealing)
        return str(found["UploadId"])

    def send(self, key: str, upload: str, number: int, body: bytes | Window, size: int) -> str:
        """One part, counted from 1; returns its tag."""
        with self._asking():
            found = self._client.upload_part(
                Bucket=self._name,
                Key=self._prefix + key,
                UploadId=upload,
                PartNumber=number,
                Body=body,
                ContentLength=size,
            )
        return str(found["ETag"])

    def complete(self, key: str, upload: str, tags: Mapping[int, str]) -> None:
        """All parts are there: the object exists, durable, when this returns."""
        parts = [{"PartNumber": number, "ETag": tags[number]} for number in sorted(tags)]
        with self._asking():
            self._client.complete_multipart_upload(
                Bucket=self._name, Key=self._prefix + key, UploadId=upload, MultipartUpload={"Parts": parts}
            )

    def abort(self, key: str, upload: str) -> None:
        """Forget the parts of an upload."""
        try:
            with self._asking():
                self._client.abort_multipart_upload(Bucket=self._name, Key=self._prefix + key, UploadId=upload)
        except KeyError:
            return

    def uploads(self, key: str) -> list[str]:
        """The uploads of one object that were begun and neither completed nor aborted."""
        with self._asking():
            found = self._client.list_multipart_uploads(Bucket=self._name, Prefix=self._prefix + key)
        return [str(one["UploadId"]) for one in found.get("Uploads", ()) if one["Key"] == self._prefix + key]

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _GONE:
                raise KeyError(code) from error
            if code in ("InvalidRange", "416"):
                raise _PastTheEnd from error
            raise Unavailable(f"{self._what}: {error}") from error
        except (BotoCoreError, HTTPError, OSError, ValueError) as error:
            raise Unavailable(f"{self._what}: {error}") from error


class _PastTheEnd(Exception):
    """A range that begins where the object ends."""


def _state(one: Mapping[str, Any]) -> str:
    return f"{one['Size']}:{one['ETag']}:{int(one['LastModified'].timestamp())}"


def _server_side(location: S3Location) -> dict[str, str]:
    found = {"ServerSideEncryption": location.encryption} if location.encryption else {}
    if location.kms_key:
        found["SSEKMSKeyId"] = location.kms_key
    return found


class Window(io.RawIOBase):
    """A stretch of a file as a file of its own, so that a part is sent without being in memory."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is: who signs it reads it twice."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        view = memoryview(buffer)[: max(0, self._size - self._at)]
        self._file.seek(self._start + self._at)
        count = self._file.readinto(view)
        self._at += count or 0
        return count or 0

    def __len__(self) -> int:
        return self._size

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
