"""Closes the socket of an association of pynetdicom also when its peer was first.

pynetdicom shuts a connection down and closes it in one attempt. The peer's reset makes the first half fail, the second
is then left out, and the descriptor stays open until the garbage collector comes by. Imported for what it does.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from pynetdicom.transport import AssociationSocket


def _shut_down(self: AssociationSocket) -> None:
    if self.socket is not None:
        with suppress(Exception):
            self.socket.shutdown(socket.SHUT_RDWR)
        with suppress(Exception):
            self.socket.close()


AssociationSocket._shutdown_socket = _shut_down  # type: ignore[method-assign]
