"""A SKU book as tests drive it: short verbs for events, and a check of the whole book after each of them.

What must stay true: the book is checked after each event, so that an index that drifts fails the test that made it
drift.
"""

from bostream.domain.cause import Cause
from bostream.domain.keys import unpack
from bostream.domain.sku.book import Book, LineView, Position, Rules
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
from bostream.domain.sku.handle import fire, handle
from bostream.domain.sku.outcomes import (
    DiscrepancyFound,
    Outcome,
    UnitsAllocated,
    UnitsCancelled,
    UnitsDeallocated,
    UnitsPicked,
    UnitsShipped,
    UnitsUnpicked,
)
from bostream.domain.sku.state import LINES
from bostream.domain.state import TIMERS
from bostream.testing.memory import MemoryState
from tests.domain.sku.consistency import check_book

SKU = "S"
MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

PUBLISHED = (UnitsAllocated, UnitsDeallocated, UnitsPicked, UnitsUnpicked, UnitsShipped, UnitsCancelled)
"""Outcomes that become ``allocations`` records."""


class Story:
    """One book, and log time that moves on by a minute with each event."""

    def __init__(self, rules: Rules | None = None, now: int = 12 * HOUR, state: MemoryState | None = None) -> None:
        self.state = state or MemoryState()
        self.book = Book(self.state, rules or Rules())
        self.now = now
        self.events = 0
        self.terms: dict[str, Terms] = {}

    # --- verbs

    def place(
        self,
        order: str,
        quantity: int,
        *,
        at: int = 9 * HOUR,
        priority: int = 5,
        policy: ShipPolicy = ShipPolicy.PARTIAL,
        locations: tuple[str, ...] = (),
        line: str = "1",
        sku: str = SKU,
    ) -> list[Outcome]:
        """Place an order of one line, accepted at that time."""
        terms = Terms(1, at, priority=priority, ship_policy=policy, locations=locations)
        self.terms[order] = terms
        demand = LineDemand(line, add=quantity, seniority=at)
        return self.demand(order, DemandReason.ORDER_PLACED, [demand], sku=sku)

    def amend(self, order: str, *demands: LineDemand, terms: Terms | None = None, sku: str = SKU) -> list[Outcome]:
        """Change lines of an order, and its terms where given."""
        if terms is not None:
            self.terms[order] = terms
        return self.demand(order, DemandReason.ORDER_AMENDED, list(demands), sku=sku)

    def more(self, order: str, quantity: int, *, at: int, line: str = "1") -> list[Outcome]:
        """Raise a line, with the seniority of that time."""
        return self.amend(order, LineDemand(line, add=quantity, seniority=at))

    def fewer(self, order: str, quantity: int, *, line: str = "1") -> list[Outcome]:
        """Lower a line."""
        return self.amend(order, LineDemand(line, cancel=quantity))

    def cancel(self, order: str, line: str = "1") -> list[Outcome]:
        """End an order of one line."""
        return self.demand(order, DemandReason.ORDER_CANCELLED, [LineDemand(line, ends=True)])

    def demand(self, order: str, reason: DemandReason, lines: list[LineDemand], *, sku: str = SKU) -> list[Outcome]:
        """Change demand."""
        terms = self.terms[order]
        return self.happen(DemandChanged(self.cause(f"orders/{reason}"), sku, order, reason, terms, tuple(lines)))

    def scan(
        self,
        kind: ScanType,
        quantity: int,
        order: str | None = None,
        *,
        location: str = "W1",
        expected: int | None = None,
        asn: tuple[str, str] | None = None,
        line: str = "1",
        event_id: str | None = None,
        sku: str = SKU,
    ) -> list[Outcome]:
        """Scan units, of an order's line or against an ASN line where given."""
        asn_id, asn_line_id = asn or (None, None)
        return self.happen(
            StockScanned(
                self.cause(f"inventory-scans/{kind}", event_id),
                sku,
                kind,
                location,
                quantity,
                "wms",
                expected,
                order,
                line if order else None,
                asn_id,
                asn_line_id,
            )
        )

    def receive(self, quantity: int, location: str = "W1", asn: tuple[str, str] | None = None) -> list[Outcome]:
        """Receive units."""
        return self.scan(ScanType.RECEIVED, quantity, location=location, asn=asn)

    def asn(
        self, asn_id: str, lines: dict[str, int], *, eta: int, location: str = "W1", closed: bool = False
    ) -> list[Outcome]:
        """State an ASN as it reads now."""
        stated = tuple(InboundLine(line_id, quantity) for line_id, quantity in lines.items())
        return self.happen(InboundChanged(self.cause("asns/ANNOUNCED"), SKU, asn_id, location, eta, stated, closed))

    def cause(self, kind: str, event_id: str | None = None) -> Cause:
        """Return the cause of the next event."""
        self.events += 1
        return Cause(event_id or f"event-{self.events}", kind, self.now, self.now)

    def happen(self, event: SkuEvent) -> list[Outcome]:
        """Let an event happen a minute after the last one, and check the book."""
        self.pass_time(MINUTE)
        outcomes = []
        for outcome in handle(self.book, event, self.now):
            self.observe(outcome)
            outcomes.append(outcome)
        self.check()
        return outcomes

    def observe(self, outcome: Outcome) -> None:
        """Called with each outcome while the book shows its after-state; a narrator overrides it."""

    def pass_time(self, micros: int) -> list[Outcome]:
        """Let log time pass, and fire what becomes due, as the engine does before a record."""
        self.now += micros
        outcomes: list[Outcome] = []
        timers = self.state.table(TIMERS)
        while True:
            due = next(((key, timer) for key, timer in timers.scan(b"") if timer.due <= self.now), None)
            if due is None:
                return outcomes
            timers.delete(due[0])
            for outcome in fire(self.book, due[1], due[1].due):
                self.observe(outcome)
                outcomes.append(outcome)
            self.check()

    # --- what there is

    def line(self, order: str, line: str = "1") -> LineView:
        """Return how a line stands."""
        view = self.book.view(SKU, order, line)
        assert view is not None
        return view

    def units(self, order: str, line: str = "1") -> tuple[int, int, int, int]:
        """Return a line's units: allocated, shipped, cancelled, waiting."""
        view = self.line(order, line)
        return view.allocated, view.shipped, view.cancelled, view.waiting

    def held(self, order: str, line: str = "1") -> dict[str, int]:
        """Return a line's allocated units by location."""
        row = self.book.page(SKU).line(order, line)
        assert row is not None
        return {place.location: place.allocated for place in row.places}

    def position(self, location: str = "W1") -> Position:
        """Return the stock at a location."""
        return self.book.position(SKU, location)

    def check(self) -> None:
        """Check the whole book of every SKU in it."""
        skus = {str(unpack(key)[0]) for key, _ in self.state.table(LINES).scan(b"")}
        for sku in skus | {SKU}:
            check_book(self.state, sku)


def discrepancies(outcomes: list[Outcome]) -> list[str]:
    """Return the kinds of what people are told."""
    return [outcome.kind.value for outcome in outcomes if isinstance(outcome, DiscrepancyFound)]
