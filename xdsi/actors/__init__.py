"""Who speaks what: a tuple of transactions and an endpoint per actor."""
