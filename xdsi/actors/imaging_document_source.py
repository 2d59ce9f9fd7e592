"""Imaging Document Source, the serving half: gives out the images that its manifests name (RAD TF-1: 18.1.1).

By SOAP and by REST, each at a path of its own.
"""

from xdsi.exchange import Role
from xdsi.transactions import rad55_wado_retrieve as rad55
from xdsi.transactions import rad69_retrieve_imaging_document_set as rad69
from xdsi.transactions import rad107_wado_rs_retrieve as rad107

ROLE = Role(
    name="Imaging Document Source",
    path="/services/imaging-source",
    wsdl="imaging_document_source",
    transactions=(rad69.TRANSACTION,),
)

WADO_RS = Role(name="Imaging Document Source, WADO-RS", path="/dicom-web", transactions=(rad107.TRANSACTION,))
WADO_URI = Role(name="Imaging Document Source, WADO-URI", path="/wado", transactions=(rad55.TRANSACTION,))
