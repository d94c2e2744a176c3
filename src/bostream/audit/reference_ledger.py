"""The numbers of the reference allocator, and the only places where units move.

What must stay true: every movement of units is told as one fact, with the totals after it (I11), and what is kept
beside the lines (sums per location, places in the queue, when a line closed) agrees with them.
"""

import bisect

from bostream.audit.reference_line import LineKey, ReferenceLine, Turn
from bostream.audit.reference_movement import Movement, MovementType
from bostream.audit.reference_stock import ReferenceStock
from bostream.domain.sku.outcomes import Reason


class ReferenceLedger:
    """Stock and lines of one SKU.

    Attributes:
        stock: every location that was ever named.
        lines: every line that is known, closed ones included until they are forgotten.
        turns: the places in the queue of the lines that wait, as the lines themselves state them.
        queue: all these places in rank order.
        closed_at: log time at which a line closed (µs), oldest first.
        movements: the facts since the caller last emptied it.
        sequence: number of facts so far.
        log_time: of the event being handled (µs).
    """

    def __init__(self) -> None:
        self.stock: dict[str, ReferenceStock] = {}
        self.lines: dict[LineKey, ReferenceLine] = {}
        self.turns: dict[LineKey, list[Turn]] = {}
        self.queue: list[Turn] = []
        self.closed_at: dict[LineKey, int] = {}
        self.movements: list[Movement] = []
        self.sequence = 0
        self.log_time = 0

    def allocate(self, line: ReferenceLine, location: str, quantity: int, reason: Reason) -> None:
        """Units at the location become the line's, whether or not they are free."""
        line.allocated[location] = line.allocated.get(location, 0) + quantity
        self.at(location).allocated += quantity
        self._tell(MovementType.ALLOCATED, line, location, quantity, reason)

    def deallocate(self, line: ReferenceLine, location: str, quantity: int, reason: Reason) -> None:
        """Unpicked units of the line are its own no more."""
        _lower(line.allocated, location, quantity)
        self.at(location).allocated -= quantity
        self._tell(MovementType.DEALLOCATED, line, location, quantity, reason)

    def pick(self, line: ReferenceLine, location: str, quantity: int) -> None:
        """Allocated units are off the shelf."""
        line.picked[location] = line.picked.get(location, 0) + quantity
        self.at(location).picked += quantity
        self._tell(MovementType.PICKED, line, location, quantity, Reason.SCANNED)

    def unpick(self, line: ReferenceLine, location: str, quantity: int) -> None:
        """Picked units are back on the shelf, still the line's."""
        _lower(line.picked, location, quantity)
        self.at(location).picked -= quantity
        self._tell(MovementType.UNPICKED, line, location, quantity, Reason.SCANNED)

    def ship(self, line: ReferenceLine, location: str, quantity: int) -> None:
        """Units leave, picked ones first; unwanted units that left count as shipped (R12)."""
        stock = self.at(location)
        picked = min(quantity, line.picked.get(location, 0))
        _lower(line.picked, location, picked)
        _lower(line.allocated, location, quantity)
        stock.picked -= picked
        stock.allocated -= quantity
        stock.on_hand -= quantity
        line.shipped += quantity
        line.unwanted = min(line.unwanted, line.picked_total)
        self._tell(MovementType.SHIPPED, line, location, quantity, Reason.SCANNED)

    def cancel(self, line: ReferenceLine, quantity: int, reason: Reason) -> None:
        """Waiting units vanish."""
        line.shrink(quantity)
        self._tell(MovementType.CANCELLED, line, "", quantity, reason)

    def _tell(self, kind: MovementType, line: ReferenceLine, location: str, quantity: int, reason: Reason) -> None:
        self.sequence += 1
        stock = self.stock[location] if location else ReferenceStock()
        self.movements.append(
            Movement(
                sku_sequence=self.sequence,
                type=kind,
                order_id=line.order_id,
                line_id=line.line_id,
                location=location,
                quantity=quantity,
                reason=reason,
                totals=line.totals(),
                on_hand_after=stock.on_hand,
                available_after=max(0, stock.free),
            )
        )

    def touch(self, line: ReferenceLine) -> None:
        """The line changed: its places in the queue are these now, and it may have closed or opened again."""
        for turn in self.turns.pop(line.key, []):
            del self.queue[bisect.bisect_left(self.queue, turn)]
        turns = line.turns()
        if turns:
            self.turns[line.key] = turns
        for turn in turns:
            bisect.insort(self.queue, turn)
        if not line.is_closed:
            self.closed_at.pop(line.key, None)
        elif line.key not in self.closed_at:
            self.closed_at[line.key] = self.log_time

    def at(self, location: str) -> ReferenceStock:
        """Return the stock of a location; it is known from now on."""
        return self.stock.setdefault(location, ReferenceStock())


def _lower(units: dict[str, int], location: str, quantity: int) -> None:
    """Take units away; a location without units is not listed."""
    if quantity > 0:
        units[location] -= quantity
        if units[location] == 0:
            del units[location]
