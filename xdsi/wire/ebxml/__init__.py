"""The ebXML registry encoding (ebRS and ebRIM 3.0) of requests, metadata and answers."""
