"""The public contract: records, bytes <-> records, the table of topics, identities and dead letters."""
