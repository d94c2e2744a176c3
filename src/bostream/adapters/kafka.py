"""Kafka as the engine's ports: the only module that knows confluent-kafka.

What must stay true: every error leaves as one of :mod:`bostream.errors`, named after its remedy. The table behind the
mapping is in docs/ARCHITECTURE.md; the odd lines cite what they work around.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec

from bostream.engine.ports import Clock, GroupListener, LogRange, Offsets, Output, Partition, Record
from bostream.errors import (
    BadRecordError,
    BostreamError,
    BrokerError,
    ConfigurationError,
    FencedError,
    InDoubtError,
    TransientError,
)

logger = logging.getLogger(__name__)

Settings = Mapping[str, str | int | float | bool]
"""Settings of librdkafka by their names there."""

_CALL_TIMEOUT_S = 10.0
_INIT_TIMEOUT_S = 30.0
_COMMIT_TRIES = 3
_REPORTED_FROM_BYTES = 10_000
"""Records of this size have their delivery reported: a topic may take less than the client does."""
_FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.FENCED_INSTANCE_ID})
_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
_LOST_OFFSET = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})
_FORBIDDEN = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
_FENCED_MEMBER = KafkaError(KafkaError.FENCED_INSTANCE_ID).str()


def error_of(exception: KafkaException) -> KafkaError:
    """Return the KafkaError inside an exception."""
    error = exception.args[0]
    if not isinstance(error, KafkaError):
        raise BrokerError(str(exception)) from exception
    return error


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
            assigned = _ours(partitions)
            self._owned.update(assigned)
            listener.on_assigned(assigned)

        def on_revoke(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            self._owned.difference_update(_ours(partitions))
            listener.on_revoked(_ours(partitions))
            consumer.incremental_unassign(partitions)

        def on_lost(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            self._owned.difference_update(_ours(partitions))
            listener.on_lost(_ours(partitions))
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
        self._consumer.pause(_theirs(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Fetch from these again."""
        self._consumer.resume(_theirs(partitions))

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
            answers = self._consumer.committed(_theirs(partitions), timeout_s)
        except KafkaException as exception:
            raise _transient_or_worse(error_of(exception), "committed offsets") from exception
        offsets: dict[Partition, int | None] = {}
        for answer in answers:
            if answer.error is not None:
                raise _transient_or_worse(answer.error, "committed offsets")
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


def check_consumer_error(error: KafkaError) -> None:
    """Raise what an error of a consumer calls for; those that mend themselves are logged."""
    code = error.code()
    if code in _LOST_OFFSET:
        raise ConfigurationError(f"the offset to read from does not exist any more: {error.str()}")
    if code in _MISSING:
        raise ConfigurationError(f"a topic is missing: {error.str()}. Create it with `bostream init`.")
    if code in _FORBIDDEN:
        raise BrokerError(f"not allowed: {error.str()}")
    # a consumer's fatal error comes as the code _FATAL with the cause in its text only, and does not call itself fatal
    if error.fatal() or code == KafkaError._FATAL:
        is_fenced = code in _FENCED or _FENCED_MEMBER in error.str()
        raise FencedError(error.str()) if is_fenced else BrokerError(error.str())
    logger.info("consumer: %s", error.str())  # _MAX_POLL_EXCEEDED, lost connections: mend themselves


def _transient_or_worse(error: KafkaError, what: str) -> BostreamError:
    text = f"{what}: {error.str()}"
    if error.code() in _FENCED:
        return FencedError(text)
    if error.code() in _FORBIDDEN or error.fatal():
        return BrokerError(text)
    if error.code() in _MISSING:
        return ConfigurationError(f"{text}. Create it with `bostream init`.")
    return TransientError(text)


class KafkaTransactionalProducer:
    """A :class:`bostream.engine.ports.TransactionalProducer` on librdkafka."""

    def __init__(self, settings: Settings) -> None:
        self.is_tainted = False
        self._delivery_error: KafkaError | None = None
        self._client: Producer | None = Producer({**settings, "logger": logger})
        try:
            self._producer.init_transactions(_INIT_TIMEOUT_S)
        except KafkaException as exception:
            raise _transient_or_worse(error_of(exception), "init_transactions") from exception

    @property
    def _producer(self) -> Producer:
        if self._client is None:
            raise BrokerError("the producer was closed")
        return self._client

    def begin(self) -> None:
        """Begin a transaction."""
        self._delivery_error = None
        try:
            self._producer.begin_transaction()
        except KafkaException as exception:
            raise self._failed(exception, "begin_transaction") from exception

    def produce(self, output: Output, on_delivered: Callable[[int], None] | None = None) -> None:
        """Queue one record. A full queue is drained; a record over ``message.max.bytes`` is a bad record."""
        is_reported = on_delivered is not None or len(output.value or b"") >= _REPORTED_FROM_BYTES
        callback = self._delivery_report(on_delivered) if is_reported else None
        while True:
            try:
                self._producer.produce(
                    output.topic,
                    value=output.value,
                    key=output.key,
                    partition=-1 if output.partition is None else output.partition,
                    timestamp=0 if output.timestamp is None else output.timestamp // 1000,
                    headers=list(output.headers) or None,
                    **({} if callback is None else {"on_delivery": callback}),
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as exception:
                raise self._failed(exception, f"produce to {output.topic}") from exception
            else:
                return

    def _delivery_report(
        self, on_delivered: Callable[[int], None] | None
    ) -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, message: Message) -> None:
            offset = message.offset()
            if error is None:
                if on_delivered is not None and offset is not None:
                    on_delivered(offset)
            # records that follow a refused one fail too, as out of order: the cause is what counts
            elif self._delivery_error is None or error.code() in _TOO_LARGE:
                self._delivery_error = error

        return report

    def flush(self) -> None:
        """Wait for every acknowledgement. A record without a report of its own that fails makes the commit fail."""
        try:
            left = self._producer.flush(_CALL_TIMEOUT_S)
        except KafkaException as exception:
            raise self._failed(exception, "flush") from exception
        if self._delivery_error is not None:
            raise self._failed(KafkaException(self._delivery_error), "delivery")
        if left:
            self.is_tainted = True
            raise TransientError(f"flush: {left} records were not acknowledged within {_CALL_TIMEOUT_S:.0f} s")

    def send_offsets(self, offsets: Offsets, group_metadata: object) -> None:
        """Add the group's offsets to the transaction; refused when the group has moved on."""
        positions = [TopicPartition(p.topic, p.number, offset) for p, offset in offsets.items()]
        try:
            self._producer.send_offsets_to_transaction(positions, group_metadata, _CALL_TIMEOUT_S)
        except KafkaException as exception:
            raise self._failed(exception, "send_offsets_to_transaction") from exception

    def commit(self) -> None:
        """Commit; a time-out is asked again, since the same request may be resumed, then it is in doubt."""
        for _ in range(_COMMIT_TRIES):
            try:
                self._producer.commit_transaction(_CALL_TIMEOUT_S)
            except KafkaException as exception:
                error = error_of(exception)
                if error.fatal() or error.txn_requires_abort() or not error.retriable():
                    raise self._failed(exception, "commit_transaction") from exception
                self.is_tainted = True
                logger.warning("commit_transaction: %s; asking again", error.str())
            else:
                return
        raise InDoubtError("commit_transaction was not answered: whether it committed is unknown")

    def abort(self) -> None:
        """Abort the transaction."""
        try:
            self._producer.abort_transaction(_CALL_TIMEOUT_S)
        except KafkaException as exception:
            raise self._failed(exception, "abort_transaction") from exception

    def close(self) -> None:
        """Forget what is queued and let the client go.

        The client's own ``close`` would abort the transaction first: it waits, and raises when the producer was fenced.
        """
        if self._client is not None:
            self._client.purge(in_queue=True, in_flight=True, blocking=False)
            self._client = None

    def _failed(self, exception: KafkaException, what: str) -> BostreamError:
        error = error_of(exception)
        text = f"{what}: {error.str()}"
        if error.code() in _TOO_LARGE:
            # the refused batch leaves a gap in the sequence numbers, which would fail the next transaction
            self.is_tainted = True
            return BadRecordError("TOO_LARGE", f"{text}: an effect of the record is larger than Kafka takes")
        if error.code() in _FENCED:
            return FencedError(text)
        if error.fatal() or error.code() in _FORBIDDEN:
            return BrokerError(text)
        if not error.txn_requires_abort():
            self.is_tainted = True
        return TransientError(text)


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
            dict.fromkeys(_theirs(partitions), spec),
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
                raise _transient_or_worse(error, f"offsets of {tp.topic}") from exception
        return offsets

    def _exists(self, topic: str) -> bool:
        try:
            metadata = self._admin.list_topics(timeout=_CALL_TIMEOUT_S).topics.get(topic)
        except KafkaException as exception:
            raise _transient_or_worse(error_of(exception), "metadata") from exception
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


def _ours(partitions: Sequence[TopicPartition]) -> list[Partition]:
    return [Partition(p.topic, p.partition) for p in partitions]


def _theirs(partitions: Sequence[Partition]) -> list[TopicPartition]:
    return [TopicPartition(p.topic, p.number) for p in partitions]
