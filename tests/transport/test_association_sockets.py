"""A connection that the peer has reset is closed here too, not left to the garbage collector."""

from __future__ import annotations

import socket
import struct

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationSocket

from tests.servers import wait_until
from xdsi.transport.pacs.associations import is_ae_title

assert is_ae_title("XDSI"), "what sets pynetdicom up is imported"


@pytest.mark.parametrize("reset", [True, False])
def test_a_connection_is_closed_whoever_ends_it(reset: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    association = AssociationSocket(
        Association(AE(), "requestor"), client_socket=ours, address=AddressInformation("127.0.0.1", 0)
    )
    if reset:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        wait_until(lambda: _is_reset(ours))
    association.close()
    assert ours.fileno() == -1
    theirs.close()


def _is_reset(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:
        return True
    return False
