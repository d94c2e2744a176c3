"""The three stages: intake, document desk, SKU books. They turn records into events, and outcomes into records."""
