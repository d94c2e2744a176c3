"""Seeded runs: workers that crash, freeze, time out and lose their disks at any call of any port.

What must stay true: everything that happens follows from the seed alone, so a failing seed can be run again.
"""

from random import Random

from bostream.engine.collecting import Limits
from bostream.engine.ports import Partition
from bostream.errors import BrokerError, FencedError, InDoubtError, TransientError
from bostream.testing.cluster import Call, FakeCluster, Fault, SimulatedCrash
from tests.engine.world import CHANGELOG, INPUTS, World

NAMES = ("one", "two")
KEYS = tuple("abcdefgh")
VALUES = ("x",) * 12 + ("timer 1", "timer 5", "timer 30", "poison", "bad", "huge", "explode")
LIMITS = Limits(batch_records_max=12, pending_records_max=20, intake_lag_max=60)
FAULTY = frozenset(
    {
        "producer.init",
        "producer.begin",
        "producer.produce",
        "producer.flush",
        "producer.send_offsets",
        "producer.commit",
        "producer.abort",
        "consumer.committed",
        "consumer.fetch",
        "reader.read",
        "ends.ranges",
        "ends.lag",
    }
)


class Simulation:
    """One run.

    Args:
        seed: all there is to know about it.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(partitions=3, limits=LIMITS, cluster=FakeCluster(random=Random(seed + 1)))
        self.world.cluster.transaction_timeout_s = self.random.choice((3.0, 6.0, 20.0))
        self.crash_rate = self.random.choice((0.0, 0.001, 0.004))
        self.fault_rate = self.random.choice((0.0, 0.005, 0.02))
        self.interrupt_rate = self.random.choice((0.0, 0.002, 0.01))
        self.has_compaction = self.random.random() < 0.4
        self.is_nested = False
        self.crashes = 0
        self.faults = 0

    def run(self, steps: int) -> None:
        """Run, come to rest, check; then restore everything from the log alone, and check again."""
        self.world.cluster.before_call = self.before_call
        for _ in range(steps):
            self.act()
        self.rest()
        self.check()
        for name in NAMES:
            self.world.kill(name)
            self.world.lose_disk(name)
        self.start_missing()
        self.world.settle()
        self.check()

    def rest(self) -> None:
        """Let nothing go wrong any more, and wait for the end."""
        self.world.cluster.before_call = None
        self.world.cluster.deliver_late()
        self.start_missing()
        for key in KEYS:
            self.world.send(key)
        for _ in range(3):  # one that was fenced before ends with its next transaction
            for _ in range(40):
                for name in NAMES:
                    if name in self.world.workers:
                        self.step(name)
            self.start_missing()
        self.world.settle()

    def check(self) -> None:
        world = self.world
        world.check_intake()
        world.check_outputs()
        world.check_state()
        if not self.has_compaction:
            world.check_chain()

    # --- what may happen between steps

    def act(self) -> None:
        random = self.random
        running = [name for name in NAMES if name in self.world.workers]
        if random.random() < 0.15:
            for _ in range(random.randint(1, 6)):
                self.world.send(random.choice(KEYS), random.choice(VALUES), topic=random.choice(INPUTS))
        if random.random() < 0.03:
            self.world.cluster.clock.advance(random.choice((0.5, 3.0, 8.0)))
        if random.random() < 0.03:
            self.world.cluster.deliver_late()
        if self.has_compaction and random.random() < 0.02:
            number = random.randrange(self.world.partitions)
            # a restore takes no longer than delete.retention.ms
            is_restoring = any(worker.restorer.is_busy for worker in self.world.workers.values())
            drop_tombstones = random.random() < 0.5 and not is_restoring
            self.world.cluster.log(Partition(CHANGELOG, number)).compact(drop_tombstones=drop_tombstones)
        missing = [name for name in NAMES if name not in running]
        if missing and random.random() < 0.1:
            self.start(random.choice(missing))
        if running and random.random() < 0.004:
            self.die(random.choice(running))
        elif running and random.random() < 0.004:
            self.close(random.choice(running))
        elif running:
            self.step(random.choice(running))

    def start_missing(self) -> None:
        for name in NAMES:
            if name not in self.world.workers:
                self.start(name)

    def start(self, name: str) -> None:
        if self.random.random() < 0.2:
            self.world.lose_disk(name)
        try:
            self.world.start(name)
        except (SimulatedCrash, TransientError):
            self.die(name)

    def step(self, name: str) -> None:
        try:
            self.world.step(name)
        except SimulatedCrash:
            self.crashes += 1
        except (InDoubtError, FencedError, BrokerError):
            self.close(name)

    def die(self, name: str) -> None:
        self.world.kill(name)
        self.crashes += 1

    def close(self, name: str) -> None:
        """End as the host does: the loop is closed, whatever comes of it, and the process is over."""
        try:
            self.world.workers[name].loop.close()
        except (SimulatedCrash, FencedError):
            self.crashes += 1
        self.world.kill(name)

    # --- what may happen at a call

    def before_call(self, call: Call) -> Fault | None:
        random = self.random
        if self.is_nested:
            return None
        if random.random() < self.crash_rate:
            raise SimulatedCrash(call.name)
        if random.random() < self.interrupt_rate:
            self.interrupt(call.process)
        if call.name in FAULTY and random.random() < self.fault_rate:
            self.faults += 1
            if call.name in ("producer.flush", "producer.send_offsets") and random.random() < 0.3:
                raise TransientError("the seed says so")
            return random.choice(tuple(Fault))
        return None

    def interrupt(self, name: str) -> None:
        """Another worker acts in the middle of this one's call; perhaps this one sleeps for a while."""
        others = [other for other in NAMES if other != name and other in self.world.workers]
        if not others:
            return
        self.is_nested = True
        is_frozen = self.random.random() < 0.3
        if is_frozen:
            self.world.cluster.freeze(name)
            self.world.cluster.clock.advance(self.random.choice((1.0, 4.0, 7.0, 25.0)))
        for _ in range(self.random.randint(1, 30)):
            if others[0] in self.world.workers:
                self.step(others[0])
        if is_frozen:
            self.world.cluster.thaw(name)
        self.is_nested = False
