"""``make bench``: where we stand, on this machine, in one run.

What must stay true: every figure printed was measured by the run that prints it.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks import pipeline, sku_book
from bostream import __version__
from bostream.embedded import EmbeddedKafka

_LINES = 20_000
_LATENCY_SECONDS = 15
_RATES = (50, 200)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks and print tables, and one JSON object with ``--json FILE``."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--lines", type=int, default=_LINES, help="order lines of the throughput runs")
    parser.add_argument("--seconds", type=int, default=_LATENCY_SECONDS, help="length of each latency run")
    parser.add_argument("--json", metavar="FILE", help="also write the figures here")
    chosen = parser.parse_args(arguments)
    console = Console()
    console.print(
        f"bostream {__version__}, Python {platform.python_version()}, {os.cpu_count()} cores shared with the broker"
    )
    queues = {lines: sku_book.measure(lines) for lines in sku_book.QUEUES}
    console.print(_queue_table(queues))
    with EmbeddedKafka(heap_mb=512, is_for_load=True) as kafka:
        runs = [pipeline.throughput(kafka.bootstrap_servers, lines=chosen.lines, workers=workers) for workers in (1, 2)]
        console.print(_throughput_table(runs))
        delays = [pipeline.latency(kafka.bootstrap_servers, rate=rate, seconds=chosen.seconds) for rate in _RATES]
        console.print(_latency_table(delays))
    if chosen.json:
        figures = {
            "queue_us": {str(lines): costs for lines, costs in queues.items()},
            "throughput": [run._asdict() | {"lines_per_s": run.lines_per_s} for run in runs],
            "latency": [delay._asdict() for delay in delays],
        }
        with open(chosen.json, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(figures, file, indent=2)


def _queue_table(queues: dict[int, dict[str, float]]) -> Table:
    short, long = queues
    table = Table(
        "event",
        f"{short:,} lines",
        f"{long:,} lines",
        "ratio",
        title="one event on a SKU (rules alone, in memory) with a queue of",
    )
    for kind, cost in queues[short].items():
        table.add_row(kind, f"{cost:.1f} µs", f"{queues[long][kind]:.1f} µs", f"{queues[long][kind] / cost:.2f}")
    return table


def _throughput_table(runs: list[pipeline.Throughput]) -> Table:
    table = Table(
        "workers", "order lines", "records", "allocations", "seconds", "order lines/s", title="whole job, preloaded"
    )
    for run in runs:
        table.add_row(
            str(run.workers),
            f"{run.lines:,}",
            f"{run.records:,}",
            f"{run.allocations:,}",
            f"{run.seconds:.1f}",
            f"{run.lines_per_s:,.0f}",
        )
    return table


def _latency_table(delays: list[pipeline.Latency]) -> Table:
    table = Table("scans/s", "scans", "p50", "p99", title="scan to visible allocation, one worker")
    for delay in delays:
        table.add_row(str(delay.rate), f"{delay.scans:,}", f"{delay.p50_ms:.0f} ms", f"{delay.p99_ms:.0f} ms")
    return table


if __name__ == "__main__":
    main(sys.argv[1:])
