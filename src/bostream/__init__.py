"""bostream: real-time backorder allocation on Kafka, exactly once."""

__version__ = "0.1.0"
