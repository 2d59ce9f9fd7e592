"""Authorization Decisions Manager: answers other nodes whether a subject may see a document (ITI SeR: 39.1)."""

from xdsi.exchange import Role
from xdsi.transactions import iti79_authorization_decisions_query as iti79

ROLE = Role(
    name="Authorization Decisions Manager",
    path="/services/authorization",
    wsdl="authorization",
    transactions=(iti79.TRANSACTION,),
)
