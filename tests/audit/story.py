"""Short words for telling one SKU's story to the reference allocator, and for reading what it answers."""

import itertools

from bostream.audit.reference import ReferenceBook, ReferenceRules
from bostream.audit.reference_movement import Movement
from bostream.domain.cause import Cause
from bostream.domain.sku.events import (
    DemandChanged,
    DemandReason,
    InboundChanged,
    InboundLine,
    LineDemand,
    ScanType,
    ShipPolicy,
    SkuEvent,
    StockScanned,
    Terms,
)

SKU = "S"
LINE = "1"
SECOND = 1_000_000
DAY = 86_400 * SECOND


def at(clock: str) -> int:
    """Return the µs of an hour of the day, written as in the rules: ``09:10``."""
    hours, minutes = clock.split(":")
    return (int(hours) * 60 + int(minutes)) * 60 * SECOND


class Story:
    """A book that is told one event after the other, a second apart; answers with lines like ``ALLOCATED A 3 W1``."""

    def __init__(self, rules: ReferenceRules | None = None) -> None:
        self.book = ReferenceBook(SKU, rules or ReferenceRules())
        self.log_time = at("10:00")
        self.facts: list[Movement] = []
        self._numbers = itertools.count(1)

    def tell(self, event: SkuEvent) -> list[str]:
        self.log_time += SECOND
        self.facts = self.book.apply(event, self.log_time)
        return [f"{f.type} {f.order_id} {f.quantity} {f.location}".strip() for f in self.facts]

    def wait(self, duration: int) -> None:
        self.log_time += duration

    def reasons(self) -> list[str]:
        """Return the reasons of the last event's facts."""
        return [fact.reason.value for fact in self.facts]

    # --- demand

    def place(
        self,
        order: str,
        quantity: int,
        *,
        priority: int = 5,
        accepted: str = "09:00",
        whole: bool = False,
        locations: tuple[str, ...] = (),
    ) -> list[str]:
        demand = LineDemand(LINE, add=quantity, seniority=at(accepted))
        return self.change(
            order,
            demand,
            reason=DemandReason.ORDER_PLACED,
            terms=terms(priority=priority, accepted=accepted, whole=whole, locations=locations),
        )

    def change(
        self,
        order: str,
        *lines: LineDemand,
        reason: DemandReason = DemandReason.ORDER_AMENDED,
        terms: Terms | None = None,
    ) -> list[str]:
        wanted = terms or Terms(order_version=1, accepted_at=at("09:00"))
        return self.tell(DemandChanged(self.cause(f"orders/{reason}"), SKU, order, reason, wanted, lines))

    def cancel(self, order: str, quantity: int | None = None, terms: Terms | None = None) -> list[str]:
        """Cancel so many units, or all that is open."""
        demand = LineDemand(LINE, ends=True) if quantity is None else LineDemand(LINE, cancel=quantity)
        reason = DemandReason.ORDER_CANCELLED if quantity is None else DemandReason.ORDER_AMENDED
        return self.change(order, demand, reason=reason, terms=terms)

    def raise_by(self, order: str, quantity: int, seniority: str, terms: Terms | None = None) -> list[str]:
        return self.change(order, LineDemand(LINE, add=quantity, seniority=at(seniority)), terms=terms)

    # --- stock

    def scan(
        self,
        kind: str,
        quantity: int,
        location: str = "W1",
        *,
        order: str | None = None,
        expected: int | None = None,
        asn: tuple[str, str] | None = None,
        event_id: str | None = None,
    ) -> list[str]:
        scan = StockScanned(
            self.cause(f"inventory-scans/{kind}", event_id),
            SKU,
            ScanType(kind),
            location,
            quantity,
            expected_quantity=expected,
            order_id=order,
            line_id=None if order is None else LINE,
            asn_id=asn[0] if asn else None,
            asn_line_id=asn[1] if asn else None,
        )
        return self.tell(scan)

    def announce(self, asn: str, eta: str, *quantities: int, location: str = "W1", closed: bool = False) -> list[str]:
        lines = tuple(InboundLine(str(number), quantity) for number, quantity in enumerate(quantities, start=1))
        return self.tell(InboundChanged(self.cause("asns/ANNOUNCED"), SKU, asn, location, at(eta), lines, closed))

    def cause(self, kind: str, event_id: str | None = None) -> Cause:
        return Cause(event_id or f"e{next(self._numbers)}", kind, self.log_time, self.log_time)

    # --- what stands

    def line(self, order: str) -> str:
        """Return the line's totals that are not 0."""
        totals = self.book.lines()[order, LINE]
        shown = {name: getattr(totals, name) for name in totals.__slots__}
        return " ".join(f"{name}={units}" for name, units in shown.items() if units)

    def stock(self, location: str = "W1") -> str:
        """Return the location's state, as far as it is not 0."""
        totals = self.book.stock()[location]
        shown = {name: getattr(totals, name) for name in totals.__slots__ if name != "next_eta"}
        return " ".join(f"{name}={units}" for name, units in shown.items() if units)

    def eta(self, order: str) -> tuple[int, str] | None:
        """Return the promise of a waiting line as (eta, ``asn/line``)."""
        promise = self.book.promises()[order, LINE]
        return None if promise is None else (promise.eta, "/".join(promise.source))


def terms(
    *,
    priority: int = 5,
    accepted: str = "09:00",
    whole: bool = False,
    locations: tuple[str, ...] = (),
) -> Terms:
    return Terms(
        order_version=1,
        accepted_at=at(accepted),
        priority=priority,
        ship_policy=ShipPolicy.LINE_COMPLETE if whole else ShipPolicy.PARTIAL,
        locations=locations,
    )
