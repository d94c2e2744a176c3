"""Supply: each SKU is kept at a base-stock level by notices, late and imperfect as suppliers are.

What must stay true: every unit that demand takes, or that is lost, is ordered again, once; so the backlog stays bounded
as long as suppliers deliver. No clairvoyance: a forecast may know the mean demand of a SKU (the model) or learn it from
the demand seen so far (the dataset), never the orders to come.
"""

import functools
import random

import msgspec

from bostream.contract.records import AsnEvent, AsnLine
from bostream.domain.documents.events import AsnAction
from bostream.domain.sku.events import ScanType
from bostream.traffic.agenda import ASNS, Agenda, Wire
from bostream.traffic.replenishment import Forecast, base_stock, poisson
from bostream.traffic.stock import Item, StockLedger

HOUR_US = 3_600_000_000


class SupplySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How well the world is supplied. Shares are probabilities per notice unless said otherwise.

    Attributes:
        fill_target: wanted probability that a unit is there at once.
        lead_time_us: mean time from the order to the supplier to the stated ETA.
        lead_time_spread: sigma of its lognormal distribution.
        review_us: how often orders to suppliers are bundled.
        suppliers: how many there are.
        lines_max: most lines on one notice.
        slip_share: the ETA moves back, announced by AMENDED; up to ``slips_max`` times.
        slip_us: mean of one slip.
        planned_delay_us: what planners add to the lead time for slips; they do not know a bad season beforehand.
        amended_share: the quantity of one line is changed by AMENDED.
        cancelled_share: the supplier cancels; the units are ordered anew.
        unannounced_share: receipts come without any notice.
        announced_late_share: the notice comes after its receipts.
        short_share, over_share, split_share: per line: too few or too many units, or two receipts.
        elsewhere_share: per line: received at the SKU's other home.
    """

    fill_target: float = 0.90
    lead_time_us: int = 6 * HOUR_US
    lead_time_spread: float = 0.3
    review_us: int = HOUR_US
    suppliers: int = 6
    lines_max: int = 40
    slip_share: float = 0.15
    slips_max: int = 2
    slip_us: int = 2 * HOUR_US
    planned_delay_us: int = HOUR_US // 2
    amended_share: float = 0.03
    cancelled_share: float = 0.01
    unannounced_share: float = 0.02
    announced_late_share: float = 0.01
    short_share: float = 0.02
    over_share: float = 0.02
    split_share: float = 0.15
    elsewhere_share: float = 0.01


class Notice(msgspec.Struct, eq=False):
    """One ASN on its way; ``lines``: line id -> (item, units). ``announced`` tells whether anybody was told."""

    asn_id: str
    supplier: str
    location: str
    eta: int
    promised_at: int
    lines: dict[str, tuple[Item, int]]
    version: int = 0
    announced: bool = False
    slips: int = 0


class Supply:
    """Keeps the items at their base-stock level.

    Args:
        agenda, wire, ledger: the world.
        settings: how well.
        forecast: what planners know.
        chance: owned by the supply from now on.
        run_id: part of each ASN id.
    """

    def __init__(
        self,
        *,
        agenda: Agenda,
        wire: Wire,
        ledger: StockLedger,
        settings: SupplySettings,
        forecast: Forecast,
        chance: random.Random,
        run_id: str,
    ) -> None:
        self._agenda = agenda
        self._wire = wire
        self._ledger = ledger
        self._settings = settings
        self._forecast = forecast
        self._chance = chance
        self._run_id = run_id
        self._notices = 0
        self._touched: dict[str, Item] = {}

    def start(self) -> None:
        """Begin to review at regular times."""
        self._agenda.after(self._settings.review_us, self._review)

    def item(self, sku: str) -> Item:
        """Return the item of a SKU; one never seen before opens with stock and notices on their way.

        The opening state is drawn as if the policy had run for ever: units on order are Poisson with the mean demand of
        a lead time, the rest of the level lies on the shelf. It is drawn before the first order is looked at.
        """
        known = self._ledger.items.get(sku)
        if known is not None:
            return known
        item = self._ledger.add(sku)
        level = self._level(item)
        item.position = level
        on_order = min(level, poisson(self._chance, self._mean_demand(item)))
        self._count_in(item, level - on_order)
        if on_order:
            elapsed = self._chance.random() * self._settings.lead_time_us
            self._order(item.supplier, item.homes[0], [(item, on_order)], elapsed_us=elapsed)
        return item

    def demand(self, item: Item, units: int, *, at_main_home: bool = False) -> None:
        """Note a change of open demand (negative: cancelled); ``at_main_home``: no other warehouse may serve it."""
        item.position -= units
        if at_main_home:
            item.bound_to_main = max(0, item.bound_to_main + units)
        item.demanded += units
        self._touched[item.sku] = item

    def lost(self, item: Item, units: int) -> None:
        """Note units that left otherwise than to customers (negative: found)."""
        item.position -= units
        self._touched[item.sku] = item

    def order_unmanaged(self, item: Item, units: int, eta_us: int) -> None:
        """Order units of an item outside the policy, to arrive at a stated time."""
        item.position += units
        notice = self._notice(item.supplier, item.homes[0], [(item, units)], eta_us)
        self._announce(notice)
        self._agenda.at(eta_us, functools.partial(self._arrive, notice))

    # --- planning

    def _mean_demand(self, item: Item) -> float:
        """Units over the lead time, unloading, the mean wait for a review and the planned delay."""
        settings = self._settings
        exposed_us = (
            settings.lead_time_us * (1 + _UNLOADING_SHARE / 2) + settings.review_us / 2 + settings.planned_delay_us
        )
        return self._forecast.units_per_second(item, self._agenda.now) * exposed_us / 1e6

    def _level(self, item: Item) -> int:
        return base_stock(self._mean_demand(item), self._settings.fill_target, item.roll)

    def _review(self) -> None:
        lots: dict[tuple[str, str], list[tuple[Item, int]]] = {}
        for item in self._touched.values():
            if not item.managed:
                continue
            # What only the main home may serve is ordered for it, however much lies elsewhere.
            bound, item.bound_to_main = item.bound_to_main, 0
            missing = max(0, self._level(item) - item.position, bound)
            item.position += missing
            parts = dict(self._split_by_home(item, missing - bound))
            parts[item.homes[0]] = parts.get(item.homes[0], 0) + bound
            for home, units in parts.items():
                if units:
                    lots.setdefault((item.supplier, home), []).append((item, units))
        self._touched.clear()
        for (supplier, home), lot in lots.items():
            for start in range(0, len(lot), self._settings.lines_max):
                self._order(supplier, home, lot[start : start + self._settings.lines_max])
        self._agenda.after(self._settings.review_us, self._review)

    def _split_by_home(self, item: Item, units: int) -> list[tuple[str, int]]:
        """Most to the main home: it must get a share of all supply, since some orders allow no other."""
        if units == 0:
            return []
        if len(item.homes) == 1:
            return [(item.homes[0], units)]
        if units == 1:
            return [(item.homes[self._chance.random() < _SECOND_HOME_UNITS], 1)]
        second = int(units * _SECOND_HOME_UNITS)
        return [(home, part) for home, part in zip(item.homes, (units - second, second), strict=True) if part]

    # --- the life of a notice

    def _order(self, supplier: str, home: str, lot: list[tuple[Item, int]], *, elapsed_us: float = 0.0) -> None:
        settings, chance = self._settings, self._chance
        spread = settings.lead_time_spread
        lead_us = settings.lead_time_us * chance.lognormvariate(-spread * spread / 2, spread)
        eta = self._agenda.now + max(lead_us * _ANNOUNCED_AFTER, lead_us - elapsed_us)
        notice = self._notice(supplier, home, lot, int(eta))
        if chance.random() < settings.unannounced_share:
            self._agenda.at(eta, functools.partial(self._arrive, notice))
        elif chance.random() < settings.announced_late_share:
            self._agenda.at(eta, functools.partial(self._arrive, notice))
            self._agenda.at(eta + _UNLOADING_SHARE * settings.lead_time_us, functools.partial(self._announce, notice))
        else:
            delay = max(0.0, lead_us * _ANNOUNCED_AFTER - elapsed_us)
            self._agenda.after(delay, functools.partial(self._set_out, notice))

    def _notice(self, supplier: str, home: str, lot: list[tuple[Item, int]], eta: int) -> Notice:
        self._notices += 1
        lines = {str(number): entry for number, entry in enumerate(lot, start=1)}
        return Notice(f"{self._run_id}-asn-{self._notices}", supplier, home, eta, eta, lines)

    def _set_out(self, notice: Notice) -> None:
        settings, chance = self._settings, self._chance
        self._announce(notice)
        left_us = notice.eta - self._agenda.now
        if chance.random() < settings.cancelled_share:
            self._agenda.after(chance.random() * left_us, functools.partial(self._cancel, notice))
            return
        if chance.random() < settings.amended_share:
            self._agenda.after(chance.random() * left_us / 2, functools.partial(self._amend, notice))
        self._go_on(notice, settings.slip_share)

    def _go_on(self, notice: Notice, slip_share: float) -> None:
        """Arrive at the ETA, or slip shortly before it."""
        left_us = notice.eta - self._agenda.now
        if notice.slips < self._settings.slips_max and self._chance.random() < slip_share:
            self._agenda.after(self._chance.uniform(0.5, 0.95) * left_us, functools.partial(self._slip, notice))
        else:
            jitter = self._chance.uniform(-_ARRIVAL_JITTER, _ARRIVAL_JITTER) * self._settings.lead_time_us
            self._agenda.at(notice.eta + jitter, functools.partial(self._arrive, notice))

    def _announce(self, notice: Notice) -> None:
        notice.announced = True
        self._tell(notice, AsnAction.ANNOUNCED)

    def _slip(self, notice: Notice) -> None:
        notice.slips += 1
        notice.eta += int(self._chance.uniform(0.5, 1.5) * self._settings.slip_us)
        self._tell(notice, AsnAction.AMENDED)
        # A notice that slipped once slips again half of the time, or as often as all do in a bad season.
        self._go_on(notice, max(0.5, self._settings.slip_share))

    def _amend(self, notice: Notice) -> None:
        line_id = self._chance.choice(list(notice.lines))
        item, units = notice.lines[line_id]
        changed = max(1, units + self._chance.choice((-2, -1, 1, 2)))
        notice.lines[line_id] = (item, changed)
        self.lost(item, units - changed)
        self._tell(notice, AsnAction.AMENDED)

    def _cancel(self, notice: Notice) -> None:
        self._tell(notice, AsnAction.CANCELLED)
        for item, units in notice.lines.values():
            self.lost(item, units)

    def _arrive(self, notice: Notice) -> None:
        if notice.announced:
            self._tell(notice, AsnAction.ARRIVED)
        unloading_us = _UNLOADING_SHARE * self._settings.lead_time_us
        for line_id, (item, units) in notice.lines.items():
            received = self._received(item, units)
            first = received // 2 if received > 1 and self._chance.random() < self._settings.split_share else 0
            for part in (first, received - first):
                if part:
                    receive = functools.partial(self._receive, notice, item, line_id, part)
                    self._agenda.after(self._chance.random() * unloading_us, receive)
        if notice.announced:
            self._agenda.after(2 * unloading_us, functools.partial(self._tell, notice, AsnAction.CLOSED))

    def _received(self, item: Item, units: int) -> int:
        """Return how many units really come, and correct the position by the difference."""
        if not item.managed:
            return units  # nobody would order the rest again
        chance, settings = self._chance.random(), self._settings
        error = max(1, units // 10)
        if chance < settings.short_share:
            received = units - error
        elif chance < settings.short_share + settings.over_share:
            received = units + error
        else:
            return units
        self.lost(item, units - received)
        return received

    def _receive(self, notice: Notice, item: Item, line_id: str, units: int) -> None:
        location = notice.location
        if len(item.homes) > 1 and self._chance.random() < self._settings.elsewhere_share:
            location = item.homes[1] if location == item.homes[0] else item.homes[0]
        named = notice.announced or self._chance.random() < _NAMED_BEFORE_ANNOUNCED
        self._ledger.scan(
            item,
            ScanType.RECEIVED,
            location,
            units,
            asn_id=notice.asn_id if named else None,
            asn_line_id=line_id if named else None,
            may_be_late=True,
        )

    def _count_in(self, item: Item, units: int) -> None:
        for location, part in self._split_by_home(item, units):
            self._ledger.scan(item, ScanType.COUNTED, location, part, expected=0, reason="opening count")

    def _tell(self, notice: Notice, action: AsnAction) -> None:
        notice.version += 1
        whole = action in {AsnAction.ANNOUNCED, AsnAction.AMENDED}
        record = AsnEvent(
            event_id=self._wire.next_id(),
            occurred_at=self._agenda.now,
            source="suppliers",
            type=action,
            asn_id=notice.asn_id,
            asn_version=notice.version,
            supplier_id=notice.supplier,
            location=notice.location,
            eta=notice.eta,
            supplier_promised_at=notice.promised_at,
            purchase_order=f"po-{notice.asn_id}",
            lines=tuple(
                AsnLine(line_id=line_id, sku=item.sku, quantity=units)
                for line_id, (item, units) in notice.lines.items()
            )
            if whole
            else (),
        )
        self._wire.send(ASNS, notice.asn_id, record)


_ANNOUNCED_AFTER = 0.1
"""Share of the lead time after which the supplier sends the notice."""

_UNLOADING_SHARE = 0.05
"""Unloading takes up to this share of the mean lead time."""

_ARRIVAL_JITTER = 0.05
"""The truck comes this share of the mean lead time early or late."""

_SECOND_HOME_UNITS = 0.4
"""Share of a SKU's supply that goes to its second home."""

_NAMED_BEFORE_ANNOUNCED = 0.5
"""Share of receipts that name their notice although nobody announced it yet."""
