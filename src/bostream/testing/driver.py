"""The three stages without a broker: records in, records out, in memory and on one thread.

What must stay true: what the stages see is what the engine shows them (log time, timers before the record that passes
them, batches, dead letters), so that what comes out here comes out of a worker; offsets count up from 0 without gaps.
Use it to try out how bostream treats your orders, stock and policies::

    driver = PipelineDriver()
    driver.send(OrderEvent(...), timestamp=...)
    driver.send(InventoryScan(...), timestamp=...)
    driver.published("allocations")
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

import msgspec

from bostream.contract import limits
from bostream.contract.codec import InputReader, RecordReader, RecordWriter, single_object_writer
from bostream.contract.deadletter import dead_letter, dead_letter_topic
from bostream.contract.partitioner import partition_for
from bostream.contract.records import INPUT_RECORDS, OUTPUT_RECORDS, InputRecord, OutputRecord
from bostream.contract.schemas import Schemas, load_schemas
from bostream.domain.documents.desk import DeskRules
from bostream.domain.documents.state import ORDERS, OrderDocument
from bostream.domain.keys import pack
from bostream.domain.sku.book import Book, Rules
from bostream.domain.sku.events import Ticked
from bostream.domain.state import TIMERS, Table, TableSpec
from bostream.engine.ports import Headers, Origin, Output, Partition, Record, StageFactory
from bostream.engine.timers import TimerQueue
from bostream.errors import BadRecordError, ConfigurationError
from bostream.stages.common import InternalLogs, Outputs
from bostream.stages.documents import documents_stage
from bostream.stages.intake import make_intake
from bostream.stages.skus import skus_stage
from bostream.testing.memory import MemoryState

Value = TypeVar("Value")

ROUNDS_MAX = 100_000
"""Rounds of one settling: more mean that two stages talk to each other for ever."""

_MILLISECOND = 1_000
_encode = msgspec.msgpack.Encoder().encode


class DriverClock:
    """A clock that stands where it is put; at first after every moment that a record can have."""

    def __init__(self, now: int = limits.TIME_MAX) -> None:
        self.time = now

    def now(self) -> int:
        """Return µs since the epoch, UTC."""
        return self.time

    def monotonic_s(self) -> float:
        """Return seconds."""
        return self.time / 1_000_000


class DriverState:
    """State in memory that watches its timers, as the engine's does."""

    def __init__(self) -> None:
        self.memory = MemoryState()
        self.timers = TimerQueue(self.memory.table(TIMERS))
        self._specs: dict[int, TableSpec[Any]] = {TIMERS.number: TIMERS}

    def table(self, spec: TableSpec[Value]) -> Table[Value]:
        """Return the table of this spec, always the same object."""
        self._specs[spec.number] = spec
        if spec.number == TIMERS.number:
            return cast(Table[Value], self.timers)
        return self.memory.table(spec)

    def encoded(self) -> dict[tuple[int, bytes], bytes]:
        """Return all rows as they would be stored, by (table number, key)."""
        return {place: _encode(row) for place, row in self.memory.rows().items()}

    def reloaded(self) -> "DriverState":
        """Return the state as a restarted worker would read it."""
        state = DriverState()
        for (number, key), row in self.encoded().items():
            spec = self._specs[number]
            state.table(spec).put(key, msgspec.msgpack.decode(row, type=spec.value))
        return state


class PartitionDriver:
    """One partition of an internal log and its stage.

    Args:
        log: the partition; records appended to it count offsets from 0.
        make_stage: makes the stage over its state.
    """

    def __init__(self, log: Partition, make_stage: StageFactory) -> None:
        self.log = log
        self.log_time = 0
        self.records: list[Record] = []
        self.state = DriverState()
        self._make_stage = make_stage
        self._stage = make_stage(self.state)
        self._next_offset = 0

    @property
    def pending(self) -> int:
        """How many appended records were not processed yet."""
        return len(self.records) - self._next_offset

    @property
    def next_timer_due(self) -> int:
        """When the first timer is due (µs of log time); far away without one."""
        return self.state.timers.next_due

    def append(self, key: bytes | None, value: bytes | None, timestamp: int, headers: Headers = ()) -> None:
        """Append a record to the log; its timestamp loses what Kafka does not keep."""
        kept = timestamp // _MILLISECOND * _MILLISECOND
        self.records.append(Record(self.log.topic, self.log.number, len(self.records), kept, key, value, headers))

    def run_batch(self, records_max: int) -> list[Output]:
        """Process up to so many appended records as one batch; return what it produces, in order."""
        outputs: list[Output] = []
        batch = self.records[self._next_offset : self._next_offset + records_max]
        for record in batch:
            self._apply(record, outputs)
        if batch:
            self._next_offset += len(batch)
            self._stage.finish(outputs.append)
        return outputs

    def restart(self) -> None:
        """Go on as another worker would: with the state as it is stored, and a new stage."""
        self.state = self.state.reloaded()
        self._stage = self._make_stage(self.state)

    def _apply(self, record: Record, outputs: list[Output]) -> None:
        log_time = max(self.log_time, record.timestamp)
        origin = Origin(record, log_time)
        while (timer := self.state.timers.pop_due(log_time)) is not None:
            origin.log_time = max(self.log_time, timer.due)
            self._stage.fire(timer, origin, outputs.append)
        origin.log_time = log_time
        try:
            self._stage.process(record, origin, outputs.append)
        except BadRecordError as error:
            outputs.append(_dead_letter(record, error, self._stage.name))
        self.log_time = log_time


class PipelineDriver:
    """Intake, document desk and SKU books over internal logs in memory.

    Args:
        app: the application's name.
        partitions: how many partitions each internal log has.
        desk_rules: constants of the document desk.
        sku_rules: constants of the SKU books.
        batch_records_max: how many records of each partition one batch takes.
        writers: of the output topics, by name; Avro single-object values by default.
        schemas: those of this installation by default.
        clock: bounds the timestamps of input records.
    """

    def __init__(
        self,
        *,
        app: str = "bostream",
        partitions: int = 2,
        desk_rules: DeskRules | None = None,
        sku_rules: Rules | None = None,
        batch_records_max: int = 1_000,
        writers: Mapping[str, RecordWriter] | None = None,
        schemas: Schemas | None = None,
        clock: DriverClock | None = None,
    ) -> None:
        self.clock = clock or DriverClock()
        self.outputs: dict[str, list[Output]] = defaultdict(list)
        self._batch_records_max = batch_records_max
        known = schemas or load_schemas()
        self._readers = {topic: RecordReader(topic, known) for topic in OUTPUT_RECORDS}
        self._input_writers = {
            INPUT_RECORDS[topic]: (topic, single_object_writer(topic, known)) for topic in INPUT_RECORDS
        }
        chosen = writers or {topic: single_object_writer(topic, known) for topic in OUTPUT_RECORDS}
        self._intake = make_intake(
            app=app,
            partitions=partitions,
            clock=self.clock,
            make_reader=lambda topic: InputReader(topic, known),
        )
        self._sku_rules = sku_rules or Rules()
        logs = self._names = InternalLogs(app, partitions)
        outputs = Outputs(app, chosen)
        self._logs = {
            **_drivers(
                logs.documents,
                partitions,
                documents_stage(logs, outputs, desk_rules),
            ),
            **_drivers(logs.skus, partitions, skus_stage(logs, outputs, self._sku_rules)),
        }
        self._input_offsets: dict[Partition, int] = defaultdict(int)

    # --- in

    def send(self, record: InputRecord, timestamp: int, headers: Headers = ()) -> None:
        """Send one input record to its topic, and let everything that follows happen.

        Args:
            record: what happened.
            timestamp: the Kafka timestamp that it gets (µs, UTC): log time follows it.
            headers: of the record.
        """
        topic, writer = self._input_writers[type(record)]
        self.send_bytes(topic, writer.write(record), timestamp, headers=headers)

    def send_bytes(
        self,
        topic: str,
        value: bytes | None,
        timestamp: int,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        settle: bool = True,
    ) -> None:
        """Send any bytes to an input topic; with ``settle`` False nothing else happens before :meth:`settle`.

        Raises:
            ConfigurationError: it is no input topic that is read.
        """
        if topic not in self._intake:
            raise ConfigurationError(f"{topic} is no input topic that the intake reads")
        source = Partition(topic, 0)
        offset = self._input_offsets[source]
        self._input_offsets[source] += 1
        record = Record(topic, 0, offset, timestamp // _MILLISECOND * _MILLISECOND, key, value, headers)
        out: list[Output] = []
        self._intake[topic].process(record, out.append)
        self._produce(out)
        if settle:
            self.settle()

    def settle(self) -> None:
        """Process the internal logs in rounds of one batch each, until nothing is left to do.

        Raises:
            ConfigurationError: it does not come to an end.
        """
        for _ in range(ROUNDS_MAX):
            if not self._run_round():
                return
        raise ConfigurationError(f"the pipeline did not come to rest within {ROUNDS_MAX} rounds")

    def pass_time(self, now: int) -> None:
        """Let log time reach ``now`` (µs) wherever a timer is due, as an idle worker does (R21)."""
        for _ in range(ROUNDS_MAX):
            waiting = [driver for driver in self._logs.values() if driver.next_timer_due <= now]
            if not waiting:
                return
            for driver in waiting:
                driver.append(None, _encode(Ticked(now)), _rounded_up(now))
            self.settle()
        raise ConfigurationError(f"timers did not come to an end within {ROUNDS_MAX} rounds")

    def restart(self) -> None:
        """Go on as other workers would: from what is stored."""
        for driver in self._logs.values():
            driver.restart()

    # --- out

    def published(self, topic: str) -> list[Any]:
        """Return the records of an output topic in order; a tombstone is None."""
        read = self._readers[topic].read
        return [None if output.value is None else read(output.value) for output in self.outputs[topic]]

    def compacted(self, topic: str) -> dict[str, OutputRecord]:
        """Return the last record of each key of an output topic, without those that ended in a tombstone."""
        latest: dict[str, OutputRecord] = {}
        for output, record in zip(self.outputs[topic], self.published(topic), strict=True):
            key = (output.key or b"").decode()
            if record is None:
                latest.pop(key, None)
            else:
                latest[key] = record
        return latest

    def dead_letters(self, topic: str) -> list[Output]:
        """Return the dead letters of a topic that is read, in order."""
        return self.outputs[dead_letter_topic(topic)]

    def log(self, topic: str) -> list[PartitionDriver]:
        """Return the partitions of an internal log, in order."""
        return [driver for partition, driver in self._logs.items() if partition.topic == topic]

    def book(self, sku: str) -> Book:
        """Return the book of the partition that has this SKU, to read it."""
        logs = self.log(self._names.skus)
        return Book(logs[partition_for(sku.encode(), len(logs))].state, self._sku_rules)

    def order(self, order_id: str) -> OrderDocument | None:
        """Return what the document desk knows of an order, to read it; None when it is unknown."""
        key = pack(order_id)
        rows = (log.state.table(ORDERS).get(key) for log in self.log(self._names.documents))
        return next((row for row in rows if row is not None), None)

    # --- between

    def _run_round(self) -> bool:
        """Let each partition process one batch, then deliver what they produced; tell whether there was anything."""
        busy = deque(driver for driver in self._logs.values() if driver.pending)
        outputs: list[Output] = []
        for driver in busy:
            outputs += driver.run_batch(self._batch_records_max)
        self._produce(outputs)
        return bool(busy)

    def _produce(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            log = None if output.partition is None else self._logs.get(Partition(output.topic, output.partition))
            if log is not None and output.timestamp is not None:
                log.append(output.key, output.value, output.timestamp, output.headers)
            else:
                self.outputs[output.topic].append(output)


def _drivers(topic: str, partitions: int, make_stage: StageFactory) -> dict[Partition, PartitionDriver]:
    logs = [Partition(topic, number) for number in range(partitions)]
    return {log: PartitionDriver(log, make_stage) for log in logs}


def _dead_letter(record: Record, error: BadRecordError, stage: str) -> Output:
    letter = dead_letter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=record.headers,
        stage=stage,
        error=error,
    )
    return Output(letter.topic, letter.key, letter.value, letter.partition, headers=letter.headers)


def _rounded_up(timestamp: int) -> int:
    """Return the first whole millisecond at or after: a tick must reach the timers that it is sent for."""
    return -(-timestamp // _MILLISECOND) * _MILLISECOND
