"""One order line as the reference allocator sees it: plain numbers, everything else derived from them.

What must stay true: ``ordered == allocated + shipped + cancelled + waiting`` (I3) and ``0 <= picked <= allocated`` at
every location (I2). Units that the line has fill its entries best first, so that what waits is always its tail (R5).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from bostream.domain.sku.events import ShipPolicy, Terms

Rank = tuple[int, int, str, str]
"""(priority, seniority, order id, line id): smaller is served earlier; no two waiting entries are equal (R1)."""

LineKey = tuple[str, str]
"""(order id, line id)."""


class Turn(NamedTuple):
    """One place in the queue: ``units`` wait at ``rank``; ``whole``: all of them or nothing (R9)."""

    rank: Rank
    units: int
    whole: bool

    @property
    def key(self) -> LineKey:
        """Which line it belongs to."""
        return self.rank[2:]


@dataclass(frozen=True, slots=True)
class LineTotals:
    """The published totals of a line."""

    ordered: int
    allocated: int
    picked: int
    shipped: int
    cancelled: int
    waiting: int


@dataclass(slots=True)
class ReferenceLine:
    """The state of one line.

    Attributes:
        entries: demand by seniority, the lower the better (R5); shipped units are part of it, cancelled ones are not.
        allocated, picked: units by location; picked ones are also allocated ones.
        unwanted: picked units that were cancelled after picking and have not come back yet (R12).
        locations: the allowed ones, in order of preference; empty = any (R8).
    """

    order_id: str
    line_id: str
    terms: Terms
    entries: dict[int, int] = field(default_factory=dict)
    allocated: dict[str, int] = field(default_factory=dict)
    picked: dict[str, int] = field(default_factory=dict)
    ordered: int = 0
    shipped: int = 0
    cancelled: int = 0
    unwanted: int = 0

    @property
    def key(self) -> LineKey:
        """Return (order id, line id)."""
        return self.order_id, self.line_id

    @property
    def allocated_total(self) -> int:
        """Units that are the line's and have not left."""
        return sum(self.allocated.values())

    @property
    def picked_total(self) -> int:
        """Units of it that are off the shelf."""
        return sum(self.picked.values())

    @property
    def waiting(self) -> int:
        """Units wanted that the line does not have."""
        return sum(self.entries.values()) - self.shipped - self.allocated_total

    @property
    def is_closed(self) -> bool:
        """Nothing waits and nothing is here any more."""
        return self.allocated_total == 0 and self.waiting == 0

    def unpicked(self, location: str) -> int:
        """Units of the line at a location that rules may take back."""
        return self.allocated.get(location, 0) - self.picked.get(location, 0)

    def allows(self, location: str) -> bool:
        """Whether the line may be served from this location (R8)."""
        return not self.terms.locations or location in self.terms.locations

    def totals(self) -> LineTotals:
        """Return what is published of the line."""
        return LineTotals(
            self.ordered, self.allocated_total, self.picked_total, self.shipped, self.cancelled, self.waiting
        )

    def rank(self, seniority: int) -> Rank:
        """Return the rank of one of its entries (R1): by default PRIORITY, then ACCEPTED_AT."""
        return self.terms.priority, seniority, self.order_id, self.line_id

    def add(self, quantity: int, seniority: int) -> None:
        """Want more: an entry of its own, or more of the entry that has the same rank (R5)."""
        self.entries[seniority] = self.entries.get(seniority, 0) + quantity
        self.ordered += quantity

    def shrink(self, quantity: int) -> None:
        """Want less: waiting units vanish, worst entry first (R5, R12)."""
        self.cancelled += quantity
        for seniority in sorted(self.entries, reverse=True):
            taken = min(quantity, self.entries[seniority])
            self.entries[seniority] -= taken
            quantity -= taken
            if self.entries[seniority] == 0:
                del self.entries[seniority]

    def waiting_entries(self) -> list[tuple[int, int]]:
        """Return (seniority, waiting units) of the entries that wait, best first (R5)."""
        had = self.shipped + self.allocated_total
        waiting = []
        for seniority in sorted(self.entries):
            filled = min(had, self.entries[seniority])
            had -= filled
            if filled < self.entries[seniority]:
                waiting.append((seniority, self.entries[seniority] - filled))
        return waiting

    def worst_filled_entry(self) -> tuple[int, int]:
        """Return (seniority, units) of the worst entry that has units: what the line loses, it loses there (R5)."""
        had = self.shipped + self.allocated_total
        worst = (0, 0)
        for seniority in sorted(self.entries):
            filled = min(had, self.entries[seniority])
            had -= filled
            if filled > 0:
                worst = (seniority, filled)
        return worst

    def turns(self) -> list[Turn]:
        """Return the line's places in the queue, best first.

        R9: PARTIAL has a place for each waiting entry; LINE_COMPLETE one, for all that it waits for, at the rank of its
        worst waiting entry.
        """
        waiting = self.waiting_entries()
        if waiting and self.terms.ship_policy is not ShipPolicy.PARTIAL:
            return [Turn(self.rank(waiting[-1][0]), self.waiting, whole=True)]
        return self.turns_as_partial()

    def turns_as_partial(self) -> list[Turn]:
        """Return a place for each waiting entry whatever the policy: promises count all lines as PARTIAL (R17)."""
        return [Turn(self.rank(seniority), units, whole=False) for seniority, units in self.waiting_entries()]
