"""nginx as a careless operator sets it up before a hub: it ends TLS, and keeps every answer that it is allowed to."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.imaging import program
from tests.servers import wait_until

HEADER = "X-Client-Certificate"
BARRED = "/metrics"
"""a path that it lets nobody through to"""
_CONFIGURATION = """
{user}
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  proxy_cache_path {folder}/cache keys_zone=all:1m;
  upstream hub {{ server 127.0.0.1:{hub}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {pki}/hub.pem;
    ssl_certificate_key {pki}/hub.key;
    ssl_client_certificate {pki}/ca.pem;
    ssl_verify_client optional;
    client_max_body_size 64m;
    location {barred} {{ return 403; }}
    location / {{
      proxy_pass http://hub;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header {header} $ssl_client_escaped_cert;
      proxy_cache all;
      proxy_cache_methods GET HEAD POST;
      proxy_cache_valid any 10m;
      proxy_force_ranges on;
      add_header X-Cache $upstream_cache_status always;
    }}
  }}
}}
"""


def installed() -> str:
    """The program; without it the calling test is skipped, or fails where required."""
    return shutil.which("nginx", path="/usr/sbin") or program("nginx")


def complains(server: str, folder: Path) -> str:
    """What nginx says of a part of its configuration; empty where nothing."""
    file = folder / "nginx.conf"
    file.write_text(f"pid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{server}\n}}\n")
    command = [installed(), "-t", "-q", "-p", folder, "-c", file, "-e", "stderr"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stderr


@contextmanager
def before(hub: int, port: int, pki: Path, folder: Path) -> Iterator[None]:
    """nginx on `port`, which passes on to the hub on port `hub`."""
    found = installed()
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            port=port,
            hub=hub,
            pki=pki,
            header=HEADER,
            barred=BARRED,
        )
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [found, "-p", folder, "-c", configuration, "-e", "stderr"], stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), 30)
        if process.poll() is not None:
            pytest.fail((folder / "log").read_text(errors="replace"))
        yield
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
