"""One module per IHE transaction, both ends."""
