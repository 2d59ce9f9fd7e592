"""Document Registry: knows which documents exist and where (ITI TF-1: 10.1.1.3)."""

from xdsi.exchange import Role
from xdsi.transactions import iti18_registry_stored_query as iti18
from xdsi.transactions import iti42_register_document_set as iti42
from xdsi.transactions import iti51_multi_patient_stored_query as iti51
from xdsi.transactions import iti57_update_document_set as iti57
from xdsi.transactions import iti61_register_on_demand_document_entry as iti61
from xdsi.transactions import iti62_remove_metadata as iti62
from xdsi.transactions import iti92_restricted_update_document_set as iti92

ROLE = Role(
    name="Document Registry",
    path="/services/registry",
    wsdl="document_registry",
    transactions=(
        iti18.TRANSACTION,
        iti42.TRANSACTION,
        iti51.TRANSACTION,
        iti57.TRANSACTION,
        iti61.TRANSACTION,
        iti62.TRANSACTION,
        iti92.TRANSACTION,
    ),
)
