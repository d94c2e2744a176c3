"""Picks and ships what was allocated: the only part of the traffic that listens to the allocator.

What must stay true: what happens to a line's units depends on the settings and the names of the allocation alone, not
on when it was heard of; units that were taken back before their pick are not picked. Without feedback there are no
picks and ships, and the stream is a function of its settings.
"""

import collections
import functools
import random
from typing import Protocol

import msgspec

from bostream.domain.sku.events import ScanType
from bostream.traffic.agenda import Agenda
from bostream.traffic.orders import Orders
from bostream.traffic.stock import StockLedger
from bostream.traffic.supply import Supply

HOUR_US = 3_600_000_000


class Allocation(Protocol):
    """What is read of a record of the topic ``allocations``; the public record fits."""

    @property
    def type(self) -> str:
        """ALLOCATED, DEALLOCATED, …; only these two matter here."""

    @property
    def order_id(self) -> str:
        """The order."""

    @property
    def line_id(self) -> str:
        """Its line."""

    @property
    def sku(self) -> str:
        """What."""

    @property
    def location(self) -> str:
        """Where."""

    @property
    def quantity(self) -> int:
        """How many units."""

    @property
    def sku_sequence(self) -> int:
        """Number of this record among the SKU's."""


class FulfilmentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the floor works. Shares are of allocations.

    Attributes:
        pick_after_us, ship_after_us: mean delays, from the allocation and from the pick.
        split_share: picked in two parts.
        unscanned_share: shipped without a pick scan.
        shorted_share: the picker finds one unit less.
        unpicked_share: put back on the shelf and picked again.
        unpicked_when_cancelled_share: of picked units of cancelled orders; the others ship all the same.
        returned_share: comes back sellable within ``return_within_us``.
    """

    pick_after_us: int = HOUR_US // 2
    ship_after_us: int = HOUR_US // 2
    split_share: float = 0.03
    unscanned_share: float = 0.02
    shorted_share: float = 0.005
    unpicked_share: float = 0.005
    unpicked_when_cancelled_share: float = 0.5
    returned_share: float = 0.01
    return_within_us: int = 24 * HOUR_US


class Pick(msgspec.Struct, eq=False):
    """One allocation on its way through the floor."""

    order_id: str
    line_id: str
    sku: str
    location: str
    units: int
    chance: random.Random


class Fulfilment:
    """Schedules the scans that follow from allocations.

    Args:
        agenda, ledger, supply, orders: the world.
        settings: how the floor works.
        seed: with the allocation's names it decides each unit's fate.
    """

    def __init__(
        self,
        *,
        agenda: Agenda,
        ledger: StockLedger,
        supply: Supply,
        orders: Orders,
        settings: FulfilmentSettings,
        seed: int,
    ) -> None:
        self._agenda = agenda
        self._ledger = ledger
        self._supply = supply
        self._orders = orders
        self._settings = settings
        self._seed = seed
        self._to_pick: dict[tuple[str, str, str, str], int] = {}
        self._heard: collections.deque[Allocation] = collections.deque()

    def on_allocation(self, event: Allocation) -> None:
        """Hear of one allocation event, in the order of the topic; may be called from another thread."""
        self._heard.append(event)

    def take_heard(self) -> None:
        """Schedule what was heard since the last call; called by the stream between two entries."""
        while self._heard:
            event = self._heard.popleft()
            if event.type == "ALLOCATED":
                self._allocated(event)
            elif event.type == "DEALLOCATED":
                place = (event.order_id, event.line_id, event.sku, event.location)
                if place in self._to_pick:
                    self._to_pick[place] = max(0, self._to_pick[place] - event.quantity)

    def _allocated(self, event: Allocation) -> None:
        settings = self._settings
        names = f"{self._seed}/{event.order_id}/{event.line_id}/{event.sku}/{event.sku_sequence}"
        chance = random.Random(names)
        place = (event.order_id, event.line_id, event.sku, event.location)
        self._to_pick[place] = self._to_pick.get(place, 0) + event.quantity
        first = event.quantity // 2 if chance.random() < settings.split_share else 0
        for units, part_chance in (
            (first, random.Random(f"{names}/first") if first else chance),
            (event.quantity - first, chance),
        ):
            if units:
                pick = Pick(event.order_id, event.line_id, event.sku, event.location, units, part_chance)
                delay = settings.pick_after_us * part_chance.uniform(0.4, 1.6)
                self._agenda.after(delay, functools.partial(self._pick, pick))

    def _pick(self, pick: Pick) -> None:
        settings = self._settings
        if not self._still_there(pick):
            return
        if pick.chance.random() < settings.shorted_share:
            self._short(pick)
        if not pick.units:
            return
        if pick.chance.random() >= settings.unscanned_share:
            self._scan(pick, ScanType.PICKED)
            if pick.chance.random() < settings.unpicked_share:
                self._agenda.after(settings.ship_after_us / 4, functools.partial(self._scan, pick, ScanType.UNPICKED))
                self._agenda.after(settings.ship_after_us / 3, functools.partial(self._pick_again, pick))
                return
        self._ship_later(pick)

    def _still_there(self, pick: Pick) -> bool:
        """Take what may still be picked; units given back since the allocation are gone."""
        place = (pick.order_id, pick.line_id, pick.sku, pick.location)
        allowed = self._to_pick.get(place, 0)
        pick.units = min(pick.units, allowed)
        if allowed > pick.units:
            self._to_pick[place] = allowed - pick.units
        else:
            self._to_pick.pop(place, None)
        return pick.units > 0

    def _pick_again(self, pick: Pick) -> None:
        if not self._orders.is_cancelled(pick.order_id):
            self._scan(pick, ScanType.PICKED)
            self._ship_later(pick)

    def _short(self, pick: Pick) -> None:
        pick.units -= 1
        self._scan(pick, ScanType.SHORTED, units=1)
        self._supply.lost(self._supply.item(pick.sku), 1)

    def _ship_later(self, pick: Pick) -> None:
        delay = self._settings.ship_after_us * pick.chance.uniform(0.4, 1.6)
        self._agenda.after(delay, functools.partial(self._ship, pick))

    def _ship(self, pick: Pick) -> None:
        settings = self._settings
        if self._orders.is_cancelled(pick.order_id) and pick.chance.random() < settings.unpicked_when_cancelled_share:
            self._scan(pick, ScanType.UNPICKED)
            return
        self._scan(pick, ScanType.SHIPPED)
        self._orders.shipped(pick.order_id, pick.line_id, pick.sku, pick.units)
        if pick.chance.random() < settings.returned_share:
            delay = settings.return_within_us * pick.chance.random()
            self._agenda.after(delay, functools.partial(self._return, pick))

    def _return(self, pick: Pick) -> None:
        self._ledger.scan(
            self._supply.item(pick.sku), ScanType.RETURNED, pick.location, pick.units, reason="customer return"
        )
        self._supply.lost(self._supply.item(pick.sku), -pick.units)

    def _scan(self, pick: Pick, type_: ScanType, *, units: int | None = None) -> None:
        self._ledger.scan(
            self._supply.item(pick.sku),
            type_,
            pick.location,
            pick.units if units is None else units,
            order_id=pick.order_id,
            line_id=pick.line_id,
        )
