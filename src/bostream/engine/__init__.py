"""The exactly-once engine: one transaction per batch, state that is never ahead of Kafka."""
