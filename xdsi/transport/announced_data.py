"""DIMSE requests that announce a data set which then does not come: taken as empty, so that they get an answer.

DICOM PS3.7 E.2 (Command Data Set Type), PS3.8 E.2 (Message Control Header). Some senders announce a
data set and send no fragment of it where it has no element, pynetdicom among them; both sides would wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from pynetdicom import evt
from pynetdicom.dimse_messages import N_CREATE_RQ, N_SET_RQ
from pynetdicom.pdu_primitives import P_DATA

SECONDS = 5.0
_COMMAND_ENDS = 0b11
_EMPTY_DATA_ENDS = b"\x02"


def answered_without(seconds: float = SECONDS) -> tuple[Any, Callable[[Any], None]]:
    """A handler for an association: a request whose data set has not begun after some seconds has none."""

    received_of: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def received(event: Any) -> None:
        association = event.assoc
        count = received_of[association] = received_of.get(association, 0) + 1
        items = getattr(event.pdu, "presentation_data_value_items", ())
        if items and items[-1].data and items[-1].data[0] & 0b11 == _COMMAND_ENDS:

            def end() -> None:
                # With anything received since, it is another request that may wait for its data set now.
                if received_of.get(association) == count:
                    _end(association)

            timer = threading.Timer(seconds, end)
            timer.daemon = True
            timer.start()

    return evt.EVT_PDU_RECV, received


def _end(association: Any) -> None:
    message = association.dimse.message
    if (
        not association.is_established
        or message is None
        or not isinstance(message, N_CREATE_RQ | N_SET_RQ)
        or (message.data_set is not None and message.data_set.tell())
    ):
        return
    nothing = P_DATA()
    nothing.presentation_data_value_list.append((message.context_id or 0, _EMPTY_DATA_ENDS))
    association.dimse.receive_primitive(nothing)
