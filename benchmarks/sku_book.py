"""How much one event costs a SKU book, and that it does not grow with the queue.

What must stay true: the ratio between a queue of 100,000 lines and one of 100 stays near 1. Run it as
``python benchmarks/sku_book.py``; it needs no broker and no store, since it measures the rules alone.
"""

import itertools
import sys
import time
from collections import deque

from bostream.domain.cause import Cause
from bostream.domain.sku.book import Book, Rules
from bostream.domain.sku.events import (
    DemandChanged,
    DemandReason,
    LineDemand,
    ScanType,
    SkuEvent,
    StockScanned,
    Terms,
)
from bostream.domain.sku.handle import handle
from bostream.testing.memory import MemoryState

SKU = "SKU-0001"
START = 1_760_000_000_000_000
REPEATS = 2_000
QUEUES = (100, 100_000)


def main() -> None:
    """Print µs per event by kind for each queue length, and the ratio of the greatest to the smallest queue."""
    measured = {lines: measure(lines) for lines in QUEUES}
    out = sys.stdout.write
    out(f"{'event':<12}" + "".join(f"{lines:>12,} lines" for lines in QUEUES) + f"{'ratio':>10}\n")
    for kind in measured[QUEUES[0]]:
        costs = [measured[lines][kind] for lines in QUEUES]
        out(f"{kind:<12}" + "".join(f"{cost:>15.1f} µs" for cost in costs) + f"{costs[-1] / costs[0]:>10.2f}\n")


def measure(lines: int) -> dict[str, float]:
    """Return the median µs of each kind of event on a book with this many waiting lines."""
    book = Book(MemoryState(), Rules())
    events = itertools.count()
    orders = itertools.count()
    waiting: deque[int] = deque()

    def wait() -> None:
        number = next(orders)
        run(book, placed(number, next(events)), next(events))
        waiting.append(number)

    for _ in range(lines):
        wait()
    costs: dict[str, list[float]] = {}

    def timed(kind: str, event: SkuEvent) -> None:
        log_time = next(events)
        before = time.process_time_ns()
        run(book, event, log_time)
        costs.setdefault(kind, []).append((time.process_time_ns() - before) / 1_000)

    for _ in range(REPEATS):
        number = next(orders)
        timed("order", placed(number, next(events)))
        timed("cancel", cancelled(number, next(events)))
        timed("receipt", scanned(ScanType.RECEIVED, next(events)))
        served = waiting.popleft()
        timed("pick", scanned(ScanType.PICKED, next(events), served))
        timed("ship", scanned(ScanType.SHIPPED, next(events), served))
        wait()
    assert book.totals(SKU).waiting_lines == lines
    return {kind: sorted(values)[len(values) // 2] for kind, values in costs.items()}


def run(book: Book, event: SkuEvent, log_time: int) -> None:
    """Handle an event and take all its outcomes, as the publisher does."""
    for _ in handle(book, event, START + log_time):
        pass


def cause(number: int, kind: str) -> Cause:
    """Return a cause of its own for each event."""
    return Cause(f"event-{number:012d}", kind, START + number, START + number)


def placed(number: int, event: int) -> DemandChanged:
    """Return an order of one unit that ranks last so far."""
    terms = Terms(1, START + number)
    line = LineDemand("1", add=1, seniority=START + number)
    return DemandChanged(
        cause(event, "orders/PLACED"), SKU, f"order-{number:09d}", DemandReason.ORDER_PLACED, terms, (line,)
    )


def cancelled(number: int, event: int) -> DemandChanged:
    """Return the end of that order."""
    terms = Terms(1, START + number)
    line = LineDemand("1", ends=True)
    return DemandChanged(
        cause(event, "orders/CANCELLED"), SKU, f"order-{number:09d}", DemandReason.ORDER_CANCELLED, terms, (line,)
    )


def scanned(kind: ScanType, event: int, number: int | None = None) -> StockScanned:
    """Return a scan of one unit, of that order's line where it names one."""
    order_id = None if number is None else f"order-{number:09d}"
    line_id = None if number is None else "1"
    return StockScanned(
        cause(event, f"inventory-scans/{kind}"), SKU, kind, "W1", 1, "wms", order_id=order_id, line_id=line_id
    )


if __name__ == "__main__":
    main()
