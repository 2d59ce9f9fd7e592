"""Exit status 0 when this container's /health/ready says so; asked with the node's own certificate."""

import http.client
import os
import sys
from pathlib import Path

from xdsi import settings
from xdsi.transport.tls import TlsFiles, client_context

TIMEOUT_SECONDS = 4
HERE = "127.0.0.1"


def connection(chosen: settings.Settings) -> http.client.HTTPConnection:
    """The way to this container's own port."""
    tls, port = chosen.tls, chosen.server.port
    if not tls.certificate:
        return http.client.HTTPConnection(HERE, port, timeout=TIMEOUT_SECONDS)
    files = TlsFiles(certificate=Path(tls.certificate), key=Path(tls.key), peer_ca=Path(tls.client_ca))
    context = client_context(files)
    context.check_hostname = False  # the certificate bears the name that peers use
    return http.client.HTTPSConnection(HERE, port, timeout=TIMEOUT_SECONDS, context=context)


def main() -> int:
    """Ask once."""
    file = os.environ.get("XDSI_CONFIG")
    asked = connection(settings.load(Path(file) if file else None))
    try:
        asked.request("GET", "/health/ready")
        return 0 if asked.getresponse().status == 200 else 1
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        asked.close()


if __name__ == "__main__":
    sys.exit(main())
