"""An entity named MOVER that asks a hub for images by C-MOVE (RAD-16), and takes them."""

from __future__ import annotations

from typing import Any

from pydicom import Dataset
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove  # type: ignore[attr-defined]

from xdsi.transport.reactor_gate import GATED


def moved(move_port: int, store_port: int, **keys: str | list[str]) -> tuple[Any, set[str]]:
    """The last answer to a C-MOVE of what has these keys, and the SOP Instance UIDs that came to `store_port`."""
    came: set[str] = set()

    def store(event: Any) -> int:
        came.add(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    own = AE(ae_title="MOVER")
    own.supported_contexts = StoragePresentationContexts
    listening = own.start_server(("127.0.0.1", store_port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    assert listening is not None
    try:
        asking = AE(ae_title="MOVER")
        asking.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
        association = asking.associate("127.0.0.1", move_port, ae_title="XDSI", evt_handlers=[GATED])
        assert association.is_established
        wanted = Dataset()
        for name, value in keys.items():
            setattr(wanted, name, value)
        *_, (last, _) = association.send_c_move(wanted, "MOVER", StudyRootQueryRetrieveInformationModelMove)
        association.release()
        return last, came
    finally:
        listening.shutdown()
