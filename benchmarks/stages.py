"""How much processor time each stage costs per record on steady traffic, without a broker.

What must stay true: what is measured is what a worker does with a record between reading and producing it (decoding,
rules, state, encoding, headers), and the same command measures the same records. Run it as
``python -m benchmarks.stages [--seconds 60] [--rounds 5] [--only skus-rocksdb] [--profile]``. Times are processor times
of one thread, and of each batch the best round counts, so that other work on the machine blurs them little.
"""

import argparse
import cProfile
import gc
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bostream.adapters.rocks import RocksStoreFactory
from bostream.contract.codec import InputReader, RecordReader, single_object_writer
from bostream.contract.records import INPUT_RECORDS, OUTPUT_RECORDS, AllocationEvent, OutputRecord
from bostream.contract.schemas import load_schemas
from bostream.domain.state import TIMERS
from bostream.engine.overlay import Overlay
from bostream.engine.ports import Origin, Output, Partition, Record, StageFactory
from bostream.engine.task import TaskState
from bostream.engine.timers import TimerQueue
from bostream.stages.common import InternalLogs, Outputs
from bostream.stages.documents import documents_stage
from bostream.stages.intake import make_intake
from bostream.stages.skus import skus_stage
from bostream.testing.driver import DriverClock, PartitionDriver, PipelineDriver
from bostream.traffic.stream import Traffic, TrafficSettings, morning_of

APP = "bostream"
START = morning_of(1_760_000_000_000_000)
BATCH_RECORDS = 500
CLEAN_OBJECTS_MAX = 200_000
SETTLED_EVERY = 50
"""Input records between two looks of the traffic at what was allocated."""

INTAKE = "intake"
DOCUMENTS_IN_MEMORY = "documents-in-memory"
DOCUMENTS_STORED = "documents-rocksdb"
SKUS_IN_MEMORY = "skus-in-memory"
SKUS_STORED = "skus-rocksdb"
STAGES = (INTAKE, DOCUMENTS_IN_MEMORY, DOCUMENTS_STORED, SKUS_IN_MEMORY, SKUS_STORED)

Measured = list[float]
"""µs of processor time of each batch."""


class Recording:
    """Steady traffic and all that follows from it, with one partition for each log.

    Attributes:
        inputs: records of the input topics, in the order of their time.
        documents, skus: the internal logs.
    """

    def __init__(self, seconds: float) -> None:
        schemas = load_schemas()
        self._read = RecordReader("allocations", schemas).read
        writers = {topic: single_object_writer(topic, schemas) for topic in INPUT_RECORDS}
        traffic = Traffic(TrafficSettings(start_us=START, duration_s=seconds, rhythm=False))
        driver = PipelineDriver(app=APP, partitions=1, schemas=schemas)
        self.inputs: list[Record] = []
        heard = 0
        for number, (at, topic, key, record) in enumerate(traffic, 1):
            value = record if isinstance(record, bytes) else writers[topic].write(record)
            self.inputs.append(Record(topic, 0, number, at // 1_000 * 1_000, key.encode(), value, ()))
            driver.send_bytes(topic, value, at, key=key.encode(), settle=False)
            if number % SETTLED_EVERY == 0:
                driver.settle()
                heard = self._hear(traffic, driver.outputs["allocations"], heard)
        driver.settle()
        logs = InternalLogs(APP, 1)
        self.documents = driver.log(logs.documents)[0].records
        self.skus = driver.log(logs.skus)[0].records

    def _hear(self, traffic: Traffic, outputs: list[Output], heard: int) -> int:
        for output in outputs[heard:]:
            event: OutputRecord = self._read(output.value)  # type: ignore[assignment]  # the topic decides the type
            assert isinstance(event, AllocationEvent)
            traffic.fulfilment.on_allocation(event)
        return len(outputs)


class Stored:
    """A stage as a worker has it: over an overlay on RocksDB, one write for each batch."""

    def __init__(self, log: Partition, make_stage: StageFactory, directory: Path) -> None:
        self._store = RocksStoreFactory(directory, 64, 16).open(log)
        self._overlay = Overlay(self._store, clean_objects_max=CLEAN_OBJECTS_MAX)
        self._timers = TimerQueue(self._overlay.table(TIMERS))
        self._stage = make_stage(TaskState(self._overlay, self._timers))
        self._log_time = 0

    def run_batch(self, records: list[Record]) -> int:
        """Apply records as one batch; return how many records it produces."""
        outputs: list[Output] = []
        emit = outputs.append
        for record in records:
            log_time = max(self._log_time, record.timestamp)
            origin = Origin(record, log_time)
            while (timer := self._timers.pop_due(log_time)) is not None:
                origin.log_time = max(self._log_time, timer.due)
                self._stage.fire(timer, origin, emit)
            origin.log_time = self._log_time = log_time
            self._stage.process(record, origin, emit)
        self._stage.finish(emit)
        self._store.write(list(self._overlay.changes()))
        self._overlay.committed()
        return len(outputs)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()


def main() -> None:
    """Print µs of processor time per record of each stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the recorded traffic, at 200 records/s")
    parser.add_argument("--rounds", type=int, default=5, help="the best of so many counts, batch by batch")
    parser.add_argument("--only", choices=STAGES, action="append", help="measure this; may be given again")
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    arguments = parser.parse_args()
    recording = Recording(arguments.seconds)
    schemas = load_schemas()
    writers = {topic: single_object_writer(topic, schemas) for topic in OUTPUT_RECORDS}
    logs, outputs = InternalLogs(APP, 1), Outputs(APP, writers)
    skus = skus_stage(logs, outputs)
    documents = documents_stage(logs, outputs)
    rows: dict[str, tuple[list[Record], Callable[[list[Record]], Measured]]] = {
        INTAKE: (recording.inputs, intake),
        DOCUMENTS_IN_MEMORY: (recording.documents, lambda records: in_memory(records, documents)),
        DOCUMENTS_STORED: (recording.documents, lambda records: stored(records, documents)),
        SKUS_IN_MEMORY: (recording.skus, lambda records: in_memory(records, skus)),
        SKUS_STORED: (recording.skus, lambda records: stored(records, skus)),
    }
    # What was recorded stays for ever: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    out = sys.stdout.write
    out(f"{'stage':<24}{'records':>10}{'µs/record':>12}{'records/s':>12}\n")
    for name in arguments.only or STAGES:
        records, measure = rows[name]
        if arguments.profile:
            profile(measure, records)
            continue
        rounds = [measure(records) for _ in range(arguments.rounds)]
        cost = sum(min(batch) for batch in zip(*rounds, strict=True))
        out(f"{name:<24}{len(records):>10,}{cost / len(records):>12.1f}{1_000_000 * len(records) / cost:>12,.0f}\n")


def batches(records: list[Record]) -> Iterator[list[Record]]:
    """Cut a log into batches."""
    for start in range(0, len(records), BATCH_RECORDS):
        yield records[start : start + BATCH_RECORDS]


def processor_time(run: Callable[[], object]) -> float:
    """Return the µs of this thread's processor time that a call takes."""
    before = time.thread_time_ns()
    run()
    return (time.thread_time_ns() - before) / 1_000


def intake(records: list[Record]) -> Measured:
    """Decode, check and route the input records."""
    schemas = load_schemas()
    stages = make_intake(
        app=APP, partitions=1, clock=DriverClock(), make_reader=lambda topic: InputReader(topic, schemas)
    )

    def run(batch: list[Record]) -> None:
        outputs: list[Output] = []
        for record in batch:
            stages[record.topic].process(record, outputs.append)

    return [processor_time(partial(run, batch)) for batch in batches(records)]


def in_memory(records: list[Record], make_stage: StageFactory) -> Measured:
    """Apply a log to a stage over sorted dictionaries."""
    driver = PartitionDriver(Partition(records[0].topic, 0), make_stage)
    driver.records = records
    return [processor_time(lambda: driver.run_batch(BATCH_RECORDS)) for _ in batches(records)]


def stored(records: list[Record], make_stage: StageFactory) -> Measured:
    """Apply a log to a stage as a worker does, the write to the local store included."""
    with tempfile.TemporaryDirectory() as directory:
        worker = Stored(Partition(records[0].topic, 0), make_stage, Path(directory) / "store")
        try:
            return [processor_time(partial(worker.run_batch, batch)) for batch in batches(records)]
        finally:
            worker.close()


def profile(measure: Callable[[list[Record]], Measured], records: list[Record]) -> None:
    """Print where the time goes."""
    measure(records)
    profiler = cProfile.Profile(time.thread_time_ns, 1e-9)
    profiler.runcall(measure, records)
    stats = pstats.Stats(profiler)
    stats.sort_stats("tottime").print_stats(40)
    stats.print_callers("keys.py.*pack|overlay_table.py.*scan")
    stats.sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
