"""nginx with a configuration of its own: one worker, files without sendfile, plain or with mutual TLS."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.processes import Server, free_port, running

_CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off;
  sendfile off;
  default_type application/octet-stream;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} {ssl};
    {tls}
    location / {{ {what} }}
  }}
}}
"""
_TLS = """
    ssl_certificate {pki}/hub.pem;
    ssl_certificate_key {pki}/hub.key;
    ssl_client_certificate {pki}/ca.pem;
    ssl_verify_client on;
    ssl_protocols TLSv1.2 TLSv1.3;
"""


def installed() -> bool:
    return shutil.which("nginx") is not None


@contextmanager
def serving(root: Path | str, folder: Path, pki: Path | None = None) -> Iterator[Server]:
    """Serve the files of a folder on a free port of loopback, or pass on what is asked to another server's URL."""
    passed_on = f"proxy_pass {root}; proxy_http_version 1.1; proxy_buffering off;"
    folder.mkdir()
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            port=port,
            what=f"root {root};" if isinstance(root, Path) else passed_on,
            ssl="ssl" if pki else "",
            tls=_TLS.format(pki=pki) if pki else "",
        )
    )
    command = ["nginx", "-p", folder, "-c", configuration, "-e", "stderr"]
    with running(command, port=port, tls=pki is not None, log=folder / "nginx.log") as server:
        yield server
