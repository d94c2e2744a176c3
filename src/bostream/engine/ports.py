"""Everything the engine asks of the outside world, as Protocols: the same loop runs on Kafka and RocksDB and on fakes.

What must stay true: the engine imports no adapter; each Protocol has a contract suite in ``tests/contracts`` that the
fake and the real adapter both pass. All times are µs since the epoch, UTC, unless a name ends in ``_s`` or ``_ms``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from bostream.domain.state import State, Timer

Headers = tuple[tuple[str, bytes | None], ...]


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        """Read as ``topic/number``, as in error messages."""
        return f"{self.topic}/{self.number}"


class Record(NamedTuple):
    """One record read from a topic; ``timestamp`` in µs (Kafka keeps milliseconds)."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def source(self) -> Partition:
        """The partition that it was read from."""
        return Partition(self.topic, self.partition)


class Output(NamedTuple):
    """One record to be produced in the batch's transaction.

    ``partition`` None: by Kafka's default, murmur2 of the key. ``timestamp`` None: the producer's clock.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    timestamp: int | None = None
    headers: Headers = ()


Emit = Callable[[Output], None]
"""How a stage hands out what it wants produced, in order."""

Offsets = Mapping[Partition, int]
"""Per partition the offset of the next record to process (last processed + 1)."""


class LogRange(NamedTuple):
    """The offsets of a partition's log: the first that still exists, and the one after the last (READ_UNCOMMITTED)."""

    start: int
    end: int


# --- stages: what a batch does


class StatelessStage(Protocol):
    """A stage that needs nothing but the record: one input topic of the intake."""

    name: str

    def process(self, record: Record, emit: Emit) -> None:
        """Emit what follows from one record. A bad record emits its dead letter instead of raising."""


class StatefulStage(Protocol):
    """A stage over the state of one partition of one internal log; one instance per owned partition."""

    name: str

    def process(self, record: Record, origin: "Origin", emit: Emit) -> None:
        """Apply one record of the log to the state and emit what follows.

        Raises:
            BadRecordError: the record can never be processed; nothing was changed or emitted.
            InvariantError: a bug; the worker stops.
        """

    def fire(self, timer: Timer, origin: "Origin", emit: Emit) -> None:
        """A timer is due; the engine has deleted it already. ``origin`` is the record that moved log time past it."""

    def finish(self, emit: Emit) -> None:
        """The batch ends: emit what is published once per transaction."""

    def rollback(self) -> None:
        """The batch was dropped: forget what is remembered between ``process`` and ``finish``."""


class Origin:
    """Where effects come from: the log record being processed; numbers its effects for their deterministic ids.

    Attributes:
        record: the internal log's record.
        log_time: running maximum of the log's timestamps up to this record (µs); for a timer, its due time.
        ordinal: number of effects identified so far; timers that the record lets fire count first.
    """

    __slots__ = ("log_time", "ordinal", "record")

    def __init__(self, record: Record, log_time: int) -> None:
        self.record = record
        self.log_time = log_time
        self.ordinal = 0

    def next_ordinal(self) -> int:
        """Return 0, 1, 2 … for the effects of this record."""
        ordinal = self.ordinal
        self.ordinal += 1
        return ordinal


StageFactory = Callable[[State], StatefulStage]
"""Makes the stage of one partition over its tables."""


# --- Kafka


class GroupListener(Protocol):
    """What the group tells its member; called only inside :meth:`GroupConsumer.fetch` and ``close``."""

    def on_assigned(self, partitions: Sequence[Partition]) -> None:
        """Partitions arrived; they are paused. Must return quickly."""

    def on_revoked(self, partitions: Sequence[Partition]) -> None:
        """Partitions leave; nothing of them may be processed any more."""

    def on_lost(self, partitions: Sequence[Partition]) -> None:
        """Partitions have left already: somebody else may own them."""


class GroupConsumer(Protocol):
    """The one consumer of a worker: a group member that reads committed records only."""

    def subscribe(self, topics: Sequence[str], listener: GroupListener) -> None:
        """Join the group for these topics."""

    def fetch(self, records_max: int, timeout_s: float) -> list[Record]:
        """Wait up to ``timeout_s`` for a first record, then take what is there, at most ``records_max``.

        Raises:
            FencedError: another member uses this identity.
            BrokerError: a fatal error of the client.
            ConfigurationError: a topic or an offset that must exist does not.
        """

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Fetch nothing from these owned partitions until resumed."""

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Fetch from these owned partitions again."""

    def seek(self, partition: Partition, offset: int) -> None:
        """Fetch from this offset on next."""

    def committed(self, partitions: Sequence[Partition], timeout_s: float) -> dict[Partition, int | None]:
        """Return the group's committed offsets, stable: TransientError while a dead owner's transaction is pending."""

    def high_watermark(self, partition: Partition) -> int | None:
        """Return the end offset as of the last fetch, or None when unknown; never waits."""

    def group_metadata(self) -> object:
        """Return what :meth:`TransactionalProducer.send_offsets` needs to be fenced by the group."""

    def close(self) -> None:
        """Leave (or, as a static member, stop heartbeating); callbacks for owned partitions run."""


class TransactionalProducer(Protocol):
    """One transactional producer, initialised. Every method may raise these errors, named after the remedy.

    TransientError: abort, then try the batch again (see ``is_tainted``). InDoubtError: unknown whether it committed.
    FencedError: a newer producer of this name exists. BrokerError: fatal.
    """

    @property
    def is_tainted(self) -> bool:
        """A call timed out or was retried: a straggling request may exist, so recycle before the next ``begin``."""

    def begin(self) -> None:
        """Begin a transaction."""

    def produce(self, output: Output, on_delivered: Callable[[int], None] | None = None) -> None:
        """Queue one record; ``on_delivered`` gets its offset during a later ``flush``."""

    def flush(self) -> None:
        """Wait until every queued record is acknowledged; raises TransientError on the first that was refused."""

    def send_offsets(self, offsets: Offsets, group_metadata: object) -> None:
        """Make the group's offsets part of the transaction."""

    def commit(self) -> None:
        """Commit the transaction."""

    def abort(self) -> None:
        """Abort the transaction; purges what is queued."""

    def close(self) -> None:
        """Give up the client without waiting; an open transaction is left to be fenced or to time out."""


ProducerFactory = Callable[[], TransactionalProducer]
"""Makes an initialised producer: fences older ones of the same name and ends their open transaction."""


class LogReader(Protocol):
    """Reads committed records of partitions by offset, outside the group (changelogs)."""

    def open(self, partition: Partition, offset: int) -> None:
        """Begin reading this partition at this offset."""

    def read(self, records_max: int, timeout_s: float) -> list[Record]:
        """Take what is there of all open partitions, in order within each."""

    def position(self, partition: Partition) -> int:
        """Return the offset up to which everything was read, markers and gaps included."""

    def close(self, partition: Partition) -> None:
        """Stop reading this partition."""

    def shut(self) -> None:
        """Give up the client."""


class LogEnds(Protocol):
    """Where logs begin and end, and how far a group is behind."""

    def ranges(self, partitions: Sequence[Partition]) -> dict[Partition, LogRange]:
        """Return first and end offset (READ_UNCOMMITTED) of each partition."""

    def lag(self, topics: Sequence[str]) -> int | None:
        """Return the group's greatest lag over these topics' partitions, as last known; never waits."""


# --- state


class Store(Protocol):
    """One ordered key-value store: the local cache of one partition's changelog."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value or None."""

    def scan(
        self, prefix: bytes, *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield pairs as :meth:`bostream.domain.state.Table.scan` does. Raises CorruptStateError when reading fails."""

    def write(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Apply all changes (None deletes) atomically."""

    def close(self) -> None:
        """Close it; the directory may be opened again."""


class StoreFactory(Protocol):
    """Opens the local stores of a worker."""

    def open(self, partition: Partition) -> Store:
        """Open, or create, the store of a partition. Raises CorruptStateError when it cannot be read."""

    def wipe(self, partition: Partition) -> None:
        """Remove the store of a partition for good; it must be closed."""


# --- the rest


class Clock(Protocol):
    """The only clock. Never reaches a rule."""

    def now(self) -> int:
        """Return µs since the epoch, UTC."""

    def monotonic_s(self) -> float:
        """Return seconds that never go back, for bounds on waiting."""


Failpoint = Callable[[str], None]
"""Called with ``C0`` … ``C7`` as the loop passes each step; the default does nothing."""
