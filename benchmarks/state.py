"""Micro-benchmark of the state: µs per operation of the overlay on RocksDB, medians.

Run it as ``python benchmarks/state.py``; it needs no broker. Numbers are of one thread on this machine.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import msgspec

from bostream.adapters.rocks import RocksStore, RocksStoreFactory
from bostream.domain.keys import pack
from bostream.domain.state import TableSpec
from bostream.engine.overlay import Overlay
from bostream.engine.ports import Partition

STORED_ROWS = 100_000
ROUNDS = 2_000
COMMIT_ROUNDS = 7
COMMIT_ROWS = (1, 100, 2_000, 10_000, 50_000)


class Line(msgspec.Struct, array_like=True):
    """A row of about the size of an order line in a book."""

    order_id: str
    line_id: int
    demand: int
    allocated: int
    shipped: int
    locations: tuple[str, ...]
    accepted: int


LINES: TableSpec[Line] = TableSpec("lines", 2, Line)
QUEUE: TableSpec[Line] = TableSpec("queue", 3, Line)


def line(number: int) -> Line:
    """Return some line."""
    return Line(f"order-{number:08d}", 1, 10, 3, 2, ("STORE-1", "WAREHOUSE-2"), 1_700_000_000_000_000 + number)


def key(number: int) -> bytes:
    """Return the key of a line: 1,000 lines for each SKU."""
    return pack(f"SKU-{number // 1000:05d}", 5, number)


def sku(number: int) -> bytes:
    """Return the prefix of a SKU's lines."""
    return pack(f"SKU-{number:05d}")


def median_us(operation: Callable[[int], object], rounds: int = ROUNDS) -> float:
    """Return the median time of one call in µs."""
    times = []
    for number in range(rounds):
        began = time.perf_counter_ns()
        operation(number)
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


def report(name: str, micros: float, note: str = "") -> None:
    """Print one row."""
    print(f"{name:<52}{micros:>12.2f} µs  {note}")


def commit(overlay: Overlay, store: RocksStore) -> None:
    """Make the batch durable, as the engine does."""
    store.write(overlay.changes())
    overlay.committed()


def measure_reads(overlay: Overlay) -> None:
    """Gets and scans over 100,000 stored rows."""
    lines = overlay.table(LINES)
    step = STORED_ROWS // ROUNDS
    report("get, not cached (store + decode)", median_us(lambda n: lines.get(key(n * step))))
    report("get, met in this batch", median_us(lambda n: lines.get(key_of[n])))
    report("get, absent (bloom filter)", median_us(lambda n: lines.get(absent[n])))
    report("scan, first row, nothing written", median_us(lambda n: next(lines.scan(skus[n % 100]))))
    report("scan, first row, reverse", median_us(lambda n: next(lines.scan(skus[n % 100], reverse=True))))
    report("scan, 100 rows", median_us(lambda n: sum(1 for _ in islice(lines.scan(skus[n % 100]), 100)), 200))
    overlay.discard()


def measure_writes(overlay: Overlay) -> None:
    """Puts, and scans over what was put."""
    lines = overlay.table(LINES)
    rows = [line(n) for n in range(ROUNDS)]
    report("put, first of its key in the batch", median_us(lambda n: lines.put(key_of[n], rows[n])))
    report("put, again", median_us(lambda n: lines.put(key_of[n], rows[n])))
    report("scan, first row, 2,000 rows written", median_us(lambda n: next(lines.scan(skus[n % 100]))))

    def put_and_scan(number: int) -> None:
        lines.put(absent[number], rows[number])
        next(lines.scan(skus[number % 100]))

    report("put of a new key + scan, first row", median_us(put_and_scan))
    overlay.discard()


def measure_queue(overlay: Overlay, store: RocksStore) -> None:
    """Serve the head of one queue: scan for it, delete it."""
    queue = overlay.table(QUEUE)
    for number in range(40_000):
        queue.put(key(number % 1000 + number * 1000), line(number))
    commit(overlay, store)

    def serve(_: int) -> None:
        queue.delete(next(queue.scan(b""))[0])

    def serve_and_commit(number: int) -> None:
        serve(number)
        commit(overlay, store)

    report("serve a queue's head, one batch", median_us(serve, 10_000), "scan + delete, 10,000 times")
    report("serve a queue's head, 10,001st in the batch", median_us(serve, 1_000))
    commit(overlay, store)
    report("serve a queue's head + commit, 11,000 tombstones", median_us(serve_and_commit, 1_000))


def measure_commits(overlay: Overlay, store: RocksStore) -> None:
    """The steps of a commit by size of batch; ``write`` is how long the GIL is held."""
    lines = overlay.table(LINES)
    for rows in COMMIT_ROWS:
        encoded, written, settled = [], [], []
        for _ in range(COMMIT_ROUNDS):
            for number in range(rows):
                lines.put(key(number * 7919 % STORED_ROWS), line(number))
            at = [time.perf_counter()]
            changes = list(overlay.changes())
            at.append(time.perf_counter())
            store.write(changes)
            at.append(time.perf_counter())
            overlay.committed()
            at.append(time.perf_counter())
            encoded.append(at[1] - at[0])
            written.append(at[2] - at[1])
            settled.append(at[3] - at[2])
        report(f"changes() of {rows:,} rows", statistics.median(encoded) * 1e6)
        report(f"store.write of {rows:,} rows", statistics.median(written) * 1e6, f"worst {max(written) * 1e3:.1f} ms")
        report(f"committed() of {rows:,} rows", statistics.median(settled) * 1e6)


key_of = [key(n * (STORED_ROWS // ROUNDS)) for n in range(ROUNDS)]
absent = [pack(f"SKU-{n % 100:05d}", 9, n) for n in range(ROUNDS)]
skus = [sku(n) for n in range(100)]


def main() -> None:
    """Measure everything on a fresh store."""
    with tempfile.TemporaryDirectory() as directory:
        store = RocksStoreFactory(Path(directory), cache_mb=64, write_buffer_mb=16).open(Partition("bench", 0))
        overlay = Overlay(store, LINES, QUEUE, clean_objects_max=20_000)
        for number in range(STORED_ROWS):
            overlay.table(LINES).put(key(number), line(number))
        commit(overlay, store)
        overlay.discard()
        measure_reads(overlay)
        measure_writes(overlay)
        measure_commits(overlay, store)
        measure_queue(overlay, store)
        store.close()


if __name__ == "__main__":
    main()
