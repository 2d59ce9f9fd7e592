"""Document Repository: keeps documents and gives them out (ITI TF-1: 10.1.1.4)."""

from xdsi.exchange import Role
from xdsi.transactions import iti41_provide_and_register_document_set as iti41
from xdsi.transactions import iti43_retrieve_document_set as iti43
from xdsi.transactions import iti86_remove_documents as iti86

ROLE = Role(
    name="Document Repository",
    path="/services/repository",
    wsdl="document_repository",
    transactions=(iti41.TRANSACTION, iti43.TRANSACTION, iti86.TRANSACTION),
)
