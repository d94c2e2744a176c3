"""The whole job on a real embedded Kafka: order lines per second, and how long a scan takes to become an allocation.

What must stay true: everything is on (transactions, changelogs, RocksDB, Avro, all outputs), and a figure is taken by a
read_committed reader outside the workers. The machine shares its cores with the broker: compare ratios within one run.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.workload import Workload
from bostream.adapters.kafka.producing import RecordSender
from bostream.adapters.kafka.reading import TopicReader
from bostream.cli.wiring import connection, reader_settings
from bostream.contract.codec import RecordReader, single_object_writer
from bostream.contract.records import AllocationEvent, InventoryScan, OrderEvent, OrderLine, PublicRecord
from bostream.contract.schemas import load_schemas
from bostream.domain.documents.events import OrderAction
from bostream.domain.sku.events import ScanType
from bostream.engine.ports import Output, Record
from bostream.settings import Settings, load_settings

OUTPUTS = ("allocations", "backorder-lines", "stock-positions", "notifications")

_SKUS = tuple(f"SKU-{number:03d}" for number in range(100))
_COMMAND = (sys.executable, "-m", "bostream")
_QUIET_S = 8.0
_START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 30.0


class Throughput(NamedTuple):
    """The whole job with all input preloaded.

    ``seconds`` and ``timed_lines`` count from when a tenth of the lines had come out until the last output:
    what comes at once with the first transaction would flatter.
    """

    workers: int
    lines: int
    records: int
    allocations: int
    timed_lines: int
    seconds: float

    @property
    def lines_per_s(self) -> float:
        """Order lines per second."""
        return self.timed_lines / self.seconds


class Latency(NamedTuple):
    """Milliseconds from handing a scan to a producer until a reader saw its committed allocation."""

    rate: int
    scans: int
    p50_ms: float
    p99_ms: float


class Application:
    """One application with topics of its own on a broker.

    Args:
        name: its name, new on this broker.
        bootstrap: the broker.
        directory: where its workers keep their state.
    """

    def __init__(self, name: str, bootstrap: str, directory: Path) -> None:
        flags = {"app": name, "topics.prefix": f"{name}.", "kafka.bootstrap_servers": bootstrap}
        self.settings: Settings = load_settings(flags).settings
        self._directory = directory / name
        self._environment = {
            **os.environ,
            "BOSTREAM_APP": name,
            "BOSTREAM_TOPICS__PREFIX": f"{name}.",
            "BOSTREAM_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        }
        self._schemas = load_schemas()
        self._sender = RecordSender({**connection(self.settings), "linger.ms": 0})
        self._writers = {topic: single_object_writer(topic, self._schemas) for topic in ("orders", "inventory-scans")}
        subprocess.run([*_COMMAND, "init"], env=self._environment, check=True, stdout=subprocess.DEVNULL)

    def topic(self, name: str) -> str:
        """Return a topic's full name."""
        return self.settings.topics.prefix + name

    def send(self, topic: str, key: str, record: PublicRecord) -> None:
        """Queue one input record."""
        self._sender.send(Output(self.topic(topic), key.encode(), self._writers[topic].write(record)))

    def flush(self) -> None:
        """Wait until all of them are acknowledged."""
        self._sender.flush()

    def reader(self) -> TopicReader:
        """Return a reader of committed records."""
        return TopicReader(reader_settings(self.settings))

    def allocation_reader(self) -> RecordReader:
        """Return what decodes allocations."""
        return RecordReader("allocations", self._schemas)

    @contextmanager
    def workers(self, count: int) -> Iterator[None]:
        """Run so many workers."""
        running = [self._start(number) for number in range(count)]
        try:
            yield
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(_STOP_TIMEOUT_S)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        state = str(self._directory / f"w{number}")
        command = [*_COMMAND, "worker", "--instance", f"w{number}", "--state-dir", state, "--log-level", "ERROR"]
        return subprocess.Popen(command, env=self._environment)


@contextmanager
def new_application(name: str, bootstrap: str) -> Iterator[Application]:
    """Make an application whose state is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bostream-bench-") as directory:
        yield Application(name, bootstrap, Path(directory))


def throughput(bootstrap: str, *, lines: int, workers: int) -> Throughput:
    """Preload the workload, start the workers, and read all outputs until no more come."""
    with new_application(f"throughput-{workers}-{lines}", bootstrap) as app:
        records = 0
        for topic, key, record in Workload(lines).records():
            app.send(topic, key, record)
            records += 1
        app.flush()
        first_s = last_s = None
        shown: set[bytes] = set()
        allocations = 0
        with app.workers(workers):
            began_s = time.monotonic()
            for output in app.reader().read([app.topic(name) for name in OUTPUTS], follow=True):
                now_s = time.monotonic()
                if output is None:
                    if now_s - (last_s or began_s + _START_TIMEOUT_S) > _QUIET_S:
                        break
                    continue
                last_s = now_s
                allocations += output.topic == app.topic("allocations")
                if output.topic == app.topic("backorder-lines"):
                    shown.add(output.key or b"")
                    if first_s is None and len(shown) >= lines // 10:
                        first_s = now_s
        if first_s is None or last_s is None or len(shown) != lines:
            raise SystemExit(f"only {len(shown)} of {lines} order lines came out: not a result")
        return Throughput(workers, lines, records, allocations, lines - lines // 10, last_s - first_s)


def latency(bootstrap: str, *, rate: int, seconds: int, workers: int = 1) -> Latency:
    """Let 100 SKUs wait for more than will come, then scan receipts at a steady rate and see when each is allocated."""
    scans = rate * seconds
    with new_application(f"latency-{rate}", bootstrap) as app:
        for number, sku in enumerate(_SKUS):
            app.send("orders", f"order-{number}", _waiting_order(number, sku, scans))
        app.flush()
        with app.workers(workers):
            outputs = app.reader().read([app.topic("allocations"), app.topic("backorder-lines")], follow=True)
            _await_waiting_lines(outputs)
            sent_at_s: dict[str, float] = {}
            sending = threading.Thread(target=_send_scans, args=(app, rate, scans, sent_at_s), daemon=True)
            sending.start()
            delays_ms = _measure(app, outputs, scans, sent_at_s)
            sending.join(_STOP_TIMEOUT_S)
        percentiles = statistics.quantiles(delays_ms, n=100)
        return Latency(rate, scans, percentiles[49], percentiles[98])


def _waiting_order(number: int, sku: str, quantity: int) -> OrderEvent:
    at = time.time_ns() // 1000
    return OrderEvent(
        event_id=f"order-{number}",
        occurred_at=at,
        source="bench",
        type=OrderAction.PLACED,
        order_id=f"order-{number}",
        order_version=1,
        accepted_at=at,
        customer_id="customer",
        lines=(OrderLine(line_id="1", sku=sku, quantity=quantity),),
    )


def _await_waiting_lines(outputs: Iterator[Record | None]) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    left = len(_SKUS)
    while left and time.monotonic() < deadline_s:
        left -= next(outputs) is not None
    if left:
        raise SystemExit(f"{left} lines did not begin to wait: not a result")


def _send_scans(app: Application, rate: int, scans: int, sent_at_s: dict[str, float]) -> None:
    began_s = time.monotonic()
    for number in range(scans):
        time.sleep(max(0.0, began_s + number / rate - time.monotonic()))
        sku = _SKUS[number % len(_SKUS)]
        scan = InventoryScan(
            event_id=f"scan-{number}",
            occurred_at=time.time_ns() // 1000,
            source="bench",
            type=ScanType.RECEIVED,
            sku=sku,
            location="W1",
            quantity=1,
        )
        sent_at_s[scan.event_id] = time.monotonic()
        app.send("inventory-scans", sku, scan)
    app.flush()


def _measure(
    app: Application, outputs: Iterator[Record | None], scans: int, sent_at_s: dict[str, float]
) -> list[float]:
    decoder = app.allocation_reader()
    delays_ms: list[float] = []
    deadline_s = time.monotonic() + scans + _START_TIMEOUT_S
    while len(delays_ms) < scans and time.monotonic() < deadline_s:
        output = next(outputs)
        if output is None or output.topic != app.topic("allocations"):
            continue
        seen_s = time.monotonic()
        allocation = decoder.read(output.value)
        if isinstance(allocation, AllocationEvent):
            delays_ms.append((seen_s - sent_at_s[allocation.cause_event_id]) * 1000)
    if len(delays_ms) != scans:
        raise SystemExit(f"only {len(delays_ms)} of {scans} scans were allocated: not a result")
    return delays_ms
