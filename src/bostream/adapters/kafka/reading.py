"""Reading topics outside any group, from a beginning to an end or on and on: for tail, audit and demo.

What must stay true: an end is where the log ends for everybody (READ_UNCOMMITTED), and reading goes on until the
position has passed it: markers, aborted records and open transactions make "the last record" the wrong test.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from bostream.adapters.kafka.errors import error_of
from bostream.adapters.kafka.logs import KafkaLogReader
from bostream.adapters.kafka.records import Settings
from bostream.engine.ports import LogRange, Partition, Record
from bostream.errors import BrokerError, ConfigurationError

_TIMEOUT_S = 20.0
_STALL_TIMEOUT_S = 120.0
"""Longest wait for an end without any record: longer than a dead worker's transaction stays open."""
_RECORDS_MAX = 5000
_IDLE_S = 0.2
_PASSING = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
"""Errors of a coordinator that moves, or waits for a transaction to end."""


class TopicReader:
    """Reads committed records of whole topics.

    Args:
        settings: of a consumer; must say ``read_committed`` and name a group, which is never joined.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = dict(settings)

    def partitions(self, topics: Sequence[str]) -> list[Partition]:
        """Return all partitions of the topics.

        Raises:
            ConfigurationError: a topic does not exist.
            BrokerError: no broker answers.
        """
        consumer = Consumer(self._settings)
        try:
            known = consumer.list_topics(timeout=_TIMEOUT_S).topics
        except KafkaException as exception:
            raise BrokerError(f"no broker answered: {error_of(exception).str()}") from exception
        finally:
            consumer.close()
        missing = [topic for topic in topics if topic not in known or known[topic].error is not None]
        if missing:
            raise ConfigurationError(f"there is no topic {', '.join(missing)}. Create topics with `bostream init`.")
        return [Partition(topic, number) for topic in topics for number in sorted(known[topic].partitions)]

    def ranges(self, partitions: Sequence[Partition], *, since: int | None = None) -> dict[Partition, LogRange]:
        """Return where each partition begins and ends for everybody.

        Args:
            partitions: to look at.
            since: begin at the first record with this timestamp (µs) or a later one.

        Raises:
            BrokerError: a leader does not answer.
        """
        # A read_committed consumer would be told the end of what is committed.
        consumer = Consumer({**self._settings, "isolation.level": "read_uncommitted"})
        try:
            found = {}
            for partition in partitions:
                found[partition] = _watermarks(consumer, partition)
            if since is not None and partitions:
                asked = [TopicPartition(p.topic, p.number, since // 1000) for p in partitions]
                for answer in consumer.offsets_for_times(asked, timeout=_TIMEOUT_S):
                    partition = Partition(answer.topic, answer.partition)
                    end = found[partition].end
                    found[partition] = LogRange(end if answer.offset < 0 else answer.offset, end)
        except KafkaException as exception:
            raise BrokerError(f"the offsets could not be read: {error_of(exception).str()}") from exception
        finally:
            consumer.close()
        return found

    def wait_until_decided(self, ranges: Mapping[Partition, LogRange]) -> None:
        """Wait until every transaction with a record before these ends has ended, so that it shows or never will.

        Raises:
            BrokerError: one stays open.
        """
        # To a read_committed consumer a partition ends before the first record of an open transaction.
        consumer = Consumer(self._settings)
        deadline_s = time.monotonic() + _STALL_TIMEOUT_S
        try:
            for partition, one in ranges.items():
                while _watermarks(consumer, partition).end < one.end:
                    if time.monotonic() > deadline_s:
                        raise BrokerError(f"a transaction on {partition} stays open")
                    time.sleep(_IDLE_S)
        except KafkaException as exception:
            raise BrokerError(f"the offsets could not be read: {error_of(exception).str()}") from exception
        finally:
            consumer.close()

    def read(self, topics: Sequence[str], *, since: int | None = None, follow: bool = False) -> Iterator[Record | None]:
        """Yield records, in offset order within each partition; None now and then while there is nothing.

        Args:
            topics: to read.
            since: skip records with an older timestamp (µs); None: from the beginning.
            follow: go on for ever; else end where the topics ended when the reading began.
        """
        ranges = self.ranges(self.partitions(topics), since=since)
        if not follow:
            yield from self.read_ranges(ranges)
            return
        reader = KafkaLogReader(self._settings)
        try:
            for partition, log_range in ranges.items():
                reader.open(partition, log_range.start)
            while True:
                records = reader.read(_RECORDS_MAX, _IDLE_S)
                yield from records
                if not records:
                    yield None
        finally:
            reader.shut()

    def read_ranges(self, ranges: Mapping[Partition, LogRange]) -> Iterator[Record | None]:
        """Yield the committed records of these ranges; None now and then while there is nothing.

        Raises:
            BrokerError: an end was not reached in time: a broker is away, or a transaction stays open.
        """
        left = {partition: one.end for partition, one in ranges.items() if one.start < one.end}
        if not left:
            return
        reader = KafkaLogReader(self._settings)
        try:
            for partition in left:
                reader.open(partition, ranges[partition].start)
            deadline_s = time.monotonic() + _STALL_TIMEOUT_S
            while left:
                records = reader.read(_RECORDS_MAX, _IDLE_S)
                if records:
                    deadline_s = time.monotonic() + _STALL_TIMEOUT_S
                    yield from (record for record in records if record.offset < ranges[record.source].end)
                else:
                    yield None
                for partition in [one for one, end in left.items() if reader.position(one) >= end]:
                    del left[partition]
                    reader.close(partition)
                if time.monotonic() > deadline_s:
                    names = ", ".join(str(partition) for partition in left)
                    raise BrokerError(f"the end of {names} was not reached: is a broker away, or a transaction open?")
        finally:
            reader.shut()


def _watermarks(consumer: Consumer, partition: Partition) -> LogRange:
    """Ask for both ends; right after a topic was made or a leader moved, brokers refuse for a moment."""
    deadline_s = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return LogRange(*consumer.get_watermark_offsets(_theirs(partition), timeout=_TIMEOUT_S))
        except KafkaException as exception:
            code = error_of(exception).code()
            if code != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > deadline_s:
                raise
            time.sleep(_IDLE_S)


def committed_offsets(settings: Settings, group: str, partitions: Sequence[Partition]) -> dict[Partition, int]:
    """Return what a group has committed of these partitions; those without an offset are left out.

    Waits, with a bound, until no transaction holds offsets of theirs that are not decided yet (KIP-447).

    Args:
        settings: of a consumer; must say ``read_committed``.
        group: name of the group, which is not joined.
        partitions: to look at.

    Raises:
        BrokerError: the coordinator does not answer.
    """
    # An admin client could ask too, but its threads are not always gone when it is: it brought the process down.
    consumer = Consumer({**settings, "group.id": group})
    deadline_s = time.monotonic() + _TIMEOUT_S
    try:
        while True:
            try:
                found = consumer.committed([_theirs(p) for p in partitions], _TIMEOUT_S)
            except KafkaException as exception:
                error: KafkaError | None = error_of(exception)
            else:
                error = next((tp.error for tp in found if tp.error is not None), None)
                if error is None:
                    return {Partition(tp.topic, tp.partition): tp.offset for tp in found if tp.offset >= 0}
            if error is None or error.code() not in _PASSING or time.monotonic() > deadline_s:
                raise BrokerError(f"the offsets of group {group} could not be read: {error}")
            time.sleep(_IDLE_S)
    finally:
        consumer.close()


def _theirs(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)
