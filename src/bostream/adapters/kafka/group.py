"""The worker's one consumer: a group member on librdkafka's classic cooperative protocol."""

import logging
from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from bostream.adapters.kafka.errors import check_consumer_error, error_of, transient_or_worse
from bostream.adapters.kafka.records import Settings, to_ours, to_record, to_theirs
from bostream.engine.ports import GroupListener, Partition, Record
from bostream.errors import BrokerError

logger = logging.getLogger(__name__)


class KafkaGroupConsumer:
    """A :class:`bostream.engine.ports.GroupConsumer` on librdkafka's classic cooperative protocol."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = Consumer({**settings, "logger": logger})
        self._owned: set[Partition] = set()

    def subscribe(self, topics: Sequence[str], listener: GroupListener) -> None:
        """Join the group; the listener hears of partitions after they were assigned and paused here."""

        def on_assign(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            if not partitions:  # cooperative rebalances call with an empty list
                return
            # the loop seeks before it resumes; no committed offset is looked up here, since that could wait for long
            consumer.incremental_assign([TopicPartition(p.topic, p.partition, OFFSET_BEGINNING) for p in partitions])
            consumer.pause(partitions)
            assigned = to_ours(partitions)
            self._owned.update(assigned)
            listener.on_assigned(assigned)

        def on_revoke(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            self._owned.difference_update(to_ours(partitions))
            listener.on_revoked(to_ours(partitions))
            consumer.incremental_unassign(partitions)

        def on_lost(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            self._owned.difference_update(to_ours(partitions))
            listener.on_lost(to_ours(partitions))
            try:
                consumer.incremental_unassign(partitions)
            except KafkaException as exception:
                logger.info("partitions were gone already: %s", exception)

        self._consumer.subscribe(list(topics), on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)

    def fetch(self, records_max: int, timeout_s: float) -> list[Record]:
        """Wait for a first record, then drain: ``consume(n, t)`` alone would wait the whole ``t``."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        messages = [first]
        if records_max > 1:
            messages += self._consumer.consume(records_max - 1, 0)
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(to_record(message))
            else:
                check_consumer_error(error)
        return records

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Fetch nothing from these."""
        self._consumer.pause(to_theirs(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Fetch from these again."""
        self._consumer.resume(to_theirs(partitions))

    def seek(self, partition: Partition, offset: int) -> None:
        """Fetch from here on. A partition that was just lost is left alone: its callback comes with the next poll."""
        if partition not in self._owned:
            return
        try:
            self._consumer.seek(TopicPartition(partition.topic, partition.number, offset))
        except KafkaException as exception:
            if error_of(exception).code() not in (KafkaError._STATE, KafkaError._UNKNOWN_PARTITION):
                raise BrokerError(f"{partition}: seek to {offset} failed: {exception}") from exception
            logger.info("%s: not seeking, it has just been lost: %s", partition, exception)

    def committed(self, partitions: Sequence[Partition], timeout_s: float) -> dict[Partition, int | None]:
        """Return stable committed offsets; read_committed consumers ask with require_stable (KIP-447)."""
        try:
            answers = self._consumer.committed(to_theirs(partitions), timeout_s)
        except KafkaException as exception:
            raise transient_or_worse(error_of(exception), "committed offsets") from exception
        offsets: dict[Partition, int | None] = {}
        for answer in answers:
            if answer.error is not None:
                raise transient_or_worse(answer.error, "committed offsets")
            partition = Partition(answer.topic, answer.partition)
            offsets[partition] = None if answer.offset == OFFSET_INVALID else answer.offset
        return offsets

    def high_watermark(self, partition: Partition) -> int | None:
        """Return the end as of the last fetch response."""
        try:
            _, high = self._consumer.get_watermark_offsets(
                TopicPartition(partition.topic, partition.number), cached=True
            )
        except KafkaException:
            return None
        return high if high >= 0 else None

    def group_metadata(self) -> object:
        """Return member id and generation, opaque."""
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        """Close; as a static member the partitions stay ours for the session timeout, so that a restart is quick."""
        self._consumer.close()
