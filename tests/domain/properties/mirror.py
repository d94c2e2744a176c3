"""What a reader of the facts knows: running totals, and who stands where in the queue, added up from nothing but them.

The mirror never decides anything. It repeats what the facts say, so that a property can ask at each fact: should this
line have been the next?
"""

from collections import defaultdict
from dataclasses import dataclass, field

from bostream.audit.reference_line import LineKey, ReferenceLine
from bostream.audit.reference_movement import Movement, MovementType
from bostream.domain.sku.events import DemandChanged, SkuEvent, StockScanned
from tests.domain.properties.subject import Subject


@dataclass
class Mirror:
    """One SKU as its facts tell it.

    Attributes:
        lines: entries from the events, units from the facts.
        is_blurred: a scan that had waited for a line raised its demand; facts do not tell with which seniority.
    """

    sku: str
    lines: dict[LineKey, ReferenceLine] = field(default_factory=dict)
    is_blurred: bool = False
    _growth: list[tuple[ReferenceLine, int, int]] = field(default_factory=list)

    def expect(self, event: SkuEvent, subject: Subject) -> None:
        """Take the terms and the growth of demand from an event that the subject has handled already."""
        if isinstance(event, DemandChanged):
            for demand in event.lines:
                key = (event.order_id, demand.line_id)
                line = self.lines.setdefault(key, ReferenceLine(*key, event.terms))
                line.terms = event.terms
                self._grow(line, demand.seniority, subject, most=demand.add)
        elif isinstance(event, StockScanned) and event.order_id and event.line_id:
            line_or_none = self.lines.get((event.order_id, event.line_id))
            if line_or_none is not None:
                seniority = max(event.cause.occurred_at, line_or_none.terms.accepted_at)
                self._grow(line_or_none, seniority, subject, most=event.quantity)

    def _grow(self, line: ReferenceLine, seniority: int, subject: Subject, *, most: int) -> None:
        after = subject.line(self.sku, *line.key)
        growth = 0 if after is None else after.ordered - line.ordered
        self.is_blurred |= growth > most
        if growth > 0:
            self._growth.append((line, growth, seniority))

    def note(self, fact: Movement) -> None:
        """Repeat a fact. Demand grows after units were cancelled and before units are given (see the reference)."""
        if fact.type is MovementType.ALLOCATED:
            self.settle()
        line = self.lines[fact.order_id, fact.line_id]
        allocated, picked = line.allocated, line.picked
        match fact.type:
            case MovementType.ALLOCATED:
                _move(allocated, fact.location, fact.quantity)
            case MovementType.DEALLOCATED:
                _move(allocated, fact.location, -fact.quantity)
            case MovementType.PICKED:
                _move(picked, fact.location, fact.quantity)
            case MovementType.UNPICKED:
                _move(picked, fact.location, -fact.quantity)
            case MovementType.SHIPPED:
                _move(picked, fact.location, -min(fact.quantity, picked.get(fact.location, 0)))
                _move(allocated, fact.location, -fact.quantity)
                line.shipped += fact.quantity
            case MovementType.CANCELLED:
                line.shrink(fact.quantity)

    def settle(self) -> None:
        """Let the demand grow that the event brought."""
        for line, growth, seniority in self._growth:
            line.add(growth, seniority)
        self._growth.clear()

    def allocated(self) -> dict[str, int]:
        """Return the sums over all lines, by location."""
        return self._sums("allocated")

    def picked(self) -> dict[str, int]:
        """Return the sums over all lines, by location."""
        return self._sums("picked")

    def _sums(self, name: str) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        for line in self.lines.values():
            for location, units in getattr(line, name).items():
                sums[location] += units
        return sums


def _move(units: dict[str, int], location: str, change: int) -> None:
    units[location] = units.get(location, 0) + change
