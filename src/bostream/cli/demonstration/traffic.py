"""The process that makes the traffic: ``python -m bostream.cli.demonstration.traffic``, started by the demo alone.

It stands where upstream systems stand: it writes the input topics with an idempotent producer and hears of nothing but
the committed records of ``allocations``, by which it picks and ships. A process of its own, so that neither the table
nor the observer holds it back.

What must stay true: it ends when its standard input ends, so it never outlives the demo; it is never more than a stated
number of records ahead of the workers, and the time for which that held it back is told.

Standard input: one :class:`Task`, then :class:`Word` lines. Standard output: :class:`Progress` lines. All JSON.
"""

import itertools
import sys
import threading
from collections.abc import Iterator
from typing import Final

import msgspec

from bostream.adapters.clock import SystemClock
from bostream.adapters.kafka.logs import KafkaLogReader
from bostream.adapters.kafka.producing import RecordSender
from bostream.adapters.kafka.reading import TopicReader
from bostream.cli.demonstration.board import EVENT_ID_HEADER
from bostream.contract.codec import RecordReader, RecordWriter, single_object_writer
from bostream.contract.records import AllocationEvent
from bostream.contract.schemas import Schemas, load_schemas
from bostream.contract.topics import public_topic
from bostream.engine.ports import Output
from bostream.errors import BostreamError, BrokerError
from bostream.traffic import dataset
from bostream.traffic.agenda import ASNS, ORDERS, SCANS, Emission, Tally
from bostream.traffic.scenarios import Scenario, StorySettings
from bostream.traffic.stream import (
    DAY_US,
    Traffic,
    TrafficSettings,
    dataset_settings,
    morning_of,
    provenance,
)

AHEAD_MAX: Final = 20_000
"""Records that a paced run may be ahead of the workers."""
AHEAD_FASTEST_MAX: Final = 6_000
"""The same of a run that goes as fast as the workers can: enough to fill their batches, little enough to be fresh."""

_PROGRESS_EVERY_S: Final = 0.25
_PAUSE_S: Final = 0.02
_NOT_WORTH_WAITING_S: Final = 0.004
_SILENCE_MAX_S: Final = 30.0
"""Without word of the workers for this long it goes on nevertheless: a pause must not last for ever."""
_HEARD_MAX: Final = 2_000
_HEAR_WAIT_S: Final = 0.2
_LAUNCH_ORDERS_PER_SECOND: Final = 50
_MORNING_US: Final = 7 * 3_600_000_000


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to make, and where.

    Attributes:
        producer, reader: settings of the clients.
        prefix: what every topic's name begins with.
        rate: records a second that the traffic is made for.
        is_paced: False: as fast as the workers can; ``rate`` is the most then.
        speed_up, duration_s, seed, scenario, run_id: see :class:`TrafficSettings`.
        dataset, lines: replay so many order lines of it (None: all).
    """

    producer: dict[str, str | int | float | bool]
    reader: dict[str, str | int | float | bool]
    prefix: str
    rate: float
    is_paced: bool
    speed_up: float
    duration_s: float | None
    seed: int
    scenario: Scenario
    run_id: str
    dataset: str | None
    lines: int | None


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """From the demo: how many records the workers have before them, or that it is enough."""

    unprocessed: int | None = None
    is_enough: bool = False


class Progress(msgspec.Struct, frozen=True):
    """From this process.

    Attributes:
        phase: loading, ready (waits for the first word), running, done.
        tally: what was made.
        model_us: the traffic's own time (µs); 0 before the first record.
        behind_s: how late the last record was, by the wanted pace.
        held_back_s: time spent waiting for the workers.
        provenance: what is real and what is made.
        error: why it ends too early; empty when all is well.
    """

    phase: str = "loading"
    tally: Tally = msgspec.field(default_factory=Tally)
    model_us: int = 0
    behind_s: float = 0.0
    held_back_s: float = 0.0
    provenance: tuple[str, ...] = ()
    error: str = ""


class Ears:
    """What the demo says, heard in a thread of its own; a closed pipe means that it is enough."""

    def __init__(self, clock: SystemClock) -> None:
        self.enough = threading.Event()
        self.go = threading.Event()
        self._clock = clock
        self._unprocessed = 0
        self._heard_s = clock.monotonic_s()
        self.sent_since = 0

    def listen(self) -> None:
        """Read until the pipe is closed."""
        for line in sys.stdin.buffer:
            word = msgspec.json.decode(line, type=Word)
            if word.unprocessed is not None:
                self._unprocessed, self._heard_s, self.sent_since = word.unprocessed, self._clock.monotonic_s(), 0
            if word.is_enough:
                self.enough.set()
            self.go.set()
        self.enough.set()
        self.go.set()

    def is_too_far_ahead(self, ahead_max: int) -> bool:
        """Tell whether to wait for the workers; what was sent since the last word counts as not processed."""
        if self._unprocessed + self.sent_since <= ahead_max:
            return False
        return self._clock.monotonic_s() - self._heard_s < _SILENCE_MAX_S


class Fulfilment(threading.Thread):
    """Hears of committed allocations and tells the traffic, which picks and ships them."""

    def __init__(self, task: Task, traffic: Traffic, schemas: Schemas) -> None:
        super().__init__(name="fulfilment", daemon=True)
        self.error: BostreamError | None = None
        self._task = task
        self._traffic = traffic
        self._reader = RecordReader("allocations", schemas)
        self._is_over = threading.Event()

    def run(self) -> None:
        """Read until told to end."""
        topic = public_topic("allocations", self._task.prefix)
        try:
            partitions = TopicReader(self._task.reader).partitions([topic])
            reader = KafkaLogReader(self._task.reader)
            try:
                for partition in partitions:
                    reader.open(partition, 0)
                while not self._is_over.is_set():
                    for record in reader.read(_HEARD_MAX, _HEAR_WAIT_S):
                        event = self._reader.read(record.value)
                        if isinstance(event, AllocationEvent):
                            self._traffic.fulfilment.on_allocation(event)
            finally:
                reader.shut()
        except BostreamError as error:
            self.error = error

    def end(self) -> None:
        """Stop reading."""
        self._is_over.set()
        self.join(_SILENCE_MAX_S)


class Maker:
    """Paces, encodes and produces.

    Args:
        task: what to make.
        ears: what the demo says.
        clock: of this machine.
    """

    def __init__(self, task: Task, ears: Ears, clock: SystemClock) -> None:
        self._task = task
        self._ears = ears
        self._clock = clock
        self._schemas = load_schemas()
        self._writers = {topic: single_object_writer(topic, self._schemas) for topic in (ORDERS, SCANS, ASNS)}
        self._topics = {topic: public_topic(topic, task.prefix) for topic in self._writers}
        self._dataset_tally: dataset.Tally | None = None
        self._behind_s = self._held_back_s = self._told_s = 0.0
        self._model_us = 0

    def run(self) -> None:
        """Make everything, or what was made until it is enough; returns when the brokers have all of it."""
        traffic = self._traffic()
        fulfilment = Fulfilment(self._task, traffic, self._schemas)
        sender = RecordSender({"linger.ms": 5, **self._task.producer})
        tell(Progress("ready"))
        self._ears.go.wait()
        fulfilment.start()
        try:
            for emission in self._paced(traffic):
                self._send(sender, emission)
                if fulfilment.error is not None:
                    raise BrokerError(f"allocations cannot be heard of any more: {fulfilment.error}")
            sender.flush()
        finally:
            fulfilment.end()
            sender.close()
        tell(self._progress("done", traffic))

    def _traffic(self) -> Traffic:
        task = self._task
        if task.dataset is not None:
            table = dataset.load()
            self._dataset_tally = dataset.Tally()
            baskets = dataset.baskets(table.rows, table.fuel, self._dataset_tally, lines_max=task.lines)
            first = next(baskets)
            settings = dataset_settings(start_us=first.at, speed_up=task.speed_up, seed=task.seed, run_id=task.run_id)
            return Traffic(msgspec.structs.replace(settings, scenario=task.scenario), itertools.chain([first], baskets))
        length_us = int((task.duration_s or 0) * task.speed_up * 1e6) or DAY_US
        # The model's day ends about now: its times never lie far ahead of the clock.
        start_us = morning_of(self._clock.now() - length_us - _MORNING_US)
        return Traffic(
            TrafficSettings(
                start_us=start_us,
                seed=task.seed,
                rate=task.rate,
                speed_up=task.speed_up,
                duration_s=task.duration_s if task.is_paced else None,
                scenario=task.scenario,
                run_id=task.run_id,
                rhythm=False,
                story=_story(task.duration_s),
            )
        )

    def _paced(self, traffic: Traffic) -> Iterator[Emission]:
        ears, clock = self._ears, self._clock
        ahead_max = AHEAD_MAX if self._task.is_paced else AHEAD_FASTEST_MAX
        started_s = clock.monotonic_s()
        for emission in traffic:
            while not ears.enough.is_set():
                self._tell_now_and_then(traffic)
                now_s = clock.monotonic_s()
                due_s = started_s + traffic.seconds_from_start(emission.at_us)
                if ears.is_too_far_ahead(ahead_max):
                    ears.enough.wait(_PAUSE_S)
                    paused_s = clock.monotonic_s() - now_s
                    self._held_back_s += paused_s
                    # Without a wanted pace nothing is late: time stands still, so that picks keep their distance.
                    started_s += 0.0 if self._task.is_paced else paused_s
                elif due_s - now_s > _NOT_WORTH_WAITING_S:
                    ears.enough.wait(min(due_s - now_s, _PROGRESS_EVERY_S))
                else:
                    break
            if ears.enough.is_set():
                return
            late_s = clock.monotonic_s() - started_s - traffic.seconds_from_start(emission.at_us)
            self._behind_s = max(0.0, late_s) if self._task.is_paced else 0.0
            self._model_us = emission.at_us
            yield emission

    def _send(self, sender: RecordSender, emission: Emission) -> None:
        writer: RecordWriter = self._writers[emission.topic]
        headers: tuple[tuple[str, bytes], ...] = ()
        value = emission.record
        if not isinstance(value, bytes):
            headers = (("content-type", writer.content_type.encode()), (EVENT_ID_HEADER, value.event_id.encode()))
            value = writer.write(value)
        sender.send(Output(self._topics[emission.topic], emission.key.encode(), value, headers=headers))
        self._ears.sent_since += 1

    def _tell_now_and_then(self, traffic: Traffic) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._told_s >= _PROGRESS_EVERY_S:
            self._told_s = now_s
            tell(self._progress("running", traffic))

    def _progress(self, phase: str, traffic: Traffic) -> Progress:
        return Progress(
            phase=phase,
            tally=traffic.tally,
            model_us=self._model_us,
            behind_s=self._behind_s,
            held_back_s=self._held_back_s,
            provenance=provenance(traffic.settings, self._dataset_tally),
        )


def _story(duration_s: float | None) -> StorySettings:
    """Return the sizes of the stories: in a run of seconds the rush is smaller, else it would be all that happens."""
    usual = StorySettings()
    if duration_s is None:
        return usual
    orders = min(usual.launch_orders, round(duration_s * _LAUNCH_ORDERS_PER_SECOND))
    return msgspec.structs.replace(usual, launch_orders=max(1, orders))


def tell(progress: Progress) -> None:
    """Write one line to the demo."""
    sys.stdout.buffer.write(msgspec.json.encode(progress) + b"\n")
    sys.stdout.buffer.flush()


def main() -> int:
    """Make the traffic that the first line of standard input asks for."""
    clock = SystemClock()
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    ears = Ears(clock)
    threading.Thread(target=ears.listen, name="ears", daemon=True).start()
    try:
        Maker(task, ears, clock).run()
    except BostreamError as error:
        tell(Progress("done", error=str(error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
