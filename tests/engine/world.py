"""A small world for tests of the loop: a fake cluster, workers with a tiny counting stage, and what must be true of it.

The intake routes each input by its key into the log; the stage counts per key, emits each count, and sets timers. What
must stay true of it whatever happens: every input is in the log once, every output is there once and in order, the
state is what the log says, what the changelog says, and what the local store says, and the commit chain is whole.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from bostream.contract.partitioner import partition_for
from bostream.domain.keys import pack
from bostream.domain.state import TIMERS, State, TableSpec, Timer
from bostream.engine import chain
from bostream.engine.assignment import Assignment
from bostream.engine.collecting import Limits
from bostream.engine.pending import Pending
from bostream.engine.ports import Emit, Origin, Output, Partition, Record
from bostream.engine.restore import Restored, Restorer
from bostream.engine.task import LogSpec, Task
from bostream.engine.timers import timer_key
from bostream.engine.transaction import TransactionLoop
from bostream.errors import BadRecordError, InvariantError
from bostream.testing.cluster import FakeCluster, SimulatedCrash
from bostream.testing.store import MemoryStore, MemoryStoreFactory

INPUTS = ("orders", "scans")
LOG = "app-log"
CHANGELOG = "app-log-changelog"
OUT = "counts"
DEAD = "dead-letters"
SECOND = 1_000_000
STEPS_MAX = 5000


class Count(msgspec.Struct, array_like=True):
    """How often a key was seen, and how often its timer rang."""

    seen: int = 0
    rung: int = 0


COUNTS: TableSpec[Count] = TableSpec("counts", 2, Count)
_encode = msgspec.msgpack.Encoder().encode


class Router:
    """Intake: passes a record on by its key. ``bad`` is refused, ``explode`` is a decoder that fails."""

    def __init__(self, topic: str, partitions: int) -> None:
        self.name = f"intake-{topic}"
        self._partitions = partitions

    def process(self, record: Record, emit: Emit) -> None:
        key = record.key or b""
        if record.value == b"bad":
            raise BadRecordError("BAD", "the test says so")
        if record.value == b"explode":
            raise ValueError("the decoder failed")
        emit(Output(LOG, key, record.value, partition_for(key, self._partitions), record.timestamp, record.headers))


class Counter:
    """The stage over the log. Values tell it what to do; anything else is counted.

    ``poison``: it fails. ``bug``: an invariant breaks. ``huge``: an output that the cluster refuses. ``timer N``:
    counted, and N seconds later its timer rings. ``trap N``: the same, but the timer fails.
    """

    name = "counter"

    def __init__(self, state: State) -> None:
        self._counts = state.table(COUNTS)
        self._timers = state.table(TIMERS)
        self._touched: dict[str, int] = {}

    def process(self, record: Record, origin: Origin, emit: Emit) -> None:
        if record.key is None:
            return  # a tick: only its time counts
        value = (record.value or b"").decode()
        word, _, argument = value.partition(" ")
        if word == "poison":
            raise ValueError("the stage failed")
        if word == "bad":
            raise BadRecordError("BAD", "the test says so")
        if word == "bug":
            raise InvariantError("the test says so")
        if word == "huge":
            emit(Output(OUT, record.key, bytes(2_000_000), 0))
        if word == "timer":
            timer = Timer(origin.log_time + int(argument) * SECOND, "ring", (record.key.decode(),))
            self._timers.put(timer_key(timer), timer)
        if word == "trap":
            timer = Timer(origin.log_time + int(argument) * SECOND, "trap", (record.key.decode(),))
            self._timers.put(timer_key(timer), timer)
        count = self._count(record.key.decode())
        count.seen += 1
        self._put(record.key.decode(), count)
        emit(Output(OUT, record.key, f"seen {count.seen}".encode(), 0))

    def fire(self, timer: Timer, origin: Origin, emit: Emit) -> None:
        if timer.kind == "trap":
            raise ValueError("the timer failed")
        (key,) = timer.subject
        count = self._count(key)
        count.rung += 1
        self._put(key, count)
        emit(Output(OUT, key.encode(), f"rung {count.rung}".encode(), 0))

    def finish(self, emit: Emit) -> None:
        for key, seen in sorted(self._touched.items()):
            emit(Output(OUT, key.encode(), f"position {seen}".encode(), 0))
        self._touched.clear()

    def rollback(self) -> None:
        self._touched.clear()

    def _count(self, key: str) -> Count:
        return self._counts.get(pack(key)) or Count()

    def _put(self, key: str, count: Count) -> None:
        self._counts.put(pack(key), count)
        self._touched[key] = count.seen


def dead_letter(record: Record, error: Exception, stage: str) -> Output:
    headers = (("stage", stage.encode()), ("error", type(error).__name__.encode()))
    return Output(DEAD, record.key, (record.value or b"")[:20], 0, headers=headers)


class Failpoints:
    """Crashes at a numbered step, the n-th time that it is passed."""

    def __init__(self) -> None:
        self.crash_at: str | None = None
        self.passes_left = 0
        self.on_pass: Callable[[str], None] | None = None
        self.passed: list[str] = []

    def __call__(self, point: str) -> None:
        self.passed.append(point)
        if self.on_pass is not None:
            self.on_pass(point)
        if point == self.crash_at:
            if self.passes_left == 0:
                self.crash_at = None
                raise SimulatedCrash(point)
            self.passes_left -= 1


class Disk(MemoryStoreFactory):
    """A disk that lets tests look at what was opened last."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: dict[Partition, MemoryStore] = {}

    def open(self, partition: Partition) -> MemoryStore:
        self.opened[partition] = super().open(partition)
        return self.opened[partition]


class Worker:
    """One life of a worker."""

    def __init__(self, world: "World", name: str, stores: Disk, limits: Limits) -> None:
        cluster = world.cluster
        self.name = name
        self.stores = stores
        self.failpoints = Failpoints()
        self.consumer = cluster.consumer(name)
        self.pending = Pending()
        specs = [LogSpec(LOG, CHANGELOG, Counter)]
        self.restorer = Restorer(cluster.log_reader(name), stores, slice_records_max=10)
        self.assignment = Assignment(
            specs,
            ends=cluster.log_ends(instance=name),
            restorer=self.restorer,
            make_task=self._make_task,
            pending=self.pending,
            committed_timeout_s=1.0,
        )
        self.loop = TransactionLoop(
            consumer=self.consumer,
            make_producer=cluster.producer_factory(name),
            assignment=self.assignment,
            pending=self.pending,
            intake={topic: Router(topic, world.partitions) for topic in INPUTS},
            logs=specs,
            ends=cluster.log_ends(instance=name),
            clock=cluster.clock,
            dead_letter=dead_letter,
            limits=limits,
            failpoint=self.failpoints,
        )
        self.loop.open()

    def _make_task(self, spec: LogSpec, restored: Restored) -> Task:
        return Task(
            spec,
            restored.log,
            store=restored.store,
            link=restored.link,
            position=restored.position,
            owner=self.name,
            clean_objects_max=100,
            dead_letter=dead_letter,
        )

    def step(self) -> bool:
        return self.loop.step()


class World:
    """The cluster, its topics, the disks, and the workers that live."""

    def __init__(
        self, *, partitions: int = 2, limits: Limits | None = None, cluster: FakeCluster | None = None
    ) -> None:
        self.cluster = cluster or FakeCluster()
        self.partitions = partitions
        self.limits = limits or Limits()
        self.workers: dict[str, Worker] = {}
        self.disks: defaultdict[str, Disk] = defaultdict(Disk)
        for topic in INPUTS:
            self.cluster.create_topic(topic, 2)
        for topic in (LOG, CHANGELOG):
            self.cluster.create_topic(topic, partitions)
        self.cluster.create_topic(OUT)
        self.cluster.create_topic(DEAD)

    # --- what happens

    def send(self, key: str, value: str = "x", *, topic: str = "orders", at: int | None = None) -> None:
        self.cluster.append(topic, key.encode(), value.encode(), timestamp=at)

    def start(self, name: str = "one", limits: Limits | None = None) -> Worker:
        worker = Worker(self, name, self.disks[name], limits or self.limits)
        self.workers[name] = worker
        return worker

    def kill(self, name: str = "one") -> None:
        self.cluster.kill(name)
        self.disks[name].crash()
        self.workers.pop(name, None)

    def lose_disk(self, name: str = "one") -> None:
        self.disks[name] = Disk()

    def stop(self, name: str = "one") -> None:
        self.workers.pop(name).loop.close()

    def step(self, name: str = "one") -> bool:
        """One step of a worker; when it crashes, it is dead."""
        try:
            return self.workers[name].step()
        except SimulatedCrash:
            self.kill(name)
            raise

    def settle(self, *names: str) -> None:
        """Let workers take turns until everything is processed."""
        for _ in range(STEPS_MAX):
            for name in names or tuple(self.workers):
                self.step(name)
            if self.is_settled:
                return
        raise AssertionError(f"not settled after {STEPS_MAX} steps")

    @property
    def is_settled(self) -> bool:
        """Every partition runs at one worker, every worker has its part, and everything is processed."""
        parts = [{*w.assignment.inputs, *w.assignment.tasks} for w in self.workers.values()]
        is_divided = sorted(self._sources()) == sorted(partition for part in parts for partition in part)
        return is_divided and all(parts) and not self._unprocessed()

    def _sources(self) -> list[Partition]:
        inputs = [Partition(topic, number) for topic in INPUTS for number in range(2)]
        return inputs + [Partition(LOG, number) for number in range(self.partitions)]

    def _unprocessed(self) -> list[Record]:
        waiting: list[Record] = []
        for source in self._sources():
            committed = self.cluster.committed(source) or 0
            waiting += [r for r in self.cluster.log(source).committed_records() if r.offset >= committed]
        return waiting

    # --- what must be true

    def check(self) -> None:
        """Check everything that must be true once all is settled."""
        self.check_intake()
        self.check_outputs()
        self.check_chain()
        self.check_state()

    def check_intake(self) -> None:
        """Every input is in the log, or among the dead letters, once."""
        inputs = [r for topic in INPUTS for r in self.cluster.read_committed(topic)]
        logged = [r for r in self.cluster.read_committed(LOG) if r.key is not None]
        refused = [r for r in self.cluster.read_committed(DEAD) if dict(r.headers)["stage"] != b"counter"]
        assert _content(inputs) == _content([*logged, *refused])

    def check_outputs(self) -> None:
        """Every effect of the log is published once, in order."""
        published: defaultdict[bytes, list[bytes]] = defaultdict(list)
        seen: dict[bytes, bytes] = {}
        for record in self.cluster.read_committed(OUT):
            key, (word, _, number) = record.key or b"", (record.value or b"").partition(b" ")
            published[key].append(record.value or b"")
            if word == b"seen":
                seen[key] = number
            elif word == b"position":
                assert seen[key] == number, key
        for key, values in self.expected_outputs().items():
            effects = [value for value in published.pop(key) if not value.startswith(b"position")]
            assert values == effects, key
        assert {} == dict(published)

    def expected_outputs(self) -> dict[bytes, list[bytes]]:
        out: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for number in range(self.partitions):
            for key, effect in self._replay(number)[1]:
                out[key].append(effect)
        return dict(out)

    def _replay(self, number: int) -> tuple[dict[str, Count], list[tuple[bytes, bytes]]]:
        """Replay the log by the simplest means; return state and effects."""
        counts: dict[str, Count] = {}
        effects: list[tuple[bytes, bytes]] = []
        timers: set[tuple[int, str]] = set()  # the same timer set twice is one
        log_time = 0
        for record in self.cluster.log(Partition(LOG, number)).committed_records():
            log_time = max(log_time, record.timestamp)
            due = sorted(timer for timer in timers if timer[0] <= log_time)
            timers.difference_update(due)
            for _, key in due:
                counts[key].rung += 1
                effects.append((key.encode(), f"rung {counts[key].rung}".encode()))
            word, _, argument = (record.value or b"").decode(errors="replace").partition(" ")
            if record.key is None or word in ("poison", "bad", "huge"):
                continue
            key = record.key.decode()
            count = counts.setdefault(key, Count())
            count.seen += 1
            effects.append((record.key, f"seen {count.seen}".encode()))
            if word == "timer":
                timers.add((log_time + int(argument) * SECOND, key))
        return counts, effects

    def check_chain(self) -> None:
        """The commit records of each changelog follow each other, and count what they committed."""
        for number in range(self.partitions):
            link: chain.Link | None = None
            seen = 0
            for record in self.cluster.log(Partition(CHANGELOG, number)).committed_records():
                if chain.is_commit_key(record.key or b""):
                    link = chain.follow(link, record.value or b"", records_seen=seen, is_whole=True)
                    seen = 0
                else:
                    seen += 1
            assert 0 == seen
            assert (link.log_offset if link else None) == self.cluster.committed(Partition(LOG, number))

    def check_state(self) -> None:
        """Log, changelog and local store tell of the same state."""
        for number in range(self.partitions):
            counts = {pack(key): _encode(count) for key, count in self._replay(number)[0].items()}
            rows = self.changelog_rows(number)
            assert counts == {key[1:]: value for key, value in rows.items() if key[0] == COUNTS.number}
            for worker in self.workers.values():
                if Partition(LOG, number) in worker.assignment.tasks:
                    assert rows == self.store_rows(worker, number)

    def changelog_rows(self, number: int) -> dict[bytes, bytes]:
        rows: dict[bytes, bytes] = {}
        for record in self.cluster.log(Partition(CHANGELOG, number)).committed_records():
            key = record.key or b""
            if chain.is_commit_key(key):
                continue
            if record.value is None:
                rows.pop(key, None)
            else:
                rows[key] = record.value
        return rows

    def store_rows(self, worker: Worker, number: int) -> dict[bytes, bytes]:
        """Return the rows of a worker's local store, without the engine's own."""
        return {
            key: value for key, value in self.all_store_rows(worker, number).items() if key[:1] != chain.ENGINE_TABLE
        }

    def all_store_rows(self, worker: Worker, number: int) -> dict[bytes, bytes]:
        return worker.stores.opened[Partition(CHANGELOG, number)].rows()

    def outputs(self, key: str) -> list[str]:
        """Return what was published for a key, without positions."""
        values = [(r.value or b"").decode() for r in self.cluster.read_committed(OUT) if r.key == key.encode()]
        return [value for value in values if not value.startswith("position")]

    def dead(self) -> list[tuple[str, str]]:
        """Return (value, error) of each dead letter."""
        letters = self.cluster.read_committed(DEAD)
        return [((r.value or b"").decode(), (dict(r.headers)["error"] or b"").decode()) for r in letters]


def _content(records: Iterable[Record]) -> list[tuple[bytes | None, bytes | None]]:
    return sorted((r.key or b"", (r.value or b"")[:20]) for r in records)
