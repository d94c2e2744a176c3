"""The seeded retail workload of the benchmarks: orders and receipts, the same records for every system measured.

What must stay true: a seed gives the same records for ever; about 70 % of the units asked for are received.
"""

import random
from collections.abc import Iterator
from itertools import accumulate

from bostream.contract.records import InventoryScan, OrderEvent, OrderLine
from bostream.domain.documents.events import OrderAction
from bostream.domain.sku.events import ScanType

LINES_PER_ORDER_MAX = 5
UNITS_PER_LINE_MAX = 4
RECEIVED_SHARE = 0.7
LOCATIONS = ("W1", "W2", "W3")
_EPOCH = 1_760_000_000_000_000
_STEP = 1_000


class Workload:
    """Orders of 1-5 lines over Zipf-distributed SKUs, and receipts in between.

    Args:
        lines: order lines in all.
        skus: how many SKUs there are.
        seed: of everything random.
    """

    def __init__(self, lines: int, *, skus: int = 10_000, seed: int = 1) -> None:
        self.lines = lines
        self._skus = [f"SKU-{number:05d}" for number in range(skus)]
        self._weights = list(accumulate(1 / (rank + 10) for rank in range(skus)))
        self._random = random.Random(seed)

    def records(self) -> Iterator[tuple[str, str, OrderEvent | InventoryScan]]:
        """Yield (topic, key, record) in the order in which they happen."""
        left, owed, number = self.lines, 0.0, 0
        while left > 0:
            number += 1
            order = self._order(number, min(left, self._random.randint(1, LINES_PER_ORDER_MAX)))
            left -= len(order.lines)
            yield "orders", order.order_id, order
            owed += RECEIVED_SHARE * sum(line.quantity for line in order.lines)
            while owed >= 1:
                scan = self._receipt(number, int(owed))
                owed -= scan.quantity
                yield "inventory-scans", scan.sku, scan

    def _order(self, number: int, lines: int) -> OrderEvent:
        skus = self._random.choices(self._skus, cum_weights=self._weights, k=lines)
        at = _EPOCH + number * _STEP
        return OrderEvent(
            event_id=f"o{number}",
            occurred_at=at,
            source="bench",
            type=OrderAction.PLACED,
            order_id=f"order-{number:08d}",
            order_version=1,
            accepted_at=at,
            customer_id=f"customer-{number % 5000}",
            lines=tuple(
                OrderLine(line_id=str(place), sku=sku, quantity=self._random.randint(1, UNITS_PER_LINE_MAX))
                for place, sku in enumerate(skus, 1)
            ),
        )

    def _receipt(self, number: int, units_max: int) -> InventoryScan:
        (sku,) = self._random.choices(self._skus, cum_weights=self._weights)
        return InventoryScan(
            event_id=f"r{number}-{self._random.getrandbits(48):012x}",
            occurred_at=_EPOCH + number * _STEP,
            source="bench",
            type=ScanType.RECEIVED,
            sku=sku,
            location=self._random.choice(LOCATIONS),
            quantity=self._random.randint(1, min(units_max, 2 * UNITS_PER_LINE_MAX)),
        )
