"""How much one event costs a SKU book, and that it does not grow with the queue.

What must stay true: the ratio between a queue of 100,000 lines and one of 100 stays near 1, and so does that between
10,000 lines and 100 where ASN lines cover most of the queue, so that every line has an ETA to be kept right. Run it as
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
    InboundChanged,
    InboundLine,
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
PROMISED_QUEUES = (100, 10_000)
PROMISED_REPEATS = 300
ASN_LINES = 20
COVERED_PART = 0.9
"""Of the queue, by the ASN lines together."""


def main() -> None:
    """Print what events cost without anything inbound, then with ASN lines that cover most of the queue."""
    show({lines: measure(lines) for lines in QUEUES})
    sys.stdout.write(f"\nwith {ASN_LINES} ASN lines that cover {COVERED_PART:.0%} of the queue\n")
    show({lines: measure_promised(lines) for lines in PROMISED_QUEUES})


def show(measured: dict[int, dict[str, float]]) -> None:
    """Print µs per event by kind for each queue length, and the ratio of the greatest to the smallest queue."""
    out = sys.stdout.write
    out(f"{'event':<12}" + "".join(f"{lines:>12,} lines" for lines in measured) + f"{'ratio':>10}\n")
    for kind in next(iter(measured.values())):
        costs = [by_kind[kind] for by_kind in measured.values()]
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


def measure_promised(lines: int) -> dict[str, float]:
    """Return the median µs of each kind of event on a book on which most waiting lines have an ETA."""
    book = Book(MemoryState(), Rules())
    events = itertools.count()
    for number in range(lines):
        run(book, placed(number, next(events)), next(events))
    units = round(lines * COVERED_PART / ASN_LINES)
    for number in range(ASN_LINES):
        run(book, inbound(number, units, next(events)), next(events))
    costs: dict[str, list[float]] = {}

    def timed(kind: str, event: SkuEvent) -> None:
        log_time = next(events)
        before = time.process_time_ns()
        run(book, event, log_time)
        costs.setdefault(kind, []).append((time.process_time_ns() - before) / 1_000)

    for number in range(PROMISED_REPEATS):
        # The oldest line of all: every ASN line passes a unit on to the next.
        timed("first", placed(-1, next(events), f"first-{number}"))
        timed("first ends", cancelled(-1, next(events), f"first-{number}"))
        timed("last", placed(lines + number, next(events)))
        timed("last ends", cancelled(lines + number, next(events)))
        # One unit for the best line, and one less to come; then the queue and what is to come are as long as before.
        timed("receipt", scanned(ScanType.RECEIVED, next(events), asn=True))
        timed("more comes", inbound(ASN_LINES - 1, units + 1, next(events)))
        timed("less comes", inbound(ASN_LINES - 1, units, next(events)))
        run(book, placed(lines + PROMISED_REPEATS + number, next(events)), next(events))
        run(book, inbound(0, units + number + 1, next(events)), next(events))
    assert book.totals(SKU).waiting_lines == lines
    return {kind: sorted(values)[len(values) // 2] for kind, values in costs.items()}


def run(book: Book, event: SkuEvent, log_time: int) -> None:
    """Handle an event and take all its outcomes, as the publisher does."""
    for _ in handle(book, event, START + log_time):
        pass


def cause(number: int, kind: str) -> Cause:
    """Return a cause of its own for each event."""
    return Cause(f"event-{number:012d}", kind, START + number, START + number)


def inbound(number: int, quantity: int, event: int) -> InboundChanged:
    """Return an ASN of one line, one hour after the one of the number before."""
    return InboundChanged(
        cause(event, "asns/ANNOUNCED"), SKU, f"asn-{number:03d}", "W1", START + number * 3_600_000_000,
        (InboundLine("1", quantity),),
    )  # fmt: skip


def placed(number: int, event: int, order_id: str = "") -> DemandChanged:
    """Return an order of one unit that ranks by its number."""
    terms = Terms(1, START + number)
    line = LineDemand("1", add=1, seniority=START + number)
    return DemandChanged(
        cause(event, "orders/PLACED"), SKU, order_id or f"order-{number:09d}", DemandReason.ORDER_PLACED, terms, (line,)
    )


def cancelled(number: int, event: int, order_id: str = "") -> DemandChanged:
    """Return the end of that order."""
    terms = Terms(1, START + number)
    line = LineDemand("1", ends=True)
    return DemandChanged(
        cause(event, "orders/CANCELLED"),
        SKU,
        order_id or f"order-{number:09d}",
        DemandReason.ORDER_CANCELLED,
        terms,
        (line,),
    )


def scanned(kind: ScanType, event: int, number: int | None = None, *, asn: bool = False) -> StockScanned:
    """Return a scan of one unit, of that order's line where it names one, or against the first ASN."""
    order_id = None if number is None else f"order-{number:09d}"
    line_id = None if number is None else "1"
    return StockScanned(
        cause(event, f"inventory-scans/{kind}"), SKU, kind, "W1", 1, "wms", order_id=order_id, line_id=line_id,
        asn_id="asn-000" if asn else None, asn_line_id="1" if asn else None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
