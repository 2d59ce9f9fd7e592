"""Imaging Document Source, the serving half: gives out the images that its manifests name (RAD TF-1: 18.1.1)."""

from xdsi.exchange import Role
from xdsi.transactions import rad69_retrieve_imaging_document_set as rad69

ROLE = Role(
    name="Imaging Document Source",
    path="/services/imaging-source",
    wsdl="imaging_document_source",
    transactions=(rad69.TRANSACTION,),
)
