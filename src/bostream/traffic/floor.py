"""What goes wrong on the warehouse floor: counts that differ, damage, quarantine, transfers.

What must stay true: each deviation is told to the supply, so that what is lost is ordered again and what is found is
not.
"""

import functools
import random

import msgspec

from bostream.domain.sku.events import ScanType
from bostream.traffic.agenda import Agenda
from bostream.traffic.stock import Item, StockLedger
from bostream.traffic.supply import Supply

HOUR_US = 3_600_000_000


class FloorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How often something happens.

    Attributes:
        events_per_line: incidents for each order line placed.
        count_differs_share: of cycle counts.
        believed_share: of counts that do not say what the counter's system believed.
        scrapped_share: of quarantined units.
        back_after_us: mean time in quarantine, or on the way between warehouses.
    """

    events_per_line: float = 0.03
    count_differs_share: float = 0.2
    believed_share: float = 0.2
    scrapped_share: float = 0.2
    back_after_us: int = 3 * HOUR_US


class Floor:
    """Makes incidents on items that have stock.

    Args:
        agenda, ledger, supply: the world.
        settings: how often.
        chance: owned by the floor from now on.
    """

    def __init__(
        self, agenda: Agenda, ledger: StockLedger, supply: Supply, settings: FloorSettings, chance: random.Random
    ) -> None:
        self._agenda = agenda
        self._ledger = ledger
        self._supply = supply
        self._settings = settings
        self._chance = chance

    def after_lines(self, lines: int) -> None:
        """Let happen what happens while so many order lines are placed."""
        for _ in range(lines):
            if self._chance.random() < self._settings.events_per_line:
                self._incident()

    def recount(self, *, items_max: int, short_share: float, over_share: float) -> None:
        """Count many items at once, everywhere where stock should be, and find large differences.

        Args:
            items_max: how many items at most.
            short_share: of places that lack 20 to 80 % of their stock, at least one unit.
            over_share: of places that have as much too much.
        """
        everything = [item for item in self._ledger.items.values() if any(item.on_hand.values())]
        for item in self._chance.sample(everything, min(items_max, len(everything))):
            for location in [place for place, units in item.on_hand.items() if units > 0]:
                fate, part = self._chance.random(), self._chance.uniform(0.2, 0.8)
                size = max(1, round(part * item.on_hand[location]))
                change = -size if fate < short_share else size if fate < short_share + over_share else 0
                self._count(item, location, change, reason="recount")

    def _incident(self) -> None:
        item = self._ledger.any_item(self._chance)
        if item is None:
            return
        stocked = [place for place, units in item.on_hand.items() if units > 0]
        if not stocked:
            return
        location = self._chance.choice(stocked)
        kind = self._chance.choices((self._cycle_count, self._adjust, self._quarantine, self._transfer), (5, 2, 2, 3))[
            0
        ]
        kind(item, location)

    def _cycle_count(self, item: Item, location: str) -> None:
        change = 0
        if self._chance.random() < self._settings.count_differs_share:
            size = 1 + int(self._chance.expovariate(1.0))
            change = max(-item.on_hand[location], self._chance.choice((-size, size)))
        self._count(item, location, change, reason="cycle count")

    def _count(self, item: Item, location: str, change: int, *, reason: str) -> None:
        expected = item.on_hand[location]
        believed = self._chance.random() < self._settings.believed_share
        self._ledger.scan(
            item,
            ScanType.COUNTED,
            location,
            expected + change,
            expected=None if believed else expected,
            reason=reason,
        )
        self._supply.lost(item, -change)

    def _adjust(self, item: Item, location: str) -> None:
        change, reason = self._chance.choice(((-1, "damaged"), (-1, "lost"), (1, "found")))
        self._ledger.scan(item, ScanType.ADJUSTED, location, change, reason=reason, may_be_late=True)
        self._supply.lost(item, -change)

    def _quarantine(self, item: Item, location: str) -> None:
        units = min(item.on_hand[location], self._chance.randint(1, 3))
        self._ledger.scan(item, ScanType.QUARANTINED, location, units, reason="quality check")
        if self._chance.random() < self._settings.scrapped_share:
            self._supply.lost(item, units)
        else:
            back = functools.partial(self._ledger.scan, item, ScanType.UNQUARANTINED, location, units)
            self._agenda.after(self._delay(), back)

    def _transfer(self, item: Item, location: str) -> None:
        """Move units from the second home to the main one, which every order on the SKU allows; else count."""
        target, source = item.homes[0], item.homes[-1]
        if source == target or item.on_hand.get(source, 0) <= 0:
            self._cycle_count(item, location)
            return
        units = self._chance.randint(1, item.on_hand[source])
        self._ledger.scan(item, ScanType.TRANSFERRED_OUT, source, units, reason=f"to {target}")
        arrive = functools.partial(self._ledger.scan, item, ScanType.TRANSFERRED_IN, target, units)
        self._agenda.after(self._delay(), arrive)

    def _delay(self) -> float:
        return self._settings.back_after_us * self._chance.uniform(0.5, 1.5)
