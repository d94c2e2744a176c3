"""librdkafka's messages and partitions, and ours."""

from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import Message, TopicPartition

from bostream.engine.ports import Partition, Record

Settings = Mapping[str, str | int | float | bool]
"""Settings of librdkafka by their names there."""


def to_record(message: Message) -> Record:
    """Return a message without error as a record."""
    _, timestamp_ms = message.timestamp()
    headers: Iterable[Sequence[str | bytes | None]] | None = message.headers()
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        timestamp_ms * 1000,
        _bytes(message.key()),
        _bytes(message.value()),
        tuple((str(header[0]), _bytes(header[1])) for header in headers) if headers else (),
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def to_ours(partitions: Sequence[TopicPartition]) -> list[Partition]:
    """Return librdkafka's partitions as ours."""
    return [Partition(p.topic, p.partition) for p in partitions]


def to_theirs(partitions: Sequence[Partition]) -> list[TopicPartition]:
    """Return our partitions as librdkafka's."""
    return [TopicPartition(p.topic, p.number) for p in partitions]
