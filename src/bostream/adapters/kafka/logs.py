"""Logs outside the group: reading changelogs by offset, where logs begin and end, how far the group is behind."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec

from bostream.adapters.kafka.errors import check_consumer_error, error_of, transient_or_worse
from bostream.adapters.kafka.records import Settings, to_record, to_theirs
from bostream.engine.ports import Clock, LogRange, Partition, Record
from bostream.errors import ConfigurationError

logger = logging.getLogger(__name__)

_CALL_TIMEOUT_S = 10.0


class KafkaLogReader:
    """A :class:`bostream.engine.ports.LogReader`: a consumer without a group."""

    def __init__(self, settings: Settings) -> None:
        # EOF events carry the position past transaction markers and aborted records, which no message does
        self._consumer = Consumer({**settings, "enable.partition.eof": True, "logger": logger})
        self._positions: dict[Partition, int] = {}

    def open(self, partition: Partition, offset: int) -> None:
        """Begin at this offset."""
        self._positions[partition] = offset
        self._consumer.incremental_assign([TopicPartition(partition.topic, partition.number, offset)])

    def read(self, records_max: int, timeout_s: float) -> list[Record]:
        """Take what is there."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        records = []
        more = self._consumer.consume(records_max - 1, 0) if records_max > 1 else []
        for message in [first, *more]:
            error = message.error()
            if error is None:
                record = to_record(message)
                self._advance(record.source, record.offset + 1)
                records.append(record)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._advance(Partition(message.topic() or "", message.partition() or 0), message.offset() or 0)
            else:
                check_consumer_error(error)
        return records

    def _advance(self, partition: Partition, offset: int) -> None:
        if partition in self._positions:
            self._positions[partition] = max(self._positions[partition], offset)

    def position(self, partition: Partition) -> int:
        """Return how far it was read."""
        return self._positions[partition]

    def close(self, partition: Partition) -> None:
        """Stop reading it."""
        del self._positions[partition]
        self._consumer.incremental_unassign([TopicPartition(partition.topic, partition.number)])

    def shut(self) -> None:
        """Close the client."""
        self._consumer.close()


class KafkaLogEnds:
    """A :class:`bostream.engine.ports.LogEnds` by admin calls."""

    def __init__(
        self, admin: AdminClient, *, group: str, partitions_per_log: int, clock: Clock, refresh_s: float = 1.0
    ) -> None:
        self._admin = admin
        self._group = group
        self._partitions_per_log = partitions_per_log
        self._clock = clock
        self._refresh_s = refresh_s
        self._asked_at_s = -refresh_s
        self._ends: dict[TopicPartition, Future[ListOffsetsResultInfo]] = {}
        self._committed: Future[ConsumerGroupTopicPartitions] | None = None
        self._lag: int | None = None

    def ranges(self, partitions: Sequence[Partition]) -> dict[Partition, LogRange]:
        """Ask for both ends. ``list_offsets`` is honest about READ_UNCOMMITTED; watermarks are not."""
        starts = self._list(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        ends = self._list(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {partition: LogRange(starts[partition], ends[partition]) for partition in partitions}

    def _list(self, partitions: Sequence[Partition], spec: OffsetSpec) -> dict[Partition, int]:
        futures = self._admin.list_offsets(
            dict.fromkeys(to_theirs(partitions), spec),
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=_CALL_TIMEOUT_S,
        )
        offsets: dict[Partition, int] = {}
        for tp, future in futures.items():
            try:
                offsets[Partition(tp.topic, tp.partition)] = future.result().offset
            except KafkaException as exception:
                error = error_of(exception)
                # "no leaders found": either no topic, or one whose leaders are being elected
                if error.code() == KafkaError._NOENT and not self._exists(tp.topic):
                    raise ConfigurationError(
                        f"the topic {tp.topic} is missing. Create it with `bostream init`."
                    ) from None
                raise transient_or_worse(error, f"offsets of {tp.topic}") from exception
        return offsets

    def _exists(self, topic: str) -> bool:
        try:
            metadata = self._admin.list_topics(timeout=_CALL_TIMEOUT_S).topics.get(topic)
        except KafkaException as exception:
            raise transient_or_worse(error_of(exception), "metadata") from exception
        return metadata is not None and metadata.error is None

    def lag(self, topics: Sequence[str]) -> int | None:
        """Return the greatest lag as last known; asks anew in the background every ``refresh_s``."""
        if self._committed is not None and self._committed.done() and all(f.done() for f in self._ends.values()):
            self._lag = self._greatest_lag()
            self._committed = None
        now_s = self._clock.monotonic_s()
        if self._committed is None and now_s - self._asked_at_s >= self._refresh_s:
            self._asked_at_s = now_s
            logs = [TopicPartition(topic, n) for topic in topics for n in range(self._partitions_per_log)]
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            self._ends = self._admin.list_offsets(dict.fromkeys(logs, latest))
            request = [ConsumerGroupTopicPartitions(self._group, logs)]
            self._committed = self._admin.list_consumer_group_offsets(request)[self._group]
        return self._lag

    def _greatest_lag(self) -> int | None:
        try:
            committed = self._committed.result().topic_partitions if self._committed is not None else None
            ends = {(tp.topic, tp.partition): future.result().offset for tp, future in self._ends.items()}
        except KafkaException as exception:
            logger.info("lag is unknown for now: %s", exception)
            return self._lag
        lags = [ends[tp.topic, tp.partition] - max(tp.offset, 0) for tp in committed or ()]
        return max(lags, default=0)
