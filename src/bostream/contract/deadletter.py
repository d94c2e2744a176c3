"""What becomes of a bad record: a dead letter that can be read, searched and replayed.

What must stay true: key, value and headers are those of the bad record, byte for byte; making a dead letter never
fails, whatever the record is, and never quotes the payload.
"""

from typing import Final, NamedTuple

from bostream.errors import BadRecordError

DEAD_LETTER_SUFFIX: Final = ".dlq"
REASON_HEADER: Final = "bostream.dlq.reason"
CONNECT_PREFIX: Final = "__connect.errors."
"""Kafka Connect's names, which the user interfaces for Kafka know."""

UNEXPECTED_REASON: Final = "UNEXPECTED"
"""The reason of an error that does not know one."""

MESSAGE_CHARACTERS_MAX: Final = 1_000

RawHeaders = tuple[tuple[str, bytes | None], ...]


class DeadLetter(NamedTuple):
    """One record to be produced; ``partition`` None: by the key's hash."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None
    headers: RawHeaders


def dead_letter_topic(topic: str) -> str:
    """Return the name of a topic's dead-letter topic."""
    return topic + DEAD_LETTER_SUFFIX


def dead_letter(
    *,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: RawHeaders,
    stage: str,
    error: Exception,
    dead_letter_partitions: int | None = None,
) -> DeadLetter:
    """Return the dead letter of a record.

    Args:
        topic: the full name of the topic that it was read from.
        partition: the partition that it was read from.
        offset: its offset there.
        key: as read.
        value: as read.
        headers: as read; a replayed dead letter keeps its older error headers, and the last of a name is the newest.
        stage: which stage found it bad.
        error: what is wrong with it.
        dead_letter_partitions: how many partitions the dead-letter topic has, if known: the partition number is kept
            when it exists there.
    """
    is_kept = dead_letter_partitions is not None and 0 <= partition < dead_letter_partitions
    # The words of an error that is not ours may quote the payload, or fail to be put into words.
    reason, message = (
        (str(error.reason), str(error))
        if isinstance(error, BadRecordError)
        else (UNEXPECTED_REASON, "unexpected error")
    )
    details = {
        CONNECT_PREFIX + "topic": topic,
        CONNECT_PREFIX + "partition": str(partition),
        CONNECT_PREFIX + "offset": str(offset),
        CONNECT_PREFIX + "stage": stage,
        CONNECT_PREFIX + "exception.class.name": f"{type(error).__module__}.{type(error).__qualname__}",
        CONNECT_PREFIX + "exception.message": message[:MESSAGE_CHARACTERS_MAX],
        REASON_HEADER: reason,
    }
    added = tuple((name, text.encode(errors="replace")) for name, text in details.items())
    return DeadLetter(dead_letter_topic(topic), key, value, partition if is_kept else None, (*headers, *added))
