"""Archives that are reached over the network, each behind the port `Pacs`: DICOMweb, Orthanc, DIMSE."""
