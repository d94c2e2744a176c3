"""A whole Kafka cluster in memory, as far as the engine can tell: deterministic, without threads, on a virtual clock.

What must stay true: every call of a port passes :meth:`FakeCluster.enter`, where time-outs of sessions and transactions
are noticed and the test's hook runs; so a test can let anything happen at any call.
"""

from collections.abc import Sequence
from random import Random

from bostream.contract.partitioner import partition_for
from bostream.engine.ports import Headers, Partition, ProducerFactory, Record
from bostream.errors import ConfigurationError, FencedError
from bostream.testing.cluster.clock import VirtualClock
from bostream.testing.cluster.consumer import FakeGroupConsumer
from bostream.testing.cluster.faults import BeforeCall, Call, Fault, Process
from bostream.testing.cluster.group import Group
from bostream.testing.cluster.log import Fate, PartitionLog
from bostream.testing.cluster.producer import FakeTransactionalProducer
from bostream.testing.cluster.readers import FakeLogEnds, FakeLogReader
from bostream.testing.cluster.transactions import TransactionCoordinator

_TEST = Process("test")


class FakeCluster:
    """The cluster, and the maker of every port object that talks to it.

    Args:
        session_timeout_s: after that long without a heartbeat a member is removed from its group.
        transaction_timeout_s: after that long an open transaction is aborted by the broker.
        max_poll_interval_s: a member that fetches less often stops to be one.
        message_bytes_max: greatest size of a record.
        random: decides in which order and how many records a fetch brings; None: all there is, by turns.
    """

    def __init__(
        self,
        *,
        session_timeout_s: float = 6.0,
        transaction_timeout_s: float = 6.0,
        max_poll_interval_s: float = 60.0,
        message_bytes_max: int = 1_000_000,
        random: Random | None = None,
    ) -> None:
        self.clock = VirtualClock()
        self.session_timeout_s = session_timeout_s
        self.transaction_timeout_s = transaction_timeout_s
        self.max_poll_interval_s = max_poll_interval_s
        self.message_bytes_max = message_bytes_max
        self.before_call: BeforeCall | None = None
        self._random = random
        self._turn = 0
        self._logs: dict[Partition, PartitionLog] = {}
        self._counts: dict[str, int] = {}
        self._groups: dict[str, Group] = {}
        self._processes: dict[str, Process] = {}
        self._consumers: list[tuple[Group, FakeGroupConsumer]] = []
        self._late: list[tuple[str, int, Fate]] = []
        self.transactions = TransactionCoordinator(self._logs, self.clock)

    # --- port objects

    def consumer(self, instance: str, *, group: str = "app", is_static: bool = True) -> FakeGroupConsumer:
        """Make the consumer of a worker; ``instance`` names its process and, when static, its membership."""
        consumer = FakeGroupConsumer(self, self._process(instance), self._group(group), is_static=is_static)
        self._consumers.append((self._group(group), consumer))
        return consumer

    def producer_factory(self, transactional_id: str) -> ProducerFactory:
        """Return what makes initialised producers of this id, which also names their process."""
        process = self._process(transactional_id)
        return lambda: FakeTransactionalProducer(self, process, transactional_id)

    def log_reader(self, instance: str = _TEST.name) -> FakeLogReader:
        """Make a reader."""
        return FakeLogReader(self, self._process(instance))

    def log_ends(self, group: str = "app", instance: str = _TEST.name) -> FakeLogEnds:
        """Make what tells the ends of logs and the lag of a group."""
        return FakeLogEnds(self, self._process(instance), self._group(group))

    # --- topics

    def create_topic(self, topic: str, partitions: int = 1) -> None:
        """Create an empty topic; groups that wait for it get its partitions."""
        if topic in self._counts:
            raise ValueError(f"{topic} exists")
        self._counts[topic] = partitions
        for number in range(partitions):
            self._logs[Partition(topic, number)] = PartitionLog(Partition(topic, number))
        self._rebalance(topic)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with all its records, and the offsets that groups committed for it."""
        for number in range(self._counts.pop(topic)):
            del self._logs[Partition(topic, number)]
            for group in self._groups.values():
                group.offsets.pop(Partition(topic, number), None)
        self._rebalance(topic)

    def _rebalance(self, topic: str) -> None:
        for group in self._groups.values():
            if any(topic in member.topics for member in group.members.values()):
                group.rebalance()

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int | None = None,
        timestamp: int | None = None,
        headers: Headers = (),
    ) -> int:
        """Append a record as a producer without transactions does; return its offset."""
        number = partition
        if number is None:
            number = 0 if key is None else partition_for(key, self._counts[topic])
        moment = self.clock.now() if timestamp is None else timestamp
        return self.log(Partition(topic, number)).append(key, value, moment, headers)

    def read_committed(self, topic: str) -> list[Record]:
        """Return everything that a reader of committed records sees, partition by partition."""
        partitions = [Partition(topic, number) for number in range(self._counts[topic])]
        return [record for partition in partitions for record in self.log(partition).committed_records()]

    def committed(self, partition: Partition, group: str = "app") -> int | None:
        """Return the group's committed offset, whether others are pending or not."""
        return self._group(group).offsets.get(partition)

    def log(self, partition: Partition) -> PartitionLog:
        """Return a partition's log. Raises ConfigurationError when there is none."""
        if partition not in self._logs:
            raise ConfigurationError(f"{partition} does not exist")
        return self._logs[partition]

    def has_topic(self, topic: str) -> bool:
        """Tell whether the topic exists."""
        return topic in self._counts

    def has_partition(self, partition: Partition) -> bool:
        """Tell whether the partition exists."""
        return partition in self._logs

    def partitions_of(self, topic: str) -> int:
        """Return how many partitions the topic has, 0 when it does not exist."""
        return self._counts.get(topic, 0)

    def reset_offset(self, partition: Partition, offset: int | None, group: str = "app") -> None:
        """Set or remove a group's committed offset, as the command-line tool does."""
        if offset is None:
            self._group(group).offsets.pop(partition, None)
        else:
            self._group(group).offsets[partition] = offset

    # --- processes

    def kill(self, instance: str) -> None:
        """End a process at once: nothing is closed; its clients must never be called again."""
        self._expire()
        self._process(instance).is_alive = False
        self._processes.pop(instance, None)

    def freeze(self, instance: str) -> None:
        """Stop a process, as SIGSTOP does: it no longer heartbeats."""
        self._expire()
        self._process(instance).is_frozen = True

    def thaw(self, instance: str) -> None:
        """Let a frozen process go on, with whatever was decided about it in between."""
        self._expire()
        self._process(instance).is_frozen = False

    def send_late(self, transactional_id: str, epoch: int, fate: Fate) -> None:
        """Keep the end of a transaction under way until :meth:`deliver_late`."""
        self._late.append((transactional_id, epoch, fate))

    def deliver_late(self) -> None:
        """Let requests arrive that their producers gave up on; those of an older epoch are refused."""
        late, self._late = self._late, []
        for transactional_id, epoch, fate in late:
            try:
                self.transactions.end(transactional_id, epoch, fate)
            except FencedError:
                continue

    # --- what the port objects ask

    def enter(self, process: Process, name: str) -> Fault | None:
        """Begin a call of a port: what has timed out is seen, then the hook decides."""
        if not process.is_alive:
            raise RuntimeError(f"{process.name} was killed and calls {name}")
        self._expire()
        return None if self.before_call is None else self.before_call(Call(process.name, name))

    def in_some_order(self, partitions: Sequence[Partition]) -> list[Partition]:
        """Return the partitions in the order in which a fetch looks at them."""
        ordered = list(partitions)
        if self._random is not None:
            self._random.shuffle(ordered)
            return ordered
        self._turn += 1  # a busy partition must not keep the others from being fetched
        first = self._turn % max(1, len(ordered))
        return ordered[first:] + ordered[:first]

    def some_of(self, records_max: int) -> int:
        """Return how many of at most ``records_max`` records a fetch brings from one partition."""
        if self._random is None or records_max <= 0:
            return records_max
        return self._random.choice((0, 1, min(3, records_max), records_max, records_max))

    # --- time-outs

    def _expire(self) -> None:
        self.transactions.expire()
        now_s = self.clock.monotonic_s()
        for group, consumer in self._consumers:
            member = group.members.get(consumer.member_id or "")
            if member is None:
                continue
            heartbeat_s = consumer.heartbeat_s
            if heartbeat_s is not None:
                member.last_seen_s = max(member.last_seen_s, heartbeat_s)
            if consumer.is_past_max_poll or now_s - member.last_seen_s > self.session_timeout_s:
                group.remove(member.member_id)

    def _process(self, name: str) -> Process:
        return self._processes.setdefault(name, Process(name))

    def _group(self, name: str) -> Group:
        return self._groups.setdefault(name, Group(name, self._logs))
