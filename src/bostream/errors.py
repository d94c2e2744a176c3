"""One exception class for each thing the shell can do about a failure.

An exception is named after its remedy, never after its cause. What must stay true: code that catches one of these
classes carries out the remedy of that class and no other.
"""


class BostreamError(Exception):
    """Base of all errors raised on purpose."""


class BadRecordError(BostreamError):
    """A record that can never be processed: dead-letter it and go on.

    Args:
        reason: short upper-case code, e.g. ``UNDECODABLE``; it becomes the header ``bostream.dlq.reason``.
        detail: one sentence for people; names the field, never the payload.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TransientError(BostreamError):
    """The batch failed for a reason that passes: abort, seek back, try again with back-off."""


class InDoubtError(BostreamError):
    """Whether a transaction committed is unknown: leave the group, exit, restore from the log."""


class FencedError(BostreamError):
    """Another process owns this identity: leave the group and exit, committing nothing."""


class CorruptStateError(BostreamError):
    """The local store cannot be trusted: wipe that partition and restore it from its changelog."""


class StoreFailedError(BostreamError):
    """The disk under the local store is full or fails: exit, wipe nothing, start again when there is space."""


class ChainBrokenError(BostreamError):
    """The changelog itself contradicts its commit records: stop, never allocate on it."""


class InvariantError(BostreamError):
    """A bug of ours: stop the worker, commit nothing."""


class ConfigurationError(BostreamError):
    """A setting or a topic is not as it must be: refuse to start and say what to change."""


class BrokerError(BostreamError):
    """Kafka cannot be reached or refuses what we ask: exit with the broker's words."""


class PoisonedRecordError(BostreamError):
    """One record made a stage fail in an unforeseen way: abort, then dead-letter it alone and go on.

    Args:
        topic: topic of the record.
        partition: its partition.
        offset: its offset.
        error: what the stage raised.
    """

    def __init__(self, topic: str, partition: int, offset: int, error: Exception) -> None:
        super().__init__(f"{topic}/{partition} offset {offset}: {type(error).__name__}: {error}")
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.error = error
