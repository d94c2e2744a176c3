"""The two clusters on which the suites of the Kafka ports run: the fake one, and a real one behind the adapter.

What must stay true: a suite asks for nothing that only one of them can do, and waits by asking again.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bostream.adapters.kafka.group import KafkaGroupConsumer
from bostream.adapters.kafka.logs import KafkaLogEnds, KafkaLogReader
from bostream.adapters.kafka.transactions import KafkaTransactionalProducer
from bostream.embedded import Broker
from bostream.engine.ports import (
    GroupConsumer,
    LogEnds,
    LogReader,
    Output,
    Partition,
    ProducerFactory,
    Record,
    TransactionalProducer,
)
from bostream.testing.cluster import FakeCluster

_SILENT = logging.getLogger("tests.clients")
_SILENT.setLevel(logging.CRITICAL)
_PATIENCE_S = 40.0
_TRIES = 2000
_TIMEOUT_S = 30.0
WAIT_S = 0.1
"""How long one fetch or read of a suite waits."""


class Cluster(Protocol):
    """What a suite needs: topics with names of their own for each test, the port objects, and patience."""

    def create_topic(self, topic: str, partitions: int = 1, *, message_bytes_max: int | None = None) -> None:
        """Create a topic."""

    def append(self, topic: str, *values: bytes, partition: int = 0) -> None:
        """Append records without a transaction."""

    def delete_before(self, partition: Partition, offset: int) -> None:
        """Move the start of a log."""

    def values(self, topic: str, partition: int = 0) -> list[bytes | None]:
        """Return the values of all committed records of a partition."""

    def consumer(self, instance: str, *, is_static: bool = False, max_poll_s: float | None = None) -> GroupConsumer:
        """Make a consumer of the test's group."""

    def producers(self, transactional_id: str, *, timeout_s: float | None = None) -> ProducerFactory:
        """Return a factory of producers."""

    def reader(self) -> LogReader:
        """Make a log reader."""

    def ends(self) -> LogEnds:
        """Make what tells the ends of logs."""

    def tries(self) -> Iterator[None]:
        """Yield until patience ends, then fail."""

    def let_session_end(self) -> None:
        """Let so much time pass without any call that the session of a member which is gone ends."""


class FakeSide:
    """The fake cluster."""

    def __init__(self) -> None:
        self.cluster = FakeCluster(session_timeout_s=2.0, max_poll_interval_s=1e9)

    def create_topic(self, topic: str, partitions: int = 1, *, message_bytes_max: int | None = None) -> None:
        if message_bytes_max is not None:
            self.cluster.message_bytes_max = message_bytes_max
        self.cluster.create_topic(topic, partitions)

    def append(self, topic: str, *values: bytes, partition: int = 0) -> None:
        for value in values:
            self.cluster.append(topic, None, value, partition=partition)

    def delete_before(self, partition: Partition, offset: int) -> None:
        self.cluster.log(partition).delete_before(offset)

    def values(self, topic: str, partition: int = 0) -> list[bytes | None]:
        return [r.value for r in self.cluster.log(Partition(topic, partition)).committed_records()]

    def consumer(self, instance: str, *, is_static: bool = False, max_poll_s: float | None = None) -> GroupConsumer:
        if max_poll_s is not None:
            self.cluster.max_poll_interval_s = max_poll_s
        return self.cluster.consumer(instance, is_static=is_static)

    def producers(self, transactional_id: str, *, timeout_s: float | None = None) -> ProducerFactory:
        if timeout_s is not None:
            self.cluster.transaction_timeout_s = timeout_s
        return self.cluster.producer_factory(transactional_id)

    def reader(self) -> LogReader:
        return self.cluster.log_reader()

    def ends(self) -> LogEnds:
        return self.cluster.log_ends()

    def tries(self) -> Iterator[None]:
        for _ in range(_TRIES):
            yield
        pytest.fail("it never happened")

    def let_session_end(self) -> None:
        self.cluster.clock.advance(self.cluster.session_timeout_s + 1)


class RealSide:
    """A real cluster; everything that was opened is closed at the end of the test."""

    def __init__(self, broker: Broker, test: str) -> None:
        self._servers: dict[str, str | int | float | bool] = {"bootstrap.servers": broker.bootstrap_servers}
        self._group = test
        # only an embedded broker allows sessions shorter than the default minimum
        self.session_s = 1.5 if broker.kind == "embedded" else 6.0
        self._admin = AdminClient(self._servers, logger=_SILENT)
        self._close: list[Callable[[], None]] = []
        self._topics: dict[str, int] = {}

    def create_topic(self, topic: str, partitions: int = 1, *, message_bytes_max: int | None = None) -> None:
        config = {} if message_bytes_max is None else {"max.message.bytes": str(message_bytes_max)}
        new = NewTopic(topic, partitions, config=config)
        self._admin.create_topics([new], operation_timeout=_TIMEOUT_S)[topic].result(_TIMEOUT_S)
        self._topics[topic] = partitions

    def append(self, topic: str, *values: bytes, partition: int = 0) -> None:
        producer = Producer(self._servers, logger=_SILENT)
        for value in values:
            producer.produce(topic, value, partition=partition)
        assert 0 == producer.flush(_TIMEOUT_S)

    def delete_before(self, partition: Partition, offset: int) -> None:
        where = TopicPartition(partition.topic, partition.number, offset)
        for future in self._admin.delete_records([where]).values():
            future.result(_TIMEOUT_S)

    def values(self, topic: str, partition: int = 0) -> list[bytes | None]:
        settings: dict[str, str | int | float | bool] = {
            **self._servers,
            "group.id": f"{self._group}-look",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
        consumer = Consumer(settings, logger=_SILENT)
        values: list[bytes | None] = []
        try:
            consumer.assign([TopicPartition(topic, partition, 0)])
            for _ in self.tries():
                message = consumer.poll(WAIT_S)
                if message is None:
                    continue
                if message.error() is not None:
                    return values
                values.append(message.value())
        finally:
            consumer.close()
        return values

    def consumer(self, instance: str, *, is_static: bool = False, max_poll_s: float | None = None) -> GroupConsumer:
        session_ms = round(self.session_s * 1000)
        settings: dict[str, str | int | float | bool] = {
            **self._servers,
            "group.id": self._group,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": 200,
            "max.poll.interval.ms": 60_000 if max_poll_s is None else max(round(max_poll_s * 1000), session_ms),
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 10,
        }
        if is_static:
            settings["group.instance.id"] = f"{self._group}-{instance}"
        consumer = KafkaGroupConsumer(settings)
        self._close.append(consumer.close)
        return consumer

    def producers(self, transactional_id: str, *, timeout_s: float | None = None) -> ProducerFactory:
        settings: dict[str, str | int | float | bool] = {
            **self._servers,
            "transactional.id": f"{self._group}-{transactional_id}",
            "transaction.timeout.ms": 6000 if timeout_s is None else round(timeout_s * 1000),
            "linger.ms": 0,
            "retry.backoff.ms": 2,
            "retry.backoff.max.ms": 50,
        }

        def make() -> TransactionalProducer:
            producer = KafkaTransactionalProducer(settings)
            self._close.append(producer.close)
            return producer

        return make

    def reader(self) -> LogReader:
        reader = KafkaLogReader(
            {
                **self._servers,
                "group.id": f"{self._group}-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 10,
            }
        )
        self._close.append(reader.shut)
        return reader

    def ends(self) -> LogEnds:
        partitions = max(self._topics.values(), default=1)
        return KafkaLogEnds(
            self._admin, group=self._group, partitions_per_log=partitions, clock=_RealClock(), refresh_s=0.05
        )

    def tries(self) -> Iterator[None]:
        deadline_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline_s:
            yield
        pytest.fail(f"it did not happen within {_PATIENCE_S:.0f} s")

    def let_session_end(self) -> None:
        # the one thing that cannot be asked for: that a broker notices silence
        time.sleep(self.session_s + 1.0)

    def close(self) -> None:
        for close in reversed(self._close):
            close()


class _RealClock:
    def now(self) -> int:
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return time.monotonic()


class Listener:
    """Writes down what the group says, and what the member owns because of it."""

    def __init__(self) -> None:
        self.owned: set[Partition] = set()
        self.events: list[tuple[str, tuple[Partition, ...]]] = []
        self.is_open = False
        self.called_outside: list[str] = []

    def on_assigned(self, partitions: Sequence[Partition]) -> None:
        self._note("assigned", partitions)
        self.owned.update(partitions)

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        self._note("revoked", partitions)
        self.owned.difference_update(partitions)

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        self._note("lost", partitions)
        self.owned.difference_update(partitions)

    def _note(self, what: str, partitions: Sequence[Partition]) -> None:
        if not self.is_open:
            self.called_outside.append(what)
        self.events.append((what, tuple(sorted(partitions))))


class Member:
    """A consumer with its listener, as a worker uses it."""

    def __init__(self, cluster: Cluster, consumer: GroupConsumer, *topics: str) -> None:
        self.cluster = cluster
        self.consumer = consumer
        self.listener = Listener()
        consumer.subscribe(topics, self.listener)

    @property
    def owned(self) -> set[Partition]:
        return self.listener.owned

    def fetch(self, records_max: int = 1000) -> list[Record]:
        self.listener.is_open = True
        try:
            return self.consumer.fetch(records_max, WAIT_S)
        finally:
            self.listener.is_open = False

    def join(self, partitions: int) -> "Member":
        """Fetch until so many partitions are owned."""
        for _ in self.cluster.tries():
            if len(self.owned) == partitions:
                break
            self.fetch()
        return self

    def start(self, offset: int = 0) -> "Member":
        """Seek every owned partition and resume it."""
        for partition in sorted(self.owned):
            self.consumer.seek(partition, offset)
        self.consumer.resume(sorted(self.owned))
        return self

    def take(self, count: int) -> list[Record]:
        """Fetch until so many records have come."""
        records: list[Record] = []
        for _ in self.cluster.tries():
            if len(records) >= count:
                break
            records += self.fetch(count - len(records))
        return records

    def close(self) -> None:
        self.listener.is_open = True
        self.consumer.close()
        self.listener.is_open = False


def write(producer: TransactionalProducer, topic: str, *values: bytes, partition: int = 0) -> None:
    """Produce values within the open transaction."""
    for value in values:
        producer.produce(Output(topic, None, value, partition))


def settle(cluster: Cluster, *members: Member, until: Callable[[], bool]) -> None:
    """Let members fetch in turn until something is true."""
    for _ in cluster.tries():
        if until():
            return
        for member in members:
            member.fetch()
