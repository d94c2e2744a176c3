"""The worker's one transactional producer."""

import logging
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from bostream.adapters.kafka.errors import FENCED, FORBIDDEN, TOO_LARGE, error_of, transient_or_worse
from bostream.adapters.kafka.records import Settings
from bostream.engine.ports import Offsets, Output
from bostream.errors import BadRecordError, BostreamError, BrokerError, FencedError, InDoubtError, TransientError

logger = logging.getLogger(__name__)

_CALL_TIMEOUT_S = 10.0
_INIT_TIMEOUT_S = 30.0
_COMMIT_TRIES = 3
_REPORTED_FROM_BYTES = 10_000
"""Records of this size have their delivery reported: a topic may take less than the client does."""


class KafkaTransactionalProducer:
    """A :class:`bostream.engine.ports.TransactionalProducer` on librdkafka."""

    def __init__(self, settings: Settings) -> None:
        self.is_tainted = False
        self._delivery_error: KafkaError | None = None
        self._client: Producer | None = Producer({**settings, "logger": logger})
        try:
            self._producer.init_transactions(_INIT_TIMEOUT_S)
        except KafkaException as exception:
            raise transient_or_worse(error_of(exception), "init_transactions") from exception

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
            elif self._delivery_error is None or error.code() in TOO_LARGE:
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
        if error.code() in TOO_LARGE:
            # the refused batch leaves a gap in the sequence numbers, which would fail the next transaction
            self.is_tainted = True
            return BadRecordError("TOO_LARGE", f"{text}: an effect of the record is larger than Kafka takes")
        if error.code() in FENCED:
            return FencedError(text)
        if error.fatal() or error.code() in FORBIDDEN:
            return BrokerError(text)
        if not error.txn_requires_abort():
            self.is_tainted = True
        return TransientError(text)
