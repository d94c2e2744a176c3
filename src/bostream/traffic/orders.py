"""The life of orders: placed, and some amended, cancelled, or told in the wrong order.

What must stay true: each document carries the whole order as it then stands, versions rise by one, and open demand is
told to the supply exactly: a line counts for what is wanted of it, or for what was shipped if that is more.
"""

import functools
import random

import msgspec

from bostream.contract.records import OrderEvent, OrderLine
from bostream.domain.documents.events import OrderAction
from bostream.domain.sku.events import ShipPolicy
from bostream.traffic.agenda import ORDERS, Agenda, Wire
from bostream.traffic.basket import Basket
from bostream.traffic.stock import StockLedger, share_of
from bostream.traffic.supply import Supply

HOUR_US = 3_600_000_000


class LifeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is made around a basket. Shares are of orders.

    Attributes:
        amended_share: changed once or twice within ``change_within_us``.
        cancelled_share: cancelled within ``change_within_us``.
        cancelled_first_share: the cancellation overtakes the order.
        restricted_share: may be served from some warehouses only: the main homes of its SKUs.
        line_complete_share: each line ships complete.
        need_by_share: has a date.
        urgent_share, very_urgent_share: priority 3 and priority 1 instead of 5.
        gold_share, silver_share: of customers; the others are STANDARD.
        remember_us: for how long changed orders are kept, to account for what still ships.
    """

    amended_share: float = 0.04
    cancelled_share: float = 0.02
    cancelled_first_share: float = 0.005
    change_within_us: int = 8 * HOUR_US
    restricted_share: float = 0.10
    line_complete_share: float = 0.08
    need_by_share: float = 0.30
    urgent_share: float = 0.08
    very_urgent_share: float = 0.02
    gold_share: float = 0.10
    silver_share: float = 0.30
    remember_us: int = 72 * HOUR_US


UNCHANGED = LifeSettings(amended_share=0.0, cancelled_share=0.0, cancelled_first_share=0.0)
"""Orders stay as they were placed."""


class LiveOrder(msgspec.Struct, eq=False):
    """An order whose documents are still being written.

    ``lines``: line id -> (SKU, wanted). ``shipped`` and ``counted``: (line id, SKU) -> units shipped, and units that
    the supply was told of.
    """

    order_id: str
    accepted_at: int
    customer_id: str
    tier: str
    channel: str
    priority: int
    need_by: int | None
    ship_policy: ShipPolicy
    locations: tuple[str, ...]
    lines: dict[str, tuple[str, int]]
    version: int = 0
    shipped: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    counted: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    cancelled: bool = False


class Orders:
    """Turns baskets into order documents.

    Args:
        agenda, wire, ledger, supply: the world.
        settings: what is made.
        chance: owned by the orders from now on.
        run_id: put before each basket id.
    """

    def __init__(
        self,
        *,
        agenda: Agenda,
        wire: Wire,
        ledger: StockLedger,
        supply: Supply,
        settings: LifeSettings,
        chance: random.Random,
        run_id: str,
    ) -> None:
        self._agenda = agenda
        self._wire = wire
        self._ledger = ledger
        self._supply = supply
        self._settings = settings
        self._chance = chance
        self._run_id = run_id
        self._watched: dict[str, LiveOrder] = {}

    def place(self, basket: Basket) -> None:
        """Place one order now, and plan what happens to it later."""
        settings, fate = self._settings, self._chance.random()
        order = self._order(basket)
        for sku, _ in basket.lines:
            self._supply.item(sku)
        if fate < settings.cancelled_first_share:
            self._cancelled_first(order)
            return
        self._count(order)
        self._write(order, OrderAction.PLACED)
        fate -= settings.cancelled_first_share
        if fate < settings.cancelled_share + settings.amended_share:
            self._watched[order.order_id] = order
            self._agenda.after(settings.remember_us, functools.partial(self._forget, order.order_id))
            change = self._cancel if fate < settings.cancelled_share else self._amend
            self._agenda.after(self._moment(), functools.partial(change, order))

    def is_cancelled(self, order_id: str) -> bool:
        """Tell whether an order was cancelled lately."""
        order = self._watched.get(order_id)
        return order is not None and order.cancelled

    def shipped(self, order_id: str, line_id: str, sku: str, units: int) -> None:
        """Note that units of a line left."""
        order = self._watched.get(order_id)
        if order is not None:
            line = (line_id, sku)
            order.shipped[line] = order.shipped.get(line, 0) + units
            self._count(order)

    def _forget(self, order_id: str) -> None:
        self._watched.pop(order_id, None)

    # --- documents

    def _order(self, basket: Basket) -> LiveOrder:
        settings, chance = self._settings, self._chance
        tier, urgency = share_of(basket.customer_id, "tier"), chance.random()
        restricted = chance.random() < settings.restricted_share
        lines = {str(number): line for number, line in enumerate(basket.lines, start=1)}
        return LiveOrder(
            order_id=f"{self._run_id}-{basket.basket_id}",
            accepted_at=basket.at,
            customer_id=basket.customer_id,
            tier="GOLD"
            if tier < settings.gold_share
            else "SILVER"
            if tier < settings.gold_share + settings.silver_share
            else "STANDARD",
            channel=basket.channel,
            priority=1
            if urgency < settings.very_urgent_share
            else 3
            if urgency < settings.very_urgent_share + settings.urgent_share
            else 5,
            need_by=basket.at + chance.randint(24, 24 * 7) * HOUR_US
            if chance.random() < settings.need_by_share
            else None,
            ship_policy=ShipPolicy.LINE_COMPLETE
            if chance.random() < settings.line_complete_share
            else ShipPolicy.PARTIAL,
            locations=self._main_homes(lines) if restricted else (),
            lines=lines,
        )

    def _main_homes(self, lines: dict[str, tuple[str, int]]) -> tuple[str, ...]:
        """All supply reaches a SKU's main home in part, so a line allowed there is served in the end."""
        return tuple(dict.fromkeys(self._ledger.homes(sku)[0] for sku, _ in lines.values()))

    def _write(self, order: LiveOrder, action: OrderAction) -> None:
        order.version += 1
        whole = action is not OrderAction.CANCELLED
        record = OrderEvent(
            event_id=self._wire.next_id(),
            occurred_at=self._agenda.now,
            source="oms",
            type=action,
            order_id=order.order_id,
            order_version=order.version,
            accepted_at=order.accepted_at if whole else None,
            customer_id=order.customer_id,
            customer_tier=order.tier,
            channel=order.channel,
            priority=order.priority,
            need_by=order.need_by,
            ship_policy=order.ship_policy,
            locations=order.locations,
            lines=tuple(
                OrderLine(line_id=line_id, sku=sku, quantity=wanted) for line_id, (sku, wanted) in order.lines.items()
            )
            if whole
            else (),
        )
        self._wire.send(ORDERS, order.order_id, record, may_be_late=True)

    def _cancelled_first(self, order: LiveOrder) -> None:
        order.version = 1
        self._write(order, OrderAction.CANCELLED)
        order.version = 0
        self._agenda.after(
            self._chance.random() * HOUR_US / 10, functools.partial(self._write, order, OrderAction.PLACED)
        )

    # --- changes

    def _cancel(self, order: LiveOrder) -> None:
        order.cancelled = True
        self._write(order, OrderAction.CANCELLED)
        self._count(order)

    def _amend(self, order: LiveOrder) -> None:
        line_id = self._chance.choice(list(order.lines))
        sku, wanted = order.lines[line_id]
        kinds = [self._raise, self._change_sku, self._add_line, self._reprioritise]
        if wanted > 1:
            # Baskets mostly ask for single units, which cannot be lowered: make up for it where it can be done.
            kinds += [self._lower] * 6
        if len(order.lines) > 1:
            kinds += [self._remove, self._zero]
        self._chance.choice(kinds)(order, line_id, sku, wanted)
        if order.locations:
            order.locations = self._main_homes(order.lines)
        self._write(order, OrderAction.AMENDED)
        self._count(order)
        if self._chance.random() < _AMENDED_AGAIN:
            self._agenda.after(self._moment(), functools.partial(self._amend, order))

    def _raise(self, order: LiveOrder, line_id: str, sku: str, wanted: int) -> None:
        order.lines[line_id] = (sku, wanted + self._chance.randint(1, 3))

    def _lower(self, order: LiveOrder, line_id: str, sku: str, wanted: int) -> None:
        order.lines[line_id] = (sku, self._chance.randint(1, wanted - 1))

    def _remove(self, order: LiveOrder, line_id: str, _sku: str, _wanted: int) -> None:
        del order.lines[line_id]

    def _zero(self, order: LiveOrder, line_id: str, sku: str, _wanted: int) -> None:
        order.lines[line_id] = (sku, 0)

    def _change_sku(self, order: LiveOrder, line_id: str, sku: str, wanted: int) -> None:
        order.lines[line_id] = (self._another_sku(order, sku), max(1, wanted))

    def _add_line(self, order: LiveOrder, _line_id: str, sku: str, _wanted: int) -> None:
        order.lines[f"{order.version + 1}-added"] = (self._another_sku(order, sku), 1)

    def _reprioritise(self, order: LiveOrder, _line_id: str, _sku: str, _wanted: int) -> None:
        order.priority = self._chance.choice((1, 3, 5, 7))

    def _another_sku(self, order: LiveOrder, sku: str) -> str:
        """Return some SKU that is ordered here already in some basket, and not in this order."""
        taken = {known for known, _ in order.lines.values()}
        for _ in range(_TRIES_MAX):
            item = self._ledger.any_item(self._chance)
            if item is not None and item.managed and item.sku not in taken:
                return item.sku
        return sku

    def _moment(self) -> float:
        """Most changes come soon."""
        return self._settings.change_within_us * (0.02 + 0.98 * self._chance.random() ** 2)

    def _count(self, order: LiveOrder) -> None:
        """Tell the supply by how much the demand of each line changed."""
        wanted = {(line_id, sku): units for line_id, (sku, units) in order.lines.items()} if not order.cancelled else {}
        for line in {**order.counted, **wanted}:
            units = max(wanted.get(line, 0), order.shipped.get(line, 0))
            change = units - order.counted.get(line, 0)
            if change:
                order.counted[line] = units
                item = self._supply.item(line[1])
                self._supply.demand(item, change, at_main_home=bool(order.locations))


_AMENDED_AGAIN = 0.25
_TRIES_MAX = 20
